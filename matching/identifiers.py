"""From a column of identifiers to raw digests: normalised under a named scheme, or decoded when hashed already.

The code ensures: no value reaches an exception, a log or a repr; a value that does not follow the rule is
counted by reason, never repaired or guessed; a hashed column is read in one encoding or not at all.
The caller ensures: `scheme` is the one the contract pins; a column that arrives hashed was normalised under
that very scheme (a hash cannot show it).

White space around a value (the six of ASCII) never counts towards its size or its shape. What a normalised
value must not hold: control and format characters, surrogates, line and paragraph separators, and spaces
other than U+0020. They are invisible, and published programs disagree on whether they are trimmed.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .encodings import SIZES, Answer, HashReader, decoded, looks_hashed
from .encodings import MixedEncodings as MixedEncodings
from .fast import answered_fast, decoded_fast, is_worth_it
from .rejects import RejectCode as RejectCode
from .schemes import Rule, load
from .schemes.setting import NOTHING_DECLARED, Setting
from .schemes.steps import WHITESPACE
from .suspects import suspicion
from .well_known import of_kind

LARGEST = 320  # bytes of UTF-8: 64 for a mailbox, 1, 255 for a domain (RFC 3696 section 3, before its erratum)
DIGEST_SIZE = SIZES["sha256"]
Arrives = Literal["raw", "sha256", "sha1"]
Suspicious = Literal["count", "refuse"]


class NotText(Exception):
    """The column holds no text. Carries the Arrow type's name only."""

    def __init__(self, arrow_type: str) -> None:
        super().__init__(arrow_type)
        self.arrow_type = arrow_type


class WrongHash(Exception):
    """A column is said to hold another hash than the scheme makes. kind, scheme, and the hash it makes."""

    def __init__(self, kind: str, scheme: str, makes: str) -> None:
        super().__init__(kind, scheme, makes)
        self.kind, self.scheme, self.makes = kind, scheme, makes


@dataclass(frozen=True, slots=True)
class Reject:
    """A value that was refused, by reason only."""

    code: RejectCode


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Digests:
    """One column's raw digests, bound to the kind and scheme they were made under.

    values: (rows, 32) uint8, or (rows, 20) where the scheme hashes with SHA-1; zeros where refused. accepted: (rows,)
    bool. rejects: how many rows by reason; suspects: how many accepted rows are odd, by reason. Both stay at the party.
    reasons: (rows,) uint8, 0 where accepted, else the place of the reason among all, from 1. odd: the same of accepted
    rows, 0 where nothing is odd.
    """

    values: NDArray[np.uint8]
    accepted: NDArray[np.bool_]
    rejects: Mapping[RejectCode, int]
    kind: str
    scheme: str
    suspects: Mapping[RejectCode, int] = field(default_factory=dict)
    reasons: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    odd: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    @property
    def there(self) -> NDArray[np.bool_]:
        """(rows,) bool: which hold a value at all, accepted or not."""
        there: NDArray[np.bool_] = self.reasons != np.uint8(_PLACES[RejectCode.EMPTY])
        return there

    def refused(self, rows: NDArray[np.bool_]) -> Counter[RejectCode]:
        """How many of these rows were refused, by reason."""
        return _counted(self.reasons[rows])

    def refused_for(self, code: RejectCode) -> NDArray[np.bool_]:
        """(rows,) bool: which were refused for one reason."""
        refused: NDArray[np.bool_] = self.reasons == np.uint8(_PLACES[code])
        return refused

    def suspected(self, rows: NDArray[np.bool_]) -> Counter[RejectCode]:
        """How many of these rows are accepted and odd, by reason."""
        return _counted(self.odd[rows])

    def suspected_for(self, code: RejectCode) -> NDArray[np.bool_]:
        """(rows,) bool: which are accepted and odd for one reason."""
        odd: NDArray[np.bool_] = self.odd == np.uint8(_PLACES[code])
        return odd

    @property
    def nobodys(self) -> NDArray[np.bool_]:
        """(rows,) bool: which hold a value that many lists hold and that is nobody's (`matching.well_known`)."""
        return of_kind(self.kind, load(self.scheme).rule(self.kind).hash).rows(self.values) & self.accepted

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row numbers of the accepted values, ascending: one for each handle made of them."""
        return np.flatnonzero(self.accepted).astype(np.int64)

    def __repr__(self) -> str:
        return f"Digests({len(self.accepted)} rows, {self.kind}, {self.scheme})"


def normalise(scheme: str, kind: str, text: str, setting: Setting = NOTHING_DECLARED) -> str | Reject:
    """The text as the scheme writes it before hashing. Errors: UnknownScheme, UnknownKind, WindowMissing."""
    result = normalised(load(scheme).rule(kind), kind, text, setting)
    return Reject(result) if isinstance(result, RejectCode) else result


def digest_of(text: str) -> bytes | Reject:
    """The 32 bytes of a SHA-256 written as 64 hex digits of one case or as padded base64 (44 characters)."""
    result = decoded(text)
    return Reject(result) if isinstance(result, RejectCode) else result[0]


def digests(
    column: pa.ChunkedArray | pa.Array,
    scheme: str,
    kind: str,
    arrives: Arrives,
    setting: Setting = NOTHING_DECLARED,
    suspicious: Suspicious = "count",
    secret: bytes | None = None,
) -> Digests:
    """Raw digests of a column of strings, in row order.

    secret: where given, a raw column gives HMACs under it instead of plain hashes.

    Errors: UnknownScheme, UnknownKind, WindowMissing, NotText, WrongHash, MixedEncodings (arrives hashed, in more than
    one encoding).
    """
    reading = Reading(scheme, kind, arrives, setting, suspicious, secret)
    made = reading.take(column)
    reading.finish()
    made.values.setflags(write=False)
    made.accepted.setflags(write=False)
    made.reasons.setflags(write=False)
    made.odd.setflags(write=False)
    return made


class Reading:
    """One column read piece by piece, in the memory of its largest piece."""

    def __init__(
        self,
        scheme: str,
        kind: str,
        arrives: Arrives,
        setting: Setting = NOTHING_DECLARED,
        suspicious: Suspicious = "count",
        secret: bytes | None = None,
    ) -> None:
        """As `digests`. Errors: UnknownScheme, UnknownKind, WrongHash."""
        rule = load(scheme).rule(kind)
        if arrives not in ("raw", rule.hash):
            raise WrongHash(kind, scheme, rule.hash)
        self._kind, self._scheme, self._size = kind, scheme, SIZES[rule.hash]
        refuses = suspicious == "refuse"
        raw = _Raw(rule, kind, setting, secret, refuses=refuses) if arrives == "raw" else None
        self._reader: _Reader = raw or HashReader(rule.hash, kind, refuses=refuses)
        self._values, self._reasons, self._odd = _places(0, self._size)

    def take(self, column: pa.ChunkedArray | pa.Array) -> Digests:
        """The digests of the next rows, and counts of these alone. The next call writes over them.

        Errors: NotText, WindowMissing.
        """
        refuse_other_than_text(column)
        values, reasons, odd = self._room(len(column))
        begin = 0
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            rows = slice(begin, begin + len(chunk))
            worth_it = is_worth_it(len(column))
            _read_chunk(chunk, self._reader, values[rows], reasons[rows], odd[rows], worth_it=worth_it)
            begin = rows.stop
        rejects, suspects = (MappingProxyType(dict(_counted(each))) for each in (reasons, odd))
        return Digests(values, reasons == 0, rejects, self._kind, self._scheme, suspects, reasons, odd)

    def finish(self) -> None:
        """What only a whole column shows. Nothing that was read counts before. Errors: MixedEncodings."""
        self._reader.finish()

    def _room(self, rows: int) -> Places:
        if len(self._reasons) < rows:
            self._values, self._reasons, self._odd = _places(rows, self._size)
        return self._values[:rows], self._reasons[:rows], self._odd[:rows]


Places: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Where digests, reasons and what is odd of so many rows are put."""


def _places(rows: int, size: int) -> Places:
    return np.empty((rows, size), np.uint8), np.empty(rows, np.uint8), np.empty(rows, np.uint8)


_PLACES = {code: place for place, code in enumerate(RejectCode, 1)}


def _counted(reasons: NDArray[np.uint8]) -> Counter[RejectCode]:
    """How many rows have each reason."""
    counts = np.bincount(reasons, minlength=len(_PLACES) + 1).tolist()
    return Counter({code: counts[place] for code, place in _PLACES.items() if counts[place]})


class _Reader(Protocol):
    def read(self, text: str) -> Answer: ...
    def finish(self) -> None: ...


class _Raw:
    """Reads raw values: normalise, then hash. Says what is odd."""

    def __init__(self, rule: Rule, kind: str, setting: Setting, secret: bytes | None, *, refuses: bool) -> None:
        self.rule, self.kind, self.setting, self.secret = rule, kind, setting, secret
        self.refuses = refuses
        self.hash: Callable[[bytes], hashlib._Hash] = getattr(hashlib, rule.hash)

    def read(self, text: str) -> Answer:
        result = normalised(self.rule, self.kind, text, self.setting)
        if isinstance(result, RejectCode):
            return result
        odd = suspicion(self.kind, result)
        if odd is not None and self.refuses:
            return odd
        if self.secret is not None:
            return hmac.digest(self.secret, result.encode(), self.rule.hash), odd
        return self.hash(result.encode()).digest(), odd

    def finish(self) -> None:
        """A raw column has nothing to check as a whole."""


def _read_chunk(
    chunk: pa.Array,
    reader: _Reader,
    values: NDArray[np.uint8],
    reasons: NDArray[np.uint8],
    odd: NDArray[np.uint8],
    *,
    worth_it: bool,
) -> None:
    """Puts digests, why there is none, and what is odd into their places: first the rows that compiled code answers,
    then the others one by one."""
    reasons[:], odd[:] = 0, 0
    answered = _answered(chunk, reader, values, odd) if worth_it else None
    left = np.arange(len(chunk)) if answered is None else np.flatnonzero(~answered)
    rest = chunk if len(left) == len(chunk) else chunk.take(pa.array(left))
    values[left], reasons[left], odd[left] = _fill(as_binary(rest).to_pylist(), reader.read, values.shape[1])


def _answered(
    chunk: pa.Array, reader: _Reader, values: NDArray[np.uint8], odd: NDArray[np.uint8]
) -> NDArray[np.bool_] | None:
    """Which rows compiled code answered; None where it reads no such column."""
    if isinstance(reader, HashReader):
        if (hashes := decoded_fast(chunk, reader.algorithm, reader.kind, values)) is None:
            return None
        reader.found.update(hashes.encodings)
        return hashes.answered
    if not isinstance(reader, _Raw):
        return None
    if (fast := answered_fast(chunk, reader.rule, reader.kind, values, reader.secret)) is None:
        return None
    if reader.refuses:
        return fast.answered & ~fast.test_values
    odd[fast.test_values] = _PLACES[RejectCode.TEST_VALUE]
    return fast.answered


def _fill(texts: list[bytes | None], read: Callable[[str], Answer], size: int) -> Places:
    """Digests, zeros where refused; the places of the reasons; and of what is odd."""
    out, reasons, odd = bytearray(), bytearray(), bytearray()
    nothing = bytes(size)
    for raw in texts:
        result = _read_bytes(raw, read)
        refused = result if isinstance(result, RejectCode) else None
        digest, suspect = (nothing, None) if isinstance(result, RejectCode) else result
        out += digest
        reasons.append(_PLACES[refused] if refused else 0)
        odd.append(_PLACES[suspect] if suspect else 0)
    values, why, what = (np.frombuffer(held, dtype=np.uint8) for held in (out, reasons, odd))
    return values.reshape(-1, size), why, what


def _read_bytes(raw: bytes | None, read: Callable[[str], Answer]) -> Answer:
    if raw is None:
        return RejectCode.EMPTY
    try:
        text = raw.decode()
    except UnicodeDecodeError:  # holds the value: it must not travel
        return RejectCode.NOT_UTF8
    return read(text)


def refuse_other_than_text(column: pa.ChunkedArray | pa.Array) -> None:
    """Errors: NotText."""
    if not _is_text(column.type):
        raise NotText(str(column.type.id))


def _is_text(arrow_type: pa.DataType) -> bool:
    inner = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(is_kind(inner) for is_kind in kinds)


def as_binary(chunk: pa.Array) -> pa.Array:
    """As bytes: an Arrow string need not be UTF-8, and the error for one that is not holds the value.

    Values that rows share are made wide before they are written out, which may take more than 2 GiB.
    """
    if pa.types.is_dictionary(chunk.type):
        return pa.DictionaryArray.from_arrays(chunk.indices, as_binary(chunk.dictionary)).dictionary_decode()
    return chunk.cast(pa.large_binary())


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
MAY_LOOK_HASHED = frozenset({"first-party", "idfa", "gaid", "maid", "ctv"})
"""Kinds whose own values are as plain as a hash. Device IDs have a reason of their own for 32 digits and no hyphens."""


def normalised(rule: Rule, kind: str, text: str, setting: Setting) -> str | RejectCode:
    """The text as the rule writes it, within the checks that all rules share. Errors: WindowMissing."""
    if (refused := refused_before(kind, text)) is not None:
        return refused
    result = rule.apply(text, setting)
    return result if isinstance(result, RejectCode) else refused_after(result) or result


def refused_before(kind: str, text: str) -> RejectCode | None:
    """Why no rule looks at a text at all; None where one does."""
    core = text.strip(WHITESPACE)
    if not core:
        return RejectCode.EMPTY
    if len(core) > LARGEST:
        return RejectCode.TOO_LONG
    if "@" not in core and kind not in MAY_LOOK_HASHED and looks_hashed(core):
        return RejectCode.ALREADY_HASHED
    return None


def refused_after(result: str) -> RejectCode | None:
    """Why a normalised text is not hashed; None where it is."""
    if not result.isprintable() and _holds_invisible(result):
        return RejectCode.CONTROL_CHARACTER
    if not result.isascii() and len(result.encode()) > LARGEST:
        return RejectCode.TOO_LONG
    return None


def _holds_invisible(text: str) -> bool:
    return any(c != " " and unicodedata.category(c) in _INVISIBLE for c in text)
