"""Lookalike: choose the people most like the seed, and release them with what their model is worth.

The model is fitted on what is paid for, and evaluated on people held out (`measure.fitted`). The audience of any size,
and every figure of the release, are computed from the noisy integers and the publisher's own table.

The code ensures: what is released follows from the paid model; ties at the audience's cut are broken by a keyed hash;
rows leave in the order of their tokens, never in the order of a join.
The caller ensures: the reader owns the features (`policies.jobs.lookalike` refuses others).
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED
from ...dp.canonical import digest
from ...dp.flip import FLIP_UNIT
from ...dp.labels import unpacked
from ...dp.ledger import Ledger
from ...dp.noisy import Z95, Noisy
from ...modelling.answers import STRATA as QUARTERS
from ...modelling.contest import Standing
from ...modelling.design import BITS, MOMENTS_L2_SQUARED
from ...modelling.evaluate import CUTS, MOST_BINS, Evaluation, evaluate, planned_auc_halfwidth
from ...modelling.features import most_cells
from ...modelling.groups import MOST_GROUPS, how_many
from ...modelling.strata import MOST_CELLS, ZONES
from ...policies.check import Allowed
from ...policies.contract import Contract
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ...policies.jobs.lookalike import (
    GROUPS,
    MOMENTS,
    RESPONSES,
    SCORES,
    STRATA,
    AudienceSize,
    Learner,
    LookalikeJob,
)
from ..document import Count, Document, Figure, Share, Strict
from ..matched import read_match
from ..room import Room
from .audience import Audience, chosen
from .considered import Consideration, considered_json, share_said
from .considered import cells_of as considered_cells
from .crowds import HELD_OUT, all_kinds, declared_kinds
from .effects import Effect, effects_json
from .fitted import Fitted, fitted, responded, variance_of
from .measure import OPEN_SHARE, Contents, Made, Planned
from .responses import LABELS, better_said, evaluated, labelled, wrong_said
from .strata import CellLetters, Known, by_known_said, of_counts, of_labels, strata_in
from .unsure import Stratum

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
        fit = make(room, job, allowed.purchases, ledger, held[job.people], matched)
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
        sigma, counted = 0.0 if flip else spec.deviation, spec.statistic == STRATA
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
                open_from=OPEN_SHARE,
            )
            for rate in ASSUMED_RATES
            if 1 <= round(HELD_OUT * seeds * rate) < people
        )


def _asked(job: Job) -> LookalikeJob:
    assert isinstance(job, LookalikeJob)  # noqa: S101 - measure_of dispatches on the kind
    return job


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
