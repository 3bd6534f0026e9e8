"""After a lost disk: a room made anew from the newest copy of its log that somebody kept.

The copy says what was spent up to its head, and which statistics were drawn. What was spent after it nobody knows but
that it was less than the contract's window: so that much is charged. The owners, whose people it is about, sign that,
and so many witnesses that none of the others can have cosigned a later head together (`policies.loss`).

Noisy bytes and submissions are lost: owners submit again, and no statistic that the log names is drawn again. A
statistic that was drawn after the copy's head, and paid from the window, may be: it is paid for twice.

The code ensures: the new ledger continues the copy's log, so that every witness can go on cosigning it; its first new
entry charges the loss.
What it cannot see: an operator who lost nothing, and goes on with the old room in private. That is a copy of the room,
and bounded like one (`dp.window`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..dp.budget import Rho
from ..dp.ledger import Ledger
from ..dp.note import NoteKey, verify_checkpoint
from ..policies.agreement import Agreement, signature_path
from ..policies.contract import digest
from ..policies.document import read_document
from ..policies.loss import Approvers, Loss, approved_by, approvers, parse_loss
from ..policies.sign import Signer
from .audit import Verified, ahead_of_witnesses, verify_log
from .bundle import Manifest
from .evidence import signatures_of
from .files import sweep_of, write, write_new
from .foundation import Foundation, found_room
from .keys import Keys
from .log import Log, write_log
from .room import Clock, now, open_room
from .store import Store
from .witness import refuse_other_history, remembered


class NotRecoverable(Exception):
    """A lost room cannot be made anew. rule, remedy: plain words."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule, remedy)
        self.rule, self.remedy = rule, remedy


class NotApproved(Exception):
    """Some have not signed the statement of loss. missing: party names; of witnesses any so many as `enough` says."""

    def __init__(self, missing: tuple[str, ...], needed: Approvers) -> None:
        super().__init__(missing, needed)
        self.missing, self.needed = missing, needed


@dataclass(frozen=True, slots=True)
class Recovered:
    """A room made anew. made: False where it was there already. charged: account to what the loss costs."""

    made: bool
    entries: int
    charged: dict[str, Rho]


def state_loss(log: Log, agreement: Agreement) -> Loss:
    """What may have been spent after a copy of the log was made. Errors: LedgerBroken, NotRecoverable."""
    found = verify_log(log, agreement)
    if found.closed:
        raise NotRecoverable("the ledger was closed: nothing could be spent after it", "go on: `room new --continues`")
    charge = _most(log, agreement, found)
    return Loss(version=1, contract=agreement.digest, size=found.entries, root=found.root, charge=charge)


def _most(log: Log, agreement: Agreement, found: Verified) -> dict[str, int]:
    """The most that the window allowed after this head, as far as the caps allowed it."""
    window = agreement.contract.window()
    if window is None:
        raise NotRecoverable(
            "the contract names no witness, so nobody can tell what was spent after this copy",
            "agree on a new contract, and state in it what all contracts allow together",
        )
    ahead = ahead_of_witnesses(log, agreement.contract, found.witnessed)
    return {
        each.account: max(0, min(each.cap - each.rho, window.most(each.cap) - ahead.get(each.account, 0)))
        for each in found.accounts
    }


def draft_loss(log: Log, agreement: Agreement, path: Path) -> bool:
    """Write the statement; whether it was not there already."""
    return write_new(path, state_loss(log, agreement).to_toml().encode(), same_is_fine=True)


def approve(log: Log, agreement: Agreement, path: Path, party: str, sign: Signer, seen: Path | None) -> Path:
    """Sign a statement of loss that is what this copy of the log makes it. seen: what a witness cosigned last.

    Errors: LedgerBroken, NotRecoverable, InvalidContract; BadCosignature for a witness's memory; RolledBack, Forked
    where it has seen more; those of `sign`.
    """
    data = read_document(path)
    if parse_loss(data) != state_loss(log, agreement):
        raise NotRecoverable(f"`{path}` is not what this copy of the log makes it", "ask for the copy it was made from")
    if seen is not None and (before := remembered(seen, agreement.contract, party)) is not None:
        refuse_other_history(log, before, party)
    at = signature_path(path, party)
    sweep_of(at)
    write(at, sign(data, "passbox-loss").encode())
    return at


def recover(path: Path, log: Log, agreement: Agreement, keys: Keys, statement: Path, clock: Clock = now) -> Recovered:
    """A room made anew at `path`. Typed twice, it changes nothing.

    Errors: LedgerBroken, NotRecoverable, NotApproved, InvalidContract; those of `found_room`.
    """
    data = read_document(statement)
    loss = parse_loss(data)
    if loss != state_loss(log, agreement):
        rule = f"`{statement}` is not what this copy of the log makes it"
        raise NotRecoverable(rule, "use the copy it was made from, or draft it anew and have it signed")
    beside = {at.name: at.read_bytes() for at in statement.parent.glob(f"{statement.name}.*.sig")}
    signatures = signatures_of(beside, statement.name)
    _refuse_unapproved(agreement, data, signatures)
    lost = loss.carried(digest(data))

    def ledger(at: Path, key: NoteKey, store: Store) -> Ledger:
        _put_back(at.parent, log)
        _keep_statement(at.parent, data, signatures)
        return Ledger.restore(at, key, store, clock, log.entries, lost)

    made = found_room(path, agreement, keys, clock, Foundation(ledger, replaces=True))
    _put_back_witnesses(path, log, agreement)
    return Recovered(made, loss.size + 1, dict(lost.charges))


def _refuse_unapproved(agreement: Agreement, data: bytes, signatures: dict[str, str]) -> None:
    needed = approvers(agreement.contract)
    missing = needed.missing(approved_by(agreement.contract, data, signatures)) if needed else ()
    if needed and missing:
        raise NotApproved(missing, needed)


def _put_back(room: Path, log: Log) -> None:
    """What the log names lies in the room again: signed jobs, manifests, earlier logs."""
    for name, data in log.requests.items():
        write(room / "requests" / name, data)
    for name, data in log.manifests.items():
        manifest = name.removesuffix(".sig").removesuffix(".json")
        home = room / "datasets" / Manifest.model_validate_json(log.manifests[f"{manifest}.json"]).dataset / manifest
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(home / ("manifest.json.sig" if name.endswith(".sig") else "manifest.json"), data)
    for name, earlier in log.before.items():
        write_log(earlier, room / "before" / name)


def _keep_statement(room: Path, data: bytes, signatures: dict[str, str]) -> None:
    at = room / "requests" / f"{digest(data)}.toml"
    write(at, data)
    for party, signature in signatures.items():
        write(signature_path(at, party), signature.encode())


def _put_back_witnesses(path: Path, log: Log, agreement: Agreement) -> None:
    """The cosigned heads that came with the copy, which was verified."""
    with open_room(path).ledger() as ledger:
        for name, note in log.witnesses.items():
            head = verify_checkpoint(note.decode(), agreement.contract.room.checkpoint)
            ledger.witness(name, head.size, head.root, note.decode())
