"""The rows that stand for a column's levels: short, so that little noise covers them, and alike where levels are.

Rows are centred on the middle of the smallest ball that holds them: what all levels share says nothing about a person
and would only have to be covered by noise. A binary column's rows shrink to .71 of their length by it, so a table of
columns gets by with 10 to 25 % less noise. The intercept, which centred rows cannot express, is learnt from the count
of matches. A missing value has a cell of its own, as far from the middle as the others.

The code ensures: rows depend on declared levels, or edges, alone. How long they are on the lattice is checked in
integers by `design.verify`, not argued from here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bins import Float, Int
from .design import BITS

SHORTEST = 0.5
"""Squared length that a missing value's row has where the others have less: a column with one level."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike ordered levels are. own: what a level shares with no other. reach: how far likeness goes, as a share of
    the levels."""

    own: float
    reach: float


OWNED = Likeness(0.2, 0.15)
"""Of bins that fit their owner's rows: many are single values, frequent ones, each with a meaning of its own."""
EVEN = Likeness(0.1, 0.3)
"""Of bins cut from declared bounds: their ends mean nothing, and many of them are needed to follow any effect."""
OWN_AT_ONE, MOST_OWN = 0.05, 0.2
"""What such a bin shares with no other, for each unit of ε, and at most: the less noise, the better bins are told."""


def even_at(epsilon: float | None) -> Likeness:
    """`EVEN`, as far as what is paid tells how large noise will be."""
    own = 0.0 if epsilon is None else OWN_AT_ONE * epsilon
    return Likeness(min(max(own, EVEN.own), MOST_OWN), EVEN.reach)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Real rows of a column's levels, the missing level last. reach: the squared length none exceeds."""

    rows: Float
    reach: float


def smooth(levels: int, likeness: Likeness) -> Rows:
    """Ordered levels: inner products T = a I + (1 - a) exp(-|i-j| / (r levels)) before centring; likeness: a and r.

    Neighbouring levels share strength. T has ones on its diagonal: rows have length 1 before centring.
    """
    apart = np.abs(np.subtract.outer(np.arange(levels), np.arange(levels)))
    products = likeness.own * np.eye(levels) + (1 - likeness.own) * np.exp(-apart / (likeness.reach * levels))
    values, vectors = np.linalg.eigh(products)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    middle = np.maximum(np.linalg.solve(products, np.ones(levels)), 0)
    return _with_missing(root - (middle / middle.sum()) @ root)


def plain(levels: int) -> Rows:
    """Levels without an order: a unit vector each, centred."""
    return _with_missing(np.eye(levels) - 1 / levels)


def several(levels: int, at_most: int) -> Rows:
    """Levels of which some come together: a cell each, not centred, `at_most` of them no longer than 1."""
    rows = np.diag([*np.full(levels, at_most**-0.5), 1.0])
    return Rows(rows, 1.0)


def together(first: Rows, second: Rows) -> Rows:
    """Pairs of levels of two columns, the first column's levels in the outer order: products of the two columns' rows.

    Rows are centred, so a pair's row says only what the two levels say together, and not what either says alone.
    Whoever lacks one of the two has zeros.
    """
    pairs = np.kron(first.rows[:-1, :-1], second.rows[:-1, :-1])
    return Rows(np.vstack([pairs, np.zeros_like(pairs[:1])]), first.reach * second.reach)


def on_lattice(columns: Sequence[Rows], length: float = 1.0) -> list[Int]:
    """All columns' tables: scaled so that a whole row is at most `length` long, then rounded towards zero."""
    scale = length / math.sqrt(sum(column.reach for column in columns))
    return [towards_zero(column.rows * scale) for column in columns]


def towards_zero(real: Float) -> Int:
    """Onto the lattice, never away from zero: a rounded row is never longer than the row it stands for."""
    return np.trunc(np.ldexp(real, BITS)).astype(np.int64)


def _with_missing(rows: Float) -> Rows:
    levels = len(rows)
    reach = max(float((rows**2).sum(axis=1).max()), SHORTEST) * (1 + 1e-12)
    whole = np.zeros((levels + 1, levels + 1))
    whole[:levels, :levels] = rows
    whole[levels, levels] = math.sqrt(reach)
    return Rows(whole, reach)
