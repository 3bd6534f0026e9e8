"""What is measured of people about whom everything is secret: rows as noisy counts say that people differ.

The noise in a sum is as wide as the longest row. Tables of declared levels waste it: their rows stand off the mean of
people, and are as long as could be where people hardly differ. Once noisy counts of people by level are paid for, a
column's mean row m and the covariance C of its rows are known as well as noise allows, and its rows x are measured as

    g = c L (x - m)

with L = C^(-1/5) a column, all of them scaled so that a whole row's root mean square is 1 / .8 of the longest that is
allowed, and c a person's own factor, which cuts a row to that length: `Packed.by`. As `strategy` for rows whose owner
reads what is learnt; but a column at a time, for how columns hang together is not paid for. What is cut biases
nothing: whoever is cut counts with less of both the label and what the model says.

A set's levels come together: they keep a cell each, off no mean, and L is one number a level.

**Why that is private.** m, C, L and the scale follow from noisy counts. c is a function of a person's own levels and
of those tables. `Packed.by` reckons it in integers from the very tables that are summed: whatever noise made of them,
a person's row is at most 1 long.

The code ensures: nothing but declared tables, noisy counts and the size of their noise is read.
The caller ensures: the counts are paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .design import Block, Float
from .effects import Known
from .margins import POINTS, WEIGHTS, Margins
from .tables import towards_zero

POWER = -0.2
"""Of a column's covariance. 0 is rows as they are, -.5 all directions alike; chosen on data that was looked at."""
SHORTEST = 0.8
"""Rows are cut from so much of their root mean square on."""
FLAT = 1e-3
"""Directions of less variance, as a share of a column's largest, are measured as if they had that much; and rows whose
mean square is less than that, as if it were."""
LONGEST = 16.0
"""No level's row is longer than that, in units of the longest that a person may have."""


@dataclass(frozen=True, slots=True, eq=False)
class ColumnStrategy:
    """columns: with the tables that are measured. turns: what declared rows were multiplied by, cells x cells each,
    symmetric; a level's row that would be longer than `LONGEST` is shortened beside. kept: what is kept of a person's
    row, on average over those with each level, as if columns were independent."""

    columns: tuple[Block, ...]
    turns: tuple[Float, ...]
    kept: tuple[Float, ...]

    @classmethod
    def of(cls, columns: Sequence[Block], margins: Margins, unsure: float) -> ColumnStrategy:
        """margins: noisy. unsure: standard deviation of the noise in a count of people."""
        shares = margins.shares
        about = [_centred(block, share) for block, share in zip(columns, shares, strict=True)]
        each = zip(columns, about, shares, strict=True)
        turns = [_turn(block, rows, share, unsure / margins.people) for block, rows, share in each]
        rows = [each @ turn for each, turn in zip(about, turns, strict=True)]
        square = sum(float(share @ _squares(each)) for share, each in zip(shares, rows, strict=True))
        scale = 1 / (SHORTEST * math.sqrt(max(square, FLAT)))
        measured = [_table(block, each * scale) for block, each in zip(columns, rows, strict=True)]
        return cls(tuple(measured), tuple(turn * scale for turn in turns), tuple(_kept(measured, margins)))

    def declared(self, known: Sequence[Known]) -> list[Known]:
        """The same of the weights that declared rows have. known: of measured rows' weights."""
        backs = (np.linalg.inv(turn) for turn in self.turns)
        return [Known(back @ each.precision @ back, back @ each.pull) for back, each in zip(backs, known, strict=True)]


def _centred(block: Block, share: Float) -> Float:
    return block.real - share @ block.real if block.partition else block.real


def _turn(block: Block, rows: Float, share: Float, unsure: float) -> Float:
    """L: of directions in which noise hides how people differ, as if they differed by as much as noise."""
    size = float(_squares(block.real).mean())
    if not block.partition:
        variance, axes = share * (1 - share) * _squares(block.real), np.eye(block.cells)
    else:
        variance, axes = np.linalg.eigh((rows.T * share) @ rows)
    floor = max(FLAT * float(variance.max()), unsure * size, 1e-9)
    return np.asarray((axes * np.maximum(variance, floor) ** POWER) @ axes.T)


def _table(block: Block, rows: Float) -> Block:
    longer = np.maximum(np.sqrt(_squares(rows)) / LONGEST, 1.0)
    return replace(block, table=towards_zero(rows / longer[:, None]))


def _kept(columns: Sequence[Block], margins: Margins) -> list[Float]:
    """Mean of c over people with each level: squared lengths of the other columns as if independent and normal."""
    squares = [_squares(block.real) for block in columns]
    means, spreads = margins.over_people(squares)
    found = []
    for each, mean, spread in zip(squares, means, spreads, strict=True):
        others = sum(means) - mean + math.sqrt(max(0.0, sum(spreads) - spread)) * POINTS
        lengths = np.sqrt(np.maximum(each[:, None] + others, 0.0))
        found.append(np.asarray((1 / np.maximum(lengths, 1.0)) @ WEIGHTS))
    return found


def _squares(rows: Float) -> Float:
    return np.asarray((rows**2).sum(axis=1))
