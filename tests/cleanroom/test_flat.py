"""A table's bytes are the table: nothing that is read grows beyond what came in."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.cleanroom.flat import BATCH, TYPES, NotFlat, read_flat, write_flat

ROWS = 200
TABLE = pa.table(
    {
        "k": pa.array(range(ROWS), pa.uint64()),
        "age": pa.array([40.0, None] * 100),
        "region": pa.array(["north", None, "", "sœur"] * 50),
        "topics": pa.array([["cars", "travel"], None, [], ["pets"]] * 50),
    }
)
FLAT = write_flat(TABLE)


def arrow(table: pa.Table, compression: str | None = None, **options: Any) -> bytes:
    """A file of one batch, as Arrow itself writes it."""
    sink = io.BytesIO()
    with ipc.new_file(sink, table.schema, options=ipc.IpcWriteOptions(compression=compression, **options)) as file:
        file.write_table(table)
    return sink.getvalue()


@contextlib.contextmanager
def allocating() -> Iterator[pa.MemoryPool]:
    """What Arrow allocates within the block."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    try:
        yield pool
    finally:
        pa.set_memory_pool(before)


def test_what_was_written_is_read_and_other_readers_agree() -> None:
    assert read_flat(FLAT, ROWS).equals(TABLE)
    assert feather.read_table(io.BytesIO(FLAT)).equals(TABLE)
    assert pl.read_ipc(io.BytesIO(FLAT)).equals(pl.DataFrame(pl.from_arrow(TABLE)))


@pytest.mark.parametrize("rows", [0, 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 7])
def test_a_table_of_any_length_and_any_chunks_comes_back(rows: int) -> None:
    whole = pa.table(
        {
            "k": pa.array(np.arange(rows, dtype=np.uint64)),
            "t": pa.array([["a"], None] * rows, pa.list_(pa.string()))[:rows],
        }
    )
    chunked = pa.concat_tables([whole[: rows // 3], whole[rows // 3 : rows // 2], whole[rows // 2 :]])
    assert read_flat(write_flat(chunked), rows).equals(whole)


def test_reading_allocates_next_to_nothing() -> None:
    """The table is a view of its bytes; checking it takes a few."""
    table = pa.table({"k": pa.array(np.arange(300_000, dtype=np.uint64)), "r": pa.array(["north"] * 300_000)})
    data = write_flat(table)
    with allocating() as pool:
        read = read_flat(data, table.num_rows)
        assert pool.max_memory() < len(data) / 10
    assert read.nbytes <= len(data)


def same_bytes(columns: int) -> bytes:
    """One long text, and columns of a letter whose buffers are then said to lie where that text does."""
    texts = ["x" * 100_000, *["y"] * (columns - 1)]
    data = bytearray(arrow(pa.table({f"c{n}": pa.array([text]) for n, text in enumerate(texts)})))
    _, batch = ipc.MessageReader.open_stream(pa.py_buffer(bytes(data[8:])))
    place = batch.body.to_pybytes().index(b"x" * 100_000).to_bytes(8, "little") + (100_000).to_bytes(8, "little")
    at = data.index(place)
    for n in range(1, columns):  # three buffers a column, sixteen bytes each: nulls, offsets, text
        data[at + 48 * n - 16 : at + 48 * n + 16] = data[at - 16 : at + 16]
    return bytes(data)


def long(rows: int = 200, size: int = 200_000) -> pa.Table:
    return pa.table({"k": pa.array(["x" * size] * rows)})


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def said_more(schema: pa.Schema) -> pa.Schema:
    return schema.set(0, schema.field(0).with_metadata({"a": "b"}))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "compressed with zstd": lambda: arrow(long(), "zstd"),
    "compressed with lz4": lambda: arrow(long(), "lz4"),
    "compressed, in the older version": lambda: arrow(long(), "zstd", metadata_version=ipc.MetadataVersion.V4),
    "of the older version": lambda: arrow(TABLE, metadata_version=ipc.MetadataVersion.V4),
    "a dictionary": lambda: arrow(pa.table({"k": pa.array(["x" * 50_000] * 200).dictionary_encode()})),
    "run-end encoded": lambda: arrow(
        pa.table({"k": pa.RunEndEncodedArray.from_arrays(pa.array([200]), pa.array(["x" * 50_000]))})
    ),
    "views of one text": lambda: arrow(pa.table({"k": pa.array(["x" * 50_000] * 200).cast(pa.string_view())})),
    "nothing, many times": lambda: arrow(pa.table({"k": pa.nulls(200)})),
    "a list of fixed size": lambda: arrow(pa.table({"k": pa.array([[1, 2]] * 200, pa.list_(pa.uint8(), 2))})),
    "columns that share bytes": lambda: same_bytes(8),
    "a Parquet file": lambda: parquet(long()),
    "a schema that says more": lambda: arrow(TABLE.replace_schema_metadata({"pandas": "x" * 1000})),
    "a field that says more": lambda: arrow(TABLE.cast(said_more(TABLE.schema))),
    "a column twice": lambda: arrow(TABLE.append_column("k", TABLE.column(0))),
    "a name that is no text": lambda: FLAT.replace(b"region", b"regi\xffn", 1),
    "another type": lambda: arrow(pa.table({"k": pa.array(range(200), pa.uint32())})),
    "a batch for each row": lambda: arrow(pa.concat_tables([TABLE[n : n + 1] for n in range(ROWS)])),
    "an empty batch after the rows": lambda: arrow_stream([TABLE, TABLE[:0]]),
    "a batch more": lambda: arrow_stream([TABLE, TABLE]),
    "a row less": lambda: arrow(TABLE[:-1]),
    "no rows": lambda: arrow(TABLE[:0]),
    "no end of the schema": lambda: FLAT[:100],
    "nothing": lambda: b"",
    "its mark alone": lambda: FLAT[:8],
}  # fmt: skip


def arrow_stream(tables: list[pa.Table]) -> bytes:
    sink = io.BytesIO()
    with ipc.new_file(sink, tables[0].schema) as file:
        for table in tables:
            for batch in table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]:
                file.write_batch(batch)
    return sink.getvalue()


@pytest.mark.parametrize("name", HOSTILE)
def test_what_could_unpack_into_more_is_refused_before_it_does(name: str) -> None:
    data = HOSTILE[name]()
    rows = 1 if name == "columns that share bytes" else ROWS
    with allocating() as pool, pytest.raises(NotFlat):
        read_flat(data, rows)
    assert pool.max_memory() < 2**20


def test_the_planted_bytes_are_what_other_readers_unpack() -> None:
    """The bombs are bombs: Arrow itself makes of them what they say."""
    assert (
        ipc.open_file(HOSTILE["compressed with zstd"]()).read_all().nbytes
        > 40_000_000
        > 100 * len(arrow(long(), "zstd"))
    )
    shared = ipc.open_file(same_bytes(8)).read_all()
    assert shared.column("c7").equals(shared.column("c0"))
    assert read_flat(arrow(long(1)), 1).equals(long(1))


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_changed_bytes_are_a_crash_or_grow(data: st.DataObject) -> None:
    raw = bytearray(FLAT)
    said = [*range(8, 1200)]
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.sampled_from(said) | st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with allocating() as pool:
        try:
            read = read_flat(bytes(raw), ROWS)
        except NotFlat:
            return
        finally:
            assert pool.max_memory() < 2**20
    assert (read.num_rows, read.nbytes <= len(raw)) == (ROWS, True)
    assert all(field.type in TYPES for field in read.schema)
    read.to_pylist()


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=300), rows=st.integers(0, 2**40))
def test_no_bytes_and_no_number_of_rows_are_a_crash(raw: bytes, rows: int) -> None:
    for data in (raw, FLAT[:8] + raw):
        with contextlib.suppress(NotFlat):
            assert read_flat(data, rows).num_rows == rows
