"""How long steps are: those of `person` and of wide tables settle where columns hang together, as far as they say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from passbox.modelling import momentum
from passbox.modelling.blank import STEPS
from passbox.modelling.design import Design, Float
from passbox.modelling.features import Category, Encoder
from passbox.modelling.logistic import sigmoid
from passbox.modelling.mixing import Mixing
from passbox.modelling.momentum import Momentum
from passbox.modelling.person import DPGAM
from passbox.modelling.wide import WideGLM

from .test_effects import noise

PEOPLE = 6_000


def alike(one: Float, other: Float) -> float:
    return float(one @ other)


def left(pace: Momentum | Mixing, curvature: Float, steps: int) -> Float:
    """What is off after so many steps, of 1 in every direction. curvature: in parts of what columns alone have."""
    at: list[Float] = [np.ones(len(curvature))]
    for _ in range(steps):
        seen = at[-pace.remembers :]
        at.append(pace.onward(seen, [-curvature * each for each in seen], alike))
    return np.abs(at[-1])


def test_what_is_off_is_gone_in_all_directions_that_momentum_names() -> None:
    """.57 to 19, each alone, by .71 a step: of 1, (1 + 24 sqrt 19) .71^24 = .03 at most are left."""
    for k in np.geomspace(momentum.SLOWEST, 19, 40):
        assert left(Momentum(columns=18), np.array([k]), STEPS)[0] < 0.03


@pytest.mark.parametrize("damping", [0.3, momentum.DAMPING])
def test_planted_fault_steps_without_momentum_swing_or_are_slow(damping: float, monkeypatch) -> None:
    monkeypatch.setattr(momentum, "_momentum", lambda _damping: 0.0)
    off = [left(Momentum(columns=0, damping=damping), np.array([k]), STEPS)[0] for k in (momentum.SLOWEST, 7.0, 19.0)]
    assert max(off) > 0.1


def test_steps_that_swing_are_halved_until_they_settle() -> None:
    assert left(Momentum(columns=100), np.array([30.0]), STEPS)[0] < 0.05


def test_planted_fault_steps_that_are_not_halved_swing_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(momentum, "AGAINST", -2.0)
    assert left(Momentum(columns=100), np.array([30.0]), STEPS)[0] > 1e6


def test_few_columns_never_have_their_steps_halved() -> None:
    pace = Momentum(columns=18)
    left(pace, np.array([19.0]), STEPS)
    assert pace.damping == momentum.DAMPING


def test_steps_that_go_nowhere_are_no_swing() -> None:
    assert left(Momentum(columns=100), np.array([0.0]), 3)[0] == 1.0


def test_eight_mixed_steps_settle_a_few_stiff_directions_among_many() -> None:
    curvature = np.concatenate([np.linspace(0.7, 1.3, 50), [20.0, 60.0]])
    assert left(Mixing(60), curvature, 8).max() < 0.02


def test_planted_fault_steps_that_are_not_mixed_are_far_too_slow(monkeypatch) -> None:
    monkeypatch.setattr(Mixing, "remembers", 1)
    assert left(Mixing(60), np.array([1.0, 60.0]), 8).max() > 0.5


def same(rng: np.random.Generator, columns: int) -> tuple[Design, Float]:
    """Columns of three values that say nearly the same, all of which add alike; and log-odds."""
    shared = rng.normal(0, 1, PEOPLE)
    said = [np.digitize(shared + rng.normal(0, 0.3, PEOPLE), [-0.5, 0.5]) for _ in range(columns)]
    encoder = Encoder.from_declared([Category(f"c{at}", tuple("abc")) for at in range(columns)])
    table = pa.table({f"c{at}": np.array(list("abc"))[each] for at, each in enumerate(said)})
    return encoder.encode(table), np.sum(said, axis=0) / columns - 2


def off(learner: DPGAM | WideGLM, columns: int) -> float:
    """How far scores are off, root mean square. One in three is positive, and log-odds differ by .8."""
    rng = np.random.default_rng(41)
    design, true = same(rng, columns)
    scores = learner.fit_drawn(design, rng.random(PEOPLE) < sigmoid(true), noise(rng, 3.0)).score(design)
    return float(np.sqrt(np.mean((scores - true) ** 2)))


@pytest.mark.parametrize(
    ("learner", "columns", "most"), [(DPGAM(), 12, 0.25), (DPGAM(), 40, 0.5), (WideGLM(), 40, 0.25)]
)
def test_columns_that_say_the_same_are_not_counted_as_many(learner: DPGAM | WideGLM, columns: int, most: float) -> None:
    """.15, .36 and .18; steps of `person` are halved among forty, and what they overshot first is not made good."""
    assert off(learner, columns) < most


@pytest.mark.parametrize(("columns", "least"), [(12, 0.4), (40, 3.0)])
def test_planted_fault_a_person_fit_without_momentum_counts_them_as_many(
    columns: int, least: float, monkeypatch
) -> None:
    monkeypatch.setattr(momentum, "_momentum", lambda _damping: 0.0)
    monkeypatch.setattr(momentum, "AGAINST", -2.0)
    assert off(DPGAM(damping=0.3), columns) > least


def test_planted_fault_a_person_fit_that_is_not_halved_counts_them_as_many(monkeypatch) -> None:
    monkeypatch.setattr(momentum, "AGAINST", -2.0)
    assert off(DPGAM(), 40) > 0.7


def test_planted_fault_a_wide_fit_that_starts_with_a_long_step_is_lost(monkeypatch) -> None:
    monkeypatch.setattr(Mixing, "__init__", lambda self, _columns: setattr(self, "first", 0.3))
    assert off(WideGLM(), 40) > 3.0
