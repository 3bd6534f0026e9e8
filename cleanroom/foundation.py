"""Founding a room: for an agreed contract, with the operator's keys, whole or not at all.

A room's keys sign one log. Beside them lies `room.made`, which says where the room is that they run, so that they do
not found a second one by mistake.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

import pyrage

from ..dp.ledger import Ledger
from ..dp.note import NoteKey
from ..policies.accounts import caps
from ..policies.agreement import Agreement, signature_path
from ..policies.contract import Contract
from ..policies.refused import refuse_expired
from .files import flush, sweep_of, write
from .keys import Keys
from .room import Clock, RoomUnusable, now, open_room
from .store import Store

MEMORY = "room.made"


@dataclass(frozen=True, slots=True)
class Foundation:
    """What a new room begins with beside its contract and keys.

    ledger: makes the ledger at a path, in a folder laid out already. before: copies of the logs it goes on from, by
    the digest of their contract. replaces: it stands for a room of the same keys that was lost.
    """

    ledger: Callable[[Path, NoteKey, Store], Ledger]
    before: Mapping[str, Path] = field(default_factory=dict)
    replaces: bool = False


def create_room(path: Path, agreement: Agreement, keys: Keys, clock: Clock = now) -> bool:
    """A new room for an agreed contract; whether it was made, or was there already for the same contract.

    Errors: as `found_room`; RoomUnusable too where the contract continues another, whose ledger has to be brought.
    """
    if agreement.contract.continues and not path.exists():
        rule = "the contract continues the accounts of another"
        raise RoomUnusable(path, rule, "bring its closed ledger: `passbox room new ... --continues EXPORT`")
    return found_room(path, agreement, keys, clock, Foundation(_empty(agreement, clock)))


def _empty(agreement: Agreement, clock: Clock) -> Callable[[Path, NoteKey, Store], Ledger]:
    return lambda path, key, store: Ledger.create(path, key, store, clock, caps(agreement))


def found_room(path: Path, agreement: Agreement, keys: Keys, clock: Clock, foundation: Foundation) -> bool:
    """A room as `foundation` says; whether it was made, or was there already for the same contract.

    Errors: Refused after the contract's last day; RoomUnusable where the keys are not those the contract names, or
    run another room, or the folder is taken; those of making the ledger.
    """
    if path.exists():
        _refuse_taken(path, agreement)
        _remember(path, keys)
        return False
    refuse_expired(agreement.contract, clock().astimezone(UTC).date())
    _refuse_other_keys(agreement.contract, keys)
    _refuse_used_keys(path, keys, replaces=foundation.replaces)
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    temporary.mkdir(mode=0o700)
    try:
        _lay_out(temporary, agreement, keys)
        _bring(foundation.before, temporary / "before")
        store = Store((temporary / "keys" / "storage").read_bytes())
        foundation.ledger(temporary / "ledger.sqlite", keys.room_checkpoint(), store).close()
        temporary.rename(path)
        flush(path.parent)  # a room that a power cut turned back into a temporary would be swept, with what it spent
        _remember(path, keys)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return True


def _bring(before: Mapping[str, Path], to: Path) -> None:
    """Copies of earlier logs, written through to the disk."""
    for digest, copied in before.items():
        shutil.copytree(copied, to / digest)
    for each in (to.parent, to, *to.rglob("*")) if before else ():
        flush(each)


def _remember(path: Path, keys: Keys) -> None:
    """Beside the keys, which room they run: they sign one log. Relative, so that both may move together."""
    at = os.path.relpath(path.absolute(), keys.folder.absolute())
    sweep_of(keys.folder / MEMORY)
    write(keys.folder / MEMORY, f"{at}\n".encode(), 0o600)


def _refuse_used_keys(path: Path, keys: Keys, *, replaces: bool) -> None:
    """A second room would be a second ledger under one name, and every cap a fresh one."""
    memory = keys.folder / MEMORY
    if not memory.is_file():
        return
    other = Path(os.path.normpath(keys.folder / memory.read_text().strip()))
    if (other / "ledger.sqlite").exists():
        remedy = "use that room; for another contract `passbox keys new NAME --room ORIGIN` makes keys of another room"
        raise RoomUnusable(path, f"these keys run the room `{other}`, whose ledger says what was spent", remedy)
    if not replaces:
        remedy = "name the room where it is now; if it is lost, `passbox ledger recover` goes on from a copy of its log"
        raise RoomUnusable(path, f"these keys ran a room that is not at `{other}` any more", remedy)


def _refuse_taken(path: Path, agreement: Agreement) -> None:
    if not (path / "contract" / "contract.toml").is_file():
        rule = "something is there already, and it is no room"
        raise RoomUnusable(path, rule, "name a folder that is not there yet, such as `passbox room new spring`")
    if open_room(path).agreement.digest != agreement.digest:
        raise RoomUnusable(path, "a room for another contract is there", f"say another, such as `{path}-2`")


def _refuse_other_keys(contract: Contract, keys: Keys) -> None:
    """A room whose seal key is another could never open a bundle; one with another checkpoint key signs for nobody."""
    keys.refuse_roomless()
    seal = str(pyrage.x25519.Identity.from_str(keys.room_seal()).to_public())
    if (keys.room_checkpoint().vkey, seal) != (contract.room.checkpoint, contract.room.seal):
        raise RoomUnusable(
            keys.folder, "these are not the keys of the contract's room", f"use {contract.room.operator}'s"
        )


def _lay_out(path: Path, agreement: Agreement, keys: Keys) -> None:
    for folder in ("contract", "keys", "datasets", "matches", "requests", "releases"):
        (path / folder).mkdir(mode=0o700)
    contract = path / "contract" / "contract.toml"
    write(contract, agreement.data)
    for name, signature in agreement.signatures.items():
        write(signature_path(contract, name), signature.encode())
    write(path / "keys" / "seal", keys.room_seal().encode(), 0o600)
    write(path / "keys" / "checkpoint", keys.room_checkpoint().to_secret_text().encode(), 0o600)
    write(path / "keys" / "storage", os.urandom(32), 0o600)
