"""Invented people as a room would see those of a lookalike, canaries among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...dp.entry import Purchase
from ...modelling.canaries import rows_of
from ...modelling.invented import invented
from ...policies.contract import Contract
from ...policies.jobs.lookalike import LookalikeJob
from ..measure import crowds
from .chance import handles, key, uniform

BACKGROUND = 2_000
SEEDS = 0.01
"""Invented people beside the canaries, and the share of them on the list: few, so that a canary is a surprise."""


def crowd_of(
    contract: Contract, job: LookalikeJob, sums: Purchase | None = None
) -> tuple[crowds.Crowd, NDArray[np.bool_]]:
    """Invented people, canaries first and all in training: as many as one record moves rows.

    They have nothing in common with others; or, where another's row is longer in these sums, they are like that one.
    """
    canaries = job.rows_moved(contract)
    rows = BACKGROUND + canaries
    chosen = np.arange(rows) < canaries
    table = invented(list(crowds.all_kinds(contract, job).values()), rows, chosen, uniform)
    each = handles(rows)
    out = crowds.held_out(each, key()) & ~chosen
    ties = crowds.keyed_hash(each, key())
    seeds = crowds.trained_on(round(SEEDS * rows))
    crowd = crowds.crowd_in(table, contract, job, out, ties, seeds)
    longest = _longest(crowd, sums) if sums else 0
    if longest < canaries:
        return crowd, chosen
    copied = table.take(np.where(chosen, longest, np.arange(rows)))
    return crowds.crowd_in(copied, contract, job, out, ties, seeds), chosen


def _longest(crowd: crowds.Crowd, sums: Purchase) -> int:
    """Whose row is longest, of those who train: the first whose is, to a hundredth."""
    rows = rows_of(crowd.measured(sums.specification))
    lengths = np.concatenate([np.sqrt((each**2).sum(axis=1)) for each in rows])
    return int(np.flatnonzero(~crowd.held_out)[np.argmax(lengths > 0.99 * lengths.max())])
