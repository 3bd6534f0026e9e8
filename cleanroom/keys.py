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
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..dp.note import BadNote, NoteKey, parse_secret, parse_vkey
from ..policies.contract import NAME_PATTERN, ORIGIN_PATTERN
from ..policies.document import InvalidContract, read_toml
from ..policies.sign import (
    BadKey,
    Signer,
    load_private_key,
    new_private_key,
    parse_public_key,
    public_line,
    serialise_private_key,
    signer_of,
)
from .agent import agent_signer
from .files import sweep_of, write, write_new

Passphrase = Callable[[], bytes]
"""Asks for the passphrase of an encrypted SSH key, once it is known to be encrypted."""

ROLES = ("publisher", "advertiser", "officer", "operator")
LARGEST_CARD = 100_000


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
    """A party's own keys, in a folder. What cannot be read as what it should be raises KeysUnusable."""

    folder: Path

    def signing(self, passphrase: Passphrase) -> Ed25519PrivateKey:
        """The signing key, which is that of the card. passphrase is called where the key is encrypted.

        Errors: KeysUnusable, also where only the public half is here (an agent's or hardware key).
        """
        path = self._signing_path()
        key = _private(path, _read(path), passphrase)
        if public_line(key) != self.sign_public():
            raise KeysUnusable(path, f"it is not the key of {self.folder / 'sign.pub'}", "use the key of your card")
        return key

    def signer(self, passphrase: Passphrase) -> Signer:
        """Signs with the private key where it is at hand; else asks the agent or token that holds it.

        Errors: as `signing`; what it gives raises AgentUnable.
        """
        if self.can_sign():
            return signer_of(self.signing(passphrase))
        return agent_signer(self.folder / "sign.pub", self.sign_public())

    def cosigning(self, passphrase: Passphrase) -> Ed25519PrivateKey:
        """The signing key for a cosignature, which no agent or token makes. Errors: as `signing`."""
        if not self.can_sign():
            rule = "only the public half of this key is here, and a cosignature is no SSH signature: it takes the key"
            remedy = "who is to witness uses a key file: `passbox keys new NAME` makes one, for the next contract"
            raise KeysUnusable(self.folder / "sign.pub", rule, remedy)
        return self.signing(passphrase)

    def can_sign(self) -> bool:
        """Whether a private key is at hand; where not, an agent or a token holds it."""
        return (self.folder / "sign").is_file() or (self.folder / "sign.path").is_file()

    def sign_public(self) -> str:
        return _public(self.folder / "sign.pub")

    def seal_identity(self) -> str:
        return _identity(self.folder / "seal")

    def seal_public(self) -> str:
        return str(pyrage.x25519.Identity.from_str(self.seal_identity()).to_public())

    def room_seal(self) -> str:
        return _identity(self.folder / "room.seal")

    def room_checkpoint(self) -> NoteKey:
        path = self.folder / "room.checkpoint"
        try:
            return parse_secret(_read(path).decode("utf-8", "replace").strip())
        except BadNote:
            raise KeysUnusable(path, "it is not a note signing key", "use the operator's key folder") from None

    def refuse_roomless(self) -> None:
        """Errors: KeysUnusable where these are not an operator's, with the keys of a room."""
        if not ((self.folder / "room.seal").is_file() and (self.folder / "room.checkpoint").is_file()):
            rule = "it holds no keys of a room: it is not the operator's"
            raise KeysUnusable(self.folder, rule, "use the key folder that `passbox keys new NAME --room ROOM` made")

    def room_card(self, operator: str) -> RoomCard:
        """What an operator's keys say of its room. Errors: KeysUnusable where they hold none."""
        self.refuse_roomless()
        checkpoint = self.room_checkpoint()
        seal = str(pyrage.x25519.Identity.from_str(self.room_seal()).to_public())
        return RoomCard(operator, checkpoint.name, seal, checkpoint.vkey)

    def _signing_path(self) -> Path:
        pointer = self.folder / "sign.path"
        if pointer.is_file():
            return Path(os.fsdecode(_read(pointer).strip()))
        path = self.folder / "sign"
        if not path.is_file():
            raise KeysUnusable(
                path,
                "only the public half of this key is here, and this takes the key itself",
                "use a key file, or sign where the key is with `ssh-keygen -Y sign`",
            )
        return path


def _private(path: Path, data: bytes, passphrase: Passphrase) -> Ed25519PrivateKey:
    try:
        try:
            return load_private_key(data)
        except BadKey as error:
            if error.reason != "encrypted":
                raise
        return load_private_key(data, passphrase())
    except BadKey as error:
        raise KeysUnusable(path, *_KEY_RULES[error.reason]) from None


_KEY_RULES = {
    "not-a-key": ("it is not an OpenSSH private key", "use an Ed25519 SSH key"),
    "encrypted": ("it is encrypted and no passphrase was given", "type its passphrase when asked, on a terminal"),
    "wrong-passphrase": ("the passphrase does not open it", "type it again"),
    "not-ed25519": ("it is not an Ed25519 key", "`ssh-keygen -t ed25519` makes one"),
}


def _public(path: Path) -> str:
    try:
        return parse_public_key(_read(path).decode("ascii", "replace"))
    except BadKey:
        rule = "it is not an Ed25519 SSH public key"
        raise KeysUnusable(path, rule, "`ssh-keygen -t ed25519` makes one") from None


def _identity(path: Path) -> str:
    text = _read(path).decode("ascii", "replace").strip()
    try:
        pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise KeysUnusable(path, "it is not an age identity", "restore your key folder from a backup") from None
    return text


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
    room_card = where / f"{name}.room.toml" if room else None
    public = _public_half(ssh_key) if ssh_key else None
    _refuse_other_cards(keys, card, name, role, room_card)
    created = not keys.folder.exists()
    if created:
        _make_folder(keys.folder, ssh_key, public, room)
    elif room and not (keys.folder / "room.seal").exists():
        _fill_room(keys.folder, room)
        created = True
    _refuse_others(keys, public, room)
    write_new(card, _party_card(keys, name, role), same_is_fine=True)
    if room_card:
        write_new(room_card, keys.room_card(name).to_toml().encode(), same_is_fine=True)
    return Made(keys, card, room_card, created)


def _party_card(keys: Keys, name: str, role: str) -> bytes:
    return PartyCard(name, role, keys.sign_public(), keys.seal_public()).to_toml().encode()


def _refuse_other_cards(keys: Keys, card: Path, name: str, role: str, room_card: Path | None) -> None:
    """A card that is there already must be the very one that would be written: it may have been handed out."""
    if card.exists() and not (keys.folder.exists() and card.read_bytes() == _party_card(keys, name, role)):
        raise KeysUnusable(card, "a card of other keys or of another role is there", _ELSEWHERE)
    if room_card and room_card.exists() and not (keys.folder / "room.seal").exists():
        raise KeysUnusable(room_card, "a card of another room is there", _ELSEWHERE)


_ELSEWHERE = "choose another NAME, or move it away"


def role_of(where: Path, name: str) -> str:
    """The role that a party's card names already; "" where there is no such card."""
    try:
        card = read_card(where / f"{name}.party.toml", "party")
    except (KeysUnusable, OSError):
        return ""
    return card["role"]


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
        return _public(ssh_key)
    if not ssh_key.is_file():
        raise KeysUnusable(ssh_key, "there is no such key", "check the path")
    beside = ssh_key.with_name(ssh_key.name + ".pub")
    if not beside.is_file():
        raise KeysUnusable(beside, "it is missing", f"`ssh-keygen -y -f {ssh_key} > {beside}` writes it")
    return _public(beside)


def open_keys(folder: Path) -> Keys:
    """The keys in a folder. Errors: KeysUnusable where it is none."""
    if not (folder / "seal").is_file():
        rule = "this is no key folder" if folder.exists() else "there is no such key folder"
        raise KeysUnusable(folder, rule, _meant(folder))
    return Keys(folder)


def _meant(folder: Path) -> str:
    """A key folder with almost this name, or the only one where it was looked for; else how to make one."""
    there = [
        path for path in (folder if folder.is_dir() else folder.parent).glob("*.keys") if (path / "seal").is_file()
    ]
    named = [path for path in there if path.name == f"{folder.name}.keys"]
    found = named or there
    return f"did you mean `{found[0]}`?" if len(found) == 1 else "make one with `passbox keys new NAME`"


# -- cards -----------------------------------------------------------------------------------------------------------


def read_card(path: Path, kind: Literal["party", "room"]) -> dict[str, str]:
    """A card's fields, each fit to stand in a contract. Others wrote it. Errors: KeysUnusable, OSError."""
    checks = _CARDS[kind]
    with path.open("rb") as file:
        data = file.read(LARGEST_CARD)
    try:
        raw = read_toml(data, "card")
    except InvalidContract:
        raise KeysUnusable(path, "it is not a card", f"ask its party for NAME.{kind}.toml again") from None
    if set(raw) != set(checks):
        raise KeysUnusable(path, f"it is {_other(raw, kind)}", f"use NAME.{kind}.toml, which holds {', '.join(checks)}")
    for field, is_fine in checks.items():
        if not isinstance(value := raw[field], str) or not is_fine(value):
            raise KeysUnusable(path, f"its {field} is none", f"ask its party for NAME.{kind}.toml again")
    return {field: str(raw[field]) for field in checks}


def _other(raw: dict[str, object], kind: str) -> str:
    """What a file is that was named where a card was expected."""
    if {"dataset", "rules"} <= set(raw):
        return f"a contract, not a {kind} card"
    if "people" in raw:
        return f"a job, not a {kind} card"
    return next((f"a {name} card, not a {kind} card" for name in _CARDS if set(raw) == set(_CARDS[name])), "not a card")


def _is_name(text: str) -> bool:
    return re.fullmatch(NAME_PATTERN, text) is not None


def _is_sign_key(text: str) -> bool:
    try:
        return parse_public_key(text) == text
    except BadKey:
        return False


def _is_seal_key(text: str) -> bool:
    try:
        return str(pyrage.x25519.Recipient.from_str(text)) == text
    except pyrage.RecipientError:
        return False


def _is_checkpoint_key(text: str) -> bool:
    try:
        return parse_vkey(text).name != ""
    except BadNote:
        return False


_CARDS: dict[str, dict[str, Callable[[str], bool]]] = {
    "party": {"name": _is_name, "role": ROLES.__contains__, "sign": _is_sign_key, "seal": _is_seal_key},
    "room": {
        "operator": _is_name,
        "name": lambda text: re.fullmatch(ORIGIN_PATTERN, text) is not None,
        "seal": _is_seal_key,
        "checkpoint": _is_checkpoint_key,
    },
}


# -- files -----------------------------------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_CARD)
    except FileNotFoundError:
        raise KeysUnusable(path, "it is missing", "restore it, or make keys with `passbox keys new NAME`") from None


def _secret(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _toml(fields: dict[str, str]) -> str:
    return "".join(f'{key} = "{value}"\n' for key, value in fields.items())
