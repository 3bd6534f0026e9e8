"""Where rows stand in a party's own file, as its owner counts them: lines of a CSV, rows of a Parquet file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .source import is_parquet, opened


@dataclass(frozen=True, slots=True)
class Lines:
    """numbers: from 1, ascending; the first of those that are meant. A row that takes several lines begins there."""

    unit: Literal["line", "row"]
    numbers: tuple[int, ...]

    def said(self, of: int) -> str:
        """In words. of: how many there are in all."""
        *most, last = map(str, self.numbers)
        listed = f"{', '.join(most)} and {last}" if most else last
        return f"{'first ' if of > len(self.numbers) else ''}in {self.unit}{'s' if most else ''} {listed}"

    def as_json(self) -> dict[str, list[int]]:
        return {f"{self.unit}s": list(self.numbers)}


def lines(path: Path, rows: Mapping[str, Sequence[int]]) -> dict[str, Lines]:
    """The same by key. rows: counted from 0 as `source` reads them. Errors: OSError."""
    if not rows:
        return {}
    if is_parquet(path):
        return {key: Lines("row", tuple(row + 1 for row in some)) for key, some in rows.items()}
    wanted = {row for some in rows.values() for row in some}
    found = dict(_beginnings(path, wanted))
    return {
        key: Lines("line", tuple(found[row] for row in some)) for key, some in rows.items() if found.keys() >= {*some}
    }


def _beginnings(path: Path, wanted: set[int]) -> Iterator[tuple[int, int]]:
    """The line on which each wanted row begins. The first line with cells is the header; those without are no rows."""
    with suppress(csv.Error), opened(path) as text:
        reader, row, last, before = csv.reader(text), -1, max(wanted), 0
        for cells in reader:
            if cells:
                if row in wanted:
                    yield row, before + 1
                if row >= last:
                    return
                row += 1
            before = reader.line_num
