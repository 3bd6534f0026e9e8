"""Any CSV file with a small schema beside it, as a lookalike benchmark reads it.

    names = ["age", "job", "bought"]                   # only where the file has no header
    label = { column = "bought", positive = "Yes" }
    [columns]                                          # as in a contract; every other column is left out
    age = { kind = "number", bounds = [18, 99] }
    job = { kind = "category", values = ["clerk", "cook"] }
    size = { kind = "ordinal", values = ["S", "M", "L"] }
    topics = { kind = "set", values = ["cars", "food"], at_most = 2 }

A value that is not declared counts as missing, and one of a set is left out of it: how many there are is said.

A split is numbered: `numpy.random.default_rng(1000 + number).permutation`, the first four fifths train.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


class Unfit(ValueError):
    """A file or schema that no benchmark can use: what to mend, in one line."""


def read(path: Path, schema: Path) -> People:
    """The people of a file, whose values that are not declared are counted on stderr. Errors: SystemExit with one
    line, for whoever typed the benchmark."""
    try:
        people = _people(path, schema)
    except Unfit as error:
        raise SystemExit(f"error: {error}") from None
    print(*(f"{line}\n" for line in undeclared(people)), sep="", end="", file=sys.stderr)
    return people


def undeclared(people: People) -> list[str]:
    """A line for each column that holds values which its schema does not list."""
    said = []
    for kind in people.declared:
        if isinstance(kind, Number):
            continue
        column, sets = people.table.column(kind.name), isinstance(kind, Topics)
        values = pc.list_flatten(column) if sets else column
        values = values.filter(pc.not_equal(values, ""))
        many = pc.sum(pc.invert(pc.is_in(values, value_set=pa.array(kind.values)))).as_py()
        if many:
            becomes = "left out of their sets" if sets else "taken for missing"
            said.append(f"{kind.name}: {many:,} of {len(values):,} values are not in the schema, and {becomes}")
    return said


def _people(path: Path, schema: Path) -> People:
    said = _schema(schema)
    label = said["label"]
    declared = [_kind(schema, name, column) for name, column in said["columns"].items()]
    table = _texts(path, said.get("names"), [*(kind.name for kind in declared), label["column"]])
    columns = {kind.name: _typed(path, table[kind.name], kind) for kind in declared}
    positive = np.asarray(pc.equal(table[label["column"]], str(label["positive"])), dtype=bool)
    if positive.all() or not positive.any():
        how = "everywhere" if len(positive) and positive.all() else "nowhere"
        raise Unfit(f"{path}: {label['column']} is {how} {label['positive']!r}: there is nobody to tell apart")
    return People(schema.stem, pa.table(columns), declared, positive)


def _schema(path: Path) -> dict[str, Any]:
    try:
        said = tomllib.loads(path.read_text())
    except OSError:
        raise Unfit(f"{path}: it cannot be read") from None
    except ValueError as error:
        raise Unfit(f"{path}: it is no TOML: {error}") from None
    label = said.get("label")
    if not isinstance(label, dict) or not {"column", "positive"} <= set(label):
        raise Unfit(path.name + ': it needs a line such as label = { column = "bought", positive = "Yes" }')
    if not isinstance(said.get("columns"), dict) or not said["columns"]:
        raise Unfit(f"{path}: it needs [columns], and under it a line for each, as in a contract")
    return said


def _texts(path: Path, names: list[str] | None, wanted: list[str]) -> dict[str, pa.ChunkedArray]:
    """Columns of a file, as they stand there but for blanks around them. names: where it has no header."""
    try:
        table = pcsv.read_csv(
            path,
            read_options=pcsv.ReadOptions(column_names=names),
            convert_options=pcsv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False
            ),
        )
    except OSError:
        raise Unfit(f"{path}: it cannot be read") from None
    except KeyError as error:  # of Arrow, and it names the column
        raise Unfit(f"{path}: it lacks a column that the schema names: {error.args[0]}") from None
    except pa.ArrowInvalid:
        raise Unfit(f"{path}: it is no CSV file whose lines have the same columns") from None
    return {name: pc.utf8_trim_whitespace(table.column(name)) for name in wanted}


_SHAPES = {
    "number": "bounds = [18, 99]",
    "ordinal": 'values = ["S", "M", "L"]',
    "category": 'values = ["clerk", "cook"]',
    "set": 'values = ["cars", "food"], at_most = 2',
}


def _kind(schema: Path, name: str, column: object) -> Kind:
    kind = column.get("kind") if isinstance(column, dict) else None
    if not isinstance(column, dict) or kind not in _SHAPES:
        raise Unfit(f"{schema}: columns.{name}: its kind is one of {', '.join(_SHAPES)}")
    try:
        if kind == "number":
            low, high = column["bounds"]
            return Number(name, low, high)
        if kind == "set":
            return Topics(name, tuple(column["values"]), column["at_most"])
        return {"ordinal": Ordinal, "category": Category}[kind](name, tuple(column["values"]))
    except (KeyError, TypeError, ValueError) as error:
        why = f" ({error})" if type(error) is ValueError else ""
        raise Unfit(f'{schema}: columns.{name}: write {{ kind = "{kind}", {_SHAPES[kind]} }}{why}') from None


def _typed(path: Path, text: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    if isinstance(kind, Topics):
        return pc.split_pattern(text, "|")
    if not isinstance(kind, Number):
        return text
    try:
        return pc.cast(pc.if_else(pc.equal(text, ""), None, text), pa.float64())
    except pa.ArrowInvalid:
        raise Unfit(f"{path}: {kind.name} holds something that is no number") from None


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
