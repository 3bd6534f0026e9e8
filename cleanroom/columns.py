"""Columns as the contract declares them: text and numbers become typed values within declared domains.

A value outside its domain rejects its row, counted by reason; nothing is guessed, nothing is echoed. Missing values
are allowed everywhere. Everything is whole-column arithmetic: no loop over people.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..policies.contract import (
    ChoiceColumn,
    Column,
    DateColumn,
    FlagColumn,
    HouseholdColumn,
    NumberColumn,
    SetColumn,
    TextColumn,
)

_EPOCH = date(1970, 1, 1)
_HOUSEHOLD = b"passbox household\0"
LONGEST_VALUE = 200
"""Characters of a value that nobody listed."""
_UNPLAIN = r"[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]"
"""Control characters, and marks that turn or hide what follows."""
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")


class ColumnUnreadable(Exception):
    """A column's type cannot be read as what was declared. Carries names only. remedy: what to do."""

    def __init__(self, column: str, declared: str, remedy: str = "export it as text or numbers") -> None:
        super().__init__(column, declared, remedy)
        self.column, self.declared, self.remedy = column, declared, remedy


class ColumnMissing(Exception):
    """Columns that something asks for are not in the file.

    path: the file. found: how many others it has. alike: those that are a missing name in other spelling, such as
    `E-Mail`. No other name is carried: in a file without a header they are a person's values. asks: what named them,
    the contract, the model or an option such as `--id`.
    """

    def __init__(
        self, columns: tuple[str, ...], found: int, alike: tuple[str, ...], path: Path | None, asks: str = "contract"
    ) -> None:
        super().__init__(columns, found, alike, path, asks)
        self.columns, self.found, self.alike, self.path, self.asks = columns, found, alike, path, asks


@dataclass(frozen=True, slots=True)
class Read:
    """Typed columns and which rows keep to their domains.

    table: as `_TYPES` says, nulls for missing. accepted: (rows,) bool. rejects: reason to rows, each row under the
    first that rejects it. faults: reason to all rows that it holds of, whatever else is wrong with them.
    cut: rows whose set held more values than declared and was cut to the first in declared order. first: reason to the
    first few rows that it rejects.
    """

    table: pa.Table
    accepted: NDArray[np.bool_]
    rejects: Mapping[str, int]
    faults: Mapping[str, int]
    cut: int
    first: Mapping[str, tuple[int, ...]]


def refuse_missing(
    wanted: Collection[str], found: Collection[str], path: Path | None = None, asks: str = "contract"
) -> None:
    """path: the file, to be named. asks: see ColumnMissing. Errors: ColumnMissing."""
    missing = tuple(name for name in wanted if name not in found)
    if missing:
        spelled = {_letters(name) for name in missing} - {""}
        alike = tuple(name for name in found if name not in wanted and _letters(name) in spelled)
        raise ColumnMissing(missing, len(found), alike, path, asks)


def _letters(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def read_columns(
    source: pa.Table,
    declared: Mapping[str, Column],
    accepted: NDArray[np.bool_] | None = None,
    key: bytes = bytes(32),
) -> Read:
    """Every declared column of a party's file; a row counts under the first reason that rejects it.

    accepted: rows still in the running; all where left out. key: what households are keyed with.
    Errors: ColumnMissing, ColumnUnreadable.
    """
    refuse_missing(declared, source.column_names)
    accepted = np.ones(source.num_rows, dtype=np.bool_) if accepted is None else accepted.copy()
    rejects: dict[str, int] = {}
    every: dict[str, int] = {}
    first: dict[str, tuple[int, ...]] = {}
    typed: dict[str, pa.Array] = {}
    cut = 0
    for name, column in declared.items():
        values, faults, shortened = _read(name, source.column(name), column, key)
        typed[name], cut = values, cut + shortened
        for reason, rows in faults.items():
            fresh = rows & accepted
            if fresh.any():
                rejects[f"{name}: {reason}"] = int(fresh.sum())
                first[f"{name}: {reason}"] = first_of(fresh)
            if rows.any():
                every[f"{name}: {reason}"] = int(rows.sum())
            accepted &= ~rows
    return Read(pa.table(typed), accepted, rejects, every, cut, first)


def first_of(rows: NDArray[np.bool_]) -> tuple[int, ...]:
    """The first few rows that are meant."""
    return tuple(np.flatnonzero(rows)[:FEW].tolist())


FEW = 3
"""Rows of a reason that are named to whoever owns the file."""


Faults = dict[str, NDArray[np.bool_]]


def _read(name: str, column: pa.ChunkedArray, declared: Column, key: bytes) -> tuple[pa.Array, Faults, int]:
    if isinstance(declared, NumberColumn):
        return (*_numbers(name, column, declared), 0)
    if isinstance(declared, ChoiceColumn):
        return (*_categories(name, column, declared), 0)
    if isinstance(declared, FlagColumn):
        return (*_flags(name, column), 0)
    if isinstance(declared, DateColumn):
        return (*_days(name, column, declared), 0)
    if isinstance(declared, HouseholdColumn):
        return (_households(name, column, key), {}, 0)
    if isinstance(declared, TextColumn):
        return (*_texts(name, column), 0)
    return _sets(name, column, declared)


def _numbers(name: str, column: pa.ChunkedArray, declared: NumberColumn) -> tuple[pa.Array, Faults]:
    series = _series(name, column, "a number")
    if series.dtype == pl.String:
        series = series.str.strip_chars()
        series = series.set(series == "", None)
    elif not series.dtype.is_numeric():
        raise ColumnUnreadable(name, "a number")
    there = series.is_not_null().to_numpy()
    numbers = series.cast(pl.Float64, strict=False)
    values = numbers.fill_null(0.0).to_numpy()
    low, high = declared.bounds
    finite = np.isfinite(values)
    faults = {
        "not a number": there & numbers.is_null().to_numpy(),
        "not finite": there & ~finite,
        "out of bounds": there & finite & ~((values >= low) & (values <= high)) & numbers.is_not_null().to_numpy(),
    }
    return numbers.to_arrow().cast(pa.float64()), faults


def _categories(name: str, column: pa.ChunkedArray, declared: ChoiceColumn) -> tuple[pa.Array, Faults]:
    series = _text(name, column)
    unknown = (series.is_not_null() & ~series.is_in(declared.values)).to_numpy()
    return series.to_arrow().cast(pa.string()), {"value not declared": unknown}


def _texts(name: str, column: pa.ChunkedArray) -> tuple[pa.Array, Faults]:
    """Short text of one line, trimmed."""
    series = _text(name, column)
    return series.to_arrow().cast(pa.string()), _unplain(series)


def _unplain(series: pl.Series) -> Faults:
    """What of a text, as it stands, would not show, or show another text."""
    long = (series.str.len_chars() > LONGEST_VALUE).fill_null(value=False)
    hidden = series.str.contains(_UNPLAIN).fill_null(value=False)
    return {f"longer than {LONGEST_VALUE} characters": long.to_numpy(), "invisible characters": hidden.to_numpy()}


def _untrimmed(series: pl.Series) -> Faults:
    """What `_text` would have made something else of: two keys that look like one."""
    trimmed = series.str.strip_chars()
    blank = ((series != trimmed) | (trimmed == "")).fill_null(value=False)
    return {"empty, or blanks around it": blank.to_numpy()}


def _flags(name: str, column: pa.ChunkedArray) -> tuple[pa.Array, Faults]:
    """1 for yes, 0 for no."""
    series = _text(name, column).str.to_lowercase()
    yes, known = series.is_in(_YES), series.is_in([*_YES, *_NO])
    unknown = (series.is_not_null() & ~known).to_numpy()
    return yes.cast(pl.Float64).to_arrow().cast(pa.float64()), {"not yes or no": unknown}


def _days(name: str, column: pa.ChunkedArray, declared: DateColumn) -> tuple[pa.Array, Faults]:
    """Days since 1970. Text begins with YYYY-MM-DD: what follows it is a time, and left at home."""
    series = _series(name, column, "a day")
    if series.dtype.is_temporal() and series.dtype != pl.Time and series.dtype != pl.Duration:
        days, there = series.cast(pl.Date, strict=False), series.is_not_null().to_numpy()
    else:
        text = _text(name, column)
        there = text.is_not_null().to_numpy()
        fits = text.str.contains(r"^\d{4}-\d{2}-\d{2}($|[T ])").fill_null(value=False)
        days = text.str.slice(0, 10).set(~fits, None).str.to_date("%Y-%m-%d", strict=False)
    read = days.is_not_null().to_numpy()
    values = days.cast(pl.Int32).cast(pl.Float64)
    low, high = (float((bound - _EPOCH).days) for bound in declared.bounds)
    found = values.fill_null(low).to_numpy()
    faults = {"not a day": there & ~read, "out of bounds": read & ((found < low) | (found > high))}
    return values.to_arrow().cast(pa.float64()), faults


def _households(name: str, column: pa.ChunkedArray, key: bytes) -> pa.Array:
    """A keyed number for each, the same at every owner; nothing of an address leaves home."""
    text = _text(name, column).str.to_lowercase()
    known = text.drop_nulls().unique().to_list()
    keyed = [int.from_bytes(hmac.digest(key, _HOUSEHOLD + each.encode(), "sha256")[:8]) for each in known]
    numbers = pl.Series(keyed, dtype=pl.UInt64)
    return text.replace_strict(pl.Series(known, dtype=pl.String), numbers, default=None).to_arrow().cast(pa.uint64())


def _sets(name: str, column: pa.ChunkedArray, declared: SetColumn) -> tuple[pa.Array, Faults, int]:
    frame = pl.DataFrame({"row": np.arange(len(column), dtype=np.int64), "value": _lists(name, column)})
    ranks = pl.DataFrame({"value": declared.values, "rank": np.arange(len(declared.values))})
    each = frame.explode("value").with_columns(pl.col("value").str.strip_chars())
    each = each.filter(pl.col("value").is_not_null() & (pl.col("value") != ""))
    known = each.unique().join(ranks, on="value", how="left")
    unknown = np.zeros(len(column), dtype=np.bool_)
    unknown[known.filter(pl.col("rank").is_null())["row"].to_numpy()] = True
    per_row = known.filter(pl.col("rank").is_not_null()).sort("row", "rank").group_by("row", maintain_order=True)
    sets = per_row.agg(pl.col("value"))
    cut = int((sets["value"].list.len() > declared.at_most).sum())
    sets = sets.with_columns(pl.col("value").list.head(declared.at_most))
    there = frame.select("row", there=pl.col("value").is_not_null()).join(sets, on="row", how="left").sort("row")
    empty = pl.lit([], dtype=pl.List(pl.String))
    filled = there.select(
        pl.when(pl.col("there")).then(pl.col("value").fill_null(empty)).otherwise(None).alias("value")
    )["value"]
    return filled.to_arrow().cast(pa.list_(pa.string())), {"value not declared": unknown}, cut


def _lists(name: str, column: pa.ChunkedArray) -> pl.Series:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        series = _series(name, column, "a set")
        if series.dtype == pl.List(pl.Null):
            series = series.cast(pl.List(pl.String))
        if series.dtype != pl.List(pl.String):
            raise ColumnUnreadable(name, "a set of text values")
        return series
    return _text(name, column).str.split("|")


def _text(name: str, column: pa.ChunkedArray) -> pl.Series:
    """A column as trimmed text, nulls for empty."""
    series = _series(name, column, "text")
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Duration):
        raise ColumnUnreadable(name, "text")
    series = series.cast(pl.String).str.strip_chars()
    return series.set(series == "", None)


def _series(name: str, column: pa.ChunkedArray, declared: str) -> pl.Series:
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if pa.types.is_decimal256(column.type):
        raise ColumnUnreadable(name, declared)
    try:
        series = pl.from_arrow(column)
    except (pl.exceptions.PolarsError, pa.ArrowException, ValueError):
        raise ColumnUnreadable(name, declared) from None
    if not isinstance(series, pl.Series):
        raise ColumnUnreadable(name, declared)
    return series.rename(name)


def outside(table: pa.Table, declared: Mapping[str, Column]) -> tuple[str, ...]:
    """Columns of a submitted table that are not typed or not within what was declared, in words.

    The same rules as at the party, and as strict as what `prepare` writes: no value is trimmed or cut here. A room
    takes nobody's word for them.
    """
    wrong = [name for name in declared if name not in table.column_names]
    if wrong:
        return tuple(f"{name} is missing" for name in wrong)
    for name, column in declared.items():
        if table.column(name).type != _TYPES[column.kind]:
            wrong.append(f"{name} is not {column.kind}")
    if wrong:
        return tuple(wrong)
    return tuple(fault for name, column in declared.items() for fault in _faults(table.column(name), column, name))


def _faults(values: pa.ChunkedArray, declared: Column, name: str) -> Iterator[str]:
    """Looks at the values where they lie: a room copies nothing that it may yet refuse."""
    if isinstance(declared, HouseholdColumn):
        return
    if isinstance(declared, TextColumn):
        series = _series(name, values, "text")
        found = _unplain(series) | _untrimmed(series)
        yield from (f"{name}: {fault}" for fault, rows in found.items() if rows.any())
        return
    if isinstance(declared, FlagColumn):
        if not _all(pc.or_(pc.equal(values, 0.0), pc.equal(values, 1.0))):
            yield f"{name}: not yes or no"
        return
    if isinstance(declared, NumberColumn | DateColumn):
        low, high = _ends(declared)
        if isinstance(declared, DateColumn) and not _all(pc.equal(pc.floor(values), values)):
            yield f"{name}: not a day"
        if not _all(pc.is_finite(values)):
            yield f"{name}: not finite"
        elif not _all(pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))):
            yield f"{name}: out of bounds"
        return
    if isinstance(declared, SetColumn):
        if not _all(pc.less_equal(pc.list_value_length(values), declared.at_most)):
            yield "a set holds more values than declared"
        values = pc.list_flatten(values)
        if values.null_count:
            yield f"{name}: value not declared"
    if not _all(pc.or_(pc.is_in(values, pa.array(declared.values, pa.string())), pc.is_null(values))):
        yield f"{name}: value not declared"


def _ends(declared: NumberColumn | DateColumn) -> tuple[float, float]:
    """Bounds as numbers; days count from 1970."""
    low, high = declared.bounds
    if isinstance(low, date) and isinstance(high, date):
        return float((low - _EPOCH).days), float((high - _EPOCH).days)
    return float(low), float(high)  # type: ignore[arg-type]


def _all(fine: pa.ChunkedArray) -> bool:
    """Nulls are fine: nobody needs to have a value."""
    return pc.all(fine).as_py() is not False


_TYPES = {
    "number": pa.float64(),
    "category": pa.string(),
    "ordinal": pa.string(),
    "set": pa.list_(pa.string()),
    "flag": pa.float64(),
    "date": pa.float64(),
    "household": pa.uint64(),
    "text": pa.string(),
}
