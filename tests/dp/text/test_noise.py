"""Euclidean and hyperbolic noise: its distribution, and its guarantee in two worlds. False alarms: 10^-6 a test."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy import integrate, stats

from passbox.dp.text.euclidean import SPICE, Euclidean, euclidean, noise, spiced
from passbox.dp.text.hyperbolic import NoiseUnbounded, around, distance, hyperbolic, lorentz, radii
from passbox.dp.text.table import Table
from passbox.dp.text.vocabulary import Vocabulary

ALARM = 1e-6
APART = 9
"""Different words that are more than a noise used again gives."""


def test_euclidean_noise_has_a_gamma_length_and_no_direction() -> None:
    drawn = noise(20_000, 7, 2.5)
    length = np.linalg.norm(drawn, axis=1)
    assert stats.kstest(length, "gamma", (7, 0, 1 / 2.5)).pvalue > ALARM
    cosine = drawn[:, 0] / length
    assert stats.kstest((cosine + 1) / 2, "beta", (3, 3)).pvalue > ALARM
    assert stats.kstest(noise(20_000, 7, 5.0)[:, 0], drawn[:, 0]).pvalue < ALARM  # half the noise is another noise


def _density(r: float, dimensions: int, epsilon: float) -> float:
    return math.exp((dimensions - 1) * (math.log(-math.expm1(-2 * r)) - math.log(2) + r) - epsilon * r)


def _sum_of_exponentials(r: float, rates: np.ndarray) -> float:
    """The distribution function of a sum of exponentials of different rates."""
    left = [math.prod(other / (other - rate) for other in rates if other != rate) for rate in rates]
    return 1.0 - sum(weight * math.exp(-rate * r) for weight, rate in zip(left, rates, strict=True))


@pytest.mark.parametrize(("dimensions", "epsilon"), [(2, 1.2), (3, 2.5), (5, 4.5), (5, 9.0), (10, 30.0)])
def test_hyperbolic_distances_are_the_derived_sum(dimensions: int, epsilon: float) -> None:
    """Deterministic: the closed form of the sum against numerical integration of sinh(r)^(d-1) e^(-εr)."""
    rates = epsilon - (dimensions - 1) + 2.0 * np.arange(dimensions)
    whole = integrate.quad(_density, 0, np.inf, (dimensions, epsilon), epsabs=0, epsrel=1e-12, limit=500)[0]
    for r in (0.05, 0.3, 1.0, 2.5, 6.0):
        part = integrate.quad(_density, 0, r, (dimensions, epsilon), epsabs=0, epsrel=1e-12, limit=500)[0]
        assert part / whole == pytest.approx(_sum_of_exponentials(r, rates), abs=1e-7)


@pytest.mark.parametrize(("dimensions", "epsilon"), [(3, 2.5), (5, 9.0)])
def test_hyperbolic_draws_follow_it(dimensions: int, epsilon: float) -> None:
    rates = epsilon - (dimensions - 1) + 2.0 * np.arange(dimensions)
    drawn = np.sort(radii(40_000, dimensions, epsilon))
    expected = np.array([_sum_of_exponentials(r, rates) for r in drawn])
    ks = np.abs(expected - (np.arange(len(drawn)) + 0.5) / len(drawn)).max()
    assert ks < stats.kstwo.isf(ALARM, len(drawn))
    doubled = np.array([_sum_of_exponentials(2 * r, rates) for r in drawn])  # half the noise
    assert np.abs(doubled - (np.arange(len(drawn)) + 0.5) / len(drawn)).max() > 0.1


def lifted(klein: np.ndarray) -> np.ndarray:
    """Points of Klein's ball on the hyperboloid, time first."""
    time = 1 / np.sqrt(1 - np.square(klein).sum(axis=1))
    return np.concatenate([time[:, None], klein * time[:, None]], axis=1)


def test_noise_moved_to_a_word_lies_as_far_from_it_as_it_did_from_the_origin() -> None:
    ball = np.array([[0.0, 0.0, 0.0], [0.7, 0.2, -0.1], [-0.3, 0.93, 0.1]], dtype=np.float32)
    points = lorentz(np.repeat(ball, 5_000, axis=0))
    far = distance(points, lifted(around(points, 6.0))).reshape(3, -1)
    rates = 6.0 - 2 + 2.0 * np.arange(3)
    for each in far:
        expected = np.array([_sum_of_exponentials(r, rates) for r in np.sort(each)])
        ks = np.abs(expected - (np.arange(len(each)) + 0.5) / len(each)).max()
        assert ks < stats.kstwo.isf(ALARM, len(each))


def test_noise_is_turned_evenly_round_a_word_wherever_it_lies() -> None:
    """The other half of an isometry: taken back to the origin, directions are uniform."""
    at = np.array([[0.55, -0.4]], dtype=np.float32)
    points = lorentz(np.repeat(at, 20_000, axis=0))
    drawn, inner = lifted(around(points, 3.0)), lorentz(-at)[0, 1:]
    back = drawn[:, 1:] + inner * (drawn[:, :1] + (drawn[:, 1:] @ inner)[:, None] / (1 + points[0, 0]))
    angle = np.arctan2(back[:, 1], back[:, 0])
    assert stats.kstest(angle, "uniform", (-np.pi, 2 * np.pi)).pvalue > ALARM


def test_noise_that_runs_to_the_end_of_space_prefers_no_word() -> None:
    """Just above the least ε distances exceed what cosh can hold: four words round the middle come alike."""
    ball = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5], [0.0, 0.0]], dtype=np.float32)
    drawn = hyperbolic(ball, 1.001).draw(np.full(20_000, 4))
    counts = np.bincount(drawn, minlength=5)
    assert stats.chisquare(counts[:4]).pvalue > ALARM
    assert counts[:4].sum() > 19_000


def test_hyperbolic_noise_that_would_not_fall_is_refused() -> None:
    with pytest.raises(NoiseUnbounded):
        radii(1, 5, 4.0)
    with pytest.raises(NoiseUnbounded):
        hyperbolic(np.zeros((3, 5), dtype=np.float32), 4.0)


def _largest_ratio(one: np.ndarray, other: np.ndarray, size: int) -> float:
    """A lower bound, at 10^-6, on the largest log-ratio of two words' outputs (Clopper and Pearson)."""
    low = ALARM / (2 * size)
    counts = [np.bincount(each, minlength=size) for each in (one, other)]
    least = stats.beta.ppf(low, np.maximum(counts[0], 1e-9), len(one) - counts[0] + 1)
    most = stats.beta.isf(low, counts[1] + 1, np.maximum(len(other) - counts[1], 1e-9))
    return float(np.log(np.maximum(least, 1e-300) / most).max())


class _OnALine:
    """Three words on a line: the hardest case, since noise on a line has nowhere else to go."""

    vectors = np.array([[0.0], [1.0], [-9.0]], dtype=np.float32)


@pytest.mark.parametrize(("factor", "caught"), [(1.0, False), (2.0, True)])
def test_two_words_are_as_alike_as_promised_and_half_the_noise_is_caught(factor: float, caught: bool) -> None:
    promised = 2.0
    drawing = euclidean(_OnALine.vectors, promised * factor)
    one, other = (drawing.draw(np.full(100_000, word)) for word in (0, 1))
    assert (_largest_ratio(one, other, 3) > promised * 1.0) is caught


def test_hyperbolic_words_are_as_alike_as_promised_and_half_the_noise_is_caught() -> None:
    ball = np.array([[0.0, 0.0], [0.35, 0.0], [-0.9, 0.0]], dtype=np.float32)
    far = float(distance(lorentz(ball[:1]), lorentz(ball[1:2]))[0])
    for factor, caught in ((1.0, False), (3.0, True)):
        drawing = hyperbolic(ball, 4.0 * factor)
        one, other = (drawing.draw(np.full(100_000, word)) for word in (1, 0))
        assert (_largest_ratio(one, other, 3) > 4.0 * far) is caught


@pytest.mark.parametrize("kind", ["euclidean", "hyperbolic"])
def test_two_processes_and_two_tokens_never_share_noise(kind: str) -> None:
    """Noise drawn once for all tokens would make equal words equal. Of 400 tokens 32 are different on average, with a
    deviation of 3, under hyperbolic noise, and more under Euclidean: `APART` is 7 of these below."""
    points = np.stack([np.cos(np.arange(200)), np.sin(np.arange(200))], axis=1).astype(np.float32) * 0.9
    drawing = euclidean(points, 3.0) if kind == "euclidean" else hyperbolic(points, 2.0)
    drawn = drawing.draw(np.zeros(400, dtype=np.int64))
    assert len(np.unique(drawn)) > APART


def test_reused_noise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: one vector of noise for every token. What differs is one word and the uniform ones, of which
    there are .4 on average: `APART` of them once in 10^9."""
    monkeypatch.setattr("passbox.dp.text.euclidean.noise", lambda rows, d, _: np.tile(noise(1, d, 3.0), (rows, 1)))
    points = np.stack([np.cos(np.arange(200)), np.sin(np.arange(200))], axis=1).astype(np.float32)
    assert len(np.unique(euclidean(points, 3.0).draw(np.zeros(400, dtype=np.int64)))) <= APART


def test_every_output_is_possible(vocabulary: Vocabulary, table: Table) -> None:
    mixed = spiced(np.zeros(SPICE * 200, dtype=np.int64), 50)
    others = (mixed != 0).sum()
    assert stats.binomtest(int(others), len(mixed), 49 / 50 / SPICE).pvalue > ALARM
    assert isinstance(euclidean(vocabulary.vectors[table.words], 1.0), Euclidean)
    assert isinstance(vocabulary.words, pl.Series)
