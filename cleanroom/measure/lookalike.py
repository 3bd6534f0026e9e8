"""Lookalike: fit on the seed through one noisy sum, choose the people most like it, evaluate on people held out.

Two noisy statistics are paid for: feature sums over the seeds among the training people, and a histogram of scores
over the seeds among the held-out people. A person is in one part or the other by a keyed hash of the handle, which
knows nothing of seeds, so that one seed moves one of the two: the job costs the larger, not the sum. Where the job says
so, the histogram tells people apart by how much is known of them as well (`measure.strata`). Where learners are
compared, counts of training seeds by groups of like people are a third, with a price of its own (`modelling.contest`).
Everything else, the models, the choice among them, the curves, the audience of any size, is computed from those noisy
integers and the publisher's own table.

A job of randomised labels pays for one label of every person instead, held out or not, and all else follows from those
(`measure.responses`).

The code ensures: nothing after `pay` sees a label; ties at the audience's cut are broken by a keyed hash; rows leave
in the order of their tokens, never in the order of a join.
The caller ensures: the reader owns the features (`policies.jobs.lookalike` refuses others).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED, Statistic, histogram
from ...dp.canonical import digest
from ...dp.entry import Purchase
from ...dp.flip import FLIP_UNIT
from ...dp.labels import Labels, unpacked
from ...dp.ledger import Ledger
from ...dp.noisy import Z95, Noisy
from ...dp.scale import SCALE_UNIT
from ...modelling.answers import STRATA as QUARTERS
from ...modelling.boosting import Counts
from ...modelling.considered import Adds, ranked, summed
from ...modelling.contest import Learnt, Standing, contest
from ...modelling.design import BITS, MOMENTS_L2_SQUARED, Design
from ...modelling.effects import ColumnEffect
from ...modelling.evaluate import (
    CUTS,
    MOST_BINS,
    Evaluation,
    ScoreBins,
    evaluate,
    planned_auc_halfwidth,
)
from ...modelling.features import most_cells
from ...modelling.groups import MOST_GROUPS, group, how_many
from ...modelling.lookalike import SeedGLM
from ...modelling.responses import Responses, additive, learn
from ...modelling.scorer import Scorer
from ...modelling.strata import MOST_CELLS, ZONES, StratumCells
from ...modelling.strategy import Rows
from ...modelling.trees import Boosted
from ...modelling.wide import WideGLM, learnt
from ...policies.check import Allowed
from ...policies.contract import Contract
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ...policies.jobs.lookalike import (
    GROUPS,
    MOMENTS,
    MOST_BOOSTED,
    RESPONSES,
    SCORES,
    STRATA,
    AudienceSize,
    Learner,
    LookalikeJob,
)
from ..document import Count, Document, Figure, Share, Strict
from ..matched import read_match
from ..progress import Stages
from ..room import Dataset, Room
from .audience import Audience, chosen
from .considered import Consideration, considered_json, share_said
from .considered import cells_of as considered_cells
from .crowds import HELD_OUT, Crowd, all_kinds, crowd_of, declared_kinds
from .effects import Effect, effects_json
from .measure import Contents, Made, Planned
from .responses import LABELS, better_said, evaluated, labelled, placed, wrong_said
from .strata import CellLetters, Known, by_known_said, cells_of, lettered, of_counts, of_labels, strata_in
from .unsure import Stratum, strata_of

ASSUMED_RATES = (0.25, 0.5, 0.75, 1.0)
"""Match rates for which a plan says how exact a number would be: the real one is secret."""
ASSUMED_AUC = 0.75


class Cut(Strict):
    """The best `people` as an audience (`modelling.evaluate.Cut`)."""

    share: Share
    people: Count
    gain: Figure
    lift: Figure
    precision: Figure
    false_positives: Figure


class Bin(Strict):
    """What the model said of the people in one score bin, and what came true."""

    people: Count
    predicted: Share | None
    rate: Figure


class Learned(Strict):
    """A learner that was compared: `modelling.contest.Standing`. lead: null for the one named first."""

    name: Learner
    gain: Figure
    lead: Figure | None
    won: bool


Letters = Annotated[str, Field(pattern="^[.a-o]+$")]


class Lookalike(Document):
    """An audience, and what its model is worth on people held out. learners: empty where none were compared.

    wide: fitted by the learner for wide tables, which says nothing of effects (`modelling.wide`).
    places: of a model of randomised labels, where each person stands, by letter, in the order of the labels: "." for
    who trains, "a" for the best score bin of those held out, "b" for the next.
    by_known: of a job with strata, or of randomised labels. cells: of the latter, in which of its cells each person is.
    """

    kind: Literal["lookalike"]
    people: Count
    audience: Audience
    learners: list[Learned]
    held_out: Count
    positives: Figure
    auc: Figure
    cuts: list[Cut]
    calibration: list[Bin]
    effects: Annotated[list[Effect], Field(default_factory=list)]
    considered: Annotated[list[Consideration], Field(default_factory=list, exclude_if=lambda value: not value)]
    strata: Annotated[list[Stratum], Field(default_factory=list)]
    wide: bool = Field(default=False, exclude_if=lambda value: not value)
    places: Letters | None = Field(default=None, exclude_if=lambda value: value is None)
    by_known: Annotated[list[Known], Field(default_factory=list, exclude_if=lambda value: not value)]
    cells: CellLetters | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _letters_go_together(self) -> Lookalike:
        """Randomised labels tell strata always, and say twice of everybody where it is held out."""
        held = [None if said is None else [letter == "." for letter in said] for said in (self.places, self.cells)]
        if held[0] != held[1] or (self.places is not None and not self.by_known):
            raise ValueError("places, cells and by_known do not go together")
        return self


class LookalikeMeasure:
    """Two noisy statistics, and an audience."""

    document = Lookalike
    files = frozenset({"audience.parquet", "model.json"})

    def statistics(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        if document.get("places") is not None:
            return (RESPONSES,)
        scores = STRATA if document.get("by_known") else SCORES
        return (MOMENTS, GROUPS, scores) if document["learners"] else (MOMENTS, scores)

    def shape(self, contract: Contract, job: Job, statistic: str) -> Shape:
        if statistic == RESPONSES:
            return Shape(1, 0, 1)
        if statistic == SCORES:
            return Shape(MOST_BINS, COUNT_BITS, COUNT_L2_SQUARED)
        if statistic == STRATA:
            return Shape(MOST_CELLS, COUNT_BITS, COUNT_L2_SQUARED)
        if statistic == GROUPS:
            asked = digest({"groups": MOST_GROUPS, "dealt": "halved@1", "learners": [*_asked(job).learners]})
            return Shape(MOST_GROUPS, COUNT_BITS, COUNT_L2_SQUARED, asked)
        considered = considered_cells(all_kinds(contract, _asked(job)), _asked(job).considered_of(contract))
        return Shape(most_cells(declared_kinds(contract, _asked(job))) + considered + 1, BITS, MOMENTS_L2_SQUARED)

    def make(self, room: Room, allowed: Allowed, ledger: Ledger) -> Made:
        """`matched` goes no further than `Ledger.pay`."""
        job, held = _asked(allowed.request.job), room.datasets()
        matched = read_match(room, held[job.people], held[job.seed])
        make = responded if job.randomised else fitted
        fit = make(room, allowed, ledger, held[job.people], matched)
        tokens = room.read(held[job.people], ["token"]).column("token").to_numpy()
        return Made(fit.noisy, contents(fit, tokens, job.audience, room.contract.rules.smallest_audience))

    def figures(self, document: Mapping[str, Any], noisy: Sequence[Noisy]) -> dict[str, object]:
        if document.get("places") is not None:
            places, bins = document["places"], document["calibration"]
            figures = _figures(evaluated(noisy[0], places, _predicted(bins), len(bins)))
            known = of_labels(noisy[0], document["cells"], strata_in(document["by_known"]))
            return {"people": len(places), **figures, **({"by_known": known} if known else {})}
        if document.get("by_known"):
            whole, each = of_counts(noisy[-1], strata_in(document["by_known"]))
            return {**_figures(whole), "by_known": each}
        return reread(noisy[-1], document["calibration"])

    def said(self, room: Room, allowed: Allowed) -> tuple[str, ...]:
        """Everybody counts. Where learners are compared: on how many groups, as far as public sizes tell."""
        job = _asked(allowed.request.job)
        better = better_said(room.contract, job, {name: held.rows for name, held in room.submitted().items()})
        if job.randomised:
            return (wrong_said(allowed.purchases[0].specification.flip / FLIP_UNIT), *better)
        strata = by_known_said(job.strata)
        shared = share_said(len(job.columns_of(room.contract)), job.considered_of(room.contract))
        if not job.compares:
            return (*shared, *better, *strata)
        people = round((1 - HELD_OUT) * room.submitted()[job.people].rows)
        variance = variance_of(allowed.purchases[1])
        many = how_many(people, variance)
        return (
            *shared,
            *strata,
            f"learners are compared on about {many:,} groups of {people // many:,} people; noise in a group's count is "
            f"within ±{Z95 * variance**0.5:,.1f} nineteen times in twenty",
        )

    def precision(self, room: Room, allowed: Allowed) -> tuple[Planned, ...]:
        """Half widths of the AUC for some match rates: the real one is secret."""
        job, spec = _asked(allowed.request.job), allowed.purchases[-1].specification
        flip = spec.flip / FLIP_UNIT
        sigma, counted = 0.0 if flip else spec.scale / SCALE_UNIT / 2**spec.bits, spec.statistic == STRATA
        rows = {name: held.rows for name, held in room.submitted().items()}
        people, seeds = round(HELD_OUT * rows[job.people]), rows[job.seed]
        cuts, many, words = (ZONES, QUARTERS, ", all strata filled") if counted else (CUTS, 1, "")
        return tuple(
            Planned(
                "auc",
                f"{rate:.0%} of {job.seed} are among {job.people}, auc {ASSUMED_AUC}{words}",
                planned_auc_halfwidth(
                    round(HELD_OUT * seeds * rate), people, sigma * math.sqrt(many), ASSUMED_AUC, flip, cuts
                ),
            )
            for rate in ASSUMED_RATES
            if 1 <= round(HELD_OUT * seeds * rate) < people
        )


def _asked(job: Job) -> LookalikeJob:
    assert isinstance(job, LookalikeJob)  # noqa: S101 - MEASURES dispatches on the kind
    return job


@dataclass(frozen=True, slots=True)
class Fitted:
    """A paid model and what it says of everybody, in the room's row order.

    scores: log-odds. held_out: (rows,) bool. bins: of the held-out people by score. noisy: the paid statistics.
    standings: of the learners that were compared. effects: of the additive model, where that is the one and
    the table not wide. strata, places, by_known, cells: as of `Lookalike`. known: columns that are known of each.
    """

    scorer: Scorer
    effects: tuple[ColumnEffect, ...]
    scores: NDArray[np.float64]
    tiebreak: NDArray[np.uint64]
    held_out: NDArray[np.bool_]
    known: NDArray[np.int64]
    bins: ScoreBins
    evaluation: Evaluation
    noisy: tuple[Noisy, ...]
    standings: tuple[Standing, ...] = ()
    strata: Sequence[Mapping[str, float]] = ()
    wide: bool = False
    places: str | None = None
    by_known: Sequence[Mapping[str, object]] = ()
    cells: str | None = None
    considered: tuple[Adds, ...] = ()


def moments(crowd: Crowd, people: Rows, matched: NDArray[np.bool_], cells: int) -> Statistic:
    """Exact feature sums over the seeds that train, those of what is considered last. people: those who train, as they
    are measured."""
    trains = matched[~crowd.held_out]
    if crowd.considered is None:
        return _padded(people.moments(trains), cells)
    return _padded(summed(people, crowd.considered.take(~crowd.held_out), trains), cells)


def positives(crowd: Crowd, bins: ScoreBins | StratumCells, matched: NDArray[np.bool_], cells: int) -> Statistic:
    """Exact counts of the seeds that were held out, by score, or by stratum and score."""
    return histogram(bins.cell, matched[crowd.held_out], cells)


Pay: TypeAlias = Callable[[Purchase, Callable[[], Statistic]], Noisy]
"""Finds a paid statistic, or makes the exact one and pays for its noisy twin."""


def fitted(room: Room, allowed: Allowed, ledger: Ledger, people: Dataset, matched: NDArray[np.bool_]) -> Fitted:
    """Pay for the statistics, or find them paid, and make of them what follows."""
    job = _asked(allowed.request.job)

    def pay(purchase: Purchase, exact: Callable[[], Statistic]) -> Noisy:
        return ledger.paid(purchase) or ledger.pay(purchase, exact())

    stages = Stages(stages_of(allowed.purchases), room.progress)
    crowd = crowd_of(room, job, people)
    stages.passed()
    return fitted_to(crowd, matched, job, allowed.purchases, pay, stages)


def stages_of(purchases: Sequence[Purchase]) -> int:
    """People are read, and measured; the model is fitted, learners compared, people scored and the model evaluated."""
    return 2 + len(purchases)


def fitted_to(
    crowd: Crowd,
    matched: NDArray[np.bool_],
    job: LookalikeJob,
    purchases: Sequence[Purchase],
    pay: Pay,
    stages: Stages | None = None,
) -> Fitted:
    """`matched` goes into what is paid for, and no further. stages: of which people are read already."""
    first, *between, second = purchases
    stages = stages or Stages(stages_of(purchases))
    trained = crowd.measured()
    stages.passed()
    sums = pay(first, lambda: moments(crowd, trained, matched, first.specification.cells))
    learner = learnt(trained, used(crowd.training, sums))
    glm = learner.model_
    stages.passed()
    model: Learnt = glm
    noisy, standings = [sums], list[Standing]()
    for purchase in between:
        ordered = crowd.ordered
        dealt = group(crowd.training, glm, ordered, how_many(crowd.training.rows, variance_of(purchase)))
        seeds = pay(purchase, partial(in_groups, crowd, dealt, matched))
        counts = Counts(dealt, seeds.real[: int(dealt.max()) + 1], variance_of(purchase))
        standings = contest(trained, glm, used(crowd.training, sums), ordered, counts, job.learners)
        model, noisy = next(each.model for each in standings if each.won), [sums, seeds]
        stages.passed()
    additive = all(each.learner == "glm" for each in standings if each.won)
    scores = model.score(crowd.design)
    held = crowd.design.take(crowd.held_out)
    people = scores[crowd.held_out], crowd.tiebreak[crowd.held_out]
    bins, cells = ScoreBins.of(*people), cells_of(held, *people) if job.strata else None
    found = pay(second, lambda: positives(crowd, cells or bins, matched, second.specification.cells))
    told = of_counts(found, cells.strata) if cells else (evaluate(found, bins.totals, bins.predicted), [])
    kept = (*noisy, found), tuple(standings)
    sure = learner if additive and isinstance(learner, SeedGLM) else None
    scorer = Scorer.of(crowd.encoder, glm, sure.doubt) if sure else Scorer(crowd.encoder, model)
    made = scorer, sure.explained() if sure else ()
    wide = additive and isinstance(learner, WideGLM)
    rows, said = (crowd.tiebreak, crowd.held_out), strata_of(scorer, held)
    fit = Fitted(*made, scores, *rows, crowd.known, bins, told[0], *kept, strata=said, wide=wide)
    fit = replace(fit, by_known=told[1], considered=would_add(crowd, learner, sums))
    stages.passed()
    return fit


def would_add(crowd: Crowd, learner: SeedGLM | WideGLM, sums: Noisy) -> tuple[Adds, ...]:
    """How much what is considered would add to the additive model, whoever made the audience."""
    if crowd.considered is None or not isinstance(learner, SeedGLM):
        return ()
    cells = crowd.design.cells
    return ranked(learner, crowd.considered.take(~crowd.held_out), sums.real[cells : cells + crowd.considered.cells])


def responded(room: Room, allowed: Allowed, ledger: Ledger, people: Dataset, matched: NDArray[np.bool_]) -> Fitted:
    """The same of a job of randomised labels."""
    job = _asked(allowed.request.job)

    def pay(purchase: Purchase, exact: Callable[[], Labels]) -> Noisy:
        return ledger.paid(purchase) or ledger.respond(purchase, exact())

    exact, stages = Labels(matched, job.rows_moved(room.contract)), Stages(3, room.progress)
    crowd = crowd_of(room, job, people)
    stages.passed()
    return responded_to(crowd, exact, allowed.purchases[0], pay, stages)


def responded_to(
    crowd: Crowd,
    exact: Labels,
    purchase: Purchase,
    pay: Callable[[Purchase, Callable[[], Labels]], Noisy],
    stages: Stages | None = None,
) -> Fitted:
    """`exact` goes into what is paid for, and no further: a model of the labels of those who train, and what it is
    worth by those of the others. stages: people are read already, a model is fitted, and evaluated."""
    stages = stages or Stages(3)
    noisy = pay(purchase, lambda: exact)
    labels = unpacked(noisy.values, crowd.design.rows)
    model, effects = learnt_from(crowd, labels[~crowd.held_out], noisy.flip)
    stages.passed()
    scores = model.score(crowd.design)
    people = scores[crowd.held_out], crowd.tiebreak[crowd.held_out]
    bins, cells = ScoreBins.of(*people), cells_of(crowd.design.take(crowd.held_out), *people)
    places, letters = placed(crowd.held_out, bins.cell), lettered(crowd.held_out, cells)
    evaluation = evaluated(noisy, places, bins.predicted, len(bins.totals))
    known = of_labels(noisy, letters, cells.strata)
    made, rows = (Scorer(crowd.encoder, model), effects), (crowd.tiebreak, crowd.held_out)
    stages.passed()
    return Fitted(
        *made, scores, *rows, crowd.known, bins, evaluation, (noisy,), places=places, by_known=known, cells=letters
    )


def learnt_from(crowd: Crowd, labels: NDArray[np.bool_], flip: float) -> tuple[Learnt, tuple[ColumnEffect, ...]]:
    """What the labels of those who train teach, and the effects of its columns where the model is additive.

    Trees take on as many columns as they do elsewhere (`MOST_BOOSTED`); above that the model is additive.
    """
    wide = len(crowd.training.columns) > MOST_BOOSTED
    model = None if wide else learn(crowd.training, crowd.ordered, labels, flip)
    if isinstance(model, Boosted):
        return model, ()
    alone = additive(crowd.training, Responses(labels, flip))
    return model or alone.model_, alone.explained()


def variance_of(purchase: Purchase) -> float:
    """Of the noise in one count, in people: known before anything is paid."""
    spec = purchase.specification
    return float((spec.scale / SCALE_UNIT / 2**spec.bits) ** 2)


def in_groups(crowd: Crowd, dealt: NDArray[np.int64], matched: NDArray[np.bool_]) -> Statistic:
    """Exact counts, by group, of the seeds that train."""
    return histogram(dealt, matched[~crowd.held_out], MOST_GROUPS)


def _padded(sums: Statistic, cells: int) -> Statistic:
    """Empty cells up to the declared number: how many bins the owner's numbers fill is nobody else's to know.

    The count stays the last cell.
    """
    values = np.zeros(cells, dtype=np.int64)
    values[: len(sums.values) - 1] = sums.values[:-1]
    values[-1] = sums.values[-1]
    return Statistic(values, sums.bits, sums.l2_squared)


def used(design: Design, sums: Noisy) -> Noisy:
    """The cells that the owner's bins fill; the noise in the others is thrown away."""
    used = np.r_[0 : design.cells, len(sums.values) - 1]
    return Noisy(sums.values[used], sums.scale, sums.bits, sums.receipt)


def contents(fit: Fitted, tokens: NDArray[np.uint64], asked: AudienceSize, smallest: int) -> Contents:
    """The release: evaluation, the model's effects, and the audience as tokens. smallest: audience of the contract."""
    rows, said = chosen(fit.scores, fit.tiebreak, fit.known, asked, smallest)
    audience = io.BytesIO()
    pq.write_table(pa.table({"token": np.sort(tokens[rows])}), audience)
    compared = {"learners": [_learned(each) for each in fit.standings]}
    values = {"people": len(fit.scores), "audience": said, **compared, **_figures(fit.evaluation)}
    values["effects"] = effects_json(fit.effects, fit.scorer.encoder)
    values["strata"] = fit.strata
    values |= {"considered": considered_json(fit.considered)} if fit.considered else {}
    values |= {"wide": True} if fit.wide else {}
    values |= {} if fit.places is None else {"places": fit.places, "cells": fit.cells}
    values |= {"by_known": fit.by_known} if fit.by_known else {}
    files = {"audience.parquet": audience.getvalue(), "model.json": fit.scorer.to_json().encode()}
    if fit.places is not None:
        files |= {LABELS: labelled(tokens, unpacked(fit.noisy[0].values, len(tokens)))}
    return Contents(values, files)


def _learned(standing: Standing) -> dict[str, object]:
    lead = standing.lead.as_json() if standing.lead else None
    return {"name": standing.learner, "gain": standing.gain.as_json(), "lead": lead, "won": standing.won}


def reread(counts: Noisy, calibration: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """The figures of a release once more, from its noisy counts: what its reader compares them with.

    calibration: as the release holds it. Errors: KeyError, TypeError, ValueError where it is not of that shape.
    """
    totals = np.array([row["people"] for row in calibration], dtype=np.int64)
    return _figures(evaluate(counts, totals, _predicted(calibration)))


def _predicted(calibration: Sequence[Mapping[str, Any]]) -> NDArray[np.float64] | None:
    said = [row["predicted"] for row in calibration]
    return None if None in said else np.array(said, dtype=np.float64)


def _figures(evaluation: Evaluation) -> dict[str, object]:
    figures = evaluation.as_json()
    return {"held_out": figures.pop("people"), **figures}
