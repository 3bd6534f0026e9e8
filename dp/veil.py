"""Veils: keys behind which too few people stand, hidden before anybody has the numbers.

A contract may ask for k people behind every key *as well as* for noise (`dp.threshold`). Whoever opens a release gets
the noisy integers that its figures follow from, so it is not enough to leave a key out of a table: what is hidden is
taken out of the integers themselves, as they are drawn and before they are committed to, stored or sealed. It is a
function of noisy numbers and declarations alone, and so post-processing.

The code ensures: a cell whose key has a noisy count of people below `least` is `HIDDEN`, and that count with it.
The caller ensures: `least` follows from `dp.threshold.least_shown` for the noise that is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HIDDEN = -(2**63)
"""Stands in a cell that is not shown: no noise reaches it (`dp.scale`)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Cells of one measure, and the cells that count the people of their keys: as many, or one for several in a row.

    start, stop: of the cells. people, many: where the counts begin, and how many there are. least: the smallest count
    that is shown, in lattice steps.
    """

    start: int
    stop: int
    people: int
    many: int
    least: int


@dataclass(frozen=True, slots=True)
class Veil:
    """What is hidden of a row of noisy integers."""

    judged: tuple[Judged, ...]

    def over(self, noisy: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row, with `HIDDEN` in place of what is not shown."""
        covered = noisy.copy()
        for each in self.judged:
            few = noisy[each.people : each.people + each.many] < each.least
            cells = covered[each.start : each.stop].reshape(each.many, -1)
            cells[few] = HIDDEN
        return covered


def is_hidden(cells: NDArray[np.float64], steps: int) -> NDArray[np.bool_]:
    """Which numbers of a table were hidden. steps: lattice steps of one unit."""
    return np.asarray(cells < HIDDEN / steps / 2)
