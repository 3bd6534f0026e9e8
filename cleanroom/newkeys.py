"""Making a party's keys and its cards, whole or not at all. What is there already stays as it is."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyrage

from ..dp.note import NoteKey
from ..policies.sign import new_private_key, public_line, serialise_private_key
from .cards import party_card, room_card
from .files import sweep_of, write, write_new
from .keys import Keys, KeysUnusable, read_public


@dataclass(frozen=True, slots=True)
class Made:
    """What `make` wrote, or found."""

    keys: Keys
    card: Path
    room_card: Path | None
    created: bool


def make(where: Path, name: str, role: str, ssh_key: Path | None, room: str | None) -> Made:
    """A party's keys and card in `where`; an operator's also for its room. What is there already stays as it is.

    name, role, room: as a contract takes them. ssh_key: an existing OpenSSH private key, or a public one whose
    private half an agent or a token holds.
    Errors: KeysUnusable, also where other keys or cards are there already; OSError. Nothing is made then.
    """
    keys, card = Keys(where / f"{name}.keys"), where / f"{name}.party.toml"
    room_path = where / f"{name}.room.toml" if room else None
    public = _public_half(ssh_key) if ssh_key else None
    _refuse_other_cards(keys, card, name, role, room_path)
    created = not keys.folder.exists()
    if created:
        _make_folder(keys.folder, ssh_key, public, room)
    elif room and not (keys.folder / "room.seal").exists():
        _fill_room(keys.folder, room)
        created = True
    _refuse_others(keys, public, room)
    write_new(card, _party_card(keys, name, role), same_is_fine=True)
    if room_path:
        write_new(room_path, room_card(keys, name).to_toml().encode(), same_is_fine=True)
    return Made(keys, card, room_path, created)


def _party_card(keys: Keys, name: str, role: str) -> bytes:
    return party_card(keys, name, role).to_toml().encode()


def _refuse_other_cards(keys: Keys, card: Path, name: str, role: str, room_path: Path | None) -> None:
    """A card that is there already must be the very one that would be written: it may have been handed out."""
    if card.exists() and not (keys.folder.exists() and card.read_bytes() == _party_card(keys, name, role)):
        raise KeysUnusable(card, "a card of other keys or of another role is there", _ELSEWHERE)
    if room_path and room_path.exists() and not (keys.folder / "room.seal").exists():
        raise KeysUnusable(room_path, "a card of another room is there", _ELSEWHERE)


_ELSEWHERE = "choose another NAME, or move it away"


def _make_folder(folder: Path, ssh_key: Path | None, public: str | None, room: str | None) -> None:
    """The folder whole or not at all: half of one would look like keys."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.tmp")
    temporary.mkdir(mode=0o700)
    try:
        _fill(temporary, ssh_key, public)
        if room:
            _fill_room(temporary, room)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _fill(folder: Path, ssh_key: Path | None, public: str | None) -> None:
    _secret(folder / "seal", str(pyrage.x25519.Identity.generate()).encode())
    if public is None:
        key = new_private_key()
        _secret(folder / "sign", serialise_private_key(key))
        public = public_line(key)
    elif ssh_key and ssh_key.suffix != ".pub":
        _secret(folder / "sign.path", os.fsencode(ssh_key.resolve()) + b"\n")
    _secret(folder / "sign.pub", public.encode() + b"\n")


def _fill_room(folder: Path, room: str) -> None:
    """`room.seal` comes last, and whole: where it is, the other is."""
    made = {"room.checkpoint": NoteKey.new(room).to_secret_text(), "room.seal": str(pyrage.x25519.Identity.generate())}
    for name, text in made.items():
        sweep_of(folder / name)
        write(folder / name, text.encode(), 0o600)


def _refuse_others(keys: Keys, public: str | None, room: str | None) -> None:
    """What was asked for must be what is there: nobody shall hand out a card of another key than they think."""
    if public is not None and keys.sign_public() != public:
        raise KeysUnusable(keys.folder, "it holds another signing key", _ELSEWHERE)
    if room is not None and keys.room_checkpoint().name != room:
        raise KeysUnusable(keys.folder, "it holds the keys of another room", _ELSEWHERE)


def _public_half(ssh_key: Path) -> str:
    """The public line of an existing key: from its `.pub` file, which OpenSSH writes beside it."""
    if ssh_key.suffix == ".pub":
        return read_public(ssh_key)
    if not ssh_key.is_file():
        raise KeysUnusable(ssh_key, "there is no such key", "check the path")
    beside = ssh_key.with_name(ssh_key.name + ".pub")
    if not beside.is_file():
        raise KeysUnusable(beside, "it is missing", f"`ssh-keygen -y -f {ssh_key} > {beside}` writes it")
    return read_public(beside)


def _secret(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
