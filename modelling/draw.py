"""Where noise comes from, as learners see it: one call turns an exact statistic into a paid noisy one.

A learner takes public declarations, people, and a `Draw`; it never sees a ledger. Benchmarks and tests bring a `Draw`
of their own. A room hands none out: whoever held one could have it draw on rows that nobody submitted, or try labels
until one fits. It makes the statistic itself, of what was submitted, pays for it, and gives what is left to learn from:
`Drawn`. Every learner says how often it draws, and of what shape, before it sees a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from ..dp.aggregate import Statistic
from ..dp.noisy import Noisy
from .features import Encoder
from .strategy import Rows

Unit = Literal["membership", "person"]
"""The threat model: `lookalike` and `person` say what it protects."""


class Draw(Protocol):
    """Pays for a statistic and gives its noisy twin, or raises and gives nothing."""

    def __call__(self, statistic: Statistic, /) -> Noisy: ...


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Noisy sums that a ledger was paid for: all that a learner needs, and no label.

    people: those they are sums over, as they were measured, where their reader owns them; None in `person`, where a fit
    needs nobody.
    sums: with the receipt that says where in the ledger they stand.
    """

    unit: Unit
    encoder: Encoder
    people: Rows | None
    sums: Noisy
