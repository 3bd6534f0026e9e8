"""What an ε does to words, before anybody pays with privacy: N_w and S_w (Feyisetan et al. 2020, section 4).

N_w: of so many draws, the share that leave a word as it is. S_w: how many different words those draws give. Both are
about the vocabulary alone, so looking at them costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .mechanism import Exponential, Mechanism
from .randomness import below
from .weights import stays

DRAWS = 100


@dataclass(frozen=True, slots=True)
class Calibrated:
    """stays: (words,) N_w. becomes: (words,) S_w. draws: of each word."""

    stays: NDArray[np.float64]
    becomes: NDArray[np.int64]
    draws: int

    @property
    def mean_stays(self) -> float:
        return float(self.stays.mean())

    @property
    def worst_stays(self) -> float:
        return float(self.stays.max())

    @property
    def mean_becomes(self) -> float:
        return float(self.becomes.mean())

    @property
    def worst_becomes(self) -> int:
        return int(self.becomes.min())


def sample(size: int, most: int) -> NDArray[np.int64]:
    """Different positions of a table, `most` of them, drawn uniformly; all where there are no more."""
    if most >= size:
        return np.arange(size, dtype=np.int64)
    keys = below(np.full(size, 1 << 62, dtype=np.uint64))
    return np.sort(np.argsort(keys, kind="stable")[:most]).astype(np.int64)


def calibrate(mechanism: Mechanism, words: NDArray[np.int64], draws: int = DRAWS) -> Calibrated:
    """Draw every word so many times. words: table positions."""
    stay = np.empty(len(words))
    becomes = np.empty(len(words), dtype=np.int64)
    step = max(1, (1 << 20) // draws)
    for start in range(0, len(words), step):
        part = words[start : start + step]
        drawn = np.sort(mechanism.draw(np.repeat(part, draws)).reshape(len(part), draws), axis=1)
        stay[start : start + step] = (drawn == part[:, None]).mean(axis=1)
        becomes[start : start + step] = 1 + (drawn[:, 1:] != drawn[:, :-1]).sum(axis=1)
    return Calibrated(stay, becomes, draws)


def mean_stays(mechanism: Mechanism, size: int) -> float:
    """How often a word of a table stays as it is, on average: counted from whole weights, or from 2,000 draws."""
    if isinstance(mechanism, Exponential):
        return float(stays(mechanism.rows).mean())
    return calibrate(mechanism, sample(size, 100), draws=20).mean_stays


def in_words(found: Calibrated) -> str:
    """What the figures say, for people."""
    share = found.mean_stays
    if share >= 0.95:
        return "nearly every word survives: this hides next to nothing"
    if share <= 0.002:
        return "next to no word survives: little meaning is left"
    kept = f"one word in {round(1 / share):,} survives" if share < 0.35 else f"{share:.0%} of words survive"
    if share > 0.8:
        return kept
    return f"{kept}; the others become one of about {found.mean_becomes:.0f} in {found.draws} draws"
