"""What only a demo can know: how good a lookalike really is.

It looks at exact matches and at a truth that no party has, so it is for generated or published data alone: in a real
room this would be an unpaid release. No command but `passbox demo` calls it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from ..modelling.evaluate import exact
from ..policies.request import Request
from .job import plan, read_match
from .measure.lookalike import fitted
from .room import Room


@dataclass(frozen=True, slots=True)
class Truth:
    """exact_auc: the released AUC without its noise. truth_auc: all true buyers against the others, held out."""

    exact_auc: float
    truth_auc: float


def compare(room: Room, request: Request, ids: Path, truth: Path) -> Truth:
    """Score the released model against what the demo made up. ids: the publisher's. truth: `Sample.truth`."""
    allowed, held = plan(room, request).allowed, room.datasets()
    people = held[request.job.people]
    matched = read_match(room, people, held[request.job.seed])
    with room.ledger() as ledger:
        fit = fitted(room, allowed, ledger, people, matched)
    seen = np.bincount(fit.bins.cell, matched[fit.held_out], minlength=len(fit.bins.totals)).astype(np.int64)
    tokens = pl.DataFrame({"token": room.read(people, ["token"]).column("token").to_numpy()})
    own, known = pl.read_parquet(ids), pl.read_parquet(truth)
    name = known.columns[0]
    joined = tokens.join(own, on="token", how="left", maintain_order="left")
    buyers = joined.join(known, on=name, how="left", maintain_order="left")["is_buyer"].to_numpy()
    return Truth(
        exact_auc=exact(seen, fit.bins.totals).auc.estimate,
        truth_auc=float(roc_auc_score(buyers[fit.held_out], fit.scores[fit.held_out])),
    )
