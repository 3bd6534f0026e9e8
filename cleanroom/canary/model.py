"""What a model gives away (`canary`): of a person who is there, as a seed, or is not."""

from __future__ import annotations

from functools import partial

import numpy as np

from ...dp.rehearsal import rehearsed
from ...modelling.canaries import moved, person_attack
from ...modelling.completion import known_columns
from ...modelling.grid import BINS, FEW_BINS
from ...modelling.invented import invented
from ...modelling.strata_noisy import placed, places
from ...policies.contract import Contract
from ...policies.jobs.model import ModelJob
from ..measure import model
from ..progress import Progress
from .buying import bought
from .chance import coins, uniform
from .crowd import SEEDS
from .finding import ONE_RUN, Finding, Trial

BACKGROUND = 20_000
"""Invented people beside the canary: a fit of few comes to say of it what it is."""


def of_model(
    contract: Contract, data: bytes, job: ModelJob, runs: int, progress: Progress
) -> tuple[list[Finding], tuple[str, ...]]:
    """The job as it is; and with strata, where it has columns enough. data: the contract's bytes."""
    first, second = bought(contract, data, job)
    moves = job.rows_moved(contract)
    rows = BACKGROUND + moves
    canaries = np.arange(rows) < moves
    encoder = model.encoder_of(contract, job)
    kinds = [column.kind for column in encoder.columns]
    design = encoder.encode(invented(kinds, rows, canaries, uniform))
    listed = coins(rows, SEEDS) & ~canaries
    columns, said = len(kinds), "one person more on the list, and one fewer of the others"
    trial = Trial(runs, progress, 3 if columns > 1 else 2)
    attack = person_attack(design, listed, canaries, partial(rehearsed, first))
    findings = [
        trial.between("fit", "a seed with the longest row there can be, there or not: all steps", attack, first)
    ]
    binned = (uniform(rows) * BINS).astype(np.int64)
    outside, inside = (model.histograms(binned, label) for label in (listed, listed | canaries))
    findings.append(trial.between("scores", said, moved(partial(rehearsed, second), outside, inside), second))
    if columns > 1:
        _, third = bought(contract, data, job.model_copy(update={"strata": True}))
        cells = placed((uniform(rows) * FEW_BINS).astype(np.int64), known_columns(design), columns)
        outside, inside = (model.histograms(cells, label, places(columns)) for label in (listed, listed | canaries))
        what = f"{said}, of whom as much is known"
        findings.append(trial.between("strata", what, moved(partial(rehearsed, third), outside, inside), third))
    return findings, (ONE_RUN,)
