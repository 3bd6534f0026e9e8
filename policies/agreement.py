"""The contract as agreed: its bytes, and a signature over them by every party.

Beside `contract.toml` lie `contract.toml.NAME.sig` (SSHSIG, namespace `passbox-contract`: `ssh-keygen -Y verify`
agrees) and, for parties that own data, `contract.toml.NAME.share` (`policies.share`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .contract import Contract, digest, parse
from .sign import BadSignature, verify

Standing = str
"""What is known of one party's signature: "signed", "missing", or a reason code of `BadSignature`."""


class SignatureBroken(Exception):
    """A party's signature does not hold for these bytes. reason: a code of `BadSignature`."""

    def __init__(self, what: str, party: str, reason: str) -> None:
        super().__init__(what, party, reason)
        self.what, self.party, self.reason = what, party, reason


class SignatureMissing(Exception):
    """Some parties have not signed."""

    def __init__(self, what: str, parties: tuple[str, ...]) -> None:
        super().__init__(what, parties)
        self.what, self.parties = what, parties


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


def read_contract(path: Path) -> tuple[Contract, bytes]:
    """The contract in a file, signed or not. Errors: OSError, InvalidContract."""
    data = path.read_bytes()
    return parse(data), data


def read_agreement(path: Path) -> Agreement:
    """The contract in a file, with the signatures beside it, all of them checked.

    Errors: OSError, InvalidContract, SignatureMissing, SignatureBroken.
    """
    contract, data = read_contract(path)
    found = {name: signature_path(path, name) for name in contract.party}
    return agree(contract, data, {name: at.read_text() for name, at in found.items() if at.is_file()})


def agree(contract: Contract, data: bytes, signatures: Mapping[str, str]) -> Agreement:
    """Check every party's signature. Errors: SignatureBroken before SignatureMissing."""
    standing = standings(contract, data, signatures)
    for party, state in standing.items():
        if state not in ("signed", "missing"):
            raise SignatureBroken("contract", party, state)
    if missing := tuple(party for party, state in standing.items() if state == "missing"):
        raise SignatureMissing("contract", missing)
    return Agreement(contract, data, {name: signatures[name] for name in contract.party})


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
