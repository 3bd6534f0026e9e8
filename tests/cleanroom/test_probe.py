"""Files that unpack to far more than they are: refused without their memory, and with no word of what they hold."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passbox.cleanroom.probe import unpacks
from passbox.cleanroom.source import BadSource, read_source
from passbox.matching.identifiers import RejectCode, as_binary, digests


def written(path: Path, table: pa.Table, **options: object) -> Path:
    pq.write_table(table, path, **options)
    return path


def dictionary(rows: int, value: str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), [value])


BOMBS = {
    "one long value for all rows": lambda: pa.table({"email": dictionary(100_000, "x" * 1_000_000)}),
    "pages of one letter": lambda: pa.table({"email": pa.array(["x" * 10_000_000] * 30)}),
    "rows without a value": lambda: pa.table({"email": pa.nulls(30_000_000, pa.string())}),
}
KEPT_ONCE = {
    "a long value": lambda: dictionary(90_000, "x" * 1_000_000),
    "a value of 30 kB": lambda: dictionary(90_000, "x" * 30_000),
    "a value in a view": lambda: dictionary(90_000, "x" * 4_000).dictionary_decode().cast(pa.string_view()),
    "a value in lists": lambda: pa.ListArray.from_arrays(
        pa.array(np.arange(90_001, dtype=np.int32)), dictionary(90_000, "x" * 30_000)
    ),
    "a value in structures": lambda: pa.StructArray.from_arrays([dictionary(90_000, "x" * 30_000)], ["email"]),
    "a value in a map": lambda: pa.MapArray.from_arrays(
        pa.array(np.arange(90_001, dtype=np.int32)), pa.array(["k"] * 90_000), dictionary(90_000, "x" * 30_000)
    ),
    "a number": lambda: pa.DictionaryArray.from_arrays(pa.array(np.zeros(40_000_000, np.int32)), pa.array([1.5])),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_unpacks_without_end_is_refused(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "list.parquet", BOMBS[name](), store_schema=False, compression="zstd")
    assert path.stat().st_size < 4_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadSource) as error:
        read_source(path)
    assert "than" in error.value.rule
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize("name", KEPT_ONCE)
def test_a_value_that_the_file_keeps_once_counts_in_every_row(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "list.parquet", pa.table({"email": KEPT_ONCE[name]()}), compression="zstd")
    assert path.stat().st_size < 800_000
    assert not unpacks(path, ["email"])
    with pytest.raises(BadSource, match="than"):
        read_source(path)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_values_that_rows_share_are_read_as_if_each_had_its_own(kind: pa.DataType, tmp_path: Path) -> None:
    """Written out as `large_binary`: together they may be longer than an array of `string` can be, 2 GiB."""
    shared = pa.DictionaryArray.from_arrays(pa.array([1, 0, None, 1], pa.int8()), pa.array(["a@b.c", "nobody"], kind))
    path = written(tmp_path / "list.parquet", pa.table({"email": shared}))
    column = read_source(path).column("email")
    assert as_binary(column.chunk(0)).type == pa.large_binary()
    made = digests(column, "uid2@1", "email", "raw")
    assert dict(made.rejects) == {RejectCode.NOT_AN_EMAIL: 2, RejectCode.EMPTY: 1}
    assert made.accepted.tolist() == [False, True, False, False]


def test_a_footer_that_claims_a_billion_rows_is_refused(tmp_path: Path) -> None:
    small = written(
        tmp_path / "small.parquet", pa.table({"email": pa.nulls(16_000_000, pa.string())}), row_group_size=16_000_000
    )
    claims, path = pq.read_metadata(small), tmp_path / "list.parquet"
    for _ in range(6):
        claims.append_row_groups(claims)
    claims.write_metadata_file(path)
    assert pq.read_metadata(path).num_rows > 10**9
    assert path.stat().st_size < 40_000
    with pytest.raises(BadSource, match="rows"):
        read_source(path)


def test_honest_files_pass(tmp_path: Path) -> None:
    emails = [f"someone.{i}@mail.example.io" for i in range(50_000)]
    table = pa.table({"email": emails, "region": ["north"] * 50_000, "age": [40.0] * 50_000})
    path = written(tmp_path / "list.parquet", table, compression="zstd")
    assert read_source(path).num_rows == 50_000
    assert unpacks(path, ["email", "region"])


def test_a_cell_of_ten_megabytes_is_one_rejected_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    long = rng.integers(97, 122, 10_000_000, dtype=np.uint8).tobytes().decode()
    path = written(tmp_path / "list.parquet", pa.table({"email": ["a@b.c", long + "@b.c"]}))
    made = digests(read_source(path).column("email"), "uid2@1", "email", "raw")
    assert made.rejects == {RejectCode.TOO_LONG: 1}


def test_the_other_process_says_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "list.parquet", pa.table({"email": ["canary7f3a@b.c"]}))
    path.write_bytes(path.read_bytes()[:-20] + b"\0" * 20)
    asked = f'{{"path": "{path}", "columns": ["email"], "size": 10}}'
    words = [sys.executable, "-m", "passbox.cleanroom.probe"]
    done = subprocess.run(words, input=asked.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    assert not unpacks(path, ["email"])
