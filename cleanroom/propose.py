"""Proposes `columns.*` lines from an owner's own file, for the owner to edit: writing bounds by hand is where people
give up.

Bounds are rounded outwards and values that few rows hold are left out, so that a draft that is sent around does not
carry one person's extreme. The owner decides; nothing is read from data later.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ..policies.template import ProposedColumn
from .source import read_source

FEWEST_ROWS = 10
"""A value that fewer rows hold is not proposed."""
MOST_VALUES = 60
FEW_NUMBERS = 12
"""Numbers with no more distinct values than this are proposed as categories."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a file looks like. rows: its rows. id: its ID column, or "". left_out: columns nothing was proposed for."""

    rows: int
    id: str
    columns: tuple[ProposedColumn, ...]
    left_out: tuple[str, ...]


def propose(path: Path, identifiers: tuple[str, ...]) -> Proposal:
    """Look at a CSV or Parquet file. identifiers: columns that hold e-mails. Errors: BadSource, OSError."""
    table = read_source(path)
    frame = pl.from_arrow(table)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError
    own_id = _id_column(frame, identifiers)
    proposed: list[ProposedColumn] = []
    left_out: list[str] = []
    for name in frame.columns:
        if name in identifiers or name == own_id:
            continue
        column = _column(name, frame[name]) if re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name) else None
        if column is None:
            left_out.append(name)
        else:
            proposed.append(column)
    return Proposal(frame.height, own_id, tuple(proposed), tuple(left_out))


def _id_column(frame: pl.DataFrame, identifiers: tuple[str, ...]) -> str:
    """The first column that is named like an ID and never repeats."""
    for name in frame.columns:
        named = name == "id" or name.endswith(("_id", "-id"))
        if name not in identifiers and named and frame[name].n_unique() == frame.height:
            return name
    return ""


def _column(name: str, series: pl.Series) -> ProposedColumn | None:
    if series.dtype == pl.List(pl.String) or (series.dtype == pl.String and _holds_bars(series)):
        return _set(name, series)
    text = series.drop_nulls().cast(pl.String, strict=False).str.strip_chars()
    text = text.filter(text != "")
    numbers = text.cast(pl.Float64, strict=False).drop_nulls()
    numbers = numbers.filter(numbers.is_finite())
    if len(numbers) and len(numbers) >= 0.99 * len(text) and numbers.n_unique() > FEW_NUMBERS:
        return _number(name, float(numbers.min()), float(numbers.max()))  # type: ignore[arg-type]
    return _category(name, text)


def _holds_bars(series: pl.Series) -> bool:
    share = series.str.contains("|", literal=True).fill_null(value=False).mean()
    return isinstance(share, float) and share > 0.05


def _number(name: str, low: float, high: float) -> ProposedColumn:
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9)))
    bounds = (math.floor(low / step) * step, math.ceil(high / step) * step)
    return ProposedColumn(name, "number", bounds=bounds, note="rounded outwards; widen it to what is possible")


def _category(name: str, text: pl.Series) -> ProposedColumn | None:
    values, rare = _frequent(text)
    if not values or len(values) > MOST_VALUES:
        return None
    return ProposedColumn(name, "category", values=values, note=_rare_note(rare))


def _set(name: str, series: pl.Series) -> ProposedColumn | None:
    lists = series.drop_nulls()
    lists = lists.str.split("|") if lists.dtype == pl.String else lists
    values, rare = _frequent(lists.explode().str.strip_chars().drop_nulls())
    if not values or len(values) > MOST_VALUES:
        return None
    longest = int(lists.list.len().quantile(0.999, interpolation="nearest") or 1)
    at_most = min(len(values), max(1, longest))
    return ProposedColumn(name, "set", values=values, at_most=at_most, note=_rare_note(rare))


def _frequent(text: pl.Series) -> tuple[tuple[str, ...], int]:
    """Values that enough rows hold, in order, and how many others there are."""
    counts = text.filter(text != "").value_counts()
    enough = counts.filter(pl.col("count") >= FEWEST_ROWS)
    return tuple(sorted(enough.to_series(0).to_list())), counts.height - enough.height


def _rare_note(rare: int) -> str:
    return f"{rare} rarer values left out" if rare else ""
