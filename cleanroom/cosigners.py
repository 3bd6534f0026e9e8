"""Who witnesses a ledger, and by which key.

A witness's key is its signing key of the contract, under the name `ROOM/PARTY`: cosignatures and SSHSIG sign texts that
begin differently, so neither can be taken for the other.
"""

from __future__ import annotations

from ..dp.note import COSIGNER, VerifierKey
from ..policies.check import Refused
from ..policies.contract import Contract
from ..policies.sign import public_bytes


def refuse_stranger(contract: Contract, party: str) -> None:
    """Nobody counts the cosignature of a party that the contract does not name. Errors: Refused."""
    by = contract.room.cosign.by if contract.room.cosign else []
    if party not in by:
        named = f"it names {', '.join(by)}" if by else "it names none"
        raise Refused("room.cosign", f"{party} is no witness of this contract: {named}", "leave it to a witness")


def witness_name(contract: Contract, party: str) -> str:
    """The name a party cosigns under."""
    return f"{contract.room.name}/{party}"


def verifier_of(contract: Contract, party: str) -> VerifierKey:
    """The key that a party's cosignatures are checked with."""
    return VerifierKey(witness_name(contract, party), public_bytes(contract.party[party].sign), COSIGNER)
