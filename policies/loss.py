"""A statement of loss: what owners and witnesses agree may have been spent on a disk that was lost. TOML, signed.

    version = 1
    contract = "9f2c..."          # SHA-256 of contract.toml
    size = 57                     # entries of the newest copy of the log that was kept
    root = "4b1d..."              # and their root, in hex
    [charge]                      # what may have been spent after them, in whole units of 10^-12 rho
    "publisher/record" = 7003620477

Signed (namespace `passbox-loss`) by every owner of data, whose people it is about, and by so many witnesses that no
later head can have been cosigned without one of them: of n of whom k are needed, n - k + 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..dp.budget import Rho
from ..dp.carry import Carried
from .contract import Contract, Digest
from .document import InvalidContract, read_toml, shape_problems
from .sign import BadSignature, verify


class Loss(BaseModel):
    """What is agreed to be lost. charge: account to whole units of 10^-12 rho."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    version: Literal[1]
    contract: Digest
    size: Annotated[int, Field(ge=1, le=2**53)]
    root: Digest
    charge: dict[str, Annotated[int, Field(ge=0, le=2**62)]]

    def carried(self, statement: str) -> Carried:
        """As the ledger charges it. statement: SHA-256 of the signed bytes."""
        charges = {name: Rho(rho) for name, rho in self.charge.items()}
        return Carried(self.contract, charges, self.contract, self.size, self.root, statement)

    def to_toml(self) -> str:
        lines = [
            "# What may have been spent on a disk that was lost, after the newest copy of the log that was kept.",
            "# The owners of data and the witnesses sign it: `passbox ledger approve`.",
            "version = 1",
            f'contract = "{self.contract}"  # SHA-256 of contract.toml',
            f"size = {self.size}  # entries of that copy",
            f'root = "{self.root}"  # and their root',
            "[charge]  # in whole units of 10^-12 rho, the most that the contract's window allowed",
            *(f'"{name}" = {rho}' for name, rho in sorted(self.charge.items())),
        ]
        return "\n".join([*lines, ""])


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who signs a statement. owners: all of them. witnesses: so many of these as `enough` says."""

    owners: tuple[str, ...]
    witnesses: tuple[str, ...]
    enough: int

    def missing(self, signed: set[str]) -> tuple[str, ...]:
        """Who is still needed; of the witnesses, any so many of those named."""
        owners = tuple(name for name in self.owners if name not in signed)
        left = tuple(name for name in self.witnesses if name not in signed)
        return owners + (left if len(self.witnesses) - len(left) < self.enough else ())


def approvers(contract: Contract) -> Approvers | None:
    """Who must agree to a loss; None where the contract names no witness: then nobody can tell what was spent."""
    cosign = contract.room.cosign
    if cosign is None:
        return None
    by = tuple(sorted(cosign.by))
    return Approvers(contract.data_parties, by, len(by) - cosign.need + 1)


def parse_loss(data: bytes) -> Loss:
    """The statement in these bytes. Errors: InvalidContract with every mistake found."""
    raw = read_toml(data, "statement of loss")
    try:
        return Loss.model_validate(raw)
    except ValidationError as error:
        raise InvalidContract("statement of loss", tuple(shape_problems(error))) from None


def approved_by(contract: Contract, data: bytes, signatures: Mapping[str, str]) -> set[str]:
    """The parties whose signature over a statement holds; others' are passed over."""
    found = set()
    for name, signature in signatures.items():
        try:
            verify(data, signature, contract.party[name].sign, "passbox-loss")
        except (BadSignature, KeyError):
            continue
        found.add(name)
    return found
