"""What a job pays for, and who pays: the one rule that a room charges by and an auditor recomputes.

Everything here follows from signed bytes alone: the contract, the job and the manifests of what was submitted. So the
noise of a job is the one its ε gives, no more and no less: whoever wants other noise signs another job, and pays.

Who pays: every data set whose owner is not its only reader. Readers are the recipients, and the operator's party
where that is a data party.

One record may move several matched rows: as many as the contract's rule declares for the side that pays, the larger
number where both do (`matching.rules`). Its squared sensitivity is that number squared times that of one row.

A specification says the same thing in one way only, because its digest is what makes a draw unique: columns stand in
the contract's order and carry the name of the data set they belong to, readers are sorted and stand once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..dp.accounting import rho_within
from ..dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED
from ..dp.budget import Budget, Delta, Epsilon, Rho
from ..dp.entry import Charge, Context, Purchase, Specification
from ..dp.scale import Scale
from .accounts import UNIT, account, responses_account, selection_account
from .agreement import Agreement
from .contract import Contract
from .jobs.draw import Draw, Shape
from .jobs.job import Job, ShapeOf

if TYPE_CHECKING:
    from .request import Request


def context_of(agreement: Agreement, request: Request) -> Context:
    """What an entry says of a request besides its noise."""
    readers = tuple(sorted(set(request.job.recipients)))
    return Context(agreement.digest, request.digest, request.asker, readers, agreement.contract.purpose)


def protected(contract: Contract, job: Job) -> tuple[str, ...]:
    """The data sets that pay, in the job's order."""
    readers = contract.readers(tuple(job.recipients))
    return tuple(name for name in job.datasets() if readers - {contract.dataset[name].owner})


def delta_of_job(contract: Contract, job: Job) -> Delta:
    """The δ at which a job's ε is priced: the smallest of the data sets that it is priced by."""
    return Delta(min(contract.dataset[name].budget.budget().delta for name in job.priced_by()))


def purchases(
    agreement: Agreement, request: Request, manifests: Mapping[str, str], shape_of: ShapeOf
) -> tuple[Purchase, ...]:
    """The statistics that a job draws, each priced, in order. manifests: data set to digest. Errors: EpsilonTooSmall.

    The caller ensures: the job is one that `check` lets pass.
    """
    contract, job = agreement.contract, request.job
    moved = job.rows_moved(contract) ** 2
    rho = rho_within(Budget(Epsilon(job.epsilon), delta_of_job(contract, job)))
    base = Specification(
        statistic="matched-count@1",
        datasets={name: manifests[name] for name in sorted(job.datasets())},
        unit=UNIT,
        rule=contract.match.rule,
        part="all",
        columns=(),
        cells=1,
        bits=COUNT_BITS,
        l2_squared=COUNT_L2_SQUARED * moved,
        scale=Scale(1),
    )
    context = context_of(agreement, request)
    draws = job.draws(contract, base, rho, _of_a_record(shape_of, moved))
    return tuple(_bought(contract, job, draw, context) for draw in draws)


def _of_a_record(shape_of: ShapeOf, moved: int) -> ShapeOf:
    """Shapes as one record moves them. moved: the square of how many rows it moves, all of them one way at worst."""

    def scaled(contract: Contract, job: Job, statistic: str) -> Shape:
        shape = shape_of(contract, job, statistic)
        return replace(shape, l2_squared=shape.l2_squared * moved)

    return scaled


def _bought(contract: Contract, job: Job, draw: Draw, context: Context) -> Purchase:
    """A draw that is covered by another has no charges of its own."""
    spec, paying = draw.specification, () if draw.beside else _paying(contract, job)
    cost, of = (spec.cost, account) if draw.flipped is None else (draw.flipped, responses_account)
    charges = tuple(Charge(of(owner), name, cost) for owner, name in paying)
    selecting = tuple(Charge(selection_account(owner), name, Rho(spec.selection)) for owner, name in paying)
    return Purchase(
        spec,
        charges,
        context,
        draw.beside,
        draw.opened,
        draw.veil,
        draw.selection,
        selecting if draw.selection else (),
    )


def _paying(contract: Contract, job: Job) -> tuple[tuple[str, str], ...]:
    """Every owner that pays, in the name of the first of its data sets that does."""
    paying = {contract.dataset[name].owner: name for name in reversed(protected(contract, job))}
    return tuple(reversed(paying.items()))
