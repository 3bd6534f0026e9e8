"""Making a ledger's tables anew from its log: every total, every key that was drawn, and no noisy byte.

The log says what was drawn, for whom and what was paid for it; the noisy integers were never in it. A key whose bytes
are gone stays taken, with nothing in the place of its bytes, so that no statistic is drawn twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .canonical import canonical
from .releases import add_readers
from .storage import Storage
from .tree import Frontier


def refill(storage: Storage, leaves: Sequence[bytes]) -> Frontier:
    """Fill empty tables from verified leaves, inside a transaction. Gives the tree over them."""
    frontier = Frontier.from_bytes(0, b"")
    for seq, leaf in enumerate(leaves):
        storage.rows("insert into entry values(?, ?)", seq, leaf)
        entry = json.loads(leaf)
        _READERS.get(entry["kind"], _nothing)(storage, entry, seq)
        frontier = frontier.push(leaf)
    storage.rows("update frontier set size = ?, peaks = ?", frontier.size, frontier.to_bytes())
    return frontier


def _cap(storage: Storage, entry: dict[str, Any], _seq: int) -> None:
    storage.rows("insert into account(id, cap) values(?, ?)", entry["account"], entry["rho"])


def _release(storage: Storage, entry: dict[str, Any], seq: int) -> None:
    key, datasets = entry["key"], canonical(entry["specification"]["datasets"]).decode()
    storage.rows("insert or ignore into release values(?, ?, ?, '[]', x'')", key, seq, entry["beside"] or None)
    add_readers(storage, key, set(entry["recipients"]))
    if entry["charges"]:
        storage.rows("insert or ignore into job values(?, ?)", entry["job"], datasets)
    for charge in entry["charges"]:
        storage.rows("insert into charge values(?, ?, ?, ?)", seq, charge["account"], key, charge["rho"])
    _spend(storage, entry)


def _outcome(storage: Storage, entry: dict[str, Any], seq: int) -> None:
    storage.rows("insert into outcome values(?, ?, x'')", entry["key"], seq)


def _carry(storage: Storage, entry: dict[str, Any], seq: int) -> None:
    _spend(storage, entry)
    if entry["statement"]:
        for charge in entry["charges"]:
            storage.rows("insert into lost values(?, ?, ?)", charge["account"], charge["rho"], seq)


def _spend(storage: Storage, entry: dict[str, Any]) -> None:
    for charge in entry["charges"]:
        storage.rows("update account set spent = spent + ? where id = ?", charge["rho"], charge["account"])


def _nothing(_storage: Storage, _entry: dict[str, Any], _seq: int) -> None:
    """Denials and the end leave nothing in the tables."""


_READERS = {"cap": _cap, "release": _release, "open": _release, "outcome": _outcome, "carry": _carry}
