"""A party's own file: CSV or Parquet, read whole or refused with one rule. Never echoes a cell.

CSV must be UTF-8 without a byte order mark, comma separated, quoted with `"`, with one header line of distinct
names and as many cells in every row. Everything is read as text; `columns` gives it its types. Parquet keeps its
own types.
"""

from __future__ import annotations

import codecs
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

MOST_ROWS = 200_000_000
LARGEST_CELL = 1_000_000

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
    (codecs.BOM_UTF8, "UTF-8 with a byte order mark"),
)


class BadSource(Exception):
    """A party's file cannot be read as a table. rule: what is wrong. remedy: what to do. No cell is carried."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


def read_source(path: Path) -> pa.Table:
    """The file as a table; CSV cells are text, empty cells null. Errors: BadSource, OSError."""
    with path.open("rb") as file:
        head = file.read(65536)
    if not head.strip():
        raise BadSource(path, "the file is empty", "export it again, with a header line")
    table = _parquet(path) if head.startswith(b"PAR1") else _csv(path, head)
    if len(set(table.column_names)) < table.num_columns:
        raise BadSource(path, "a column name stands twice in the header", "rename one of them")
    if table.num_rows == 0:
        raise BadSource(path, "it has a header but no rows", "export it again")
    return table


def header(path: Path) -> list[str]:
    """The column names only. Errors: as `read_source`."""
    return list(read_source(path).column_names)


def _csv(path: Path, head: bytes) -> pa.Table:
    for mark, name in _MARKS:
        if head.startswith(mark):
            raise BadSource(
                path, f"it is {name}", "save it as plain UTF-8 (`iconv -f UTF-16 -t UTF-8`, or without BOM)"
            )
    if b"\0" in head:
        raise BadSource(path, "it holds NUL bytes", "save it as plain UTF-8 text")
    ragged = _Ragged()
    names = _names(path, head)
    try:
        table = pcsv.read_csv(
            path,
            parse_options=pcsv.ParseOptions(invalid_row_handler=ragged, newlines_in_values=True),
            convert_options=pcsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        raise BadSource(path, "it is not CSV in UTF-8", "save it as comma separated UTF-8 text") from None
    if ragged.rows:
        rule = f"{ragged.rows} rows do not have the header's {len(names)} cells"
        raise BadSource(path, rule, 'put cells that hold a comma or a line break in "quotes"')
    return table


class _Ragged:
    """Counts rows of the wrong width, and keeps nothing of them."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, row: pcsv.InvalidRow) -> str:
        del row
        self.rows += 1
        return "skip"


def _names(path: Path, head: bytes) -> list[str]:
    try:
        with pcsv.open_csv(pa.BufferReader(head[: head.rfind(b"\n") + 1] or head + b"\n")) as reader:
            return list(reader.schema.names)
    except (pa.ArrowException, UnicodeDecodeError):
        pass
    import csv

    try:
        return next(csv.reader([head.partition(b"\n")[0].decode("utf-8").rstrip("\r")]))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        raise BadSource(path, "its header is not UTF-8 text", "save it as plain UTF-8") from None


def _parquet(path: Path) -> pa.Table:
    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > MOST_ROWS:
            raise BadSource(path, f"it claims more than {MOST_ROWS} rows", "split it")
        return file.read()
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise BadSource(path, "it is not a whole Parquet file", "export it again") from None
