"""The Merkle tree of the ledger: RFC 6962, SHA-256, and the files that carry it.

Hashes (RFC 6962, section 2.1), each 32 bytes:

    leaf   SHA-256(0x00 || entry)
    node   SHA-256(0x01 || left || right)      left holds the largest power of two below the number of leaves
    empty  SHA-256("")

Proofs are lists of hashes, lowest first (RFC 6962, sections 2.1.1 and 2.1.2). `verify_inclusion` and
`verify_consistency` refuse a hash that is not 32 bytes, a proof with a hash too many or too few, and a
position outside the tree.

A frontier is what must be kept to append: the size, and the roots of the perfect subtrees, largest first,
32 bytes for each 1 bit of the size. Of size 3:

    root of leaves 0-1 || leaf hash 2

Refused: any other length, a size below 0 or of 2^63 and more.

Files (https://c2sp.org/tlog-tiles), 256 a file, the last one of a row named with its width:

    tile/entries/000          256 entries, each u16 length, big-endian || bytes
    tile/entries/001.p/44     the next 44
    tile/0/000                256 leaf hashes
    tile/1/000.p/1            the root of the 256 leaves of tile/0/000

A number is written in groups of three digits, all but the last with an x before it: 1234067 is x001/x234/067.
Refused: an entry above 65,535 bytes, a bundle that ends early or late.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

HASH_SIZE = 32
TILE_WIDTH = 256
LARGEST_ENTRY = 2**16 - 1
LARGEST_SIZE = 2**63 - 1
EMPTY_ROOT = hashlib.sha256().digest()

ProofReason = Literal["no-such-leaf", "no-such-size"]
TreeReason = Literal["not-a-frontier", "not-a-bundle", "entry-too-large"]


class BadProof(Exception):
    """A proof was asked about a leaf or a size that the tree does not have."""

    def __init__(self, reason: ProofReason) -> None:
        super().__init__(reason)
        self.reason: ProofReason = reason


class BadTree(Exception):
    """Bytes that should carry a part of the tree do not, or cannot."""

    def __init__(self, reason: TreeReason) -> None:
        super().__init__(reason)
        self.reason: TreeReason = reason


# --- hashes


def leaf_hash(entry: bytes) -> bytes:
    """What the tree holds of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """What the tree holds of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes, in this order."""
    peaks: list[bytes] = []
    for size, leaf in enumerate(leaf_hashes):
        _add(peaks, size, leaf)
    return _join(peaks)


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that must be remembered of a tree to append to it: at most 63 hashes.

    peaks: the roots of the perfect subtrees, largest first, one for each 1 bit of `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def push(self, leaf: bytes) -> Frontier:
        """The frontier with one more entry; `leaf` is the entry itself, not its hash."""
        peaks = list(self.peaks)
        _add(peaks, self.size, leaf_hash(leaf))
        return Frontier(self.size + 1, tuple(peaks))

    def root(self) -> bytes:
        return _join(self.peaks)

    def to_bytes(self) -> bytes:
        """The peaks alone: the size is kept beside them."""
        return b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, size: int, peaks: bytes) -> Frontier:
        """Errors: BadTree("not-a-frontier")."""
        if not 0 <= size <= LARGEST_SIZE or len(peaks) != HASH_SIZE * size.bit_count():
            raise BadTree("not-a-frontier")
        return cls(size, tuple(peaks[at : at + HASH_SIZE] for at in range(0, len(peaks), HASH_SIZE)))


def _add(peaks: list[bytes], size: int, leaf: bytes) -> None:
    """Put leaf number `size` on the peaks, merging each pair that has become perfect."""
    while size & 1:
        leaf = node_hash(peaks.pop(), leaf)
        size >>= 1
    peaks.append(leaf)


def _join(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


# --- proofs


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Hashes that lead from one leaf to the root over all of `leaf_hashes`.

    Errors: BadProof("no-such-leaf"). Source: RFC 6962, section 2.1.1.
    """
    if not 0 <= index < len(leaf_hashes):
        raise BadProof("no-such-leaf")
    low, high, path = 0, len(leaf_hashes), list[bytes]()
    while high - low > 1:
        middle = low + _left_width(high - low)
        if index < middle:
            path.append(root_of(leaf_hashes[middle:high]))
            high = middle
        else:
            path.append(root_of(leaf_hashes[low:middle]))
            low = middle
    return path[::-1]


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Hashes that show the first `old_size` leaves to be a beginning of all of `leaf_hashes`.

    Empty where the old tree is empty or the whole. Errors: BadProof("no-such-size").
    Source: RFC 6962, section 2.1.2.
    """
    if not 0 <= old_size <= len(leaf_hashes):
        raise BadProof("no-such-size")
    if old_size == 0:
        return []
    low, high, path = 0, len(leaf_hashes), list[bytes]()
    while old_size != high:
        middle = low + _left_width(high - low)
        if old_size <= middle:
            path.append(root_of(leaf_hashes[middle:high]))
            high = middle
        else:
            path.append(root_of(leaf_hashes[low:middle]))
            low = middle
    if low > 0:
        path.append(root_of(leaf_hashes[low:high]))
    return path[::-1]


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Does the proof show `leaf_hash` at `index` of the tree of `size` leaves with this root?

    The code ensures: no other leaf at that index of that tree has a proof.
    The caller ensures: size and root come from one verified checkpoint. A root alone does not tell its size,
    and a proof can fit two sizes.
    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size <= LARGEST_SIZE or not _all_hashes(leaf_hash, *proof):
        return False
    at, last, seen = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            seen = node_hash(sibling, seen)
            at, last = _to_right_child(at, last)
        else:
            seen = node_hash(seen, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and seen == root


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Does the proof show the old tree to be a beginning of the new one?

    An empty old tree is a beginning of every tree. The caller ensures: each size and its root come from one
    verified checkpoint. Source: RFC 9162, section 2.1.4.2.
    """
    if not 0 <= old_size <= new_size <= LARGEST_SIZE or not _all_hashes(old_root, new_root, *proof):
        return False
    if old_size == 0 or old_size == new_size:
        known_root = EMPTY_ROOT if old_size == 0 else new_root
        return not proof and old_root == known_root and (new_size > 0 or new_root == EMPTY_ROOT)
    if old_size.bit_count() == 1:
        proof = [old_root, *proof]
    return bool(proof) and _replay(old_size, new_size, proof) == (old_root, new_root)


def _replay(old_size: int, new_size: int, proof: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Both roots that a consistency proof leads to, or nothing where its length does not fit."""
    at, last = _to_left_child(old_size - 1, new_size - 1)
    old = new = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            return None
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            at, last = _to_right_child(at, last)
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    return (old, new) if last == 0 else None


def _to_right_child(at: int, last: int) -> tuple[int, int]:
    """Climb while the node has no sibling: the last node of a row that is even."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last


def _to_left_child(at: int, last: int) -> tuple[int, int]:
    """Climb to the largest perfect subtree that ends at `at`."""
    while at & 1:
        at, last = at >> 1, last >> 1
    return at, last


def _left_width(width: int) -> int:
    """The largest power of two below `width`."""
    return int(1 << (width - 1).bit_length() - 1)


def _all_hashes(*hashes: bytes) -> bool:
    return all(len(each) == HASH_SIZE for each in hashes)


# --- files


def tile_path(number: int) -> str:
    """The number of a tile as a path: 1234067 is x001/x234/067."""
    path = f"{number % 1000:03d}"
    while number := number // 1000:
        path = f"x{number % 1000:03d}/{path}"
    return path


def bundle_entries(entries: Sequence[bytes]) -> dict[str, bytes]:
    """All entries of a log as bundles: path to bytes. Errors: BadTree("entry-too-large")."""
    return {
        f"tile/entries/{path}": b"".join(map(_framed, entries[low:high])) for path, low, high in _tiles(len(entries))
    }


def read_bundle(data: bytes, expected: int) -> list[bytes]:
    """The `expected` entries of one bundle. Errors: BadTree("not-a-bundle")."""
    entries, at = list[bytes](), 0
    for _ in range(expected):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data):
        raise BadTree("not-a-bundle")
    return entries


def read_entries(size: int, read: Callable[[str], bytes]) -> Iterator[bytes]:
    """All `size` entries of a log, in order; `read` gives the bytes at a path.

    Errors: BadTree("not-a-bundle"), and those of `read`.
    """
    for path, low, high in _tiles(size):
        yield from read_bundle(read(f"tile/entries/{path}"), high - low)


def hash_tiles(leaf_hashes: Sequence[bytes]) -> dict[str, bytes]:
    """The hash tiles of a log, level by level: path to bytes."""
    tiles, row, level = dict[str, bytes](), list(leaf_hashes), 0
    while row:
        for path, low, high in _tiles(len(row)):
            tiles[f"tile/{level}/{path}"] = b"".join(row[low:high])
        row = [root_of(row[low:high]) for _, low, high in _tiles(len(row)) if high - low == TILE_WIDTH]
        level += 1
    return tiles


def _tiles(size: int) -> Iterator[tuple[str, int, int]]:
    """Path, first and one past the last index of each tile of a row."""
    for low in range(0, size, TILE_WIDTH):
        high = min(low + TILE_WIDTH, size)
        partial = "" if high - low == TILE_WIDTH else f".p/{high - low}"
        yield tile_path(low // TILE_WIDTH) + partial, low, high


def _framed(entry: bytes) -> bytes:
    if len(entry) > LARGEST_ENTRY:
        raise BadTree("entry-too-large")
    return struct.pack(">H", len(entry)) + entry
