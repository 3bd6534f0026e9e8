"""Which columns a data set has: in its bundle, and at rest in the room.

Matched on one key, a bundle's columns are `k`, `k2`, `token` where the owner keeps its IDs, and the declared columns;
rows ascend by `k`. So are those of events, where a handle may stand in several rows. Matched on several, each key that
the data set carries has two columns, such as `email.k` and `email.k2`, null where a record has no such handle; rows
ascend by the `k` of the best handle that each has.

At rest, rows lie in the bundle's order in `part-000.parquet` and so on, by the highest bits of what they ascend by,
which is column `k` there. Where there are several keys, handles lie beside them, in `email-000.parquet` and so on:
`k`, `k2` and `record`, ascending by `k`. record: the row's number times 256, plus one bit a key that the record has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..policies.contract import Column, Contract

PART = "part"
"""What the files that hold the rows are called; no kind of identifier has this name."""
MASK = 256
"""Records have at most so many keys as bits fit below this."""


@dataclass(frozen=True, slots=True)
class Layout:
    """keys: those of the contract that the data set carries, best first. several: whether handles of several keys lie
    beside the rows; events are known by one key alone. most: the most rows of one person."""

    keys: tuple[str, ...]
    several: bool
    token: bool
    columns: Mapping[str, Column]
    most: int = 1

    def handle(self, key: str) -> tuple[str, str]:
        """The two columns of a bundle that hold the handles of a key."""
        return (f"{key}.k", f"{key}.k2") if self.several else ("k", "k2")

    @property
    def handles(self) -> list[str]:
        """All columns of a bundle that hold handles."""
        return [name for key in self.keys for name in self.handle(key)]

    @property
    def bundle(self) -> list[str]:
        """The columns of a bundle, in order."""
        return [*self.handles, *self._others]

    @property
    def rows(self) -> list[str]:
        """The columns of the rows at rest, in order."""
        return ["k", *([] if self.several else ["k2"]), *self._others]

    @property
    def _others(self) -> list[str]:
        return [*(["token"] if self.token else []), *self.columns]


def layout_of(contract: Contract, dataset: str) -> Layout:
    """The layout that a contract gives a data set."""
    rule, keys = contract.dataset[dataset], contract.match.keys
    carried = tuple(key for key in keys if key in rule.identifiers)
    if rule.rows == "events":
        return Layout(carried[:1], several=False, token=False, columns=rule.columns, most=rule.rows_a_person)
    return Layout(carried, len(keys) > 1, rule.id is not None, rule.columns)


def file_name(what: str, partition: int) -> str:
    """Of a partition of the rows, or of one key's handles."""
    return f"{what}-{partition:03}.parquet"
