"""Whole columns of e-mails normalised, hashed and keyed in compiled code (numba); the hash is OpenSSL's.

The code ensures: a row is answered here only where it is plain ASCII that the scheme accepts; every other row (null,
beyond ASCII, too long, invisible characters, no such identifier) is left to whoever calls, who reads it one by one. So
there is one rule, and this is a faster way to the same bytes: tests/matching/test_batch.py.
The caller ensures: offsets are ascending and within the data, as Arrow's are once an array is validated.

Only `fast` imports this; numba is the extra `fast`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from os import cpu_count
from typing import Any

import llvmlite.binding as llvm
import numba as nb
import numpy as np
from numpy.typing import NDArray

from .libcrypto import STATE, Sha256, find
from .schemes import Rule

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int64]

BLOCK = 1 << 16
"""Rows a thread takes at a time."""
MOST_THREADS = 8
LONGEST = 320
WORDS = STATE // 8
MOST_BIT = 62
TRIM_SPACES, TRIM_WHITESPACE, REMOVE_SPACES, REMOVE_WHITESPACE = range(4)
ONE_AT, DOTTED_DOMAIN = range(2)
LEFT, ANSWERED, TEST_VALUE = range(3)


@dataclass(frozen=True, slots=True)
class Plan:
    """An e-mail rule as numbers. trim: which white space goes. shape: ONE_AT or DOTTED_DOMAIN.

    suffix, dots: the domains that lose the +suffix or the dots of a mailbox; ("*",) for all.
    tests, test_tlds: domains, and last labels of domains, that are nobody's.
    """

    trim: int
    shape: int
    suffix: tuple[str, ...]
    dots: tuple[str, ...]
    tests: tuple[str, ...] = ()
    test_tlds: tuple[str, ...] = ()


def plan_of(rule: Rule, tests: tuple[str, ...], test_tlds: tuple[str, ...]) -> Plan | None:
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
    return Plan(trim, shape, domains["drop-suffix"], domains["drop-dots"], tests, test_tlds)


_TRIMS = {
    "trim-spaces": TRIM_SPACES,
    "trim-whitespace": TRIM_WHITESPACE,
    "remove-spaces": REMOVE_SPACES,
    "remove-whitespace": REMOVE_WHITESPACE,
}
_SHAPES = {"one-at": ONE_AT, "dotted-domain": DOTTED_DOMAIN}


def digest_rows(plan: Plan, data: Bytes, offsets: Offsets, secret: bytes | None = None) -> tuple[Bytes, Bytes]:
    """SHA-256 of each normalised row, (rows, 32), zeros where left; and of each row LEFT, ANSWERED or TEST_VALUE.

    secret: where given, HMAC-SHA256 under it.
    """
    rows = len(offsets) - 1
    out, found = np.zeros((rows, 32), np.uint8), np.zeros(rows, np.uint8)
    domains = [_domains(names) for names in (plan.suffix, plan.dots, plan.tests, plan.test_tlds)]
    kernels = _kernels()
    states = [_primed(secret, pad, b"") for pad in (0x36, 0x5C)] if secret is not None else []
    hashes = kernels.hash if secret is None else kernels.hmac

    def work(start: int, stop: int) -> None:
        begins = offsets[start : stop + 1]
        text, ends = np.empty(begins[-1] - begins[0], np.uint8), np.zeros(len(begins), np.int64)
        kernels.normalise(data, begins, plan.trim, plan.shape, *domains, text, ends, found[start:stop])
        hashes(text, ends, found[start:stop], out[start:stop], np.zeros(WORDS, np.uint64), *states)

    _each_block(rows, work)
    return out, found


def key_rows(secret: bytes, prefix: bytes, digests: Bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first and the second 8 bytes of HMAC-SHA256(secret, prefix + digest) for each row of `digests`."""
    rows = len(digests)
    k, k2 = np.empty(rows, np.dtype("<u8")), np.empty(rows, np.dtype("<u8"))
    inner, outer = _primed(secret, 0x36, prefix), _primed(secret, 0x5C, b"")
    kernel, digests = _kernels().key, np.ascontiguousarray(digests)

    def work(start: int, stop: int) -> None:
        spare = np.zeros(WORDS, np.uint64), np.empty(4, np.uint64)
        kernel(digests[start:stop], inner, outer, k[start:stop], k2[start:stop], *spare)

    _each_block(rows, work)
    return k.astype(np.uint64, copy=False), k2.astype(np.uint64, copy=False)


def _each_block(rows: int, work: Callable[[int, int], None]) -> None:
    starts = range(0, rows, BLOCK)
    threads = min(cpu_count() or 1, MOST_THREADS, len(starts))
    if threads < 2:
        for start in starts:
            work(start, min(start + BLOCK, rows))
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda start: work(start, min(start + BLOCK, rows)), starts))


def _domains(names: tuple[str, ...]) -> tuple[bool, int, Bytes, Offsets]:
    """All of them or not, a bit for each length there is, the names' bytes, and where each begins."""
    everywhere = "*" in names
    raw = [] if everywhere else [name.encode() for name in names]
    lengths = sum({1 << min(len(name), MOST_BIT) for name in raw})
    ends = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    return everywhere, lengths, np.frombuffer(b"".join(raw), np.uint8), ends


def _primed(secret: bytes, pad: int, prefix: bytes) -> NDArray[np.uint64]:
    """A SHA-256 state that has taken in the padded key and what every message begins with."""
    state = np.zeros(STATE, np.uint8)
    block = np.frombuffer(bytes(byte ^ pad for byte in secret.ljust(64, b"\0")) + prefix, np.uint8)
    _kernels().prime(block, state)
    return state.view(np.uint64)


# -- compiled --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kernels:
    normalise: Any
    hash: Any
    hmac: Any
    key: Any
    prime: Any


def available() -> bool:
    """Whether this machine has what the compiled code calls."""
    return find() is not None


@cache
def _kernels() -> _Kernels:
    """Symbols are named before anything is compiled or read from numba's cache: they are looked up by name."""
    functions = find()
    if not isinstance(functions, Sha256):
        raise RuntimeError("no OpenSSL to call: ask `available` first")
    for name in ("init", "update", "final"):
        llvm.add_symbol(f"passbox_sha256_{name}", getattr(functions, name))
    return _Kernels(_normalise_rows, _hash_rows, _hmac_rows, _key_rows, _prime)


_types: Any = nb.types
_pointer = _types.intp
_init = _types.ExternalFunction("passbox_sha256_init", _types.int32(_pointer))
_update = _types.ExternalFunction("passbox_sha256_update", _types.int32(_pointer, _pointer, _pointer))
_final = _types.ExternalFunction("passbox_sha256_final", _types.int32(_pointer, _pointer))
_compiled: Any = nb.njit(cache=True, nogil=True, boundscheck=False)


@_compiled
def _is_white(byte, spaces_only):  # type: ignore[no-untyped-def]
    return byte == 32 or (not spaces_only and 9 <= byte <= 13)


@_compiled
def _is_one_of(part, listed):  # type: ignore[no-untyped-def]
    everywhere, lengths, names, ends = listed
    if everywhere:
        return True
    if not (lengths >> min(len(part), MOST_BIT)) & 1:
        return False
    for name in range(len(ends) - 1):
        if ends[name + 1] - ends[name] == len(part):
            known, same = names[ends[name] : ends[name + 1]], True
            for at in range(len(part)):
                same = same and known[at] == part[at]
            if same:
                return True
    return False


@_compiled
def _small(byte):  # type: ignore[no-untyped-def]
    return np.uint8(byte | (np.uint8(np.uint8(byte - np.uint8(65)) < np.uint8(26)) << np.uint8(5)))


@_compiled
def _lowered(source, row):  # type: ignore[no-untyped-def]
    """Copies a row in small letters. Gives how many @ it has, or 0 where not all of it is printable ASCII."""
    odd, ats = np.uint8(0), np.uint16(0)
    for at in range(len(source)):
        byte = source[at]
        row[at] = _small(byte)
        odd = np.uint8(odd | np.uint8(np.uint8(byte - np.uint8(32)) > np.uint8(94)))
        ats = np.uint16(ats + np.uint16(byte == np.uint8(64)))
    return 0 if odd else ats


@_compiled
def _squeezed(source, row, spaces_only):  # type: ignore[no-untyped-def]
    """The same without white space. Gives its size too."""
    size, ats = 0, 0
    for at in range(len(source)):
        byte = source[at]
        if not _is_white(byte, spaces_only):
            if byte < 32 or byte > 126:
                return 0, 0
            row[size] = _small(byte)
            ats += byte == 64
            size += 1
    return ats, size


@_compiled
def _domain_of(row, size, ats, shape):  # type: ignore[no-untyped-def]
    """Where the last @ stands, or -1 where the row is no e-mail of that shape."""
    if ats < 1 or (shape == ONE_AT and ats > 1):
        return -1
    at = size - 1
    while at >= 0 and row[at] != 64:
        at -= 1
    if at < 1 or at == size - 1:
        return -1
    if shape == DOTTED_DOMAIN:
        for place in range(at + 2, size - 1):
            if row[place] == 46:
                return at
        return -1
    return at


@_compiled
def _without_suffix(row, size, at):  # type: ignore[no-untyped-def]
    """Cuts the mailbox at its first +. Gives the new place of the @."""
    for place in range(at):
        if row[place] == 43:
            for later in range(size - at):
                row[place + later] = row[at + later]
            return place
    return at


@_compiled
def _without_dots(row, size, at):  # type: ignore[no-untyped-def]
    kept = 0
    for place in range(at):
        if row[place] != 46:
            row[kept] = row[place]
            kept += 1
    if kept < at:
        for later in range(size - at):
            row[kept + later] = row[at + later]
    return kept


@_compiled
def _normalise_rows(data, offsets, trim, shape, suffix, dots, tests, tlds, text, ends, found):  # type: ignore[no-untyped-def]
    """Writes rows as the rule has them, one after the other. Row i ends at ends[i + 1]; one that is LEFT is empty."""
    spaces_only = trim in (TRIM_SPACES, REMOVE_SPACES)
    removes = trim in (REMOVE_SPACES, REMOVE_WHITESPACE)
    written = 0
    for each in range(len(offsets) - 1):
        ends[each + 1] = written
        start, stop = offsets[each], offsets[each + 1]
        while start < stop and _is_white(data[start], spaces_only):
            start += 1
        while start < stop and _is_white(data[stop - 1], spaces_only):
            stop -= 1
        size = stop - start
        if size < 3 or size > LONGEST:
            continue
        source, row = data[start:stop], text[written : written + size]
        if removes:
            ats, size = _squeezed(source, row, spaces_only)
        else:
            ats = _lowered(source, row)
        at = _domain_of(row, size, ats, shape)
        if at < 1:
            continue
        domain = row[at + 1 : size]
        cut, dotless = _is_one_of(domain, suffix), _is_one_of(domain, dots)
        odd = _is_one_of(domain, tests) or _is_one_of(_last_label(domain), tlds)
        if cut:
            moved = _without_suffix(row, size, at)
            size, at = size - at + moved, moved
        if dotless:
            moved = _without_dots(row, size, at)
            size, at = size - at + moved, moved
        if at < 1:
            continue
        written += size
        ends[each + 1] = written
        found[each] = TEST_VALUE if odd else ANSWERED


@_compiled
def _hash_rows(text, ends, found, out, state):  # type: ignore[no-untyped-def]
    context, source, digest = state.ctypes.data, text.ctypes.data, out.ctypes.data
    for each in range(len(found)):
        if found[each]:
            _init(context)
            _update(context, source + ends[each], ends[each + 1] - ends[each])
            _final(digest + 32 * each, context)


@_compiled
def _hmac_rows(text, ends, found, out, state, inner, outer):  # type: ignore[no-untyped-def]
    context, source, digest = state.ctypes.data, text.ctypes.data, out.ctypes.data
    for each in range(len(found)):
        if found[each]:
            _copy(inner, state)
            _update(context, source + ends[each], ends[each + 1] - ends[each])
            _final(digest + 32 * each, context)
            _copy(outer, state)
            _update(context, digest + 32 * each, 32)
            _final(digest + 32 * each, context)


@_compiled
def _copy(source, target):  # type: ignore[no-untyped-def]
    for word in range(WORDS):
        target[word] = source[word]


@_compiled
def _last_label(domain):  # type: ignore[no-untyped-def]
    dot = len(domain) - 1
    while dot >= 0 and domain[dot] != 46:
        dot -= 1
    return domain[dot + 1 :]


@_compiled
def _key_rows(digests, inner, outer, k, k2, state, middle):  # type: ignore[no-untyped-def]
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
def _prime(block, state):  # type: ignore[no-untyped-def]
    _init(state.ctypes.data)
    _update(state.ctypes.data, block.ctypes.data, len(block))
