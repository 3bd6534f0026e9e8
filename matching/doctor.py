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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from .encodings import MixedEncodings
from .identifiers import Arrives, Digests, digests, normalised
from .recipes import ONCE, Fit, Made, texts
from .rejects import RejectCode
from .remedies import Offer
from .remedies import remedy as words
from .schemes import known, load
from .schemes.setting import NOTHING_DECLARED, Setting
from .specimens import unlike
from .suspects import suspicion

MOST_SAMPLED = 20_000
"""Rows that are looked at under every scheme, spread over the list."""
SAME = 0.0005
"""Schemes that treat fewer of the rows otherwise count as alike."""

Name = Literal[
    "scheme",
    "no-scheme",
    "gmail",
    "country-code",
    "encoding",
    "form",
    "test-values",
    "domain",
    "repeats",
    "stale",
    "key",
]
_WINS_NOTHING: tuple[Name, ...] = ("repeats", "test-values")


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that costs matches. what: in words. rows: how many of `of` it concerns. remedy: what to do.

    certain: False where it depends on how the other list was made. detail: tells it from others of its name. at_most:
    whether it may concern fewer rows, so that a match of some does not rule it out.
    """

    name: Name
    what: str
    rows: int
    of: int
    remedy: str
    certain: bool = True
    detail: str = ""
    at_most: bool = False

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
    return not cause.at_most and cause.share > 1 - observed.low + SAME


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
    candidates = [cause for cause in causes if cause.name not in _WINS_NOTHING and cause.rows]
    if observed.low <= SAME:
        total = [cause for cause in candidates if cause.share > 1 - 10 * SAME]
        return total or candidates
    return [cause for cause in candidates if not refuted(cause, observed)]


# -- causes ----------------------------------------------------------------------------------------------------------


def _rejected(made: Digests) -> Iterator[Cause]:
    algorithm = load(made.scheme).rule(made.kind).hash
    for code, rows in made.rejects.items():
        name: Name = "country-code" if code in _COUNTRY else "encoding" if code in _ENCODING else "form"
        said = _NOTHING if code == RejectCode.EMPTY else words(code, made.kind, algorithm, _OFFER)
        yield Cause(name, f"left out: {code}", rows, len(made.accepted), said or "mend these values", detail=code)


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
_OFFER = Offer("`--column COLUMN`", country="`--country US` here")
_NOTHING = "there is nothing to match: another identifier may be there"


def _odd(made: Digests) -> Iterator[Cause]:
    for code, rows in made.suspects.items():
        if code == RejectCode.TEST_VALUE:
            what = "kept, and set aside for tests and manuals: no real person has them"
            remedy = "leave them out, unless both lists are made up"
            yield Cause("test-values", what, rows, len(made.accepted), remedy, certain=False)
        elif code == RejectCode.UNLIKELY:
            what = "kept, and no plain addresses: a name, quotes, mailto: or white space is in them, or a dot lacks"
            remedy = "export the address alone: `jo@b.de`, not `Jo <jo@b.de>` or `mailto:jo@b.de`"
            yield Cause("form", what, rows, len(made.accepted), remedy, detail=code)
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
    remedy = (
        f"{_parting(scheme, kind)}name the raw column beside them with `--raw-column`, or values that you know are on "
        "the list with `--known`: they tell how it was made"
    )
    concerned = rows if _schemes(kind, scheme) else 0
    return Cause("scheme", what, concerned, rows, remedy, certain=False, at_most=True)


def _parting(scheme: str, kind: str) -> str:
    """What other schemes make of values on which they part from this one."""
    told: dict[str, str] = {}
    for each in unlike(scheme, kind):
        begin = told.get(each.value, f"of {each.value} {scheme} hashes {each.mine}")
        told[each.value] = f"{begin}, {', '.join(each.schemes)} {each.written}"
    return "".join(f"{each}; " for each in told.values())


def _schemes(kind: str, scheme: str) -> list[str]:
    return [name for name in known() if name != scheme and kind in load(name).rules]


def _sample(column: pa.ChunkedArray) -> list[str | None]:
    """Rows spread over the list, those without a value too: shares of it are shares of the list."""
    return texts(column, max(1, len(column) // MOST_SAMPLED))


def _scaled(cause: Cause, rows: int) -> Cause:
    """Of a sample, to the whole list."""
    if cause.of == rows or not cause.of:
        return cause
    return replace(cause, rows=math.ceil(cause.share * rows), of=rows)


def _other_schemes(sample: list[str | None], scheme: str, kind: str, setting: Setting) -> Iterator[Cause]:
    """How many rows another scheme hashes otherwise: they would not match a list that was hashed by it. What is no
    plain address under either matches nobody anyway."""
    accepted = [text for text in sample if text is not None and _hash(scheme, kind, text, setting) is not None]
    ours = [_plain_hash(scheme, kind, text, setting) for text in accepted]
    alike: dict[int, list[str]] = {}
    for name in _schemes(kind, scheme):
        theirs = (_plain_hash(name, kind, text, setting) for text in accepted)
        differ = sum(mine != other for mine, other in zip(ours, theirs, strict=True))
        alike.setdefault(differ, []).append(name)
    for differ, names in alike.items():
        if differ > SAME * len(sample):
            what = f"hashed otherwise by {', '.join(names)}"
            remedy = f"if the other list was hashed by one of these, let it be hashed by {scheme}"
            more = f" +{len(names) - 1}" if len(names) > 1 else ""
            yield Cause("scheme", what, differ, len(sample), remedy, certain=False, detail=names[0] + more)


def _hash(scheme: str, kind: str, text: str, setting: Setting) -> bytes | None:
    rule = load(scheme).rule(kind)
    result = normalised(rule, kind, text, setting)
    return None if isinstance(result, RejectCode) else hashlib.new(rule.hash, result.encode()).digest()


def _plain_hash(scheme: str, kind: str, text: str, setting: Setting) -> bytes | None:
    """The same; None too where what would be hashed is no plain address."""
    rule = load(scheme).rule(kind)
    result = normalised(rule, kind, text, setting)
    if isinstance(result, RejectCode) or suspicion(kind, result) == RejectCode.UNLIKELY:
        return None
    return hashlib.new(rule.hash, result.encode()).digest()


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


def misfits(made: Made, scheme: str, rows: int) -> list[Cause]:
    """Of raw values beside hashes: what the agreed scheme does not explain, recipe by recipe. rows: in the list."""
    if not made.fits:
        what = "no row holds both a raw value and a hash: how the hashes were made does not show"
        return [
            Cause("scheme", what, rows, rows, "name the two columns with `--raw-column` and `--column`", certain=False)
        ]
    fits = f"{made.explained(scheme) / len(made.fits):.1%} fit {scheme}"
    causes = []
    for part in made.parts(scheme):
        lost = math.ceil(part.values / made.of * rows)
        share = f"{part.values / len(made.fits):.1%} of the rows"
        if part.fits:
            name, detail = _of(part.fits[0])
            what = f"hashed {_how(part.fits)}: {share} show it, {fits}"
            remedy = f"hash the raw values once by {scheme}, or let `prepare` do it"
            causes.append(Cause(name, what, lost, rows, remedy, detail=detail))
        else:
            what = f"{share} fit no scheme, {fits}: salted or keyed, or hashes of other people than those beside them"
            remedy = f"ask whoever made the hashes; hash the raw values once by {scheme}, or let `prepare` do it"
            causes.append(Cause("no-scheme", what, lost, rows, remedy))
    return causes


def standing_otherwise(made: Made, scheme: str, kind: str, rows: int) -> list[Cause]:
    """Of values that are known to be on a hashed list: how its hashes were made, whatever is made of the others."""
    values, found = len(made.fits), sum(bool(each) for each in made.fits)
    if not found:
        what = (
            f"none of {values} known values stands in it, by any scheme: salted or keyed, or they are not on this list"
        )
        remedy = "ask whoever made the hashes how; or bring raw values, which `prepare` hashes"
        return [Cause("no-scheme", what, rows, rows, remedy, certain=False)]
    causes = []
    for part in (each for each in made.parts(scheme) if each.fits):
        name, detail = _of(part.fits[0])
        what = f"hashed {_how(part.fits)}, not by {scheme}: so stand {part.values} of the {found} known values found"
        remedy = f"hash the raw values once by {scheme}, or agree on a contract for the scheme they were hashed by"
        causes.append(Cause(name, what, rows, rows, remedy, detail=detail, at_most=True))
    return causes or _alike(made, scheme, kind, rows)


def _alike(made: Made, scheme: str, kind: str, rows: int) -> list[Cause]:
    """Schemes that the known values do not tell from the agreed one, though other values would: a note, and no row that
    anything is known to be wrong with."""
    parting = {name: each for each in unlike(scheme, kind) for name in each.schemes}
    if not (left := made.undecided(scheme, parting)):
        return []
    what = f"the known values were hashed by {scheme}, or by {_listed(left)}, which hash just these alike"
    remedy = f"try a value like {parting[left[0]].value}, on which they part"
    return [Cause("scheme", what, 0, rows, remedy, certain=False, at_most=True)]


def _of(fit: Fit) -> tuple[Name, str]:
    scheme, layers = fit
    return ("scheme" if layers == ONCE else "encoding"), (scheme or "as written")


def _how(fits: Sequence[Fit]) -> str:
    """In words, by the layers of the first. As they were written may be what several schemes would have it."""
    layers = fits[0][1]
    schemes = [scheme for scheme, other in fits if other == layers]
    written, named = "" in schemes, _listed([scheme for scheme in schemes if scheme])
    how = " or ".join([*(["as they were written"] if written else []), *([f"by {named}"] if named else [])])
    return f"{layers}, {how}" if layers != ONCE else f"{layers} {how}"


def _listed(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} or {len(names) - 3} others"
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _won(share: float, rate: float) -> float:
    """a * r / (1 - a): the fixed rows match as the others do, and never more than all of them."""
    return share if share >= 1 else min(share, share * max(rate, 0.0) / (1 - share))
