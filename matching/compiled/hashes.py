"""Hashes row by row: compiled loops round the three functions of OpenSSL (`libcrypto`), which do all of the hashing."""

from __future__ import annotations

from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numba as nb

from ..libcrypto import STATE, Sha256, find
from .emails import is_white

WORDS = STATE // 8
DIGITS, LOWER, UPPER = range(1, 4)


@cache
def name_symbols() -> None:
    """Before anything is compiled or read from numba's cache: functions are looked up by name."""
    functions = find()
    if not isinstance(functions, Sha256):
        raise RuntimeError("no OpenSSL to call: ask `available` first")
    for name in ("init", "update", "final"):
        llvm.add_symbol(f"passbox_sha256_{name}", getattr(functions, name))


_types: Any = nb.types
_pointer = _types.intp
_init = _types.ExternalFunction("passbox_sha256_init", _types.int32(_pointer))
_update = _types.ExternalFunction("passbox_sha256_update", _types.int32(_pointer, _pointer, _pointer))
_final = _types.ExternalFunction("passbox_sha256_final", _types.int32(_pointer, _pointer))
_compiled: Any = nb.njit(cache=True, nogil=True, boundscheck=False)


@_compiled
def hash_rows(text, ends, found, out, state):  # type: ignore[no-untyped-def]
    context, source, digest = state.ctypes.data, text.ctypes.data, out.ctypes.data
    for each in range(len(found)):
        if found[each]:
            _init(context)
            _update(context, source + ends[each], ends[each + 1] - ends[each])
            _final(digest + 32 * each, context)
        else:
            out[each, :] = 0


@_compiled
def hmac_rows(text, ends, found, out, state, inner, outer):  # type: ignore[no-untyped-def]
    context, source, digest = state.ctypes.data, text.ctypes.data, out.ctypes.data
    for each in range(len(found)):
        if found[each]:
            _copy(inner, state)
            _update(context, source + ends[each], ends[each + 1] - ends[each])
            _final(digest + 32 * each, context)
            _copy(outer, state)
            _update(context, digest + 32 * each, 32)
            _final(digest + 32 * each, context)
        else:
            out[each, :] = 0


@_compiled
def decode_hex(data, offsets, out, found):  # type: ignore[no-untyped-def]
    size = out.shape[1]
    for each in range(len(found)):
        out[each, :] = 0
        start, stop = offsets[each], offsets[each + 1]
        while start < stop and is_white(data[start], False):
            start += 1
        while start < stop and is_white(data[stop - 1], False):
            stop -= 1
        if stop - start != 2 * size:
            continue
        lower, upper, odd = False, False, False
        for at in range(size):
            byte = 0
            for nibble in range(2):
                char = data[start + 2 * at + nibble]
                if 48 <= char <= 57:
                    byte = 16 * byte + char - 48
                elif 97 <= char <= 102:
                    byte, lower = 16 * byte + char - 87, True
                elif 65 <= char <= 70:
                    byte, upper = 16 * byte + char - 55, True
                else:
                    odd = True
            out[each, at] = byte
        if odd or (lower and upper):
            out[each, :] = 0
        else:
            found[each] = LOWER if lower else UPPER if upper else DIGITS


@_compiled
def ascends(offsets):  # type: ignore[no-untyped-def]
    fine = True
    for each in range(len(offsets) - 1):
        fine = fine and offsets[each] <= offsets[each + 1]
    return fine


@_compiled
def _copy(source, target):  # type: ignore[no-untyped-def]
    for word in range(WORDS):
        target[word] = source[word]


@_compiled
def key_digests(digests, inner, outer, k, k2, state, middle):  # type: ignore[no-untyped-def]
    context, between = state.ctypes.data, middle.ctypes.data
    size = digests.shape[1]
    for each in range(len(digests)):
        _copy(inner, state)
        _update(context, digests.ctypes.data + size * each, size)
        _final(between, context)
        _copy(outer, state)
        _update(context, between, 32)
        _final(between, context)
        k[each], k2[each] = middle[0], middle[1]


@_compiled
def prime(block, state):  # type: ignore[no-untyped-def]
    _init(state.ctypes.data)
    _update(state.ctypes.data, block.ctypes.data, len(block))
