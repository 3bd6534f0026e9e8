"""May this job run, and what would it cost? Decided from the contract and public sizes only, before data is touched.

`check` returns `Allowed`, which holds the releases to pay for, or raises `Refused` with the clause that refused and
what would pass. Nothing here reads a person's data, so the words are the same on neighbouring data sets.

Who pays: every data set whose owner is not its only reader. Readers are the recipients, and the operator's party
where that is a data party. What `membership` jobs give rests on exact knowledge of the features, so only the
features' owner may read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from ..dp.accounting import rho_within
from ..dp.budget import Budget, Delta, Epsilon, Rho
from ..dp.entry import Charge, Context, Purchase, Specification
from ..dp.mechanisms import Scale, price, smallest_scale
from .agreement import Agreement
from .contract import Contract
from .request import Job, LookalikeJob, OverlapJob

UNIT = "record"
"""What is protected: one submitted record, which its owner has made one person as well as it can."""

EPSILON_TO_EXPLAIN = 4.0
"""Above this ε a plan warns: a test for one person's presence is then right far too often."""


class Refused(Exception):
    """The contract does not allow this. clause: what refused. remedy: what would pass. Public facts only."""

    def __init__(self, clause: str, rule: str, remedy: str) -> None:
        super().__init__(clause, rule, remedy)
        self.clause, self.rule, self.remedy = clause, rule, remedy


@dataclass(frozen=True, slots=True)
class Submitted:
    """What is public about a data set in the room. manifest: SHA-256 of its signed manifest. rows: accepted rows."""

    manifest: str
    rows: int


@dataclass(frozen=True, slots=True)
class Request:
    """A job whose signature was checked. digest: SHA-256 of its bytes. asker: who signed it."""

    job: Job
    digest: str
    asker: str


@dataclass(frozen=True, slots=True)
class Shape:
    """Cells and lattice of the statistics of a lookalike, as the declared columns fix them (`modelling.features`)."""

    cells: int
    bits: int
    l2_squared: int
    score_cells: int


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
    agreement: Agreement, request: Request, submitted: Mapping[str, Submitted], shape: Shape, today: date
) -> Allowed:
    """Whether a job may run, and for what it pays. Errors: Refused."""
    contract, job = agreement.contract, request.job
    _refuse_expired(contract, today)
    _refuse_foreign(contract, job)
    _refuse_unsubmitted(contract, job, submitted)
    _refuse_unlisted(contract, request)
    _refuse_small(contract, job, submitted)
    if isinstance(job, LookalikeJob):
        _refuse_readers(contract, job)
        _refuse_columns(contract, job)
    protected = _protected(contract, job)
    _refuse_delta(contract, protected, submitted)
    warnings = [*_size_warnings(contract, protected, submitted), *_epsilon_warnings(job)]
    purchases = _purchases(agreement, request, submitted, shape, protected)
    return Allowed(request, purchases, protected, tuple(warnings), tuple(learns(contract, job)))


def account(owner: str) -> str:
    """One account per owner and unit."""
    return f"{owner}/{UNIT}"


# -- refusals ------------------------------------------------------------------------------------------------------


def _refuse_expired(contract: Contract, today: date) -> None:
    if today > contract.expires:
        raise Refused("expires", f"the contract expired on {contract.expires}", "sign a new one with a later date")


def _refuse_foreign(contract: Contract, job: Job) -> None:
    if job.contract is not None and job.contract != contract.name:
        raise Refused("name", f"the job is for {job.contract}, this room's contract is {contract.name}", "mend the job")


def _refuse_unsubmitted(contract: Contract, job: Job, submitted: Mapping[str, Submitted]) -> None:
    for name in (job.people, job.seed):
        if name not in contract.dataset:
            raise Refused("dataset", f"the contract knows no data set {name}", f"use one of {_names(contract.dataset)}")
        if name not in submitted:
            owner = contract.dataset[name].owner
            raise Refused(
                "dataset",
                f"{name} was not submitted yet",
                f"ask {owner} for its bundle, then `passbox submit`",
            )
    if job.people == job.seed:
        raise Refused("dataset", "people and seed are the same data set", "name two data sets")


def _refuse_unlisted(contract: Contract, request: Request) -> None:
    job = request.job
    kinds = [rule for rule in contract.rules.allow if rule.job == job.kind]
    if not kinds:
        raise Refused("rules.allow", f"no job of kind {job.kind} is allowed", "agree on a contract that allows it")
    asked = [rule for rule in kinds if request.asker in rule.ask]
    if not asked:
        who = _names({name for rule in kinds for name in rule.ask})
        raise Refused("rules.allow", f"{request.asker} may not ask for {job.kind}", f"it may be asked by {who}")
    if not any(set(job.recipients) <= set(rule.recipients) for rule in asked):
        who = _names({name for rule in asked for name in rule.recipients})
        raise Refused(
            "rules.allow",
            f"{job.kind} may not be read by all of {_names(job.recipients)}",
            f"name only {who}",
        )


def _refuse_small(contract: Contract, job: Job, submitted: Mapping[str, Submitted]) -> None:
    rules, seeds, people = contract.rules, submitted[job.seed].rows, submitted[job.people].rows
    if seeds < rules.smallest_seed:
        raise Refused(
            "rules.smallest_seed",
            f"{job.seed} has {seeds} rows, at least {rules.smallest_seed} are needed",
            "submit a longer list",
        )
    if not isinstance(job, LookalikeJob):
        return
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
            f"a lookalike may be read only by {owner}, who owns the features; {_names(others)} would read it too",
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
    declared = contract.dataset[job.people].columns
    if not declared:
        raise Refused(
            f"dataset.{job.people}.columns", "it has no columns to learn from", "declare some in the contract"
        )
    unknown = [name for name in job.columns or [] if name not in declared]
    if unknown:
        raise Refused("columns", f"{_names(unknown)} is not declared", f"use some of {_names(declared)}")


def _refuse_delta(contract: Contract, protected: tuple[str, ...], submitted: Mapping[str, Submitted]) -> None:
    """A δ above 1/n would let a release give one person away whole."""
    for name in protected:
        delta, rows = contract.dataset[name].budget.delta, submitted[name].rows
        if rows and delta > 1 / rows:
            raise Refused(
                f"dataset.{name}.budget.delta",
                f"δ {delta:g} is above 1/n for the {rows} rows of {name}",
                f"agree on a δ of at most {1 / (10 * rows):.0e}",
            )


# -- who pays ------------------------------------------------------------------------------------------------------


def _protected(contract: Contract, job: Job) -> tuple[str, ...]:
    readers = contract.readers(tuple(job.recipients))
    return tuple(name for name in (job.people, job.seed) if readers - {contract.dataset[name].owner})


def _purchases(
    agreement: Agreement,
    request: Request,
    submitted: Mapping[str, Submitted],
    shape: Shape,
    protected: tuple[str, ...],
) -> tuple[Purchase, ...]:
    job, contract = request.job, agreement.contract
    context = Context(agreement.digest, request.digest, request.asker, tuple(job.recipients), contract.purpose)
    base = Specification(
        statistic="matched-count@1",
        datasets={name: submitted[name].manifest for name in (job.people, job.seed)},
        unit=UNIT,
        rule=contract.match.rule,
        part="all",
        columns=(),
        cells=1,
        bits=0,
        l2_squared=1,
        scale=Scale(1),
    )
    if isinstance(job, OverlapJob):
        rho = min(_rho(contract, name, job.epsilon) for name in (job.people, job.seed))
        return (_purchase(contract, replace(base, scale=smallest_scale(1, rho)), context, protected),)
    moments = replace(
        base,
        statistic="seed-moments@1",
        part="train",
        columns=tuple(job.columns or contract.dataset[job.people].columns),
        cells=shape.cells,
        bits=shape.bits,
        l2_squared=shape.l2_squared,
        scale=smallest_scale(shape.l2_squared, _rho(contract, job.seed, job.epsilon)),
    )
    paying = _purchase(contract, moments, context, protected)
    scores = replace(
        base,
        statistic="score-histogram@1",
        part="held-out",
        columns=moments.columns,
        cells=shape.score_cells,
        scale=smallest_scale(1, min(charge.rho for charge in paying.charges)),
        follows=moments.key,
    )
    return (paying, Purchase(scores, (), context, beside=moments.key))


def _purchase(contract: Contract, spec: Specification, context: Context, protected: tuple[str, ...]) -> Purchase:
    return Purchase(spec, _charges(contract, spec, protected), context)


def _rho(contract: Contract, dataset: str, epsilon: float) -> Rho:
    return rho_within(Budget(Epsilon(epsilon), Delta(contract.dataset[dataset].budget.delta)))


def _charges(contract: Contract, spec: Specification, protected: tuple[str, ...]) -> tuple[Charge, ...]:
    """One charge an account: two data sets of one owner share it, and one record lies in one of them."""
    cost = price(spec.l2_squared, spec.scale)
    charges: dict[str, Charge] = {}
    for name in protected:
        owner = account(contract.dataset[name].owner)
        held = charges.get(owner)
        rho = Rho(cost + (held.rho if held else 0))
        charges[owner] = Charge(owner, name if held is None else f"{held.dataset}+{name}", rho)
    return tuple(charges.values())


# -- words ---------------------------------------------------------------------------------------------------------


def _size_warnings(contract: Contract, protected: tuple[str, ...], submitted: Mapping[str, Submitted]) -> list[str]:
    warnings: list[str] = []
    for name in protected:
        delta, rows = contract.dataset[name].budget.delta, submitted[name].rows
        if rows and delta > 1 / (10 * rows):
            warnings.append(f"δ {delta:g} of {name} is above 1/(10 n) for its {rows} rows: agree on a smaller one")
    return warnings


def _epsilon_warnings(job: Job) -> list[str]:
    if job.epsilon <= EPSILON_TO_EXPLAIN:
        return []
    return [f"ε {job.epsilon:g} is weak protection: `passbox plan --explain` says what a reader could find out"]


def operator_sentence(contract: Contract) -> str | None:
    """What it means that a data party operates the room, in one sentence; None where a neutral party does."""
    if not contract.operator_owns_data():
        return None
    operator = contract.room.operator
    others = _names(name for name in contract.data_parties if name != operator)
    return (
        f"{operator} operates this room and owns data in it: it holds the match key and could look at who matches, "
        f"so what {others} keeps secret from {operator} rests on {operator} running the code honestly"
    )


def learns(contract: Contract, job: Job) -> list[str]:
    """Who learns what, in sentences for the release."""
    seed_owner, owner = contract.dataset[job.seed].owner, contract.dataset[job.people].owner
    readers = _names(sorted(contract.readers(tuple(job.recipients))))
    if isinstance(job, LookalikeJob):
        said = [
            f"{owner} gets IDs of its own people, chosen by a model of {job.seed} fitted in noise (ε {job.epsilon:g})",
            f"{seed_owner} learns nothing from this release; once a campaign runs it sees who arrives, and may infer "
            "that they resemble its buyers: no ε covers that",
            "people on the seed list get no special treatment: the audience is a ranking, not the list",
        ]
    else:
        said = [f"{readers} learns how many records are in both data sets, with noise (ε {job.epsilon:g})"]
    sentence = operator_sentence(contract)
    return [*said, sentence] if sentence else said


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
