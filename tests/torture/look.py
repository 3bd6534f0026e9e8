"""What is in a room, for a judge: without the room's own code where a file lies there as SQLite left it.

The ledger's file is copied away before it is opened, so that looking changes nothing.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any


def look(folder: Path, reader: Path) -> dict[str, Any]:
    """Of the operator's folder: the files by name, the log, the accounts, and what each release shows its reader."""
    log, spent, witnessed = books(folder / "spring" / "ledger.sqlite")
    return {
        "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()),
        "log": log,
        "spent": spent,
        "witnessed": witnessed,
        "seen": seen(folder, reader),
    }


def books(database: Path) -> tuple[list[str], dict[str, int], dict[str, int]]:
    """The leaves of the log, what each account spent, and what each witness cosigned, as SQLite has it."""
    if not database.exists():
        return [], {}, {}
    with tempfile.TemporaryDirectory() as copy:
        for name in (database.name, f"{database.name}-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(database.with_name(name), copy)
        with contextlib.closing(sqlite3.connect(Path(copy) / database.name)) as db:
            leaves = [str(leaf, "ascii") for (leaf,) in db.execute("select leaf from entry order by seq")]
            seen = dict(db.execute("select name, max(size) from witness group by name"))
            return leaves, dict(db.execute("select id, spent from account")), seen


def seen(folder: Path, reader: Path) -> dict[str, list[list[Any]]]:
    """For each release file that lies open to its reader: position and bytes of every entry it stands on.

    A file that does not open is shown as one entry that is nowhere.
    """
    from passbox.cleanroom.keys import open_keys
    from passbox.cleanroom.opening import open_release

    identity, found = open_keys(reader).seal_identity(), dict[str, list[list[Any]]]()
    for path in sorted([*folder.glob("spring/releases/*.release"), *folder.glob("out/*.release")]):
        try:
            receipt: Any = open_release(path, identity, None).document["receipt"]
            found[str(path.relative_to(folder))] = [[item["sequence"], item["entry"]] for item in receipt["entries"]]
        except Exception as error:  # noqa: BLE001 - torn in whatever way
            found[str(path.relative_to(folder))] = [[-1, type(error).__name__]]
    return found
