"""Re-verifying a ledger offline, without trusting who runs the room.

From a copy of the log and the verifier's own contract, every entry is made once more out of what the parties signed:
the asker's job and the owners' manifests go through the very rules that a room is bound by (`policies.check`,
`policies.price`), and what comes out must be what was logged, to the last byte: statistic, sensitivity, noise, readers,
charges, running balances, caps. The first entry that differs is named, and how.

A log may not hold less noise than its jobs ask, and not more either: other noise would be another draw of the same
statistic, and which draws there are is for those who sign to say. What an entry says freely is its hour (which never
runs backwards), the version of the noise library, and the commitment to the noisy integers.

The code ensures: the log's head is signed by the contract's room; the entries are the ones it was signed over; all of
the above. What it cannot see: a log of which the operator shows each party another copy, or which it wrote anew from
some point on. Keep the checkpoints you saw (`seen`): the log must still begin with what they were signed over. Heads
that witnesses cosigned are in the copy and are held against it in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..dp.budget import Rho
from ..dp.carry import Carried
from ..dp.note import BadNote, Checkpoint, verify_checkpoint, verify_cosignature
from ..dp.tree import leaf_hash, root_of
from ..policies.accounts import caps
from ..policies.agreement import Agreement, SignatureBroken, SignatureMissing, agreement_of
from ..policies.contract import Contract
from ..policies.document import InvalidContract
from ..policies.succession import Ended, NotContinued, carried
from .books import Books
from .books import LedgerBroken as LedgerBroken
from .cosigners import verifier_of
from .log import Log
from .recompute import NOT_CARRIED, read_entry


@dataclass(frozen=True, slots=True)
class Spent:
    """One account at the end of a verified log. cap, rho: of one that counts δ, in whole units of 10^-18."""

    account: str
    epsilon: float
    delta: float
    cap: Rho
    rho: Rho


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verified log says. root: hex. witnessed: how many entries each witness has cosigned.

    closed: SHA-256 of the contract that goes on with its accounts, "" while it is open.
    """

    entries: int
    releases: int
    denials: int
    root: str
    accounts: tuple[Spent, ...]
    witnessed: Mapping[str, int]
    closed: str = ""


def verify_log(log: Log, agreement: Agreement, seen: Sequence[str] = ()) -> Verified:
    """Recompute a log against the contract. seen: checkpoints from before. Errors: LedgerBroken."""
    hashes = [leaf_hash(entry) for entry in log.entries]
    head = _head(log.checkpoint, agreement.contract)
    if head.size != len(hashes):
        raise LedgerBroken(None, f"the checkpoint counts {head.size} entries, {len(hashes)} are here")
    if root_of(hashes) != head.root:
        raise LedgerBroken(_first_unlike(log, hashes, head), "it is not what the checkpoint was signed over")
    for checkpoint in seen:
        _refuse_rewritten(hashes, _head(checkpoint, agreement.contract))
    books = Books(log, agreement, to_carry=_left_by_earlier(log, agreement))
    for position, data in enumerate(log.entries):
        read_entry(books, position, data)
    if missing := {cap.account for cap in caps(agreement)} - set(books.caps):
        raise LedgerBroken(None, f"no cap was set for {', '.join(sorted(missing))}")
    if books.to_carry:
        raise LedgerBroken(None, NOT_CARRIED)
    witnessed = _witnessed(log, hashes, agreement.contract)
    _refuse_ahead(log, agreement.contract, books, witnessed)
    counts = (len(hashes), len(books.first), books.denials)
    return Verified(*counts, head.root.hex(), _accounts(books), witnessed, books.closed)


def _left_by_earlier(log: Log, agreement: Agreement) -> list[Carried]:
    """What the ledgers of the contracts that this one continues leave to it: each is verified like this one."""
    try:
        found = [_ended(name, log.before[name]) for name in agreement.contract.continues if name in log.before]
        return carried(agreement, {each.agreement.digest: each for each in found})
    except NotContinued as error:
        raise LedgerBroken(None, error.rule) from None
    except (InvalidContract, SignatureBroken, SignatureMissing):
        raise LedgerBroken(None, "the contract of an earlier ledger in the copy does not hold") from None


def _ended(name: str, log: Log) -> Ended:
    """The earlier ledger of a contract; what does not hold in it is not taken for an entry of the later one."""
    try:
        return ended(log)
    except LedgerBroken as broken:
        place = "" if broken.entry is None else f"entry {broken.entry}: "
        raise LedgerBroken(None, f"before/{name[:12]}... does not hold: {place}{broken.rule}") from None


def ended(log: Log) -> Ended:
    """An earlier ledger, verified against the contract that lies in its copy.

    The caller ensures: that contract's digest is one that signed bytes name. Errors: LedgerBroken, and those of
    `agreement_of`.
    """
    agreement = agreement_of(log.contract)
    found = verify_log(log, agreement)
    spent = {account.account: account.rho for account in found.accounts}
    return Ended(agreement, spent, found.entries, found.root, found.closed)


def _head(checkpoint: str, contract: Contract) -> Checkpoint:
    try:
        return verify_checkpoint(checkpoint, contract.room.checkpoint)
    except BadNote:
        raise LedgerBroken(None, "the checkpoint is not signed by the contract's room") from None


def _first_unlike(log: Log, hashes: Sequence[bytes], head: Checkpoint) -> int | None:
    """The first entry that is not as the copy's own hashes say, where those are what was signed."""
    if len(log.hashes) != head.size or root_of(log.hashes) != head.root:
        return None
    return next(at for at, (here, stated) in enumerate(zip(hashes, log.hashes, strict=True)) if here != stated)


def _refuse_rewritten(hashes: Sequence[bytes], before: Checkpoint) -> None:
    if before.size > len(hashes):
        raise LedgerBroken(None, f"an earlier checkpoint counted {before.size} entries, {len(hashes)} are here")
    if root_of(hashes[: before.size]) != before.root:
        raise LedgerBroken(None, "it does not begin with what an earlier checkpoint was signed over: it was rewritten")


def _witnessed(log: Log, hashes: Sequence[bytes], contract: Contract) -> dict[str, int]:
    """How many entries each witness has cosigned: every cosigned head must be a head of this very log."""
    found: dict[str, int] = {}
    for name, note in log.witnesses.items():
        by = contract.room.cosign.by if contract.room.cosign else []
        try:
            known = name in by and verify_cosignature(note, verifier_of(contract, name).to_text())
        except BadNote:
            known = False
        if not known:
            raise LedgerBroken(None, "a cosignature in the copy does not hold")
        head = _head(note.decode(), contract)
        _refuse_rewritten(hashes, head)
        found[name] = head.size
    return found


def _refuse_ahead(log: Log, contract: Contract, books: Books, witnessed: Mapping[str, int]) -> None:
    """No account has spent further ahead of its witnesses than the contract lets it."""
    window = contract.window()
    for name, rho in ahead_of_witnesses(log, contract, witnessed).items():
        if window is not None and rho > window.most(books.caps[name].rho):
            raise LedgerBroken(None, f"{name} has spent further ahead of the witnesses than the contract lets it")


def ahead_of_witnesses(log: Log, contract: Contract, witnessed: Mapping[str, int]) -> dict[str, int]:
    """What each account has spent since the last head that counts as witnessed, in a log that was verified."""
    window, ahead = contract.window(), dict[str, int]()
    for data in log.entries[window.witnessed(witnessed) if window else 0 :]:
        entry = json.loads(data)
        if entry["kind"] == "carry" and not entry["statement"]:
            continue
        for charge in entry.get("charges", []):
            ahead[charge["account"]] = ahead.get(charge["account"], 0) + charge["rho"]
    return ahead


def _accounts(books: Books) -> tuple[Spent, ...]:
    return tuple(
        Spent(name, float(cap.epsilon), float(cap.delta), cap.rho, Rho(books.spent[name]))
        for name, cap in sorted(books.caps.items())
    )
