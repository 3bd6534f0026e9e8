"""What may be read from noisy numbers, and what may not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.dp.intervals import at_once, numbers, quantiles, ratios
from passbox.dp.keys import Bins, Category, InvalidQuery
from passbox.dp.layout import GroupBy, Layout
from passbox.dp.measures import Count, Cut, People, Sum, mean
from passbox.dp.mechanisms import gaussian
from passbox.dp.noisy import Noisy, Receipt
from passbox.dp.scale import SCALE_UNIT, Scale, price
from passbox.dp.table import Table
from passbox.dp.threshold import least_shown

REGION = Category("region", ("north", "south", "east"))
AGE = Bins("age", (0.0, 20.0, 40.0, 100.0))


def table(group: GroupBy, units: list[float], scale: float = 1.0) -> Table:
    """A table whose noisy numbers are these. units: in the measures' units, block by block."""
    layout = Layout.of([group])
    steps = np.concatenate([np.full(b.stop - b.start, b.steps) for b in layout.blocks])
    values = np.rint(np.array(units) * steps).astype(np.int64)
    return layout.read(Noisy(values, scale, 0, Receipt("", 0, b"", "")))[group.name]


def test_every_declared_key_comes_back_in_order_and_negative_counts_are_shown() -> None:
    found = table(GroupBy("t", (REGION, AGE), 1, (People(),)), [-3.5, *range(8)])
    assert found.labels[:2] == [("north", "0 to 20"), ("north", "20 to 40")]
    assert len(found.labels) == len(found.numbers("people")) == 9
    assert found.numbers("people")[0].estimate == -3.5
    assert found.numbers("people")[0].low < -3.5


def test_a_measure_divided_by_nothing_is_unknown_not_infinite() -> None:
    group = GroupBy("t", (REGION,), 1, (Count("views", 1), Count("clicks", 1)))
    found = table(group, [0.0, 1000.0, -2.0, 0.0, 10.0, 1.0], scale=50_000.0).ratio("clicks", "views", most=1)
    assert [math.isnan(each.estimate) for each in found] == [True, False, True]
    assert (found[0].low, found[0].high) == (0.0, 1.0)
    json.dumps([each.as_json() for each in found], allow_nan=False)


def test_a_ratio_without_an_upper_end_says_so_in_json() -> None:
    found = ratios(np.array([5.0]), 1.0, np.array([0.1]), 1.0)
    assert found[0].as_json()["high"] is None


def test_a_gap_beside_what_is_possible_moves_no_end() -> None:
    """All quotients but a few, which are below 0, are left: nothing below 0 is possible all the same."""
    found = ratios(np.array([47.0]), 43.0, np.array([77.0]), 43.0)[0]
    assert (found.low, found.high) == (0.0, math.inf)
    assert math.isnan(found.estimate)


def test_coded_cells_are_not_shown_as_numbers() -> None:
    running = table(GroupBy("t", (AGE,), 1, (People(),), running=True), [1.0, 2.0, 3.0])
    for read in (running.numbers, lambda name: running.top(name, 1), lambda name: running.shown(name, 5, 1e-6)):
        with pytest.raises(InvalidQuery, match="running"):
            read("people")
    centred = table(GroupBy("t", (REGION,), 1, mean("price", "price", 0, 10), 1), [0.0] * 6)
    for read in (centred.numbers, lambda name: centred.ratio(name, "price.rows"), lambda n: centred.sum_over(n, ())):
        with pytest.raises(InvalidQuery, match="mean"):
            read("price")
    with pytest.raises(InvalidQuery):
        centred.mean("price.rows")
    with pytest.raises(InvalidQuery, match="bins"):
        centred.quantile(0.5)


def test_parts_add_up_and_their_noise_too() -> None:
    found = table(GroupBy("t", (REGION, AGE), 1, (People(),)), list(map(float, range(9))))
    by_region = found.sum_over("people", ("region",))
    assert by_region.estimate.tolist() == [3, 12, 21]
    assert by_region.high - by_region.low == pytest.approx(math.sqrt(3) * (found.numbers("people")[0].high - 0) * 2)
    assert found.sum_over("people", ()).estimate.tolist() == [36]


def test_the_histogram_of_a_running_table_has_its_bins() -> None:
    from passbox.dp.running import COLUMN_BITS, encode

    counts = encode(np.array([7, 0, 5])) / 2**COLUMN_BITS
    found = table(GroupBy("t", (AGE,), 1, (People(),), running=True), counts.tolist())
    assert found.histogram().estimate == pytest.approx([7, 0, 5], abs=1e-3)
    assert found.quantile(0.5).estimate == pytest.approx([20 * 6 / 7], abs=0.1)


def test_what_clipping_may_have_moved_is_what_was_cut_times_what_is_declared() -> None:
    group = GroupBy("t", (REGION,), 1, (Sum("s", "x", 0, 9, at_most=9), Cut()))
    found = table(group, [1.0, 2.0, 3.0, 40.0])
    assert found.cut is not None
    assert found.at_stake("s", 100.0).estimate == 40 * 100
    assert table(group, [1.0, 2.0, 3.0, -4.0]).at_stake("s", 100.0).low == 0
    with pytest.raises(InvalidQuery, match="cut"):
        table(GroupBy("t", (REGION,), 1, (People(),)), [0.0] * 3).at_stake("people", 1)


def test_a_quantile_that_is_none_is_refused() -> None:
    for share in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="between"):
            quantiles(np.array([0.0, 1.0]), share, np.ones((1, 1)), np.ones((1, 1)), 1.0)


def test_intervals_of_an_empty_table_are_empty() -> None:
    assert len(numbers(np.zeros(0), 1.0)) == 0


def test_intervals_for_all_keys_at_once_are_wider() -> None:
    assert at_once(1) == pytest.approx(1.959964, rel=1e-6)
    assert 3.2 < at_once(40) < at_once(1000) < 4.2


# -- k as well as noise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "delta"), [(3.0, 1e-3), (30.0, 1e-2)])
def test_a_key_of_fewer_than_k_people_is_shown_at_most_at_rate_delta(sigma: float, delta: float) -> None:
    """The worst key has k - 1 people. Draws of the real mechanism; more than the rate once in 10^6."""
    from scipy.stats import binom

    k, draws, steps = 50, 200_000, 2**10
    scale = Scale(round(sigma * steps * SCALE_UNIT))
    noisy = gaussian(np.full(draws, (k - 1) * steps), steps**2, scale, price(steps**2, scale)) / steps
    shown = int((noisy >= least_shown(k, sigma, delta, steps)).sum())
    assert shown <= binom.isf(1e-6, draws, delta)
    assert shown >= binom.ppf(1e-6, draws, 0.9 * delta)  # and t is no larger than it must be
    too_low = int((noisy >= k).sum())  # the planted fault: k on the noisy count, without t
    assert too_low > binom.isf(1e-6, draws, delta)


def test_no_such_key_at_all_is_asked_of_more_noise_free_people() -> None:
    found = table(GroupBy("t", (REGION,), 1, (People(),)), [49.0, 56.5, 900.0], scale=float(2**14))
    assert found.shown("people", 50, 1e-10).tolist() == [False, True, True]
    assert found.shown("people", 50, 1e-10, at_once=True).tolist() == [False, True, True]
    assert found.shown("people", 50, 1e-16, at_once=True).tolist() == [False, False, True]
    for k, delta in ((0, 1e-6), (5, 0.0), (5, 0.5), (5, math.nan)):
        with pytest.raises(InvalidQuery):
            found.shown("people", k, delta)


# -- whatever noise brings --------------------------------------------------------------------------------------------

wild = st.one_of(st.sampled_from([0.0, -0.0, 1.96, -1.96, 1e-300, 1e18]), st.floats(-1e9, 1e9))
some = st.lists(wild, min_size=3, max_size=3).map(np.array)
noise = st.floats(1e-3, 1e6)


@settings(deadline=None)
@given(some, noise, some, noise, st.sampled_from([(0.0, 1.0), (0.0, math.inf), (-5.0, 5.0)]))
def test_whatever_noise_brings_a_ratio_has_two_ends_with_its_estimate_between(
    top: np.ndarray, s: float, bottom: np.ndarray, t: float, possible: tuple[float, float]
) -> None:
    for each in ratios(top, s, bottom, t, *possible):
        assert each.low <= each.high
        assert math.isnan(each.estimate) or each.low <= each.estimate <= each.high
        within = possible[0] <= each.low and each.high <= possible[1]
        assert within or each.high < possible[0] or each.low > possible[1]
        json.dumps(each.as_json(), allow_nan=False)


@settings(deadline=None)
@given(st.lists(wild, min_size=5, max_size=5).map(np.array), noise, st.floats(0.01, 0.99), st.booleans())
def test_whatever_noise_brings_a_quantile_lies_within_its_bins(
    cells: np.ndarray, s: float, share: float, running: bool
) -> None:
    from passbox.dp.running import decoder

    weights = decoder(5) if running else np.tril(np.ones((5, 5)))
    edges = np.array([0.0, 1.0, 2.0, 5.0, 9.0, 10.0])
    (found,) = quantiles(edges, share, cells[None], weights, s)
    assert 0 <= found.low <= found.high <= 10
    assert math.isnan(found.estimate) or found.low <= found.estimate <= found.high


def test_next_to_no_noise_is_next_to_no_interval() -> None:
    """Roots that float64 cannot tell apart are no reason to know nothing."""
    edges, weights = np.arange(4.0), np.tril(np.ones((3, 3)))
    for sigma in (1e-12, 1e-6, 2.0**-9):
        (found,) = quantiles(edges, 0.5, np.array([[1.0, 391572.4329044218, 1.125]]), weights, sigma)
        assert found.high - found.low < 1e-6
        assert found.low <= found.estimate <= found.high
    (nobody,) = quantiles(edges, 0.5, np.array([[1e-17, -3e-17, 2e-17]]), weights, 1.0)
    assert (nobody.low, nobody.high) == (0, 3)


@settings(deadline=None)
@given(some, noise)
def test_a_quantile_is_known_better_the_less_noise_there_is(cells: np.ndarray, s: float) -> None:
    edges, weights = np.arange(4.0), np.tril(np.ones((3, 3)))
    near, far = (quantiles(edges, 0.5, np.abs(cells)[None] + 1, weights, each)[0] for each in (s, 10 * s))
    assert near.high - near.low <= far.high - far.low + 1e-6
