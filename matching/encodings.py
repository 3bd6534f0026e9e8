"""The text of a hash, and the bytes it stands for: read in one encoding or refused by reason, never repaired.

A hash shows neither what was hashed nor how often. What does show: its size, how it was written, that it is the hash of
nothing (an empty value, what programs write for none, a device ID of zeros) or of a value that many lists hold
(`matching.well_known`), and that it is the hash of such a hash.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from .rejects import RejectCode
from .schemes.steps import WHITESPACE
from .well_known import Known, common, of_kind

SIZES: Mapping[str, int] = {"sha256": 32, "sha1": 20}
"""Bytes of each hash."""


class MixedEncodings(Exception):
    """A hashed column holds more than one encoding. Carries how many values each has, never a value."""

    def __init__(self, found: Mapping[str, int]) -> None:
        super().__init__(dict(found))
        self.found = dict(found)


Answer: TypeAlias = tuple[bytes, RejectCode | None] | RejectCode
"""A value's digest and what is odd about it, or why it is refused."""


class HashReader:
    """Reads the hashes of one column, and remembers in which encodings they came. Says what is odd.

    refuses: whether a hash of a test value is refused, and not kept as odd.
    """

    def __init__(self, algorithm: str, kind: str = "email", *, refuses: bool = False) -> None:
        self.algorithm, self.kind, self.refuses = algorithm, kind, refuses
        self.found = Counter[str]()
        self._nobodys = of_kind(kind, algorithm).digests | common(algorithm)

    def read(self, text: str) -> Answer:
        result = decoded(text, self.algorithm)
        if isinstance(result, RejectCode):
            return result
        digest, encoding = result
        odd = RejectCode.TEST_VALUE if digest in self._nobodys else None
        if odd is not None and self.refuses:
            return odd
        self.found[encoding] += 1
        return digest, odd

    def finish(self) -> None:
        """Errors: MixedEncodings."""
        encodings = {name: count for name, count in self.found.items() if name != DIGITS_ONLY}
        if len(encodings) > 1 or (DIGITS_ONLY in self.found and "base64" in encodings):
            raise MixedEncodings(self.found)


DIGITS_ONLY = "hex"  # sixty-four digits and no letter: either case, so it decides nothing
_HEX = re.compile(r"[0-9a-fA-F]+")
_HEX_HASH = re.compile(r"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})")
_BASE64_HASH = re.compile(r"[0-9A-Za-z+/]{43}=|[0-9A-Za-z+/]{27}=")
_RAW = re.compile(
    r"\+?[0-9 ().\-/]{7,20}"  # a phone number
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # a device ID
    r"|(?:[0-9]{1,3}\.){3}[0-9]{1,3}"  # an IP address
)
_WORDS = (b"", b" ", b"null", b"NULL", b"none", b"None", b"nan", b"NaN", b"undefined", b"n/a", b"N/A", b"0")
_ZERO_IDS = (b"00000000-0000-0000-0000-000000000000", b"0" * 32, b"0.0.0.0")


def looks_hashed(text: str) -> bool:
    """Whether a text is as long and as plain as an MD5, SHA-1 or SHA-256 in hex or base64."""
    return bool(_HEX_HASH.fullmatch(text) or _BASE64_HASH.fullmatch(text))


def decoded(text: str, algorithm: str = "sha256") -> tuple[bytes, str] | RejectCode:
    """The bytes and the encoding (hex-lower, hex-upper, hex, base64) of a hash, or why it is none."""
    core, size = text.strip(WHITESPACE), SIZES[algorithm]
    if not core:
        return RejectCode.EMPTY
    if "@" in core:
        return RejectCode.RAW_EMAIL_IN_HASHED_COLUMN
    if _RAW.fullmatch(core):
        return RejectCode.RAW_IN_HASHED_COLUMN
    result = _from_hex(core, size) if _HEX.fullmatch(core) else _from_base64(core, size)
    if isinstance(result, RejectCode):
        return result
    return _telling(algorithm).get(result[0], result)


@cache
def _telling(algorithm: str) -> Mapping[bytes, RejectCode]:
    """Digests that are refused for what was hashed."""
    once = {hashlib.new(algorithm, text).digest() for text in (*_WORDS, *_ZERO_IDS)} | {bytes(SIZES[algorithm])}
    twice = {hashlib.new(algorithm, text).digest() for digest in once | common(algorithm) for text in _written(digest)}
    return dict.fromkeys(once, RejectCode.HASH_OF_NOTHING) | dict.fromkeys(twice, RejectCode.HASHED_TWICE)


def _written(digest: bytes) -> tuple[bytes, ...]:
    return digest, digest.hex().encode(), digest.hex().upper().encode(), base64.b64encode(digest)


@cache
def known_digests(algorithm: str, kind: str = "email") -> Known:
    """Digests that tell what was hashed: of nothing, of what programs write for none, of device IDs of zeros, of values
    that many lists hold, those of a kind among them; and hashes of these."""
    return Known(frozenset(_telling(algorithm)) | common(algorithm) | of_kind(kind, algorithm).digests)


def _from_hex(text: str, size: int) -> tuple[bytes, str] | RejectCode:
    if len(text) != 2 * size:
        return _encoded(bytes.fromhex(text), size, RejectCode.HEX_OF_HEX) if len(text) % 2 == 0 else _LENGTH
    lower, upper = text == text.lower(), text == text.upper()
    if not lower and not upper:
        return RejectCode.NOT_A_HASH
    if lower and upper:
        return bytes.fromhex(text), DIGITS_ONLY
    return bytes.fromhex(text), "hex-lower" if lower else "hex-upper"


_LENGTH = RejectCode.WRONG_LENGTH


def _encoded(raw: bytes, size: int, of_hex: RejectCode) -> RejectCode:
    """What bytes of another size were: the text of a hash that was encoded once more, or something else."""
    text = raw.decode("latin-1")
    if len(raw) == 2 * size and _HEX.fullmatch(text):
        return of_hex
    return RejectCode.ENCODED_TWICE if _BASE64_HASH.fullmatch(text) else _LENGTH


_BASE64_SIZES = frozenset({24, 28, 40, 44, 56, 60, 88})  # MD5, SHA-1, SHA-256, and their texts; SHA-512


def _from_base64(text: str, size: int) -> tuple[bytes, str] | RejectCode:
    if len(text) not in _BASE64_SIZES:
        return RejectCode.NOT_A_HASH
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return RejectCode.NOT_A_HASH
    if base64.b64encode(raw).decode() != text:  # bits after the end: another spelling of the same bytes
        return RejectCode.NOT_A_HASH
    return (raw, "base64") if len(raw) == size else _encoded(raw, size, RejectCode.BASE64_OF_HEX)
