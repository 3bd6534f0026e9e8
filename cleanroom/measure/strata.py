"""How right a lookalike's scores are by how much is known of a person, as its release says it.

Of a job with `strata = true` all of it is read from its one histogram (`modelling.strata`), and of one of randomised
labels from the labels, for nothing: there the release says of each person, by letter, in which cell it is held out.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...dp.labels import unpacked
from ...dp.noisy import Estimate, Noisy
from ...modelling.answers import STRATA
from ...modelling.completion import known_columns
from ...modelling.design import Design
from ...modelling.evaluate import Evaluation, unflipped
from ...modelling.strata import MOST_CELLS, ZONES, Quality, Stratum, StratumCells, evaluate_strata
from ..document import Count, Figure, Share, Strict

LEARNS = "."
SLACK = 1e-9
LETTERS = string.ascii_letters[:MOST_CELLS]
"""Of the cells, in their order."""


class Cell(Strict):
    """People of a stratum by score: in which zone of all people's scores, what the model said, what came true.

    below: how many of the stratum's people a seed among them scores above (`modelling.strata.Stratum`).
    """

    zone: Annotated[int, Field(ge=0, lt=len(ZONES))]
    people: Annotated[Count, Field(gt=0)]
    predicted: Share
    below: Annotated[float, Field(ge=0)]
    rate: Figure


class Top(Strict):
    """Those of a stratum who are among the best `share` of all people (`modelling.strata.Top`)."""

    share: Share
    people: Count
    rate: Figure
    lift: Figure


class Known(Strict):
    """People held out of whom `fewest` to `most` columns are known (`modelling.strata.Quality`)."""

    fewest: Count
    most: Count
    people: Count
    seeds: Figure
    rate: Figure
    auc: Figure
    shrunk_rate: Figure | None
    shrunk_auc: Figure | None
    tops: list[Top]
    cells: Annotated[list[Cell], Field(min_length=1)]


CellLetters = Annotated[str, Field(pattern="^[.a-zA-F]+$")]


def cells_of(design: Design, scores: NDArray[np.float64], tiebreak: NDArray[np.uint64]) -> StratumCells:
    """In which cell each of these people is: those held out."""
    return StratumCells.of(scores, tiebreak, known_columns(design), len(design.columns))


def by_known_said(asked: bool) -> tuple[str, ...]:
    """What a plan says of strata."""
    if not asked:
        return ()
    return (
        f"seeds held out are counted in up to {STRATA} groups by how many columns are known of a person, and in up to "
        f"{len(ZONES)} zones of score in each; figures of all people are sums over groups, with the noise of all",
    )


def of_counts(noisy: Noisy, strata: Sequence[Stratum]) -> tuple[Evaluation, list[dict[str, object]]]:
    """What a paid histogram says of all people, and of each stratum. Errors: ValueError where cells do not fit."""
    whole, each = evaluate_strata(noisy.real, np.full(len(noisy.values), noisy.sigma**2), strata)
    return whole, _listed(strata, each)


def of_labels(labels: Noisy, letters: str, strata: Sequence[Stratum]) -> list[dict[str, object]]:
    """What randomised labels say of each stratum. letters: of `lettered`.

    Errors: ValueError where labels, letters and strata do not fit together.
    """
    places = np.array([LETTERS.find(letter) for letter in letters], dtype=np.int64)
    yes, totals = unpacked(labels.values, len(places)), np.concatenate([one.totals for one in strata])
    many, seen = (np.bincount(places[who], minlength=len(totals)) for who in (places >= 0, (places >= 0) & yes))
    if not np.array_equal(many, totals):
        raise ValueError("letters and strata do not fit together")
    _, each = evaluate_strata(*unflipped(seen.astype(np.int64), totals, labels.flip), strata)
    return _listed(strata, each)


def lettered(held_out: NDArray[np.bool_], cells: StratumCells) -> str:
    """In which cell each person is, by letter; "." for who trains."""
    letters = np.full(len(held_out), LEARNS)
    letters[held_out] = np.array([*LETTERS])[cells.cell]
    return "".join(letters.tolist())


def strata_in(known: Sequence[Mapping[str, Any]]) -> tuple[Stratum, ...]:
    """The strata of a release, as it lists them. Errors: KeyError, TypeError, ValueError where they are not of it, or
    could not be: the least known come first, and of each the best.
    """
    strata = tuple(
        Stratum(
            one["fewest"],
            one["most"],
            np.array([cell["zone"] for cell in one["cells"]], dtype=np.int64),
            np.array([cell["people"] for cell in one["cells"]], dtype=np.int64),
            *(np.array([cell[name] for cell in one["cells"]], dtype=np.float64) for name in ("predicted", "below")),
        )
        for one in known
    )
    ends = [end for one in strata for end in (one.fewest, one.most + 0.5)]
    falls = all((np.diff(one.below) <= SLACK * one.people).all() and one.below[0] <= one.people for one in strata)
    rises = all((np.diff(one.zone) >= 0).all() for one in strata)
    if len(strata) > STRATA or ends != sorted(ends) or not falls or not rises:
        raise ValueError("these are no strata")
    return strata


def _listed(strata: Sequence[Stratum], each: Sequence[Quality]) -> list[dict[str, object]]:
    return [_told(stratum, quality) for stratum, quality in zip(strata, each, strict=True)]


def _told(stratum: Stratum, quality: Quality) -> dict[str, object]:
    exact = (each.tolist() for each in (stratum.zone, stratum.totals, stratum.predicted, stratum.below))
    cells = zip(*exact, quality.rates, strict=True)
    return {
        "fewest": stratum.fewest,
        "most": stratum.most,
        "people": stratum.people,
        "seeds": quality.seeds.as_json(),
        "rate": quality.rate.as_json(),
        "auc": quality.auc.as_json(),
        "shrunk_rate": _or_none(quality.shrunk_rate),
        "shrunk_auc": _or_none(quality.shrunk_auc),
        "tops": [
            {"share": top.share, "people": top.people, "rate": top.rate.as_json(), "lift": top.lift.as_json()}
            for top in quality.tops
        ],
        "cells": [
            {"zone": zone, "people": people, "predicted": said, "below": below, "rate": rate.as_json()}
            for zone, people, said, below, rate in cells
        ],
    }


def _or_none(figure: Estimate | None) -> dict[str, float | str | None] | None:
    return None if figure is None else figure.as_json()
