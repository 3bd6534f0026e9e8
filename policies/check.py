"""May this job run, and what would it cost? Decided from the contract and public sizes only, before data is touched.

`check` returns `Allowed`, which holds the releases to pay for, or raises `Refused` with the clause that refused and
what would pass. Nothing here reads a person's data, so the words are the same on neighbouring data sets. An auditor
calls the same function with what the parties signed: what a room may not do, a log may not show.

What `membership` jobs give rests on exact knowledge of the features, so only the features' owner may read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ..dp.entry import Purchase
from .agreement import Agreement
from .contract import Allowance, Contract
from .price import EpsilonTooSmall, ShapeOf, columns_of, protected, purchases
from .request import MOST_COLUMNS, Job, LookalikeJob, Request
from .sentences import learns, names, warnings

FEWEST_PEOPLE = 200
"""A lookalike holds out one person in five by a hash: with fewer people nobody might be held out."""


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


@dataclass(frozen=True, slots=True)
class Allowed:
    """A job that may run: what it pays for, in order. Only `check` makes one.

    protected: whose data sets are charged. warnings, learns: plain sentences for people.
    """

    request: Request
    purchases: tuple[Purchase, ...]
    protected: tuple[str, ...]
    warnings: tuple[str, ...]
    learns: tuple[str, ...]


def check(
    agreement: Agreement, request: Request, submitted: Mapping[str, Submitted], shape_of: ShapeOf, today: date
) -> Allowed:
    """Whether a job may run, and for what it pays. today: in UTC. Errors: Refused."""
    contract, job = agreement.contract, request.job
    refuse_expired(contract, today)
    _refuse_foreign(agreement, job)
    _refuse_unsubmitted(contract, job, submitted, today)
    _refuse_unlisted(contract, request)
    _refuse_small(contract, job, submitted)
    if isinstance(job, LookalikeJob):
        _refuse_readers(contract, job)
        _refuse_columns(contract, job)
    paying = protected(contract, job)
    _refuse_delta(contract, paying, submitted)
    said = warnings(contract, job, {name: submitted[name].rows for name in paying})
    manifests = {name: submitted[name].manifest for name in (job.people, job.seed)}
    try:
        bought = purchases(agreement, request, manifests, shape_of)
    except EpsilonTooSmall:
        raise Refused("epsilon", f"ε {job.epsilon:g} is too small for any noise", "ask a larger epsilon") from None
    return Allowed(request, bought, paying, said, learns(contract, job))


def refuse_expired(contract: Contract, today: date) -> None:
    """Nothing changes or leaves a room after its contract's last day. today: in UTC. Errors: Refused."""
    if today > contract.expires:
        raise Refused("expires", f"the contract expired on {contract.expires}", "sign a new one with a later date")


def _refuse_foreign(agreement: Agreement, job: Job) -> None:
    ours = agreement.contract.name
    if job.contract not in (None, ours, agreement.digest):
        theirs = "other contract bytes" if len(job.contract or "") == 64 else job.contract
        rule = f"the job is for {theirs}, this room's contract is {ours}"
        raise Refused("name", rule, "draft it anew: `passbox job new`")


def _refuse_unsubmitted(contract: Contract, job: Job, submitted: Mapping[str, Submitted], today: date) -> None:
    for name in (job.people, job.seed):
        if name not in contract.dataset:
            raise Refused("dataset", f"the contract knows no data set {name}", f"use one of {names(contract.dataset)}")
        owner = contract.dataset[name].owner
        if name not in submitted:
            raise Refused(
                "dataset",
                f"{name} was not submitted yet",
                f"ask {owner} for its bundle, then `passbox submit`",
            )
        if today > submitted[name].expires:
            raise Refused(
                "dataset",
                f"{owner} let {name} be used until {submitted[name].expires}",
                f"ask {owner} to prepare it again",
            )
    if contract.dataset[job.people].owner == contract.dataset[job.seed].owner:
        raise Refused("dataset", "people and seed belong to the same owner", "name data sets of two owners")


def _refuse_unlisted(contract: Contract, request: Request) -> None:
    job = request.job
    kinds = [rule for rule in contract.rules.allow if rule.job == job.kind]
    if not kinds:
        raise Refused("rules.allow", f"no job of kind {job.kind} is allowed", "agree on a contract that allows it")
    asked = [rule for rule in kinds if request.asker in rule.ask]
    if not asked:
        who = names({name for rule in kinds for name in rule.ask})
        raise Refused("rules.allow", f"{request.asker} may not ask for {job.kind}", f"it may be asked by {who}")
    if not any(_admits(rule, job) for rule in asked):
        who = names({name for rule in asked for name in rule.recipients})
        raise Refused(
            "rules.allow",
            f"{job.kind} may not be read by all of {names(job.recipients)}",
            f"name only {who}",
        )


def _admits(rule: Allowance, job: Job) -> bool:
    return rule.job == job.kind and set(job.recipients) <= set(rule.recipients)


def askers(contract: Contract, job: Job) -> tuple[str, ...]:
    """Who may ask for a job of this kind, sorted; first those who may ask it for these readers."""
    fitting = {name for rule in contract.rules.allow if _admits(rule, job) for name in rule.ask}
    others = {name for rule in contract.rules.allow if rule.job == job.kind for name in rule.ask} - fitting
    return (*sorted(fitting), *sorted(others))


def _refuse_small(contract: Contract, job: Job, submitted: Mapping[str, Submitted]) -> None:
    """Minimums look at accepted rows, which are public. A count is the same both ways round, so both lists count."""
    rules, people = contract.rules, submitted[job.people].rows
    for name in (job.seed,) if isinstance(job, LookalikeJob) else (job.seed, job.people):
        if submitted[name].rows < rules.smallest_seed:
            raise Refused(
                "rules.smallest_seed",
                f"{name} has {submitted[name].rows} rows, at least {rules.smallest_seed} are needed",
                "submit a longer list",
            )
    if not isinstance(job, LookalikeJob):
        return
    if people < FEWEST_PEOPLE:
        raise Refused(
            "people", f"{job.people} has {people} rows, a lookalike needs {FEWEST_PEOPLE}", "submit more people"
        )
    if job.audience.size < rules.smallest_audience:
        raise Refused(
            "rules.smallest_audience",
            f"an audience of {job.audience.size} is asked, at least {rules.smallest_audience} are needed",
            f"ask audience = {{ size = {rules.smallest_audience} }} or more",
        )
    if job.audience.size > people:
        raise Refused("audience", f"{job.people} has only {people} rows", "ask a smaller audience")


def _refuse_readers(contract: Contract, job: LookalikeJob) -> None:
    owner = contract.dataset[job.people].owner
    others = contract.readers(tuple(job.recipients)) - {owner}
    if others:
        raise Refused(
            "membership",
            f"a lookalike may be read only by {owner}, who owns the features; {names(others)} would read it too",
            f'ask recipients = ["{owner}"]'
            if set(job.recipients) - {owner}
            else "let a neutral party, or the owner of the features, operate the room",
        )
    if contract.dataset[job.seed].protects != "membership":
        raise Refused(
            f"dataset.{job.seed}.protects",
            "a lookalike protects membership of the seed, and this data set asks for more",
            'agree on protects = "membership" for the seed',
        )


def _refuse_columns(contract: Contract, job: LookalikeJob) -> None:
    declared, clause = contract.dataset[job.people].columns, f"dataset.{job.people}"
    if not declared:
        raise Refused(f"{clause}.columns", "it has no columns to learn from", "declare some in the contract")
    if contract.dataset[job.people].id is None:
        raise Refused(f"{clause}.id", "without own IDs there is no audience to hand out", "name the ID column")
    unknown = [name for name in job.columns or [] if name not in declared]
    if unknown:
        raise Refused("columns", f"{names(unknown)} is not declared", f"use some of {names(declared)}")
    if len(columns_of(contract, job)) > MOST_COLUMNS:
        raise Refused("columns", f"a lookalike learns from at most {MOST_COLUMNS} columns", "name some in columns")


def _refuse_delta(contract: Contract, paying: tuple[str, ...], submitted: Mapping[str, Submitted]) -> None:
    """A δ above 1/n would let a release give one person away whole."""
    for name in paying:
        delta, rows = contract.dataset[name].budget.delta, submitted[name].rows
        if rows and delta > 1 / rows:
            raise Refused(
                f"dataset.{name}.budget.delta",
                f"δ {delta:g} is above 1/n for the {rows} rows of {name}",
                f"agree on a δ of at most {1 / (10 * rows):.0e}",
            )
