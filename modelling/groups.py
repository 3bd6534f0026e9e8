"""Groups of like people, to count seeds in: from the owner's features and a model that was paid for, never a label.

People are halved again and again: always the group that is most apart, in the column in which it is, at the middle.
How much a column keeps people apart is weighed by how much the model makes of it: columns that tell seeds from others
are cut first. A person is in one group, so one seed moves one count by one.

The code ensures: groups follow from the features and the model alone; the same give the same.
The caller ensures: the model is post-processing of what was paid; the reader owns the features.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from .design import Design, Float, Int
from .model import Model
from .trees import effects_of, levels_of, ordered_views

MOST_GROUPS = 1024
FEWEST_GROUPS, LARGEST_NOISE = 16, 4.0
"""A group is no smaller than about this many times the noise's variance in people, and never so few groups."""
SMALLEST_GROUP = 16
FLOOR = 0.15
"""Weight of a column that the model makes nothing of, beside the one it makes most of."""


def how_many(people: int, variance: float) -> int:
    """Groups for so many people under this noise in a count: public, and known before anything is paid."""
    most = people / max(SMALLEST_GROUP, LARGEST_NOISE * variance)
    return int(min(MOST_GROUPS, max(FEWEST_GROUPS, most)))


def group(design: Design, model: Model, ordered: Sequence[bool], many: int) -> Int:
    """The group of each person, from 0; fewer than `many` where people cannot be told apart. ordered: columns are."""
    place = _places(design, model, ordered)
    found, groups = np.zeros(design.rows, dtype=np.int64), 1
    heap = [_candidate(place, np.arange(design.rows), 0)]
    while heap and groups < many:
        apart, at, view, rows = heapq.heappop(heap)
        if apart >= 0:
            break
        x = place[rows, view]
        lower = x < np.median(x)
        lower = lower if lower.any() else x <= x.min()
        if lower.all():  # alike but for rounding
            continue
        found[rows[~lower]] = groups
        heapq.heappush(heap, _candidate(place, rows[lower], at))
        heapq.heappush(heap, _candidate(place, rows[~lower], groups))
        groups += 1
    return found


def _candidate(place: Float, rows: Int, at: int) -> tuple[float, int, int, Int]:
    """Minus how far apart these people are in the column that keeps them most apart; their group, column, and they."""
    apart = place[rows].var(axis=0) * len(rows)
    view = int(np.argmax(apart))
    return -float(apart[view]), at, view, rows


def _places(design: Design, model: Model, ordered: Sequence[bool]) -> Float:
    """Of each person and view: its rank among people, 0 to 1, times the view's weight."""
    level, effects = levels_of(design), effects_of(design, model)
    pairs = zip(level.T, effects, strict=True)
    counts = [np.bincount(column, minlength=len(e)).astype(np.float64) for column, e in pairs]
    spread = np.array([_deviation(n, e) for n, e in zip(counts, effects, strict=True)])
    weight = spread + FLOOR * spread.max(initial=0.0) if spread.max(initial=0.0) > 0 else np.ones(len(spread))
    stands = ordered_views(design, ordered)
    place = np.empty(level.shape)
    for view, (n, e) in enumerate(zip(counts, effects, strict=True)):
        order = np.arange(len(e)) if stands[view] else np.argsort(e, kind="stable")
        middle = np.empty(len(e))
        middle[order] = np.cumsum(n[order]) - n[order] / 2
        place[:, view] = weight[view] * middle[level[:, view]] / max(design.rows, 1)
    return place


def _deviation(people: Float, effects: Float) -> float:
    mean = people @ effects / max(people.sum(), 1.0)
    return float(np.sqrt(people @ (effects - mean) ** 2 / max(people.sum(), 1.0)))
