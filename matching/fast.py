"""The seam to compiled code: which columns it can read, and what it answered. Without numba it answers nothing.

The code ensures: what is answered here has the very bytes that `identifiers` would give one by one; the rest is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .encodings import DIGITS_ONLY, known_digests
from .schemes import Rule
from .suspects import TEST_DOMAINS, TEST_TLDS
from .well_known import EMAILS

WORTH_IT = 100_000
"""Rows from which loading the compiled code pays, about: of 20,000 a command took .7 s more with it, of 100,000 .2 s
more, of 150,000 .2 s less."""


def is_worth_it(rows: int) -> bool:
    """Whether a column of so many rows, in however many chunks, is for compiled code."""
    return rows >= WORTH_IT


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Fast:
    """Which rows were answered, and which of them are at domains of tests."""

    answered: NDArray[np.bool_]
    test_values: NDArray[np.bool_]


@cache
def compiled() -> ModuleType | None:
    """The module of compiled loops; None where they cannot be had.

    numba may not be installed (the extra `fast`), or find no folder for what it compiled; OpenSSL may be out of reach.
    """
    try:
        from . import batch
    except (ImportError, RuntimeError):
        return None
    return batch if batch.available() else None


def answered_fast(
    chunk: pa.Array, rule: Rule, kind: str, out: NDArray[np.uint8], secret: bytes | None = None
) -> Fast | None:
    """Writes what compiled code answers of raw values into `out`; None where it reads no such column.

    out: (rows, 32); zeros are written where nothing was answered. secret: where given, what is written are HMACs
    under it.
    """
    if kind != "email" or rule.hash != "sha256" or not pa.types.is_string(_plain(chunk.type)):
        return None
    batch = compiled()
    plan = batch.plan_of(rule, TEST_DOMAINS, TEST_TLDS, EMAILS) if batch is not None else None
    if batch is None or plan is None:
        return None
    offsets, data = _buffers(chunk)
    if not batch.are_within(offsets, len(data)):
        raise pa.ArrowInvalid("offsets outside their buffer")
    state = batch.digest_rows(plan, data, offsets, out, secret)
    if chunk.null_count:  # what lies under a null is nobody's
        nulls = chunk.is_null().to_numpy(zero_copy_only=False)
        out[nulls], state[nulls] = 0, 0
    return Fast(state > 0, state == batch.TEST_VALUE)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Decoded:
    """Which rows were answered, and how many of them are in each encoding."""

    answered: NDArray[np.bool_]
    encodings: Mapping[str, int]


def decoded_fast(chunk: pa.Array, algorithm: str, kind: str, out: NDArray[np.uint8]) -> Decoded | None:
    """Writes the bytes of hashes in hex digits into `out`; None where compiled code reads no such column.

    Hashes that tell what was hashed are left, so that they are refused or counted with their reason. out: (rows,
    size); zeros are written where nothing was answered.
    """
    if not pa.types.is_string(_plain(chunk.type)) or (batch := compiled()) is None:
        return None
    offsets, data = _buffers(chunk)
    if not batch.are_within(offsets, len(data)):
        raise pa.ArrowInvalid("offsets outside their buffer")
    state = batch.decode_rows(data, offsets, out)
    left = known_digests(algorithm, kind).rows(out)
    if chunk.null_count:
        left |= chunk.is_null().to_numpy(zero_copy_only=False)
    out[left], state[left] = 0, 0
    counted = np.bincount(state, minlength=4)
    named = {DIGITS_ONLY: batch.DIGITS, "hex-lower": batch.LOWER, "hex-upper": batch.UPPER}
    return Decoded(state > 0, {name: int(counted[at]) for name, at in named.items() if counted[at]})


Halves = tuple[NDArray[np.uint64], NDArray[np.uint64]]


def keyed_fast(secret: bytes, prefix: bytes, digests: NDArray[np.uint8]) -> Halves | None:
    """The first and second 8 bytes of HMAC-SHA256(secret, prefix + row); None where compiled code cannot."""
    if not is_worth_it(len(digests)) or (batch := compiled()) is None:
        return None
    keyed: Halves = batch.key_rows(secret, prefix, digests)
    return keyed


def _plain(arrow_type: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(arrow_type) else arrow_type


def _buffers(chunk: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where each row begins, and the bytes. The buffers are the column's own: nothing is copied but the offsets."""
    wide = pa.types.is_large_string(chunk.type)
    _, begins, held = chunk.buffers()
    offsets = np.frombuffer(begins, np.int64 if wide else np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    data = np.frombuffer(held, np.uint8) if held is not None else np.empty(0, np.uint8)
    return offsets.astype(np.int64, copy=False), data
