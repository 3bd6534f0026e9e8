"""May this job run, and what would it cost? Decided from the contract and public sizes only, before data is touched.

`check` returns `Allowed`, which holds the releases to pay for, or raises `Refused` with the clause that refused and
what would pass. Nothing here reads a person's data, so the words are the same on neighbouring data sets. An auditor
calls the same function with what the parties signed: what a room may not do, a log may not show.

What one kind of job is refused for stands with the kind (`policies.jobs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from ..dp.entry import Purchase
from .agreement import Agreement
from .contract import Allowance, Contract
from .jobs.draw import EpsilonTooSmall
from .jobs.job import Job, ShapeOf
from .price import protected, purchases
from .refused import Refused as Refused
from .refused import Submitted as Submitted
from .refused import refuse_expired as refuse_expired
from .sentences import counted, names, operator_sentence, warnings

if TYPE_CHECKING:
    from .request import Request


@dataclass(frozen=True, slots=True)
class Allowed:
    """A job that may run: what it pays for, in order. Only `check` makes one.

    protected: whose data sets are charged. warnings, learns: plain sentences for people. rows: of its data sets.
    """

    request: Request
    purchases: tuple[Purchase, ...]
    protected: tuple[str, ...]
    warnings: tuple[str, ...]
    learns: tuple[str, ...]
    rows: Mapping[str, int]


def check(
    agreement: Agreement, request: Request, submitted: Mapping[str, Submitted], shape_of: ShapeOf, today: date
) -> Allowed:
    """Whether a job may run, and for what it pays. today: in UTC. Errors: Refused."""
    contract, job = agreement.contract, request.job
    refuse_expired(contract, today)
    _refuse_foreign(agreement, job)
    _refuse_unsubmitted(contract, job, submitted, today)
    _refuse_unlisted(contract, request)
    job.refuse(contract, submitted)
    paying = protected(contract, job)
    _refuse_delta(contract, paying, submitted)
    said = warnings(contract, job.epsilon, {name: submitted[name].rows for name in paying})
    manifests = {name: submitted[name].manifest for name in job.datasets()}
    try:
        bought = purchases(agreement, request, manifests, shape_of)
    except EpsilonTooSmall:
        raise Refused("epsilon", f"ε {job.epsilon:g} is too small for any noise", "ask a larger epsilon") from None
    rows = {name: submitted[name].rows for name in job.datasets()}
    return Allowed(request, bought, paying, said, _learns(contract, job), rows)


def _learns(contract: Contract, job: Job) -> tuple[str, ...]:
    """Who learns what, in sentences for the release."""
    said = job.learns(contract, names(contract.readers(tuple(job.recipients))))
    sentence = operator_sentence(contract)
    return (*said, sentence) if sentence else said


def _refuse_foreign(agreement: Agreement, job: Job) -> None:
    ours = agreement.contract.name
    if job.contract not in (None, ours, agreement.digest):
        theirs = "other contract bytes" if len(job.contract or "") == 64 else job.contract
        rule = f"the job is for {theirs}, this room's contract is {ours}"
        raise Refused("name", rule, "draft it anew: `passbox job new`")


def _refuse_unsubmitted(contract: Contract, job: Job, submitted: Mapping[str, Submitted], today: date) -> None:
    for name in job.datasets():
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


def _refuse_delta(contract: Contract, paying: tuple[str, ...], submitted: Mapping[str, Submitted]) -> None:
    """A δ above 1/n would let a release give one person away whole."""
    for name in paying:
        delta, rows = contract.dataset[name].budget.delta, submitted[name].rows
        if rows and delta > 1 / rows:
            raise Refused(
                f"dataset.{name}.budget.delta",
                f"δ {delta:g} is above 1/n for the {counted(rows, 'row')} of {name}",
                f"agree on a δ of at most {1 / (10 * rows):.0e}",
            )
