"""A party's own file: CSV or Parquet, read whole or refused with one rule. Never echoes a cell.

CSV must be UTF-8 without a byte order mark, comma separated, quoted with `"`, with one header line of distinct
names and as many cells in every row. Everything is read as text; `columns` gives it its types. Parquet keeps its
own types. Only the columns asked for are read.

A first line that holds an address, a hash or a number is a person, not a header: such a file is refused before any
name of it could be shown.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from ..policies.contract import is_plain
from .probe import unpacks

MOST_ROWS = 200_000_000
FEW_ROWS, MOST_ROWS_A_BYTE = 100_000, 8
_BLOCK = 1 << 20

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32", "`iconv -f UTF-32 -t UTF-8 FILE > NEW` turns it into UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE > NEW` turns it into UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE > NEW` turns it into UTF-8"),
    (codecs.BOM_UTF8, "UTF-8 with a byte order mark", "`tail -c +4 FILE > NEW` takes the mark away"),
    (b"\x1f\x8b", "compressed (gzip)", "`gunzip` unpacks it"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "`zstd -d` unpacks it"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "save it as CSV in UTF-8"),
)
_QUOTES = 'put cells that hold a comma, a quote or a line break in "quotes", and double a quote inside'
_HASH = re.compile(r"[0-9a-fA-F]{32,}|[0-9A-Za-z+/]{27,}=|[0-9A-Za-z+/]{22}==")


class BadSource(Exception):
    """A party's file cannot be read as a table. rule: what is wrong. remedy: what to do. No cell is carried."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


def header(path: Path) -> tuple[str, ...]:
    """The column names. Errors: BadSource, OSError."""
    if _is_parquet(path):
        with _parquet(path) as file:
            names = _parquet_names(path, file)
    else:
        names = _csv_names(path)
    _refuse_header(path, names)
    return names


def read_source(path: Path, columns: Collection[str] | None = None) -> pa.Table:
    """The file as a table, or some of its columns; CSV cells are text, empty cells null. Errors: BadSource, OSError."""
    names = header(path)
    wanted = [name for name in names if columns is None or name in columns]
    table = _read_parquet(path, wanted) if _is_parquet(path) else _read_csv(path, names, wanted)
    if table.num_rows == 0:
        raise BadSource(path, "it has a header but no rows", "export it again")
    return table


def _is_parquet(path: Path) -> bool:
    """Whether it is Parquet, once it is known to be a file with something in it."""
    with path.open("rb") as file:
        if not path.is_file():
            raise BadSource(path, "it is not a regular file", "save it to a file first")
        head = file.read(65536)
    if not head.strip():
        raise BadSource(path, "the file is empty", "export it again, with a header line")
    parquet = head.startswith(b"PAR1")
    if path.suffix == ".parquet" and not parquet:
        raise _not_parquet(path)
    return parquet


def _refuse_header(path: Path, names: tuple[str, ...]) -> None:
    """Nothing of the names is said: they may be a person's."""
    if len(names) == 1 and (mark := re.search("[;\t|]", names[0])):
        raise BadSource(path, f"its cells are separated by {_SEPARATORS[mark[0]]}", "export it with commas")
    for at, name in enumerate(names, 1):
        if not name.strip():
            raise BadSource(path, f"column {at} has no name", "name every column in the first line")
        if "@" in name or _HASH.fullmatch(name.strip()) or _is_number(name):
            raise BadSource(path, "its first line is data, not a header", "put column names in the first line")
        if "\0" in name:
            raise BadSource(path, "it holds NUL bytes", "save it as plain UTF-8 text")
        if not is_plain(name):
            raise BadSource(path, f"the name of column {at} is not plain text", "use short names without line breaks")
    if len(set(names)) < len(names):
        raise BadSource(path, "a column name stands twice in the header", "rename one of them")


_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# -- CSV -------------------------------------------------------------------------------------------------------------


def _csv_names(path: Path) -> tuple[str, ...]:
    with path.open("rb") as file:
        head = file.read(4)
    for mark, name, remedy in _MARKS:
        if head.startswith(mark):
            raise BadSource(path, f"it is {name}", remedy)
    try:
        with path.open(encoding="utf-8", newline="") as text:
            names = next(row for row in csv.reader(text) if row)
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    except (csv.Error, StopIteration):
        raise BadSource(path, "its header line cannot be read", _QUOTES) from None
    return tuple(names)


def _read_csv(path: Path, names: tuple[str, ...], wanted: list[str]) -> pa.Table:
    quotes = _refuse_bytes(path)
    ragged = _Ragged()
    try:
        with pa.OSFile(str(path), "rb") as file:  # a path would be unpacked by its ending
            table = pcsv.read_csv(
                file,
                # a thread of the reader's would drop `ragged` when it likes: at exit, that aborts the process
                read_options=pcsv.ReadOptions(use_threads=False),
                parse_options=pcsv.ParseOptions(
                    invalid_row_handler=ragged, newlines_in_values=quotes, quote_char='"' if quotes else False
                ),
                convert_options=pcsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=wanted,
                    strings_can_be_null=True,
                    null_values=[""],
                    quoted_strings_can_be_null=True,
                ),
            )
    except MemoryError:
        raise
    except (pa.ArrowException, KeyError) as error:
        raise _csv_fault(path, str(error)) from None
    if ragged.rows:
        rows = "1 row does" if ragged.rows == 1 else f"{ragged.rows} rows do"
        rule = f"{rows} not have the header's {len(names)} cells"
        raise BadSource(path, rule, _QUOTES)
    return table


def _csv_fault(path: Path, message: str) -> BadSource:
    """The library's message is only looked at: it may hold cells."""
    if "straddl" in message:
        return BadSource(path, "a row is longer than 1 MB, or a quote is never closed", _QUOTES)
    if "Empty CSV" in message:
        return BadSource(path, "it has a header but no rows", "export it again")
    return BadSource(path, "it cannot be read as CSV", "export it as comma separated UTF-8 text")


def _not_utf8(path: Path) -> BadSource:
    return BadSource(path, "it is not UTF-8 text", "`iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW` is often right")


def _refuse_bytes(path: Path) -> bool:
    """Before the CSV reader sees them: it would tell the terminal of a bad row that is not UTF-8, and take everything
    after a quote that is never closed for one cell. Whether there are quotes at all: without any it reads faster."""
    decoder, quotes = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if b"\0" in block:
                raise BadSource(path, "it holds NUL bytes", "save it as plain UTF-8 text")
            quotes += block.count(b'"') if b'"' in block else 0
            if not block.isascii() or decoder.getstate()[0]:
                _decode(path, decoder, block)
    _decode(path, decoder, b"", final=True)
    if quotes % 2:
        _refuse_open_quote(path)
    return quotes > 0


def _refuse_open_quote(path: Path) -> None:
    """Of an odd number of quotes one may stand alone inside a cell; at a cell's beginning it opens one."""
    with path.open(encoding="utf-8", newline="") as text:
        try:
            for _ in csv.reader(text, strict=True):
                pass
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise BadSource(path, "a quote opens a cell and is never closed", _QUOTES) from None


def _decode(path: Path, decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> None:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        raise _not_utf8(path) from None


class _Ragged:
    """Counts rows of the wrong width, and keeps nothing of them."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, row: pcsv.InvalidRow) -> str:
        del row
        self.rows += 1
        return "skip"


# -- Parquet ---------------------------------------------------------------------------------------------------------


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except _PARQUET_FAULTS:
        raise _not_parquet(path) from None


def _parquet_names(path: Path, file: pq.ParquetFile) -> tuple[str, ...]:
    try:
        return tuple(file.schema_arrow.names)
    except _PARQUET_FAULTS:
        raise _not_parquet(path) from None


def _read_parquet(path: Path, wanted: list[str]) -> pa.Table:
    with _parquet(path) as file:
        _refuse_bomb(path, file.metadata.num_rows, wanted)
        try:
            table = file.read(columns=wanted)
            table.validate(full=True)
        except MemoryError:
            raise
        except _PARQUET_FAULTS:
            raise _not_parquet(path) from None
        if table.num_rows != file.metadata.num_rows or table.column_names != wanted:
            raise _not_parquet(path)
    return table


def _refuse_bomb(path: Path, rows: int, wanted: list[str]) -> None:
    """Before a byte is unpacked here. People differ, and their rows take more than a few bits."""
    if rows > MOST_ROWS:
        raise BadSource(path, f"it claims more than {MOST_ROWS} rows", "split it")
    if rows > FEW_ROWS + MOST_ROWS_A_BYTE * path.stat().st_size:
        raise BadSource(path, "it claims far more rows than a file of its size can hold", "export it again")
    if not unpacks(path, wanted):
        rule = "it is damaged, or unpacks to far more than a file of its size should"
        raise BadSource(path, rule, "export it again, or as CSV")


_PARQUET_FAULTS = (pa.ArrowException, OSError, ValueError, TypeError, KeyError)


def _not_parquet(path: Path) -> BadSource:
    return BadSource(path, "it is not a whole Parquet file with text in UTF-8", "export it again")
