"""People as a few joint codes each, for sums over residuals that are made many times: exact, and fast.

Columns are packed together while their joint levels stay few, so that one look-up serves several columns. Scores are
sums of whole numbers, the probability is read from a table of whole numbers, and a sum over people is a sum of whole
numbers: nothing in a person's path is a float that depends on who else is there.

Rows are those of the tables that people were encoded with, or of others (`by`), where each person's is cut to length 1.
How long it is follows from the person's own levels and the tables that are summed, in integers; what is summed is the
residual times the part that is kept, rounded towards zero. So a person's sum is never longer than the residual says,
and a label that turns moves it by no more than 1: the residual of a yes is not below zero, that of a no not above.

The code ensures: sums are exact whatever the order of people (integers below 2^53, also where numpy adds them as
float64); a residual is at most 1 in size, a row of the tables at most 1 long (`design.verify`, or cut by `by`), so that
one person moves `pull` by at most `step_l2_squared`, and `margins` by at most ONE squared.
The caller ensures: `matched` comes from a stable match, one record decides about one row, and the weights that scores
are made of were themselves paid for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dp.aggregate import LARGEST_SUM, OverflowPossible, Statistic, vector
from .design import BITS, COUNT_UNIT, MOMENTS_L2_SQUARED, ONE, Block, Codes, Design, Float, Int, Mask, squared_norms
from .loops import Loops, loops_for

RESIDUAL_BITS = 16
SCORE_BITS = 12
FURTHEST = 16
"""Log-odds are whole multiples of 2^-12, read as 16 beyond 16; residuals whole multiples of 2^-16."""
SHORT_BITS = 14
"""What is kept of a row is a whole multiple of 2^-14 of it."""
LEVEL_BITS, SQUARE_BITS = 24, 8
"""A level's row that is cut with others is at most 2^24 lattice units long. Squared lengths are counted in whole
multiples of 2^8, rounded up: those of millions of levels that one person has fit an int64."""
MOST_JOINT, MOST_SUMMED = 4_096, 8_192

PEOPLE_UNIT, POSITIVES_UNIT = ONE // 5, ONE // 2
"""What one person adds to the people cell, and one positive to the positives cell."""


def level_unit(columns: Sequence[Block]) -> int:
    """What one person adds to the cell of each level it has: the rest of a row of length 1, shared equally.

    A person moves the cells of at most `parts` levels, and the two of people and positives.
    """
    parts = sum(block.at_most for block in columns)
    return math.isqrt((ONE**2 - PEOPLE_UNIT**2 - POSITIVES_UNIT**2) // parts)


def step_l2_squared(cells: int) -> int:
    """The most one person moves a `pull` of rows with so many cells: what it moves `Design.moments`, and one step of
    rounding down in each cell."""
    return int((math.isqrt(MOMENTS_L2_SQUARED) + 1 + math.isqrt(cells + 1) + 1) ** 2)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Columns under one joint code. members: their positions. codes: which joint level each person has."""

    members: tuple[int, ...]
    sizes: tuple[int, ...]
    codes: Codes

    def __post_init__(self) -> None:
        """Errors: ValueError for a code of no level: nothing that looks codes up checks them again."""
        level = self.codes.level
        if level.dtype.kind != "u" or int(level.max(initial=0)) >= self.joint:
            raise ValueError("a code is of no level")

    @property
    def joint(self) -> int:
        return math.prod(self.sizes)


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """People ready for steps. rows: people. columns, digest: as in the `Design` they came from.

    short: what is kept of each person's row, in units of 2^-14; None where no row is too long.
    """

    rows: int
    columns: tuple[Block, ...]
    groups: tuple[Group, ...]
    digest: str
    short: Float | None = field(default=None, kw_only=True)

    @classmethod
    def of(cls, design: Design) -> Packed:
        return cls.of_parts([design])

    @classmethod
    def of_parts(cls, designs: Sequence[Design] | Iterator[Design]) -> Packed:
        """People that were encoded part by part, in order, by one encoder. Errors: ValueError where there is none."""
        rows, layout, parts = 0, None, list[list[Codes]]()
        for design in designs:
            layout = layout or (_grouping(design), design.columns, design.digest)
            parts = parts or [[] for _ in layout[0]]
            for held, mine in zip(parts, layout[0], strict=True):
                held.append(_join(design, mine))
            rows += design.rows
        if layout is None:
            raise ValueError("there is nobody to learn from")
        members, columns, digest = layout
        if rows << (RESIDUAL_BITS + 20) >= LARGEST_SUM:
            raise OverflowPossible(rows, ONE << RESIDUAL_BITS)
        groups = []
        for held, mine in zip(parts, members, strict=True):
            groups.append(Group(mine, tuple(len(columns[i].table) for i in mine), _concatenated(held)))
            held.clear()  # people are held twice for one group at a time
        return cls(rows, columns, tuple(groups), digest)

    def by(self, columns: Sequence[Block]) -> Packed:
        """The same people, measured by these tables of the same levels, each person's row cut to length 1.

        Errors: ValueError where a level's row is too long, levels that come together share a cell, or a person may have
        millions of levels: of declarations and tables alone.
        """
        squares = [squared_norms(block) for block in columns]
        most = sum(block.at_most for block in columns) << 2 * LEVEL_BITS - SQUARE_BITS
        if max(max(each) for each in squares) > 1 << 2 * LEVEL_BITS or most >= LARGEST_SUM:
            raise ValueError("a row is longer than can be cut")
        total = np.zeros(self.rows, dtype=np.int64)
        self._add(total, [np.array([-(-square >> SQUARE_BITS) for square in each], dtype=np.int64) for each in squares])
        length = np.sqrt(np.ldexp(total.astype(np.float64), SQUARE_BITS)).astype(np.int64) + 2  # no shorter than it is
        short = np.minimum((ONE << SHORT_BITS) // length, 1 << SHORT_BITS)
        return replace(self, columns=tuple(columns), short=short.astype(np.float64))

    @property
    def cells(self) -> int:
        return sum(block.cells for block in self.columns)

    @property
    def levels(self) -> int:
        return sum(len(block.table) for block in self.columns)

    def margins(self, matched: Mask) -> Int:
        """Weighted counts: of people in each level, of people, of positives.

        `levels` + 2 cells; one person moves them by at most ONE (L2).
        """
        counts = level_unit(self.columns) * np.concatenate(self._histograms(None))
        ends = [self.rows * PEOPLE_UNIT, int(np.count_nonzero(matched)) * POSITIVES_UNIT]
        return np.concatenate([counts, np.array(ends, dtype=np.int64)])

    def moments(self, matched: Mask) -> Statistic:
        """`Design.moments` of these people, cell for cell. Errors: ValueError where rows are cut."""
        if self.short is not None:
            raise ValueError("moments are of rows as they are")
        sums = self._histograms(matched.astype(np.float64))
        exact = [column @ block.table for column, block in zip(sums, self.columns, strict=True)]
        count = np.array([int(np.count_nonzero(matched)) * COUNT_UNIT], dtype=np.int64)
        return vector(
            np.concatenate([*exact, count]), bits=BITS, l2_squared=MOMENTS_L2_SQUARED, rows=self.rows, bound=ONE
        )

    def counts(self) -> Float:
        """How many people have each level, columns one after the other: for people who are no secret."""
        return np.concatenate(self._histograms(None)).astype(np.float64)

    def pull(self, matched: Mask, intercept: float, effects: Sequence[Float]) -> Int:
        """Sum over people of (label - probability) x row, cut where rows are, rounded down to the lattice: `cells`
        cells, then one for the intercept, to which everybody adds (label - probability) x COUNT_UNIT.

        effects: one value a level, a column. One person moves the sum by at most `step_l2_squared`.
        """
        residuals = self.residuals(matched, intercept, effects)
        sums = self._histograms(self._cut(residuals))
        exact = [column @ block.table for column, block in zip(sums, self.columns, strict=True)]
        last = np.array([int(residuals.sum()) * COUNT_UNIT], dtype=np.int64)
        return np.concatenate([*exact, last]) >> RESIDUAL_BITS

    def residuals(self, matched: Mask, intercept: float, effects: Sequence[Float]) -> Float:
        """Label minus probability in whole units of 2^-16, one a person, as float64."""
        table = _probabilities()
        score = self._scores(_whole(np.array([intercept]))[0], [_whole(values) for values in effects])
        edge = FURTHEST << SCORE_BITS
        expected = table[np.clip(score, -edge, edge) + edge]
        return np.asarray((matched.astype(np.int64) << RESIDUAL_BITS) - expected, dtype=np.float64)

    def _cut(self, residuals: Float) -> Float:
        """As much of each as is kept of the person's row, rounded towards zero."""
        return residuals if self.short is None else np.trunc(np.ldexp(residuals * self.short, -SHORT_BITS))

    def scores(self, intercept: float, effects: Sequence[Float]) -> Float:
        """Log-odds, one a person, in floating point: for what is released already."""
        total = np.full(self.rows, intercept)
        self._add(total, [np.asarray(e, dtype=np.float64) for e in effects])
        return total

    def _scores(self, intercept: int, effects: Sequence[Int]) -> Int:
        few = sum(block.at_most for block in self.columns) < MOST_SUMMED  # 2^17 each: they fit 32 bits
        kind = np.int32 if few else np.int64
        total = np.full(self.rows, intercept, dtype=kind)
        self._add(total, [e.astype(kind) for e in effects])
        return total.astype(np.int64)

    def _add(self, total: NDArray[Any], effects: Sequence[NDArray[Any]]) -> None:
        """What each person's levels add, in the order of the columns."""
        loops = self._loops
        for group in self.groups:
            joint, codes = _joint_table([effects[i] for i in group.members]), group.codes
            if codes.row is None:
                loops.add(total, joint, codes.level)
            else:
                np.add.at(total, codes.row, joint[codes.level])

    @property
    def _loops(self) -> Loops:
        return loops_for(self.rows * len(self.groups))

    def _histograms(self, weights: Float | None) -> list[Int]:
        """For each column, the summed whole weights of the people with each level; counts without weights."""
        found: dict[int, Int] = {}
        for group in self.groups:
            joint = _whole_histogram(group, weights, self._loops).reshape(group.sizes)
            axes = range(len(group.sizes))
            for axis, member in enumerate(group.members):
                found[member] = joint.sum(axis=tuple(a for a in axes if a != axis))
        return [found[i] for i in range(len(self.columns))]


def _whole_histogram(group: Group, weights: Float | None, loops: Loops) -> Int:
    codes = group.codes
    if weights is None:
        return np.bincount(codes.level, None, group.joint).astype(np.int64)
    if codes.row is not None:
        return np.bincount(codes.level, weights[codes.row], group.joint).astype(np.int64)
    return loops.summed(codes.level, weights, group.joint).astype(np.int64)


def _joint_table(effects: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """What each joint level adds: the sum of what its columns' levels add."""
    joint = effects[0]
    for more in effects[1:]:
        joint = np.add.outer(joint, more).reshape(-1)
    return joint


def _whole(log_odds: Float) -> Int:
    """Log-odds as whole numbers, none beyond 32 in size."""
    limit = 2 * FURTHEST << SCORE_BITS
    return np.clip(np.rint(np.ldexp(log_odds, SCORE_BITS)), -limit, limit).astype(np.int64)


@lru_cache(maxsize=1)
def _probabilities() -> Int:
    """The probability at every whole log-odds from -16 to 16, in units of 2^-16."""
    z = np.ldexp(np.arange(-(FURTHEST << SCORE_BITS), (FURTHEST << SCORE_BITS) + 1).astype(np.float64), -SCORE_BITS)
    return np.rint(np.ldexp(1 / (1 + np.exp(-z)), RESIDUAL_BITS)).astype(np.int64)


def _grouping(design: Design) -> tuple[tuple[int, ...], ...]:
    """Which columns are packed together: by their numbers of levels, in order; sets stay alone."""
    groups: list[tuple[int, ...]] = []
    open_: tuple[int, ...] = ()
    joint = 1
    for i, (block, codes) in enumerate(zip(design.columns, design.codes, strict=True)):
        size = len(block.table)
        if codes.row is not None:
            groups.append((i,))
        elif open_ and joint * size <= MOST_JOINT:
            open_, joint = (*open_, i), joint * size
        else:
            groups += [open_] if open_ else []
            open_, joint = (i,), size
    return tuple(groups + ([open_] if open_ else []))


def _join(design: Design, members: tuple[int, ...]) -> Codes:
    first = design.codes[members[0]]
    if first.row is not None:
        return first
    joint = first.level.astype(np.uint16 if len(members) > 1 else first.level.dtype)
    for i in members[1:]:
        joint = joint * np.uint16(len(design.columns[i].table)) + design.codes[i].level.astype(np.uint16)
    return Codes(joint)


def _concatenated(parts: Sequence[Codes]) -> Codes:
    if len(parts) == 1:
        return parts[0]
    if parts[0].row is not None:
        raise ValueError("sets are encoded in one part")
    return Codes(np.concatenate([part.level for part in parts]))
