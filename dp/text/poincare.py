"""Hyperbolic word vectors: a hierarchy laid out in the Poincaré ball (Nickel and Kiela 2017, arXiv:1705.08039).

Each thing is pulled towards what it is a kind of and pushed from things drawn at random, by Riemannian gradient steps.
The order and the random things come from a hash of the round, not from a generator with a state: training again gives
the same vectors. Nothing here is private, and nothing needs to be.
"""

from __future__ import annotations

import math
from hashlib import shake_256

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .neighbours import Progress, quiet
from .vocabulary import Vocabulary
from .wordnet import Nouns

NEGATIVES = 10
_BATCH = 1024
RADIUS = 2.0
"""Nothing lies further from the middle, in hyperbolic units. Further out, almost every direction leads away from all
other words, and the widest noise still comes back to the word it began at (docs/text.md)."""
_RATE = 0.3
_BURN_IN = 5
"""Rounds at a tenth of the rate, in which things find their direction."""

Floats = NDArray[np.float64]


def train(nouns: Nouns, dimensions: int, rounds: int, progress: Progress = quiet, radius: float = RADIUS) -> Vocabulary:
    """Vectors for every word: where its first sense lies. radius: of the ball that is filled, in hyperbolic units."""
    edge = math.tanh(radius / 2)
    pairs = np.array([(low, high) for low, above in enumerate(nouns.above) for high in above], dtype=np.int64)
    size = len(nouns.above)
    points = (_uniform("start", size * dimensions).reshape(size, dimensions) - 0.5) * 2e-3
    for round_ in range(rounds):
        rate = _RATE / 10 if round_ < _BURN_IN else _RATE
        order = np.argsort(_uniform(f"order {round_}", len(pairs)), kind="stable")
        drawn = (_uniform(f"others {round_}", len(pairs) * NEGATIVES) * size).astype(np.int64)
        others = drawn.reshape(-1, NEGATIVES)
        for start in range(0, len(pairs), _BATCH):
            chosen = order[start : start + _BATCH]
            _step(points, pairs[chosen], others[start : start + _BATCH], (rate, edge))
        progress(round_ + 1, rounds)
    vectors = points[np.array(nouns.node)].astype(np.float32)
    return Vocabulary(pl.Series(nouns.words, dtype=pl.String), vectors, "hyperbolic")


def _uniform(label: str, count: int) -> Floats:
    """Numbers in [0, 1) that only a label decides."""
    data = np.frombuffer(shake_256(f"passbox hierarchy {label}".encode()).digest(4 * count), dtype="<u4")
    return data / 2.0**32


def _step(points: Floats, pairs: NDArray[np.int64], others: NDArray[np.int64], how: tuple[float, float]) -> None:
    """One Riemannian step, in place, for a batch of pairs and what each is pushed from. how: rate, edge of the ball."""
    rate, edge = how
    low = np.repeat(pairs[:, :1], others.shape[1] + 1, axis=1)
    high = np.concatenate([pairs[:, 1:], others], axis=1)
    one, other = points[low], points[high]
    distance, to_one, to_other = _gradients(one, other)
    pull = np.exp(-(distance - distance.min(axis=1, keepdims=True)))
    weight = -pull / pull.sum(axis=1, keepdims=True)
    weight[:, 0] += 1.0
    move = np.zeros_like(points)
    for at, gradient in ((low, to_one), (high, to_other)):
        flat = (gradient * weight[..., None]).reshape(-1, points.shape[1])
        for axis in range(points.shape[1]):
            move[:, axis] += np.bincount(at.reshape(-1), weights=flat[:, axis], minlength=len(points))
    often = np.bincount(low[:, 0], minlength=len(points)) + np.bincount(high.reshape(-1), minlength=len(points))
    touched = np.flatnonzero(often)
    move[touched] /= np.sqrt(often[touched])[:, None]  # what stands above everything is pulled by everything
    here = points[touched]
    scale = (1 - np.square(here).sum(axis=1, keepdims=True)) ** 2 / 4
    points[touched] = _inside(here - rate * _bounded(scale * move[touched]), edge)


def _gradients(one: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
    """Distances in the ball, and their Euclidean gradients for either end."""
    square_one, square_other = np.square(one).sum(axis=-1), np.square(other).sum(axis=-1)
    inner = (one * other).sum(axis=-1)
    room_one, room_other = 1 - square_one, 1 - square_other
    gap = np.maximum(square_one + square_other - 2 * inner, 0.0)
    cosh = 1 + 2 * gap / (room_one * room_other)
    steep = 4 / np.sqrt(np.maximum(cosh**2 - 1, 1e-12))
    distance = np.arccosh(np.maximum(cosh, 1.0))
    to_one = (
        _side(one, other, (square_other - 2 * inner + 1) / room_one**2, 1 / room_one) * (steep / room_other)[..., None]
    )
    to_other = _side(other, one, (square_one - 2 * inner + 1) / room_other**2, 1 / room_other)
    return distance, to_one, to_other * (steep / room_one)[..., None]


def _side(own: Floats, far: Floats, along: Floats, away: Floats) -> Floats:
    return np.asarray(along[..., None] * own - away[..., None] * far)


def _bounded(move: Floats) -> Floats:
    """No step is longer than a tenth of the ball."""
    length = np.linalg.norm(move, axis=1, keepdims=True)
    return np.asarray(move / np.maximum(1.0, length / 0.1))


def _inside(points: Floats, edge: float) -> Floats:
    """Kept within a ball."""
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.maximum(1.0, length / edge))
