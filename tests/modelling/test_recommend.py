"""Sums or responses: noise as it is predicted from sizes, and what follows from it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from passbox.dp.budget import Budget, Delta, Epsilon
from passbox.modelling.design import Design
from passbox.modelling.features import Category, Encoder
from passbox.modelling.problem import Problem
from passbox.modelling.recommend import flip_at, noise, recommended
from passbox.modelling.responses import ResponseProblem, Responses

PEOPLE, COLUMNS = 4_096, 12


def halves() -> Design:
    """Columns of two values, each cutting the people in halves, whatever the others say."""
    values = [[str(row >> column & 1) for row in range(PEOPLE)] for column in range(COLUMNS)]
    table = pa.table({f"column{column}": value for column, value in enumerate(values)})
    declared = [Category(name, ("0", "1")) for name in table.column_names]
    return Encoder.from_owner(table, declared).encode(table)


def spread(design: Design, used: np.ndarray, precision: np.ndarray) -> float:
    """Mean variance of people's log-odds, where weights are as uncertain as a precision says."""
    rows = np.vstack(list(design.blocks()))[:, used]
    return float(np.einsum("ri,ij,rj->r", rows, np.linalg.pinv(precision, rcond=1e-9), rows).mean())


@pytest.mark.parametrize("seeds", [400, 1_024])
@pytest.mark.parametrize(("sigma", "flip"), [(2.0, 0.2), (8.0, 0.4)])
def test_noise_is_what_the_learners_reckon_with(seeds: int, sigma: float, flip: float) -> None:
    """Their precision around no effects, with noise and without it, on people for whom no direction is longer."""
    design = halves()
    matched = np.random.default_rng(1).permutation(PEOPLE) < seeds
    exact = np.ldexp(design.moments(matched).values.astype(float), -20)
    (of_sums,) = Problem.each(design, exact, sigma, ())
    zero = np.zeros(len(of_sums.used))
    found = noise(PEOPLE, COLUMNS, seeds, sigma, flip)
    with_noise, without = (spread(design, each.used, each.view(zero).precision) for each in (of_sums, of_sums.exact()))
    assert with_noise - without == pytest.approx(found.sums**2, rel=0.02)
    labels = Responses(matched, flip)
    share = seeds / PEOPLE
    told = ResponseProblem(design, of_sums.used, of_sums.column, exact, 0.0, share, 1.0, labels, labels.variance)
    with_noise, without = (spread(design, each.used, each.view(zero).precision) for each in (told, told.exact()))
    assert with_noise - without == pytest.approx(found.responses**2, rel=0.02)


def budget(epsilon: float) -> Budget:
    return Budget(Epsilon(epsilon), Delta(1e-6))


def test_more_epsilon_makes_less_noise_of_either() -> None:
    found = [recommended(5_000, 19, 1_000, budget(epsilon)) for epsilon in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)]
    assert all(a.sums > b.sums and a.responses > b.responses for a, b in pairwise(found))
    assert [found[0].better, found[-1].better] == ["sums", "responses"]


def test_few_seeds_among_many_people_are_told_by_sums() -> None:
    """Everybody's label is noisy, whoever may be matched."""
    assert recommended(800_000, 14, 400, budget(2.0)).better == "sums"
    assert recommended(800_000, 14, 200_000, budget(1.0)).better == "responses"


def test_where_noise_drowns_either_sums_are_taken() -> None:
    """Sizes of `hmda`: with few people to many columns sums come near the noise of responses at every epsilon."""
    drowned, told = (recommended(1_904, 13, 228, budget(epsilon)) for epsilon in (1.0, 2.0))
    assert drowned.sums > 0.3 * drowned.responses
    assert [drowned.better, told.better] == ["sums", "responses"]


def test_a_record_that_decides_about_several_labels_has_each_flipped_more_often() -> None:
    alone, several = (recommended(5_000, 19, 1_000, budget(2.0), moved) for moved in (1, 2))
    assert several.responses == pytest.approx(recommended(5_000, 19, 1_000, budget(1.0)).responses)
    assert several.sums == pytest.approx(2 * alone.sums, rel=1e-6)


def test_a_flip_keeps_to_its_epsilon() -> None:
    for epsilon in (0.1, 1.0, 4.0):
        flip = flip_at(epsilon)
        assert math.log((1 - flip) / flip) == pytest.approx(epsilon)


@pytest.mark.parametrize("sizes", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
def test_nothing_is_said_of_nothing(sizes: tuple[int, int, int, int]) -> None:
    people, columns, seeds, moved = sizes
    with pytest.raises(ValueError, match="counted from 1"):
        recommended(people, columns, seeds, budget(1.0), moved)
