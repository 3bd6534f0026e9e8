"""Keys on disk: `NAME.keys/` stays at home, `NAME.party.toml` and `NAME.room.toml` are cards to hand out.

NAME.keys/ (0700) holds, each file 0600:

    sign        Ed25519 private key, OpenSSH format; absent where an existing SSH key is used
    sign.path   path of that existing key
    sign.pub    its public line
    seal        age identity
    room.seal, room.checkpoint    an operator's: the room's age identity and its note signing key

A card is public TOML. Fingerprints are compared by voice: a card proves nothing about who made it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..dp.note import BadNote, NoteKey, parse_secret
from ..policies.sign import (
    BadKey,
    load_private_key,
    new_private_key,
    parse_public_key,
    public_line,
    serialise_private_key,
)
from .files import write_new

Passphrase = Callable[[], bytes]
"""Asks for the passphrase of an encrypted SSH key, once it is known to be encrypted."""

ROLES = ("publisher", "advertiser", "officer", "operator")


class KeysUnusable(Exception):
    """A key folder or card cannot be used. rule: what is wrong. remedy: what to do."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


@dataclass(frozen=True, slots=True)
class PartyCard:
    """What a party tells the others. sign: OpenSSH public key. seal: age recipient."""

    name: str
    role: str
    sign: str
    seal: str

    def to_toml(self) -> str:
        return _toml({"name": self.name, "role": self.role, "sign": self.sign, "seal": self.seal})


@dataclass(frozen=True, slots=True)
class RoomCard:
    """What an operator tells about its room. name: origin of its checkpoints. checkpoint: note verifier key."""

    operator: str
    name: str
    seal: str
    checkpoint: str

    def to_toml(self) -> str:
        fields = {
            "operator": self.operator,
            "name": self.name,
            "seal": self.seal,
            "checkpoint": self.checkpoint,
        }
        return _toml(fields)


@dataclass(frozen=True, slots=True)
class Keys:
    """A party's own keys, in a folder."""

    folder: Path

    def signing(self, passphrase: Passphrase) -> Ed25519PrivateKey:
        """The signing key. Errors: KeysUnusable where only the public half is here (an agent's or hardware key)."""
        path = self._signing_path()
        data = _read(path)
        try:
            try:
                return load_private_key(data)
            except BadKey as error:
                if error.reason != "encrypted":
                    raise
            return load_private_key(data, passphrase())
        except BadKey as error:
            raise KeysUnusable(path, _KEY_RULES[error.reason], "use an Ed25519 SSH key") from None

    def can_sign(self) -> bool:
        """Whether a private key is at hand; where not, `ssh-keygen -Y sign` does it."""
        return (self.folder / "sign").is_file() or (self.folder / "sign.path").is_file()

    def sign_public(self) -> str:
        return parse_public_key(_read(self.folder / "sign.pub").decode("ascii", "replace"))

    def seal_identity(self) -> str:
        return _read(self.folder / "seal").decode("ascii", "replace").strip()

    def seal_public(self) -> str:
        return str(pyrage.x25519.Identity.from_str(self.seal_identity()).to_public())

    def room_seal(self) -> str:
        return _read(self.folder / "room.seal").decode("ascii", "replace").strip()

    def room_checkpoint(self) -> NoteKey:
        path = self.folder / "room.checkpoint"
        try:
            return parse_secret(_read(path).decode("utf-8", "replace").strip())
        except BadNote:
            raise KeysUnusable(path, "it is not a note signing key", "use the operator's key folder") from None

    def _signing_path(self) -> Path:
        pointer = self.folder / "sign.path"
        if pointer.is_file():
            return Path(pointer.read_text().strip())
        path = self.folder / "sign"
        if not path.is_file():
            raise KeysUnusable(path, "only the public half of this key is here", "sign with `ssh-keygen -Y sign`")
        return path


_KEY_RULES = {
    "not-a-key": "it is not an OpenSSH private key",
    "encrypted": "it is encrypted and needs its passphrase",
    "wrong-passphrase": "the passphrase does not open it",
    "not-ed25519": "it is not an Ed25519 key",
}


@dataclass(frozen=True, slots=True)
class Made:
    """What `make` wrote, or found."""

    keys: Keys
    card: Path
    room_card: Path | None
    created: bool


def make(where: Path, name: str, role: str, ssh_key: Path | None, room: str | None) -> Made:
    """A party's keys and card in `where`; an operator's also for its room. What is there already stays as it is.

    ssh_key: an existing OpenSSH private key, or a public one whose private half an agent or a token holds.
    Errors: KeysUnusable, OSError.
    """
    keys = Keys(where / f"{name}.keys")
    card = where / f"{name}.party.toml"
    room_card = where / f"{name}.room.toml" if room else None
    created = not keys.folder.exists()
    if created:
        _fill(keys, ssh_key)
    if room and not (keys.folder / "room.seal").exists():
        _secret(keys.folder / "room.checkpoint", NoteKey.new(room).to_secret_text().encode())
        _secret(keys.folder / "room.seal", str(pyrage.x25519.Identity.generate()).encode())
        created = True
    party = PartyCard(name, role, keys.sign_public(), keys.seal_public())
    write_new(card, party.to_toml().encode(), same_is_fine=True)
    if room and room_card:
        write_new(room_card, _room_card(keys, name).to_toml().encode(), same_is_fine=True)
    return Made(keys, card, room_card, created)


def _fill(keys: Keys, ssh_key: Path | None) -> None:
    public = _public_half(ssh_key) if ssh_key else None
    keys.folder.mkdir(mode=0o700, parents=True)
    _secret(keys.folder / "seal", str(pyrage.x25519.Identity.generate()).encode())
    if public is None:
        key = new_private_key()
        _secret(keys.folder / "sign", serialise_private_key(key))
        public = public_line(key)
    elif ssh_key and ssh_key.suffix != ".pub":
        _secret(keys.folder / "sign.path", str(ssh_key.resolve()).encode() + b"\n")
    _secret(keys.folder / "sign.pub", public.encode() + b"\n")


def _public_half(ssh_key: Path) -> str:
    """The public line of an existing key: from its `.pub` file, which OpenSSH writes beside it."""
    path = ssh_key if ssh_key.suffix == ".pub" else ssh_key.with_name(ssh_key.name + ".pub")
    try:
        return parse_public_key(_read(path).decode("ascii", "replace"))
    except BadKey:
        raise KeysUnusable(path, "it is not an Ed25519 SSH public key", "use an Ed25519 key") from None


def _room_card(keys: Keys, operator: str) -> RoomCard:
    checkpoint = keys.room_checkpoint()
    seal = str(pyrage.x25519.Identity.from_str(keys.room_seal()).to_public())
    return RoomCard(operator, checkpoint.name, seal, checkpoint.vkey)


def open_keys(folder: Path) -> Keys:
    """The keys in a folder. Errors: KeysUnusable where it is none."""
    if not (folder / "seal").is_file():
        raise KeysUnusable(folder, "this is no key folder", "make one with `passbox keys new NAME`")
    return Keys(folder)


def read_card(path: Path, kind: Literal["party", "room"]) -> dict[str, str]:
    """A card's fields, all text. Errors: KeysUnusable, OSError."""
    wanted = ("name", "role", "sign", "seal") if kind == "party" else ("operator", "name", "seal", "checkpoint")
    try:
        raw = tomllib.loads(path.read_bytes()[:100_000].decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise KeysUnusable(path, "it is not a card", "ask its party for NAME.party.toml again") from None
    if set(raw) != set(wanted) or not all(isinstance(value, str) for value in raw.values()):
        raise KeysUnusable(path, f"a {kind} card holds {', '.join(wanted)}", f"use NAME.{kind}.toml")
    return {key: str(raw[key]) for key in wanted}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()[:100_000]
    except FileNotFoundError:
        raise KeysUnusable(path, "it is missing", "use the folder that `passbox keys new` made") from None


def _secret(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _toml(fields: dict[str, str]) -> str:
    return "".join(f'{key} = "{value}"\n' for key, value in fields.items())
