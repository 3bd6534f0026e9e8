"""Intervals of a person's model: they cover what they say, over people and draws, and go with its file."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from passbox.dp.noisy import Z95
from passbox.modelling.apart import Apart
from passbox.modelling.blank import blank
from passbox.modelling.design import Design, Float
from passbox.modelling.effects import SIZES, USUAL, Known, Seen, alone, half_cauchy
from passbox.modelling.features import Category, Encoder, Number, Topics
from passbox.modelling.logistic import sigmoid
from passbox.modelling.packed import Packed
from passbox.modelling.person import DPGAM
from passbox.modelling.scorer import APART, VERSION, NotAModel, Scorer
from passbox.modelling.sizes import APART as SPREAD
from passbox.modelling.sizes import TRIED, together

from .test_effects import KINDS, LIKES, effects_of, noise, people
from .test_pace import same

WORLDS, PEOPLE = 20, 3_000
LEAST, MOST = 0.87, 0.985


class World(NamedTuple):
    """A fit, how far its scores may be off, and the log-odds that its labels were drawn by."""

    learner: DPGAM
    doubt: Apart
    design: Design
    scores: Float
    true: Float

    def covered(self, doubt: Apart) -> float:
        """Share of the people whose interval holds their true log-odds."""
        low, high = doubt.interval(self.scores, self.design)
        return float(np.mean((low <= self.true) & (self.true <= high)))


def table_of(rng: np.random.Generator, alike: float) -> pa.Table:
    """alike: correlation of the two numbers, of which one is missing in a fifth of the rows."""
    table = people(rng, PEOPLE, alike)
    return table.set_column(0, "age", pa.array(table["age"].to_numpy(), mask=rng.random(PEOPLE) < 0.2))


def world(rng: np.random.Generator, mu: float, alike: float) -> World:
    """True effects as large as the learner may expect."""
    design = Encoder.from_declared(KINDS).encode(table_of(rng, alike))
    true = design.scores(effects_of(rng, design))
    return fitted(rng, design, true - true.mean() - 1, mu)


def fitted(rng: np.random.Generator, design: Design, true: Float, mu: float) -> World:
    learner = DPGAM()
    model = learner.fit_drawn(design, rng.random(design.rows) < sigmoid(true), noise(rng, mu))
    return World(learner, learner.doubt(), design, model.score(design), true)


@pytest.fixture(scope="module", params=[(0.3, 0.0), (1.0, 0.95)], ids=["mu .3", "columns alike"])
def worlds(request: pytest.FixtureRequest) -> list[World]:
    rng = np.random.default_rng(31)
    return [world(rng, *request.param) for _ in range(WORLDS)]


def less(worlds: list[World], broken: list[Apart]) -> float:
    """How much less broken intervals cover in the same worlds, so that luck cancels."""
    each = zip(worlds, broken, strict=True)
    return float(np.mean([world.covered(world.doubt) - world.covered(doubt) for world, doubt in each]))


def test_intervals_cover_95_in_100_of_people_and_draws(worlds: list[World]) -> None:
    """Of 100 worlds they hold .94 and .93, and worlds differ by .06 (standard deviation): the mean of 20 leaves this
    band with probability 10^-5 (normal)."""
    assert LEAST < np.mean([each.covered(each.doubt) for each in worlds]) < MOST


def test_planted_noise_left_out_leaves_the_band(worlds: list[World]) -> None:
    """What noise moves is then taken for what columns add: intervals are far too wide."""
    covered = []
    for each in worlds:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(each.learner._descent, "variance", each.learner._descent.variance / 100)
            covered.append(each.covered(each.learner.doubt()))
    assert np.mean(covered) > MOST


def test_planted_half_of_the_variance_covers_less(worlds: list[World]) -> None:
    """.09 and .10 less, with a standard error of .008: this is passed by chance with probability 10^-6."""
    broken = [
        replace(
            each.doubt, variances=tuple(own / 2 for own in each.doubt.variances), intercept=each.doubt.intercept / 2
        )
        for each in worlds
    ]
    assert less(worlds, broken) > 0.05


def test_planted_shrinkage_left_out_covers_less(worlds: list[World]) -> None:
    """.02 and .03 less, with standard errors of .005 and .008."""
    broken = [replace(each.doubt, off=each.doubt.off[1:]) for each in worlds]
    assert less(worlds, broken) > 0.005


@pytest.mark.parametrize("columns", [12, 40])
def test_columns_that_say_the_same_are_covered(columns: int) -> None:
    """.98 or more in each of four worlds: what columns share is known best."""
    rng = np.random.default_rng(32)
    each = [fitted(rng, *same(rng, columns), 1.0) for _ in range(2)]
    assert all(world.covered(world.doubt) > LEAST for world in each)


def wide(columns: int) -> tuple[Encoder, list[Known]]:
    """Columns of which sums say that each adds little, if anything."""
    encoder = Encoder.from_declared([Category(f"c{at}", tuple("abc")) for at in range(columns)])
    cells = encoder.columns[0].block.cells
    rng = np.random.default_rng(33)
    return encoder, [Known(np.eye(cells), rng.normal(0, 1, cells)) for _ in range(columns)]


def test_many_small_columns_tell_each_other_that_they_are_small() -> None:
    encoder, known = wide(40)
    blocks = [column.block for column in encoder.columns]
    beside = [np.trace(each.moments()[1]) for each in together(blocks, known)]
    by_itself = [np.trace(each.moments()[1]) for each in alone(blocks, known)]
    assert np.mean(beside) < 0.6 * np.mean(by_itself)


def test_a_columns_own_sums_are_seen_once() -> None:
    """Of one column alone nothing but the prior says what is usual: reckoned directly, size by size."""
    encoder, known = wide(1)
    (found,) = together([encoder.columns[0].block], known)
    prior = np.exp(-(np.log(TRIED / USUAL) ** 2) / (2 * SPREAD**2))
    of_size = np.zeros(len(SIZES))
    for chance, usual in zip(prior / prior.sum(), TRIED.tolist(), strict=True):
        each = np.exp(half_cauchy(usual))
        of_size += chance * each / each.sum()
    believed = of_size * np.exp(Seen.of(encoder.columns[0].block, known[0]).evidence)
    assert np.allclose(found.weights, believed / believed.sum(), atol=1e-3)


def test_moments_are_those_of_the_mixture() -> None:
    encoder, known = wide(1)
    (found,) = alone([encoder.columns[0].block], known)
    rng = np.random.default_rng(34)
    which = rng.choice(len(found.weights), 400_000, p=found.weights)
    drawn = found.means[which] + np.sqrt(found.variances[which]) * rng.normal(0, 1, (400_000, found.means.shape[1]))
    mean, covariance = found.moments()
    assert np.abs((drawn @ found.axes.T).mean(axis=0) - mean).max() < 0.05 * np.sqrt(np.trace(covariance))
    assert np.allclose(np.cov((drawn @ found.axes.T).T), covariance, atol=0.05 * np.trace(covariance))


@pytest.fixture(scope="module")
def made() -> tuple[Scorer, World]:
    each = world(np.random.default_rng(35), 1.0, 0.5)
    return Scorer.of_apart(Encoder.from_declared(KINDS), each.learner.model_, each.learner.doubt), each


def test_a_variance_is_the_quadratic_form_of_a_row_beside_the_mean_row(made: tuple[Scorer, World]) -> None:
    """Reckoned directly, from whole rows: sets and columns of one level alike."""
    _, each = made
    learner, design = each.learner, each.design
    at, wanted = np.arange(0, PEOPLE, 100), np.zeros(len(range(0, PEOPLE, 100)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("passbox.modelling.person.spread_of", lambda block, share, spread: kept(block, share, spread))
        covariances: list[Any] = []

        def kept(block: Any, share: Float, spread: Float) -> tuple[Float, float]:
            covariances.append((block, share, spread))
            return np.zeros(len(block.levels)), 0.0

        learner.doubt()
    for (block, share, spread), codes in zip(covariances, design.codes, strict=True):
        for row, person in enumerate(at.tolist()):
            level = codes.level[[person]] if codes.row is None else codes.level[codes.row == person]
            beside = np.bincount(level, minlength=len(share)) - share
            wanted[row] += beside @ block.real @ spread @ block.real.T @ beside
    bare = replace(each.doubt, off=())
    intercept = learner._descent.intercept_variance(learner.model_)
    assert np.allclose(bare.deviation(design)[at] ** 2, wanted + intercept, rtol=1e-6)


def test_a_file_gives_the_intervals_that_the_fit_gave(made: tuple[Scorer, World]) -> None:
    scorer, each = made
    table = table_of(np.random.default_rng(36), 0.5)
    assert json.loads(scorer.to_json())["version"] == APART
    read = Scorer.from_json(scorer.to_json())
    assert read.to_json() == scorer.to_json()
    low, high = read.interval(table) or pytest.fail("the file knows no interval")
    design = scorer.encoder.encode(table)
    z, wide = scorer.additive.below(design), Z95 * each.doubt.deviation(design)
    assert np.abs(sigmoid(z - wide) - low).max() < 1e-4
    assert np.abs(sigmoid(z + wide) - high).max() < 1e-4


def test_one_persons_interval_does_not_depend_on_who_stands_beside(made: tuple[Scorer, World]) -> None:
    table = table_of(np.random.default_rng(36), 0.5)
    beside = made[0].interval(table)
    assert beside is not None
    for row in range(0, 200, 10):
        found = made[0].interval(table.slice(row, 1))
        assert found is not None
        assert (found[0][0], found[1][0]) == (beside[0][row], beside[1][row])


def test_whoever_fits_it_again_from_the_sums_writes_the_same_file() -> None:
    rng, encoder = np.random.default_rng(37), Encoder.from_declared(KINDS)
    design = encoder.encode(table_of(rng, 0.5))
    drawn = noise(rng, 1.0)(blank(design.columns))
    learner, again = DPGAM(), DPGAM()
    model, sums = learner.fit_opened(Packed.of(design), rng.random(PEOPLE) < 0.3, drawn)
    refitted = again.refit(design.columns, encoder.digest, replace(drawn, values=sums))
    files = [Scorer.of_apart(encoder, *each).to_json() for each in ((model, learner.doubt), (refitted, again.doubt))]
    assert files[0] == files[1]


def test_a_file_of_before_is_read_and_knows_no_intervals(made: tuple[Scorer, World]) -> None:
    body = json.loads(made[0].to_json())
    old = Scorer.from_json(json.dumps(body | {"version": VERSION, "doubt": None}))
    table = table_of(np.random.default_rng(36), 0.5)
    assert np.array_equal(old.score(table), made[0].score(table))
    assert old.interval(table) is None


def test_sets_of_too_many_values_leave_a_file_without_intervals(made: tuple[Scorer, World]) -> None:
    encoder = Encoder.from_declared([Topics("likes", tuple(map(str, range(1_001))), 3)])
    assert Scorer.of_apart(encoder, made[0].additive, lambda: pytest.fail("nobody asked")).doubt is None


def test_many_numbers_have_intervals_in_a_small_file() -> None:
    rng = np.random.default_rng(38)
    encoder = Encoder.from_declared([Number(f"n{at}", 0, 100) for at in range(12)])
    design = encoder.encode(pa.table({f"n{at}": rng.uniform(0, 100, 500) for at in range(12)}))
    learner = DPGAM()
    model = learner.fit_drawn(design, rng.random(500) < 0.3, noise(rng, 1.0))
    scorer = Scorer.of_apart(encoder, model, learner.doubt)
    assert sum(len(column.block.levels) for column in encoder.columns) > 1_000
    assert scorer.doubt is not None
    assert len(json.dumps(scorer.doubt.to_json())) < 100_000


OFF = {"effects": [], "intercept": 0.0}


@pytest.mark.parametrize(
    "broken",
    [
        {"intercept": -1.0},
        {"intercept": math.inf},
        {"intercept": None},
        {"variances": []},
        {"variances": [[0.0]]},
        {"off": [OFF]},
        {"off": [OFF | {"intercept": math.nan}]},
        {"off": None},
    ],
)
def test_variances_that_fit_nothing_are_refused(made: tuple[Scorer, World], broken: dict[str, object]) -> None:
    body = json.loads(made[0].to_json())
    body["doubt"] |= broken
    with pytest.raises(NotAModel):
        Scorer.from_json(json.dumps(body))


def test_a_set_must_come_with_pairs_and_other_columns_without(made: tuple[Scorer, World]) -> None:
    body = json.loads(made[0].to_json())
    shapes = [np.shape(each) for each in body["doubt"]["variances"]]
    assert [len(shape) for shape in shapes] == [1, 1, 1, 2]
    assert shapes[3] == (len(LIKES) + 1, len(LIKES) + 1)
    body["doubt"]["variances"][3] = np.diag(body["doubt"]["variances"][3]).tolist()
    with pytest.raises(NotAModel):
        Scorer.from_json(json.dumps(body))
