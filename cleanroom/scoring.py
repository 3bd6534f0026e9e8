"""Model files at home: scoring new people, and handing a model to other systems.

New people never enter a room for this: a model that was released to its reader is the reader's to use. Values that were
not declared count as missing, numbers beyond their bounds as the nearest bound, as when the model was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..modelling.apart import Apart
from ..modelling.features import Category, Kind, Number, Ordinal
from ..modelling.onnx_graph import graph
from ..modelling.scorer import NotAModel, Scorer
from ..policies.contract import CategoryColumn, Column, NumberColumn, OrdinalColumn, SetColumn
from .columns import read_columns, refuse_missing
from .files import write_new
from .opening import write_audience
from .source import header, read_source

WRITTEN = ("log_odds", "probability", "low", "high")
LARGEST_MODEL = 2**28
"""Bytes of a model file, above which it is not read."""


class BadModel(Exception):
    """A file that is no model of this product."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self.rule, self.remedy = "it is no model", "name a .model.json that `passbox release open` wrote"


class IdTaken(Exception):
    """The column that is carried along is named like one that is written beside it."""


@dataclass(frozen=True, slots=True)
class Scored:
    """odd: rows by what of them the model did not foresee, a row under each; they were scored all the same. intervals:
    whether the file says how far a score may be off; apart: as if columns were independent."""

    out: Path
    rows: int
    mean: float
    odd: Mapping[str, int]
    intervals: bool = True
    apart: bool = False


def read_model(path: Path) -> Scorer:
    """Errors: BadModel, OSError."""
    if path.stat().st_size > LARGEST_MODEL:
        raise BadModel(path)
    try:
        return Scorer.from_json(path.read_bytes().decode())
    except (NotAModel, UnicodeDecodeError):
        raise BadModel(path) from None


def score(model: Path, people: Path, out: Path, own_id: str | None) -> Scored:
    """Log-odds and probability of everybody in a file, in its order, as CSV or Parquet; low and high, the ends of the
    probability's 95 % interval, where the model knows them.

    own_id: a column that is carried along; rows are numbered from 1 where there is none.
    Errors: BadModel, BadSource, ColumnMissing, ColumnUnreadable, FileInTheWay, IdTaken, OSError.
    """
    if own_id in WRITTEN:
        raise IdTaken
    scorer = read_model(model)
    declared = {column.kind.name: _declared(column.kind) for column in scorer.encoder.columns}
    carried, names = [own_id] if own_id else [], header(people)
    refuse_missing(declared, names, people, "model")
    refuse_missing(carried, names, people, "--id")
    source = read_source(people, {*declared, *carried})
    read = read_columns(source, declared)
    probability = scorer.probability(read.table)
    ids = source.column(own_id) if own_id else pa.array(np.arange(1, source.num_rows + 1))
    ends = scorer.interval(read.table)
    scores = [scorer.score(read.table), probability, *(() if ends is None else ends)]
    columns = {own_id or "row": ids, **dict(zip(WRITTEN, scores, strict=False))}
    write_audience(pa.table(columns), out)
    known, apart = ends is not None, isinstance(scorer.doubt, Apart)
    return Scored(out, source.num_rows, float(probability.mean()), read.faults, intervals=known, apart=apart)


def export_onnx(model: Path, out: Path) -> bool:
    """Whether it was written now, or stood there before. Errors: BadModel, OnnxMissing, NameTaken, FileInTheWay."""
    return write_new(out, graph(read_model(model)).SerializeToString(), same_is_fine=True)


def _declared(kind: Kind) -> Column:
    if isinstance(kind, Number):
        return NumberColumn(kind="number", bounds=[kind.low, kind.high])
    if isinstance(kind, Category):
        return CategoryColumn(kind="category", values=list(kind.values))
    if isinstance(kind, Ordinal):
        return OrdinalColumn(kind="ordinal", values=list(kind.values))
    return SetColumn(kind="set", values=list(kind.values), at_most=kind.at_most)
