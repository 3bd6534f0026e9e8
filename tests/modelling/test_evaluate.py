"""Figures from a noisy histogram: intervals that cover what they say, and never a number that is none."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from sklearn.metrics import roc_auc_score

from passbox.dp.aggregate import histogram
from passbox.dp.noisy import Estimate, Noisy, Receipt
from passbox.modelling import evaluate as module
from passbox.modelling.evaluate import (
    MOST_BINS,
    Evaluation,
    ScoreBins,
    bin_ends,
    evaluate,
    evaluate_flipped,
    exact,
    people_below,
    planned_auc_halfwidth,
)
from passbox.modelling.lookalike import fit
from passbox.modelling.strategy import Strategy

RUNS = 2_000
# False alarms: a coverage of .95 falls below .925 in 2,000 runs with probability 2e-7, one of .94 with 3e-3; 65 such
# figures are looked at. The seeds are fixed, so there is none until the code changes. Where noise dominates, an
# interval is often all of [0, 1] and holds the truth more often than it says: hence the ceiling of .99.
FLOOR, CEILING = 0.925, 0.99

REGIMES = {
    # people, share of positives, AUC, noise in one bin
    "few positives": (2_000, 0.02, 0.80, 1.0),
    "many positives": (2_000, 0.30, 0.90, 5.0),
    "rarer and larger": (3_000, 0.08, 0.75, 5.0),
    "noise dominates": (2_000, 0.01, 0.80, 6.0),
    "scores say nothing": (2_000, 0.10, 0.50, 5.0),
}
CUTS_SEEN = (1, 6, 9)


def paid(values: np.ndarray, scale: float) -> Noisy:
    return Noisy(values.astype(np.int64), scale, 0, Receipt("00", 0, b"", "00"))


def held_out(people: int, share: float, auc: float, sigma: float, number: int, runs: int = RUNS):
    """Histograms of positives of fresh samples of people with binormal scores, with rounded Gaussian noise."""
    rng = np.random.default_rng(number)
    apart = math.sqrt(2) * float(ndtri(auc))
    ends = bin_ends(people)
    totals = np.diff(ends, prepend=0)
    for _ in range(runs):
        positive = rng.random(people) < share
        order = np.argsort(-(rng.normal(size=people) + apart * positive))
        counts = np.add.reduceat(positive[order].astype(np.int64), np.r_[0, ends[:-1]])
        yield counts + np.rint(rng.normal(0, sigma, len(totals))).astype(np.int64), totals


@cache
def true_gain(share: float, auc: float, at: float) -> float:
    apart = math.sqrt(2) * float(ndtri(auc))
    threshold = np.linspace(9 + apart, -9, 20_001)
    gain = ndtr(apart - threshold)
    return float(np.interp(at, (1 - share) * ndtr(-threshold) + share * gain, gain))


def holds(interval: Estimate, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@contextmanager
def cuts_alone(*seen: int) -> Iterator[None]:
    """Of an evaluation's cuts these are made, which are all that is read: all of them take most of its time."""
    honest = module._cut
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_cut", lambda *given: honest(*given) if given[-1] - 1 in seen else None)
        yield


def coverage(regime: str, *, told: float = 1.0, number: int = 1, runs: int = RUNS) -> dict[str, float]:
    """How often each kind of interval holds the truth. told: share of the noise that `evaluate` is told of."""
    people, share, auc, sigma = REGIMES[regime]
    held: dict[str, list[bool]] = {}
    for counts, totals in held_out(people, share, auc, sigma, number, runs):
        with cuts_alone(*CUTS_SEEN):
            seen = evaluate(paid(counts, sigma * told), totals)
        held.setdefault("auc", []).append(holds(seen.auc, auc))
        for cut in (seen.cuts[k] for k in CUTS_SEEN):
            gain = true_gain(share, auc, cut.share)
            held.setdefault(f"gain {cut.share:.2f}", []).append(holds(cut.gain, gain))
            held.setdefault(f"lift {cut.share:.2f}", []).append(holds(cut.lift, gain / cut.share))
            held.setdefault(f"precision {cut.share:.2f}", []).append(holds(cut.precision, gain * share / cut.share))
            others = (cut.share - share * gain) / (1 - share)
            held.setdefault(f"false positives {cut.share:.2f}", []).append(holds(cut.false_positives, others))
    return {name: float(np.mean(hits)) for name, hits in held.items()}


@pytest.mark.parametrize("regime", REGIMES)
def test_intervals_hold_the_truth_as_often_as_they_say(regime: str) -> None:
    found = coverage(regime)
    print(regime, {name: round(rate, 3) for name, rate in found.items()})
    assert FLOOR <= found["auc"] <= CEILING
    assert all(rate >= FLOOR for rate in found.values()), found


@pytest.mark.parametrize("regime", ["rarer and larger", "noise dominates", "scores say nothing"])
def test_planted_fault_intervals_that_ignore_the_noise_are_caught(regime: str) -> None:
    found = coverage(regime, told=1e-9, runs=300)
    assert found["auc"] < FLOOR - 0.05
    assert min(found[name] for name in found if name.startswith("lift")) < FLOOR - 0.05


@pytest.mark.parametrize("regime", ["few positives"])
def test_planted_fault_intervals_that_ignore_the_sampling_are_caught(
    monkeypatch: pytest.MonkeyPatch, regime: str
) -> None:
    added = module._added
    monkeypatch.setattr(module, "_added", lambda *parts: added(*parts[:2]))
    assert coverage(regime, runs=300)["auc"] < FLOOR - 0.05


def test_planted_fault_half_of_ones_own_bin_is_a_biased_rank() -> None:
    """Why `people_below` takes the slope inside a bin: without it the AUC is up to .004 too low."""
    people = 1_000_000
    totals = np.diff(bin_ends(people), prepend=0)
    halves = people - np.cumsum(totals) + totals / 2
    for auc in (0.6, 0.75, 0.85, 0.92, 0.97):
        for share in (0.01, 0.3):
            counts = module._binormal(int(share * people), totals, auc)
            p = counts.sum()
            found = [(counts @ below - p * p / 2) / (p * (people - p)) for below in (halves, people_below(totals))]
            assert auc - found[0] > 0.0008
            assert abs(found[1] - auc) < 0.0006


def test_the_auc_is_that_of_scikit_learn_up_to_the_bins() -> None:
    rng = np.random.default_rng(4)
    positive = rng.random(50_000) < 0.1
    scores = rng.gumbel(size=50_000) + 1.2 * positive
    bins = ScoreBins.of(scores, rng.integers(0, 2**64, 50_000, dtype=np.uint64))
    counts = np.bincount(bins.cell[positive], minlength=len(bins.totals))
    seen = exact(counts, bins.totals, bins.predicted)
    assert seen.auc.estimate == pytest.approx(roc_auc_score(positive, scores), abs=0.001)
    assert seen.auc.covers == "sampling"
    top = scores >= np.sort(scores)[-5_000]
    (cut,) = (cut for cut in seen.cuts if cut.people == 5_000)
    assert cut.gain.estimate == pytest.approx(positive[top].sum() / positive.sum())
    assert cut.precision.estimate == pytest.approx(positive[top].mean())
    assert cut.lift.estimate == pytest.approx(positive[top].mean() / positive.mean())
    assert cut.false_positives.estimate == pytest.approx((~positive)[top].sum() / (~positive).sum())


def test_a_tenth_of_the_noise_is_a_narrower_interval() -> None:
    counts, totals = next(held_out(2_000, 0.1, 0.8, 0.0, 3))
    widths = [(s.auc.high - s.auc.low) for s in (evaluate(paid(counts, x), totals) for x in (50.0, 5.0, 0.5))]
    assert widths[0] > widths[1] > widths[2]


def all_numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [x for part in value.values() for x in all_numbers(part)]
    if isinstance(value, list):
        return [x for part in value for x in all_numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


def estimates(seen: Evaluation) -> list[Estimate]:
    cuts = [e for c in seen.cuts for e in (c.gain, c.lift, c.precision, c.false_positives)]
    return [seen.positives, seen.auc, *cuts, *(bin_.rate for bin_ in seen.calibration)]


@given(
    st.lists(st.tuples(st.integers(1, 5_000), st.integers(-20_000, 20_000)), min_size=1, max_size=MOST_BINS),
    st.sampled_from([1e-6, 0.5, 5.0, 1e3, 1e9]),
)
@example([(1, 0)], 1.0)
@example([(100, 0)] * 5, 1e-6)
@example([(100, 100)] * 5, 1e-6)
@example([(10, -(2**40))] * 15, 3.0)
@settings(max_examples=300, deadline=None)
def test_no_histogram_gives_a_number_that_is_none(bins: list[tuple[int, int]], scale: float) -> None:
    totals, counts = (np.array(part, dtype=np.int64) for part in zip(*bins, strict=True))
    for seen in (evaluate(paid(counts, scale), totals), exact(np.clip(counts, 0, totals), totals)):
        text = json.dumps(seen.as_json(), allow_nan=False)
        assert all(math.isfinite(x) for x in all_numbers(json.loads(text)))
        assert all(e.low <= e.estimate <= e.high for e in estimates(seen))
        assert 0 <= seen.auc.low <= seen.auc.high <= 1


@pytest.mark.parametrize("counts", [np.zeros(15), np.full(15, -4), np.r_[np.zeros(14), 3]])
def test_where_positives_are_lost_in_the_noise_the_interval_is_everything(counts: np.ndarray) -> None:
    totals = np.diff(bin_ends(2_000), prepend=0)
    seen = evaluate(paid(counts, 20.0), totals)
    assert (seen.auc.low, seen.auc.high) == (0, 1)
    assert (seen.cuts[3].gain.low, seen.cuts[3].gain.high) == (0, 1)
    assert seen.cuts[3].lift.high == pytest.approx(1 / seen.cuts[3].share)


def test_the_interval_planned_is_the_interval_met() -> None:
    for people, share, auc, sigma in ((2_000, 0.3, 0.9, 5.0), (5_000, 0.1, 0.75, 5.0), (4_000, 0.2, 0.8, 20.0)):
        seen = [evaluate(paid(c, sigma), t).auc for c, t in held_out(people, share, auc, sigma, 5, runs=60)]
        met = float(np.median([(e.high - e.low) / 2 for e in seen]))
        assert planned_auc_halfwidth(int(share * people), people, sigma, auc) == pytest.approx(met, rel=0.15)


def test_a_plan_for_a_handful_says_that_nothing_will_be_known() -> None:
    assert planned_auc_halfwidth(5, 2_000, 10.0, 0.8) > 0.4
    with pytest.raises(ValueError):
        planned_auc_halfwidth(0, 2_000, 10.0, 0.8)


def test_bins_hold_the_best_first_and_ties_go_by_key() -> None:
    rng = np.random.default_rng(6)
    scores = np.repeat(rng.normal(size=100), 20)
    tiebreak = rng.integers(0, 2**64, 2_000, dtype=np.uint64)
    bins = ScoreBins.of(scores, tiebreak)
    assert bins.totals.tolist() == np.bincount(bins.cell).tolist()
    assert bins.totals[:4].tolist() == [10, 10, 20, 30]
    order = rng.permutation(2_000)
    assert np.array_equal(ScoreBins.of(scores[order], tiebreak[order]).cell, bins.cell[order])
    worst_of_best, best_of_rest = scores[bins.cell <= 5].min(), scores[bins.cell > 5].max()
    assert worst_of_best >= best_of_rest
    assert (np.diff(bins.predicted) <= 0).all()


@pytest.mark.parametrize(("people", "expected"), [(1, 1), (9, 1), (20, 2), (100, 8), (2_000, 15), (10**6, 15)])
def test_few_people_have_few_bins(people: int, expected: int) -> None:
    ends = bin_ends(people)
    assert len(ends) == expected
    assert ends[-1] == people
    assert (np.diff(ends, prepend=0) >= min(10, people)).all()


def test_bins_read_back_are_the_same_and_nonsense_is_refused() -> None:
    bins = ScoreBins.of(np.arange(50.0), np.arange(50, dtype=np.uint64))
    again = ScoreBins.from_json(bins.to_json())
    assert np.array_equal(again.cell, bins.cell)
    assert again.predicted.tobytes() == bins.predicted.tobytes()
    with pytest.raises(ValueError):
        ScoreBins.from_json(bins.to_json().replace('"totals": [', '"totals": [1, '))
    with pytest.raises(ValueError, match="nobody"):
        ScoreBins.of(np.zeros(0), np.zeros(0, dtype=np.uint64))


def test_cells_that_were_declared_but_not_needed_are_passed_over() -> None:
    totals = np.array([10, 90])
    short, long = np.array([5, 7]), np.array([5, 7, 1000, -1000])
    assert evaluate(paid(short, 2.0), totals) == evaluate(paid(long, 2.0), totals)
    with pytest.raises(ValueError):
        evaluate(paid(short, 2.0), np.array([10, 10, 90]))


def test_a_histogram_on_a_finer_lattice_reads_the_same() -> None:
    totals, seen = np.array([10, 90]), np.array([5, 7])
    fine = Noisy(seen << 10, 2.0 * 2**10, 10, Receipt("00", 0, b"", "00"))
    assert evaluate(fine, totals) == evaluate(paid(seen, 2.0), totals)


def test_calibration_sets_what_was_said_beside_what_came_true() -> None:
    seen = evaluate(paid(np.array([30, 70]), 2.0), np.array([100, 900]), np.array([0.28, 0.08]))
    assert [bin_.predicted for bin_ in seen.calibration] == [0.28, 0.08]
    assert all(bin_.rate.low < bin_.predicted < bin_.rate.high for bin_ in seen.calibration)
    assert evaluate(paid(np.array([30, 70]), 2.0), np.array([100, 900])).calibration[0].predicted is None


def test_a_lookalike_is_evaluated_on_people_it_did_not_see(crowd, draw) -> None:
    """The whole way: fit on four fifths, one noisy histogram of the rest, an interval that holds what is so."""
    train = crowd.split(0)
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    seen, unseen = design.take(train), design.take(~train)
    scores = fit(seen, draw(Strategy.of(seen).moments(crowd.label[train]), 0.5, 1)).score(unseen)
    bins = ScoreBins.of(scores, np.random.default_rng(0).integers(0, 2**64, unseen.rows, dtype=np.uint64))
    statistic = histogram(bins.cell, crowd.label[~train], len(bins.totals))
    found = evaluate(draw(statistic, 0.5, 2), bins.totals, bins.predicted)
    assert found.people == 600
    assert holds(found.auc, roc_auc_score(crowd.label[~train], scores))
    assert found.auc.low > 0.5
    assert holds(found.positives, crowd.label[~train].sum())


@pytest.mark.parametrize(("a", "b", "c"), [(1.0, 3.0, 8.0), (-2.0, 0.5, 1.0), (0.0, 2.0, 1.0), (1e-18, 1.0, 0.5)])
def test_roots_are_roots(a: float, b: float, c: float) -> None:
    roots = module._roots(a, b, c)
    assert len(roots) == (2 if a else 1)
    assert all(abs(a * q * q - 2 * b * q + c) <= 1e-9 * (abs(a * q * q) + abs(b * q) + abs(c)) for q in roots)


# -- labels by randomised response -----------------------------------------------------------------------------------


def answered(people: int, share: float, auc: float, flip: float, runs: int) -> list[tuple[Any, Any]]:
    """People with normal scores, a share of them positive, and their flipped labels, by score bin: what labels that are
    wrong so often say, and the truth without. Always the same ones."""
    rng, found = np.random.default_rng(7), []
    for _ in range(runs):
        positive = rng.random(people) < share
        scores = rng.normal(size=people) + positive * math.sqrt(2) * float(ndtri(auc))
        bins = ScoreBins.of(scores, rng.integers(0, 2**63, people, dtype=np.uint64))
        yes = positive ^ (rng.random(people) < flip)
        counts = [np.bincount(bins.cell[who], minlength=len(bins.totals)) for who in (yes, positive)]
        with cuts_alone():
            told = evaluate_flipped(counts[0], bins.totals, flip, bins.predicted)
            found.append((told, exact(counts[1], bins.totals)))
    return found


def test_labels_that_are_flipped_say_the_truth_on_average() -> None:
    found = answered(4_000, 0.2, 0.8, 1 / (1 + math.e), 200)
    seen = np.array([[one.positives.estimate - true.positives.estimate, one.auc.estimate - 0.8] for one, true in found])
    middle, deviation = seen.mean(axis=0), seen.std(axis=0) / math.sqrt(len(seen))
    assert (np.abs(middle) < 4 * deviation + np.array([0.0, 0.002])).all()


@pytest.mark.parametrize(("share", "epsilon"), [(0.2, 1.0), (0.2, 3.0), (0.05, 2.0)])
def test_intervals_of_flipped_labels_cover_and_a_plan_says_how_wide_they_are(share: float, epsilon: float) -> None:
    flip = 1 / (1 + math.exp(epsilon))
    found = [one for one, _ in answered(4_000, share, 0.8, flip, 300)]
    covered = np.mean([one.auc.low <= 0.8 <= one.auc.high for one in found])
    assert 0.92 <= covered <= 0.985
    met = np.median([(one.auc.high - one.auc.low) / 2 for one in found])
    assert planned_auc_halfwidth(round(share * 4_000), 4_000, 0.0, 0.8, flip) == pytest.approx(met, rel=0.15)


def test_intervals_that_forget_the_flips_are_too_short() -> None:
    """The planted fault: a label is read as if it were never wrong but by what debiasing does."""
    flip, covered = 1 / (1 + math.e), 0
    for one, _ in answered(4_000, 0.2, 0.8, flip, 100):
        half = planned_auc_halfwidth(800, 4_000, 0.0, 0.8)
        covered += one.auc.estimate - half <= 0.8 <= one.auc.estimate + half
    assert covered < 80


def test_labels_that_are_never_wrong_are_counted_as_they_are() -> None:
    bins, yes = np.array([100, 900]), np.array([30, 70])
    assert evaluate_flipped(yes, bins, 0.0).auc == exact(yes, bins).auc
