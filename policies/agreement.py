"""The contract as agreed: its bytes, and a signature over them by every party.

Beside `contract.toml` lie `contract.toml.NAME.sig` (SSHSIG, namespace `passbox-contract`: `ssh-keygen -Y verify`
agrees) and, for parties that own data, `contract.toml.NAME.share` (`policies.share`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from glob import escape
from pathlib import Path

from .contract import NAME_PATTERN, Contract, digest, parse
from .document import InvalidContract, read_document
from .sign import BadSignature, claimed_signer, verify

LARGEST_ARMORED = 64 * 1024
"""Bytes of a signature or share that are read."""

Standing = str
"""What is known of one party's signature: "signed", "missing", or a reason code of `BadSignature`."""


class SignatureBroken(Exception):
    """A party's signature does not hold for these bytes. reason: a code of `BadSignature`."""

    def __init__(self, what: str, party: str, reason: str) -> None:
        super().__init__(what, party, reason)
        self.what, self.party, self.reason = what, party, reason


class SignatureMissing(Exception):
    """Some parties have not signed. file: of what they sign; "" where it has no file here."""

    def __init__(self, what: str, parties: tuple[str, ...], file: str = "") -> None:
        super().__init__(what, parties, file)
        self.what, self.parties, self.file = what, parties, file


@dataclass(frozen=True, slots=True)
class Agreement:
    """A contract that every party signed. Only `read_agreement` and `agree` make one."""

    contract: Contract
    data: bytes
    signatures: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the signed bytes, in hex."""
        return digest(self.data)


def signature_path(path: Path, party: str) -> Path:
    """Where a party's signature of a contract or job lies."""
    return path.with_name(f"{path.name}.{party}.sig")


def read_contract(path: Path, today: date | None = None) -> tuple[Contract, bytes]:
    """The contract in a file, signed or not yet. A signature that lies beside it must hold for these very bytes.

    today: as for `parse`. Errors: OSError, InvalidContract, SignatureBroken: the latter first, also where the bytes
    were changed so that they are no contract any more.
    """
    contract, data = read_signed(path, today)
    _refuse_broken(standings(contract, data, read_signatures(path, contract)))
    return contract, data


def read_signed(path: Path, today: date | None = None) -> tuple[Contract, bytes]:
    """As `read_contract`, but that only bytes which are no contract any more are held against their signatures."""
    data = read_document(path)
    try:
        return parse(data, today), data
    except InvalidContract:
        _refuse_changed(path, data)
        raise


def read_agreement(path: Path) -> Agreement:
    """The contract in a file, with the signatures beside it, all of them checked.

    Errors: OSError, InvalidContract, SignatureMissing, SignatureBroken.
    """
    contract, data = read_contract(path)
    return agree(contract, data, read_signatures(path, contract))


def read_signatures(path: Path, contract: Contract) -> dict[str, str]:
    """The parties' signatures that lie beside a contract, unchecked. Errors: OSError."""
    found = {name: signature_path(path, name) for name in contract.party}
    return {name: read_armored(at) for name, at in found.items() if at.is_file()}


def read_armored(path: Path) -> str:
    """A signature's or a share's text; what is not ASCII, or too large to be one, will not verify. Errors: OSError."""
    with path.open("rb") as file:
        return file.read(LARGEST_ARMORED).decode("ascii", "replace")


def _refuse_changed(path: Path, data: bytes) -> None:
    """Bytes that are no contract name no parties: each signature is held against the key it claims."""
    for at in sorted(path.parent.glob(f"{escape(path.name)}.*.sig")):
        party = at.name.removeprefix(f"{path.name}.").removesuffix(".sig")
        if not re.fullmatch(NAME_PATTERN, party):
            continue
        try:
            signature = read_armored(at)
            verify(data, signature, claimed_signer(signature), "passbox-contract")
        except BadSignature as error:
            raise SignatureBroken("contract", party, error.reason) from None


def agree(contract: Contract, data: bytes, signatures: Mapping[str, str]) -> Agreement:
    """Check every party's signature. Errors: SignatureBroken before SignatureMissing."""
    standing = standings(contract, data, signatures)
    _refuse_broken(standing)
    if missing := tuple(party for party, state in standing.items() if state == "missing"):
        raise SignatureMissing("contract", missing)
    return Agreement(contract, data, {name: signatures[name] for name in contract.party})


def agreement_of(files: Mapping[str, bytes]) -> Agreement:
    """The contract among files by name, as they lie in a room or a copy of its log, with all signatures checked.

    Errors: InvalidContract, SignatureMissing, SignatureBroken.
    """
    data = files.get("contract.toml", b"")
    contract = parse(data)
    names = {party: f"contract.toml.{party}.sig" for party in contract.party}
    found = {party: files[name].decode("ascii", "replace") for party, name in names.items() if name in files}
    return agree(contract, data, found)


def _refuse_broken(standing: Mapping[str, Standing]) -> None:
    for party, state in standing.items():
        if state not in ("signed", "missing"):
            raise SignatureBroken("contract", party, state)


def standings(contract: Contract, data: bytes, signatures: Mapping[str, str]) -> dict[str, Standing]:
    """What is known of every party's signature, in the contract's order."""
    return {name: _standing(contract, data, name, signatures.get(name)) for name in contract.party}


def _standing(contract: Contract, data: bytes, party: str, signature: str | None) -> Standing:
    if signature is None:
        return "missing"
    try:
        verify(data, signature, contract.party[party].sign, "passbox-contract")
    except BadSignature as error:
        return error.reason
    return "signed"
