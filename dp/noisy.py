"""What may be looked at: noisy integers that were paid for, and numbers with the interval they deserve."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""Half width, in standard deviations, of an interval that covers 95 %."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number as a person may read it.

    low, high: ends of an interval that covers what `covers` says in 95 of 100 releases.
    covers: what the interval accounts for: "noise", or "noise and sampling".
    estimate is NaN where the noise says nothing of the number; an end may be infinite.
    """

    estimate: float
    low: float
    high: float
    covers: str = "noise"

    def as_json(self) -> dict[str, float | str | None]:
        """None stands for a number that noise tells nothing of, or an end that nothing bounds."""
        numbers = {"estimate": self.estimate, "low": self.low, "high": self.high}
        return {**{name: x if math.isfinite(x) else None for name, x in numbers.items()}, "covers": self.covers}


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where in the ledger a noisy statistic was paid for.

    key: digest of the statistic's specification. sequence: the entry that first released it.
    nonce: opens the entry's commitment to the noisy integers; a reader needs it, the log never holds it.
    """

    key: str
    sequence: int
    nonce: bytes = field(repr=False)
    commitment: str


@dataclass(frozen=True, slots=True)
class Noise:
    """Paid noise for a job that adds it step by step: what it is added to is not known yet. Secret for ever.

    values: int64, one a cell, in lattice units. scale, bits: as of the `Noisy` it becomes. No receipt: it is never
    released, because whoever sees it sees the exact numbers behind what is.
    """

    values: NDArray[np.int64] = field(repr=False)
    scale: float
    bits: int


@dataclass(frozen=True, slots=True)
class Noisy:
    """A paid statistic: integers on a lattice, with discrete Gaussian noise already in them.

    values: int64, one a cell, in lattice units. scale: the noise's standard deviation in lattice units.
    bits: one lattice unit is 2^-bits of the statistic's own unit. keys: that were selected; None where they are listed.
    flip: where the integers are packed labels (`dp.labels`), how often one of them is wrong; 0 for the others.
    Of submitted records only the ledger makes one (`dp.releases`): what takes a `Noisy` cannot have skipped payment.
    """

    values: NDArray[np.int64] = field(repr=False)
    scale: float
    bits: int
    receipt: Receipt
    keys: tuple[str, ...] | None = field(default=None, repr=False)
    flip: float = 0.0

    @property
    def real(self) -> NDArray[np.float64]:
        """The noisy values in the statistic's own unit."""
        return np.ldexp(self.values.astype(np.float64), -self.bits)

    @property
    def sigma(self) -> float:
        """The noise's standard deviation in the statistic's own unit."""
        return float(np.ldexp(self.scale, -self.bits))
