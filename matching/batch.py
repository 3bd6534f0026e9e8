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
from os import cpu_count
from sys import byteorder
from typing import Any

import llvmlite.binding as llvm
import numba as nb
import numpy as np
from llvmlite import ir as llvm_ir
from numba import extending
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
DIGITS, LOWER, UPPER = range(1, 4)


ONES = np.uint64(0x0101010101010101)
EVERY_BIT, HIGH_BITS, SEVEN_BITS = np.uint64(2**64 - 1), np.uint64(0x80 * int(ONES)), np.uint64(0x7F * int(ONES))
BELOW_SPACE, BELOW_A, BELOW_BRACKET = (np.uint64((0x80 - first) * int(ONES)) for first in (0x20, 0x41, 0x5B))
ATS, TO_SMALL = np.uint64(0x40 * int(ONES)), np.uint64(2)
"""Eight bytes at once: what to add to seven bits so that the eighth says whether a byte is at least this or that."""


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


def digest_rows(plan: Plan, data: Bytes, offsets: Offsets, out: Bytes, secret: bytes | None = None) -> Bytes:
    """Of each row LEFT, ANSWERED or TEST_VALUE.

    out: (rows, 32); SHA-256 of each normalised row is written there, zeros where left. secret: where given, it is
    HMAC-SHA256 under it.
    """
    rows = len(offsets) - 1
    found = np.zeros(rows, np.uint8)
    named = [_Domains.of(names) for names in (plan.suffix, plan.dots, plan.tests, plan.test_tlds)]
    domains = [each.numbers for each in named]
    kernels = _kernels()
    states = [_primed(secret, pad, b"") for pad in (0x36, 0x5C)] if secret is not None else []
    hashes, spare = kernels.hash if secret is None else kernels.hmac, _Spare()

    def work(start: int, stop: int) -> None:
        begins, some = offsets[start : stop + 1], found[start:stop]
        text, ends = spare.text(int(begins[-1] - begins[0])), spare.ends[: len(begins)]
        kernels.normalise(data, begins, plan.trim, plan.shape, *domains, text, ends, some)
        hashes(text, ends, some, out[start:stop], np.zeros(WORDS, np.uint64), *states)

    _each_block(rows, work)
    return found


def decode_rows(data: Bytes, offsets: Offsets, out: Bytes) -> Bytes:
    """Of each row LEFT, or DIGITS, LOWER or UPPER where it is a hash in hex digits of one case.

    out: (rows, bytes of a hash); the bytes are written there, zeros where left.
    """
    rows = len(offsets) - 1
    found = np.zeros(rows, np.uint8)
    kernel = _kernels().decode

    def work(start: int, stop: int) -> None:
        kernel(data, offsets[start : stop + 1], out[start:stop], found[start:stop])

    _each_block(rows, work)
    return found


def are_within(offsets: Offsets, size: int) -> bool:
    """Whether offsets ascend within so many bytes."""
    return bool(offsets[0] >= 0 and offsets[-1] <= size and _ascend(offsets))


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


class _Spare(threading.local):
    """Room for one block, each thread's own: fresh memory costs as much as hashing into it."""

    def __init__(self) -> None:
        self.ends, self._text = np.zeros(BLOCK + 1, np.int64), np.empty(1 << 20, np.uint8)

    def text(self, size: int) -> Bytes:
        if len(self._text) < size:
            self._text = np.empty(size + size // 4, np.uint8)
        return self._text


def _each_block(rows: int, work: Callable[[int, int], None]) -> None:
    starts = range(0, rows, BLOCK)
    threads = min(cpu_count() or 1, MOST_THREADS, len(starts))
    if threads < 2:
        for start in starts:
            work(start, min(start + BLOCK, rows))
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda start: work(start, min(start + BLOCK, rows)), starts))


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
    _kernels().prime(block, state)
    return state.view(np.uint64)


# -- compiled --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kernels:
    normalise: Any
    hash: Any
    hmac: Any
    key: Any
    decode: Any
    prime: Any


def available() -> bool:
    """Whether this machine has what the compiled code calls, puts the first byte of a word first, and hashes right."""
    if byteorder != "little" or find() is None:
        return False
    plan = Plan(TRIM_SPACES, ONE_AT, ("b.example",), ("b.example",))
    text = b" A.b+c@B.EXAMPLE  d@e.f"
    try:
        made = np.empty((2, 32), np.uint8)
        found = digest_rows(plan, np.frombuffer(text, np.uint8), np.array([0, 17, len(text)], np.int64), made)
    except (RuntimeError, nb.errors.NumbaError):
        return False
    wanted = [hashlib.sha256(clean).digest() for clean in (b"ab@b.example", b"d@e.f")]
    return found.tolist() == [ANSWERED, ANSWERED] and [row.tobytes() for row in made] == wanted


@cache
def _kernels() -> _Kernels:
    """Symbols are named before anything is compiled or read from numba's cache: they are looked up by name."""
    functions = find()
    if not isinstance(functions, Sha256):
        raise RuntimeError("no OpenSSL to call: ask `available` first")
    for name in ("init", "update", "final"):
        llvm.add_symbol(f"passbox_sha256_{name}", getattr(functions, name))
    return _Kernels(_normalise_rows, _hash_rows, _hmac_rows, _key_rows, _decode_rows, _prime)


_types: Any = nb.types
_pointer = _types.intp
_init = _types.ExternalFunction("passbox_sha256_init", _types.int32(_pointer))
_update = _types.ExternalFunction("passbox_sha256_update", _types.int32(_pointer, _pointer, _pointer))
_final = _types.ExternalFunction("passbox_sha256_final", _types.int32(_pointer, _pointer))
_compiled: Any = nb.njit(cache=True, nogil=True, boundscheck=False)


_ir: Any = llvm_ir
_WORD: Any = _ir.IntType(64)
_intrinsic: Any = extending.intrinsic


@_intrinsic
def _load(_typing, _address):  # type: ignore[no-untyped-def]
    """The 8 bytes at an address, aligned or not."""

    def code(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        word = builder.load(builder.inttoptr(arguments[0], _WORD.as_pointer()))
        word.align = 1
        return word

    return _types.uint64(_pointer), code


@_intrinsic
def _store(_typing, _address, _word):  # type: ignore[no-untyped-def]
    """Puts 8 bytes at an address, aligned or not."""

    def code(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        builder.store(arguments[1], builder.inttoptr(arguments[0], _WORD.as_pointer()), align=1)
        return context.get_dummy_value()

    return _types.void(_pointer, _types.uint64), code


@_intrinsic
def _byte(_typing, _address):  # type: ignore[no-untyped-def]
    """The byte at an address."""

    def code(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load(builder.inttoptr(arguments[0], _ir.IntType(8).as_pointer()))

    return _types.uint8(_pointer), code


@_intrinsic
def _put(_typing, _address, _value):  # type: ignore[no-untyped-def]
    """Puts a byte at an address."""

    def code(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        builder.store(arguments[1], builder.inttoptr(arguments[0], _ir.IntType(8).as_pointer()))
        return context.get_dummy_value()

    return _types.void(_pointer, _types.uint8), code


@_intrinsic
def _bits(_typing, _word):  # type: ignore[no-untyped-def]
    """How many bits are one."""
    return _types.int64(_types.uint64), lambda _context, builder, _signature, arguments: builder.ctpop(arguments[0])


@_intrinsic
def _leading_zeros(_typing, _word):  # type: ignore[no-untyped-def]
    def code(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctlz(arguments[0], _ir.Constant(_ir.IntType(1), 0))

    return _types.int64(_types.uint64), code


@_compiled
def _is_white(byte, spaces_only):  # type: ignore[no-untyped-def]
    return byte == 32 or (not spaces_only and 9 <= byte <= 13)


@_compiled
def _is_one_of(part, size, listed):  # type: ignore[no-untyped-def]
    """Whether the bytes at an address are one of these domains."""
    everywhere, lengths, count, names, ends = listed
    if everywhere:
        return True
    if not (lengths >> min(size, MOST_BIT)) & 1:
        return False
    for name in range(count):
        begin, end = np.int64(_load(ends + 8 * name)), np.int64(_load(ends + 8 * name + 8))
        if end - begin == size:
            at = 0
            while at < size and _byte(names + begin + at) == _byte(part + at):
                at += 1
            if at == size:
                return True
    return False


@_compiled
def _small(byte):  # type: ignore[no-untyped-def]
    return np.uint8(byte | (np.uint8(np.uint8(byte - np.uint8(65)) < np.uint8(26)) << np.uint8(5)))


@_compiled
def _lowered(source, target, size):  # type: ignore[no-untyped-def]
    """Copies a row of 8 bytes or more in small letters, 8 at a time; the last 8 may overlap those before.

    Addresses, and bytes. Gives how many @ there are and where the last stands; none where not all is printable ASCII.
    """
    odd, ats, last, at = np.uint64(0), 0, -1, 0
    while at < size:
        done = 0 if at + 8 <= size else at + 8 - size
        at -= done
        word = _load(source + at)
        seven = word & SEVEN_BITS
        is_capital = ((seven + BELOW_A) ^ (seven + BELOW_BRACKET)) & ~word & HIGH_BITS
        odd |= (word | (seven + ONES) | ~(seven + BELOW_SPACE)) & HIGH_BITS
        found = ~(((word ^ ATS) & SEVEN_BITS) + SEVEN_BITS | (word ^ ATS) | SEVEN_BITS)
        found &= EVERY_BIT << np.uint64(8 * done)
        if found:
            ats += _bits(found)
            last = at + 7 - (_leading_zeros(found) >> 3)
        _store(target + at, word | (is_capital >> TO_SMALL))
        at += 8
    return (0, -1) if odd else (ats, last)


@_compiled
def _squeezed(source, row, read, spaces_only, removes):  # type: ignore[no-untyped-def]
    """The same byte by byte, and without white space where it is removed. Gives the size too."""
    size, ats, last = 0, 0, -1
    for at in range(read):
        byte = _byte(source + at)
        if not (removes and _is_white(byte, spaces_only)):
            if byte < 32 or byte > 126:
                return 0, -1, 0
            if byte == 64:
                ats, last = ats + 1, size
            _put(row + size, _small(byte))
            size += 1
    return ats, last, size


@_compiled
def _is_shaped(row, size, ats, at, shape):  # type: ignore[no-untyped-def]
    """Whether a row is an e-mail of that shape, its last @ at `at`."""
    if at < 1 or at == size - 1:
        return False
    if shape == DOTTED_DOMAIN:
        for place in range(at + 2, size - 1):  # noqa: SIM110 - compiled: a loop, no generator
            if _byte(row + place) == 46:
                return True
        return False
    return ats == 1


@_compiled
def _without_suffix(row, size, at):  # type: ignore[no-untyped-def]
    """Cuts the mailbox at its first +. Gives the new place of the @."""
    for place in range(at):
        if _byte(row + place) == 43:
            _moved(row, at, size, place)
            return place
    return at


@_compiled
def _without_dots(row, size, at):  # type: ignore[no-untyped-def]
    kept = 0
    for place in range(at):
        byte = _byte(row + place)
        _put(row + kept, byte)
        kept += byte != 46
    if kept < at:
        _moved(row, at, size, kept)
    return kept


@_compiled
def _moved(row, at, size, to):  # type: ignore[no-untyped-def]
    """Moves what lies from `at` on to an earlier place."""
    for later in range(size - at):
        _put(row + to + later, _byte(row + at + later))


@_compiled
def _last_label(row, begin, end):  # type: ignore[no-untyped-def]
    """Where the last label of a domain begins."""
    at = end
    while at > begin and _byte(row + at - 1) != 46:
        at -= 1
    return at


@_compiled
def _normalise_rows(data, offsets, trim, shape, suffix, dots, tests, tlds, text, ends, found):  # type: ignore[no-untyped-def]
    """Writes rows as the rule has them, one after the other. Row i ends at ends[i + 1]; one that is LEFT is empty."""
    spaces_only = trim in (TRIM_SPACES, REMOVE_SPACES)
    removes = trim in (REMOVE_SPACES, REMOVE_WHITESPACE)
    source, target, written = data.ctypes.data, text.ctypes.data, 0
    for each in range(len(found)):
        ends[each + 1] = written
        start, stop = offsets[each], offsets[each + 1]
        while start < stop and _is_white(_byte(source + start), spaces_only):
            start += 1
        while start < stop and _is_white(_byte(source + stop - 1), spaces_only):
            stop -= 1
        size, row = stop - start, target + written
        if size < 3 or size > LONGEST:
            continue
        if removes or size < 8:
            ats, at, size = _squeezed(source + start, row, size, spaces_only, removes)
        else:
            ats, at = _lowered(source + start, row, size)
        if not _is_shaped(row, size, ats, at, shape):
            continue
        domain, length = row + at + 1, size - at - 1
        label = _last_label(row, at + 1, size)
        odd = _is_one_of(domain, length, tests) or _is_one_of(row + label, size - label, tlds)
        cut, dotless = _is_one_of(domain, length, suffix), _is_one_of(domain, length, dots)
        if cut:
            at = _without_suffix(row, size, at)
            size = at + 1 + length
        if dotless:
            at = _without_dots(row, size, at)
            size = at + 1 + length
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
        else:
            out[each, :] = 0


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
        else:
            out[each, :] = 0


@_compiled
def _decode_rows(data, offsets, out, found):  # type: ignore[no-untyped-def]
    size = out.shape[1]
    for each in range(len(found)):
        out[each, :] = 0
        start, stop = offsets[each], offsets[each + 1]
        while start < stop and _is_white(data[start], False):
            start += 1
        while start < stop and _is_white(data[stop - 1], False):
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
def _ascend(offsets):  # type: ignore[no-untyped-def]
    fine = True
    for each in range(len(offsets) - 1):
        fine = fine and offsets[each] <= offsets[each + 1]
    return fine


@_compiled
def _copy(source, target):  # type: ignore[no-untyped-def]
    for word in range(WORDS):
        target[word] = source[word]


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
