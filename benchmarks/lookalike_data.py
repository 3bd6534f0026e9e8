"""Any CSV file with a small schema beside it, as a lookalike benchmark reads it.

    names = ["age", "job", "bought"]                   # only where the file has no header
    label = { column = "bought", positive = "Yes" }
    [columns]                                          # as in a contract; every other column is left out
    age = { kind = "number", bounds = [18, 99] }
    job = { kind = "category", values = ["clerk", "cook"] }
    size = { kind = "ordinal", values = ["S", "M", "L"] }
    topics = { kind = "set", values = ["cars", "food"], at_most = 2 }

A split is numbered: `numpy.random.default_rng(1000 + number).permutation`, the first four fifths train.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from passbox.modelling.features import Category, Kind, Number, Ordinal, Topics

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class People:
    name: str
    table: pa.Table
    declared: list[Kind]
    label: Mask

    def split(self, number: int) -> Mask:
        """Who trains."""
        order = np.random.default_rng(1000 + number).permutation(len(self.label))
        train = np.zeros(len(order), dtype=bool)
        train[order[: int(0.8 * len(order))]] = True
        return train


def read(path: Path, schema: Path) -> People:
    said = tomllib.loads(schema.read_text())
    label = said["label"]
    wanted = [*said["columns"], label["column"]]
    table = pcsv.read_csv(
        path,
        read_options=pcsv.ReadOptions(column_names=said.get("names")),
        convert_options=pcsv.ConvertOptions(
            include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False
        ),
    )
    trimmed = {name: pc.utf8_trim_whitespace(table.column(name)) for name in wanted}
    declared = [_kind(name, column) for name, column in said["columns"].items()]
    columns = {kind.name: _typed(trimmed[kind.name], kind) for kind in declared}
    positive = pc.equal(trimmed[label["column"]], str(label["positive"]))
    return People(schema.stem, pa.table(columns), declared, np.asarray(positive, dtype=bool))


def _kind(name: str, column: dict[str, object]) -> Kind:
    if column["kind"] == "number":
        return Number(name, *column["bounds"])
    if column["kind"] == "set":
        return Topics(name, tuple(column["values"]), column["at_most"])
    return {"ordinal": Ordinal, "category": Category}[column["kind"]](name, tuple(column["values"]))


def _typed(text: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    if isinstance(kind, Topics):
        return pc.split_pattern(text, "|")
    if not isinstance(kind, Number):
        return text
    return pc.cast(pc.if_else(pc.equal(text, ""), None, text), pa.float64())


def plain(people: People) -> tuple[NDArray[np.float64], list[int]]:
    """One float column each, for trees: numbers clipped, other kinds as codes. Also which columns are codes.

    Sets become one column a value.
    """
    columns, coded = [], []
    for kind in people.declared:
        column = people.table.column(kind.name).combine_chunks()
        if isinstance(kind, Number):
            columns.append(np.clip(column.to_numpy(zero_copy_only=False), kind.low, kind.high))
        elif isinstance(kind, Topics):
            lists = column.to_pylist()
            columns += [np.array([value in (row or []) for row in lists], dtype=float) for value in kind.values]
        else:
            if isinstance(kind, Category):
                coded.append(len(columns))
            found = pc.index_in(column, value_set=pa.array(kind.values)).fill_null(len(kind.values))
            columns.append(np.asarray(found).astype(float))
    return np.nan_to_num(np.stack(columns, 1)), coded
