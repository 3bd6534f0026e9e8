"""What an owner of data remembers beside its keys: the contracts it signed, so that nobody's budget is forgotten.

    NAME.keys/signed/DIGEST.toml     the contract's bytes as they were signed

Every contract lets something be spent on the same people. Before an owner signs another, what it allows in all is
added up (`policies.succession`), and the contract must say it. That helps an owner who might forget; it does not stop
one who wants to overspend its own people, and removes the file.
"""

from __future__ import annotations

import math
from pathlib import Path

from ..policies.agreement import signature_path
from ..policies.contract import Contract, digest, parse
from ..policies.document import InvalidContract, read_document
from ..policies.sign import parse_public_key
from ..policies.succession import Together, together
from .files import sweep, write
from .keys import Keys, KeysUnusable


class Untold(Exception):
    """A contract does not say what its owner allows together with others.

    needed: ε to state at the same δ; None where selections leave nothing of that δ to noise. delta: then, one that
    leaves as much of it to noise as this contract does by itself.
    """

    def __init__(self, party: str, found: Together) -> None:
        super().__init__(party, found)
        self.party, self.found = party, found
        self.needed = math.ceil(found.epsilon * 100) / 100 if math.isfinite(found.epsilon) else None
        self.delta = found.delta + found.others


def refuse_untold(keys: Keys, contract: Contract, data: bytes, party: str) -> None:
    """An owner that signed other contracts says in this one what all of them allow. Errors: Untold, KeysUnusable."""
    if party in contract.data_parties:
        found = together(contract, party, signed_before(keys), digest(data))
        if not found.said:
            raise Untold(party, found)


def same_accounts(keys: Keys, contract: Contract) -> frozenset[str]:
    """The contracts, by digest, whose accounts this one goes on with, as far back as its owner signed them."""
    signed, found, ahead = signed_before(keys), set[str](), list(contract.continues)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += signed[name].continues if name in signed else []
    return frozenset(found)


def remember(keys: Keys, data: bytes) -> None:
    """Keep a contract that is being signed. Errors: OSError."""
    folder = keys.folder / "signed"
    folder.mkdir(mode=0o700, exist_ok=True)
    sweep(folder)
    at = folder / f"{digest(data)}.toml"
    if not at.exists():
        write(at, data, 0o600)


class Sent(Exception):
    """A draft that is said to have been sent to nobody carries others' signatures."""

    def __init__(self, path: Path, others: tuple[str, ...]) -> None:
        super().__init__(path, others)
        self.path, self.others = path, others


def forget(keys: Keys, path: Path, key: str) -> bool:
    """Forget a draft that nobody got; whether it was remembered. key: the forgetter's public key. Errors: Sent."""
    data = read_document(path)
    contract = parse(data)
    others = {name: party for name, party in contract.party.items() if parse_public_key(party.sign) != key}
    if signed := tuple(name for name in others if signature_path(path, name).is_file()):
        raise Sent(path, signed)
    at = keys.folder / "signed" / f"{digest(data)}.toml"
    there = at.is_file()
    at.unlink(missing_ok=True)
    return there


def signed_before(keys: Keys) -> dict[str, Contract]:
    """The contracts signed with these keys, by digest. Errors: KeysUnusable where a file was changed."""
    return dict(_read(at) for at in sorted((keys.folder / "signed").glob("*.toml")))


def _read(at: Path) -> tuple[str, Contract]:
    data = read_document(at)
    try:
        if digest(data) == at.stem:
            return at.stem, parse(data)
    except InvalidContract:
        pass
    raise KeysUnusable(at, "it is not a contract that was signed", "restore the key folder from a backup")
