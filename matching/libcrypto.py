"""Where OpenSSL's SHA-256 lies: in the very library that `hashlib` uses, once it is shown to give the same bytes.

Nothing is hashed here. `batch` calls these three functions from compiled code, so that a column is hashed without a
Python call for every row. A Python that has its OpenSSL built in may export none of them: then there is nothing to
find, and `hashlib` does the same work one by one.
"""

from __future__ import annotations

import ctypes
import hashlib
from dataclasses import dataclass
from functools import cache

STATE = 128
"""Bytes set aside for a SHA256_CTX, which has 112."""
_PROBES = (b"", b"a@b.example", bytes(range(64)), b"x" * 1000)


@dataclass(frozen=True, slots=True)
class Sha256:
    """Addresses of SHA256_Init(state), SHA256_Update(state, bytes, size) and SHA256_Final(digest, state)."""

    init: int
    update: int
    final: int


@cache
def find() -> Sha256 | None:
    """The three functions, or None where this Python shows none that agree with `hashlib`."""
    try:
        import _hashlib

        library = ctypes.CDLL(getattr(_hashlib, "__file__", None))
        found = Sha256(*(_address(library, name) for name in ("SHA256_Init", "SHA256_Update", "SHA256_Final")))
    except (ImportError, OSError, AttributeError):
        return None
    return found if all(_digest(found, probe) == hashlib.sha256(probe).digest() for probe in _PROBES) else None


def _address(library: ctypes.CDLL, name: str) -> int:
    address = ctypes.cast(library[name], ctypes.c_void_p).value
    if not address:
        raise AttributeError(name)
    return address


def _digest(functions: Sha256, data: bytes) -> bytes:
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    update = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
    final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    state, out = ctypes.create_string_buffer(STATE), ctypes.create_string_buffer(32)
    call(functions.init)(state)
    update(functions.update)(state, data, len(data))
    final(functions.final)(out, state)
    return out.raw
