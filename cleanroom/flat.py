"""A table as bytes that cannot unpack into more than they are: an Arrow file without compression.

    ARROW1 0 0        8 bytes
    schema            columns of `TYPES`, with names and nothing beside them
    record batches    `BATCH` rows each, the last one the rest; every buffer as it lies in memory
    end, footer       for other readers, such as polars, DuckDB and R; nothing of it is believed here

Parquet repeats a value, a run of nulls or a list's level in a few bits, and its sizes are what the file says they are.
Here a table is a view of the bytes it came in.

The code ensures: a message that says its buffers are compressed is not decoded; a dictionary, a run-end or a view type,
by which a value could stand for many, is no type of the schema; lengths and offsets are checked against the buffers,
text is UTF-8; columns do not share bytes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.ipc as ipc

TYPES = (pa.uint64(), pa.float64(), pa.string(), pa.list_(pa.string()))
BATCH = 2**16
"""Rows of a record batch."""
_MARK = b"ARROW1\0\0"
_SIZE = "its data is not of the size its manifest says"


class NotFlat(Exception):
    """Bytes that are no such table. rule: what is wrong, in words."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def write_flat(table: pa.Table) -> bytes:
    """The table as bytes. Its columns are of `TYPES`; what its schema says besides is left out."""
    bare = pa.Table.from_arrays(table.columns, names=table.column_names)
    sink = io.BytesIO()
    with ipc.new_file(sink, bare.schema, options=ipc.IpcWriteOptions(compression=None)) as file:
        for at in range(0, bare.num_rows, BATCH):
            file.write_table(bare.slice(at, BATCH).combine_chunks())
    return sink.getvalue()


def read_flat(data: bytes, rows: int) -> pa.Table:
    """The table of so many rows, on top of `data`: nothing is copied. Errors: NotFlat."""
    if not data.startswith(_MARK):
        raise NotFlat("its data is not an Arrow file")
    stream = pa.py_buffer(data).slice(len(_MARK))
    try:
        _refuse_messages(ipc.MessageReader.open_stream(stream), rows)
        with ipc.open_stream(stream) as batches:
            _refuse_types(batches.schema)
            table = pa.Table.from_batches(_whole(batches, rows), batches.schema)
    except (pa.ArrowException, OSError, ValueError, struct.error):
        raise NotFlat("its data is not a whole Arrow file") from None
    if table.nbytes > len(data):
        raise NotFlat("its columns share bytes")
    return table


def _refuse_messages(messages: Iterable[ipc.Message], rows: int) -> None:
    """What messages say of themselves, before any is decoded: a schema, and as many batches as so many rows make.

    Version 4 of the format could say in another place that a batch is compressed.
    """
    for at, message in enumerate(messages):
        if message.type != ("record batch" if at else "schema") or message.metadata_version != ipc.MetadataVersion.V5:
            raise NotFlat("it holds something besides rows")
        if at and _says_compression(bytes(message.metadata)):
            raise NotFlat("its data is compressed")
        if at > -(-rows // BATCH):
            raise NotFlat(_SIZE)


def _refuse_types(schema: pa.Schema) -> None:
    if schema.metadata or any(field.metadata or field.type not in TYPES for field in schema):
        raise NotFlat("its columns are of other types")
    if len(set(schema.names)) < len(schema.names):
        raise NotFlat("a column stands twice in it")


def _whole(batches: Iterable[pa.RecordBatch], rows: int) -> list[pa.RecordBatch]:
    """Each checked against its buffers before anything is made of it."""
    held = []
    for batch in batches:
        batch.validate(full=True)
        held.append(batch)
    if sum(batch.num_rows for batch in held) != rows:
        raise NotFlat(_SIZE)
    return held


_HEADER, _COMPRESSION = 2, 3
"""Places of `header` in `Message` and of `compression` in `RecordBatch` (Arrow's Message.fbs)."""


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


def _u32(message: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", message, at)[0])
