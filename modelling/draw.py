"""Where noise comes from, as learners see it: one call turns an exact statistic into a paid noisy one.

A learner takes public declarations, people, and a `Draw`; it never sees a ledger. In a room, `Draw` is `Ledger.pay`
bound to a purchase whose cells and sensitivity are those of the statistic; in benchmarks and tests it is the same
mechanism without a ledger. Every learner says how often it draws, and of what shape, before it sees a row.
"""

from __future__ import annotations

from typing import Protocol

from ..dp.aggregate import Statistic
from ..dp.noisy import Noisy


class Draw(Protocol):
    """Pays for a statistic and gives its noisy twin, or raises and gives nothing."""

    def __call__(self, statistic: Statistic, /) -> Noisy: ...
