"""Tables of numbers with intervals, as every job that asks tables shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..show import Bars, Part, Table, number
from . import cuts

MOST_SHOWN = 40
"""Keys on the screen; a file holds them all."""
MOST_BARS = 20
BELOW_ZERO = (
    "a count is not below 0: what is below it here is noise, and left as it is because a figure that was cut off at 0 "
    "would be too large on average"
)


def parts(document: Mapping[str, Any]) -> list[Part]:
    """Every table of a release, a plot of its first column, and what to know about the numbers."""
    found: list[Part] = []
    names = cuts.marked(document)
    for table in document["tables"]:
        if table["name"].startswith(cuts.CUT):
            table = {**table, "columns": [cuts.within_rows(document, each) for each in table["columns"]]}
        found += [*_table(table, names), *_hidden(table)]
    found += [cuts.MARKED] if names else []
    found += [cuts.PUBLIC] if cuts.bounded(document) else []
    found += [plot for table in document["tables"][:1] for plot in _plot(table)]
    if any(_below_zero(table) for table in document["tables"]):
        found.append(BELOW_ZERO)
    return [*found, *document["notes"]]


def _table(table: Mapping[str, Any], marked: frozenset[str] = frozenset()) -> list[Part]:
    """Of one key, numbers stand below each other; of several, as many beside each other as fit. marked: numbers that
    bounds may have cut."""
    columns, keys = table["columns"], table["keys"]
    names = [f"{each['name']}{cuts.MARK if each['name'] in marked else ''}" for each in columns]
    if len(keys) == 1 or not table["by"]:
        rows = [(name, cell(column, 0)) for name, column in zip(names, columns, strict=True)] if keys else []
        covers = [column["covers"] for column in columns]
        return [Table(("number", "estimate"), rows, table["name"], right=(1,), whole=(1,), covers=covers)]
    rows = [(*key, *(cell(column, at) for column in columns)) for at, key in enumerate(keys[:MOST_SHOWN])]
    header = (*table["by"], *names)
    right = tuple(range(len(table["by"]), len(header)))
    many = len(table["by"])
    covers = [*[""] * many, *(column["covers"] for column in columns)]
    wide = Table(header, rows, table["name"], right=right, whole=right, keys=many, covers=covers)
    more = [f"{len(keys) - MOST_SHOWN} more keys: `--out FILE` writes them all"] if len(keys) > MOST_SHOWN else []
    return [wide, *more]


def _hidden(table: Mapping[str, Any]) -> list[Part]:
    many = table["hidden"]
    return [f"{many} of {many + len(table['keys'])} keys are not shown"] if many else []


def _plot(table: Mapping[str, Any]) -> list[Part]:
    """The first column, or the one that says which keys are the largest; longest bar for the largest number."""
    if not table["by"] or len(table["keys"]) < 2:
        return []
    column = next((each for each in table["columns"] if "at once" in each["covers"]), table["columns"][0])
    values = [value or 0.0 for value in column["estimate"][:MOST_BARS]]
    largest = max([*values, 0.0]) or 1.0
    rows = [
        (" · ".join(key), max(0.0, value) / largest, cell(column, at))
        for at, (key, value) in enumerate(zip(table["keys"], values, strict=False))
    ]
    first = f", the first {MOST_BARS}" if len(table["keys"]) > MOST_BARS else ""
    return [Bars(f"{column['name']} by {', '.join(table['by'])}{first}", rows)]


def cell(column: Mapping[str, Any], at: int) -> str:
    """One number with its interval."""
    value, low, high = column["estimate"][at], column["low"][at], column["high"][at]
    digits = digits_of([low, high], value)
    if value is None and low is None and high is None:
        return "unknown"
    if low is None and high is None and value is not None:
        return number(value, 3)
    middle = "unknown" if value is None else number(value, digits)
    ends = ("-∞" if low is None else number(low, digits), "∞" if high is None else number(high, digits))
    return f"{middle}  [{ends[0]}, {ends[1]}]"


def digits_of(ends: Sequence[float | None], value: float | None) -> int:
    """So many digits that the interval's width shows two of its own; where only one end is known, that end."""
    known = [end for end in [*ends, value] if end is not None]
    width = max(known) - min(known) if len(known) > 1 else max(map(abs, known), default=0.0)
    if width == 0:
        return 0 if all(float(end).is_integer() for end in known) else 3
    digits = 0
    while digits < 6 and width < 10:
        width, digits = width * 10, digits + 1
    return digits


def _below_zero(table: Mapping[str, Any]) -> bool:
    return any(value is not None and value < 0 for column in table["columns"] for value in column["estimate"])
