"""Witnessing: a party other than the operator cosigns the newest head of a log, and remembers what it cosigned.

The witness verifies the whole copy first, as `ledger verify` does, and then that it continues what it cosigned before.
What it writes is the checkpoint with its cosignature (C2SP cosignature/v1) added; the file it remembers is the same
text. The operator adds it to the room, where it moves the window of `dp.window` on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..dp.note import (
    COSIGNER,
    BadNote,
    Checkpoint,
    NoteKey,
    add_line,
    cosign,
    verify_checkpoint,
    verify_cosignature,
)
from ..dp.tree import leaf_hash, root_of
from ..dp.window import Forked, RolledBack
from ..policies.agreement import Agreement
from ..policies.contract import Contract
from .audit import verify_log
from .cosigners import verifier_of, witness_name
from .files import sweep_of, write
from .log import Log
from .room import Room


class BadCosignature(Exception):
    """A cosignature cannot be used. rule, remedy: plain words. tampered: whoever made it, it does not hold."""

    def __init__(self, path: Path, rule: str, remedy: str, *, tampered: bool = False) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy, self.tampered = path, rule, remedy, tampered


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A head that a party has cosigned. before: entries it had cosigned until then; 0 for the first time."""

    party: str
    size: int
    before: int
    note: str


def witness(
    log: Log, agreement: Agreement, party: str, key: Ed25519PrivateKey, seen: Path, moment: datetime
) -> Witnessed:
    """Verify a copy, check that it continues what `seen` remembers, cosign its head and remember that.

    The memory is written before the cosignature is given out: a witness never vouches for two histories.
    Errors: LedgerBroken, RolledBack, Forked, BadCosignature (a memory that is damaged or another's), OSError.
    """
    verify_log(log, agreement)
    head = verify_checkpoint(log.checkpoint, agreement.contract.room.checkpoint)
    before = remembered(seen, agreement.contract, party)
    if before is not None:
        refuse_other_history(log, before, party)
    name = witness_name(agreement.contract, party)
    line = cosign(log.checkpoint, NoteKey(name, key, COSIGNER), int(moment.timestamp()))
    note = add_line(log.checkpoint, line)
    sweep_of(seen)
    write(seen, note.encode(), 0o600)
    return Witnessed(party, head.size, before.size if before else 0, note)


def remembered(seen: Path, contract: Contract, party: str) -> Checkpoint | None:
    """What a witness cosigned last. Only a file that is not there is no memory: one that cannot be read is an error.

    Errors: BadCosignature, OSError.
    """
    try:
        text = seen.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    try:
        return verify_cosignature(text, verifier_of(contract, party).to_text()).checkpoint
    except BadNote:
        remedy = "use the file that an earlier `ledger cosign` of yours wrote, or a new name to begin anew"
        raise BadCosignature(seen, "it is not a head that you cosigned in this room", remedy) from None


def refuse_other_history(log: Log, before: Checkpoint, party: str) -> None:
    """A log continues what a witness remembers. Errors: RolledBack, Forked."""
    if len(log.entries) < before.size:
        raise RolledBack(party, len(log.entries), before.size)
    if root_of(leaf_hash(entry) for entry in log.entries[: before.size]) != before.root:
        raise Forked(party, before.size)


def accept(room: Room, path: Path) -> Witnessed:
    """Take a party's cosignature into the room. Typed twice, it changes nothing.

    Errors: BadCosignature; Forked, RolledBack: the room is not what the witness saw.
    """
    contract = room.contract
    text = path.read_bytes()[:1_000_000].decode("utf-8", "replace")
    by = contract.room.cosign.by if contract.room.cosign else []
    for party in by:
        head = _verified(text, contract, party)
        if head is not None:
            with room.ledger() as ledger:
                before = ledger.seen().get(party, 0)
                ledger.witness(party, head.size, head.root, text)
            return Witnessed(party, head.size, before, text)
    if not by:
        raise BadCosignature(path, "the contract names no witness", "`room.cosign` in a contract names them")
    raise BadCosignature(path, f"no cosignature of {', '.join(by)} holds in it", "ask for it again", tampered=True)


def _verified(text: str, contract: Contract, party: str) -> Checkpoint | None:
    """The head, where both the room's signature and the party's cosignature hold."""
    try:
        verify_checkpoint(text, contract.room.checkpoint)
        return verify_cosignature(text, verifier_of(contract, party).to_text()).checkpoint
    except BadNote:
        return None
