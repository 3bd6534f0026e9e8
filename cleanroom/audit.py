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

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from ..dp.account import Cap
from ..dp.budget import Rho
from ..dp.entry import Json, Purchase, canonical
from ..dp.note import BadNote, Checkpoint, verify_checkpoint, verify_cosignature
from ..dp.tree import leaf_hash, root_of
from ..policies.agreement import Agreement
from ..policies.check import Allowed, Refused, Submitted, check
from ..policies.contract import Contract
from ..policies.document import InvalidContract
from ..policies.price import caps, context_of
from ..policies.request import Request, parse_job
from ..policies.sign import BadSignature, verify
from .bundle import Manifest
from .cosigners import verifier_of
from .log import Log
from .measure.lookalike import shape_of
from .room import public

Entry = dict[str, Any]  # JSON from outside: compared with what it must be, never believed


CLAUSES = frozenset(
    {
        "audience",
        "budget",
        "columns",
        "dataset",
        "epsilon",
        "expires",
        "membership",
        "name",
        "people",
        "recipients",
        "rules.allow",
        "rules.smallest_audience",
        "rules.smallest_seed",
    }
)
"""What `policies.check` names when it refuses, beside the parts of a data set."""


class LedgerBroken(Exception):
    """A log does not hold. entry: the first bad one, or None where the whole does not fit. rule: which."""

    def __init__(self, entry: int | None, rule: str) -> None:
        super().__init__(entry, rule)
        self.entry, self.rule = entry, rule


@dataclass(frozen=True, slots=True)
class Spent:
    """One account at the end of a verified log."""

    account: str
    epsilon: float
    delta: float
    cap: Rho
    rho: Rho


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verified log says. root: hex. witnessed: how many entries each witness has cosigned."""

    entries: int
    releases: int
    denials: int
    root: str
    accounts: tuple[Spent, ...]
    witnessed: Mapping[str, int]


@dataclass
class _Books:
    """What was seen so far. paid: key to the accounts that paid for it. first: key to the entry that drew it.
    beside: keys whose charge covers another release already. made: when the newest submission so far was made."""

    log: Log
    agreement: Agreement
    caps: dict[str, Cap] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    paid: dict[str, set[str]] = field(default_factory=dict)
    first: dict[str, Entry] = field(default_factory=dict)
    beside: set[str] = field(default_factory=set)
    made: dict[str, datetime] = field(default_factory=dict)
    hour: str = ""
    denials: int = 0


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
    books = _Books(log, agreement)
    for position, data in enumerate(log.entries):
        _read_entry(books, position, data)
    if missing := {cap.account for cap in caps(agreement)} - set(books.caps):
        raise LedgerBroken(None, f"no cap was set for {', '.join(sorted(missing))}")
    witnessed = _witnessed(log, hashes, agreement.contract)
    _refuse_ahead(log, agreement.contract, books, witnessed)
    return Verified(len(hashes), len(books.first), books.denials, head.root.hex(), _accounts(books), witnessed)


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


def _refuse_ahead(log: Log, contract: Contract, books: _Books, witnessed: Mapping[str, int]) -> None:
    """No account has spent further ahead of its witnesses than the contract lets it."""
    window = contract.window()
    if window is None:
        return
    ahead: dict[str, int] = {}
    for data in log.entries[window.witnessed(witnessed) :]:
        for charge in json.loads(data).get("charges", []):
            ahead[charge["account"]] = ahead.get(charge["account"], 0) + charge["rho"]
    for name, rho in ahead.items():
        if rho > window.most(books.caps[name].rho):
            raise LedgerBroken(None, f"{name} has spent further ahead of the witnesses than the contract lets it")


def _accounts(books: _Books) -> tuple[Spent, ...]:
    return tuple(
        Spent(name, float(cap.epsilon), float(cap.delta), cap.rho, Rho(books.spent[name]))
        for name, cap in sorted(books.caps.items())
    )


# -- one entry -----------------------------------------------------------------------------------------------------


class _Broken(Exception):
    """A rule that the entry at hand breaks."""


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise _Broken(rule)


def _read_entry(books: _Books, position: int, data: bytes) -> None:
    try:
        entry = _parsed(data)
        kinds = {"cap": _cap, "release": _release, "denial": _denial}
        _require(entry.get("kind") in kinds, "its kind is not known")
        _require_hour(books, entry)
        expected = kinds[entry["kind"]](books, entry)
        head = {"v": 1, "seq": position, "kind": entry["kind"], "time": entry["time"]}
        _require_same(entry, {**head, **expected})
    except _Broken as broken:
        raise LedgerBroken(position, str(broken)) from None
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        raise LedgerBroken(position, "it does not have the shape of an entry") from None


def _parsed(data: bytes) -> Entry:
    try:
        entry = json.loads(data)
        spelled = canonical(entry)
    except (ValueError, TypeError, RecursionError):
        raise _Broken("it is not canonical JSON") from None
    _require(spelled == data and isinstance(entry, dict), "it is not canonical JSON")
    parsed: Entry = entry
    return parsed


def _require_hour(books: _Books, entry: Entry) -> None:
    hour = entry["time"]
    _require(bool(re.fullmatch(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):00Z", hour, re.ASCII)), "its time is no hour")
    _require(hour >= books.hour, "its time runs backwards")
    books.hour = hour


def _require_same(entry: Mapping[str, Any], expected: Mapping[str, Json], what: str = "its") -> None:
    """Equal as canonical JSON, where 1 and true are two things."""
    for name, value in expected.items():
        _require(name in entry, f"{what} {name} is missing")
        same = canonical(entry[name]) == canonical(value)
        _require(same, f"{what} {name} is not what the signed contract, job and manifests make it")
    _require(set(entry) == set(expected), f"{what} parts are more than there are")


def _cap(books: _Books, entry: Entry) -> dict[str, Json]:
    """What an owner allows: once, before anything is charged, as the contract says."""
    wanted = next((cap for cap in caps(books.agreement) if cap.account == entry["account"]), None)
    _require(wanted is not None, "it caps somebody who owns no data set")
    assert wanted is not None  # noqa: S101 - said again for the type checker
    _require(wanted.account not in books.caps, "the account has a cap already")
    books.caps[wanted.account] = wanted
    books.spent[wanted.account] = 0
    return wanted.as_json()


def _denial(books: _Books, entry: Entry) -> dict[str, Json]:
    """A signed job that was refused; it costs nothing."""
    request = _request(books, entry)
    _require(entry["clause"] in _clauses(books.agreement.contract), "it names no clause")
    books.denials += 1
    return {**context_of(books.agreement, request).as_json(), "clause": entry["clause"]}


def _clauses(contract: Contract) -> set[str]:
    """Every clause that can refuse: a closed list, so that a refusal carries no message of its own."""
    each = {
        f"dataset.{name}.{part}" for name in contract.dataset for part in ("protects", "columns", "budget.delta", "id")
    }
    return each | CLAUSES


# -- releases ------------------------------------------------------------------------------------------------------


def _release(books: _Books, entry: Entry) -> dict[str, Json]:
    """What the entry must be, made from what was signed."""
    purchase = _purchase(books, entry)
    _require_same(entry["specification"], purchase.specification.as_json(), "its specification's")
    key, commitment = purchase.key, entry["commitment"]
    _require(bool(re.fullmatch("[0-9a-f]{64}", commitment)), "it commits to nothing")
    _require(
        bool(re.fullmatch(r"opendp \d{1,3}(\.\d{1,3}){1,3}", entry["library"])), "it does not say what drew the noise"
    )
    first = books.first.get(key)
    if first is not None:
        _require(commitment == first["commitment"], "the same statistic was drawn twice")
    charges = _charges(books, purchase)
    _require(first is None or bool(charges), "the same statistic stands twice, and nobody paid for a new reader")
    covered = _covered(books, purchase) if purchase.beside and first is None else []
    books.first.setdefault(key, entry)
    return {
        **purchase.context.as_json(),
        "key": key,
        "specification": purchase.specification.as_json(),
        "charges": charges,
        "covered": covered,
        "beside": purchase.beside,
        "library": entry["library"],
        "commitment": commitment,
    }


def _purchase(books: _Books, entry: Entry) -> Purchase:
    """The draw that the signed job, contract and manifests allow for this entry's statistic."""
    request = _request(books, entry)
    job, spec = request.job, entry["specification"]
    _require(set(spec["datasets"]) == {job.people, job.seed}, "its data sets are not the job's")
    submitted = {name: _submission(books, name, manifest) for name, manifest in spec["datasets"].items()}
    allowed = _allowed(books.agreement, request, submitted, _begun(entry["time"]))
    for purchase in allowed.purchases:
        if purchase.specification.statistic == spec["statistic"]:
            return purchase
    raise _Broken("its statistic is not one of the job's")


def _begun(hour: str) -> date:
    """The day by which a job is judged: one that begins before midnight may draw its noise after it."""
    return (datetime.strptime(hour, "%Y-%m-%dT%H:00Z").replace(tzinfo=UTC) - timedelta(hours=1)).date()


def _allowed(agreement: Agreement, request: Request, submitted: Mapping[str, Submitted], day: date) -> Allowed:
    try:
        return check(agreement, request, submitted, shape_of, day)
    except Refused as refused:
        raise _Broken(f"the contract does not allow it: {refused.clause}: {refused.rule}") from None


def _charges(books: _Books, purchase: Purchase) -> list[Json]:
    """What is charged now: whoever has not paid for this draw yet. Moves the balances on."""
    paid = books.paid.setdefault(purchase.key, set())
    due: list[Json] = []
    for charge in purchase.charges:
        if charge.account not in paid:
            _require(charge.account in books.caps, "it charges an account that has no cap")
            before = books.spent[charge.account]
            due.append({"account": charge.account, "dataset": charge.dataset, "rho": charge.rho, "before": before})
            books.spent[charge.account] += charge.rho
            _require(books.spent[charge.account] <= books.caps[charge.account].rho, "the account is overspent")
            paid.add(charge.account)
    return due


def _covered(books: _Books, purchase: Purchase) -> list[Json]:
    """The charge that pays for this release as well, made for the other part of the people, for the same readers."""
    other = books.first.get(purchase.beside)
    _require(other is not None, "what should have paid for it is not here")
    assert other is not None  # noqa: S101 - said again for the type checker
    _require(purchase.beside not in books.beside, "one charge covers more than one pair of parts")
    _require(canonical(other["recipients"]) == canonical(list(purchase.context.recipients)), "its readers did not pay")
    books.beside.add(purchase.beside)
    return [{name: charge[name] for name in ("account", "dataset", "rho")} for charge in other["charges"]]


# -- what was signed -------------------------------------------------------------------------------------------------


def _request(books: _Books, entry: Entry) -> Request:
    """The job behind an entry: here, and signed by its asker."""
    name, asker = f"{entry['job']}.toml", entry["asker"]
    data = _kept(books.log.requests, name, entry["job"], "the signed job is not in the copy")
    signature = books.log.requests.get(f"{name}.{asker}.sig", b"").decode("ascii", "replace")
    _require(asker in books.agreement.contract.party, "its asker is no party")
    try:
        verify(data, signature, books.agreement.contract.party[asker].sign, "passbox-job")
        return Request(parse_job(data), data, asker, signature)
    except BadSignature:
        raise _Broken("the job is not signed by its asker") from None
    except InvalidContract:
        raise _Broken("its job is not one") from None


def _submission(books: _Books, name: str, manifest: str) -> Submitted:
    """A data set behind an entry: signed by its owner for this room and contract, and none older than one before."""
    contract = books.agreement.contract
    _require(name in contract.dataset, "its data sets are not the contract's")
    data = _kept(books.log.manifests, f"{manifest}.json", manifest, "the manifest of a data set is not in the copy")
    owner = contract.dataset[name].owner
    try:
        verify(data, books.log.manifests.get(f"{manifest}.json.sig", b""), contract.party[owner].sign, "passbox-bundle")
        held = Manifest.model_validate_json(data)
    except (BadSignature, ValidationError):
        raise _Broken("the manifest of a data set is not signed by its owner") from None
    _require((held.dataset, held.owner) == (name, owner), "a manifest is of another data set")
    here = (books.agreement.digest, contract.room.name)
    _require((held.contract, held.room) == here, "a manifest was signed for another contract or room")
    _require(held.made >= books.made.get(name, held.made), "a data set is older than the one used before")
    books.made[name] = held.made
    return public(manifest, held)


def _kept(files: Mapping[str, bytes], name: str, sha256: str, rule: str) -> bytes:
    data = files.get(name)
    _require(data is not None and hashlib.sha256(data).hexdigest() == sha256, rule)
    assert data is not None  # noqa: S101 - said again for the type checker
    return data
