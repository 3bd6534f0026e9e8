"""A refusal that teaches: the clause that refused, and what would pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from .contract import Contract


class Refused(Exception):
    """The contract does not allow this. clause: what refused. remedy: what would pass. Public facts only."""

    def __init__(self, clause: str, rule: str, remedy: str) -> None:
        super().__init__(clause, rule, remedy)
        self.clause, self.rule, self.remedy = clause, rule, remedy


@dataclass(frozen=True, slots=True)
class Submitted:
    """What is public about a data set in the room, from its signed manifest.

    manifest: its SHA-256. rows: accepted rows. expires: the last day its owner lets it be used.
    """

    manifest: str
    rows: int
    expires: date


def refuse_expired(contract: Contract, today: date) -> None:
    """Nothing changes or leaves a room after its contract's last day. today: in UTC. Errors: Refused."""
    if today > contract.expires:
        raise Refused("expires", f"the contract expired on {contract.expires}", "sign a new one with a later date")
