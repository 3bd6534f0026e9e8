"""The log of a ledger, on disk: entries, the tree over them, and a signed checkpoint over every head it ever had.

What an entry holds says `dp.entry`; what a transaction must know of those before its own, `dp.head`. Exported copies
are read by `cleanroom.log`.

The code ensures: an entry is added together with the tree's new head and its signature; entries are in the order of
their hours, even where the clock was set back: the hour above is written again.
The caller ensures: `append` is called inside a transaction (`dp.storage`), with the head read in it; the content has
what its kind asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .canonical import Leaf, canonical, with_part
from .entry import hour
from .head import Head
from .note import NoteKey, sign_checkpoint
from .storage import LedgerDamaged, Storage
from .tree import LARGEST_ENTRY, BadTree, Frontier

Clock = Callable[[], datetime]


class Log:
    """Errors, of everything here: as of `Storage`."""

    def __init__(self, storage: Storage, key: NoteKey, clock: Clock) -> None:
        self._storage, self._key, self._clock = storage, key, clock

    def leaves(self) -> list[bytes]:
        """Every entry as logged, in order."""
        return [leaf for (leaf,) in self._storage.rows("select leaf from entry order by seq")]

    def checkpoint(self) -> str:
        """The newest signed checkpoint. Errors: LedgerDamaged where there is none."""
        row = self._storage.row("select note from checkpoint order by size desc limit 1")
        if row is None:
            raise LedgerDamaged("there is no checkpoint")
        return str(row[0])

    def append(self, head: Head, kind: str, content: Leaf, specification: bytes = b"") -> int:
        """Log an entry: its number. Errors: BadTree where no log could carry it.

        specification: a further part of the entry, spelled before others had to wait; empty where it has none.
        """
        leaf = canonical({"v": 1, "seq": head.size, "kind": kind, "time": self._hour(head), **content})
        return self._add(head, with_part(leaf, "specification", specification, "time") if specification else leaf)

    def sign(self, frontier: Frontier) -> None:
        """Sign the tree as it is now."""
        note = sign_checkpoint(self._key.name, frontier.size, frontier.root(), self._key)
        self._storage.rows("insert into checkpoint values(?, ?)", frontier.size, note)

    def _add(self, head: Head, leaf: bytes) -> int:
        if len(leaf) > LARGEST_ENTRY:
            raise BadTree("entry-too-large")
        frontier = head.frontier.push(leaf)
        self._storage.rows("insert into entry values(?, ?)", head.size, leaf)
        self._storage.rows("update frontier set size = ?, peaks = ?", frontier.size, frontier.to_bytes())
        self.sign(frontier)
        return head.size

    def _hour(self, head: Head) -> str:
        """Now, or the hour of the entry above where the clock was set back."""
        return max(hour(self._clock()), head.hour)
