"""A table as bytes that cannot unpack into more than they are: an Arrow file without compression.

    ARROW1 0 0        8 bytes
    schema            columns of `TYPES`, with names and nothing beside them
    record batches    `BATCH` rows each, the last one the rest; every buffer as it lies in memory
    end, footer       for other readers, such as polars, DuckDB and R; nothing of it is believed here

Parquet repeats a value, a run of nulls or a list's level in a few bits, and its sizes are what the file says they are.
Here every batch of a table is a view of the bytes it came in.

The code ensures: a message that says its buffers are compressed is not decoded; a dictionary, a run-end or a view type,
by which a value could stand for many, is no type of the schema; lengths and offsets are checked against the buffers,
text is UTF-8; columns do not share bytes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa
import pyarrow.ipc as ipc

TYPES = (pa.uint64(), pa.float64(), pa.string(), pa.list_(pa.string()))
BATCH = 2**16
"""Rows of a record batch."""
LARGEST_ROW = 4096
"""Bytes of a row, on average, above which a table is refused: none of it beyond that is read."""
LARGEST_MESSAGE = 2**20
_MARK, _END = b"ARROW1\0\0", b"\xff\xff\xff\xff\0\0\0\0"
_SIZE = "its data is not of the size its manifest says"


class NotFlat(Exception):
    """Bytes that are no such table. rule: what is wrong, in words."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def write_flat(table: pa.Table) -> bytes:
    """The table as bytes, all at once. As `flat_pieces`."""
    return b"".join(flat_pieces(table))


def flat_pieces(table: pa.Table) -> Iterator[bytes]:
    """The table as bytes, a batch at a time. Its columns are of `TYPES`; what its schema says besides is left out."""
    bare = pa.Table.from_arrays(table.columns, names=table.column_names)
    sink = _Sink()
    with ipc.new_file(sink, bare.schema, options=ipc.IpcWriteOptions(compression=None)) as file:
        for at in range(0, bare.num_rows, BATCH):
            file.write_table(bare.slice(at, BATCH).combine_chunks())
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """What was written since it was last taken."""

    closed = False

    def __init__(self) -> None:
        self._at, self._pieces = 0, list[bytes]()

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def read_flat(data: bytes, rows: int) -> pa.Table:
    """The table of so many rows, all at once. Errors: NotFlat."""
    batches = list(read_batches(io.BytesIO(data), rows))
    return pa.Table.from_batches(batches[1:], batches[0].schema)


def read_batches(stream: Readable, rows: int) -> Iterator[pa.RecordBatch]:
    """The table of so many rows, batch by batch, one in memory at a time: first an empty one, for its schema.

    What follows the rows is not read. Errors: NotFlat, at the batch that is at fault.
    """
    try:
        yield from _batches(stream, rows)
    except (pa.ArrowException, OSError, ValueError, OverflowError, struct.error, MemoryError):
        raise NotFlat("its data is not a whole Arrow file") from None


class Readable(Protocol):
    """Gives so many bytes, or fewer where it ends."""

    def read(self, size: int, /) -> bytes: ...


def _batches(stream: Readable, rows: int) -> Iterator[pa.RecordBatch]:
    if stream.read(len(_MARK)) != _MARK:
        raise NotFlat("its data is not an Arrow file")
    messages, left = _messages(stream), rows
    schema = _schema(next(messages, None))
    yield pa.RecordBatch.from_pylist([], schema)
    for message in messages:
        if message.type != "record batch":
            raise NotFlat("it holds something besides rows")
        if left <= 0:
            raise NotFlat(_SIZE)
        batch = ipc.read_record_batch(message, schema)
        batch.validate(full=True)
        if batch.num_rows != min(left, BATCH):
            raise NotFlat(_SIZE)
        if batch.nbytes > message.body.size:
            raise NotFlat("its columns share bytes")
        left -= batch.num_rows
        yield batch
    if left:
        raise NotFlat(_SIZE)


def _schema(message: ipc.Message | None) -> pa.Schema:
    if message is None or message.type != "schema":
        raise NotFlat("its data is not a whole Arrow file")
    schema = ipc.read_schema(message)
    _refuse_types(schema)
    return schema


def _messages(stream: Readable) -> Iterator[ipc.Message]:
    """What lies in the stream, looked at before any of it is decoded: of the newest version of the format (version 4
    could say in another place that a batch is compressed), of no more bytes than rows may have, not compressed."""
    while True:
        head = stream.read(8)
        size = _u32(head, 4)
        if head == _END:
            return
        if not head.startswith(b"\xff" * 4) or size > LARGEST_MESSAGE:
            raise NotFlat("its data is not a whole Arrow file")
        said = stream.read(size)
        root = _u32(said, 0)
        if _number(said, root, _VERSION, "<h") != ipc.MetadataVersion.V5.value:
            raise NotFlat("it holds something besides rows")
        body = _number(said, root, _BODY, "<q")
        if not 0 <= body <= BATCH * LARGEST_ROW:
            raise NotFlat("a row of it is too long")
        message = ipc.read_message(pa.py_buffer(head + said + stream.read(body)))
        if message.type == "record batch" and _says_compression(said):
            raise NotFlat("its data is compressed")
        yield message


def _refuse_types(schema: pa.Schema) -> None:
    if schema.metadata or any(field.metadata or field.type not in TYPES for field in schema):
        raise NotFlat("its columns are of other types")
    if len(set(schema.names)) < len(schema.names):
        raise NotFlat("a column stands twice in it")


_VERSION, _HEADER, _BODY, _COMPRESSION = 0, 2, 3, 3
"""Places of `version`, `header` and `bodyLength` in `Message`, of `compression` in `RecordBatch` (Message.fbs)."""


def _says_compression(message: bytes) -> bool:
    """Whether a message's record batch has the field, whatever it says. Errors: struct.error, ValueError."""
    root = _u32(message, 0)
    header = _place(message, root, _HEADER)
    if header is None:
        raise ValueError("a message without a header")
    return _place(message, header + _u32(message, header), _COMPRESSION) is not None


def _place(message: bytes, table: int, field: int) -> int | None:
    """Where a field of a FlatBuffers table lies, if it is there: its table of offsets says so."""
    offsets = table - int(struct.unpack_from("<i", message, table)[0])
    entry = 4 + 2 * field
    if offsets < 0 or entry >= struct.unpack_from("<H", message, offsets)[0]:
        return None
    offset = int(struct.unpack_from("<H", message, offsets + entry)[0])
    return table + offset if offset else None


def _number(message: bytes, table: int, field: int, form: str) -> int:
    """A number in a FlatBuffers table; 0 where it is left out."""
    at = _place(message, table, field)
    return int(struct.unpack_from(form, message, at)[0]) if at is not None else 0


def _u32(message: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", message, at)[0])
