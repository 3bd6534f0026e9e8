"""E-mails normalised row by row in compiled code: those of plain ASCII that a scheme accepts, of eight bytes or
more, but for domains with a label xn-- or without a dot, rows with marks that few addresses hold, and rows that look
like one that is watched. All others are left."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from .address import bits, byte_at, leading_zeros, load, put, store

LONGEST = 320
MOST_BIT = 62
TRIM_SPACES, TRIM_WHITESPACE, REMOVE_SPACES, REMOVE_WHITESPACE = range(4)
ONE_AT, DOTTED_DOMAIN = range(2)
LEFT, ANSWERED, TEST_VALUE = range(3)

ONES = np.uint64(0x0101010101010101)
EVERY_BIT, HIGH_BITS, SEVEN_BITS = np.uint64(2**64 - 1), np.uint64(0x80 * int(ONES)), np.uint64(0x7F * int(ONES))
BELOW_SPACE, BELOW_A, BELOW_BRACKET = (np.uint64((0x80 - first) * int(ONES)) for first in (0x20, 0x41, 0x5B))
ATS, DASHES, TO_SMALL = np.uint64(0x40 * int(ONES)), np.uint64(0x2D * int(ONES)), np.uint64(2)
BELOW_PLUS, BELOW_COLON, BELOW_AT, BELOW_LINE = (np.uint64((0x80 - b) * int(ONES)) for b in (0x2B, 0x3A, 0x40, 0x5F))
COMMAS = np.uint64(0x2C * int(ONES))
"""Eight bytes at once: what to add to seven bits so that the eighth says whether a byte is at least this or that."""
THREE, SPREAD, PLACES = np.uint64(3), np.uint64(0x9E3779B97F4A7C15), 16
BEYOND = np.uint64(64 - PLACES)
"""Where a row is looked up: the first bits of a product of its first and its last eight bytes."""


_compiled: Any = nb.njit(cache=True, nogil=True, boundscheck=False)


@_compiled
def is_white(byte, spaces_only):  # type: ignore[no-untyped-def]
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
        begin, end = np.int64(load(ends + 8 * name)), np.int64(load(ends + 8 * name + 8))
        if end - begin == size:
            at = 0
            while at < size and byte_at(names + begin + at) == byte_at(part + at):
                at += 1
            if at == size:
                return True
    return False


@_compiled
def _small(byte):  # type: ignore[no-untyped-def]
    return np.uint8(byte | (np.uint8(np.uint8(byte - np.uint8(65)) < np.uint8(26)) << np.uint8(5)))


@_compiled
def _is_mark(byte):  # type: ignore[no-untyped-def]
    """Whether a byte of ASCII is one of ` !"#$%&'()*,:;<=>?[\\]^`, or invisible: of such rows `suspects` decides."""
    return byte < 43 or byte == 44 or 58 <= byte <= 63 or 91 <= byte <= 94


@_compiled
def _lowered(source, target, size):  # type: ignore[no-untyped-def]
    """Copies a row of 8 bytes or more in small letters, 8 at a time; the last 8 may overlap those before.

    Addresses, and bytes. Gives how many @ there are and where the last stands; none where not all is printable ASCII,
    or where there is a mark (`_is_mark`).
    """
    odd, ats, last, at = np.uint64(0), 0, -1, 0
    while at < size:
        done = 0 if at + 8 <= size else at + 8 - size
        at -= done
        word = load(source + at)
        seven = word & SEVEN_BITS
        is_capital = ((seven + BELOW_A) ^ (seven + BELOW_BRACKET)) & ~word & HIGH_BITS
        is_mark = ~(seven + BELOW_PLUS) | ((seven + BELOW_COLON) ^ (seven + BELOW_AT))
        is_mark |= ((seven + BELOW_BRACKET) ^ (seven + BELOW_LINE)) | ~((word ^ COMMAS) + SEVEN_BITS)
        odd |= (word | (seven + ONES) | is_mark) & HIGH_BITS
        found = ~(((word ^ ATS) & SEVEN_BITS) + SEVEN_BITS | (word ^ ATS) | SEVEN_BITS)
        found &= EVERY_BIT << np.uint64(8 * done)
        if found:
            ats += bits(found)
            last = at + 7 - (leading_zeros(found) >> 3)
        store(target + at, word | (is_capital >> TO_SMALL))
        at += 8
    return (0, -1) if odd else (ats, last)


@_compiled
def _squeezed(source, row, read, spaces_only, removes):  # type: ignore[no-untyped-def]
    """The same byte by byte, and without white space where it is removed. Gives the size too."""
    size, ats, last = 0, 0, -1
    for at in range(read):
        byte = byte_at(source + at)
        if not (removes and is_white(byte, spaces_only)):
            if byte > 126 or _is_mark(byte):
                return 0, -1, 0
            if byte == 64:
                ats, last = ats + 1, size
            put(row + size, _small(byte))
            size += 1
    return ats, last, size


@_compiled
def _is_shaped(row, size, ats, at, shape):  # type: ignore[no-untyped-def]
    """Whether a row is an e-mail of that shape, its last @ at `at`."""
    if at < 1 or at == size - 1:
        return False
    if shape == DOTTED_DOMAIN:
        dotted = False
        for place in range(at + 2, size - 1):
            dotted = dotted or byte_at(row + place) == 46
        return dotted
    return ats == 1


@_compiled
def _without_suffix(row, size, at):  # type: ignore[no-untyped-def]
    """Cuts the mailbox at its first +. Gives the new place of the @."""
    for place in range(at):
        if byte_at(row + place) == 43:
            _moved(row, at, size, place)
            return place
    return at


@_compiled
def _without_dots(row, size, at):  # type: ignore[no-untyped-def]
    kept = 0
    for place in range(at):
        byte = byte_at(row + place)
        put(row + kept, byte)
        kept += byte != 46
    if kept < at:
        _moved(row, at, size, kept)
    return kept


@_compiled
def _moved(row, at, size, to):  # type: ignore[no-untyped-def]
    """Moves what lies from `at` on to an earlier place."""
    for later in range(size - at):
        put(row + to + later, byte_at(row + at + later))


@_compiled
def _last_label(row, begin, end):  # type: ignore[no-untyped-def]
    """Where the last label of a domain begins."""
    at = end
    while at > begin and byte_at(row + at - 1) != 46:
        at -= 1
    return at


@_compiled
def _may_be_punycode(row, domain, size):  # type: ignore[no-untyped-def]
    """Whether a label of a domain begins with xn--, which `suspects` reads. Few have a dash, which is seen first."""
    dashed, end = size < 8, row + size
    while not dashed and end > domain:
        word = load(max(row, end - 8)) ^ DASHES
        dashed = bool((word - ONES) & ~word & HIGH_BITS)
        end -= 8
    if dashed:
        for at in range(domain, row + size - 3):
            begins = at == domain or byte_at(at - 1) == 46
            named = byte_at(at) == 120 and byte_at(at + 1) == 110
            if begins and named and byte_at(at + 2) == 45 and byte_at(at + 3) == 45:
                return True
    return False


@_compiled
def normalise_rows(data, offsets, trim, shape, suffix, dots, tests, tlds, watched, text, ends, found):  # type: ignore[no-untyped-def]
    """Writes rows as the rule has them, one after the other. Row i ends at ends[i + 1]; one that is LEFT is empty.

    watched: for each place that the first and the last eight bytes of a row give, whether such a row is left.
    """
    spaces_only = trim in (TRIM_SPACES, REMOVE_SPACES)
    removes = trim in (REMOVE_SPACES, REMOVE_WHITESPACE)
    source, target, written = data.ctypes.data, text.ctypes.data, 0
    for each in range(len(found)):
        ends[each + 1] = written
        start, stop = offsets[each], offsets[each + 1]
        while start < stop and is_white(byte_at(source + start), spaces_only):
            start += 1
        while start < stop and is_white(byte_at(source + stop - 1), spaces_only):
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
        if _may_be_punycode(row, domain, size):
            continue
        label = _last_label(row, at + 1, size)
        if label == at + 1:
            continue
        odd = _is_one_of(domain, length, tests) or _is_one_of(row + label, size - label, tlds)
        cut, dotless = _is_one_of(domain, length, suffix), _is_one_of(domain, length, dots)
        if cut:
            at = _without_suffix(row, size, at)
            size = at + 1 + length
        if dotless:
            at = _without_dots(row, size, at)
            size = at + 1 + length
        if at < 1 or size < 8 or watched[((load(row) + THREE * load(row + size - 8)) * SPREAD) >> BEYOND]:
            continue
        written += size
        ends[each + 1] = written
        found[each] = TEST_VALUE if odd else ANSWERED
