"""Re-verifying a ledger offline, without trusting who runs the room.

Everything is recomputed from a copy of the log and the contract that the verifier holds: the checkpoint's signature,
the tree, every price from its sensitivity and noise, every running balance and cap, who had to pay, who may read,
that the asker signed each request, that the owners signed what was submitted. The first entry that breaks a rule is
named.

What it cannot see: a log of which the operator shows each party another copy. Cosigned checkpoints are for that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ..dp.accounting import rho_within
from ..dp.budget import Budget, Delta, Epsilon, Rho
from ..dp.entry import canonical, digest
from ..dp.mechanisms import SCALE_UNIT, Scale, price
from ..dp.note import BadNote, verify_checkpoint
from ..dp.tree import leaf_hash, root_of
from ..modelling.design import BITS, MOMENTS_L2_SQUARED
from ..policies.agreement import Agreement
from ..policies.check import UNIT, account
from ..policies.contract import Contract, InvalidContract
from ..policies.request import Job, LookalikeJob, parse_job
from ..policies.sign import BadSignature, verify
from .bundle import Manifest
from .log import Log

Entry = dict[str, Any]  # JSON from outside: every field is checked before it is used

STATISTICS = {
    "matched-count@1": ("overlap", "all", 0, 1),
    "seed-moments@1": ("lookalike", "train", BITS, MOMENTS_L2_SQUARED),
    "score-histogram@1": ("lookalike", "held-out", 0, 1),
}
"""What each statistic must say of itself: job kind, part, lattice bits, squared sensitivity."""


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
    """What a verified log says. root: hex."""

    entries: int
    releases: int
    denials: int
    root: str
    accounts: tuple[Spent, ...]


@dataclass
class _Books:
    """What was seen so far."""

    caps: dict[str, Entry] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    paid: dict[str, set[str]] = field(default_factory=dict)
    first: dict[str, Entry] = field(default_factory=dict)
    beside: set[str] = field(default_factory=set)
    hour: str = ""
    denials: int = 0


def verify_log(log: Log, agreement: Agreement) -> Verified:
    """Recompute a log against the contract. Errors: LedgerBroken."""
    size, root = _head(log, agreement.contract)
    if size != len(log.entries):
        raise LedgerBroken(None, f"the checkpoint counts {size} entries, {len(log.entries)} are here")
    if root_of([leaf_hash(entry) for entry in log.entries]) != root:
        raise LedgerBroken(_first_unlike(log), "the entries are not those the checkpoint was signed over")
    books = _Books()
    for position, data in enumerate(log.entries):
        _guarded(books, log, agreement, position, data)
    if missing := {account(name) for name in agreement.contract.data_parties} - set(books.caps):
        raise LedgerBroken(None, f"no cap was set for {', '.join(sorted(missing))}")
    return Verified(len(log.entries), len(books.first), books.denials, root.hex(), _accounts(books))


def _head(log: Log, contract: Contract) -> tuple[int, bytes]:
    try:
        checkpoint = verify_checkpoint(log.checkpoint, contract.room.checkpoint)
    except BadNote:
        raise LedgerBroken(None, "the checkpoint is not signed by the contract's room") from None
    return checkpoint.size, checkpoint.root


def _first_unlike(log: Log) -> int | None:
    """The first entry that shows by itself that it was changed, if one does."""
    for position, data in enumerate(log.entries):
        try:
            if _parsed(data).get("seq") != position:
                return position
        except _Broken:
            return position
    return None


class _Broken(Exception):
    """A rule that the entry at hand breaks."""


def _guarded(books: _Books, log: Log, agreement: Agreement, position: int, data: bytes) -> None:
    try:
        _read(books, log, agreement, position, data)
    except _Broken as broken:
        raise LedgerBroken(position, str(broken)) from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise LedgerBroken(position, "it does not have the shape of an entry") from None


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise _Broken(rule)


def _parsed(data: bytes) -> Entry:
    try:
        entry = json.loads(data)
        spelled = canonical(entry)
    except (ValueError, TypeError, RecursionError):
        raise _Broken("it is not canonical JSON") from None
    _require(spelled == data and isinstance(entry, dict), "it is not canonical JSON")
    parsed: Entry = entry
    return parsed


def _read(books: _Books, log: Log, agreement: Agreement, position: int, data: bytes) -> None:
    entry = _parsed(data)
    _require(entry["v"] == 1 and entry["seq"] == position, "its number is not its place")
    _require(isinstance(entry["time"], str) and entry["time"] >= books.hour, "its time runs backwards")
    books.hour = entry["time"]
    _require(entry["contract"] == agreement.digest, "it was written under another contract")
    kinds = {"cap": _cap, "release": _release, "denial": _denial}
    _require(entry["kind"] in kinds, "its kind is not known")
    kinds[entry["kind"]](books, log, agreement, entry)


# -- caps ----------------------------------------------------------------------------------------------------------


def _cap(books: _Books, log: Log, agreement: Agreement, entry: Entry) -> None:
    del log
    owner = entry["owner"]
    rules = [rule for rule in agreement.contract.dataset.values() if rule.owner == owner]
    _require(bool(rules), "it caps somebody who owns no data set")
    _require((entry["account"], entry["unit"]) == (account(owner), UNIT), "its account is not its owner's")
    _require(entry["account"] not in books.caps, "the account has a cap already")
    smallest = min(rho_within(rule.budget.budget()) for rule in rules)
    stated = rho_within(Budget(Epsilon(float(entry["epsilon"])), Delta(float(entry["delta"]))))
    _require(entry["rho"] == stated == smallest, "the cap is not the one the contract allows")
    books.caps[entry["account"]] = entry
    books.spent[entry["account"]] = 0


# -- releases ------------------------------------------------------------------------------------------------------


def _release(books: _Books, log: Log, agreement: Agreement, entry: Entry) -> None:
    spec = entry["specification"]
    job = _request(log, agreement, entry)
    _require(entry["key"] == digest(spec), "its key is not the digest of its specification")
    _require(len(bytes.fromhex(entry["commitment"])) == 32, "it commits to nothing")
    _specification(log, agreement.contract, job, spec)
    _rules(agreement.contract, job, entry)
    cost = price(spec["l2_squared"], Scale(spec["scale"]))
    first = books.first.get(entry["key"])
    if first is not None:
        _require(entry["commitment"] == first["commitment"], "the same statistic was drawn twice")
        _require(bool(entry["charges"]), "the same statistic stands twice, and nobody paid for a new reader")
    for charge in entry["charges"]:
        _pay(books, entry["key"], charge, cost)
    due = _due(agreement.contract, spec, entry["recipients"])
    if entry["beside"]:
        _covered(books, entry, cost, due)
    else:
        _require(due <= books.paid.get(entry["key"], set()), "somebody whose data it shows was not charged")
        _require(cost <= _allowed(agreement.contract, job, due), "it costs more than the job asked for")
    books.first.setdefault(entry["key"], entry)


def _specification(log: Log, contract: Contract, job: Job, spec: Entry) -> None:
    kind, part, bits, l2_squared = STATISTICS.get(spec["statistic"], ("", "", -1, -1))
    _require(kind == job.kind and spec["part"] == part, "its statistic is not one of the job's")
    _require(spec["lattice"] == f"2^-{bits}" and spec["l2_squared"] == l2_squared, "its sensitivity is understated")
    _require(spec["mechanism"] == "discrete-gaussian" and spec["scale_unit"] == f"1/{SCALE_UNIT}", "unknown noise")
    _require(isinstance(spec["scale"], int) and spec["scale"] > 0, "it has no noise")
    _require(spec["unit"] == UNIT and spec["rule"] == contract.match.rule, "its unit or match rule is another")
    _require(set(spec["datasets"]) == {job.people, job.seed}, "its data sets are not the job's")
    for name, manifest in spec["datasets"].items():
        _submission(log, contract, name, manifest)


def _rules(contract: Contract, job: Job, entry: Entry) -> None:
    """What the contract says of releases beyond their price."""
    _require(entry["time"][:10] <= contract.expires.isoformat(), "the contract had expired")
    owner = contract.dataset[job.people].owner
    if isinstance(job, LookalikeJob):
        only_owner = contract.readers(tuple(job.recipients)) == {owner}
        _require(only_owner, "somebody other than the features' owner reads a lookalike")


def _pay(books: _Books, key: str, charge: Entry, cost: Rho) -> None:
    name, rho = charge["account"], charge["rho"]
    _require(name in books.caps, "it charges an account that has no cap")
    _require(name not in books.paid.setdefault(key, set()), "the same release is charged twice")
    _require(isinstance(rho, int) and rho >= cost, "it is charged less than its noise costs")
    _require(charge["before"] == books.spent[name], "the running balance is broken")
    books.spent[name] += rho
    _require(books.spent[name] <= books.caps[name]["rho"], "the account is overspent")
    books.paid[key].add(name)


def _covered(books: _Books, entry: Entry, cost: Rho, due: set[str]) -> None:
    """A release that costs nothing because another, on the other part of the people, was charged at least as much."""
    other = books.first.get(entry["beside"])
    _require(other is not None and not entry["charges"], "what should have paid for it is not here")
    assert other is not None  # noqa: S101 - said again for the type checker
    mine, theirs = entry["specification"], other["specification"]
    _require({mine["part"], theirs["part"]} == {"train", "held-out"}, "the two parts are not disjoint")
    same = all(mine[name] == theirs[name] for name in ("datasets", "unit", "rule"))
    _require(same and entry["recipients"] == other["recipients"], "the two parts are not of one job")
    _require(entry["beside"] not in books.beside, "one charge covers more than one pair of parts")
    _require(all(charge["rho"] >= cost for charge in other["charges"]), "the charge beside it is too small")
    _require(due <= books.paid.get(entry["beside"], set()), "somebody whose data it shows was not charged")
    books.beside.add(entry["beside"])


def _due(contract: Contract, spec: Entry, recipients: list[str]) -> set[str]:
    """Whose accounts must have paid: owners who are not the only reader."""
    readers = contract.readers(tuple(recipients))
    owners = {contract.dataset[name].owner for name in spec["datasets"]}
    return {account(owner) for owner in owners if readers - {owner}}


def _allowed(contract: Contract, job: Job, due: set[str]) -> int:
    """The most that the job's ε may cost, at the δ of those who pay."""
    paying = [contract.dataset[name] for name in (job.people, job.seed)]
    deltas = [rule.budget.delta for rule in paying if account(rule.owner) in due]
    return min((rho_within(Budget(Epsilon(job.epsilon), Delta(delta))) for delta in deltas), default=0)


# -- what was signed -------------------------------------------------------------------------------------------------


def _request(log: Log, agreement: Agreement, entry: Entry) -> Job:
    """The job behind an entry: here, signed by its asker, and allowed by the contract."""
    data = _kept(log.requests, f"{entry['job']}.toml", entry["job"], "the signed job is not in the copy")
    signature = log.requests.get(f"{entry['job']}.toml.{entry['asker']}.sig", b"")
    party = agreement.contract.party.get(entry["asker"])
    _require(party is not None, "its asker is no party")
    assert party is not None  # noqa: S101 - said again for the type checker
    try:
        verify(data, signature, party.sign, "passbox-job")
    except BadSignature:
        raise _Broken("the job is not signed by its asker") from None
    try:
        job = parse_job(data)
    except InvalidContract:
        raise _Broken("its job is not one") from None
    allowed = [rule for rule in agreement.contract.rules.allow if rule.job == job.kind and entry["asker"] in rule.ask]
    readers = set(entry["recipients"])
    _require(readers == set(job.recipients), "its readers are not the job's")
    _require(any(readers <= set(rule.recipients) for rule in allowed), "the contract does not allow it")
    return job


def _submission(log: Log, contract: Contract, name: str, manifest: str) -> None:
    """A data set behind an entry: its manifest is here, signed by its owner."""
    data = _kept(log.manifests, f"{manifest}.json", manifest, "the manifest of a data set is not in the copy")
    owner = contract.dataset[name].owner
    try:
        verify(data, log.manifests.get(f"{manifest}.json.sig", b""), contract.party[owner].sign, "passbox-bundle")
        held = Manifest.model_validate_json(data)
    except (BadSignature, ValidationError):
        raise _Broken("the manifest of a data set is not signed by its owner") from None
    _require((held.dataset, held.owner) == (name, owner), "a manifest is of another data set")


def _kept(files: Mapping[str, bytes], name: str, sha256: str, rule: str) -> bytes:
    data = files.get(name)
    _require(data is not None and hashlib.sha256(data).hexdigest() == sha256, rule)
    assert data is not None  # noqa: S101 - said again for the type checker
    return data


def _denial(books: _Books, log: Log, agreement: Agreement, entry: Entry) -> None:
    del log, agreement
    _require(isinstance(entry["clause"], str) and "charges" not in entry, "a denial costs nothing")
    books.denials += 1


def _accounts(books: _Books) -> tuple[Spent, ...]:
    return tuple(
        Spent(name, float(cap["epsilon"]), float(cap["delta"]), Rho(cap["rho"]), Rho(books.spent[name]))
        for name, cap in sorted(books.caps.items())
    )
