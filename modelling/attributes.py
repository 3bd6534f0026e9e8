"""What another party knows of people beyond what the reader knows, as one statistic for all of it.

**Secret:** whom the other party knows, and what it knows of them, all attributes together. **Neighbours:** one of its
records is replaced by a dummy that matches nobody and says nothing.

For each value of each wanted attribute, `moments` is the sum of rows (`Design.moments`, a row and its count of .3) of
the people who are known to have that value. What one record moves, squared, in units of one row's 1 + .3^2:

| attribute | blocks of sums | a record adds its row to | so it moves |
|---|---|---|---|
| one of several values, or yes and no | one a value | the one block of its value | 1 |
| a set, at most m of v values | one a value, one of all who are known | min(m, v), and that one | min(m, v) + 1 |

Blocks share no cell, so the squares add up: **several attributes cost the root of the sum in noise, sqrt(k) for k
attributes of one value each, however many values they have.** All are drawn at once.

Two kinds of rows are summed. `membership`: the reader's own rows of the people who match; the reader knows all
features, and only its other party's record is protected. `person`: the other party's rows, of its own columns of the
same names, whether they match or not; then the features are secret too, and a record that goes takes its row along,
which is no longer than any other. The statistic, and the bound, are the same.

The code ensures: exact integers; a record has one value of an attribute by the type of `Known`, and no more values of a
set than declared; a person without a value adds nothing.
The caller ensures: one record decides about one row (joined by one identifier, which stands at most once on either
side); values are declared; the reader owns the features of the people it gets answers for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dp.aggregate import Statistic
from .design import BITS, MOMENTS_L2_SQUARED, Design, Int, Mask
from .features import at_most_a_row

YES_NO = ("no", "yes")


@dataclass(frozen=True, slots=True)
class Target:
    """An attribute that is wanted. at_most: how many of its values one person has at once; 0 for exactly one."""

    name: str
    values: tuple[str, ...]
    at_most: int = 0

    def __post_init__(self) -> None:
        if len(self.values) < (1 if self.at_most else 2) or len(set(self.values)) < len(self.values):
            raise ValueError("an attribute needs two values or more, each once")

    @property
    def blocks(self) -> int:
        """How many sums of rows it takes."""
        return len(self.values) + (self.at_most > 0)

    @property
    def moved(self) -> int:
        """To how many of them one record adds its row at most."""
        return min(self.at_most, len(self.values)) + 1 if self.at_most else 1


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of an attribute of so many people.

    value: int64, positions in the target's values. row: whose each is, for a set; for one value each, there is a value
    for every row, -1 where unknown. there: of whom anything is known: a set may be empty.
    """

    target: Target
    value: Int
    row: Int
    there: Mask

    @classmethod
    def one(cls, target: Target, value: Int) -> Known:
        """value: (rows,), -1 where unknown. Errors: TypeError, ValueError."""
        _refuse_unless(target, value)
        return cls(target, value, np.arange(len(value)), value >= 0)

    @classmethod
    def several(cls, target: Target, value: Int, row: Int, there: Mask) -> Known:
        """value, row: pairs, in any order; the first declared count. Errors: TypeError, ValueError."""
        _refuse_unless(target, value)
        kept = (value >= 0) & there[row]
        row, value = at_most_a_row(row[kept], value[kept], len(target.values), target.at_most)
        return cls(target, value, row, there)

    def masks(self) -> Iterator[Mask]:
        """Who is in each block, in order."""
        for value in range(len(self.target.values)):
            mask = np.zeros(len(self.there), dtype=np.bool_)
            mask[self.row[self.value == value]] = True
            yield mask
        if self.target.at_most:
            yield self.there

    def take(self, kept: Mask) -> Known:
        """The people under a mask, in the same order."""
        stays = kept[self.row]
        return Known(self.target, self.value[stays], (np.cumsum(kept) - 1)[self.row[stays]], self.there[kept])

    def moved(self, of: Int, at: Int, rows: int) -> Known:
        """The same of other rows, so many in all: row `at` of them is row `of` of these, others are unknown."""
        there = np.zeros(rows, dtype=np.bool_)
        there[at] = self.there[of]
        if not self.target.at_most:
            value = np.full(rows, -1, dtype=np.int64)
            value[at] = self.value[of]
            return Known(self.target, value, np.arange(rows), there)
        place = np.full(len(self.there), -1, dtype=np.int64)
        place[of] = at
        stays = place[self.row] >= 0
        return Known(self.target, self.value[stays], place[self.row[stays]], there)

    def truth(self, topic: int | None) -> Int:
        """Everybody's value, -1 where unknown; of one topic of a set, 1 for yes and 0 for no."""
        if topic is None:
            return self.value
        has = np.where(self.there, 0, -1)
        has[self.row[self.value == topic]] = 1
        return has


def _refuse_unless(target: Target, value: Int) -> None:
    if value.dtype != np.int64 or value.ndim != 1:
        raise TypeError("one int64 a person is needed")
    if value.size and not (int(value.min()) >= -1 and int(value.max()) < len(target.values)):
        raise ValueError("a value was not declared")


def l2_squared(targets: Sequence[Target]) -> int:
    """The most one record moves `moments` (L2, squared, lattice units)."""
    return int(sum(target.moved for target in targets) * MOMENTS_L2_SQUARED)


def cells(row: int, targets: Sequence[Target]) -> int:
    """Cells of `moments` where a row has so many."""
    return (row + 1) * sum(target.blocks for target in targets)


def moments(design: Design, known: Sequence[Known], width: int | None = None) -> Statistic:
    """For each block of each attribute in order, `Design.moments` of its people; `width`: cells of a row as declared,
    filled up with empty ones, the count last.
    """
    if not known or len({each.target.name for each in known}) < len(known):
        raise ValueError("attributes must be named, each once")
    wide = design.cells if width is None else width
    parts: list[NDArray[np.int64]] = []
    for mask in (mask for each in known for mask in each.masks()):
        part = np.zeros(wide + 1, dtype=np.int64)
        sums = design.moments(mask).values
        part[: design.cells], part[-1] = sums[:-1], sums[-1]
        parts.append(part)
    return Statistic(np.concatenate(parts), BITS, l2_squared([each.target for each in known]))
