"""Signatures that `ssh-keygen -Y verify` agrees with: SSHSIG, Ed25519 only.

Armor: base64 in lines of 70 characters between two fixed lines; other widths are read, too.

    -----BEGIN SSH SIGNATURE-----
    U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg...
    -----END SSH SIGNATURE-----

Inside (openssh-portable, PROTOCOL.sshsig; "string" is a u32 length, big-endian, then the bytes):

    "SSHSIG" || u32 1 || string public key || string namespace || string "" || string "sha512"
             || string signature
    public key   string "ssh-ed25519" || string 32 bytes
    signature    string "ssh-ed25519" || string 64 bytes, Ed25519 over
                 "SSHSIG" || string namespace || string "" || string "sha512" || string SHA-512(message)

The namespace keeps a signed job from serving as a signed contract. "sha256" is read but never written.
Refused: more than 16 KiB, carriage returns, anything before or after the armor, base64 that is not canonical,
lengths that do not add up, another version, a filled reserved field, another hash, another kind of key (RSA,
ECDSA, security keys, certificates).

Signing is done here, verifying by the library `sshsig`, so that one mistake cannot hide in both.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
import struct
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sshsig
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)

from ..dp.note import is_small_order

Namespace = Literal["passbox-contract", "passbox-share", "passbox-job", "passbox-bundle", "passbox-loss"]
SignatureReason = Literal["not-a-signature", "wrong-namespace", "wrong-key", "broken", "unsupported"]
KeyReason = Literal["not-a-key", "encrypted", "wrong-passphrase", "not-ed25519"]
Signer = Callable[[bytes, Namespace], str]
"""Makes a party's armored signature over bytes, for a purpose, wherever its key is."""

LARGEST_TEXT = 16 * 1024
_ED25519 = b"ssh-ed25519"
_VERSION = struct.pack(">I", 1)
_HASHES = (b"sha512", b"sha256")
_SIGNATURE_ARMOR = ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----")
_KEY_MAGIC = b"openssh-key-v1\0"
_KEY_ARMOR = ("-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----")


class BadSignature(Exception):
    """A signature that must not be relied on."""

    def __init__(self, reason: SignatureReason) -> None:
        super().__init__(reason)
        self.reason: SignatureReason = reason


class BadKey(Exception):
    """A key that cannot be used here, or not yet: `encrypted` asks for a passphrase."""

    def __init__(self, reason: KeyReason) -> None:
        super().__init__(reason)
        self.reason: KeyReason = reason


# --- signatures


def sign(message: bytes, key: Ed25519PrivateKey, namespace: Namespace) -> str:
    """The armored signature, byte for byte what `ssh-keygen -Y sign` writes with the same key."""
    scope = _string(namespace.encode()) + _string(b"") + _string(b"sha512")
    raw = key.sign(b"SSHSIG" + scope + _string(hashlib.sha512(message).digest()))
    signature = _string(_ED25519) + _string(raw)
    return _armored(b"SSHSIG" + _VERSION + _string(_public_blob(key)) + scope + _string(signature))


def signer_of(key: Ed25519PrivateKey) -> Signer:
    """Signs with a key that is at hand."""
    return lambda message, namespace: sign(message, key, namespace)


def verify(message: bytes, signature: str | bytes, public_key: str, namespace: Namespace) -> None:
    """Return if this key signed this message for this purpose.

    public_key: a line as `parse_public_key` takes it.
    Errors: BadSignature; BadKey where `public_key` is none.
    """
    signer = parse_public_key(public_key)
    text = signature.decode("ascii", "replace") if isinstance(signature, bytes) else signature
    _check_claim(_parse_claim(text), signer, namespace)
    try:
        sshsig.verify(message, text, [sshsig.PublicKey.from_openssh_str(signer)], namespace)
    except (sshsig.InvalidSignature, NotImplementedError, ValueError):
        raise BadSignature("broken") from None


def claimed_signer(signature: str) -> str:
    """The public key a signature says it was made with: it proves nothing before `verify`. Errors: BadSignature."""
    key = base64.b64encode(_parse_claim(signature).public_key).decode()
    try:
        return parse_public_key(f"ssh-ed25519 {key}")
    except BadKey:
        raise BadSignature("not-a-signature") from None


def ssh_keygen_line(file: Path, namespace: Namespace, key_path: Path) -> str:
    """What a person types to make the same signature with their own tools; it writes FILE.sig."""
    name = str(file)
    plain = f"./{name}" if name.startswith("-") else name
    return shlex.join(["ssh-keygen", "-Y", "sign", "-f", str(key_path), "-n", namespace, plain])


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a signature says of itself, before anything is verified."""

    public_key: bytes
    namespace: bytes


def _parse_claim(text: str) -> _Claim:
    """Take a signature apart, stricter than `sshsig` does.

    `sshsig` lets a string run past its end, ignores what follows, and knows RSA and any hash of hashlib.
    Errors: BadSignature("not-a-signature", "unsupported").
    """
    try:
        blob = _dearmored(text, _SIGNATURE_ARMOR)
        if blob[:6] != b"SSHSIG":
            raise BadSignature("not-a-signature")
        if blob[6:10] != _VERSION:
            raise BadSignature("unsupported")
        public_key, namespace, reserved, hash_name, signature = _strings(blob[10:])
        kinds = {_first_string(public_key)[0], _first_string(signature)[0]}
        if reserved or hash_name not in _HASHES or kinds != {_ED25519}:
            raise BadSignature("unsupported")
        _, raw = _strings(signature)
    except ValueError:
        raise BadSignature("not-a-signature") from None
    if len(raw) != 64:
        raise BadSignature("not-a-signature")
    return _Claim(public_key, namespace)


def _check_claim(claim: _Claim, signer: str, namespace: Namespace) -> None:
    """Errors: BadSignature("wrong-namespace", "wrong-key")."""
    if claim.namespace != namespace.encode():
        raise BadSignature("wrong-namespace")
    if claim.public_key != _blob(signer):
        raise BadSignature("wrong-key")


# --- public keys


def parse_public_key(text: str) -> str:
    """The key of an OpenSSH line, "ssh-ed25519 AAAA...", without its comment.

    A point of small order, for which anyone can sign, is not a key.
    Errors: BadKey("not-a-key", "not-ed25519").
    """
    try:
        name, encoded = _words(text)
        kind, rest = _first_string(_from_base64(encoded))
        if kind.decode("ascii") != name:
            raise BadKey("not-a-key")
        if kind != _ED25519:
            raise BadKey("not-ed25519")
        (point,) = _strings(rest)
    except ValueError:
        raise BadKey("not-a-key") from None
    if len(point) != 32 or is_small_order(point):
        raise BadKey("not-a-key")
    return f"{name} {encoded}"


def _words(text: str) -> tuple[str, str]:
    """The first two words of the only line, the comment dropped. Errors: ValueError."""
    (line,) = text[: LARGEST_TEXT + 1].splitlines()
    name, encoded = line.split(" ", 2)[:2]
    if len(text) > LARGEST_TEXT:
        raise ValueError("too long for a key")
    return name, encoded


def public_bytes(public_key: str) -> bytes:
    """The 32 bytes of the point, for other formats that carry the same key. Errors: BadKey."""
    return _blob(parse_public_key(public_key))[-32:]


def public_line(key: Ed25519PrivateKey) -> str:
    """The line to hand to those who verify."""
    return f"ssh-ed25519 {base64.b64encode(_public_blob(key)).decode()}"


def fingerprint(public_key: str) -> str:
    """What `ssh-keygen -lf` prints of the key: SHA256:... Errors: BadKey."""
    digest = hashlib.sha256(_blob(parse_public_key(public_key))).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


# --- private keys


def new_private_key() -> Ed25519PrivateKey:
    """A fresh key from the operating system."""
    return Ed25519PrivateKey.generate()


def serialise_private_key(key: Ed25519PrivateKey, passphrase: bytes | None = None) -> bytes:
    """The file that `ssh-keygen` and `load_private_key` read."""
    lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, lock)


def load_private_key(data: bytes, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """The key in an OpenSSH private key file. A passphrase that is not needed is passed over.

    Errors: BadKey. A damaged encrypted file cannot be told from a wrong passphrase.
    """
    locked = _is_locked(data)
    if locked and not passphrase:
        raise BadKey("encrypted")
    try:
        key = load_ssh_private_key(data, passphrase if locked else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("wrong-passphrase" if locked else "not-a-key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey("not-ed25519")
    return key


def _is_locked(data: bytes) -> bool:
    """Does the file need a passphrase? Its head is in the clear.

    Errors: BadKey("not-a-key", "not-ed25519").
    """
    try:
        blob = _dearmored(data.decode("ascii"), _KEY_ARMOR)
        cipher, rest = _first_string(blob.removeprefix(_KEY_MAGIC))
        _, rest = _first_string(rest)
        _, rest = _first_string(rest)
        public, _ = _first_string(rest[4:])
        kind, _ = _first_string(public)
    except ValueError:
        raise BadKey("not-a-key") from None
    if not blob.startswith(_KEY_MAGIC):
        raise BadKey("not-a-key")
    if kind != _ED25519:
        raise BadKey("not-ed25519")
    return cipher != b"none"


# --- bytes


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _first_string(data: bytes) -> tuple[bytes, bytes]:
    """The first string and what follows it. Errors: ValueError."""
    end = 4 + int.from_bytes(data[:4], "big")
    if not 4 <= end <= len(data):
        raise ValueError("a string ends early")
    return data[4:end], data[end:]


def _strings(data: bytes) -> list[bytes]:
    """All strings, nothing left over. Errors: ValueError."""
    found = list[bytes]()
    while data:
        each, data = _first_string(data)
        found.append(each)
    return found


def _public_blob(key: Ed25519PrivateKey) -> bytes:
    return _string(_ED25519) + _string(key.public_key().public_bytes_raw())


def _blob(public_key: str) -> bytes:
    return base64.b64decode(public_key.split(" ")[1])


def _armored(blob: bytes) -> str:
    begin, end = _SIGNATURE_ARMOR
    return "\n".join([begin, *textwrap.wrap(base64.b64encode(blob).decode(), 70), end, ""])


def _dearmored(text: str, armor: tuple[str, str]) -> bytes:
    """Errors: ValueError."""
    lines = text.rstrip("\n").split("\n") if len(text) <= LARGEST_TEXT else [""]
    if (lines[0], lines[-1]) != armor:
        raise ValueError("not in this armor")
    return _from_base64("".join(lines[1:-1]))


def _from_base64(text: str) -> bytes:
    """Errors: ValueError where the text is not the one canonical form."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 is not canonical")
    return raw
