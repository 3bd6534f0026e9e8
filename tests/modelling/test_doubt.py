"""Intervals of scores: they cover what they say, over people and draws, and go with a model's file."""

from __future__ import annotations

import json
import math
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Z95, Noisy, Receipt
from passbox.modelling.design import Design, Float
from passbox.modelling.doubt import Covers, Doubt
from passbox.modelling.features import Category, Encoder, Kind, Number, Topics
from passbox.modelling.logistic import sigmoid
from passbox.modelling.lookalike import SeedGLM
from passbox.modelling.scorer import BEFORE, NotAModel, Scorer
from passbox.modelling.strategy import Strategy

WORLDS, PEOPLE = 24, 3_000
LIKES = ("cars", "travel", "food", "sport")
KINDS: list[Kind] = [
    Number("age", 0, 100),
    Number("income", 0, 100),
    Category("region", tuple("abcdef")),
    Topics("likes", LIKES, 3),
]


def people(rng: np.random.Generator) -> pa.Table:
    """Two numbers that go together, values of unlike sizes, up to three topics each."""
    first, other = rng.normal(0, 1, (2, PEOPLE))
    many, drawn = rng.integers(0, 4, PEOPLE), rng.choice(LIKES, (PEOPLE, 3))
    likes = [row[:count] for row, count in zip(drawn.tolist(), many.tolist(), strict=True)]
    return pa.table(
        {
            "age": (50 + 15 * first).clip(0, 100),
            "income": (50 + 15 * (0.6 * first + 0.8 * other)).clip(0, 100),
            "region": rng.choice(list("abcdef"), PEOPLE, p=[0.3, 0.25, 0.2, 0.15, 0.07, 0.03]),
            "likes": pa.array(likes, type=pa.list_(pa.string())),
        }
    )


class World(NamedTuple):
    """A fit, and the log-odds that its labels were drawn by. noiseless: the scores of a fit on the exact sums."""

    learner: SeedGLM
    doubt: Doubt
    design: Design
    scores: Float
    true: Float
    noiseless: Float


def world(rng: np.random.Generator, mu: float) -> World:
    """True effects as large as the learner may expect; one person in six or so is on the list."""
    table = people(rng)
    design = Encoder.from_owner(table, KINDS).encode(table)
    sizes = np.exp(rng.normal(math.log(1.2), 0.5, len(KINDS)))
    effects = [block.real @ rng.normal(0, size, block.cells) for block, size in zip(design.columns, sizes, strict=True)]
    true = -2 + design.scores(effects)
    measured = Strategy.of(design)
    sums = measured.moments(rng.random(PEOPLE) < sigmoid(true))
    learner, exact = SeedGLM(ceilings=()), SeedGLM(ceilings=())
    scores = learner.fit_noisy(measured, noisy(rng, sums, mu)).score(design)
    noiseless = exact.fit_noisy(measured, noisy(rng, sums, 1e4)).score(design)
    return World(learner, learner.doubt(), design, scores, true, noiseless)


def noisy(rng: np.random.Generator, statistic: Statistic, mu: float) -> Noisy:
    scale = math.sqrt(statistic.l2_squared) / mu
    drawn = np.rint(rng.normal(0, scale, len(statistic.values))).astype(np.int64)
    return Noisy(statistic.values + drawn, scale, statistic.bits, Receipt("", 0, b"", ""))


@pytest.fixture(scope="module", params=[1.0, 0.3], ids=["mu 1", "mu .3"])
def worlds(request: pytest.FixtureRequest) -> list[World]:
    rng = np.random.default_rng(21)
    return [world(rng, request.param) for _ in range(WORLDS)]


def covered(each: World, doubt: Doubt, covers: Covers = "noise and sampling") -> float:
    """Share of the people whose interval holds their true log-odds, or those of the fit without noise."""
    low, high = doubt.interval(each.scores, each.design, covers)
    wanted = each.noiseless if covers == "noise" else each.true
    return float(np.mean((low <= wanted) & (wanted <= high)))


def fitted_sizes(each: World) -> Doubt:
    problem, solution = each.learner._solved
    return problem.doubt(solution)


def test_intervals_of_scores_cover_95_in_100_of_people_and_draws(worlds: list[World]) -> None:
    """Against the truth. Worlds differ by .035 at mu 1 and .055 at .3 (standard deviation), so the mean of 24 by .011
    at most: around .95 it leaves this band with probability 10^-3 (normal), mostly above it."""
    assert 0.9 < np.mean([covered(each, each.doubt) for each in worlds]) < 0.985


def test_planted_sizes_as_they_were_fitted_cover_less(worlds: list[World]) -> None:
    """In the same worlds, so that luck cancels: .05 and .07 less, with a standard error of .008 each. The mean
    of 24 stays below this with probability 10^-4."""
    less = [covered(each, each.doubt) - covered(each, fitted_sizes(each)) for each in worlds]
    assert np.mean(less) > 0.02


def test_intervals_for_noise_alone_cover_the_fit_without_noise(worlds: list[World]) -> None:
    """They are rather too wide: .97. The mean of 24 worlds has a standard error of .010 at most, and falls below with
    probability 10^-5."""
    assert np.mean([covered(each, each.doubt, "noise") for each in worlds]) > 0.925


@pytest.fixture(scope="module")
def made() -> tuple[Scorer, World]:
    each = world(np.random.default_rng(22), 1.0)
    encoder = Encoder.from_owner(people(np.random.default_rng(23)), KINDS)
    table = people(np.random.default_rng(24))
    design = encoder.encode(table)
    learner = SeedGLM()
    model = learner.fit_noisy(
        design, noisy(np.random.default_rng(25), Strategy.of(design).moments(each.true > -2), 1.0)
    )
    scorer = Scorer.of(encoder, model, learner.doubt)
    return scorer, each._replace(learner=learner, doubt=learner.doubt(), design=design)


def test_a_file_gives_the_intervals_that_the_fit_gave(made: tuple[Scorer, World]) -> None:
    scorer, each = made
    table = people(np.random.default_rng(24))
    read = Scorer.from_json(scorer.to_json())
    assert read.to_json() == scorer.to_json()
    low, high = read.interval(table) or pytest.fail("the file knows no interval")
    probability = read.probability(table)
    assert (low <= probability).all()
    assert (probability <= high).all()
    wide = each.doubt.deviation(each.design)
    z = scorer.additive.below(each.design)
    assert np.abs(sigmoid(scorer.additive.log_odds(z - Z95 * wide)) - low).max() < 1e-4


def test_one_persons_interval_does_not_depend_on_who_stands_beside(made: tuple[Scorer, World]) -> None:
    table = people(np.random.default_rng(24))
    alone = [made[0].interval(table.slice(row, 1)) for row in range(0, 200, 10)]
    beside = made[0].interval(table)
    assert beside is not None
    for row, found in zip(range(0, 200, 10), alone, strict=True):
        assert found is not None
        assert (found[0][0], found[1][0]) == (beside[0][row], beside[1][row])


def test_a_file_of_before_is_read_and_knows_no_intervals(made: tuple[Scorer, World]) -> None:
    body = json.loads(made[0].to_json())
    del body["doubt"]
    old = Scorer.from_json(json.dumps(body | {"version": BEFORE}))
    table = people(np.random.default_rng(24))
    assert np.array_equal(old.score(table), made[0].score(table))
    assert old.interval(table) is None


def test_too_many_levels_leave_a_file_without_intervals(made: tuple[Scorer, World]) -> None:
    many = Encoder.from_declared([Category(f"c{i}", tuple(map(str, range(100)))) for i in range(11)])
    model = made[0].additive
    assert Scorer.of(many, model, lambda: pytest.fail("nobody asked")).doubt is None


@pytest.mark.parametrize(
    "broken",
    [
        {"intercept": -1.0},
        {"intercept": float("inf")},
        {"tables": []},
        {"tables": [[[0.0]]]},
        {"intercept": None},
    ],
)
def test_variances_that_fit_nothing_are_refused(made: tuple[Scorer, World], broken: dict[str, object]) -> None:
    body = json.loads(made[0].to_json())
    body["doubt"] |= broken
    with pytest.raises(NotAModel):
        Scorer.from_json(json.dumps(body))
