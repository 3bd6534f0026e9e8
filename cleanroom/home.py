"""What stays at home of a bundle: `DATASET.ids`, or `DATASET.made` where the contract names no ID column.

A Parquet file, 0600. An `.ids` file holds two columns, `token` (uint64, random, as in the bundle) and the owner's ID
under its own name, in the order of the bundle. A `.made` file holds no column. In the schema's metadata stand

    passbox source    what the bundle was made from: HMAC-SHA256 under the match key of the file's SHA-256, the
                      contract's, the data set and its identifier column, in hex
    passbox bundle    SHA-256 of the signed manifest of the bundle that fits

It is written before its bundle. Where the bundle is missing (a crash between the two, or it was moved away), typing
again makes one anew with the very tokens that are here, so no bundle is ever without its IDs, and none fits other IDs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .files import FileInTheWay, replacing

_SOURCE, _BUNDLE = b"passbox source", b"passbox bundle"


@dataclass(frozen=True, slots=True, repr=False)
class Home:
    """table: tokens and own IDs, or no columns. source, bundle: as described above."""

    table: pa.Table
    source: str
    bundle: str

    def __repr__(self) -> str:
        return f"Home({self.table.num_rows} rows)"


def home_path(bundle: Path, has_id: bool) -> Path:
    """Where it lies: beside the bundle."""
    return bundle.with_suffix(".ids" if has_id else ".made")


def read_home(path: Path) -> Home | None:
    """What is there; None where nothing is. Errors: FileInTheWay where it is something else; OSError."""
    if not path.exists():
        return None
    try:
        with pq.ParquetFile(path) as file:
            marks, table = file.schema_arrow.metadata or {}, file.read()
        return Home(table.replace_schema_metadata(None), marks[_SOURCE].decode(), marks[_BUNDLE].decode())
    except (pa.ArrowException, KeyError, ValueError, OSError):
        raise FileInTheWay(path) from None


def write_home(path: Path, home: Home) -> None:
    """Put it at `path`, for the owner's eyes only."""
    marks = {_SOURCE: home.source.encode(), _BUNDLE: home.bundle.encode()}
    with replacing(path, 0o600) as temporary:
        pq.write_table(home.table.replace_schema_metadata(marks), temporary, compression="zstd")
