"""A copy of the log: what a room gives out, and what anyone verifies. A folder:

    checkpoint                   C2SP signed note, signed by the room
    tile/entries/000.p/7         C2SP tiles: the entries, 256 a file, u16 length before each
    tile/0/000.p/7               and their hashes
    contract/                    contract.toml and every signature
    requests/                    the signed jobs, by digest
    manifests/                   the signed manifests of what was submitted, by digest

It holds no release bytes, no identifiers and no digest of either: it can go to anybody.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..dp.note import BadNote, parse_note
from ..dp.tree import BadTree, bundle_entries, hash_tiles, leaf_hash, read_entries
from .files import sweep, write
from .room import Room


class BadLog(Exception):
    """A folder is no copy of a log. rule: what is wrong."""

    def __init__(self, path: Path, rule: str) -> None:
        super().__init__(path, rule)
        self.path, self.rule = path, rule


@dataclass(frozen=True, slots=True)
class Log:
    """A log as it was found, nothing of it checked. Maps are by file name."""

    checkpoint: str
    entries: tuple[bytes, ...]
    contract: Mapping[str, bytes]
    requests: Mapping[str, bytes]
    manifests: Mapping[str, bytes]


def log_of(room: Room) -> Log:
    """The log of a room, from its ledger."""
    with room.ledger() as ledger:
        entries, checkpoint = tuple(ledger.leaves()), ledger.checkpoint()
    return Log(
        checkpoint,
        entries,
        _files(room.path / "contract"),
        _files(room.path / "requests"),
        _manifests(room),
    )


def _manifests(room: Room) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in (room.path / "datasets").glob("*/*/manifest.json"):
        found[f"{path.parent.name}.json"] = path.read_bytes()
        found[f"{path.parent.name}.json.sig"] = path.with_name("manifest.json.sig").read_bytes()
    return found


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*")) if path.is_file()}


def write_log(log: Log, out: Path) -> None:
    """Put a copy at `out`, over an older copy if there is one. The checkpoint comes last."""
    tiles = bundle_entries(log.entries) | hash_tiles([leaf_hash(entry) for entry in log.entries])
    if out.exists():
        _refuse_other_folder(out)
        shutil.rmtree(out)
    out.mkdir(parents=True)
    for name, data in tiles.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write(out / name, data)
    parts = {"contract": log.contract, "requests": log.requests, "manifests": log.manifests}
    for folder, files in parts.items():
        (out / folder).mkdir()
        for name, data in files.items():
            write(out / folder / name, data)
    write(out / "checkpoint", log.checkpoint.encode())
    sweep(out)


def _refuse_other_folder(out: Path) -> None:
    if out.is_dir() and (not any(out.iterdir()) or (out / "checkpoint").is_file()):
        return
    raise BadLog(out, "something else is there")


def read_log(path: Path) -> Log:
    """A copy of a log from a folder. Errors: BadLog, OSError."""
    checkpoint = path / "checkpoint"
    if not checkpoint.is_file():
        raise BadLog(path, "there is no checkpoint in it")
    text = checkpoint.read_bytes()[:1_000_000].decode("utf-8", "replace")
    try:
        size = int(parse_note(text).text.split("\n")[1])
        entries = tuple(read_entries(size, lambda name: (path / name).read_bytes()))
    except (BadNote, BadTree, ValueError, IndexError):
        raise BadLog(path, "its checkpoint or entries are damaged") from None
    except FileNotFoundError:
        raise BadLog(path, "entries that its checkpoint counts are missing") from None
    return Log(text, entries, _files(path / "contract"), _files(path / "requests"), _files(path / "manifests"))
