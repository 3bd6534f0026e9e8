"""Values that stand on many lists and are nobody's: what people and programs type who have none.

Each as a scheme writes it before hashing, so that they are known by their hashes as well. Who shares one with another
shares nothing: they join no rows into one person (`matching.persons`), and a list that holds one shows by its hash how
it was hashed (`matching.encodings`), or that it was not keyed (`matching.keyed`). What merely looks made up, such as
another address at example.com, is not here: a list of such people is a list like any other.

COMMON: those of every kind that are likeliest; few, so that hashes of their hashes are known too. The others are
telephone numbers of every country that repeat one digit or count up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

EMAILS = (
    "test@test.com", "test@example.com", "test@gmail.com", "test@mail.com", "test@yahoo.com", "test@hotmail.com",
    "test@test.de", "test@test.org", "test@test.net", "test1@test.com", "test123@gmail.com", "test@test.test",
    "user@example.com", "user@test.com", "name@example.com", "email@example.com", "me@example.com", "you@example.com",
    "mail@example.com", "info@example.com", "admin@example.com", "admin@admin.com", "admin@test.com", "foo@bar.com",
    "foo@example.com", "foo@foo.com", "bar@example.com", "bob@example.com", "alice@example.com", "a@a.com", "a@b.com",
    "a@a.de", "aa@aa.com", "abc@abc.com", "abc@example.com", "abc@gmail.com", "asd@asd.com", "asdf@asdf.com",
    "qwe@qwe.com", "x@x.com", "xx@xx.com", "xxx@xxx.com", "1@1.com", "123@123.com", "123@gmail.com", "none@none.com",
    "no@no.com", "na@na.com", "null@null.com", "nomail@nomail.com", "noemail@noemail.com", "noemail@gmail.com",
    "noemail@example.com", "no-reply@example.com", "noreply@example.com", "noreply@gmail.com", "unknown@unknown.com",
    "fake@fake.com", "fake@gmail.com", "demo@demo.com", "demo@example.com", "sample@example.com", "email@email.com",
    "mail@mail.com", "john@doe.com", "john@example.com", "jane@example.com", "john.doe@example.com",
    "jane.doe@example.com", "johndoe@example.com", "janedoe@example.com", "john.doe@gmail.com", "jane.doe@gmail.com",
    "johndoe@gmail.com", "janedoe@gmail.com", "john.smith@example.com", "max@mustermann.de",
    "max.mustermann@example.com", "maxmustermann@gmail.com",
)  # fmt: skip
DEVICES = frozenset(
    {
        "9774d56d682e549c",  # of many Android 2.2 devices, by a fault of their maker's
        "12345678123412341234123456789012",
        "12345678123412341234123456789abc",
    }
)
"""IDs that many devices have, without hyphens."""
SHORTEST, LONGEST = 7, 15
"""Digits of a telephone number from which one that repeats, or counts up, is nobody's; and the most that there are."""
_RUNS = (*(digit * LONGEST for digit in "0123456789"), *(("1234567890" * 3)[at : at + LONGEST] for at in range(10)))


@cache
def country_codes() -> frozenset[str]:
    """The codes that telephone numbers begin with."""
    import phonenumbers

    return frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


@cache
def common(algorithm: str) -> frozenset[bytes]:
    """Hashes of the likeliest values of every kind, as each scheme writes them."""
    return frozenset(hashlib.new(algorithm, text.encode()).digest() for text in _common())


@cache
def of_kind(kind: str, algorithm: str) -> Known:
    """Hashes of every value of a kind. Errors: ValueError for an algorithm that there is none of."""
    texts = _numbers() if kind == "phone" else _common()
    return Known(frozenset(hashlib.new(algorithm, text.encode()).digest() for text in texts))


class Known:
    """Hashes to look for in whole columns."""

    def __init__(self, digests: frozenset[bytes]) -> None:
        self.digests = digests
        self._mask = np.uint32(2 ** (16 if len(digests) < 2000 else 20) - 1)  # so few that they stay at hand
        self._begins = np.zeros(int(self._mask) + 1, dtype=np.bool_)
        self._begins[np.frombuffer(b"".join(digest[:4] for digest in digests), np.uint32) & self._mask] = True

    def rows(self, values: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which rows hold one. values: (rows, size) uint8, the bytes of hashes."""
        found: NDArray[np.bool_] = self._begins[values[:, :4].copy().view(np.uint32)[:, 0] & self._mask]
        for row in np.flatnonzero(found).tolist():  # few
            found[row] = values[row].tobytes() in self.digests
        return found

    def __repr__(self) -> str:
        return f"Known({len(self.digests)})"


def _common() -> Iterator[str]:
    yield from EMAILS
    for run in (*(digit * 10 for digit in "0123456789"), "1234567890", "0123456789"):
        yield from (run, f"1{run}", f"+1{run}")
    for digits in (*(digit * 32 for digit in "123456789abcdef"), *DEVICES):
        for written in (digits, digits.upper()):
            yield written if len(written) == 16 else _grouped(written)


def _grouped(digits: str) -> str:
    """A device ID with its hyphens."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _numbers() -> Iterator[str]:
    for run in _RUNS:
        for size in range(SHORTEST, LONGEST + 1):
            yield from (run[:size], f"+{run[:size]}")
            for code in country_codes():
                if len(code) + size <= LONGEST:
                    yield from (f"{code}{run[:size]}", f"+{code}{run[:size]}")
