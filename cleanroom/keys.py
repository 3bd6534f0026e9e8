"""Keys on disk: `NAME.keys/` stays at home. `newkeys.py` makes it, `cards.py` has what is handed out.

NAME.keys/ (0700) holds, each file 0600:

    sign        Ed25519 private key, OpenSSH format; absent where an existing SSH key is used
    sign.path   path of that existing key
    sign.pub    its public line
    seal        age identity
    room.seal, room.checkpoint    an operator's: the room's age identity and its note signing key
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..dp.note import BadNote, NoteKey, parse_secret
from ..policies.sign import BadKey, Signer, load_private_key, parse_public_key, public_line, signer_of
from .agent import agent_signer

Passphrase = Callable[[], bytes]
"""Asks for the passphrase of an encrypted SSH key, once it is known to be encrypted."""

LARGEST_FILE = 100_000


class KeysUnusable(Exception):
    """A key folder or card cannot be used. rule: what is wrong. remedy: what to do."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


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
        return read_public(self.folder / "sign.pub")

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


def read_public(path: Path) -> str:
    """The public line in a `.pub` file. Errors: KeysUnusable, OSError."""
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


# -- files -----------------------------------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE)
    except FileNotFoundError:
        raise KeysUnusable(path, "it is missing", "restore it, or make keys with `passbox keys new NAME`") from None
