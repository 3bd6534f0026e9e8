"""What one test of an audit found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ...dp.budget import RHO_UNIT
from ...dp.entry import Purchase
from ...dp.scale import price
from ...modelling.canaries import Audited, two_worlds
from ..measure.measure import Contents
from ..progress import Progress


@dataclass(frozen=True, slots=True)
class Finding:
    """What one test found. audited: None for a test that says yes or no. holds: nothing contradicts the promise."""

    test: str
    what: str
    holds: bool
    audited: Audited | None = None

    @classmethod
    def of(cls, test: str, what: str, audited: Audited) -> Finding:
        return cls(test, what, not audited.leaks, audited)


Attack = Callable[[bool], float]
"""One fresh run with the canary in or out: higher where it seems to be in."""


@dataclass(slots=True)
class Trial:
    """Tests of the same number of runs, one after the other, under one bar. runs: in each world. tests: in all."""

    runs: int
    progress: Progress
    tests: int
    _begun: int = 0

    def between(self, test: str, what: str, attack: Attack, purchase: Purchase) -> Finding:
        """Two worlds, beside what the purchase is charged."""
        before = self._begun
        self._begun += 1

        def shown(done: int, of: int) -> None:
            self.progress(before * of + done, self.tests * of)

        return Finding.of(test, what, two_worlds(attack, charged(purchase), self.runs, shown))


def handed_out(made: Contents) -> bytes:
    """Every byte of it."""
    return b"".join([repr(made.values).encode(), *made.files.values()])


ONE_RUN = "one run with many canaries: only for lookalikes"
"""Why other kinds have no such test."""


def charged(purchase: Purchase) -> float:
    """μ of a draw, as the ledger counts it."""
    spec = purchase.specification
    return math.sqrt(2 * price(spec.l2_squared, spec.scale) / RHO_UNIT)
