"""Proposes `columns.*` lines from an owner's own file, for the owner to edit: writing bounds by hand is where people
give up.

A draft is sent around, so it must not carry one person's value. First every person is cut down to one row, as
`prepare` will do: the first with its identifier, normalised by the scheme, and with its ID. Values that few people hold
are left out, and so are columns in which few people differ: they would tell a model nothing. Bounds are set by what at
least `FEWEST` people reach on either side, widened by a part of the range and rounded outwards: one person's extreme
moves them no further than anybody else's. Columns that hold addresses or hashes are never proposed, and nothing is from
a file that does not tell people apart. The owner decides; nothing is read from data later.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import polars as pl

from ..matching.identifiers import Arrives, MixedEncodings, WrongHash, digests
from ..matching.schemes import UnknownKind, UnknownScheme
from ..matching.schemes.setting import Setting
from ..policies.contract import NAME_PATTERN, is_plain
from ..policies.mistakes import MOST_BOUND, RESERVED
from ..policies.template import ProposedColumn
from .arrival import Arrival, arrival
from .personal import HASHED
from .source import BadSource, read_source

FEWEST = 10
"""A value that fewer people hold is not proposed."""
MOST_VALUES = 60
FEW_NUMBERS = 12
"""Numbers with no more distinct values than this are proposed as categories."""
_PERSONAL = f"@|{HASHED}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a file looks like. people: how many are in it. id: its ID column, or "". left_out: columns nothing was
    proposed for, each with the reason. arrival: how its identifiers arrive, where that shows."""

    people: int
    id: str
    columns: tuple[ProposedColumn, ...]
    left_out: dict[str, str]
    arrival: Arrival | None = None


LONG = 10**6
"""Numbers from here on may be somebody's: a phone, an account."""


def propose(path: Path, kind: str, scheme: str, arrives: str) -> Proposal:
    """Look at a CSV or Parquet file.

    kind: of identifier, and the name of its column. scheme, arrives: as they will stand in the contract.
    Errors: BadSource, OSError.
    """
    frame = _frame(path)
    named = _one_row_each(frame, _identities(frame[kind], scheme, kind, arrives)) if kind in frame.columns else frame
    own_id = _id_column(named, kind)
    people = _one_row_each(named, _plain(named[own_id])) if own_id else named
    told_apart = own_id or kind in frame.columns
    columns: list[ProposedColumn] = []
    left_out: dict[str, str] = {}
    for name in people.columns:
        if name in (kind, own_id):
            continue
        found = _unfit(name) or (_column(name, people[name]) if told_apart else _nobody(kind))
        if isinstance(found, str):
            left_out[name] = found
        else:
            columns.append(found)
    return Proposal(people.height, own_id, tuple(columns), left_out, arrival(frame, kind, scheme))


def _one_row_each(frame: pl.DataFrame, identities: pl.Series) -> pl.DataFrame:
    """The first row of each; rows without an identity are nobody's."""
    return frame.filter(identities.is_first_distinct() & identities.is_not_null())


def _identities(column: pl.Series, scheme: str, kind: str, arrives: str) -> pl.Series:
    """Who each row is about: the digest that the scheme gives, or the text where it gives none."""
    text = _plain(column)
    spelled = text.str.to_lowercase()
    try:
        hashed = arrives if arrives in ("sha256", "sha1") else "raw"
        made = digests(text.to_arrow(), scheme, kind, cast(Arrives, hashed), Setting(window=24))
    except (
        MixedEncodings,
        UnknownScheme,
        UnknownKind,
        WrongHash,
    ):  # the draft is refused for its scheme later, or by `prepare`
        return spelled
    keys = pl.Series([value.tobytes().hex() for value in made.values], dtype=pl.String)
    return keys.zip_with(pl.Series(made.accepted), spelled)


def _plain(column: pl.Series) -> pl.Series:
    """Identifiers or IDs as trimmed text; null where there is none."""
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        return pl.Series([None] * len(column), dtype=pl.String)
    text = column.cast(pl.String, strict=False).str.strip_chars()
    return text.set(text == "", None)


def _frame(path: Path) -> pl.DataFrame:
    try:
        frame = pl.from_arrow(read_source(path))
    except (pl.exceptions.PolarsError, ValueError, TypeError):
        raise BadSource(path, "it holds a column of a type that is not read here", "leave that column out") from None
    if not isinstance(frame, pl.DataFrame):
        raise BadSource(path, "it is no table", "export it again")
    return frame


def _nobody(kind: str) -> str:
    return f"no column is named {kind}, nor holds IDs and is named like them, so people cannot be counted: rename one"


def _unfit(name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, name):
        return "a contract's columns are named with a-z, 0-9, - and _: rename it in the file"
    return "every bundle has a column of this name: rename it in the file" if name in RESERVED else ""


def _id_column(frame: pl.DataFrame, kind: str) -> str:
    """The first column that is named like an ID and most of whose values stand once. One that repeats is one person."""
    for name in frame.columns:
        named = name == "id" or name.endswith(("_id", "-id"))
        plain = frame[name].dtype == pl.String or frame[name].dtype.is_integer()
        if name != kind and named and plain:
            rows = _plain(frame[name]).drop_nulls().unique_counts()
            if 2 * (rows == 1).sum() > len(rows):
                return name
    return ""


def _column(name: str, series: pl.Series) -> ProposedColumn | str:
    """A proposal, or why there is none."""
    if series.dtype == pl.List(pl.String) or (series.dtype == pl.String and _holds_bars(series)):
        return _set(name, series)
    if series.dtype.is_nested() or series.dtype == pl.Binary:
        return "it holds neither text nor numbers"
    text = series.cast(pl.String, strict=False).drop_nulls().str.strip_chars()
    text = text.filter(text != "")
    if _is_personal(text):
        return "it holds addresses or hashes, which stay at home"
    numbers = text.cast(pl.Float64, strict=False).drop_nulls()
    numbers = numbers.filter(numbers.is_finite())
    if len(numbers) and len(numbers) >= 0.99 * len(text) and numbers.n_unique() > FEW_NUMBERS:
        if _tells_apart(numbers):
            return "its long numbers tell people apart, as phones and account numbers do: they stay at home"
        return _number(name, numbers.sort())
    return _category(name, text, len(series))


def _holds_bars(series: pl.Series) -> bool:
    share = series.str.contains("|", literal=True).fill_null(value=False).mean()
    return isinstance(share, float) and share > 0.05


def _is_personal(text: pl.Series) -> bool:
    return bool(text.str.contains(_PERSONAL).any())


def _tells_apart(numbers: pl.Series) -> bool:
    """Whole numbers of seven digits or more, which hardly two people share."""
    long = ((numbers.abs() >= LONG) & (numbers == numbers.floor())).mean()
    return isinstance(long, float) and long > 0.5 and numbers.n_unique() > 0.5 * len(numbers)


def _number(name: str, ordered: pl.Series) -> ProposedColumn | str:
    if len(ordered) < 2 * FEWEST:
        return "too few people have one to propose bounds from"
    low, high = float(ordered[FEWEST - 1]), float(ordered[-FEWEST])
    if not low < high:
        return "too few people differ in it to propose bounds from"
    bounds = _bounds(low, high)
    if max(abs(bounds[0]), abs(bounds[1])) > MOST_BOUND:
        return "its numbers are too large"
    return ProposedColumn(name, "number", bounds=bounds, note="rounded outwards; widen it to what is possible")


def _bounds(low: float, high: float) -> tuple[float, float]:
    """Widened by a tenth of the range and rounded outwards to a round step; what has one sign keeps it."""
    margin = max((high - low) / 10, abs(high) * 1e-9, 1e-9)
    step = 10.0 ** math.floor(math.log10(10 * margin))
    below, above = math.floor((low - margin) / step), math.ceil((high + margin) / step)
    digits = max(0, -math.floor(math.log10(step)))
    lowest = 0.0 if low >= 0 > below else round(below * step, digits)
    highest = 0.0 if high <= 0 < above else round(above * step, digits)
    return lowest, highest


def _category(name: str, text: pl.Series, people: int) -> ProposedColumn | str:
    found = _frequent(text, people)
    return _useless(found) or ProposedColumn(name, "category", values=found.values, note=found.note)


def _set(name: str, series: pl.Series) -> ProposedColumn | str:
    lists = series.drop_nulls()
    lists = lists.str.split("|") if lists.dtype == pl.String else lists
    lists = lists.list.eval(pl.element().str.strip_chars()).list.unique()
    each = lists.explode().drop_nulls()
    if _is_personal(each):
        return "it holds addresses or hashes, which stay at home"
    found = _frequent(each, len(series))
    lengths = lists.list.len().sort(descending=True)
    longest = int(lengths[min(len(lengths), FEWEST) - 1]) if len(lengths) else 1
    at_most = min(len(found.values), max(1, longest))
    return _useless(found) or ProposedColumn(name, "set", values=found.values, at_most=at_most, note=found.note)


@dataclass(frozen=True, slots=True)
class _Frequent:
    """Values that enough people hold, in order. rare: how many others there are. alike: whether of each of them fewer
    than `FEWEST` people hold it not."""

    values: tuple[str, ...]
    rare: int
    alike: bool

    @property
    def note(self) -> str:
        return f"{self.rare} rarer values left out" if self.rare else ""


def _frequent(text: pl.Series, people: int) -> _Frequent:
    """text: a value once for each of the people who hold it."""
    counts = text.filter(text != "").rename("value").value_counts(name="people")
    enough = counts.filter(pl.col("people") >= FEWEST)
    plain = tuple(sorted(value for value in enough["value"] if is_plain(value) and value == value.strip()))
    return _Frequent(plain, counts.height - len(plain), all(people - holders < FEWEST for holders in enough["people"]))


def _useless(found: _Frequent) -> str:
    """Why nothing is to be proposed, or ""."""
    if not found.values:
        return f"it has no value that {FEWEST} people share"
    if found.alike:
        return f"fewer than {FEWEST} people differ in it, so a model would learn nothing there"
    many = f'it has more than {MOST_VALUES} values; kind = "text" counts by those that many people share'
    return many if len(found.values) > MOST_VALUES else ""
