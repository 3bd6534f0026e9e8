"""Checkpoints of the ledger: C2SP signed notes, and the cosignatures of those who watched it grow.

A note (https://c2sp.org/signed-note) is UTF-8 text, an empty line, and a line for each signature:

    rooms.example/spring
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — rooms.example/spring Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeO...

A checkpoint (https://c2sp.org/tlog-checkpoint) is a note of three lines: origin, number of leaves, root in
base64. A signature line is an em dash, a name, and base64 of key id (4 bytes) || signature. Two kinds:

    0x01  Ed25519 over the text
    0x04  time (u64, big-endian) || Ed25519 over "cosignature/v1\\ntime <time>\\n" || the text
          (https://c2sp.org/tlog-cosignature)

    key id     SHA-256(name || "\\n" || kind || public key)[:4]
    public     name+hex(key id)+base64(kind || public key)
    secret     PRIVATE+KEY+name+hex(key id)+base64(kind || seed)         (golang.org/x/mod/sumdb/note)

A line of an unknown key is passed over; a line of a known key that does not hold refuses the whole note.
Refused as well: text that is not UTF-8 or holds a control character other than newline; no empty line, no
final newline, anything but signature lines after the last empty line; base64 in any but its canonical
form; over 100 signatures or 128 KiB; a name that is empty or has a space or a plus, and in a key one that
does not print; a size with a leading zero or of 2^63 and above; extension lines; a root that is not 32 bytes,
or not that of the empty tree at size 0; a key of small order, for which anyone can sign.

An SSH key may cosign: what it signs here begins with "cosignature/v1", what it signs as SSHSIG with "SSHSIG".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .tree import EMPTY_ROOT, HASH_SIZE, LARGEST_SIZE

Kind = Literal[1, 4]
LOG: Kind = 1
"""Signs checkpoints."""
COSIGNER: Kind = 4
"""Signs that it saw a checkpoint, at a time."""

LARGEST_NOTE = 128 * 1024
MOST_SIGNATURES = 100
LARGEST_TIME = 2**63 - 1

Reason = Literal["not-a-note", "not-a-checkpoint", "not-a-key", "wrong-kind", "wrong-origin", "unsigned", "broken"]


class BadNote(Exception):
    """A note, a checkpoint or a key that must not be relied on."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: `size` leaves with this root."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line. key_id: 4 bytes. body: what follows them."""

    name: str
    key_id: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note whose form holds; nothing in it has been verified. text: up to and with its last newline."""

    text: str
    signatures: tuple[Signature, ...]


# --- keys


@dataclass(frozen=True)
class VerifierKey:
    """The public half: whom a signature line must come from. public: 32 bytes."""

    name: str
    public: bytes
    kind: Kind = LOG

    def __post_init__(self) -> None:
        if not _is_own_name(self.name) or len(self.public) != 32 or is_small_order(self.public):
            raise BadNote("not-a-key")

    @cached_property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def to_text(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_to_base64(bytes([self.kind]) + self.public)}"


def parse_vkey(text: str, kind: Kind = LOG) -> VerifierKey:
    """The key of a line "name+hash+base64". Errors: BadNote("not-a-key", "wrong-kind")."""
    name, key_id, found, public = _key_parts(text)
    key = VerifierKey(name, public, found)
    if key.key_id.hex() != key_id:
        raise BadNote("not-a-key")
    if key.kind != kind:
        raise BadNote("wrong-kind")
    return key


@dataclass(frozen=True)
class NoteKey:
    """The secret half. The same Ed25519 key should not serve as a log's and as a cosigner's."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)
    kind: Kind = LOG

    def __post_init__(self) -> None:
        if not _is_own_name(self.name):
            raise BadNote("not-a-key")

    @classmethod
    def new(cls, name: str, kind: Kind = LOG) -> NoteKey:
        """Errors: BadNote("not-a-key") where the name is unfit."""
        return cls(name, Ed25519PrivateKey.generate(), kind)

    @cached_property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw(), self.kind)

    @property
    def vkey(self) -> str:
        """The text to hand to those who verify."""
        return self.verifier.to_text()

    def to_secret_text(self) -> str:
        secret = _to_base64(bytes([self.kind]) + self.private.private_bytes_raw())
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{secret}"


def parse_secret(text: str) -> NoteKey:
    """The key of a line "PRIVATE+KEY+name+hash+base64", of either kind. Errors: BadNote("not-a-key")."""
    if not text.startswith("PRIVATE+KEY+"):
        raise BadNote("not-a-key")
    name, key_id, kind, seed = _key_parts(text.removeprefix("PRIVATE+KEY+"))
    key = NoteKey(name, Ed25519PrivateKey.from_private_bytes(seed), kind)
    if key.verifier.key_id.hex() != key_id:
        raise BadNote("not-a-key")
    return key


def is_small_order(public: bytes) -> bool:
    """Is this one of the few Ed25519 points for which anyone can sign, without a secret?

    Whoever shows such a key can sign and later say that somebody else did. public: 32 bytes; its sign bit
    does not count. Source: the list of libsodium, ge25519_has_small_order.
    """
    return public[:31] + bytes([public[31] & 0x7F]) in _SMALL_ORDER


_SMALL_ORDER = frozenset(
    map(
        bytes.fromhex,
        (
            "00" * 32,
            "01" + "00" * 31,
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ec" + "ff" * 30 + "7f",
            "ed" + "ff" * 30 + "7f",
            "ee" + "ff" * 30 + "7f",
        ),
    )
)


def _key_parts(text: str) -> tuple[str, str, Kind, bytes]:
    parts = text.split("+", 2)
    raw = _from_base64(parts[2]) if len(parts) == 3 else None
    if raw is None or len(raw) != 33 or raw[0] not in (LOG, COSIGNER):
        raise BadNote("not-a-key")
    return parts[0], parts[1], LOG if raw[0] == LOG else COSIGNER, raw[1:]


# --- notes


def sign_note(text: str, key: NoteKey) -> str:
    """A note with one signature. text: ends in a newline. Errors: BadNote("not-a-note", "wrong-kind")."""
    if key.kind != LOG:
        raise BadNote("wrong-kind")
    note = _signed(_decoded(text), key)
    if parse_note(note).text != text:
        raise BadNote("not-a-note")
    return note


def _signed(text: str, key: NoteKey) -> str:
    return f"{text}\n{_line(key.verifier, key.private.sign(text.encode()))}"


def verify_note(note: str | bytes, vkey: str) -> str:
    """The text of a note that this log key signed. Errors: BadNote."""
    key, parsed = parse_vkey(vkey), parse_note(note)
    for body in _bodies(parsed, key):
        _check(key, body, parsed.text.encode())
    return parsed.text


def parse_note(note: str | bytes) -> Note:
    """Take a note apart without believing it. Errors: BadNote("not-a-note")."""
    whole = _decoded(note)
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n") or lines.count("\n") > MOST_SIGNATURES:
        raise BadNote("not-a-note")
    return Note(text + "\n", tuple(_signature(line) for line in lines[:-1].split("\n")))


def add_line(note: str, line: str) -> str:
    """The note with one more signature line, or as it was where it has that line; nothing is verified.

    Errors: BadNote("not-a-note").
    """
    if line.count("\n") != 1 or not line.endswith("\n"):
        raise BadNote("not-a-note")
    added = parse_note(note + line).signatures[-1]
    return note if added in parse_note(note).signatures else note + line


def _decoded(note: str | bytes) -> str:
    try:
        raw = note.encode() if isinstance(note, str) else note
        text = raw.decode()
    except UnicodeError:
        raise BadNote("not-a-note") from None
    if len(raw) > LARGEST_NOTE or re.search(r"[\x00-\x09\x0b-\x1f]", text):
        raise BadNote("not-a-note")
    return text


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    raw = _from_base64(parts[2]) if len(parts) == 3 else None
    if raw is None or len(raw) < 5 or parts[0] != "—" or not _is_name(parts[1]):
        raise BadNote("not-a-note")
    return Signature(parts[1], raw[:4], raw[4:])


def _bodies(note: Note, key: VerifierKey) -> list[bytes]:
    """What this key put under the note, at least one. Errors: BadNote("unsigned")."""
    bodies = [each.body for each in note.signatures if (each.name, each.key_id) == (key.name, key.key_id)]
    if not bodies:
        raise BadNote("unsigned")
    return bodies


def _check(key: VerifierKey, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise BadNote("broken") from None


def _line(key: VerifierKey, body: bytes) -> str:
    return f"— {key.name} {_to_base64(key.key_id + body)}\n"


# --- checkpoints


def sign_checkpoint(origin: str, size: int, root: bytes, key: NoteKey) -> str:
    """The signed note that says: this log has `size` leaves and this root.

    The caller ensures that it never signs two heads of which neither continues the other.
    Errors: BadNote("wrong-origin") where the key has another name, ("not-a-checkpoint").
    """
    if origin != key.name:
        raise BadNote("wrong-origin")
    if key.kind != LOG:
        raise BadNote("wrong-kind")
    if not _is_head(size, root):
        raise BadNote("not-a-checkpoint")
    return _signed(f"{origin}\n{size}\n{_to_base64(root)}\n", key)


def verify_checkpoint(text: str | bytes, vkey: str) -> Checkpoint:
    """The log head that this key signed under its own name. Errors: BadNote."""
    checkpoint = _checkpoint(verify_note(text, vkey))
    if checkpoint.origin != parse_vkey(vkey).name:
        raise BadNote("wrong-origin")
    return checkpoint


def _checkpoint(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 4 or not lines[0] or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise BadNote("not-a-checkpoint")
    size, root = int(lines[1]), _from_base64(lines[2])
    if root is None or not _is_head(size, root):
        raise BadNote("not-a-checkpoint")
    return Checkpoint(lines[0], size, root)


def _is_head(size: int, root: bytes) -> bool:
    return 0 <= size <= LARGEST_SIZE and len(root) == HASH_SIZE and (size > 0 or root == EMPTY_ROOT)


# --- cosignatures


@dataclass(frozen=True, slots=True)
class Cosignature:
    """Somebody saw this head. time: whole seconds since 1970, by the cosigner's clock."""

    checkpoint: Checkpoint
    time: int


def cosign(checkpoint_text: str | bytes, key: NoteKey, time: int) -> str:
    """The signature line by which a cosigner says it saw this head and nothing that contradicts it.

    time: whole seconds since 1970. The caller ensures that the log's own signature was verified, and that
    this head continues the last one this key has cosigned.
    Errors: BadNote("wrong-kind", "not-a-note", "not-a-checkpoint"); ValueError for the time.
    """
    if key.kind != COSIGNER:
        raise BadNote("wrong-kind")
    if not 0 <= time <= LARGEST_TIME:
        raise ValueError("time must be whole seconds since 1970, below 2^63")
    text = parse_note(checkpoint_text).text
    _checkpoint(text)
    return _line(key.verifier, struct.pack(">Q", time) + key.private.sign(_cosigned(text, time)))


def verify_cosignature(text: str | bytes, vkey: str) -> Cosignature:
    """What this cosigner said of the checkpoint, and when; the latest time where it said it twice.

    The log's own signature is not looked at: see `verify_checkpoint`. Errors: BadNote.
    """
    key, note = parse_vkey(vkey, COSIGNER), parse_note(text)
    times = [_cosigned_at(key, body, note.text) for body in _bodies(note, key)]
    return Cosignature(_checkpoint(note.text), max(times))


def _cosigned_at(key: VerifierKey, body: bytes, text: str) -> int:
    time = int.from_bytes(body[:8], "big")
    if time > LARGEST_TIME:
        raise BadNote("broken")
    _check(key, body[8:], _cosigned(text, time))
    return time


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


# --- text


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(each.isspace() for each in name)


def _is_own_name(name: str) -> bool:
    """Names in our keys must also show what they are: no control characters, no direction marks."""
    return _is_name(name) and name.isprintable()


def _to_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _from_base64(text: str) -> bytes | None:
    """The bytes, or nothing where the text is not the one canonical form."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _to_base64(raw) == text else None
