"""Where in the room a submission is written."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .files import replacing
from .store import Store


@dataclass(frozen=True)
class Shelf:
    """A folder that is being filled. place: of the finished folder in the room, to which files are bound."""

    store: Store
    folder: Path
    place: str

    def replacing(self, opened: ExitStack, name: str, schema: pa.Schema) -> pq.ParquetWriter:
        """A file that is there whole once `opened` is closed."""
        path = opened.enter_context(replacing(self.folder / name, 0o600))
        writer: pq.ParquetWriter = opened.enter_context(self.store.writing(path, schema, f"{self.place}/{name}"))
        return writer

    def write(self, name: str, table: pa.Table) -> None:
        self.store.write_table(self.folder / name, table, f"{self.place}/{name}")

    def read(self, name: str, group: int) -> pa.Table:
        return self.store.read_table(self.folder / name, f"{self.place}/{name}", group=group)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()
