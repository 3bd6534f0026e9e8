"""Whole columns of e-mails normalised, hashed and keyed in compiled code (numba); the hash is OpenSSL's.

The code ensures: a row is answered here only where it is plain ASCII that the scheme accepts; every other row (null,
beyond ASCII, too long, invisible characters, no such identifier) is left to whoever calls, who reads it one by one. So
there is one rule, and this is a faster way to the same bytes: tests/matching/test_batch.py.
The caller ensures: offsets are ascending and within the data, as Arrow's are once an array is validated.

Only `fast` imports this; numba is the extra `fast`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from os import cpu_count, register_at_fork
from sys import byteorder

import numba as nb
import numpy as np
from numpy.typing import NDArray

from .compiled.emails import (
    ANSWERED,
    DOTTED_DOMAIN,
    MOST_BIT,
    ONE_AT,
    PLACES,
    REMOVE_SPACES,
    REMOVE_WHITESPACE,
    SPREAD,
    TRIM_SPACES,
    TRIM_WHITESPACE,
    normalise_rows,
)
from .compiled.emails import TEST_VALUE as TEST_VALUE
from .compiled.hashes import DIGITS as DIGITS
from .compiled.hashes import LOWER as LOWER
from .compiled.hashes import UPPER as UPPER
from .compiled.hashes import WORDS, ascends, decode_hex, hash_rows, hmac_rows, key_digests, name_symbols, prime
from .libcrypto import STATE, find
from .schemes import Rule

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int64]

BLOCK = 1 << 16
"""Rows a thread takes at a time."""
MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """An e-mail rule as numbers. trim: which white space goes. shape: ONE_AT or DOTTED_DOMAIN.

    suffix, dots: the domains that lose the +suffix or the dots of a mailbox; ("*",) for all.
    tests, test_tlds: domains, and last labels of domains, that are nobody's. watched: addresses that may be: rows that
    look like them are left.
    """

    trim: int
    shape: int
    suffix: tuple[str, ...]
    dots: tuple[str, ...]
    tests: tuple[str, ...] = ()
    test_tlds: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()


def plan_of(
    rule: Rule, tests: tuple[str, ...], test_tlds: tuple[str, ...], watched: tuple[str, ...] = ()
) -> Plan | None:
    """The numbers for a rule, where its steps are those that are compiled, in that order; None otherwise."""
    steps = list(rule.steps)
    trim = _TRIMS.get(steps.pop(0).name)
    if not steps or steps.pop(0).name not in ("lower-ascii", "lower-unicode") or trim is None or not steps:
        return None
    shape = _SHAPES.get(steps.pop(0).name)
    domains: dict[str, tuple[str, ...]] = {"drop-suffix": (), "drop-dots": ()}
    for name in domains:
        if steps and steps[0].name == name:
            domains[name] = steps.pop(0).options
    if shape is None or steps:
        return None
    return Plan(trim, shape, domains["drop-suffix"], domains["drop-dots"], tests, test_tlds, watched)


_TRIMS = {
    "trim-spaces": TRIM_SPACES,
    "trim-whitespace": TRIM_WHITESPACE,
    "remove-spaces": REMOVE_SPACES,
    "remove-whitespace": REMOVE_WHITESPACE,
}
_SHAPES = {"one-at": ONE_AT, "dotted-domain": DOTTED_DOMAIN}


def digest_rows(plan: Plan, data: Bytes, offsets: Offsets, out: Bytes, secret: bytes | None = None) -> Bytes:
    """Of each row LEFT, ANSWERED or TEST_VALUE.

    out: (rows, 32); SHA-256 of each normalised row is written there, zeros where left. secret: where given, it is
    HMAC-SHA256 under it.
    """
    rows = len(offsets) - 1
    found = np.zeros(rows, np.uint8)
    named = [_Domains.of(names) for names in (plan.suffix, plan.dots, plan.tests, plan.test_tlds)]
    domains, places = [each.numbers for each in named], _places(plan.watched)
    name_symbols()
    states = [_primed(secret, pad, b"") for pad in (0x36, 0x5C)] if secret is not None else []
    hashes = hash_rows if secret is None else hmac_rows

    def work(start: int, stop: int) -> None:
        begins, some = offsets[start : stop + 1], found[start:stop]
        text, ends = _SPARE.text(int(begins[-1] - begins[0])), _SPARE.ends(len(begins))
        normalise_rows(data, begins, plan.trim, plan.shape, *domains, places, text, ends, some)
        hashes(text, ends, some, out[start:stop], np.zeros(WORDS, np.uint64), *states)

    _each_block(rows, work)
    return found


@cache
def _places(watched: tuple[str, ...]) -> Bytes:
    """For each place that the first and the last eight bytes of a row may give, whether a watched address does."""
    found = np.zeros(1 << PLACES, np.uint8)
    for address in (each.encode() for each in watched if len(each) >= 8):
        first, last = (int.from_bytes(part, byteorder) for part in (address[:8], address[-8:]))
        found[(first + 3 * last) * int(SPREAD) % 2**64 >> (64 - PLACES)] = 1
    return found


def decode_rows(data: Bytes, offsets: Offsets, out: Bytes) -> Bytes:
    """Of each row LEFT, or DIGITS, LOWER or UPPER where it is a hash in hex digits of one case.

    out: (rows, bytes of a hash); the bytes are written there, zeros where left.
    """
    rows = len(offsets) - 1
    found = np.zeros(rows, np.uint8)

    def work(start: int, stop: int) -> None:
        decode_hex(data, offsets[start : stop + 1], out[start:stop], found[start:stop])

    _each_block(rows, work)
    return found


def are_within(offsets: Offsets, size: int) -> bool:
    """Whether offsets ascend within so many bytes."""
    return bool(offsets[0] >= 0 and offsets[-1] <= size and ascends(offsets))


def key_rows(secret: bytes, prefix: bytes, digests: Bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first and the second 8 bytes of HMAC-SHA256(secret, prefix + digest) for each row of `digests`."""
    rows = len(digests)
    k, k2 = np.empty(rows, np.dtype("<u8")), np.empty(rows, np.dtype("<u8"))
    inner, outer = _primed(secret, 0x36, prefix), _primed(secret, 0x5C, b"")
    digests = np.ascontiguousarray(digests)

    def work(start: int, stop: int) -> None:
        spare = np.zeros(WORDS, np.uint64), np.empty(4, np.uint64)
        key_digests(digests[start:stop], inner, outer, k[start:stop], k2[start:stop], *spare)

    _each_block(rows, work)
    return k.astype(np.uint64, copy=False), k2.astype(np.uint64, copy=False)


class _Spare(threading.local):
    """Room for one block, each thread's own: fresh memory costs as much as hashing into it.

    What lies in it is a party's own, at home, as the column is that it was read from.
    """

    def __init__(self) -> None:
        self._ends, self._text = np.zeros(BLOCK + 1, np.int64), np.empty(1 << 20, np.uint8)

    def ends(self, count: int) -> Offsets:
        if len(self._ends) < count:
            self._ends = np.zeros(count, np.int64)
        return self._ends[:count]

    def text(self, size: int) -> Bytes:
        if size > _MOST_KEPT:
            return np.empty(size, np.uint8)
        if len(self._text) < size:
            self._text = np.empty(min(size + size // 4, _MOST_KEPT), np.uint8)
        return self._text


_MOST_KEPT = 1 << 24
_SPARE = _Spare()


def _each_block(rows: int, work: Callable[[int, int], None]) -> None:
    starts = range(0, rows, BLOCK)
    threads = min(cpu_count() or 1, MOST_THREADS, len(starts))
    if threads < 2:
        for start in starts:
            work(start, min(start + BLOCK, rows))
        return
    list(_threads().map(lambda start: work(start, min(start + BLOCK, rows)), starts))


@cache
def _threads() -> ThreadPoolExecutor:
    """Kept, and with them their `_Spare`. They are idle between two columns."""
    return ThreadPoolExecutor(min(cpu_count() or 1, MOST_THREADS))


register_at_fork(after_in_child=_threads.cache_clear)  # a child has none of them, and would wait


@dataclass(frozen=True)
class _Domains:
    """Domains as compiled code takes them: the names' bytes one after the other, and where each begins."""

    everywhere: bool
    names: Bytes
    ends: Offsets

    @classmethod
    def of(cls, names: tuple[str, ...]) -> _Domains:
        raw = [] if "*" in names else [name.encode() for name in names]
        ends = np.cumsum([0, *map(len, raw)], dtype=np.int64)
        return cls("*" in names, np.frombuffer(b"".join(raw) or b"\0", np.uint8), ends)

    @property
    def numbers(self) -> tuple[bool, int, int, int, int]:
        """All of them or not, a bit for each length there is, how many, and the addresses of both arrays: compiled code
        counts references to an array that it hands on, and to a number it does not."""
        sizes = np.diff(self.ends).tolist()
        lengths = sum({1 << min(size, MOST_BIT) for size in sizes})
        return self.everywhere, lengths, len(sizes), self.names.ctypes.data, self.ends.ctypes.data


def _primed(secret: bytes, pad: int, prefix: bytes) -> NDArray[np.uint64]:
    """A SHA-256 state that has taken in the padded key and what every message begins with."""
    state = np.zeros(STATE, np.uint8)
    block = np.frombuffer(bytes(byte ^ pad for byte in secret.ljust(64, b"\0")) + prefix, np.uint8)
    name_symbols()
    prime(block, state)
    return state.view(np.uint64)


def available() -> bool:
    """Whether this machine has what the compiled code calls, puts the first byte of a word first, and hashes right."""
    if byteorder != "little" or find() is None:
        return False
    plan = Plan(TRIM_SPACES, ONE_AT, ("b.example",), ("b.example",))
    text = b" A.b+c@B.EXAMPLE  d@else.f"
    try:
        made = np.empty((2, 32), np.uint8)
        found = digest_rows(plan, np.frombuffer(text, np.uint8), np.array([0, 17, len(text)], np.int64), made)
    except (RuntimeError, nb.errors.NumbaError):
        return False
    wanted = [hashlib.sha256(clean).digest() for clean in (b"ab@b.example", b"d@else.f")]
    return found.tolist() == [ANSWERED, ANSWERED] and [row.tobytes() for row in made] == wanted
