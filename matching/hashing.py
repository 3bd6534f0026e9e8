"""The match key that no party can choose alone, and the keyed handles that stand for people under it.

    match key = HKDF-SHA256(shares, salt = contract digest, info = "passbox match key v1"), 32 bytes
    shares    = for each party in the order of its name's UTF-8 bytes: length, name, length, share
                (lengths in bytes, u32 big-endian)
    handle    = first 16 bytes of HMAC-SHA256(match key, "passbox" 0 kind 0 scheme 0 raw digest)
    k, k2     = its two halves, little-endian u64

The code ensures: the same shares and contract give the same key in any order; each share counts; a handle
is bound to its kind and scheme, so that a value under another scheme is another handle.
The caller ensures: each share is 32 bytes from the operating system, reached us signed by its party, and the
contract digest is that of the signed bytes.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from .fast import Halves, keyed_fast
from .identifiers import DIGEST_SIZE, Digests

KEY_SIZE = 32
INFO = b"passbox match key v1"


class BadShare(Exception):
    """A party's share cannot be used. Carries the party and the reason, never the share."""

    def __init__(self, party: str, reason: Literal["name", "length", "zero", "repeated"]) -> None:
        super().__init__(party, reason)
        self.party, self.reason = party, reason


class TooFewShares(Exception):
    """A match key takes the shares of two parties or more: one alone could choose the key."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class WrongDigest(Exception):
    """The contract digest is not 32 bytes. Carries its size."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class SchemeMismatch(Exception):
    """Digests made under one kind and scheme were to be keyed as another."""

    def __init__(self, made: tuple[str, str], asked: tuple[str, str]) -> None:
        super().__init__(made, asked)
        self.made, self.asked = made, asked


@final
class MatchKey:
    """32 secret bytes that turn digests into handles: whoever holds them can test a guess against a list."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_SIZE:
            raise ValueError("a match key is 32 bytes")
        self._secret = bytes(secret)

    def reveal(self) -> bytes:
        """The bytes themselves: for HMAC and for wrapping, never for showing."""
        return self._secret

    def __repr__(self) -> str:
        return "MatchKey(hidden)"

    def __reduce__(self) -> str:
        raise TypeError("a match key is not serialised: wrap its bytes")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Handles:
    """One handle a row: k and k2 are (rows,) uint64. Shows its size only."""

    k: NDArray[np.uint64]
    k2: NDArray[np.uint64]

    def __post_init__(self) -> None:
        if self.k.dtype != np.uint64 or self.k2.dtype != np.uint64:
            raise ValueError("handles are two columns of uint64")
        if self.k.ndim != 1 or self.k.shape != self.k2.shape:
            raise ValueError("handles are two columns of one length")

    def __len__(self) -> int:
        return len(self.k)

    def __repr__(self) -> str:
        return f"Handles({len(self)} rows)"

    def cut(self, rows: slice) -> Handles:
        """The handles of a run of rows, not copied."""
        return Handles(self.k[rows], self.k2[rows])

    def take(self, rows: NDArray[np.int64]) -> Handles:
        """The handles of those rows, in that order."""
        return Handles(self.k[rows], self.k2[rows])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Merged:
    """Which rows stay (ascending indices, the first of each person) and how many were merged into them."""

    kept: NDArray[np.int64]
    merged: int

    def __repr__(self) -> str:
        return f"Merged({len(self.kept)} kept, {self.merged} merged)"


def derive_match_key(shares: Mapping[str, bytes], contract_digest: bytes) -> MatchKey:
    """The key that all data parties of one contract share. Errors: TooFewShares, BadShare, WrongDigest."""
    if len(shares) < 2:
        raise TooFewShares(len(shares))
    if len(contract_digest) != DIGEST_SIZE:
        raise WrongDigest(len(contract_digest))
    ordered = sorted(shares.items(), key=lambda item: item[0].encode())
    _check_shares(ordered)
    material = b"".join(_framed(party.encode()) + _framed(share) for party, share in ordered)
    return MatchKey(HKDF(SHA256(), KEY_SIZE, salt=contract_digest, info=INFO).derive(material))


def handles(digests: Digests, key: MatchKey, kind: str, scheme: str) -> Handles:
    """One handle for each *accepted* row, in row order: handle i is that of row `digests.rows[i]`.

    kind, scheme: what the contract pins. Errors: SchemeMismatch.
    """
    if (digests.kind, digests.scheme) != (kind, scheme):
        raise SchemeMismatch((digests.kind, digests.scheme), (kind, scheme))
    prefix = b"passbox\0" + kind.encode() + b"\0" + scheme.encode() + b"\0"
    values = digests.values if digests.accepted.all() else digests.values[digests.accepted]
    return Handles(*(keyed_fast(key.reveal(), prefix, values) or _keyed(key.reveal(), prefix, values)))


def _keyed(secret: bytes, prefix: bytes, values: NDArray[np.uint8]) -> Halves:
    """As `keyed_fast`, with nothing but the standard library."""
    raw, mac, size = values.tobytes(), hmac.digest, values.shape[1]
    halves = b"".join([mac(secret, prefix + raw[at : at + size], "sha256")[:16] for at in range(0, len(raw), size)])
    pairs = np.frombuffer(halves, dtype="<u8").reshape(-1, 2).astype(np.uint64)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def merge(handles: Handles) -> Merged:
    """One row per person: of the rows that repeat a handle, the first stays.

    Rows that repeat k with another k2 count as repeats too. The matcher looks a handle up by k and then
    verifies k2, so it relies on k being unique within a data set. Were a second handle with the same k let
    in (64 bits are within reach of a party that holds the match key and hands in digests of its choice),
    the one found first would hide the
    other: taking it away would un-match its own row *and* match the row of the hidden one, two rows for one
    record, while every sensitivity is for one.
    """
    _, first = np.unique(handles.k, return_index=True)
    kept = np.sort(first).astype(np.int64)
    return Merged(kept, len(handles) - len(kept))


def _check_shares(ordered: list[tuple[str, bytes]]) -> None:
    seen: set[bytes] = set()
    for party, share in ordered:
        if not party:
            raise BadShare(party, "name")
        if len(share) != KEY_SIZE:
            raise BadShare(party, "length")
        if share == bytes(KEY_SIZE):
            raise BadShare(party, "zero")
        if share in seen:  # copied from another party: its owner would add nothing
            raise BadShare(party, "repeated")
        seen.add(share)


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
