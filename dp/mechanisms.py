"""Hazmat: raw noise. Only `dp.ledger` may import this module, and only this module imports OpenDP.

The mechanism is the discrete Gaussian on integers (Canonne, Kamath, Steinke 2020), drawn exactly by OpenDP from the
operating system's randomness. There is no seed, and a forked child draws other noise than its parent. Labels, one yes
or no a person, are flipped instead (`dp.flip`), with the very probability that is paid for.

The code ensures: integers in, integers out, or labels in, labels out; the charge covers the exact price, and OpenDP's
own map agrees, before a draw is made; no error carries a value.
The caller ensures: `l2_squared` bounds the move of the very integers passed in, `moved` how many of the very labels
one record changes; integers stay below 2^62 in size, so that no noise in the range of `dp.scale` can reach the end of
int64.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from opendp.domains import atom_domain, bitvector_domain, vector_domain
from opendp.measurements import make_gaussian, make_randomized_response_bitvec
from opendp.metrics import discrete_distance, l2_distance
from opendp.mod import Measurement, OpenDPException, enable_features

from .budget import EPSILON_UNIT, RHO_UNIT, Rho
from .flip import FLIP_UNIT, Flip, price_of
from .scale import LARGEST_SCALE, SCALE_UNIT, Scale, price

enable_features("contrib")

FEW = 8
"""So many cells OpenDP takes sooner as a list, of which it looks at every cell, than as an array."""

LIBRARY = f"opendp {version('opendp')}"


class PriceTooLow(Exception):
    """A release would cost more than was charged. Nothing was drawn."""


def gaussian(values: NDArray[np.int64], l2_squared: int, scale: Scale, charged: Rho) -> NDArray[np.int64]:
    """The values with discrete Gaussian noise, one draw a cell.

    values: int64, one a cell. l2_squared: in lattice units, at least 1. scale: below `LARGEST_SCALE`.
    charged: what the ledger takes for it. Errors: PriceTooLow; TypeError, ValueError where an argument is out of
    range; RuntimeError where OpenDP fails, without its words, which may quote a value.
    """
    if values.dtype != np.int64 or values.ndim != 1:
        raise TypeError("noise is drawn on one row of int64")
    if not scale < LARGEST_SCALE:
        raise ValueError("the noise would not fit")
    if price(l2_squared, scale) > charged:
        raise PriceTooLow
    try:
        return _drawn(values, l2_squared, scale, charged)
    except OpenDPException:
        raise RuntimeError("OpenDP could not draw the noise") from None


def _drawn(values: NDArray[np.int64], l2_squared: int, scale: Scale, charged: Rho) -> NDArray[np.int64]:
    """OpenDP judges in float64, rounded up: it may say one unit of 10^-12 more than the exact price, no more."""
    if not _judged(l2_squared, scale) * RHO_UNIT <= charged + 1:
        raise PriceTooLow
    few = values.size <= FEW
    cells = values.tolist() if few else np.require(values, requirements=["C", "W", "O"])
    return np.array(_mechanism(scale)(cells), dtype=np.int64)


@lru_cache(maxsize=16)
def _judged(l2_squared: int, scale: Scale) -> float:
    """What a draw costs by OpenDP's own map: a constant, and asking takes as long as a small draw (55 of 80 µs)."""
    return float(_mechanism(scale).map(math.sqrt(l2_squared)))  # type: ignore[no-untyped-call]


@lru_cache(maxsize=16)
def _mechanism(scale: Scale) -> Measurement:
    """The sampler for one scale. It holds no randomness: every draw asks the operating system."""
    vectors = vector_domain(atom_domain(T="i64"))
    return make_gaussian(vectors, l2_distance(T="f64"), scale=scale / SCALE_UNIT)


def randomised(labels: NDArray[np.bool_], moved: int, flip: Flip, charged: int) -> NDArray[np.bool_]:
    """The labels, each flipped with the same probability, apart from all others.

    labels: (people,) bool. moved: how many of them one record moves, at least 1. charged: what the ledger takes for it,
    in whole units of 10^-12 of ε. Errors: PriceTooLow; TypeError, ValueError where an argument is out of range;
    RuntimeError where OpenDP fails.
    """
    if labels.dtype != np.bool_ or labels.ndim != 1:
        raise TypeError("one row of labels is flipped")
    if price_of(flip, moved) > charged:
        raise PriceTooLow
    try:
        return _flipped(labels, moved, flip, charged)
    except OpenDPException:
        raise RuntimeError("OpenDP could not flip labels") from None


def _flipped(labels: NDArray[np.bool_], moved: int, flip: Flip, charged: int) -> NDArray[np.bool_]:
    """OpenDP judges in float64, rounded up: it may say one unit of 10^-12 more a label than the exact price, no more.

    What it says is of two vectors of which one bit in each is set: of two labels. How many labels there are is public
    (OpenDP's #2930). Earlier versions left the last bit as it was (#2707): ours stand between two bytes more.
    """
    if not _label_mechanism(flip, 1).map(1) / 2 * moved * EPSILON_UNIT <= charged + moved:  # type: ignore[no-untyped-call]
        raise PriceTooLow
    octets = b"\0" + np.packbits(labels).tobytes() + b"\0"
    drawn = np.frombuffer(_label_mechanism(flip, max(1, len(labels)))(octets), dtype=np.uint8)
    return np.unpackbits(drawn[1:-1])[: len(labels)].astype(np.bool_)


def _label_mechanism(flip: Flip, most: int) -> Measurement:
    """Flips every bit of a vector of which at most so many are set. OpenDP asks for twice the probability of a flip."""
    vectors = bitvector_domain(max_weight=most)
    return make_randomized_response_bitvec(vectors, discrete_distance(), f=2 * flip / FLIP_UNIT)
