"""Keys that nobody declared appear only where many have them; one person makes a key appear at most at rate δ."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from passbox.dp.accounting import rho_within
from passbox.dp.aggregate import COUNT_BITS
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon
from passbox.dp.keys import InvalidQuery
from passbox.dp.mechanisms import gaussian
from passbox.dp.scale import SCALE_UNIT, Scale, price
from passbox.dp.selection import Candidates, Selection, candidates, shown

SECRET = bytes(range(32))
ONE = 2**COUNT_BITS


def frame(rows: list[tuple[int, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"person": pl.UInt64, "page": pl.String}, orient="row")


def counts(selection: Selection, rows: list[tuple[int, str | None]]) -> dict[str, int]:
    found = candidates(selection, frame(rows), SECRET)
    return dict(zip(found.keys, (found.statistic.values // ONE).tolist(), strict=True))


def test_people_are_counted_once_in_each_of_their_keys() -> None:
    rows = [(1, "a"), (1, "a"), (1, "b"), (2, "a"), (3, None)]
    assert counts(Selection("page", 5, 1e-6), rows) == {"a": 2, "b": 1}
    assert sum(counts(Selection("page", 1, 1e-6), rows).values()) == 2
    assert counts(Selection("page", 5, 1e-6), []) == {}


rows_of_few = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", "c", "ä", "", None])), max_size=40)


@settings(max_examples=200, deadline=None)
@given(rows_of_few, st.integers(0, 4), st.integers(1, 3))
def test_one_person_moves_at_most_k_counts_by_one(rows: list, person: int, k: int) -> None:
    """Exact replay; also a key that only this person had moves nobody else's."""
    selection = Selection("page", k, 1e-6)
    before, after = counts(selection, rows), counts(selection, [row for row in rows if row[0] != person])
    moved = [before.get(key, 0) - after.get(key, 0) for key in {*before, *after}]
    assert set(moved) <= {0, 1}
    assert sum(moved) <= k
    assert sum(d * d for d in moved) * ONE**2 <= selection.l2_squared


def test_a_hash_that_depends_on_what_others_have_fails_that_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: keys are told apart by their place among all that are there."""
    from passbox.dp import selection as module

    monkeypatch.setattr(module, "_named", lambda names, secret: np.arange(len(names)))
    selection = Selection("page", 1, 1e-6)
    others = [(person, page) for person in range(1, 200) for page in ("b", "c", "d")]
    before, after = counts(selection, [(0, "a"), *others]), counts(selection, others)
    assert sum(abs(before.get(key, 0) - after.get(key, 0)) for key in before) > 1


def rate(selection: Selection, sigma: float, draws: int, least: int | None = None) -> int:
    """How often somebody with k keys of its own makes any of them appear, in so many releases."""
    scale, k = Scale(round(sigma * ONE * SCALE_UNIT)), selection.keys_per_person
    exact = np.full(draws * k, ONE, dtype=np.int64)
    noisy = gaussian(exact, selection.l2_squared, scale, price(selection.l2_squared, scale)).reshape(draws, k)
    return int((noisy >= (selection.threshold(scale) if least is None else least)).any(axis=1).sum())


@pytest.mark.parametrize(("sigma", "k"), [(1.0, 1), (3.0, 2), (10.0, 4)])
def test_one_person_makes_a_key_appear_at_most_at_rate_delta(sigma: float, k: int) -> None:
    """A7, at scales 1, 3 and 10. More than δ once in 10^6 runs; and no less than nine tenths of it."""
    selection, draws = Selection("page", k, 2e-3), 100_000 // k
    seen = rate(selection, sigma, draws)
    assert seen <= binom.isf(1e-6, draws, selection.delta)
    assert seen >= binom.ppf(1e-6, draws, 0.9 * selection.delta)


def test_a_threshold_with_an_understated_delta_is_caught() -> None:
    """#2922: thrice the δ that is declared."""
    honest, draws = Selection("page", 1, 2e-3), 100_000
    scale = Scale(3 * ONE * SCALE_UNIT)
    seen = rate(honest, 3.0, draws, Selection("page", 1, 6e-3).threshold(scale))
    assert seen > binom.isf(1e-6, draws, honest.delta)


def test_what_is_not_shown_is_forgotten() -> None:
    selection, scale = Selection("page", 1, 1e-6), Scale(4 * ONE * SCALE_UNIT)
    found = candidates(selection, frame([(person, "popular") for person in range(99)] + [(100, "mine")]), SECRET)
    left = shown(selection, found, found.statistic.values, scale)
    assert left.keys == ("popular",)
    assert left.people.tolist() == [99.0]
    assert "mine" not in repr(found)
    assert "mine" not in repr(left)
    assert repr(Candidates(("mine",), found.statistic)) == "Candidates(secret)"


def best_possible(mu: float, delta: float) -> np.ndarray:
    """The largest probability of showing a key of n people under this trade-off: each step as far as both sides let."""
    keep = [0.0, delta]
    while keep[-1] < 1 - 1e-9:
        up = norm.cdf(norm.ppf(keep[-1]) + mu) + delta
        gone = 1 - keep[-1] - delta
        down = 1 - norm.cdf(norm.ppf(gone) - mu) if gone > 0 else 1.0
        keep.append(float(min(up, down, 1.0)))
    return np.array(keep)


@pytest.mark.parametrize("delta", [1e-5, 1e-6, 1e-8])
@pytest.mark.parametrize(("epsilon", "behind"), [(0.5, 1.6), (1.0, 1.0), (4.0, 1.0), (8.0, 1.0)])
def test_the_threshold_is_within_a_person_of_the_best_selection(epsilon: float, delta: float, behind: float) -> None:
    """Where half of all keys are shown, in people."""
    rho = rho_within(Budget(Epsilon(epsilon), Delta(delta)))
    mu = math.sqrt(2 * rho / RHO_UNIT)
    best = best_possible(mu, delta)
    scale = Scale(round(ONE * SCALE_UNIT / mu))
    ours = Selection("page", 1, delta).threshold(scale) / ONE
    assert ours - float(np.interp(0.5, best, np.arange(len(best)))) < behind


@pytest.mark.parametrize(("k", "delta"), [(0, 1e-6), (1, 0.0), (1, 0.5), (1, math.nan)])
def test_a_selection_without_bounds_is_refused(k: int, delta: float) -> None:
    with pytest.raises(InvalidQuery):
        Selection("page", k, delta)


def test_a_column_of_numbers_is_refused() -> None:
    with pytest.raises(InvalidQuery):
        candidates(Selection("person", 1, 1e-6), frame([(1, "a")]), SECRET)
