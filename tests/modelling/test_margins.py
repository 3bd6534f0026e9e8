"""Noisy counts: the likeliest people they speak of, and what a model says of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from passbox.modelling import margins as margins_module
from passbox.modelling.descent import Descent
from passbox.modelling.features import Category, Encoder, Number, Topics
from passbox.modelling.logistic import sigmoid
from passbox.modelling.margins import Margins
from passbox.modelling.packed import Packed
from passbox.modelling.person import DPGAM

from .test_effects import KINDS, effects_of, noise, people

LIKES = ("a", "b", "c")


@pytest.mark.parametrize("spread", [0.0, 5.0, 300.0])
def test_counts_are_the_nearest_that_could_be_people(spread: float) -> None:
    """As many in all as there are, none below zero, and no others nearer: the conditions of Karush, Kuhn and Tucker."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        noisy = rng.multinomial(1_000, rng.dirichlet(np.full(30, 0.1))) + rng.normal(0, spread, 30)
        found = margins_module._summing(noisy, 1_000.0)
        taken = noisy - found
        held = found > 0
        assert found.sum() == pytest.approx(1_000)
        assert (found >= 0).all()
        assert np.ptp(taken[held]) < 1e-6
        assert (taken[~held] <= taken[held].max() + 1e-6).all()


def phantoms() -> float:
    """People told to be at 120 levels that nobody has, where 1,000 have the other 8, 125 each, and noise is 50."""
    rng, found = np.random.default_rng(2), []
    values = tuple(f"v{i}" for i in range(127))
    columns = Packed.of(Encoder.from_declared([Category("a", values)]).encode(pa.table({"a": ["v0"]}))).columns
    for _ in range(50):
        counts = np.concatenate([np.full(8, 125.0), np.zeros(120)])
        margins = Margins.of(columns, counts + rng.normal(0, 50, 128), 1_000.0, 250.0, 0.0)
        found.append(margins.counts[0][8:].sum())
    return float(np.mean(found))


def test_most_people_are_told_to_be_where_they_are() -> None:
    assert phantoms() < 500


def test_planted_fault_of_counts_that_are_only_cut_at_zero_most_are_noise(monkeypatch) -> None:
    def cut(noisy: np.ndarray, people: float) -> np.ndarray:
        return np.maximum(noisy, 0) * people / np.maximum(noisy, 0).sum()

    monkeypatch.setattr(margins_module, "_summing", cut)
    assert phantoms() > 500


def exact(kinds, table) -> tuple[Packed, Margins]:
    packed = Packed.of(Encoder.from_declared(kinds).encode(table))
    return packed, Margins.of(packed.columns, packed.counts(), float(packed.rows), packed.rows / 4, 0.0)


def test_what_a_column_adds_over_people_is_exact_where_one_level_is_had_at_a_time() -> None:
    rng = np.random.default_rng(3)
    kinds = [Category("a", ("x", "y", "z")), Number("b", 0, 1)]
    packed, margins = exact(kinds, pa.table({"a": rng.choice(["x", "y", "z", "?"], 500), "b": rng.random(500)}))
    effects = [rng.normal(size=len(block.table)) for block in packed.columns]
    means, spreads = margins.over_people(effects)
    for column, (mean, spread) in enumerate(zip(means, spreads, strict=True)):
        alone = [values if i == column else 0 * values for i, values in enumerate(effects)]
        scores = packed.scores(0.0, alone)
        assert mean == pytest.approx(scores.mean())
        assert spread == pytest.approx(scores.var())


def test_what_a_set_adds_over_people_is_as_if_levels_came_together_by_chance() -> None:
    rng = np.random.default_rng(4)
    likes = [list(np.array(LIKES)[rng.random(3) < (0.5, 0.2, 0.1)]) for _ in range(20_000)]
    packed, margins = exact([Topics("a", LIKES, 3)], pa.table({"a": pa.array(likes, type=pa.list_(pa.string()))}))
    (mean,), (spread,) = margins.over_people(effects := [np.array([1.0, -2.0, 0.5, 0.0])])
    scores = packed.scores(0.0, effects)
    assert mean == pytest.approx(scores.mean(), abs=0.02)
    assert spread == pytest.approx(scores.var(), rel=0.05)


def missed() -> float:
    """How far the mean of what models say is off the rate of positives, as a share of it: 12 fits of 8,000 people, few
    of them positive, at mu .3."""
    off = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        design = Encoder.from_declared(KINDS).encode(people(rng, 8_000, 0.0))
        label = rng.random(8_000) < sigmoid(-3 + design.scores(effects_of(rng, design)))
        model = DPGAM().fit_drawn(design, label, noise(rng, 0.3))
        off.append(float(sigmoid(model.score(design)).mean() / label.mean() - 1))
    return float(np.sqrt(np.mean(np.square(off))))


def test_a_model_says_as_many_are_positive_as_there_are() -> None:
    assert missed() < 0.05


def test_planted_fault_an_intercept_of_scores_that_noise_spread_says_too_few(monkeypatch) -> None:
    """The mean of steps with the intercept they had on average, which made up for each step's own noise."""
    monkeypatch.setattr(Descent, "settled", lambda self, _effects, at, _pulls: self.intercept(at.mean(axis=0)))
    assert missed() > 0.05
