"""Hazmat: random numbers for words, from the operating system alone. Only the mechanisms of `dp.text` import this.

OpenDP draws noise on numbers; it has no sampler for words (docs/decisions/0018). There is no seed and no state: every
call asks `os.urandom`, so a forked child, a second process and a second call draw other numbers.

The code ensures: `below` is exactly uniform (bits, and rejection of what lies beyond the limit). `exponentials` and
`normals` are functions of 52 such bits a number, in float64: see `dp.text.euclidean` for what that means.
The caller ensures: a number drawn here is used once.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

BITS = 62
"""Of one draw of `below`: every limit is at most 2^62."""

_MANTISSA = 52
"""The middle of a step takes one bit more, and float64 holds 53."""


def _words(count: int) -> NDArray[np.uint64]:
    return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)


def below(limits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One whole number in [0, limit) for each limit, exactly uniform. limits: 1 to 2^62."""
    drawn = _words(len(limits)) >> np.uint64(64 - BITS)
    shift = (np.uint64(BITS) - _lengths(limits)).astype(np.uint64)
    drawn >>= shift
    while len(again := np.flatnonzero(drawn >= limits)):
        drawn[again] = _words(len(again)) >> np.uint64(64 - BITS) >> shift[again]
    return drawn


def _lengths(limits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits that are enough to write limit - 1; float64 may say one more, never one less."""
    if not len(limits):
        return np.zeros(0, dtype=np.uint64)
    if not 1 <= int(limits.min()) <= int(limits.max()) <= 1 << BITS:
        raise ValueError("a limit is out of range")
    _, exponent = np.frexp(limits.astype(np.float64))
    return np.minimum(exponent, BITS).astype(np.uint64)


def uniforms(count: int) -> NDArray[np.float64]:
    """Numbers in (0, 1): the middles of 2^52 equal steps."""
    return ((_words(count) >> np.uint64(64 - _MANTISSA)).astype(np.float64) + 0.5) * 2.0**-_MANTISSA


def exponentials(rows: int, columns: int) -> NDArray[np.float64]:
    """(rows, columns) exponentials of mean 1, by inversion."""
    return -np.log(uniforms(rows * columns)).reshape(rows, columns)


def normals(rows: int, columns: int) -> NDArray[np.float64]:
    """(rows, columns) standard normals (Box and Muller 1958)."""
    pairs = (rows * columns + 1) // 2
    radius = np.sqrt(-2.0 * np.log(uniforms(pairs)))
    angle = 2.0 * np.pi * uniforms(pairs)
    both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return both[: rows * columns].reshape(rows, columns)


def directions(rows: int, columns: int) -> NDArray[np.float64]:
    """(rows, columns): points of the unit sphere, uniform."""
    drawn = normals(rows, columns)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn
