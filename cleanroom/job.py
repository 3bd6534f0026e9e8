"""The job, stage by stage: the page to read first.

    submit    a party's bundle becomes a Dataset                        cleanroom.submit
    match     two Datasets become a Match                               here
    plan      a signed job becomes Allowed: what it pays, how exact     here
    run       pays in the ledger, makes the release, seals it           here

Nothing reads a later stage. A refusal is decided from the contract and public sizes before data is touched; nothing
printed here depends on who matched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..dp.accounting import attack_auc, epsilon_of, largest_job
from ..dp.aggregate import count
from ..dp.budget import Delta, Rho
from ..dp.entry import Context, Purchase
from ..dp.ledger import Account, Ledger
from ..dp.mechanisms import SCALE_UNIT
from ..dp.noisy import Z95
from ..matching.match import match as match_handles
from ..modelling.evaluate import planned_auc_halfwidth
from ..policies.agreement import SignatureBroken, SignatureMissing, signature_path
from ..policies.check import Allowed, Refused, Request, Shape, check
from ..policies.contract import digest
from ..policies.request import LookalikeJob, parse_job
from ..policies.sign import BadSignature, verify
from .measure.lookalike import HELD_OUT, contents, fitted, shape_of
from .measure.overlap import overlap
from .release import Contents, Listed, publish, published, release_id
from .room import Dataset, Room

ASSUMED_RATES = (0.25, 0.5, 0.75, 1.0)
"""Match rates for which a plan says how exact a number would be: the real one is secret."""
ASSUMED_AUC = 0.75
EXPLAINED_EPSILONS = (1.0, 4.0, 8.0)


class NotMatched(Exception):
    """Two data sets were not matched yet, or one was submitted anew since."""

    def __init__(self, room: Path, people: str, seed: str) -> None:
        super().__init__(room, people, seed)
        self.room, self.people, self.seed = room, people, seed


class Unaffordable(Exception):
    """The budget does not hold a job. Decided from public figures, before data is touched; nothing was charged."""

    def __init__(self, dataset: str, asked: float, spent: float, cap: float, largest: float) -> None:
        super().__init__(dataset, asked, spent, cap, largest)
        self.message = (
            f"{dataset} has spent ε {spent:.4g} of {cap:g}; this job asks ε {asked:g}, "
            f"the largest that still fits is ε {largest:g}"
        )
        self.hint = (
            f"ask epsilon = {largest:g}, or agree on a larger budget; `passbox ledger show` lists what was spent"
            if largest > 0
            else "nothing more fits: agree on a larger budget; `passbox ledger show` lists what was spent"
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job means for one data set. Figures in ε at the data set's δ; rho in whole units of 10^-12."""

    dataset: str
    owner: str
    rho: Rho
    spent: float
    spent_after: float
    cap: float
    largest_after: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job would cost and how exact it would be. paid: every part was paid before, so it costs nothing.

    precision: rows of (what, assumption, half width of a 95 % interval). worst_case: the best test for one person's
    presence, as its AUC, at this job's ε and at others.
    """

    allowed: Allowed
    costs: tuple[Cost, ...]
    precision: tuple[tuple[str, str, float], ...]
    worst_case: tuple[tuple[float, float], ...]
    paid: bool


# -- match ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matched:
    """A pair that was matched. Public sizes only. new: False where it was matched before."""

    people: str
    people_rows: int
    seed: str
    seed_rows: int
    new: bool


def match(room: Room) -> list[Matched]:
    """Match every two submitted data sets of different owners. Nothing it says depends on the intersection."""
    held = room.datasets()
    pairs = [
        (people, seed)
        for people in held.values()
        for seed in held.values()
        if people.manifest.owner != seed.manifest.owner
    ]
    return [_match(room, people, seed) for people, seed in pairs]


def _match(room: Room, people: Dataset, seed: Dataset) -> Matched:
    path = room.match_path(people, seed)
    new = not path.exists()
    if new:
        matched = match_handles(room.handles(people), room.handles(seed)).matched
        room.store.write_table(path, pa.table({"matched": matched}), plain_size=True)
    return Matched(people.name, people.manifest.rows, seed.name, seed.manifest.rows, new)


def read_match(room: Room, people: Dataset, seed: Dataset) -> NDArray[np.bool_]:
    """For every row of people, whether a seed matches it. Errors: NotMatched."""
    path = room.match_path(people, seed)
    if not path.exists():
        raise NotMatched(room.path, people.name, seed.name)
    matched: NDArray[np.bool_] = room.store.read_table(path).column("matched").to_numpy()
    return matched


# -- plan ----------------------------------------------------------------------------------------------------------


def read_request(room: Room, path: Path) -> Request:
    """A job file whose signature lies beside it, and kept in the room. Errors: InvalidContract, SignatureMissing,
    SignatureBroken, OSError."""
    data = path.read_bytes()
    job = parse_job(data)
    signatures = {name: signature_path(path, name) for name in room.contract.party}
    found = {name: at.read_text() for name, at in signatures.items() if at.is_file()}
    if not found:
        raise SignatureMissing("job", tuple(_askers(room, job.kind)))
    for name, signature in found.items():
        try:
            verify(data, signature, room.contract.party[name].sign, "passbox-job")
        except BadSignature as error:
            raise SignatureBroken("job", name, error.reason) from None
    asker = next((name for name in found if name in _askers(room, job.kind)), next(iter(found)))
    room.keep_request(digest(data), data, asker, found[asker])
    return Request(job, digest(data), asker)


def _askers(room: Room, kind: str) -> list[str]:
    return sorted({name for rule in room.contract.rules.allow if rule.job == kind for name in rule.ask})


def plan(room: Room, request: Request) -> Plan:
    """What a job would cost and how exact it would be; reads the contract, public sizes and the ledger's totals.

    Errors: Refused.
    """
    allowed = _check(room, request)
    with room.ledger() as ledger:
        accounts = ledger.accounts()
        paid = all(ledger.paid(purchase) is not None for purchase in allowed.purchases)
    return Plan(
        allowed,
        tuple(_cost(room, charge_of, accounts) for charge_of in _charges(allowed)),
        _precision(room, allowed),
        _worst_case(room, allowed),
        paid,
    )


def _check(room: Room, request: Request) -> Allowed:
    job = request.job
    known = isinstance(job, LookalikeJob) and job.people in room.contract.dataset
    shape = Shape(1, 0, 1, 1)
    if isinstance(job, LookalikeJob) and known:
        columns = room.contract.dataset[job.people].columns
        if columns and all(name in columns for name in job.columns or []):
            shape = shape_of(room.contract, job)
    return check(room.agreement, request, room.submitted(), shape, room.clock().date())


def _charges(allowed: Allowed) -> list[tuple[str, str, Rho]]:
    """(data set, account, ρ) of everything a job pays."""
    return [(c.dataset, c.account, c.rho) for purchase in allowed.purchases for c in purchase.charges]


def _cost(room: Room, charge: tuple[str, str, Rho], accounts: Mapping[str, Account]) -> Cost:
    dataset, name, rho = charge
    rule = room.contract.dataset[dataset.partition("+")[0]]
    account, delta = accounts[name], Delta(rule.budget.delta)
    return Cost(
        dataset,
        rule.owner,
        rho,
        spent=epsilon_of(account.spent, delta),
        spent_after=epsilon_of(Rho(account.spent + rho), delta),
        cap=rule.budget.epsilon,
        largest_after=largest_job(Rho(max(0, account.left - rho)), delta),
    )


def _precision(room: Room, allowed: Allowed) -> tuple[tuple[str, str, float], ...]:
    """Half widths of 95 % intervals: one for a number of fixed noise, a table over match rates for others."""
    job = allowed.request.job
    sigma = allowed.purchases[-1].specification.scale / SCALE_UNIT
    if not isinstance(job, LookalikeJob):
        return (("matched", "whatever it is", Z95 * sigma),)
    held = room.datasets()
    people, seeds = held[job.people].manifest.rows, held[job.seed].manifest.rows
    return tuple(
        (
            "auc",
            f"{rate:.0%} of {job.seed} are among {job.people}, auc {ASSUMED_AUC}",
            planned_auc_halfwidth(round(HELD_OUT * seeds * rate), round(HELD_OUT * people), sigma, ASSUMED_AUC),
        )
        for rate in ASSUMED_RATES
        if 1 <= round(HELD_OUT * seeds * rate) < round(HELD_OUT * people)
    )


def _worst_case(room: Room, allowed: Allowed) -> tuple[tuple[float, float], ...]:
    """How well a feature crafted for one person would tell whether that person is on the list."""
    job = allowed.request.job
    rule = room.contract.dataset[job.seed].budget
    from ..dp.accounting import rho_within
    from ..dp.budget import Budget, Epsilon

    epsilons = sorted({job.epsilon, *EXPLAINED_EPSILONS})
    return tuple((e, attack_auc(rho_within(Budget(Epsilon(e), Delta(rule.delta))))) for e in epsilons)


# -- run -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ran:
    """What a job gave. charged: False where everything was paid for before."""

    release: Listed
    plan: Plan
    charged: bool


def run(room: Room, request: Request) -> Ran:
    """Check, pay, make the release, seal it. The same job gives the same release and costs nothing more.

    Errors: Refused (logged as a denial), Unaffordable, NotMatched, and those of the ledger. Nothing is half-applied.
    """
    try:
        planned = plan(room, request)
        _refuse_unaffordable(room, planned)
    except (Refused, Unaffordable) as refusal:
        _deny(room, request, refusal)
        raise
    allowed = planned.allowed
    held = room.datasets()
    matched = read_match(room, held[allowed.request.job.people], held[allowed.request.job.seed])
    before = published(room, release_id(allowed))
    if before is not None and planned.paid:
        return Ran(before, planned, charged=False)
    with room.ledger() as ledger:
        released = _release(room, allowed, ledger, held, matched)
    return Ran(released, planned, charged=not planned.paid)


def _release(
    room: Room, allowed: Allowed, ledger: Ledger, held: Mapping[str, Dataset], matched: NDArray[np.bool_]
) -> Listed:
    job = allowed.request.job
    if isinstance(job, LookalikeJob):
        fit = fitted(room, allowed, ledger, held[job.people], matched)
        tokens = room.read(held[job.people], ["token"]).column("token").to_numpy()
        return publish(room, allowed, ledger, fit.noisy, contents(fit, tokens, job.audience.size))
    purchase = allowed.purchases[0]
    noisy = ledger.paid(purchase) or ledger.pay(purchase, count(matched))
    seeds = held[job.seed].manifest.rows
    estimates = {name: value.as_json() for name, value in overlap(noisy, seeds).items()}
    return publish(room, allowed, ledger, (noisy,), Contents(estimates, {}))


def _refuse_unaffordable(room: Room, planned: Plan) -> None:
    with room.ledger() as ledger:
        accounts = ledger.accounts()
        due = [purchase for purchase in planned.allowed.purchases if ledger.paid(purchase) is None]
    for dataset, name, rho in _due(due):
        account = accounts[name]
        if rho > account.left:
            rule = room.contract.dataset[dataset.partition("+")[0]]
            delta = Delta(rule.budget.delta)
            raise Unaffordable(
                dataset,
                planned.allowed.request.job.epsilon,
                epsilon_of(account.spent, delta),
                rule.budget.epsilon,
                largest_job(account.left, delta),
            )


def _due(purchases: list[Purchase]) -> list[tuple[str, str, Rho]]:
    return [(c.dataset, c.account, c.rho) for purchase in purchases for c in purchase.charges]


def _deny(room: Room, request: Request, refusal: Refused | Unaffordable) -> None:
    clause = refusal.clause if isinstance(refusal, Refused) else "budget"
    context = Context(
        room.agreement.digest, request.digest, request.asker, tuple(request.job.recipients), room.contract.purpose
    )
    with room.ledger() as ledger:
        ledger.deny(context, clause)
