"""The head of the log: what a transaction must know of all entries before its own, read once, when it begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from .canonical import Json
from .carry import Closed
from .storage import LedgerDamaged, Storage
from .tree import BadTree, Frontier
from .window import RolledBack


@dataclass(frozen=True, slots=True)
class Head:
    """frontier: the tree. hour: of the newest entry, "" where there is none. following: the contract that goes on with
    this ledger's accounts, "" while it is open. seen: witness to the size of the largest head that it cosigned."""

    frontier: Frontier
    hour: str
    following: str
    seen: Mapping[str, int]

    @property
    def size(self) -> int:
        return self.frontier.size

    def refuse_rolled_back(self) -> None:
        """Errors: RolledBack."""
        for name, most in self.seen.items():
            if most > self.size:
                raise RolledBack(name, self.size, most)

    def refuse_closed(self) -> None:
        """Errors: Closed."""
        if self.following:
            raise Closed(self.following)


def head_of(storage: Storage) -> Head:
    """The head as it is now. Errors: LedgerDamaged."""
    row = storage.row("select size, peaks, leaf from frontier left join entry on seq = size - 1")
    size, peaks, leaf = row or (-1, b"", None)
    with suppress(BadTree):
        frontier = Frontier.from_bytes(size, peaks)
        last = read_leaf(leaf, size - 1) if size else {}
        following = str(last["next"]) if last.get("kind") == "closed" else ""
        return Head(frontier, str(last["time"]) if last else "", following, seen_by(storage))
    raise LedgerDamaged("its tree does not hold together")


def seen_by(storage: Storage) -> dict[str, int]:
    """Witness to the size of the largest head it cosigned."""
    return dict(storage.rows("select name, max(size) from witness group by name order by name"))


def read_leaf(leaf: bytes | None, seq: int) -> dict[str, Json]:
    """An entry, read back. leaf: None where it is not there. Errors: LedgerDamaged."""
    with suppress(ValueError):
        if leaf is not None and isinstance(entry := json.loads(leaf.decode()), dict) and "time" in entry:
            return entry
    raise LedgerDamaged(f"entry {seq} is not there, or not what was written")
