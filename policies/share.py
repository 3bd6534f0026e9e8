"""Shares of the match key: the room stays blind because only the data parties can make the key.

Each data party draws 32 random bytes when it signs, seals them to the data parties' age keys and signs the result.
The file `contract.toml.NAME.share` is text in three parts:

    passbox share v1 <SHA-256 of the contract> <party>
    -----BEGIN AGE ENCRYPTED FILE----- ... -----END AGE ENCRYPTED FILE-----
    -----BEGIN SSH SIGNATURE----- ... -----END SSH SIGNATURE-----

The signature (namespace `passbox-share`) covers everything before it, so that a share cannot be moved to another
contract or party. Refused: a missing share, one of another contract or party, one that its party did not sign, one
that is not sealed to whoever opens it, one of another length. The match key mixes all shares: who drafts the contract
cannot plant a key, since the other party's share is its own.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pyrage

from .agreement import Agreement, SignatureBroken
from .contract import Contract, digest
from .sign import BadSignature, Signer, verify

ShareReason = Literal["missing", "malformed", "of-another", "sealed-to-others"]
"""of-another: it was made for another contract, or by another party."""

_SIGNATURE = "-----BEGIN SSH SIGNATURE-----"
_HEAD = re.compile(r"passbox share v1 [0-9a-f]{64} [a-z][a-z0-9_-]{0,39}\n")


class ShareUnusable(Exception):
    """A party's share of the match key is missing or cannot be used."""

    def __init__(self, party: str, reason: ShareReason) -> None:
        super().__init__(party, reason)
        self.party, self.reason = party, reason


def share_path(contract: Path, party: str) -> Path:
    """Where a party's share lies."""
    return contract.with_name(f"{contract.name}.{party}.share")


def new_share(contract: Contract, data: bytes, party: str) -> str:
    """A fresh share, sealed to the data parties: the text that is to be signed."""
    readers = [pyrage.x25519.Recipient.from_str(contract.party[name].seal) for name in contract.data_parties]
    sealed = pyrage.encrypt(secrets.token_bytes(32), readers, armored=True).decode()
    return f"{_head(data, party)}{sealed.rstrip()}\n"


def is_share_of(text: str, data: bytes, party: str) -> bool:
    """Whether a text says it is this party's share for this contract; its signature is another matter."""
    return text.startswith(_head(data, party))


def shares_digest(shares: Mapping[str, str]) -> str:
    """SHA-256 over all shares as they were handed out, sealed: which match key a list was keyed with, and no more."""
    every = hashlib.sha256()
    for party in sorted(shares):
        every.update(hashlib.sha256(shares[party].encode()).digest())
    return every.hexdigest()


def _head(data: bytes, party: str) -> str:
    return f"passbox share v1 {digest(data)} {party}\n"


def signed_share(text: str, sign: Signer) -> str:
    """The share with its signature. Errors: those of `sign`."""
    return text + sign(text.encode(), "passbox-share")


def check_share(contract: Contract, data: bytes, party: str, share: str) -> str:
    """The signed text of a share that is its party's own, for this contract. Errors: ShareUnusable, SignatureBroken."""
    text, mark, signature = share.partition(_SIGNATURE)
    if not is_share_of(text, data, party):
        raise ShareUnusable(party, "of-another" if _HEAD.match(text) else "malformed")
    if not mark:
        raise SignatureBroken("share", party, "not-a-signature")
    try:
        verify(text.encode(), mark + signature, contract.party[party].sign, "passbox-share")
    except BadSignature as error:
        raise SignatureBroken("share", party, error.reason) from None
    return text


def open_shares(agreement: Agreement, shares: Mapping[str, str], identity: str) -> dict[str, bytes]:
    """Every data party's share, opened with one data party's age identity. Errors: as `check_share`."""
    contract = agreement.contract
    opened: dict[str, bytes] = {}
    for party in contract.data_parties:
        if party not in shares:
            raise ShareUnusable(party, "missing")
        text = check_share(contract, agreement.data, party, shares[party])
        opened[party] = _open(party, text.partition("\n")[2], identity)
    return opened


def _open(party: str, armored: str, identity: str) -> bytes:
    try:
        share = pyrage.decrypt(armored.encode(), [pyrage.x25519.Identity.from_str(identity)])
    except (pyrage.DecryptError, ValueError):
        raise ShareUnusable(party, "sealed-to-others") from None
    if len(share) != 32:
        raise ShareUnusable(party, "malformed")
    return bytes(share)
