"""Model: fit under the threat model `person`, evaluate where also who is there is secret (`policies.jobs.model`).

The fit asks step by step, so its noise is opened first and its sums settled after (`dp.ledger`). Killed in between, it
starts again with the same noise. Two histograms of scores, of held-out seeds and of the others, are drawn beside it.

The code ensures: nothing of a person goes anywhere but into sums that are paid for; bins of columns and of scores
follow from declarations and noisy sums; a score is its own row's, bit for bit; what is released follows from the two
settled statistics.
The caller ensures: the split into parts does not depend on who matched (`crowds.held_out`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED, Statistic
from ...dp.aggregate import histogram as counted
from ...dp.canonical import digest
from ...dp.entry import Purchase
from ...dp.ledger import Ledger
from ...dp.noisy import Noise, Noisy
from ...modelling.blank import PRIOR, STEPS, blank
from ...modelling.design import Block, Design
from ...modelling.evaluate_noisy import evaluate_noisy, planned_halfwidth
from ...modelling.features import Encoder
from ...modelling.grid import BINS, binned, score_ends
from ...modelling.packed import Packed
from ...modelling.person import DPGAM
from ...modelling.scorer import Scorer
from ...policies.check import Allowed
from ...policies.contract import Contract
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ...policies.jobs.model import FIT, SCORES, ModelJob
from ..document import Document, Figure, Strict
from ..matched import read_match
from ..room import Dataset, Room
from .crowds import HELD_OUT, Crowd, held_out, kinds_of, trained_on
from .effects import Effect, effects_json
from .measure import OPEN_SHARE, Contents, Made, Planned

ASSUMED_RATES = (0.25, 0.5, 1.0)
ASSUMED_AUC = 0.75


class Cut(Strict):
    """Everybody in the best score bins, as an audience (`modelling.evaluate_noisy.NoisyCut`)."""

    share: Figure
    gain: Figure
    lift: Figure
    precision: Figure


class ModelRelease(Document):
    """What a model is worth on people held out; the model itself is in model.json. rates: best bin first."""

    kind: Literal["model"]
    held_out: Figure
    positives: Figure
    auc: Figure
    cuts: list[Cut]
    rates: list[Figure]
    effects: Annotated[list[Effect], Field(default_factory=list)]


class ModelMeasure:
    """One opened statistic, and two histograms beside it."""

    document = ModelRelease
    files: frozenset[str] = frozenset({"model.json"})

    def statistics(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        del document
        return (FIT, SCORES)

    def shape(self, contract: Contract, job: Job, statistic: str) -> Shape:
        """Of the scores: a record that goes leaves one of two histograms, and may enter the other."""
        encoder = encoder_of(contract, _asked(job))
        query = digest({"encoder": encoder.digest, "bins": BINS, "prior": PRIOR, "steps": STEPS})
        if statistic == SCORES:
            return Shape(2 * BINS, COUNT_BITS, 2 * COUNT_L2_SQUARED, query)
        empty = blank(_blocks(encoder))
        return Shape(len(empty.values), empty.bits, empty.l2_squared, query)

    def make(self, room: Room, allowed: Allowed, ledger: Ledger) -> Made:
        """`matched` goes into sums that are settled or paid for, and no further."""
        job, held = _asked(allowed.request.job), room.datasets()
        first, second = allowed.purchases
        matched = read_match(room, held[job.people], held[job.seed])
        crowd = crowd_of(room, job, held[job.people])
        encoder, out = crowd.encoder, crowd.held_out
        sums = settled(room, ledger, first, crowd.training, matched[~out])
        learner = DPGAM()
        model = learner.refit(_blocks(encoder), encoder.digest, sums)
        ends = score_ends(_blocks(encoder), sums.values, sums.scale, model)
        cells = binned(model.score(crowd.design.take(out)), ends)
        scores = ledger.paid(second) or ledger.pay(second, histograms(cells, matched[out]))
        values = {**_figures(scores), "effects": effects_json(learner.explained(), encoder)}
        scorer = Scorer.of_apart(encoder, model, learner.doubt)
        return Made((sums, scores), Contents(values, {"model.json": scorer.to_json().encode()}))

    def figures(self, document: Mapping[str, Any], noisy: Sequence[Noisy]) -> dict[str, object]:
        del document
        return _figures(noisy[1])

    def said(self, room: Room, allowed: Allowed) -> tuple[str, ...]:
        del room, allowed
        return ("numbers of people are noisy as well: that somebody is among them is secret too",)

    def precision(self, room: Room, allowed: Allowed) -> tuple[Planned, ...]:
        """Half widths of the AUC for some match rates: the real one is secret."""
        job, spec = _asked(allowed.request.job), allowed.purchases[-1].specification
        sigma = spec.deviation
        rows = {name: held.rows for name, held in room.submitted().items()}
        people, seeds = round(HELD_OUT * rows[job.people]), HELD_OUT * rows[job.seed]
        return tuple(
            Planned(
                "auc",
                f"{rate:.0%} of {job.seed} are among {job.people}, auc {ASSUMED_AUC}",
                planned_halfwidth(round(seeds * rate), people, sigma, ASSUMED_AUC),
                open_from=OPEN_SHARE,
            )
            for rate in ASSUMED_RATES
            if 1 <= round(seeds * rate) < people
        )


def crowd_of(room: Room, job: ModelJob, people: Dataset) -> Crowd:
    """Read the people's table with declared bins, and split it without looking at who matched. Nobody is ranked."""
    table, encoder = room.read(people), encoder_of(room.contract, job)
    keys = table.column("k").to_numpy()
    out = held_out(keys, room.store.derive("split"))
    seeds = trained_on(room.submitted()[job.seed].rows)
    return Crowd(encoder, encoder.encode(table), out, np.zeros_like(keys), seeds)


def settled(room: Room, ledger: Ledger, purchase: Purchase, people: Design, matched: NDArray[np.bool_]) -> Noisy:
    """The noisy sums: found paid, or the noise is opened, fitted with, and they are put in its place."""
    if (before := ledger.paid(purchase)) is not None:
        return before
    packed = Packed.of(people)
    noise = ledger.open(purchase, blank(packed.columns))
    if not isinstance(noise, Noise):  # settled before, for other readers
        return noise
    _, values = DPGAM().fit_opened(packed, matched, noise, room.progress)
    return ledger.settle(purchase, values)


def histograms(cells: NDArray[np.int64], matched: NDArray[np.bool_]) -> Statistic:
    """Held-out seeds in each score bin, and then the others there."""
    both = [counted(cells, each, BINS).values for each in (matched, ~matched)]
    return Statistic(np.concatenate(both), COUNT_BITS, 2 * COUNT_L2_SQUARED)


def _figures(noisy: Noisy) -> dict[str, object]:
    found = evaluate_noisy(noisy.real[:BINS], noisy.real[BINS:], noisy.sigma)
    figures = ("share", "gain", "lift", "precision")
    return {
        "held_out": found.people.as_json(),
        "positives": found.positives.as_json(),
        "auc": found.auc.as_json(),
        "cuts": [{name: getattr(cut, name).as_json() for name in figures} for cut in found.cuts],
        "rates": [rate.as_json() for rate in found.rates],
    }


def encoder_of(contract: Contract, job: ModelJob) -> Encoder:
    declared = contract.dataset[job.people].columns
    return Encoder.from_declared(kinds_of({name: declared[name] for name in job.columns_of(contract)}), job.epsilon)


def _blocks(encoder: Encoder) -> tuple[Block, ...]:
    return tuple(column.block for column in encoder.columns)


def _asked(job: Job) -> ModelJob:
    assert isinstance(job, ModelJob)  # noqa: S101 - measure_of dispatches on the kind
    return job
