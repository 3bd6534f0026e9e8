"""A model's worth by how much is known of people, where sizes are secret too: two noisy histograms, read."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import binom, norm

from passbox.modelling import evaluate_noisy as module
from passbox.modelling.evaluate_noisy import evaluate_noisy
from passbox.modelling.grid import FEW_BINS, binned, steps
from passbox.modelling.logistic import sigmoid
from passbox.modelling.strata_noisy import NoisyQuality, evaluate_noisy_strata, placed, places

COLUMNS = 8
KNOWN, SPREAD, SHARE = np.array([1, 3, 5, 7]), np.array([0.5, 0.8, 1.2, 1.6]), np.array([0.2, 0.2, 0.3, 0.3])
MIDDLE, ENDS = -2.0, -2.0 + 1.2 * steps(few=True)
SIGMA = 6.0


def people_of(rng: np.random.Generator, many: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stratum, score and label: scores are right, and differ the more the more is known."""
    stratum = rng.choice(4, many, p=SHARE)
    score = MIDDLE + SPREAD[stratum] * rng.normal(size=many)
    return stratum, score, rng.random(many) < sigmoid(score)


def counted(stratum: np.ndarray, score: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    at = placed(binned(score, ENDS), KNOWN[stratum], COLUMNS)
    seeds, rest = (np.bincount(at[who], minlength=places(COLUMNS)).astype(float) for who in (label, ~label))
    return seeds, rest


def auc_of(score: np.ndarray, label: np.ndarray) -> float:
    seeds, rest = np.sort(score[label]), np.sort(score[~label])
    return float(np.searchsorted(rest, seeds).mean() / len(rest))


def binormal(auc: float, share: float, few: bool) -> tuple[np.ndarray, np.ndarray]:
    """How many are expected in each bin: scores of both groups are normal, of the same spread."""
    apart, ends = np.sqrt(2) * ndtri(auc), steps(few)
    middle = share * apart
    spread = np.sqrt(1 + share * (1 - share) * apart**2)
    at = np.concatenate([[-np.inf], middle + spread * ends, [np.inf]])
    return share * np.diff(ndtr(at - apart))[::-1], (1 - share) * np.diff(ndtr(at))[::-1]


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.3])
@pytest.mark.parametrize("auc", [0.55, 0.7, 0.8, 0.9])
def test_the_auc_of_bins_is_that_of_scores(auc: float, share: float, few: bool) -> None:
    """Of normal scores: however many people there are, and however little noise, the bins add no error to speak of."""
    seeds, rest = (1e7 * each for each in binormal(auc, share, few))
    assert abs(evaluate_noisy(seeds, rest, 1e-3).auc.estimate - auc) < (0.003 if few else 0.0008)


@pytest.mark.parametrize("share", [0.95, 1.0])
def test_two_scores_in_neighbouring_bins_have_an_auc(share: float) -> None:
    """Of either group this share has the better, and the worse, of two scores; ties count half."""
    seeds, rest = np.zeros((2, FEW_BINS))
    seeds[3], seeds[4] = 2_000 * share, 2_000 * (1 - share)
    rest[3], rest[4] = 20_000 * (1 - share), 20_000 * share
    auc = evaluate_noisy(seeds, rest, 1.0, cuts=False).auc
    assert auc.low - 1e-9 <= share**2 + share * (1 - share) <= auc.high + 1e-9
    assert auc.low > 0.9


def test_planted_fault_ties_that_count_half_say_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_within", lambda bins: np.zeros((bins, bins)))
    with pytest.raises(AssertionError):
        test_the_auc_of_bins_is_that_of_scores(0.8, 0.3, few=False)


def test_everybody_is_in_one_place_of_its_own_stratum() -> None:
    rng = np.random.default_rng(1)
    cells, known = rng.integers(0, FEW_BINS, 500), rng.integers(0, COLUMNS + 1, 500)
    at = placed(cells, known, COLUMNS)
    assert 0 <= at.min() <= at.max() < places(COLUMNS) == 4 * FEW_BINS
    assert (at % FEW_BINS == cells).all()
    assert (at // FEW_BINS == known * 4 // (COLUMNS + 1)).all()


@pytest.mark.parametrize(("columns", "strata"), [(1, 2), (2, 3), (3, 4), (400, 4)])
def test_of_few_columns_there_are_fewer_strata(columns: int, strata: int) -> None:
    assert places(columns) == strata * FEW_BINS
    assert placed(np.array([0]), np.array([columns]), columns).tolist() == [(strata - 1) * FEW_BINS]
    nothing = np.zeros(places(columns))
    _, (all_together,) = evaluate_noisy_strata(nothing, nothing, 1.0, columns, ENDS)
    assert (all_together.fewest, all_together.most) == (0, columns)


def test_figures_of_all_people_are_those_of_the_sums_with_the_noise_of_all() -> None:
    seeds, rest = counted(*people_of(np.random.default_rng(2), 5_000))
    whole, _ = evaluate_noisy_strata(seeds, rest, SIGMA, COLUMNS, ENDS)
    sums = (each.reshape(4, FEW_BINS).sum(axis=0) for each in (seeds, rest))
    assert whole == evaluate_noisy(*sums, 2 * SIGMA)


def test_strata_that_noise_may_have_made_are_joined_to_the_next() -> None:
    """Nobody has fewer than five of eight columns; noise says there are some."""
    rng = np.random.default_rng(3)
    stratum, score, label = people_of(rng, 6_000)
    seeds, rest = counted(np.maximum(stratum, 2), score, label)
    noise = rng.normal(0, SIGMA, (2, places(COLUMNS)))
    _, each = evaluate_noisy_strata(seeds + noise[0], rest + noise[1], SIGMA, COLUMNS, ENDS)
    assert [(one.fewest, one.most) for one in each] == [(0, 6), (7, 8)]


RUNS = 60


def coverage(sigma: float = SIGMA, told: float | None = None) -> dict[str, float]:
    """How often figures of the strata hold the truth, over runs. told: the noise that is said to be there."""
    truth = people_of(np.random.default_rng(4), 400_000)
    aucs = [auc_of(truth[1][truth[0] == at], truth[2][truth[0] == at]) for at in range(4)]
    rates = [float(truth[2][truth[0] == at].mean()) for at in range(4)]
    held: dict[str, list[bool]] = {"auc": [], "shrunk_auc": [], "rate": [], "shrunk_rate": [], "whole": []}
    rng, everybody = np.random.default_rng(5), auc_of(*truth[1:])
    for _ in range(RUNS):
        seeds, rest = counted(*people_of(rng, 6_000))
        noise = rng.normal(0, sigma, (2, places(COLUMNS)))
        both = seeds + noise[0], rest + noise[1]
        whole, each = evaluate_noisy_strata(*both, sigma if told is None else told, COLUMNS, ENDS)
        held["whole"].append(whole.auc.low <= everybody <= whole.auc.high)
        for one, auc, rate in zip(each, aucs, rates, strict=True):
            figures = {
                "auc": one.of.auc,
                "rate": one.rate,
                "shrunk_auc": one.shrunk_auc,
                "shrunk_rate": one.shrunk_rate,
            }
            for name, figure in figures.items():
                if figure is not None:
                    held[name].append(figure.low <= (auc if "auc" in name else rate) <= figure.high)
    return {name: float(np.mean(hits)) for name, hits in held.items()}


def least(runs: int) -> float:
    """Below that one comes once in a thousand were intervals right 95 % of the time, runs being independent."""
    return float(binom.ppf(1e-3, runs, 0.95)) / runs


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    found = coverage()
    assert found["whole"] >= least(RUNS), found
    strata = ("auc", "rate", "shrunk_auc", "shrunk_rate")  # of one run nearly independent: each has its own noise
    assert all(found[name] >= least(3 * RUNS) for name in strata), found


def test_planted_fault_intervals_that_ignore_half_the_noise_are_caught() -> None:
    found = coverage(sigma=2 * SIGMA, told=SIGMA)
    assert found["rate"] < least(3 * RUNS), found


def test_no_counts_give_a_number_that_is_none() -> None:
    rng = np.random.default_rng(6)
    for sigma in (0.1, 50.0, 5_000.0):
        both = rng.normal(0, sigma, (2, places(COLUMNS)))
        whole, each = evaluate_noisy_strata(*both, sigma, COLUMNS, ENDS)
        figures = [whole.auc, *(f for one in each for f in _figures(one))]
        assert all(np.isfinite([f.low, f.estimate, f.high]).all() for f in figures)
        assert all(0 <= f.low <= f.estimate <= f.high <= 1 for f in figures)
        assert all(0 <= one.said <= 1 for one in each)


def _figures(one: NoisyQuality) -> list[module.Estimate]:
    return [f for f in (one.of.auc, one.rate, one.shrunk_auc, one.shrunk_rate) if f is not None]


@pytest.mark.parametrize("wrong", [(31, 31, 7), (32, 16, 7), (32, 32, 6)])
def test_counts_that_do_not_fit_are_refused(wrong: tuple[int, int, int]) -> None:
    seeds, rest, ends = wrong
    with pytest.raises(ValueError, match="do not fit together"):
        evaluate_noisy_strata(np.zeros(seeds), np.zeros(rest), 1.0, COLUMNS, np.arange(float(ends)))


def test_the_true_auc_of_these_people_is_what_is_held_against() -> None:
    """Scores that are right, and normal: the rarer seeds are, the nearer to that of normal groups a spread apart."""
    rng = np.random.default_rng(7)
    score = -7 + 0.8 * rng.normal(size=4_000_000)
    label = rng.random(len(score)) < sigmoid(score)
    assert abs(auc_of(score, label) - norm.cdf(0.8 / np.sqrt(2))) < 0.01
