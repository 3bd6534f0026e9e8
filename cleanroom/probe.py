"""Whether a Parquet file unpacks to about what it is: it is read once in a process of its own, with limits.

A Parquet file says its sizes itself: a value, a run of nulls or a dictionary's entry can stand for a billion rows in a
few bits, and a page of 40 kB can unpack to gigabytes before anything of it can be looked at. So a party's file is first
read here, column by column and a few rows at a time, by a process that may not take more memory than files of its size
need, and that nobody misses. It answers with its exit code and no byte of the file. A column that keeps each value once
and numbers for the rows counts as if each row held its value: somebody will write it out.

The code ensures: no more than `ROOM` and `TIMES` the file's size is unpacked here or later; a file that ends the
other process, by a fault of the reader too, is refused. Limits on memory hold on Linux; elsewhere what is unpacked is
counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

TIMES = 64
ROOM = 2**28
"""Bytes that any file may unpack to, and how many times its own size besides."""
MEMORY = 2**30
SECONDS = 120
ROWS = 4096
"""Rows at a time: dense columns are unpacked no further than that."""


def unpacks(path: Path, columns: Sequence[str]) -> bool:
    """Whether those columns of a file can be read within the limits."""
    size = path.stat().st_size
    asked = json.dumps({"path": str(path), "columns": list(columns), "size": size})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "passbox.cleanroom.probe"],
            input=asked.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_PLAIN_MEMORY},
            timeout=SECONDS + size // 2**20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


_PLAIN_MEMORY = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""Other allocators set address space aside by the gigabyte, which the limit would count."""


def _main() -> int:
    """The process that reads. What the library says of a file may hold values, so nothing is said."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    asked = json.loads(sys.stdin.buffer.read())
    _limit(MEMORY + 8 * asked["size"])
    return 0 if fits(Path(asked["path"]), asked["columns"], asked["size"]) else 1


def fits(path: Path, columns: Sequence[str], size: int) -> bool:
    """What that process looks at, without its limits. Errors: whatever the library stumbles over."""
    import pyarrow.parquet as pq

    most, unpacked = ROOM + TIMES * size, 0
    with pq.ParquetFile(path) as file:
        for name in columns:
            for batch in file.iter_batches(ROWS, columns=[name], use_threads=False):
                unpacked += batch.nbytes + sum(map(_shared, batch.columns))
                if unpacked > most:
                    return False
    return True


def _shared(values: pa.Array) -> int:
    """Bytes that values take which rows share, once each row has its own; those inside of lists and structures too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        kept = values.dictionary
        if not _is_text(kept.type):
            return int(len(values) * kept.nbytes // max(len(kept), 1))
        return int(pc.sum(pc.binary_length(kept.cast(pa.large_binary())).take(values.indices)).as_py() or 0)
    if pa.types.is_struct(values.type):
        return sum(map(_shared, values.flatten()))
    if pa.types.is_map(values.type):
        return _shared(values.keys) + _shared(values.items)
    return _shared(values.flatten()) if pa.types.is_nested(values.type) else 0


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())


def _limit(more: int) -> None:
    """So many bytes of memory beyond what is taken already."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + more, taken + more))


if __name__ == "__main__":
    try:
        sys.exit(_main())
    except BaseException as error:  # noqa: BLE001 - a traceback would hold values
        sys.exit(0 if isinstance(error, SystemExit) and error.code == 0 else 1)
