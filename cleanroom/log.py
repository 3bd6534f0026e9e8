"""A copy of the log: what a room gives out, and what anyone verifies. A folder:

    checkpoint                   C2SP signed note, signed by the room
    tile/entries/000.p/7         C2SP tiles: the entries, 256 a file, u16 length before each
    tile/0/000.p/7               and their hashes
    contract/                    contract.toml and every signature
    requests/                    the signed jobs, and statements of loss, by digest
    manifests/                   the signed manifests of what was submitted, by digest
    witnesses/                   the newest head that each witness cosigned, by the witness's name
    before/                      where the contract continues others: a copy of each one's log, by their digest
    verify_ledger.py, README.txt how to verify it without Passbox (`cleanroom.verifier`)

It holds no release bytes, no identifiers and no digest of either: it can go to anybody.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..dp.note import BadNote, parse_note
from ..dp.tree import HASH_SIZE, BadTree, bundle_entries, hash_tiles, leaf_hash, read_entries
from .files import write

if TYPE_CHECKING:
    from .room import Room

FOLDERS = ("contract", "requests", "manifests", "witnesses")
BEFORE = "before"
LONGEST_CHAIN = 20
"""Contracts that may have gone on one from another."""
VERIFIER = ("verify_ledger.py", "README.txt")
"""Goes along with every copy; nobody who verifies relies on the one that came with it."""
LARGEST_PART = 2**25
"""Bytes of one file of a copy above which it is refused: 256 of the largest entries are fewer."""


class BadLog(Exception):
    """A folder is no copy of a log. rule: what is wrong."""

    def __init__(self, path: Path, rule: str) -> None:
        super().__init__(path, rule)
        self.path, self.rule = path, rule


class NoLog(BadLog):
    """There is no copy of a log at a path, or no place for one. remedy: plain words."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Log:
    """A log as it was found, nothing of it checked. hashes: of its entries, as the copy states them. Maps are by
    file name."""

    checkpoint: str
    entries: tuple[bytes, ...]
    hashes: tuple[bytes, ...]
    contract: Mapping[str, bytes]
    requests: Mapping[str, bytes]
    manifests: Mapping[str, bytes]
    witnesses: Mapping[str, bytes]
    before: Mapping[str, Log] = field(default_factory=dict)


def log_of(room: Room) -> Log:
    """The log of a room, from its ledger. Requests and manifests are read after it: they are kept before an entry
    names them."""
    with room.ledger() as ledger:
        entries, checkpoint = ledger.log()
        witnesses = {name: note.encode() for name, note in ledger.cosigned().items()}
    return Log(
        checkpoint,
        tuple(entries),
        tuple(leaf_hash(entry) for entry in entries),
        _files(room.path / "contract"),
        _files(room.path / "requests"),
        _manifests(room),
        witnesses,
        _before(room.path, 0),
    )


def _before(path: Path, depth: int) -> dict[str, Log]:
    """The logs that this one goes on from."""
    found = sorted(path.glob(f"{BEFORE}/[!.]*"))
    if depth > LONGEST_CHAIN or not all(re.fullmatch("[0-9a-f]{64}", each.name) for each in found):
        raise BadLog(path / BEFORE, "it does not hold the logs that this one continues")
    return {each.name: read_log(each, depth + 1) for each in found}


def _manifests(room: Room) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in (room.path / "datasets").glob("*/[!.]*/manifest.json"):
        found[f"{path.parent.name}.json"] = path.read_bytes()
        found[f"{path.parent.name}.json.sig"] = path.with_name("manifest.json.sig").read_bytes()
    return found


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: _read(path) for path in sorted(folder.glob("[!.]*")) if path.is_file()}


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(LARGEST_PART + 1)
    if len(data) > LARGEST_PART:
        raise BadLog(path, "it is larger than any part of a log")
    return data


# -- a copy ----------------------------------------------------------------------------------------------------------


def write_log(log: Log, out: Path) -> None:
    """Put a copy at `out`, over an older copy if there is one; whole, or as it was before."""
    _refuse_other_folder(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    for left in out.parent.glob(f".{out.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    new, old = (out.with_name(f".{out.name}.{secrets.token_hex(6)}.tmp") for _ in range(2))
    try:
        _fill(new, log)
        if out.exists():
            out.rename(old)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _fill(out: Path, log: Log) -> None:
    for name, earlier in log.before.items():
        _fill(out / BEFORE / name, earlier)
    files = {"checkpoint": log.checkpoint.encode()}
    files |= bundle_entries(log.entries) | hash_tiles([leaf_hash(entry) for entry in log.entries])
    for folder, held in zip(FOLDERS, (log.contract, log.requests, log.manifests, log.witnesses), strict=True):
        (out / folder).mkdir(parents=True)
        files |= {f"{folder}/{name}": data for name, data in held.items()}
    verifier = resources.files(__package__).joinpath("verifier")
    files |= {name: verifier.joinpath(name).read_bytes() for name in VERIFIER}
    for name, data in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write(out / name, data)


def _refuse_other_folder(out: Path) -> None:
    """What is replaced is a copy of a log, and nothing else."""
    if out.is_dir():
        names = {path.name for path in out.iterdir()}
        if not names or ("checkpoint" in names and names <= {"checkpoint", "tile", BEFORE, *FOLDERS, *VERIFIER}):
            return
    if out.exists():
        raise NoLog(out, "something else is there, and was left as it is", "move it away, or choose another `--out`")


def read_log(path: Path, depth: int = 0) -> Log:
    """A copy of a log from a folder. depth: how many logs go on from it. Errors: NoLog, BadLog, OSError."""
    if not path.is_dir():
        rule = "a folder was expected" if path.exists() else "there is no such folder"
        raise NoLog(path, rule, "name a room, or the folder that `passbox ledger export` wrote")
    if not (path / "checkpoint").is_file():
        raise BadLog(path, "there is no checkpoint in it")
    text = _read(path / "checkpoint").decode("utf-8", "replace")
    try:
        size = int(parse_note(text).text.split("\n")[1])
        entries = tuple(read_entries(size, lambda name: _read(path / name)))
    except (BadNote, BadTree, ValueError, IndexError):
        raise BadLog(path, "its checkpoint or entries are damaged") from None
    except FileNotFoundError:
        raise BadLog(path, "entries that its checkpoint counts are missing") from None
    contract, requests, manifests, witnesses = (_files(path / folder) for folder in FOLDERS)
    stated = _stated_hashes(path, entries)
    return Log(text, entries, stated, contract, requests, manifests, witnesses, _before(path, depth))


def _stated_hashes(path: Path, entries: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The hashes beside the entries; where some are missing, none. They help to find what was changed."""
    names = [name for name in hash_tiles([leaf_hash(entry) for entry in entries]) if name.startswith("tile/0/")]
    try:
        data = b"".join(_read(path / name) for name in names)
    except OSError:
        return ()
    return tuple(data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE))
