"""Privatise columns of a party's file at home, block by block, before anything is submitted.

CSV stays CSV, Parquet stays Parquet, every other column passes as it is. A free text becomes as many words as it had,
or a fixed number; a declared column (category, set) becomes declared values. Beside the new file stands a statement of
what was done (`dp.text.statement`), for `prepare`.

Drawing the same texts twice tells more than once: what both files say adds up. So a file that is there is not replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from ..dp.text.certificate import Certificate
from ..dp.text.mechanism import Mechanism
from ..dp.text.sorter import Sorter
from ..dp.text.statement import PrivateColumn, Statement
from ..dp.text.table import StandsFor, Table
from ..dp.text.tokens import Tokeniser, joined
from ..dp.text.vocabulary import Kind, Vocabulary
from .columns import ColumnUnreadable, refuse_missing
from .files import refuse_unwritable, replacing, write_new
from .source import BadSource, header

_BLOCK = 8 << 20
_PIECE = 2 << 20
Progress: TypeAlias = Callable[[int], None]
"""Called with how many rows were written since."""


class Columnwise(Protocol):
    """How one column is privatised."""

    def draw(self, values: pl.Series) -> pl.Series: ...

    def stated(self, column: str) -> PrivateColumn: ...


@dataclass
class Counts:
    """What was seen, of which nothing leaves: tokens drawn, and tokens that were no word of the vocabulary, by kind."""

    tokens: int = 0
    other: dict[Kind, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Texts:
    """Free text: every token is replaced. length: tokens of every text, or 0 for as many as it has."""

    certificate: Certificate
    vocabulary: Vocabulary
    table: Table
    mechanism: Mechanism
    tokeniser: Tokeniser
    stands_for: StandsFor
    length: int = 0
    counts: Counts = field(default_factory=Counts)

    def draw(self, values: pl.Series) -> pl.Series:
        """Other texts in place of these."""
        tokens = self.tokeniser.cut(values)
        for kind, count in tokens.other.items():
            self.counts.other[kind] = self.counts.other.get(kind, 0) + count
        if self.length:
            tokens = self.tokeniser.fixed(tokens, self.length)
        self.counts.tokens += len(tokens.words)
        drawn = self.mechanism.draw(self.stands_for(tokens.words))
        return joined(self.vocabulary.words.gather(self.table.words[drawn]), tokens.lengths)

    def stated(self, column: str) -> PrivateColumn:
        return PrivateColumn(column=column, tokens=self.length or None, certificate=self.certificate)


@dataclass(frozen=True)
class Values:
    """A declared column: each person's values are drawn anew among all that are declared, always `draws` of them.

    Fewer, and missing ones, are filled up with the value in the middle, which is drawn anew like any other. So sets of
    different sizes are any two sets: their number is hidden within ε between any two people, and no better. A set is
    what is drawn, each value once, in declared order. sorter: which value a text stands for, where values are texts.
    """

    certificate: Certificate
    words: Sequence[str]
    mechanism: Mechanism
    middle: int
    draws: int
    sorter: Sorter | None = None
    counts: Counts = field(default_factory=Counts)

    def draw(self, values: pl.Series) -> pl.Series:
        """Other values in place of these. Errors: ColumnUnreadable where one is not declared."""
        rows = len(values)
        at = np.full((rows, self.draws), self.middle, dtype=np.int64)
        each = pl.DataFrame({"row": np.arange(rows), "value": values.str.split("|")}).explode("value")
        each = each.with_columns(pl.col("value").str.strip_chars()).filter(pl.col("value").fill_null("") != "")
        if self.sorter is not None:
            each = each.with_columns(self.sorter(each["value"])).drop_nulls()
        ranks = pl.DataFrame({"value": list(self.words), "rank": np.arange(len(self.words))})
        known = each.unique(maintain_order=True).join(ranks, on="value", how="left", maintain_order="left")
        if known["rank"].null_count():
            raise ColumnUnreadable(values.name, "values that the contract declares", _SORT)
        row, rank = known.sort("row", "rank").select("row", "rank").to_numpy().T
        place = np.arange(len(row)) - np.searchsorted(row, row)
        kept = place < self.draws
        at[row[kept], place[kept]] = rank[kept]
        self.counts.tokens += at.size
        drawn = np.sort(self.mechanism.draw(at.reshape(-1)).reshape(rows, self.draws), axis=1)
        fresh = np.ones_like(drawn, dtype=np.bool_)
        fresh[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
        row, place = np.nonzero(fresh)
        frame = pl.DataFrame({"row": row, "value": pl.Series(list(self.words)).gather(drawn[row, place])})
        return frame.group_by("row", maintain_order=True).agg(pl.col("value").str.join("|"))["value"]

    def stated(self, column: str) -> PrivateColumn:
        return PrivateColumn(column=column, tokens=self.draws, certificate=self.certificate)


_SORT = "export it in the contract's own words, or let `--sort` take the declared value that each text lies nearest to"


def middle_of(table: Table, vocabulary: Vocabulary) -> int:
    """The value nearest to the mean of all: it stands for a value that is not there."""
    vectors = vocabulary.vectors[table.words].astype(np.float64)
    return int(np.square(vectors - vectors.mean(axis=0)).sum(axis=1).argmin())


@dataclass(frozen=True)
class Privatised:
    """What was written. rows: of the file. left: how many of its columns are as they were."""

    out: Path
    statement: Path
    rows: int
    left: int


def statement_path(out: Path) -> Path:
    """Where the statement about a privatised file lies."""
    return out.parent / f"{out.name}.statement.json"  # of a folder too, which is refused later


def privatise(source: Path, out: Path, columns: Mapping[str, Columnwise], progress: Progress) -> Privatised:
    """Write a file with these columns drawn anew, and the statement about it, whole or not at all.

    Errors: BadSource, ColumnMissing, ColumnUnreadable, FileInTheWay, OSError.
    """
    names = refuse_unready(source, out, tuple(columns))
    beside = statement_path(out)
    rows = 0
    with replacing(out) as temporary:
        with _writer(temporary, source) as write, blocks(source, names) as parts:
            for block in _pieces(parts):
                write(_drawn(block, columns))
                rows += block.num_rows
                progress(block.num_rows)
        if not rows:
            raise BadSource(source, "it has a header but no rows", "export it again")
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        made = Statement(file=digest, columns=tuple(each.stated(name) for name, each in columns.items()))
        write_new(beside, made.spelled())
    return Privatised(out, beside, rows, len(names) - len(columns))


def refuse_unready(source: Path, out: Path, columns: tuple[str, ...]) -> Sequence[str]:
    """What stands in the way of privatising a file, before anything is measured. Returns the names of its columns.

    Errors: BadSource, ColumnMissing, FileInTheWay, OSError.
    """
    names = header(source)
    refuse_missing(columns, names, source, "--columns")
    for path in (out, statement_path(out)):
        refuse_unwritable(path, "what two draws of the same texts tell adds up: keep the first, or name another")
    return names


def lines(texts: Sequence[str], how: Texts) -> list[str]:
    """Lines from a pipe, each a text of its own."""
    return how.draw(pl.Series(list(texts), dtype=pl.String)).to_list()


def _pieces(blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Rows of so many bytes at a time: what is drawn for them takes many times as much, however long texts are."""
    for block in blocks:
        step = max(1, block.num_rows * _PIECE // max(block.nbytes, 1))
        for start in range(0, block.num_rows, step):
            yield block.slice(start, step)


def _drawn(block: pa.Table, columns: Mapping[str, Columnwise]) -> pa.Table:
    for name, how in columns.items():
        at = block.column_names.index(name)
        drawn = how.draw(text_of(name, block.column(at))).rename(name)
        block = block.set_column(at, name, drawn.to_arrow().cast(pa.string()))
    return block


def text_of(name: str, column: pa.ChunkedArray) -> pl.Series:
    """Errors: ColumnUnreadable."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind, column = kind.value_type, column.cast(kind.value_type)
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (pa.types.is_null(kind) or _is_text(kind.value_type if listed else kind)):
        raise ColumnUnreadable(name, "text")
    series = pl.Series(name, pl.from_arrow(column)).cast(pl.List(pl.String) if listed else pl.String)
    return series.list.join("|") if listed else series


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


@contextmanager
def blocks(source: Path, names: Sequence[str]) -> Iterator[Iterator[pa.Table]]:
    """The file's rows, some at a time. Errors: BadSource."""
    try:
        if _is_parquet(source):
            with pq.ParquetFile(source) as file:
                yield (pa.Table.from_batches([batch]) for batch in file.iter_batches(batch_size=1 << 16))
        else:
            with _csv(source, names) as reader:
                yield (pa.Table.from_batches([batch]) for batch in reader)
    except MemoryError:
        raise
    except (pa.ArrowException, KeyError):
        raise BadSource(source, "it cannot be read to its end", "check it with `passbox prepare --check`") from None


def _is_parquet(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(4) == b"PAR1"


def _csv(source: Path, names: Sequence[str]) -> pcsv.CSVStreamingReader:
    return pcsv.open_csv(
        source.open("rb"),
        read_options=pcsv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=pcsv.ParseOptions(newlines_in_values=True),
        convert_options=pcsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=True,
        ),
    )


@contextmanager
def _writer(path: Path, source: Path) -> Iterator[Callable[[pa.Table], None]]:
    """In the form of the source. The first block says the columns."""
    parquet = _is_parquet(source)
    opened: list[pq.ParquetWriter | pcsv.CSVWriter] = []

    def write(block: pa.Table) -> None:
        if not opened:
            opened.append(pq.ParquetWriter(path, block.schema) if parquet else _csv_writer(path, block.schema))
        opened[0].write_table(block)

    try:
        yield write
    finally:
        for each in opened:
            each.close()


def _csv_writer(path: Path, schema: pa.Schema) -> pcsv.CSVWriter:
    return pcsv.CSVWriter(path, schema, write_options=pcsv.WriteOptions(quoting_style="needed"))
