"""A party's own file: CSV or Parquet, read whole, or piece by piece, or refused with one rule. Never echoes a cell.

CSV must be UTF-8, comma separated, quoted with `"`, with one header line of distinct names and as many cells in every
row. A byte order mark before the header is skipped. Everything is read as text; `columns` gives it its types. Parquet
keeps its own types. Only the columns asked for are read.

A first line that holds an address, a hash or a number is a person, not a header: such a file is refused before any
name of it could be shown.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from ..policies.contract import is_plain
from .probe import unpacks

MOST_ROWS = 200_000_000
FEW_ROWS, MOST_ROWS_A_BYTE = 100_000, 8
PIECE = 2**17
"""Rows that are worth being looked at together."""
_PIECE_BYTES, _MOST_LIKELY = 1 << 26, 1 << 27
_BLOCK = 1 << 20

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32", "`iconv -f UTF-32 -t UTF-8 FILE > NEW` turns it into UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE > NEW` turns it into UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE > NEW` turns it into UTF-8"),
    (b"\x1f\x8b", "compressed (gzip)", "`gunzip` unpacks it"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "`zstd -d` unpacks it"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "save it as CSV in UTF-8"),
)
_QUOTE = ord('"')
_QUOTES = 'put cells that hold a comma, a quote or a line break in "quotes", and double a quote inside'
_HASH = re.compile(r"[0-9a-fA-F]{32,}|[0-9A-Za-z+/]{27,}=|[0-9A-Za-z+/]{22}==")


class BadSource(Exception):
    """A party's file cannot be read as a table. rule: what is wrong. remedy: what to do. No cell is carried."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


def header(path: Path) -> tuple[str, ...]:
    """The column names. Errors: BadSource, OSError."""
    if is_parquet(path):
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
    table = _read_parquet(path, wanted) if is_parquet(path) else _read_csv(path, names, wanted)
    if table.num_rows == 0:
        raise _no_rows(path)
    return table


def read_pieces(path: Path, columns: Collection[str]) -> Iterator[pa.Table]:
    """The same a piece at a time, each of `PIECE` rows or more where there are so many. One is in memory, and the next.

    Whether the file is a whole table shows at its end: nothing of it counts before. Errors: BadSource, OSError.
    """
    names = header(path)
    wanted = [name for name in names if name in columns]
    batches = _parquet_batches(path, wanted) if is_parquet(path) else _csv_batches(path, names, wanted)
    there = False
    for piece in _joined(batches):
        there = True
        yield piece
    if not there:
        raise _no_rows(path)


def likely_rows(path: Path) -> int:
    """About how many rows it has, rather more, and never more than there is room for. Errors: BadSource, OSError."""
    if is_parquet(path):
        with _parquet(path) as file:
            likely = int(file.metadata.num_rows)
    else:
        with path.open("rb") as file:
            first = file.read(_BLOCK)
        likely = (first.count(b"\n") + 1) * path.stat().st_size * 33 // (len(first) * 32)
    return min(max(likely, 1), _MOST_LIKELY)


def opened(path: Path) -> TextIO:
    """A CSV file as text, for `csv`, without its byte order mark. Errors: OSError."""
    return path.open(encoding="utf-8-sig", newline="")


def _joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together, the last few with those before: what is worth doing fast is so to the end."""
    held: list[pa.RecordBatch] = []
    after: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        after.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= PIECE or size >= _PIECE_BYTES:
            if held:
                yield pa.Table.from_batches(held)
            held, after, rows, size = after, [], 0, 0
    if sum(batch.num_rows for batch in held + after):
        yield pa.Table.from_batches(held + after)


def is_parquet(path: Path) -> bool:
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


def _no_rows(path: Path) -> BadSource:
    return BadSource(path, "it has a header but no rows", "export it again")


def _refuse_header(path: Path, names: tuple[str, ...]) -> None:
    """Nothing of the names is said: they may be a person's."""
    if len(names) == 1 and (mark := re.search("[;\t|]", names[0])):
        raise BadSource(path, f"its cells are separated by {_SEPARATORS[mark[0]]}", _WITH_COMMAS)
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


_WITH_COMMAS = "export it with commas; a spreadsheet takes the list separator of the system's regional settings"
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
        with opened(path) as text:
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
                parse_options=_parsed(quotes=quotes, ragged=ragged),
                convert_options=_converted(names, wanted),
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


def _csv_batches(path: Path, names: tuple[str, ...], wanted: list[str]) -> Iterator[pa.RecordBatch]:
    """As `_read_csv`, batch by batch. A thread reads ahead, so nothing of ours is given to it; and what it stumbles
    over, `_read_csv` puts into words."""
    quotes = _refuse_bytes(path)
    try:
        with (
            pa.OSFile(str(path), "rb") as file,
            pcsv.open_csv(
                file,
                read_options=pcsv.ReadOptions(use_threads=False),
                parse_options=_parsed(quotes=quotes),
                convert_options=_converted(names, wanted),
            ) as reader,
        ):
            yield from reader
        return
    except MemoryError:
        raise
    except (pa.ArrowException, KeyError) as error:
        message = str(error)
    _read_csv(path, names, wanted[:1])
    raise _csv_fault(path, message)


def _parsed(*, quotes: bool, ragged: _Ragged | None = None) -> pcsv.ParseOptions:
    return pcsv.ParseOptions(invalid_row_handler=ragged, newlines_in_values=quotes, quote_char='"' if quotes else False)


def _converted(names: tuple[str, ...], wanted: list[str]) -> pcsv.ConvertOptions:
    return pcsv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=wanted,
        strings_can_be_null=True,
        null_values=[""],
        quoted_strings_can_be_null=True,
    )


def _csv_fault(path: Path, message: str) -> BadSource:
    """The library's message is only looked at: it may hold cells."""
    if "straddl" in message:
        return BadSource(path, "a row is longer than 1 MB, or a quote is never closed", _QUOTES)
    if "Empty CSV" in message:
        return _no_rows(path)
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
            quotes += int(np.count_nonzero(np.frombuffer(block, np.uint8) == _QUOTE))
            if not block.isascii() or decoder.getstate()[0]:
                _decode(path, decoder, block)
    _decode(path, decoder, b"", final=True)
    if quotes % 2:
        _refuse_open_quote(path)
    return quotes > 0


def _refuse_open_quote(path: Path) -> None:
    """Of an odd number of quotes one may stand alone inside a cell; at a cell's beginning it opens one."""
    with opened(path) as text:
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


def _parquet_batches(path: Path, wanted: list[str]) -> Iterator[pa.RecordBatch]:
    with _parquet(path) as file:
        _refuse_bomb(path, file.metadata.num_rows, wanted)
        left = file.metadata.num_rows
        try:
            for batch in file.iter_batches(PIECE, columns=wanted):
                batch.validate(full=True)
                left -= batch.num_rows
                if batch.schema.names != wanted:
                    raise _not_parquet(path)
                yield batch
        except MemoryError:
            raise
        except _PARQUET_FAULTS:
            raise _not_parquet(path) from None
        if left:
            raise _not_parquet(path)


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
