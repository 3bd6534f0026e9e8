"""What only a demo does: share one ε among its jobs, and find out how good a lookalike really is.

`compare` looks at exact matches and at a truth that no party has, so it is for generated or published data alone: in a
real room this would be an unpaid release. No command but `passbox demo` calls it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ..dp.accounting import largest_job, rho_within
from ..dp.budget import Budget, Delta, Epsilon, Rho
from ..modelling.evaluate import exact
from ..policies.contract import Contract
from ..policies.jobs.lookalike import LookalikeJob
from ..policies.request import Request
from .job import plan, read_match
from .measure.fitted import fitted
from .room import Room

OVERLAP = 16
"""A sixteenth of ρ goes to the overlap: as ρ grows with the square of ε, about a quarter of ε."""


def share(contract: Contract, people: str, seed: str, epsilon: float) -> tuple[Epsilon, Epsilon]:
    """ε of an overlap and of a lookalike which together spend at most ε of the seed's owner, and the overlap less of
    the other. ε does not add up, so ρ is shared. people, seed: data sets."""
    delta = Delta(contract.dataset[seed].budget.delta)
    smaller = Delta(min(delta, contract.dataset[people].budget.delta))
    whole = rho_within(Budget(Epsilon(epsilon), delta))
    overlap = largest_job(Rho(whole // OVERLAP), smaller)
    rest = Rho(whole - rho_within(Budget(overlap, smaller)))
    return overlap, largest_job(rest, delta)


@dataclass(frozen=True, slots=True)
class Truth:
    """exact_auc: the released AUC without its noise. truth_auc: all true buyers against the others, held out, by score
    instead of score bin. unlisted: true buyers among the people whom no seed matches."""

    exact_auc: float
    truth_auc: float
    unlisted: int


def compare(room: Room, request: Request, ids: Path, truth: Path) -> Truth:
    """Score the released model against what the demo made up. ids: the publisher's. truth: `Sample.truth`."""
    from sklearn.metrics import roc_auc_score

    allowed, held, job = plan(room, request).allowed, room.datasets(), request.job
    assert isinstance(job, LookalikeJob)  # noqa: S101 - the demo drafted it
    people = held[job.people]
    matched = read_match(room, people, held[job.seed])
    with room.ledger() as ledger:
        fit = fitted(room, job, allowed.purchases, ledger, people, matched)
    seen = np.bincount(fit.bins.cell, matched[fit.held_out], minlength=len(fit.bins.totals)).astype(np.int64)
    tokens = pl.DataFrame({"token": room.read(people, ["token"]).column("token").to_numpy()})
    own, known = pl.read_parquet(ids), pl.read_parquet(truth)
    name = known.columns[0]
    joined = tokens.join(own, on="token", how="left", maintain_order="left")
    buyers = joined.join(known, on=name, how="left", maintain_order="left")["is_buyer"].to_numpy().astype(np.bool_)
    return Truth(
        exact_auc=exact(seen, fit.bins.totals).auc.estimate,
        truth_auc=float(roc_auc_score(buyers[fit.held_out], fit.scores[fit.held_out])),
        unlisted=int((buyers & ~matched).sum()),
    )
