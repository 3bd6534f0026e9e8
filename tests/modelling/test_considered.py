"""What columns that a model does not use would add: found where it is there, and not where it is not."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import chi2

from passbox.modelling import crosses, wide
from passbox.modelling.chi_squares import chance_above
from passbox.modelling.considered import SURE, Adds, considered_of, ranked, reach_beside, summed
from passbox.modelling.crosses import Cross
from passbox.modelling.design import (
    BITS,
    MOMENTS_L2_SQUARED,
    ONE,
    Design,
    SensitivityExceeded,
    largest_norm_squared,
)
from passbox.modelling.features import MOST_LEVELS, Category, Encoder, Kind, Number
from passbox.modelling.length import lengths
from passbox.modelling.logistic import sigmoid
from passbox.modelling.lookalike import SeedGLM
from passbox.modelling.strategy import Strategy
from passbox.policies.jobs import considered as asked

AGE, REGION, DEVICE = Number("age", 0, 100), Category("region", tuple("abcd")), Category("device", ("x", "y"))
USED: list[Kind] = [AGE, REGION, DEVICE]
INCOME, JOB = Number("income", 0, 100), Category("job", tuple("pqr"))
COLUMNS: list[Kind] = [INCOME, JOB]
CROSSES = [Cross(AGE, DEVICE), Cross(REGION, DEVICE)]


def people(rng: np.random.Generator, rows: int) -> pa.Table:
    """Income follows age, and device does; region and job follow nothing."""
    age, other = rng.normal(0, 1, (2, rows))
    return pa.table(
        {
            "age": (50 + 15 * age).clip(0, 100),
            "income": (50 + 15 * (0.6 * age + 0.8 * other)).clip(0, 100),
            "region": rng.choice(list("abcd"), rows, p=[0.4, 0.3, 0.2, 0.1]),
            "device": np.where(rng.random(rows) < sigmoid(age), "x", "y"),
            "job": rng.choice(list("pqr"), rows, p=[0.5, 0.3, 0.2]),
        }
    )


def designs(table: pa.Table) -> tuple[Design, Design]:
    own, others = lengths(len(USED), len(COLUMNS) + len(CROSSES))
    return Encoder.from_owner(table, USED, own).encode(table), considered_of(table, COLUMNS, CROSSES, others)


def effects(rng: np.random.Generator, design: Design, size: float) -> list[np.ndarray]:
    """As large, a block, as `size` says of what is usual; each cell by itself."""
    length = [math.sqrt(largest_norm_squared(block)) / ONE for block in design.columns]
    pairs = zip(design.columns, length, strict=True)
    return [block.real @ rng.normal(0, size / each, block.cells) for block, each in pairs]


def release(
    rng: np.random.Generator, used: Design, considered: Design, odds: np.ndarray, mu: float, told: float = 1.0
) -> dict[str, Adds]:
    """told: how much of its noise the learner is told."""
    measured = Strategy.of(used, reach_beside(considered))
    exact = summed(measured, considered, rng.random(used.rows) < sigmoid(odds))
    sigma = math.sqrt(MOMENTS_L2_SQUARED) / mu / ONE
    sums = np.ldexp(exact.values.astype(np.float64), -BITS) + rng.normal(0, sigma, len(exact.values))
    learner = SeedGLM(ceilings=())
    learner.fit_sums(measured, np.append(sums[: used.cells], sums[-1]), told * sigma)
    return {each.name: each for each in ranked(learner, considered, sums[used.cells : -1])}


@cache
def nothing_added(told: float, worlds: int) -> tuple[float, float]:
    """Of so many releases in which nothing considered adds anything: how many say that some does, and how often an
    interval holds 0. 2,000 people, some 400 seeds, mu .5."""
    rng, alarms, held = np.random.default_rng(31), [], []
    for _ in range(worlds):
        used, considered = designs(people(rng, 2_000))
        found = release(rng, used, considered, -1.5 + used.scores(effects(rng, used, 0.6)), 0.5, told)
        others = [each for each in found.values() if not each.used]
        alarms.append(any(each.told for each in others))
        held += [each.adds.low == 0 for each in others]
    return float(np.mean(alarms)), float(np.mean(held))


def test_of_columns_and_pairs_that_add_nothing_hardly_a_release_says_that_one_does() -> None:
    """The rate is `SURE`, .05, and here, of 300 releases, it was .037; eight of 40 is three times as many. Seeds are
    fixed."""
    alarms, held = nothing_added(1.0, 40)
    assert alarms < 8 / 40
    assert held > 0.95
    assert SURE == 0.05


def test_a_planted_learner_that_is_told_a_fifth_of_its_noise_names_columns_that_add_nothing() -> None:
    alarms, _ = nothing_added(1 / 5, 20)
    assert alarms >= 8 / 20


def left_over(considered: Design, at: int, used: Design, values: np.ndarray) -> float:
    """Standard deviation of a block's effects once the used columns have said of them what they can."""
    own = considered.codes[at].scatter(values, used.rows)
    known = np.column_stack([np.ones(used.rows), *np.hstack(list(used.blocks())).T])
    return float((own - known @ np.linalg.lstsq(known, own, rcond=1e-9)[0]).std())


@pytest.fixture(scope="module")
def planted() -> list[tuple[bool, bool, bool]]:
    """24 worlds of 6,000 people at mu 1, in which one of four blocks adds some .3 to .5: whether it is told, ranks
    first of them, and lies in its interval."""
    rng, found = np.random.default_rng(32), []
    for world in range(24):
        used, considered = designs(people(rng, 6_000))
        at = world % 4
        own = effects(rng, considered, 0.8)[at]
        odds = -1.5 + used.scores(effects(rng, used, 0.6)) + considered.codes[at].scatter(own, used.rows)
        release_ = release(rng, used, considered, odds, 1.0)
        mine, truth = release_[considered.columns[at].name], left_over(considered, at, used, own)
        first = max((each for each in release_.values() if not each.used), key=lambda each: each.adds.estimate)
        found.append((mine.told, first is mine, mine.adds.low <= truth <= mine.adds.high))
    return found


def test_a_planted_column_or_pair_is_told_and_ranks_first(planted: list[tuple[bool, bool, bool]]) -> None:
    """Some are too small to be told."""
    told, first, _ = np.mean(planted, axis=0)
    assert told > 0.7
    assert first > 0.7


def test_what_it_adds_lies_in_its_interval(planted: list[tuple[bool, bool, bool]]) -> None:
    _, _, held = np.mean(planted, axis=0)
    assert held > 0.85


def test_what_the_used_columns_say_already_adds_nothing() -> None:
    """However strong it is: a copy, and one that two of them make up together only as a pair."""
    rng = np.random.default_rng(33)
    table = people(rng, 3_000)
    table = table.append_column("copy", table.column("region"))
    used = Encoder.from_owner(table, USED, lengths(3, 1)[0]).encode(table)
    copy = considered_of(table, [Category("copy", REGION.values)], [], lengths(3, 1)[1])
    odds = -1.5 + 2.0 * (np.asarray(table.column("region")) == "a")
    found = release(rng, used, copy, odds, 1.0)
    assert found["copy"].already_said
    assert (found["copy"].told, found["copy"].adds.high) == (False, 0.0)
    assert found["region"].adds.low > 0.5


def test_a_pair_of_columns_that_add_up_adds_nothing_and_one_that_does_not_is_told() -> None:
    """2,000 people of 10,000; either lies far from what would turn it."""
    rng = np.random.default_rng(34)
    table = people(rng, 10_000)
    used, considered = designs(table)
    a, x = np.asarray(table.column("region")) == "a", np.asarray(table.column("device")) == "x"
    apart = release(rng, used, considered, -2.0 + 1.5 * a + 1.5 * x, 1.0)
    assert not apart["region x device"].told
    together = release(rng, used, considered, -2.0 + 1.5 * (a == x), 1.0)
    assert together["region x device"].told
    assert together["region x device"].adds.low > 0.2
    assert not together["age x device"].told


def test_nobody_matched_and_everybody_matched_are_ranked_alike() -> None:
    rng = np.random.default_rng(35)
    used, considered = designs(people(rng, 500))
    for odds in (-40.0, 40.0):
        found = release(rng, used, considered, np.full(500, odds), 0.3)
        assert all(math.isfinite(end) for each in found.values() for end in (each.adds.low, each.adds.high))


# -- rows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("used", "considered"), [(1, 50), (3, 4), (13, 0), (450, 50)])
def test_used_and_considered_parts_make_up_one_row(used: int, considered: int) -> None:
    own, others = lengths(used, considered)
    assert own**2 + others**2 == pytest.approx(1)
    assert considered or (own, others) == (1.0, 0.0)


def test_the_sums_hold_both_and_refuse_a_row_that_is_too_long() -> None:
    table = people(np.random.default_rng(36), 400)
    used, considered = designs(table)
    blocks = [*used.columns, *considered.columns]
    assert sum(map(largest_norm_squared, blocks)) <= ONE**2
    matched = np.arange(400) % 3 == 0
    exact = summed(used, considered, matched)
    assert exact.l2_squared == MOMENTS_L2_SQUARED
    assert len(exact.values) == used.cells + considered.cells + 1
    assert exact.values[-1] == used.moments(matched).values[-1]
    mixed = Strategy.of(used, reach_beside(considered))
    longest = max(int((rows**2).sum(axis=1).max()) for rows in mixed.rows())
    assert longest + sum(map(largest_norm_squared, considered.columns)) <= ONE**2
    assert np.array_equal(summed(mixed, considered, matched).values[used.cells :], exact.values[used.cells :])
    full = Encoder.from_owner(table, USED).encode(table)
    for too_long in (full, Strategy.of(used)):
        with pytest.raises(SensitivityExceeded):
            summed(too_long, considered, matched)


@pytest.mark.parametrize("value", ["a", None])
def test_beside_columns_that_tell_nobody_from_others_all_is_left_to_say(value: str | None) -> None:
    rng = np.random.default_rng(37)
    other = rng.choice(["a", "b"], 2_000)
    table = pa.table({"used": pa.array([value] * 2_000, pa.string()), "other": other})
    kinds = [Category(name, ("a", "b")) for name in ("used", "other")]
    own, rest = lengths(1, 1)
    used = Encoder.from_owner(table, kinds[:1], own).encode(table)
    considered = considered_of(table, kinds[1:], [], rest)
    found = release(rng, used, considered, np.where(other == "a", 1.5, -3.0), 3.0)
    assert found["used"].already_said
    assert found["other"].told


def test_a_pair_whose_value_is_missing_on_one_side_is_no_pair() -> None:
    table = pa.table({"region": ["a", None, "d", "nowhere"], "device": ["x", "y", None, "y"]})
    ((block,), (codes,)) = crosses.crossed(table, [Cross(REGION, DEVICE)], 1.0)
    assert block.levels[:2] == ("a, x", "a, y")
    assert codes.level.tolist() == [0, 8, 8, 8]
    assert not block.table[-1].any()


def test_numbers_in_a_pair_are_cut_in_four_and_many_alike_stay_together() -> None:
    rng = np.random.default_rng(37)
    gain = np.where(np.arange(1_000) < 900, 0.0, rng.integers(1, 1_000, 1_000))
    table = pa.table({"age": rng.uniform(0, 100, 1_000), "gain": gain})
    cross = Cross(AGE, Number("gain", 0, 1_000))
    ((block,), _) = crosses.crossed(table, [cross], 1.0)
    assert len(block.levels) - 1 == 4 * 2
    assert block.cells <= cross.most_cells == 16


def test_limits_of_jobs_are_those_of_what_is_computed() -> None:
    assert asked.CELLS_OF_A_NUMBER == MOST_LEVELS
    assert asked.MOST_CELLS == wide.MOST_CELLS
    assert asked.BINS_IN_PAIRS == crosses.BINS


# -- chances -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [1, 2, 7, 60])
@pytest.mark.parametrize("chance", [0.9, 0.5, 0.05, 1e-3, 1e-6])
def test_of_equal_weights_it_is_the_chi_square(freedom: int, chance: float) -> None:
    """To a tenth of the chance; where one is frequent, to an eighth."""
    found = chance_above(float(3 * chi2.isf(chance, freedom)), np.full(freedom, 3.0))
    assert found == pytest.approx(chance, rel=0.1 if chance < 0.1 else 0.125)


def test_of_unequal_weights_it_is_what_draws_say() -> None:
    """200,000 draws, whose standard error is .001 at most; the formula is off by .01 where one weight outweighs all."""
    rng, weights = np.random.default_rng(38), np.array([5.0, 2.0, 1.0, 0.3, 0.0])
    drawn = (rng.normal(0, 1, (200_000, 5)) ** 2) @ weights
    for value in (10.0, 20.0, 35.0):
        assert chance_above(value, weights) == pytest.approx(float(np.mean(drawn > value)), abs=0.015)
    assert chance_above(float(weights.sum()), weights) == pytest.approx(float(np.mean(drawn > weights.sum())), abs=0.02)
    assert chance_above(0.0, weights) == chance_above(1.0, np.zeros(3)) == 1.0
