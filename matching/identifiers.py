"""From a column of identifiers to raw SHA-256 digests: normalised under a named scheme, or decoded when
hashed already.

The code ensures: no value reaches an exception, a log or a repr; a value that does not follow the rule is
counted by reason, never repaired or guessed; a hashed column is read in one encoding or not at all.
The caller ensures: `scheme` is the one the contract pins; a column that arrives hashed was normalised under
that very scheme (a hash cannot show it).

White space around a value (the six of ASCII) never counts towards its size or its shape. What a normalised
value must not hold: control and format characters, surrogates, line and paragraph separators, and spaces
other than U+0020. They are invisible, and published programs disagree on whether they are trimmed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .schemes import Rule, load
from .schemes.steps import WHITESPACE

LARGEST = 320  # bytes of UTF-8: 64 for a mailbox, 1, 255 for a domain (RFC 3696 section 3, before its erratum)
DIGEST_SIZE = 32
Arrives = Literal["raw", "sha256"]


class RejectCode(StrEnum):
    """Why a value was not accepted."""

    EMPTY = "empty"  # null, or white space only
    NOT_UTF8 = "not-utf8"
    TOO_LONG = "too-long"
    CONTROL_CHARACTER = "control-character"  # any of the invisible characters named above
    NOT_AN_EMAIL = "not-an-email"
    ALREADY_HASHED = "already-hashed"  # a hash in a column of raw values
    RAW_EMAIL_IN_HASHED_COLUMN = "raw-email-in-hashed-column"
    WRONG_LENGTH = "wrong-length"  # hex or base64 of something that is not 32 bytes: MD5, SHA-1, SHA-512, cut off
    BASE64_OF_HEX = "base64-of-hex"
    HEX_OF_HEX = "hex-of-hex"
    ENCODED_TWICE = "encoded-twice"  # hex or base64 of base64
    HASHED_TWICE = "hashed-twice"  # shows in the hash of a hash of nothing only: such a column is doubly hashed
    HASH_OF_NOTHING = "hash-of-nothing"  # of an empty value or of what programs write for none; or all zero
    NOT_A_HASH = "not-a-hash"


class MixedEncodings(Exception):
    """A hashed column holds more than one encoding. Carries how many values each has, never a value."""

    def __init__(self, found: Mapping[str, int]) -> None:
        super().__init__(dict(found))
        self.found = dict(found)


class NotText(Exception):
    """The column holds no text. Carries the Arrow type's name only."""

    def __init__(self, arrow_type: str) -> None:
        super().__init__(arrow_type)
        self.arrow_type = arrow_type


@dataclass(frozen=True, slots=True)
class Reject:
    """A value that was refused, by reason only."""

    code: RejectCode


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Digests:
    """One column's raw digests, bound to the kind and scheme they were made under.

    values: (rows, 32) uint8, zeros where refused. accepted: (rows,) bool. rejects: how many rows by reason;
    they stay at the party.
    """

    values: NDArray[np.uint8]
    accepted: NDArray[np.bool_]
    rejects: Mapping[RejectCode, int]
    kind: str
    scheme: str

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row numbers of the accepted values, ascending: one for each handle made of them."""
        return np.flatnonzero(self.accepted).astype(np.int64)

    def __repr__(self) -> str:
        return f"Digests({len(self.accepted)} rows, {self.kind}, {self.scheme})"


def normalise(scheme: str, kind: str, text: str) -> str | Reject:
    """The text as the scheme writes it before hashing. Errors: UnknownScheme, UnknownKind."""
    result = _normalised(load(scheme).rule(kind), text)
    return Reject(result) if isinstance(result, RejectCode) else result


def digest_of(text: str) -> bytes | Reject:
    """The 32 bytes of a SHA-256 written as 64 hex digits of one case or as padded base64 (44 characters)."""
    result = _decoded(text)
    return Reject(result) if isinstance(result, RejectCode) else result[0]


def digests(column: pa.ChunkedArray | pa.Array, scheme: str, kind: str, arrives: Arrives) -> Digests:
    """Raw digests of a column of strings, in row order.

    Errors: UnknownScheme, UnknownKind, NotText, MixedEncodings (arrives hashed, in more than one encoding).
    """
    rule = load(scheme).rule(kind)
    reader = _Hashed() if arrives == "sha256" else _Raw(rule)
    values, accepted, rejects = _fill(_texts(column), reader.read)
    reader.finish()
    return Digests(values, accepted, MappingProxyType(rejects), kind, scheme)


class _Raw:
    """Reads raw values: normalise, then SHA-256."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def read(self, text: str) -> bytes | RejectCode:
        result = _normalised(self.rule, text)
        if isinstance(result, RejectCode):
            return result
        return hashlib.sha256(result.encode()).digest()

    def finish(self) -> None:
        """A raw column has nothing to check as a whole."""


class _Hashed:
    """Reads hashes, and remembers in which encodings they came."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def read(self, text: str) -> bytes | RejectCode:
        result = _decoded(text)
        if isinstance(result, RejectCode):
            return result
        digest, encoding = result
        self.found[encoding] += 1
        return digest

    def finish(self) -> None:
        encodings = {name: count for name, count in self.found.items() if name != _DIGITS_ONLY}
        if len(encodings) > 1 or (_DIGITS_ONLY in self.found and "base64" in encodings):
            raise MixedEncodings(self.found)


# The seam for a faster path: whoever replaces `_fill` for a whole column must agree with `read` on every
# value.
def _fill(
    texts: Iterator[bytes | None], read: Callable[[str], bytes | RejectCode]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], dict[RejectCode, int]]:
    out, accepted, rejects = bytearray(), bytearray(), Counter[RejectCode]()
    nothing = bytes(DIGEST_SIZE)
    for raw in texts:
        result = _read_bytes(raw, read)
        refused = isinstance(result, RejectCode)
        if isinstance(result, RejectCode):
            rejects[result] += 1
        out += nothing if isinstance(result, RejectCode) else result
        accepted.append(not refused)
    values = np.frombuffer(bytes(out), dtype=np.uint8).reshape(-1, DIGEST_SIZE)
    return values, np.frombuffer(bytes(accepted), dtype=np.bool_), dict(rejects)


def _read_bytes(raw: bytes | None, read: Callable[[str], bytes | RejectCode]) -> bytes | RejectCode:
    if raw is None:
        return RejectCode.EMPTY
    try:
        text = raw.decode()
    except UnicodeDecodeError:  # holds the value: it must not travel
        return RejectCode.NOT_UTF8
    return read(text)


def _texts(column: pa.ChunkedArray | pa.Array) -> Iterator[bytes | None]:
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if not _is_text(column.type):
        raise NotText(str(column.type.id))
    return (raw for chunk in chunks for raw in _bytes_of(chunk))


def _is_text(arrow_type: pa.DataType) -> bool:
    inner = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(is_kind(inner) for is_kind in kinds)


def _bytes_of(chunk: pa.Array) -> list[bytes | None]:
    """As bytes: an Arrow string need not be UTF-8, and the error for one that is not holds the value."""
    plain = chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk
    values: list[bytes | None] = plain.cast(pa.large_binary()).to_pylist()
    return values


_HEX_HASH = re.compile(r"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})")
_BASE64_HASH = re.compile(r"[0-9A-Za-z+/]{43}=")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})


def _normalised(rule: Rule, text: str) -> str | RejectCode:
    core = text.strip(WHITESPACE)
    if not core:
        return RejectCode.EMPTY
    if len(core) > LARGEST:
        return RejectCode.TOO_LONG
    if "@" not in core and (_HEX_HASH.fullmatch(core) or _BASE64_HASH.fullmatch(core)):
        return RejectCode.ALREADY_HASHED
    result = rule.apply(text)
    if result is None:
        return RejectCode.NOT_AN_EMAIL
    if not result.isprintable() and _holds_invisible(result):
        return RejectCode.CONTROL_CHARACTER
    if not result.isascii() and len(result.encode()) > LARGEST:
        return RejectCode.TOO_LONG
    return result


def _holds_invisible(text: str) -> bool:
    return any(c != " " and unicodedata.category(c) in _INVISIBLE for c in text)


_DIGITS_ONLY = "hex"  # sixty-four digits and no letter: either case, so it decides nothing
_HEX = re.compile(r"[0-9a-fA-F]+")
_NOTHING = frozenset(
    hashlib.sha256(text).digest()
    for text in (b"", b" ", b"null", b"NULL", b"none", b"None", b"nan", b"NaN", b"undefined", b"n/a", b"N/A")
) | {bytes(DIGEST_SIZE)}
_NOTHING_TWICE = frozenset(
    hashlib.sha256(text).digest()
    for once in _NOTHING
    for text in (once, once.hex().encode(), once.hex().upper().encode(), base64.b64encode(once))
)


def _decoded(text: str) -> tuple[bytes, str] | RejectCode:
    core = text.strip(WHITESPACE)
    if not core:
        return RejectCode.EMPTY
    if "@" in core:
        return RejectCode.RAW_EMAIL_IN_HASHED_COLUMN
    result = _from_hex(core) if _HEX.fullmatch(core) else _from_base64(core)
    if isinstance(result, RejectCode):
        return result
    if result[0] in _NOTHING_TWICE:
        return RejectCode.HASHED_TWICE
    return RejectCode.HASH_OF_NOTHING if result[0] in _NOTHING else result


def _from_hex(text: str) -> tuple[bytes, str] | RejectCode:
    if len(text) != 2 * DIGEST_SIZE:
        return _encoded(bytes.fromhex(text), RejectCode.HEX_OF_HEX) if len(text) % 2 == 0 else RejectCode.WRONG_LENGTH
    lower, upper = text == text.lower(), text == text.upper()
    if not lower and not upper:
        return RejectCode.NOT_A_HASH
    if lower and upper:
        return bytes.fromhex(text), _DIGITS_ONLY
    return bytes.fromhex(text), "hex-lower" if lower else "hex-upper"


def _encoded(raw: bytes, of_hex: RejectCode) -> RejectCode:
    """What bytes that are not 32 were: the text of a hash that was encoded once more, or something else."""
    if len(raw) == 2 * DIGEST_SIZE and _HEX.fullmatch(raw.decode("latin-1")):
        return of_hex
    return RejectCode.ENCODED_TWICE if _BASE64_HASH.fullmatch(raw.decode("latin-1")) else RejectCode.WRONG_LENGTH


_BASE64_SIZES = frozenset({24, 28, 44, 60, 88})  # of MD5, SHA-1, SHA-256, base64 text; SHA-512 and hex text


def _from_base64(text: str) -> tuple[bytes, str] | RejectCode:
    if len(text) not in _BASE64_SIZES:
        return RejectCode.NOT_A_HASH
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return RejectCode.NOT_A_HASH
    if base64.b64encode(raw).decode() != text:  # bits after the end: another spelling of the same bytes
        return RejectCode.NOT_A_HASH
    return (raw, "base64") if len(raw) == DIGEST_SIZE else _encoded(raw, RejectCode.BASE64_OF_HEX)
