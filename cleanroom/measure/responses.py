"""Labels by randomised response: where each person stands, what the labels of those held out are worth, and what a plan
says of labels.

A release of labels says of each person, in the order of the labels, whether it trains or in which score bin it is held
out. From that and the labels, which the ledger committed to, its reader computes every figure once more.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...dp.budget import Budget, Epsilon
from ...dp.labels import unpacked
from ...dp.noisy import Noisy
from ...modelling.evaluate import Evaluation, evaluate_flipped
from ...modelling.length import lengths
from ...modelling.recommend import recommended
from ...modelling.reliable import TRAINS
from ...policies.contract import Contract
from ...policies.jobs.lookalike import LookalikeJob
from ...policies.price import delta_of_job

LEARNS, BEST = ord("."), ord("a")
LABELS = "labels.parquet"
"""The file of a release that holds its labels by token."""


def placed(held_out: NDArray[np.bool_], cell: NDArray[np.int64]) -> str:
    """Where each person stands, by letter: "." for who trains, "a" for the best score bin, "b" for the next.

    cell: the score bin of each who is held out.
    """
    letters = np.full(len(held_out), LEARNS, dtype=np.uint8)
    letters[held_out] = cell + BEST
    return letters.tobytes().decode("ascii")


def labelled(tokens: NDArray[np.uint64], labels: NDArray[np.bool_]) -> bytes:
    """Everybody's label by token, in the order of the tokens, as Parquet: for learners of the reader's own."""
    order, kept = np.argsort(tokens), io.BytesIO()
    pq.write_table(pa.table({"token": tokens[order], "label": labels[order]}), kept)
    return kept.getvalue()


def evaluated(labels: Noisy, places: str, predicted: NDArray[np.float64] | None, bins: int) -> Evaluation:
    """What a model is worth by the labels of those held out. predicted: in each of the score bins.

    Errors: ValueError where labels, places and bins do not fit together.
    """
    letters = np.frombuffer(places.encode("ascii"), dtype=np.uint8)
    yes, held_out = unpacked(labels.values, len(letters)), letters != LEARNS
    counts = [np.bincount(letters[who] - BEST, minlength=bins) for who in (held_out, held_out & yes)]
    if len(counts[0]) != bins or not held_out.any():
        raise ValueError("places and score bins do not fit together")
    totals, seen = (each.astype(np.int64) for each in counts)
    return evaluate_flipped(seen, totals, labels.flip, predicted)


def wrong_said(flip: float) -> str:
    """What a label is worth, in a sentence."""
    return f"every label is wrong with probability {flip:.4g}, drawn for each person apart from all others"


def better_said(contract: Contract, job: LookalikeJob, rows: Mapping[str, int]) -> tuple[str, ...]:
    """Whether sums or labels should teach more at the job's ε, by public sizes; nothing where the contract keeps no ε
    for labels, so that there is no choice."""
    if not contract.dataset[job.seed].budget.responses:
        return ()
    people, seeds = (max(1, round(TRAINS * rows[name])) for name in job.datasets())
    budget = Budget(Epsilon(job.epsilon), delta_of_job(contract, job))
    columns = len(job.columns_of(contract))
    shared = round(columns / lengths(columns, len(job.consider or []))[0] ** 2)  # so many would leave as much noise
    found = recommended(people, shared, seeds, budget, job.rows_moved(contract))
    better = {"sums": "noisy sums", "responses": "randomised labels"}[found.better]
    if math.isinf(found.sums):
        return ("this ε buys no noisy sums, and randomised labels that are hardly more often right than wrong",)
    said = (
        f"at this ε {better} should teach more, by public sizes: were all of {job.seed} matched, noise alone would "
        f"move a person's log-odds by about {found.sums:.2g} in sums and {found.responses:.2g} in labels"
    )
    if found.better == "responses" and found.sums < found.responses:
        said += "; labels are the noisier, but trees learn from them too, and not from sums, which should outweigh that"
    return (said,)
