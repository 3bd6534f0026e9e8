"""What was spent elsewhere and counts here: of an account that goes on under another contract, or on a lost disk.

    carry     {"charges": [{"account", "rho", "before"}], "from": {"contract", "size", "root"}, "statement", ...}
    closed    {"next": digest of the contract that goes on with this ledger's accounts, ...}

A carry names the head of the log whose spending it takes over. Of an earlier contract's log that is the whole of it,
which ends in `closed`. Of this very log, whose end was lost with a disk, it is what may have been spent after the last
head that is known, as a statement says that the owners and the witnesses signed.

The code ensures: a closed ledger pays for nothing and logs nothing more; what is carried is charged like a release, so
that it can neither exceed a cap nor be forgotten.
The caller ensures: the log it names was verified, and the statement signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .budget import Rho
from .canonical import Json, Leaf


class Closed(Exception):
    """The accounts of this ledger went on under another contract. next: SHA-256 of its bytes."""

    def __init__(self, following: str) -> None:
        super().__init__(following)
        self.following = following


@dataclass(frozen=True, slots=True)
class Carried:
    """Spending taken over. contract: of the ledger that goes on. charges: account to what is added, 0 left out.

    came_from, size, root: contract (SHA-256 in hex) and head of the log it was spent in. statement: SHA-256 of the
    signed text that allows it, "" where the contract itself does.
    """

    contract: str
    charges: Mapping[str, Rho]
    came_from: str
    size: int
    root: str
    statement: str = ""

    def as_json(self, before: Mapping[str, Rho]) -> Leaf:
        """before: what each account had spent until then."""
        charges: list[Json] = [
            {"account": name, "rho": rho, "before": before[name]} for name, rho in sorted(self.charges.items()) if rho
        ]
        return {
            "contract": self.contract,
            "charges": charges,
            "from": {"contract": self.came_from, "size": self.size, "root": self.root},
            "statement": self.statement,
        }
