"""Model: fit under the threat model `person`, evaluate where also who is there is secret (`policies.jobs.model`).

The fit asks step by step, so its noise is opened first and its sums settled after (`dp.ledger`). Killed in between, it
starts again with the same noise. Two histograms of scores, of held-out seeds and of the others, are drawn beside it;
where the job says so, each by how much is known of people as well (`modelling.strata_noisy`).

The code ensures: nothing of a person goes anywhere but into sums that are paid for; bins of columns and of scores
follow from declarations and noisy sums; a score is its own row's, bit for bit; what is released follows from the two
settled statistics.
The caller ensures: the split into parts does not depend on who matched (`crowds.held_out`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED, Statistic
from ...dp.aggregate import histogram as counted
from ...dp.canonical import Json, digest
from ...dp.entry import Purchase
from ...dp.ledger import Ledger
from ...dp.noisy import Noise, Noisy
from ...modelling.blank import PRIOR, STEPS, blank
from ...modelling.design import Block, Design, Mask
from ...modelling.evaluate_noisy import NoisyEvaluation, evaluate_noisy, planned_halfwidth
from ...modelling.features import Encoder
from ...modelling.grid import BINS, FEW_BINS, binned, score_ends
from ...modelling.logistic import sigmoid
from ...modelling.packed import Packed
from ...modelling.person import DPGAM
from ...modelling.scorer import Scorer
from ...modelling.strata_noisy import NoisyQuality, evaluate_noisy_strata, placed, places
from ...policies.check import Allowed
from ...policies.contract import Contract
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ...policies.jobs.model import FIT, SCORES, ModelJob
from ..document import Count, Document, Figure, Share, Strict
from ..matched import read_match
from ..room import Dataset, Room
from .crowds import HELD_OUT, Crowd, held_out, kinds_of, trained_on
from .effects import Effect, effects_json
from .measure import OPEN_SHARE, Contents, Made, Planned, paying

Fitted = Callable[[Design, Mask], Noisy]
"""Noisy sums of people who train, and which of them are seeds."""
Exact = Callable[[], Statistic]
ASSUMED_RATES = (0.25, 0.5, 1.0)
ASSUMED_AUC = 0.75


class Cut(Strict):
    """Everybody in the best score bins, as an audience (`modelling.evaluate_noisy.NoisyCut`)."""

    share: Figure
    gain: Figure
    lift: Figure
    precision: Figure


class Known(Strict):
    """People held out of whom `fewest` to `most` columns are known (`modelling.strata_noisy.NoisyQuality`)."""

    fewest: Count
    most: Count
    people: Figure
    seeds: Figure
    said: Share
    rate: Figure
    auc: Figure
    shrunk_rate: Figure | None
    shrunk_auc: Figure | None
    rates: list[Figure]


class ModelRelease(Document):
    """What a model is worth on people held out; the model itself is in model.json.

    rates: of seeds in each score bin, best first. ends: probabilities at which bins end, best first; releases made
    before there were any have none. by_known: of a job with strata.
    """

    kind: Literal["model"]
    held_out: Figure
    positives: Figure
    auc: Figure
    cuts: list[Cut]
    rates: list[Figure]
    ends: Annotated[list[Share], Field(default_factory=list)]
    effects: Annotated[list[Effect], Field(default_factory=list)]
    by_known: Annotated[list[Known], Field(default_factory=list, exclude_if=lambda value: not value)]

    @model_validator(mode="after")
    def _bins_end_between(self) -> ModelRelease:
        """Every bin but the last has an end, not above that of a better one; none is certain."""
        falls = all(0 < low <= high < 1 for high, low in pairwise([*self.ends[:1], *self.ends]))
        if self.ends and (len(self.ends) + 1 != len(self.rates) or not falls):
            raise ValueError("rates and ends do not go together")
        return self


class ModelMeasure:
    """One opened statistic, and two histograms beside it."""

    document = ModelRelease
    files: frozenset[str] = frozenset({"model.json"})

    def statistics(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        del document
        return (FIT, SCORES)

    def shape(self, contract: Contract, job: Job, statistic: str) -> Shape:
        """Of the scores: a record that goes leaves one of two histograms, and may enter the other."""
        encoder, bins = encoder_of(contract, _asked(job)), _bins(contract, _asked(job))
        asked: dict[str, Json] = {"encoder": encoder.digest, "bins": BINS, "prior": PRIOR, "steps": STEPS}
        if statistic == SCORES:
            by: dict[str, Json] = {"by": "known columns", "bins": bins} if _asked(job).strata else {}
            return Shape(2 * bins, COUNT_BITS, 2 * COUNT_L2_SQUARED, digest({**asked, **by}))
        empty = blank(_blocks(encoder))
        return Shape(len(empty.values), empty.bits, empty.l2_squared, digest(asked))

    def make(self, room: Room, allowed: Allowed, ledger: Ledger) -> Made:
        """`matched` goes into sums that are settled or paid for, and no further."""
        job, held = _asked(allowed.request.job), room.datasets()
        first, second = allowed.purchases
        matched = read_match(room, held[job.people], held[job.seed])
        crowd = crowd_of(room, job, held[job.people])

        def fitted(people: Design, seeds: Mask) -> Noisy:
            return settled(room, ledger, first, people, seeds)

        return made(crowd, job, matched, fitted, partial(paying(ledger), second))

    def figures(self, document: Mapping[str, Any], noisy: Sequence[Noisy]) -> dict[str, object]:
        """How many columns there are says the entry of the counts, which the noisy numbers were held against."""
        strata = len(noisy[1].values) != 2 * BINS
        if strata != bool(document.get("by_known")):
            raise ValueError("counts and strata do not go together")
        if not strata:
            return _figures(noisy[1])
        entry = json.loads(document["receipt"]["entries"][1]["entry"])
        return _by_known(noisy[1], len(entry["specification"]["columns"]), document["ends"])

    def said(self, room: Room, allowed: Allowed) -> tuple[str, ...]:
        """Sizes are noisy. With strata: in how many groups people are counted."""
        job = _asked(allowed.request.job)
        sizes = "numbers of people are noisy as well: that somebody is among them is secret too"
        if not job.strata:
            return (sizes,)
        groups = _bins(room.contract, job) // FEW_BINS
        return (
            sizes,
            f"people held out are counted in {groups} groups by how many columns are known of a person, and in "
            f"{FEW_BINS} score bins in each; figures of all people are sums over groups, with the noise of all",
        )

    def precision(self, room: Room, allowed: Allowed) -> tuple[Planned, ...]:
        """Half widths of the AUC for some match rates: the real one is secret."""
        job, spec = _asked(allowed.request.job), allowed.purchases[-1].specification
        counts = _bins(room.contract, job) // (FEW_BINS if job.strata else BINS)
        sigma = spec.deviation * counts**0.5
        rows = {name: held.rows for name, held in room.submitted().items()}
        people, seeds = round(HELD_OUT * rows[job.people]), HELD_OUT * rows[job.seed]
        return tuple(
            Planned(
                "auc",
                f"{rate:.0%} of {job.seed} are among {job.people}, auc {ASSUMED_AUC}",
                planned_halfwidth(round(seeds * rate), people, sigma, ASSUMED_AUC, job.strata),
                open_from=OPEN_SHARE,
            )
            for rate in ASSUMED_RATES
            if 1 <= round(seeds * rate) < people
        )


def made(crowd: Crowd, job: ModelJob, matched: Mask, fitted: Fitted, pay: Callable[[Exact], Noisy]) -> Made:
    """Everything that follows from the noisy sums, and from counts of who was held out. fitted: makes and settles the
    sums over those who train. pay: for the counts."""
    encoder, out = crowd.encoder, crowd.held_out
    sums = fitted(crowd.training, matched[~out])
    learner, columns = DPGAM(), len(encoder.columns)
    model = learner.refit(_blocks(encoder), encoder.digest, sums)
    ends = score_ends(_blocks(encoder), sums.values, sums.scale, model, few=job.strata)
    cells = binned(model.score(crowd.design.take(out)), ends)
    if job.strata:
        cells = placed(cells, crowd.known[out], columns)
    scores = pay(lambda: histograms(cells, matched[out], places(columns) if job.strata else BINS))
    told = sigmoid(ends[::-1]).tolist()
    figures = _by_known(scores, columns, told) if job.strata else _figures(scores)
    values = {**figures, "ends": told, "effects": effects_json(learner.explained(), encoder)}
    scorer = Scorer.of_apart(encoder, model, learner.doubt)
    return Made((sums, scores), Contents(values, {"model.json": scorer.to_json().encode()}))


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


def histograms(cells: NDArray[np.int64], matched: NDArray[np.bool_], bins: int = BINS) -> Statistic:
    """Held-out seeds in each bin, and then the others there."""
    both = [counted(cells, each, bins).values for each in (matched, ~matched)]
    return Statistic(np.concatenate(both), COUNT_BITS, 2 * COUNT_L2_SQUARED)


def _bins(contract: Contract, job: ModelJob) -> int:
    """How many bins a histogram has: of scores, or of scores by how much is known."""
    return places(len(job.columns_of(contract))) if job.strata else BINS


def _figures(noisy: Noisy) -> dict[str, object]:
    return _told(evaluate_noisy(noisy.real[:BINS], noisy.real[BINS:], noisy.sigma))


def _by_known(noisy: Noisy, columns: int, ends: Sequence[float]) -> dict[str, object]:
    """Figures of all people, and of each stratum. ends: of the document."""
    odds = np.array(ends[::-1], dtype=np.float64)
    positives, rest = np.split(noisy.real, 2)
    whole, each = evaluate_noisy_strata(positives, rest, noisy.sigma, columns, np.log(odds) - np.log1p(-odds))
    return {**_told(whole), "by_known": [_known(one) for one in each]}


def _known(one: NoisyQuality) -> dict[str, object]:
    figures = {"people": one.of.people, "seeds": one.of.positives, "rate": one.rate, "auc": one.of.auc}
    drawn = {"shrunk_rate": one.shrunk_rate, "shrunk_auc": one.shrunk_auc}
    return {
        "fewest": one.fewest,
        "most": one.most,
        "said": one.said,
        **{name: figure.as_json() for name, figure in figures.items()},
        **{name: figure and figure.as_json() for name, figure in drawn.items()},
        "rates": [rate.as_json() for rate in one.of.rates],
    }


def _told(found: NoisyEvaluation) -> dict[str, object]:
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
