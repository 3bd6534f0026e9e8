"""How far a person's score may be off: the noise's covariance is known, so every score has an interval.

Under the model of `lookalike`, the weights have a posterior: covariance S given the noisy sums, S0 had the sums come
without noise. For the scores of a fit both are taken at sizes of effects that were found once more, and about the
model's own scores (`Problem.whole_doubt`). By the law of total variance S - S0 is the spread, given what was released,
of the fit without noise: an interval from it says "noise", shrinkage included. S itself adds the luck of which people
there are: "noise and sampling". Both are post-processing. A person's variance is a sum over pairs of columns, read
from one table a pair.

The code ensures: a person's figure is, bit for bit, a function of its own levels: values are looked up and added in the
order of its levels, one person at a time. A matrix product over people would not do: its last bit depends on where in
the batch a row stands, and one bit can move a whole group of people who tie with the end of a rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..dp.noisy import Z95
from .design import Block, Codes, Design, Float, Int

Covers = Literal["noise", "noise and sampling"]


Tables = tuple[Float, ...]
"""For each pair of columns (`_column_pairs`), what a level of one and a level of the other add to the variance."""


@dataclass(frozen=True, slots=True, eq=False)
class Doubt:
    """Variance of sums of effects, and of the intercept: of noise, and with luck added.

    Tables are made once, before anybody is scored: all who are scored later read the same ones.
    """

    digest: str
    noise: Tables
    both: Tables
    intercept_noise: float
    intercept_both: float

    @classmethod
    def of(cls, design: Design, used: Int, both: Float, noise: Float, luck_b: float, noise_b: float) -> Doubt:
        of_noise, of_both = (_tables(design.columns, _spread(design, used, each)) for each in (noise, both))
        return cls(design.digest, of_noise, of_both, noise_b, noise_b + luck_b)

    def deviation(self, design: Design, covers: Covers = "noise and sampling") -> Float:
        """Standard deviation of each person's log-odds. Errors: ValueError for a design of another encoder."""
        if design.digest != self.digest:
            raise ValueError("the design was made by another encoder")
        noise = covers == "noise"
        variance = _quadratic(design, self.noise if noise else self.both)
        return np.sqrt(np.maximum(variance, 0) + (self.intercept_noise if noise else self.intercept_both))

    def interval(self, scores: Float, design: Design, covers: Covers = "noise and sampling") -> tuple[Float, Float]:
        """Ends of each person's 95 % interval, log-odds; over people and draws, not for each person, they hold 95 %."""
        wide = Z95 * self.deviation(design, covers)
        return scores - wide, scores + wide


@dataclass(frozen=True, slots=True, eq=False)
class Filed:
    """What of a `Doubt` goes into a model's file: variances of "noise and sampling", in six digits.

        {"intercept": 0.01, "tables": [[[...], ...], ...]}

    tables: one a pair of columns, levels x levels, in the order of `_column_pairs`.
    """

    digest: str
    tables: Tables
    intercept: float

    @classmethod
    def of(cls, doubt: Doubt) -> Filed:
        return cls(doubt.digest, tuple(map(in_six_digits, doubt.both)), float(f"{doubt.intercept_both:.6g}"))

    def deviation(self, design: Design) -> Float:
        """Standard deviation of each person's log-odds. Errors: ValueError for a design of another encoder."""
        if design.digest != self.digest:
            raise ValueError("the design was made by another encoder")
        return np.sqrt(np.maximum(_quadratic(design, self.tables), 0) + self.intercept)

    def to_json(self) -> dict[str, object]:
        return {"intercept": self.intercept, "tables": [table.tolist() for table in self.tables]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any], digest: str, columns: Sequence[Block]) -> Filed:
        """What `to_json` wrote, for the columns of an encoder. Errors: ValueError, KeyError or TypeError otherwise."""
        tables = tuple(np.array(table, dtype=np.float64) for table in body["tables"])
        levels = [len(block.levels) for block in columns]
        wanted = [(levels[i], levels[j]) for i, j in _column_pairs(len(columns))]
        intercept = float(body["intercept"])
        if [table.shape for table in tables] != wanted or not (intercept >= 0 and math.isfinite(intercept)):
            raise ValueError("variances and columns do not fit together")
        if not all(np.isfinite(table).all() for table in tables):
            raise ValueError("a variance is not finite")
        return cls(digest, tables, intercept)


def in_six_digits(values: Float) -> Float:
    """As a file has them; of any shape."""
    return np.array([float(f"{value:.6g}") for value in values.ravel().tolist()], dtype=np.float64).reshape(
        values.shape
    )


def _spread(design: Design, used: Int, covariance: Float) -> Float:
    whole = np.zeros((design.cells, design.cells))
    whole[np.ix_(used, used)] = covariance
    return whole


def _column_pairs(columns: int) -> list[tuple[int, int]]:
    """Each two columns once, a column and itself too."""
    return [(i, j) for j in range(columns) for i in range(j + 1)]


def _tables(columns: Sequence[Block], covariance: Float) -> Tables:
    """Of two columns both orders in one table, so that each pair of levels is read once."""
    ends = np.cumsum([0, *(block.cells for block in columns)])
    found = []
    for i, j in _column_pairs(len(columns)):
        part = covariance[ends[i] : ends[i + 1], ends[j] : ends[j + 1]]
        found.append((1 if i == j else 2) * (columns[i].real @ part @ columns[j].real.T))
    return tuple(found)


def _quadratic(design: Design, tables: Tables) -> Float:
    """row' covariance row, a person: rows are sums of a table row a level that the person has."""
    total = np.zeros(design.rows)
    for (i, j), table in zip(_column_pairs(len(design.columns)), tables, strict=True):
        total += over_pairs(design, i, j, table)
    return total


def over_pairs(design: Design, i: int, j: int, table: Float) -> Float:
    """Sum of the table's values over the pairs of levels that each person has, in the order of its levels."""
    first, second = design.codes[i], design.codes[j]
    if second.row is None:
        return _beside(first, second.level, np.arange(design.rows), design.rows, table)
    each = _beside(first, second.level, second.row, design.rows, table)
    return np.bincount(second.row, weights=each, minlength=design.rows).astype(np.float64)


def _beside(
    first: Codes, level: NDArray[np.unsignedinteger], of: NDArray[np.integer], rows: int, table: Float
) -> Float:
    """For each level of a second column, the table's values with the levels that its person has in the first.

    of: whose level each is. A person's levels are added from the first to the last.
    """
    if first.row is None:
        return np.asarray(table[first.level[of], level])
    begin = np.searchsorted(first.row, np.arange(rows + 1))
    start, many = begin[of], np.diff(begin)[of]
    total = np.zeros(len(of))
    for at in range(int(many.max(initial=0))):
        has = np.flatnonzero(many > at)
        total[has] += table[first.level[start[has] + at], level[has]]
    return total
