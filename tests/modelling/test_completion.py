"""Completed attributes: one draw for all, as private as said, and an abstention where little is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling.completion import Completion, Known, by_known, l2_squared, moments
from passbox.modelling.features import Encoder


def noise(mu: float, asked: list[Statistic]):
    rng = np.random.default_rng(3)

    def draw(statistic: Statistic) -> Noisy:
        asked.append(statistic)
        scale = math.sqrt(statistic.l2_squared) / mu
        values = statistic.values + np.rint(rng.normal(0, scale, len(statistic.values))).astype(np.int64)
        return Noisy(values, scale, statistic.bits, Receipt("", 0, b"", ""))

    return draw


@pytest.fixture(scope="module")
def case(crowd):
    """Region is hidden; so is whether one is over 50, which the rest says little about."""
    declared = [kind for kind in crowd.declared if kind.name != "likes"]
    design = Encoder.from_owner(crowd.table, declared).encode(crowd.table)
    likes = np.array(["cars" in (row or []) for row in crowd.table["likes"].to_pylist()])
    old = np.nan_to_num(np.array(crowd.table["age"].to_pylist(), dtype=float), nan=45) > 50
    truth = {"likes": likes.astype(np.int64), "old": old.astype(np.int64)}
    there = np.random.default_rng(1).random(3000) < 0.6
    known = [Known(name, ("no", "yes"), np.where(there, value, -1)) for name, value in truth.items()]
    return design, known, truth, there


def test_one_record_with_all_its_attributes_moves_the_release_no_further_than_promised(case) -> None:
    design, known, _, there = case
    whole = moments(design, known)
    assert whole.l2_squared == l2_squared(2)
    for row in np.flatnonzero(there)[::400]:
        fewer = [Known(k.name, k.values, np.where(np.arange(3000) == row, -1, k.value)) for k in known]
        move = whole.values - moments(design, fewer).values
        assert sum(int(v) ** 2 for v in move) <= whole.l2_squared


def test_planted_fault_the_price_of_one_attribute_does_not_cover_two(case) -> None:
    design, known, _, there = case
    row = int(np.flatnonzero(there)[0])
    fewer = [Known(k.name, k.values, np.where(np.arange(3000) == row, -1, k.value)) for k in known]
    move = moments(design, known).values - moments(design, fewer).values
    assert sum(int(v) ** 2 for v in move) > l2_squared(1)


def test_one_draw_completes_all_attributes_and_abstains_where_nothing_tells(case) -> None:
    design, known, truth, there = case
    asked: list[Statistic] = []
    likes, old = Completion(confident=0.7).complete_drawn(design, known, noise(2.0, asked))
    assert len(asked) == 1
    right = old.likeliest[old.answered & ~there] == truth["old"][old.answered & ~there]
    assert old.answered[~there].mean() > 0.7
    assert right.mean() > 0.9
    assert likes.answered.mean() < 0.2
    for completed in (likes, old):
        assert np.allclose(completed.probability.sum(axis=1), 1)
        assert completed.parent == pytest.approx(np.bincount(truth[completed.name]) / 3000, abs=0.05)


def test_with_next_to_no_budget_everybody_gets_the_parent(case) -> None:
    design, known, _, _ = case
    for completed in Completion().complete_drawn(design, known, noise(1e-3, [])):
        assert np.abs(completed.probability - completed.parent).max() < 0.15


def test_quality_is_told_by_number_of_known_attributes(case) -> None:
    design, known, truth, _ = case
    (old,) = Completion().complete_drawn(design, known[1:], noise(2.0, []))
    count = np.random.default_rng(0).integers(1, 4, 3000)
    strata = by_known(old, truth["old"], count)
    assert [stratum.known for stratum in strata] == [1, 2, 3]
    assert sum(stratum.people for stratum in strata) == 3000
    assert all(0 <= stratum.answered <= 1 and stratum.log_loss >= 0 for stratum in strata)


@pytest.mark.parametrize(
    ("values", "value", "error"),
    [
        (("a",), np.zeros(3, dtype=np.int64), ValueError),
        (("a", "a"), np.zeros(3, dtype=np.int64), ValueError),
        (("a", "b"), np.full(3, 2, dtype=np.int64), ValueError),
        (("a", "b"), np.full(3, -2, dtype=np.int64), ValueError),
        (("a", "b"), np.zeros(3), TypeError),
    ],
)
def test_what_was_not_declared_is_refused(values, value, error) -> None:
    with pytest.raises(error):
        Known("x", values, value)


def test_scores_have_intervals_that_hold_what_the_fit_without_noise_says(crowd) -> None:
    """Over people and 20 draws intervals of 95 % hold .93 to .99: the noise-free fit has variances of its own."""
    from passbox.modelling.lookalike import SeedGLM

    encoder = crowd.encoder(np.ones(3000, dtype=bool))
    design = encoder.encode(crowd.table)
    truth = SeedGLM(ceilings=()).fit_noisy(design, noise(1e4, [])(design.moments(crowd.label))).score(design)
    draw, held = noise(1.0, []), []
    for _ in range(20):
        learner = SeedGLM(ceilings=())
        scores = learner.fit_noisy(design, draw(design.moments(crowd.label))).score(design)
        low, high = learner.doubt().interval(scores, design, "noise")
        held.append(((low < truth) & (truth < high)).mean())
    assert 0.93 < np.mean(held) < 0.99
