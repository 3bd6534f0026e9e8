"""The stored bytes of a release, before they are sealed: what a reader needs to check its commitment, and nothing else.

32-byte nonce || noisy integers, 8 bytes each, little-endian
32-byte nonce || length, 8 bytes || keys as canonical JSON || noisy integers      where keys were selected
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from .canonical import canonical

NONCE_SIZE = 32
_LENGTH = 8

Int = NDArray[np.int64]


def to_bytes(nonce: bytes, keys: tuple[str, ...] | None, values: Int) -> bytes:
    """keys: that were selected; None where they are listed."""
    numbers = values.astype("<i8").tobytes()
    if keys is None:
        return nonce + numbers
    text = canonical([*keys])
    return nonce + len(text).to_bytes(_LENGTH, "little") + text + numbers


def from_bytes(body: bytes, *, selected: bool) -> tuple[bytes, tuple[str, ...] | None, Int]:
    """Nonce, keys and integers, as `to_bytes` took them."""
    nonce, rest, keys = body[:NONCE_SIZE], body[NONCE_SIZE:], None
    if selected:
        end = _LENGTH + int.from_bytes(rest[:_LENGTH], "little")
        keys, rest = tuple(json.loads(rest[_LENGTH:end])), rest[end:]
    return nonce, keys, np.frombuffer(rest, dtype="<i8").astype(np.int64)
