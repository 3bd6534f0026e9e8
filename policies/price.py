"""What a job pays for, and who pays: the one rule that a room charges by and an auditor recomputes.

Everything here follows from signed bytes alone: the contract, the job and the manifests of what was submitted. So the
noise of a job is the one its ε gives, no more and no less: whoever wants other noise signs another job, and pays.

Who pays: every data set whose owner is not its only reader. Readers are the recipients, and the operator's party
where that is a data party.

A specification says the same thing in one way only, because its digest is what makes a draw unique: columns stand in
the contract's order and carry the name of the data set they belong to, readers are sorted and stand once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..dp.account import Cap
from ..dp.accounting import rho_within
from ..dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED
from ..dp.budget import Budget, Delta, Epsilon, Rho
from ..dp.entry import Charge, Context, Purchase, Specification
from ..dp.scale import Scale, price, smallest_scale
from .agreement import Agreement
from .contract import Contract
from .request import Job, LookalikeJob, OverlapJob, Request

UNIT = "record"
"""What is protected: one submitted record, which its owner has made one person as well as it can."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Cells and lattice of the statistics of a lookalike, as the declared columns fix them (`modelling.features`)."""

    cells: int
    bits: int
    l2_squared: int
    score_cells: int


ShapeOf: TypeAlias = Callable[[Contract, LookalikeJob], Shape]


class EpsilonTooSmall(Exception):
    """No noise that fits the lattice keeps to so small an ε."""


def account(owner: str) -> str:
    """One account per owner and unit."""
    return f"{owner}/{UNIT}"


def caps(agreement: Agreement) -> list[Cap]:
    """One cap per owner and unit, by owner: the smallest that any of its data sets allows."""
    return caps_of(agreement.contract, agreement.digest)


def caps_of(contract: Contract, digest: str) -> list[Cap]:
    """As `caps`, of a contract that is not signed yet. digest: SHA-256 of its bytes, in hex."""
    smallest: dict[str, tuple[Rho, Budget]] = {}
    for rule in contract.dataset.values():
        budget = rule.budget.budget()
        rho = rho_within(budget)
        if rule.owner not in smallest or rho < smallest[rule.owner][0]:
            smallest[rule.owner] = (rho, budget)
    return [
        Cap(account(owner), owner, UNIT, repr(float(b.epsilon)), repr(float(b.delta)), rho, digest)
        for owner, (rho, b) in sorted(smallest.items())
    ]


def context_of(agreement: Agreement, request: Request) -> Context:
    """What an entry says of a request besides its noise."""
    readers = tuple(sorted(set(request.job.recipients)))
    return Context(agreement.digest, request.digest, request.asker, readers, agreement.contract.purpose)


def protected(contract: Contract, job: Job) -> tuple[str, ...]:
    """The data sets that pay, in the job's order."""
    readers = contract.readers(tuple(job.recipients))
    return tuple(name for name in (job.people, job.seed) if readers - {contract.dataset[name].owner})


def delta_of_job(contract: Contract, job: Job) -> Delta:
    """The δ at which a job's ε is priced: the seed's for a lookalike, the smaller of both for a count of both."""
    names = (job.seed,) if isinstance(job, LookalikeJob) else (job.people, job.seed)
    return Delta(min(contract.dataset[name].budget.delta for name in names))


def columns_of(contract: Contract, job: LookalikeJob) -> tuple[str, ...]:
    """The job's columns in the contract's order, whatever order the job names them in."""
    declared = contract.dataset[job.people].columns
    return tuple(name for name in declared if job.columns is None or name in job.columns)


def purchases(
    agreement: Agreement, request: Request, manifests: Mapping[str, str], shape_of: ShapeOf
) -> tuple[Purchase, ...]:
    """The statistics that a job draws, each priced, in order. manifests: data set to digest. Errors: EpsilonTooSmall.

    The caller ensures: the job is one that `check` lets pass.
    """
    contract, job = agreement.contract, request.job
    rho = rho_within(Budget(Epsilon(job.epsilon), delta_of_job(contract, job)))
    base = Specification(
        statistic="matched-count@1",
        datasets={name: manifests[name] for name in sorted((job.people, job.seed))},
        unit=UNIT,
        rule=contract.match.rule,
        part="all",
        columns=(),
        cells=1,
        bits=COUNT_BITS,
        l2_squared=COUNT_L2_SQUARED,
        scale=Scale(1),
    )
    context = context_of(agreement, request)
    if isinstance(job, OverlapJob):
        spec = _with_noise(base, rho)
        return (Purchase(spec, _charges(contract, job, spec), context),)
    return _lookalike(contract, job, base, rho, context, shape_of(contract, job))


def _lookalike(
    contract: Contract, job: LookalikeJob, base: Specification, rho: Rho, context: Context, shape: Shape
) -> tuple[Purchase, Purchase]:
    """The moments pay; the histogram, on the other part of the people, is covered by them."""
    moments = replace(
        base,
        statistic="seed-moments@1",
        part="train",
        columns=tuple(f"{job.people}.{name}" for name in columns_of(contract, job)),
        cells=shape.cells,
        bits=shape.bits,
        l2_squared=shape.l2_squared,
    )
    moments = _with_noise(moments, rho)
    scores = replace(
        base,
        statistic="score-histogram@1",
        part="held-out",
        columns=moments.columns,
        cells=shape.score_cells,
        follows=moments.key,
    )
    scores = _with_noise(scores, price(moments.l2_squared, moments.scale))
    paying = Purchase(moments, _charges(contract, job, moments), context)
    return (paying, Purchase(scores, (), context, beside=paying.key))


def _with_noise(spec: Specification, rho: Rho) -> Specification:
    try:
        return replace(spec, scale=smallest_scale(spec.l2_squared, rho))
    except ValueError:
        raise EpsilonTooSmall from None


def _charges(contract: Contract, job: Job, spec: Specification) -> tuple[Charge, ...]:
    """One charge an account: the two data sets of a job have different owners."""
    cost = price(spec.l2_squared, spec.scale)
    return tuple(Charge(account(contract.dataset[name].owner), name, cost) for name in protected(contract, job))
