"""Consistency: noisy totals and noisy parts that add up again.

Parts and their totals, each with noise of its own, disagree. The best numbers that agree (least squares, each weighed
by how little noise it has) are post-processing, and less noisy than any that were drawn.

For a table over all combinations of its dimensions the solution is in closed form. Split numbers into components, one a
set U of dimensions: what varies with U and with nothing less (as an analysis of variance does). A total that keeps the
dimensions K says something about every U within K, the parts about all. In component U the parts have the precision
1/σ², a total of m parts each has m/σ_total²; the component is the average under these weights, and its variance one
over their sum, times dim U / keys for one part.

The code ensures: what comes out adds up, up to float64; the variances are those of what comes out. Held by
tests/dp/test_consistency.py against plain generalised least squares.
The caller ensures: the true totals are sums of the true parts (`GroupBy.totals`: of bounded shares, so they are).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Axes = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Agreed:
    """Numbers that add up, and the noise that is left in each."""

    values: Float
    sigma: float


def add_up(parts: Float, sigma: float, totals: Mapping[Axes, tuple[Float, float]]) -> dict[Axes, Agreed]:
    """Parts and totals that agree, by the axes they keep; the parts keep all.

    parts: one axis a dimension. totals: kept axes, ascending, to the totals (with these axes) and their noise.
    """
    every = tuple(range(parts.ndim))
    sources = {every: (parts, 1 / sigma**2)}
    for kept, (values, noise) in totals.items():
        many = parts.size // values.size
        sources[kept] = (_spread(values / many, kept, parts.shape), many / noise**2)
    agreed, variance = np.zeros(parts.shape), dict[Axes, float]()
    for component in _subsets(every):
        mine = [(values, weight) for kept, (values, weight) in sources.items() if set(component) <= set(kept)]
        precision = sum(weight for _, weight in mine)
        agreed += _component(sum(values * (weight / precision) for values, weight in mine), component)
        variance[component] = math.prod(parts.shape[axis] - 1 for axis in component) / parts.size / precision
    return {kept: _read(agreed, variance, kept) for kept in sources}


def _read(agreed: Float, variance: Mapping[Axes, float], kept: Axes) -> Agreed:
    """One source, from the parts that were agreed on."""
    gone = tuple(axis for axis in range(agreed.ndim) if axis not in kept)
    many = math.prod(agreed.shape[axis] for axis in gone)
    left = sum(value for component, value in variance.items() if set(component) <= set(kept))
    return Agreed(agreed.sum(axis=gone), many * math.sqrt(left))


def _component(values: Float | int, component: Axes) -> Float:
    """What varies with these axes and with nothing less: means over the others, less means over some of these."""
    whole = np.asarray(values, dtype=np.float64)
    for axis in range(whole.ndim):
        mean = whole.mean(axis=axis, keepdims=True)
        whole = whole - mean if axis in component else np.broadcast_to(mean, whole.shape)
    return whole


def _spread(values: Float, kept: Axes, shape: tuple[int, ...]) -> Float:
    """Totals, the same for each of their parts."""
    return np.broadcast_to(values.reshape([n if axis in kept else 1 for axis, n in enumerate(shape)]), shape)


def _subsets(axes: Axes) -> list[Axes]:
    return [subset for size in range(len(axes) + 1) for subset in itertools.combinations(axes, size)]
