"""Labels: one yes or no a person, released by randomised response.

Whoever reads them knows of each person a yes or a no that is wrong with a known probability (`dp.flip`). Anything may
be learnt from them, as often as one likes: that is post-processing, and costs nothing more.

They are stored, committed to and released as whole numbers of 48 labels each, the first label in the lowest bit, the
last number filled up with no: few bytes, and every language holds such numbers exactly.

The code ensures: a label beyond the last is never handed out.
The caller ensures: labels stand in an order that does not depend on who is matched; one record moves no more of them
than is paid for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

WORD = 48
"""Labels in one number."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Exact labels: secret until flipped. values: (people,) bool. moved: how many one record moves, at most."""

    values: Mask = field(repr=False)
    moved: int


def words_of(people: int) -> int:
    """How many numbers the labels of so many people take."""
    return -(-people // WORD)


def packed(labels: Mask) -> NDArray[np.int64]:
    """labels: (people,) bool. One int64 for 48 of them."""
    whole = np.zeros(words_of(len(labels)) * WORD, dtype=np.bool_)
    whole[: len(labels)] = labels
    octets = np.packbits(whole.reshape(-1, WORD), axis=1, bitorder="little")
    words = np.zeros((len(octets), 8), dtype=np.uint8)
    words[:, : WORD // 8] = octets
    return words.view("<i8").ravel().astype(np.int64)


def unpacked(words: NDArray[np.int64], people: int) -> Mask:
    """The labels of so many people. Errors: ValueError where these numbers hold those of more or fewer."""
    if len(words) != words_of(people) or (words < 0).any() or (words >= 2**WORD).any():
        raise ValueError("they are not labels of so many people")
    octets = words.astype("<i8").view(np.uint8).reshape(-1, 8)[:, : WORD // 8]
    bits = np.unpackbits(octets, axis=1, bitorder="little").ravel()
    if bits[people:].any():
        raise ValueError("they are not labels of so many people")
    return bits[:people].astype(np.bool_)
