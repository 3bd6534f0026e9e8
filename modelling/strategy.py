"""What is measured of each person: rows in which people differ as evenly as noise allows.

The noise in a sum is as wide as the longest row, in every direction alike. Plain rows waste it: they stand off their
mean, which the count of matches says already; few are as long as the longest; and most columns lie along a few
directions, so that the others drown. So the reader's own rows x are measured as

    g = c L (x - m)

where m is the mean row of the people, L says how far rows are turned (`turn`), scaled so that the mean square of
L (x - m) is 1, and c cuts each to length 1: c = 1 / max(|L (x - m)|, .8). Where noise is small beside the seeds, L
measures all directions alike; where it is large, those that add most to scores; cutting takes from the few long rows
what makes all others less noisy. That is a strategy in the sense of the matrix mechanism (Li, Hay, Rastogi, Miklau,
McGregor 2010). What is cut biases nothing: who fits knows every c.

**Why that is private.** In `membership` everything here is known to the reader: people, features, m, L, c, and what is
public of the draw (`outlook`). Only whether a person is matched is secret, and the sum over matched people meets that
through g alone. So g may be any function of the owner's table and of public sizes, as long as no label enters and no
row is longer than 1. It is rounded to integers, and the length of each integer row is checked in integers before any is
summed: however eigenvectors come out, on whatever machine, no record moves the sum by more than `MOMENTS_L2_SQUARED`
says.

The code ensures: rows are made of all people of the design, in the same way whoever matched; every one is checked;
sums are int64 and exact.
The caller ensures: as `design`; the reader owns the features. In `person` nothing of this is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from ..dp.aggregate import Statistic, vector
from .design import (
    BITS,
    COUNT_UNIT,
    MOMENTS_L2_SQUARED,
    ONE,
    Design,
    Float,
    Int,
    Mask,
    SensitivityExceeded,
    across,
    column_of_cells,
    used_cells,
)
from .outlook import Outlook
from .prior import Prior
from .turn import EVENLY, turn_for

SHORTEST = 0.8
"""Rows are not lengthened beyond 1 / .8, in units of their root mean square."""
MIX_BITS = 16
"""The lattice of `mix`."""
NOBODYS = math.sqrt(EVENLY) / 2
"""Directions that `mix` turns to less hold nobody: others have twice as much, and rounding moves them by far less."""
CHUNK = 8_192
MOST_CELLS = 2_500
"""Designs of more cells are measured as they are, and fitted by steps (`wide`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Strategy:
    """How the people of a design are measured.

    used: positions of the cells that are mixed. centre: int64, their mean, on the lattice. mix: used x used, int64, in
    units of 2^-16. short: c above, one a person. reach: lattice units that no row is longer than, `ONE` where it has
    the whole row to itself.
    """

    design: Design
    used: Int
    centre: Int
    mix: Int
    short: Float
    reach: int = ONE

    @classmethod
    def of(cls, design: Design, reach: int = ONE, outlook: Outlook | None = None) -> Strategy:
        """From the people themselves, and what is public of the draw; no label is looked at."""
        used = used_cells(design)
        with threadpool_limits(limits=1, user_api="blas"):
            mean, mix = _turned(design, used, outlook or Outlook.usual(design.rows))
        centre = np.rint(np.ldexp(mean, BITS)).astype(np.int64)
        made = cls(design, used, centre, np.rint(np.ldexp(mix, MIX_BITS)).astype(np.int64), np.zeros(0))
        lengths = [_lengths(rows) for rows in made._mixed()]
        whole = np.concatenate(lengths) if lengths else np.zeros(0)
        rounded = math.isqrt(len(used)) + 1  # a row is lengthened by half the root of its cells at most
        short = max(reach - rounded, 0) / ONE / np.maximum(whole, SHORTEST)
        return cls(design, used, made.centre, made.mix, short, reach)

    @property
    def turn(self) -> Float:
        """L, as it is used."""
        return np.asarray(np.ldexp(self.mix.astype(np.float64), -MIX_BITS))

    @property
    def middle(self) -> Float:
        """m, as it is used, of the used cells."""
        return np.asarray(np.ldexp(self.centre.astype(np.float64), -BITS))

    def rows(self) -> Iterator[Int]:
        """The integer rows of all people, in their order, some thousand at a time: people x used cells.

        Errors: SensitivityExceeded, whoever matched.
        """
        start = 0
        for mixed in self._mixed():
            rows = np.rint(mixed * self.short[start : start + len(mixed), None])
            refuse_longer(rows, self.reach)
            start += len(mixed)
            yield rows.astype(np.int64)

    def moments(self, matched: Mask) -> Statistic:
        """The exact sum of the matched people's rows, and last the count cell: as many cells as `Design.moments` has.

        Statistic.l2_squared is `MOMENTS_L2_SQUARED`, whatever the data.
        """
        if matched.shape != (self.design.rows,) or matched.dtype != np.bool_:
            raise ValueError("matched must say yes or no for every row")
        sums, start = np.zeros(self.design.cells + 1, dtype=np.int64), 0
        for rows in self.rows():
            sums[self.used] += rows[matched[start : start + len(rows)]].sum(axis=0)
            start += len(rows)
        sums[-1] = np.count_nonzero(matched) * COUNT_UNIT
        return vector(sums, bits=BITS, l2_squared=MOMENTS_L2_SQUARED, rows=self.design.rows, bound=ONE)

    def _mixed(self) -> Iterator[Float]:
        """L (x - m) in lattice units: exact in float64, but for the one rounding, while |L| |x - m| is below 2^17."""
        mix = self.mix.T.astype(np.float64)
        for real in self.design.blocks(CHUNK):
            away = np.ldexp(real[:, self.used], BITS) - self.centre
            yield np.rint(np.ldexp(away @ mix, -MIX_BITS))

    def plain(self) -> tuple[Float, Float]:
        """How sums of rows as they are, each person's x short, follow from these sums: cells x used cells, and what is
        to be added for each unit of the weights' sum. What lies off the directions that people have is lost, and 0.
        """
        back = np.zeros((self.design.cells, len(self.used)))
        with threadpool_limits(limits=1, user_api="blas"):
            largest = max(float(np.abs(np.linalg.eigvalsh(self.turn)).max()), NOBODYS)
            back[self.used] = np.linalg.pinv(self.turn, rcond=NOBODYS / largest, hermitian=True)
        middle = self.design.project(np.ones(self.design.rows)) / max(self.design.rows, 1)
        middle[self.used] = self.middle
        return back, middle

    # What sums of such rows are like, for weights of people: as `problem.Problem` needs it.

    def total(self, weights: Float) -> Float:
        """Sum of weight x row over people, in units of a row's length."""
        return np.asarray(self.turn @ self._away(weights * self.short))

    def scatter(self, weights: Float) -> Float:
        """Sum of weight x row row^T, about the rows' weighted mean."""
        squared = weights * self.short**2
        about, middle = self._project(squared), self.middle
        whole = self.design.curvature(squared)[np.ix_(self.used, self.used)]
        aside = np.outer(middle, about)
        whole += float(squared.sum()) * np.outer(middle, middle) - aside - aside.T
        mean = self._away(weights * self.short)
        whole -= np.outer(mean, mean) / max(float(weights.sum()), 1e-300)
        return np.asarray(self.turn @ whole @ self.turn.T)

    def slope(self, weights: Float) -> Float:
        """Sum of weight x row x^T, about the weighted means of both: x are the design's rows."""
        cut = weights * self.short
        whole = self.design.curvature(cut)[np.ix_(self.used, self.used)] - np.outer(self.middle, self._project(cut))
        whole -= np.outer(self._away(cut), self._project(weights)) / max(float(weights.sum()), 1e-300)
        return np.asarray(self.turn @ whole)

    def across(self, other: Design, weights: Float) -> Float:
        """Sum of weight x row x other row^T, about the weighted means of both. other: more of the same people."""
        cut = weights * self.short
        whole = across(self.design, other, cut)[self.used] - np.outer(self.middle, other.project(cut))
        whole -= np.outer(self._away(cut), other.project(weights)) / max(float(weights.sum()), 1e-300)
        return np.asarray(self.turn @ whole)

    def _project(self, weights: Float) -> Float:
        return np.asarray(self.design.project(weights)[self.used])

    def _away(self, weights: Float) -> Float:
        return self._project(weights) - self.middle * float(weights.sum())


Rows: TypeAlias = Design | Strategy
"""People as they are measured: a design, by its rows as they are; or by a strategy."""


def design_of(people: Rows) -> Design:
    return people if isinstance(people, Design) else people.design


def refuse_longer(rows: Float, reach: int) -> None:
    """Refuses whole numbers of which some row is longer than that, or no number. Errors: SensitivityExceeded.

    No entry leaves `reach` before any is squared: so squares, and sums of as many as there are cells, stay in int64.
    """
    if not bool((np.abs(rows) <= reach).all()):
        raise SensitivityExceeded(reach**2 + 1, reach**2)
    longest = int((rows.astype(np.int64) ** 2).sum(axis=1).max(initial=0))
    if longest > reach**2:
        raise SensitivityExceeded(longest, reach**2)


def _turned(design: Design, used: Int, outlook: Outlook) -> tuple[Float, Float]:
    """Mean of the people's rows, and how far they are turned."""
    people, everyone = max(design.rows, 1), np.ones(design.rows)
    mean = design.project(everyone)[used] / people
    spread = design.curvature(everyone)[np.ix_(used, used)] / people - np.outer(mean, mean)
    believed = Prior.of(design, used, column_of_cells(design)[used])
    return mean, turn_for(spread, believed.covariance(believed.usual), outlook, design.rows)


def _lengths(rows: Float) -> Float:
    """In units of a row's length. In float64: one among millions, unlike all others, is thousands of them long."""
    return np.asarray(np.sqrt(((rows / ONE) ** 2).sum(axis=1)))
