"""The audit has teeth: it finds nearly all that is spent, and every planted leak."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling.audience import choose
from passbox.modelling.canaries import follows_from, membership_attack, one_run, person_attack, two_worlds
from passbox.modelling.design import Design
from passbox.modelling.features import Category, Encoder, Number
from passbox.modelling.lookalike import fit

MU = 0.9


def noise(mu: float, seed: int = 0, halved: bool = False):
    rng = np.random.default_rng(seed)

    def draw(statistic: Statistic) -> Noisy:
        scale = math.sqrt(statistic.l2_squared) / mu
        values = rng.normal(0, scale / (2 if halved else 1), len(statistic.values))
        return Noisy(
            statistic.values + np.rint(values).astype(np.int64), scale, statistic.bits, Receipt("", 0, b"", "")
        )

    return draw


@pytest.fixture(scope="module")
def people() -> Design:
    rng = np.random.default_rng(1)
    table = pa.table({"a": rng.choice(["x", "y"], 600), "n": rng.uniform(0, 3, 600)})
    return Encoder.from_declared([Category("a", ("x", "y")), Number("n", 0, 3)]).encode(table)


LABEL = np.random.default_rng(2).random(600) < 0.3


def test_two_worlds_find_nine_tenths_of_what_a_membership_release_spends(people) -> None:
    """5,000 runs a world: the bound is above the truth in 1 of 20 audits, and here about .94 of it."""
    found = two_worlds(membership_attack(people, LABEL, noise(MU)), MU, 5000)
    assert not found.leaks
    assert found.lower >= 0.9 * MU


def test_two_worlds_find_most_of_what_a_person_fit_spends(people) -> None:
    """A positive among people who are none: nobody is more surprising. 400 runs a world leave a third to luck."""
    found = two_worlds(person_attack(people, np.zeros(600, dtype=bool), noise(3.0), steps=4), 3.0, 400)
    assert not found.leaks
    assert found.lower >= 0.75 * 3.0


def test_planted_leak_half_the_noise_is_caught(people) -> None:
    assert two_worlds(membership_attack(people, LABEL, noise(MU, halved=True)), MU, 2000).leaks
    assert two_worlds(person_attack(people, LABEL & False, noise(2.0, halved=True), steps=4), 2.0, 150).leaks


def test_planted_leak_an_unclipped_row_is_caught(people) -> None:
    """A table twice as long as promised, the sensitivity as before."""
    columns = tuple(replace(block, table=2 * block.table) for block in people.columns)
    assert two_worlds(membership_attack(replace(people, columns=columns), LABEL, noise(MU)), MU, 2000).leaks


def test_planted_leak_seeds_in_the_audience_are_caught(people) -> None:
    tiebreak = np.random.default_rng(3).integers(0, 2**63, 600).astype(np.uint64)
    noisy = noise(MU)(people.moments(LABEL))

    def honest(noisy: Noisy, _label: np.ndarray) -> np.ndarray:
        return choose(fit(people, noisy).score(people), tiebreak, 20)

    def seeds_first(noisy: Noisy, label: np.ndarray) -> np.ndarray:
        return choose(fit(people, noisy).score(people) + 99 * label, tiebreak, 20)

    def seeds_win_ties(noisy: Noisy, label: np.ndarray) -> np.ndarray:
        return choose(np.round(fit(people, noisy).score(people)), np.where(label, 0, tiebreak).astype(np.uint64), 20)

    labels = [LABEL, ~LABEL, np.zeros(600, dtype=bool)]
    assert follows_from(honest, noisy, labels)
    assert not follows_from(seeds_first, noisy, labels)
    assert not follows_from(seeds_win_ties, noisy, labels)


def test_one_run_stays_below_the_charge_and_has_teeth_with_many_canaries() -> None:
    """Scores of 10,000 orthogonal canaries under a Gaussian of epsilon 4 at 1e-6 (mu .87), and with a tenth of it."""
    rng = np.random.default_rng(5)
    included = rng.random(10_000) < 0.5
    fair = one_run(included + rng.normal(0, 1 / 0.87, 10_000), included, 2_000, 4.0, 1e-6)
    assert 0.5 < fair.lower < 4.0
    assert not fair.leaks
    leaky = one_run(included + rng.normal(0, 0.1 / 0.87, 10_000), included, 2_000, 4.0, 1e-6)
    assert leaky.leaks
    assert one_run(rng.normal(0, 1, 10_000), included, 2_000, 4.0, 1e-6).lower == 0.0
