"""Why two lists match badly: what one party can see in its own list, without the other's and without spending.

Each `Cause` names rows that cannot match as they are, or would not match a list that was made otherwise, with a share
of the list. What fixing it gives follows: where a share a of the rows cannot match and all rows together match at the
rate r that a paid overlap showed, fixing it adds at most a * r / (1 - a). Without an overlap r is not known, and at
most a of the rows are won. It is an upper bound on both counts: fixed rows match no better than the others do.

The code ensures: nothing here reads another party's list, a key or a handle; causes carry counts and words, no value.
"""

from __future__ import annotations

import hashlib
import math
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from .encodings import SIZES, MixedEncodings, decoded
from .identifiers import Arrives, Digests, as_binary, digests, normalised, refuse_other_than_text
from .rejects import RejectCode
from .schemes import known, load
from .schemes.setting import NOTHING_DECLARED, Setting

MOST_SAMPLED = 20_000
"""Rows that are looked at under every scheme, spread over the list."""
SAME = 0.0005
"""Schemes that treat fewer of the rows otherwise count as alike."""

Name = Literal[
    "scheme", "gmail", "country-code", "encoding", "form", "test-values", "domain", "repeats", "stale", "key"
]
_WINS_NOTHING: tuple[Name, ...] = ("repeats", "test-values")


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that costs matches. what: in words. rows: how many of `of` it concerns. remedy: what to do.

    certain: False where it depends on how the other list was made. detail: tells it from others of its name.
    """

    name: Name
    what: str
    rows: int
    of: int
    remedy: str
    certain: bool = True
    detail: str = ""

    @property
    def label(self) -> str:
        return f"{self.name} {self.detail}".rstrip()

    @property
    def share(self) -> float:
        return self.rows / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Gain:
    """What fixing a cause adds to the match rate, at most. low, high: over the overlap's interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Observed:
    """A match rate that was paid for, with its interval."""

    low: float
    rate: float
    high: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """How hashes were made of raw values that stand beside them. scheme: "" where it was none."""

    scheme: str
    layers: str
    share: float


def examine(
    column: pa.ChunkedArray, scheme: str, kind: str, arrives: Arrives, setting: Setting = NOTHING_DECLARED
) -> list[Cause]:
    """What a column of one's own shows, the costliest first.

    Errors: UnknownScheme, UnknownKind, WindowMissing, NotText, WrongHash.
    """
    try:
        made = digests(column, scheme, kind, arrives, setting)
    except MixedEncodings as error:
        return [_mixed(error, len(column))]
    causes = [*_rejected(made), *_odd(made), *_repeats(made)]
    if arrives == "raw":
        sample = _sample(column)
        causes += [*_other_schemes(sample, scheme, kind, setting), *_gmail(sample, kind)]
        causes = [_scaled(cause, len(column)) for cause in causes]
    else:
        causes.append(_unseen(len(column), scheme, kind))
    return ranked(causes)


def ranked(causes: Iterable[Cause]) -> list[Cause]:
    """What is certain first, then what depends on the other list; the costliest first."""
    return sorted(causes, key=lambda cause: (not cause.certain, -cause.share, cause.name))


def gain(cause: Cause, observed: Observed | None) -> Gain | None:
    """What fixing it adds to the match rate at most; None where nothing is won by it alone."""
    if cause.name in _WINS_NOTHING:
        return None
    if observed is None:
        return Gain(0.0, cause.share)
    ends = sorted(min(_won(cause.share, rate), max(0.0, 1 - rate)) for rate in (observed.low, observed.high))
    return Gain(*ends)


def refuted(cause: Cause, observed: Observed) -> bool:
    """Whether more rows match than could if the cause held: none of those it concerns would."""
    return cause.share > 1 - observed.low + SAME


def weighed(causes: Sequence[Cause], observed: Observed) -> list[Cause]:
    """The same causes, and of test values what a rate says of them: where too many rows match, some of them do."""
    return [_held(each) if each.name == "test-values" and refuted(each, observed) else each for each in causes]


def _held(cause: Cause) -> Cause:
    what = "kept, and set aside for tests and manuals; yet so many rows match that some of these do"
    return replace(cause, what=what, remedy="nothing is to be done: both lists hold them")


def likely(causes: Sequence[Cause], observed: Observed) -> list[Cause]:
    """Which causes could explain a match rate alone, the best first.

    Where the rate may be nothing at all, those that concern (almost) every row come first: few rows cannot explain it.
    """
    candidates = [cause for cause in causes if cause.name not in _WINS_NOTHING]
    if observed.low <= SAME:
        total = [cause for cause in candidates if cause.share > 1 - 10 * SAME]
        return total or candidates
    return [cause for cause in candidates if cause.share <= 1 - observed.low + SAME]


def recipes(raw: pa.ChunkedArray, hashed: pa.ChunkedArray, kind: str, setting: Setting) -> list[Recipe]:
    """How the hashes of one's own list were made, where it holds the raw values too: the best fitting first.

    Schemes that fit alike are all named. Rows without either value are passed over. Errors: NotText.
    """
    pairs = _pairs(raw, hashed)
    if not pairs:
        return []
    fits: Counter[tuple[str, str]] = Counter()
    for text, digest in pairs:
        for scheme, layers, made in _made(text, kind, setting):
            fits[scheme, layers] += made == digest
    found = [Recipe(scheme, layers, count / len(pairs)) for (scheme, layers), count in fits.items() if count]
    return sorted(found, key=lambda each: (-each.share, each.layers != "once", each.scheme))


# -- causes ----------------------------------------------------------------------------------------------------------


def _rejected(made: Digests) -> Iterator[Cause]:
    for code, rows in made.rejects.items():
        name: Name = "country-code" if code in _COUNTRY else "encoding" if code in _ENCODING else "form"
        remedy = _REMEDIES.get(code, "mend these values")
        yield Cause(name, f"left out: {code}", rows, len(made.accepted), remedy, detail=code)


_COUNTRY = (RejectCode.NO_COUNTRY, RejectCode.AMBIGUOUS, RejectCode.UNKNOWN_COUNTRY, RejectCode.DIGITS)
_ENCODING = (
    RejectCode.NOT_UTF8,
    RejectCode.WRONG_LENGTH,
    RejectCode.BASE64_OF_HEX,
    RejectCode.HEX_OF_HEX,
    RejectCode.ENCODED_TWICE,
    RejectCode.HASHED_TWICE,
    RejectCode.ALREADY_HASHED,
    RejectCode.RAW_EMAIL_IN_HASHED_COLUMN,
    RejectCode.RAW_IN_HASHED_COLUMN,
    RejectCode.NOT_A_HASH,
)
_REMEDIES = {
    RejectCode.NO_COUNTRY: 'declare whose numbers they are: `country = "US"` in the contract, `--country US` here',
    RejectCode.DIGITS: "a digit is missing, or they are of another country than is declared",
    RejectCode.ALREADY_HASHED: "the column holds hashes: say so in the contract, or name the raw column",
    RejectCode.HASHED_TWICE: "hash the normalised values once",
    RejectCode.ALL_ZERO: "these devices have tracking switched off: nobody can match them",
    RejectCode.EMPTY: "there is nothing to match: another identifier may be there",
}


def _odd(made: Digests) -> Iterator[Cause]:
    for code, rows in made.suspects.items():
        if code == RejectCode.TEST_VALUE:
            what = "kept, and set aside for tests and manuals: no real person has them"
            remedy = "leave them out, unless both lists are made up"
            yield Cause("test-values", what, rows, len(made.accepted), remedy, certain=False)
        else:
            what = f"kept, and conventions disagree on them: {code}"
            remedy = "agree with the other side on " + _AGREE.get(code, "`xn--...`")
            yield Cause("domain", what, rows, len(made.accepted), remedy, certain=False, detail=code)


_AGREE = {RejectCode.FOREIGN_MAILBOX: "one scheme, and on letters composed as Unicode's NFC has them"}


def _repeats(made: Digests) -> Iterator[Cause]:
    values = np.ascontiguousarray(made.values[made.accepted])
    people = len(np.unique(values.view(f"V{values.shape[1]}"))) if len(values) else 0
    if rows := len(values) - people:
        what = f"the same person again: {people:,} people in {len(values):,} rows"
        yield Cause("repeats", what, rows, len(made.accepted), "`prepare` merges them; count people, not rows")


def _mixed(error: MixedEncodings, rows: int) -> Cause:
    fewer = sum(error.found.values()) - max(error.found.values())
    return Cause("encoding", "hashes in more than one encoding", fewer, rows, "hash every row with one program")


def _unseen(rows: int, scheme: str, kind: str) -> Cause:
    """A hash shows neither its scheme nor how often it was hashed."""
    what = f"hashes: whether they were made by {scheme}, and once, does not show in them"
    remedy = "name the raw column beside them with `--raw-column`: that tells how they were made"
    others = _schemes(kind, scheme)
    return Cause("scheme", what, rows if others else 0, rows, remedy, certain=False)


def _schemes(kind: str, scheme: str) -> list[str]:
    return [name for name in known() if name != scheme and kind in load(name).rules]


def _sample(column: pa.ChunkedArray) -> list[str | None]:
    """Rows spread over the list, those without a value too: shares of it are shares of the list."""
    return _texts(column, max(1, len(column) // MOST_SAMPLED))


def _texts(column: pa.ChunkedArray, step: int) -> list[str | None]:
    """Rows at that distance, as text; None where it holds none. Errors: NotText."""
    refuse_other_than_text(column)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    plain = pa.chunked_array(map(as_binary, chunks), pa.large_binary())
    return [_text(raw) for raw in plain.take(pa.array(np.arange(0, len(plain), step))).to_pylist()]


def _text(raw: bytes | None) -> str | None:
    try:
        return raw.decode() if raw is not None else None
    except UnicodeDecodeError:
        return None


def _scaled(cause: Cause, rows: int) -> Cause:
    """Of a sample, to the whole list."""
    if cause.of == rows or not cause.of:
        return cause
    return replace(cause, rows=math.ceil(cause.share * rows), of=rows)


def _other_schemes(sample: list[str | None], scheme: str, kind: str, setting: Setting) -> Iterator[Cause]:
    """How many rows another scheme hashes otherwise: they would not match a list that was hashed by it."""
    ours = [_hash(scheme, kind, text, setting) if text is not None else None for text in sample]
    alike: dict[int, list[str]] = {}
    for name in _schemes(kind, scheme):
        differ = sum(
            text is not None and mine is not None and _hash(name, kind, text, setting) != mine
            for text, mine in zip(sample, ours, strict=True)
        )
        alike.setdefault(differ, []).append(name)
    for differ, names in alike.items():
        if differ > SAME * len(sample):
            what = f"hashed otherwise by {', '.join(names)}"
            remedy = f"if the other list was hashed by one of these, let it be hashed by {scheme}"
            more = f" +{len(names) - 1}" if len(names) > 1 else ""
            yield Cause("scheme", what, differ, len(sample), remedy, certain=False, detail=names[0] + more)


def differing(texts: Sequence[str], one: str, two: str, kind: str, setting: Setting = NOTHING_DECLARED) -> int:
    """How many of these values two schemes do not hash alike, both accepting one of them at least."""
    hashes = ((_hash(one, kind, text, setting), _hash(two, kind, text, setting)) for text in texts)
    return sum(mine != theirs for mine, theirs in hashes)


def _hash(scheme: str, kind: str, text: str, setting: Setting) -> bytes | None:
    rule = load(scheme).rule(kind)
    result = normalised(rule, kind, text, setting)
    return None if isinstance(result, RejectCode) else hashlib.new(rule.hash, result.encode()).digest()


def _gmail(sample: list[str | None], kind: str) -> Iterator[Cause]:
    """Gmail gives one mailbox many spellings, and conventions differ in which of them they fold."""
    if kind != "email":
        return
    spelled = twins = 0
    for text in filter(None, sample):
        mailbox, _, domain = text.strip().lower().rpartition("@")
        spelled += domain in _GMAIL and ("." in mailbox or "+" in mailbox)
        twins += domain == "googlemail.com"
    if spelled:
        what = "Gmail addresses with dots or a +suffix: conventions fold them differently"
        remedy = "both lists must follow one scheme; ask which one hashed the other list"
        yield Cause("gmail", what, spelled, len(sample), remedy, certain=False, detail="spelling")
    if twins:
        what = "googlemail.com, which no scheme takes for gmail.com, though Google does"
        remedy = "if the other list may hold these people at gmail.com, ask for the address they log in with"
        yield Cause("gmail", what, twins, len(sample), remedy, certain=False, detail="googlemail.com")


_GMAIL = ("gmail.com", "googlemail.com")


# -- how hashes were made --------------------------------------------------------------------------------------------


def _pairs(raw: pa.ChunkedArray, hashed: pa.ChunkedArray) -> list[tuple[str, bytes]]:
    step = max(1, len(raw) // (MOST_SAMPLED // 10))
    texts, hashes = _texts(raw, step), map(_digest, _texts(hashed, step))
    return [(text, digest) for text, digest in zip(texts, hashes, strict=True) if text and digest]


def _digest(text: str | None) -> bytes | None:
    """The bytes of a hash of either size; None where it is none."""
    for algorithm in SIZES if text else ():
        result = decoded(str(text), algorithm)
        if not isinstance(result, RejectCode):
            return result[0]
    return None


def _made(text: str, kind: str, setting: Setting) -> Iterator[tuple[str, str, bytes]]:
    """What each scheme would have made of a value, hashed once or, by mistake, twice."""
    before = {"": ("sha256", text)}
    for name in known():
        rules = load(name).rules
        if kind in rules and not isinstance(result := normalised(rules[kind], kind, text, setting), RejectCode):
            before[name] = (rules[kind].hash, result)
    for name, (algorithm, value) in before.items():
        once = hashlib.new(algorithm, value.encode()).digest()
        yield name, "once", once
        for layers, write in LAYERS.items():
            yield name, layers, hashlib.new(algorithm, write(once)).digest()


LAYERS: Mapping[str, Callable[[bytes], bytes]] = {
    "twice, the second time of its hex": lambda digest: digest.hex().encode(),
    "twice, the second time of its hex in capitals": lambda digest: digest.hex().upper().encode(),
    "twice, the second time of its base64": b64encode,
    "twice, the second time of its bytes": lambda digest: digest,
}


def _won(share: float, rate: float) -> float:
    """a * r / (1 - a): the fixed rows match as the others do, and never more than all of them."""
    return share if share >= 1 else min(share, share * max(rate, 0.0) / (1 - share))
