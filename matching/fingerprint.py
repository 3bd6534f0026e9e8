"""How digests become handles: Passbox's own way, or as the C3R client of AWS Clean Rooms makes fingerprints.

    passbox@1  `hashing.handles`
    c3r@1      first 16 bytes of HMAC-SHA256(k, text)
    c3r@2      first 16 bytes of HMAC-SHA256(k, text 02): newer clients append the type of the column, here a string
    k          HKDF-SHA256(match key, salt = collaboration, info = "c3r-hmac-sha256-col-" column), 32 bytes
    text       the scheme's digest in small hex digits
    column     the kind of identifier, such as `email`
    collaboration   a UUID as text: the first 16 bytes of the contract's SHA-256

So whoever holds the match key and fingerprints a column named `email` of hashes with C3R under that collaboration gets
what lies in a bundle: `02:hmac:` and the base64 of all 32 bytes there, the first 16 of them here. Values that C3R would
fingerprint in the clear are hashed first, so that lists that arrive hashed match as well.

Source: aws/c3r, FingerprintTransformer and its test; the vectors of both versions are in tests/matching.
"""

from __future__ import annotations

import base64
import hmac
import uuid
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .hashing import Handles, MatchKey, handles
from .identifiers import Digests
from .rules import Fingerprint

Keyer: TypeAlias = Callable[[Digests], Handles]
"""One handle for each accepted row, as `hashing.handles` gives them."""

_COLUMN = "c3r-hmac-sha256-col-"
_SUFFIX = {"c3r@1": b"", "c3r@2": b"\x02"}
_PREFIX = "02:hmac:"


def keyer(fingerprint: Fingerprint, key: MatchKey, contract: bytes) -> Keyer:
    """What turns a contract's digests into handles. contract: its SHA-256."""
    if fingerprint == "passbox@1":
        return lambda digests: handles(digests, key, digests.kind, digests.scheme)
    salt = collaboration(contract).encode()
    return lambda digests: _c3r_handles(digests, c3r_key(key.reveal(), salt, digests.kind), _SUFFIX[fingerprint])


def collaboration(contract: bytes) -> str:
    """The UUID that stands for a contract where C3R asks for a collaboration."""
    return str(uuid.UUID(bytes=contract[:16]))


def c3r_key(secret: bytes, salt: bytes, column: str) -> bytes:
    """The HMAC key of one column."""
    return HKDF(SHA256(), 32, salt=salt, info=f"{_COLUMN}{column}".encode()).derive(secret)


def c3r_fingerprint(key: bytes, text: bytes, fingerprint: Literal["c3r@1", "c3r@2"]) -> str:
    """A value as it stands in a column that C3R made."""
    return _PREFIX + base64.b64encode(hmac.digest(key, text + _SUFFIX[fingerprint], "sha256")).decode()


def _c3r_handles(digests: Digests, key: bytes, suffix: bytes) -> Handles:
    size = digests.values.shape[1]
    text = digests.values[digests.accepted].tobytes().hex().encode()
    cuts = range(0, len(text), 2 * size)
    halves = b"".join([hmac.digest(key, text[at : at + 2 * size] + suffix, "sha256")[:16] for at in cuts])
    pairs = np.frombuffer(halves, dtype="<u8").reshape(-1, 2).astype(np.uint64)
    return Handles(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]))
