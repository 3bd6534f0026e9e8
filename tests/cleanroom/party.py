"""A party at home: everybody's keys and the signed contract in a folder, and nothing prepared in it."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pytest

from passbox.cleanroom import prepare
from passbox.cleanroom.bundle import open_bundle, read_data
from passbox.cleanroom.prepare import Prepared, Task

HEADER = ["visitor_id", "email", "age", "region", "device", "topics", "note"]


class Party:
    """A folder with everybody's keys and the signed contract, and nothing prepared in it."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.folder: Path = world.folder
        contract = world.agreement.contract
        columns = contract.dataset["visitors"].columns
        self.region, self.device = columns["region"].values[0], columns["device"].values[0]
        self.topic = columns["topics"].values[0]

    def row(self, n: int, **changes: Any) -> dict[str, Any]:
        cells = {"visitor_id": f"V-{n}", "email": f"person.{n}@example.com", "age": "40", "region": self.region}
        return cells | {"device": self.device, "topics": self.topic, "note": f"about {n}"} | changes

    def csv(self, rows: list[dict[str, Any]], name: str = "visitors.csv") -> Path:
        path = self.folder / name
        names = list(rows[0])
        pcsv.write_csv(pa.table({key: [row[key] for row in rows] for key in names}), path)
        return path

    def file(self, count: int = 50, **changes: Any) -> Path:
        return self.csv([self.row(n, **changes) for n in range(count)])

    def task(self, source: Path, dataset: str = "visitors", **changes: Any) -> Task:
        return Task(source, self.world.agreement, dataset, self.folder / f"{dataset}.bundle", **changes)

    def run(self, task: Task, name: str = "publisher") -> Prepared:
        keys = self.world.keys(name)
        return prepare.prepare(task, keys, self.world.signer(name), self.world.shares(), self.world.now)

    def prepare(self, rows: list[dict[str, Any]] | None = None, **changes: Any) -> Prepared:
        return self.run(self.task(self.csv(rows) if rows else self.file(), **changes))

    def opened(self, dataset: str = "visitors") -> pa.Table:
        return read_data(open_bundle(self.folder / f"{dataset}.bundle"), self.world.keys("host").room_seal())

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def refused(self, rows: list[dict[str, Any]], error: type[Exception], **changes: Any) -> Exception:
        """Why it is refused to prepare them: nothing was written, and nobody is named."""
        source, before = self.csv(rows), self.files()
        with pytest.raises(error) as caught:
            self.run(self.task(source, **changes))
        assert self.files() == before
        assert "person." not in "".join(traceback.format_exception(caught.value))
        return caught.value
