"""Noise in hyperbolic space, and the nearest word (Feyisetan, Diethe and Drake 2019, ICDM; arXiv:1910.08917).

A word's point v becomes a point z with density in proportion to e^(-ε d_H(v, z)), by hyperbolic volume, and then the
table word nearest to it. Curvature -1, d dimensions, ε > d - 1. Drawn directly, not by Metropolis and Hastings.

Derivation. In polar coordinates round v the volume is sinh(r)^(d-1) dr times the sphere's, so the direction is uniform
and the distance r has density in proportion to sinh(r)^(d-1) e^(-ε r). Put u = e^(-2r): sinh(r) = (1 - u) / (2 √u),
e^(-ε r) = u^(ε/2), dr = -du / (2u), and the density of u is in proportion to

    (1 - u)^(d-1) u^(-(d-1)/2) u^(ε/2) / u = u^(a-1) (1 - u)^(d-1),   a = (ε - (d - 1)) / 2:

u is a Beta(a, d), which exists for a > 0, that is ε > d - 1 (volume grows like e^((d-1) r), and noise must fall
faster). For whole d, a Beta(a, d) is the product of independent Beta(a + i, 1), i = 0..d-1 (their Mellin transforms are
(a + i) / (a + i + s), and their product is that of Beta(a, d)); -ln of a Beta(b, 1) is an exponential of rate b. So

    r = -½ ln u = sum over i of E_i / (ε - (d - 1) + 2 i),      E_i independent exponentials of mean 1.

`tests/dp/text/test_noise.py` holds the distance against numerical integration of the density (10^-7).

The point is made at the origin, (cosh r, sinh r · direction) in Lorentz's model, and moved by the boost that takes
the origin to v: an isometry, so distances from v are what distances from the origin were. Boosts are linear, so the
point is kept as its space over its time (Klein's model): (1, tanh r · direction) before, which no r overflows.

Argument. The constant of the density does not depend on v, because isometries take any point to any other. So two
words' densities differ by a factor of at most e^(ε d_H(v, v')), and the nearest word is post-processing. Floating
point: as in `dp.text.euclidean`, with the same mixture. Where tanh r rounds to 1 (r > 19; at ε near d - 1 that is most
of the noise) the point lies at the end of its ray: which word is nearest there differs from r by e^(-2r), below 10^-16.

The code ensures: ε > d - 1, or NoiseUnbounded; fresh draws; the mixture. The caller ensures: the vocabulary is public.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .euclidean import spiced
from .randomness import directions, exponentials
from .search import Search

_AT_ONCE = 1 << 15


class NoiseUnbounded(Exception):
    """Hyperbolic noise needs an ε above the number of dimensions less one."""

    def __init__(self, epsilon: float, least: int) -> None:
        super().__init__(epsilon, least)
        self.epsilon, self.least = epsilon, least


def lorentz(ball: NDArray[np.float32]) -> NDArray[np.float64]:
    """(m, d) points of the Poincaré ball as (m, d + 1) of the hyperboloid, time first."""
    wide = ball.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    rest = 1.0 / (1.0 - squares)
    return np.concatenate([((1.0 + squares) * rest)[:, None], 2.0 * wide * rest[:, None]], axis=1)


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between points of the hyperboloid, row by row; accurate also where they are close."""
    gap = other - one
    square = np.einsum("ij,ij->i", gap[:, 1:], gap[:, 1:]) - gap[:, 0] ** 2  # 2 cosh r - 2 = 4 sinh(r/2)^2
    return np.asarray(2.0 * np.arcsinh(0.5 * np.sqrt(np.maximum(square, 0.0))))


def radii(rows: int, dimensions: int, epsilon: float) -> NDArray[np.float64]:
    """Distances of density in proportion to sinh(r)^(d-1) e^(-ε r). Errors: NoiseUnbounded."""
    if not epsilon > dimensions - 1:
        raise NoiseUnbounded(epsilon, dimensions - 1)
    rates = epsilon - (dimensions - 1) + 2.0 * np.arange(dimensions)
    return np.asarray((exponentials(rows, dimensions) / rates).sum(axis=1))


def around(points: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """One draw round each point of the hyperboloid: (rows, d) points of Klein's ball. Errors: NoiseUnbounded."""
    dimensions = points.shape[1] - 1
    away = np.tanh(radii(len(points), dimensions, epsilon))
    return _boosted(points, directions(len(points), dimensions) * away[:, None])


def _boosted(to: NDArray[np.float64], ball: NDArray[np.float64]) -> NDArray[np.float64]:
    """The boost that takes the origin to each point of `to`, applied to points of Klein's ball."""
    inner = np.einsum("ij,ij->i", to[:, 1:], ball)
    space = ball + to[:, 1:] * (1.0 + inner / (1.0 + to[:, 0]))[:, None]
    return np.asarray(space / (to[:, 0] + inner)[:, None])


@dataclass(frozen=True)
class Hyperbolic:
    """points: (m, d + 1) of the hyperboloid, of the table. epsilon: for one unit of hyperbolic distance."""

    points: NDArray[np.float64]
    epsilon: float
    search: Search

    def draw(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """One fresh draw for every word. words: table positions; so is what returns."""
        found = np.empty(len(words), dtype=np.int64)
        for start in range(0, len(words), _AT_ONCE):
            part = words[start : start + _AT_ONCE]
            moved = around(self.points[part], self.epsilon)
            found[start : start + _AT_ONCE] = self.search.nearest(np.insert(moved, 0, 1.0, axis=1))
        return spiced(found, len(self.points))


def hyperbolic(ball: NDArray[np.float32], epsilon: float) -> Hyperbolic:
    """The mechanism on a table's points of the ball. Errors: NoiseUnbounded."""
    if not epsilon > ball.shape[1] - 1:
        raise NoiseUnbounded(epsilon, ball.shape[1] - 1)
    points = lorentz(ball)
    rows = points.astype(np.float32)
    rows[:, 0] *= -1
    return Hyperbolic(points, epsilon, Search(rows, np.zeros(len(rows), dtype=np.float32)))
