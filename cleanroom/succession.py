"""Closing a room for a contract that goes on with its accounts, and making the room that goes on.

    room close ROOM --next CONTRACT      the last entry of the earlier log names the later contract
    ledger export ROOM                   to whoever runs the later room
    room new ... --continues EXPORT      verifies it, and charges what was spent there before anything else

Whoever verifies the later ledger verifies the earlier ones with it: their copies go along.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..dp.ledger import Ledger
from ..policies.accounts import caps
from ..policies.agreement import Agreement
from ..policies.succession import Ended, NotContinued, carried, refuse_unfit
from .audit import ended
from .foundation import Foundation, found_room
from .keys import Keys
from .log import read_log
from .room import Clock, Room, now


def close_room(room: Room, following: Agreement) -> bool:
    """Close a room's ledger for a contract that names it; whether it was open. Nothing is paid for here again.

    Errors: NotContinued where the contract does not continue this one, or no room of it could: what is closed stays
    closed; Closed where it went on under another.
    """
    if room.agreement.digest not in following.contract.continues:
        raise NotContinued(
            f"{following.contract.name} does not continue this room's contract",
            f'write continues = ["{room.agreement.digest}"] in it, and have it signed',
        )
    with room.changing(), room.ledger() as ledger:
        spent = {name: account.spent for name, account in ledger.accounts().items()}
        refuse_unfit(following, [Ended(room.agreement, spent, 0, "", following.digest)])
        was_open = not ledger.closed_for()
        ledger.close_for(room.agreement.digest, following.digest)
    return was_open


def continue_room(path: Path, agreement: Agreement, keys: Keys, exports: Sequence[Path], clock: Clock = now) -> bool:
    """A room that goes on with the accounts of earlier ones. exports: copies of their logs.

    Errors: NotContinued, LedgerBroken, BudgetExceeded where more was spent than the contract allows; those of
    `found_room`.
    """
    found = {each.agreement.digest: (each, copied) for each, copied in ((_ended(at), at) for at in exports)}
    if unknown := set(found) - set(agreement.contract.continues):
        name = found[min(unknown)][0].agreement.contract.name
        raise NotContinued(f"the contract does not continue {name}", "leave its ledger out, or sign another contract")
    left = carried(agreement, {digest: each for digest, (each, _) in found.items()})
    foundation = Foundation(
        lambda at, key, store: Ledger.create(at, key, store, clock, caps(agreement), left),
        {digest: copied for digest, (_, copied) in found.items()},
    )
    return found_room(path, agreement, keys, clock, foundation)


def _ended(export: Path) -> Ended:
    return ended(read_log(export))
