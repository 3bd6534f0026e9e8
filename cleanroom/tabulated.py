"""A release's tables as one flat table, for a spreadsheet or a data frame: a row a number.

    table, one column a key, number, estimate, low, high, covers

A key that a table does not have is null, and so is an end that nothing bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa


def flat(document: Mapping[str, Any]) -> pa.Table | None:
    """The tables of a document (`measure.table`), of an overlap in all and by key; None where its kind has none."""
    tables = _of_overlap(document) if document["kind"] == "overlap" else document.get("tables")
    if not isinstance(tables, list):
        return None
    names = list(dict.fromkeys(name for table in tables for name in table["by"]))
    rows = [row for table in tables for row in _rows(table, names)]
    numbers = ("estimate", "low", "high")
    fields = [("table", pa.string()), *((_spelled(name), pa.string()) for name in names), ("number", pa.string())]
    schema = pa.schema([*fields, *((name, pa.float64()) for name in numbers), ("covers", pa.string())])
    return pa.Table.from_pylist(rows, schema)


def _of_overlap(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its figures as tables of other kinds have them."""
    found: list[dict[str, Any]] = [{"name": "in all", "by": [], "keys": [[]], "columns": _columns([document])}]
    if tiers := document.get("tiers"):
        keys = [[tier["key"]] for tier in tiers]
        found.append({"name": "by key", "by": ["key"], "keys": keys, "columns": _columns(tiers)})
    return found


def _columns(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One column a figure."""
    found = []
    for name in ("matched", "match_rate"):
        ends = {end: [part[name][end] for part in parts] for end in ("estimate", "low", "high")}
        found.append({"name": name.replace("_", " "), "covers": parts[0][name]["covers"], **ends})
    return found


def _rows(table: Mapping[str, Any], names: list[str]) -> list[dict[str, object]]:
    empty = dict.fromkeys(map(_spelled, names))
    found: list[dict[str, object]] = []
    for at, key in enumerate(table["keys"]):
        labels = {_spelled(name): label for name, label in zip(table["by"], key, strict=True)}
        for column in table["columns"]:
            ends = {name: column[name][at] for name in ("estimate", "low", "high")}
            number = {"table": table["name"], "number": column["name"], "covers": column["covers"]}
            found.append(empty | labels | number | ends)
    return found


def _spelled(name: str) -> str:
    """A key's column, apart from the others."""
    return f"{name}_" if name in ("table", "number", "estimate", "low", "high", "covers") else name
