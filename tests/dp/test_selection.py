"""Keys that nobody listed appear only where many have them; one person makes a key appear at most at rate δ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from passbox.dp import keys
from passbox.dp.account import BudgetExceeded, Cap
from passbox.dp.accounting import rho_within
from passbox.dp.aggregate import Statistic
from passbox.dp.budget import DELTA_UNIT, RHO_UNIT, Budget, Delta, Epsilon, Rho, delta_units
from passbox.dp.entry import Charge, Context, Purchase, Specification
from passbox.dp.grouped import candidates
from passbox.dp.keys import Category, InvalidQuery, Open
from passbox.dp.layout import GroupBy, Layout
from passbox.dp.measures import Count, Measure, People
from passbox.dp.mechanisms import gaussian
from passbox.dp.promised import SpecificationMismatch
from passbox.dp.scale import SCALE_UNIT, Scale, price
from passbox.dp.selection import Candidates, Selection, shown
from passbox.dp.storage import LedgerDamaged

if TYPE_CHECKING:
    from conftest import Desk

SECRET = bytes(range(32))
ONE = 2**10
PAGE = (Open("page"),)


def frame(rows: list[tuple[int, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"person": pl.UInt64, "page": pl.String}, orient="row")


def layout_of(k: int, *measures: Measure) -> Layout:
    return Layout.of([GroupBy("people", PAGE, k, (People(), *measures))])


def exact(layout: Layout, rows: list[tuple[int, str | None]]) -> dict[str, tuple[int, ...]]:
    """Every key's exact numbers, in parts."""
    found = candidates(layout, 0, [frame(rows)], SECRET)
    table = found.statistic.values.reshape(found.cells, len(found.keys))
    parts = table // np.array([[block.multiplier] for block in layout.blocks])
    return dict(zip(found.keys, map(tuple, parts.T.tolist()), strict=True))


def test_people_are_counted_once_in_each_of_their_keys() -> None:
    rows = [(1, "a"), (1, "a"), (1, "b"), (2, "a"), (3, None)]
    assert exact(layout_of(5), rows) == {"a": (2,), "b": (1,)}
    assert sum(people for (people,) in exact(layout_of(1), rows).values()) == 2
    assert exact(layout_of(5), []) == {}


def test_rows_of_a_key_are_counted_beside_its_people() -> None:
    rows = [(1, "a"), (1, "a"), (1, "a"), (2, "a"), (2, "b")]
    assert exact(layout_of(5, Count("rows", 2)), rows) == {"a": (2, 3), "b": (1, 1)}


def test_keys_of_another_table_count_only_where_somebody_counts_in_the_first() -> None:
    layout = Layout.of([GroupBy("seen", PAGE, 2, (People(),)), GroupBy("bought", PAGE, 2, (Count("orders", 5),))])
    rows = [frame([(1, "a"), (2, "a")]), frame([(1, "a"), (1, "b")])]
    found = candidates(layout, 0, rows, SECRET)
    assert found.keys == ("a",)
    assert found.cells == 2


rows_of_few = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", "c", "ä", "", None])), max_size=40)


@settings(max_examples=200, deadline=None)
@given(rows_of_few, st.integers(0, 4), st.integers(1, 3))
def test_one_person_moves_no_more_than_is_charged_and_adds_k_keys(rows: list, person: int, k: int) -> None:
    """Exact replay; also a key that only this person had moves nobody else's."""
    layout = layout_of(k, Count("rows", 3, in_total=4))
    before, after = exact(layout, rows), exact(layout, [row for row in rows if row[0] != person])
    steps = [block.multiplier for block in layout.blocks]
    squares = 0
    for key in {*before, *after}:
        both = zip(before.get(key, (0, 0)), after.get(key, (0, 0)), steps, strict=True)
        squares += sum(((a - b) * step) ** 2 for a, b, step in both)
    assert squares <= layout.l2_squared
    alone = before.keys() - after.keys()
    assert len(alone) <= k
    assert after.keys() <= before.keys()
    assert all(before[key][0] == 1 for key in alone)


def test_a_hash_that_depends_on_what_others_have_fails_that_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: keys are told apart by their place among all that are there."""
    others = [(person, page) for person in range(1, 200) for page in ("b", "c", "d")]

    def moves() -> int:
        before, after = exact(layout_of(1), [(0, "a"), *others]), exact(layout_of(1), others)
        return sum(abs(before.get(key, (0,))[0] - after.get(key, (0,))[0]) for key in before)

    assert moves() == 1
    monkeypatch.setattr(keys, "hashed", lambda names, secret: np.arange(len(names)))
    assert moves() > 1


def rate(selection: Selection, sigma: float, draws: int, least: int | None = None) -> int:
    """How often somebody with k keys of its own makes any of them appear, in so many releases."""
    k, l2_squared = selection.keys_per_person, selection.keys_per_person * selection.steps**2
    scale = Scale(round(sigma * ONE * SCALE_UNIT))
    alone = np.full(draws * k, ONE, dtype=np.int64)
    noisy = gaussian(alone, l2_squared, scale, price(l2_squared, scale)).reshape(draws, k)
    return int((noisy >= (selection.threshold(scale) if least is None else least)).any(axis=1).sum())


def chosen(k: int, delta: float) -> Selection:
    return Selection(k, delta_units(delta), ONE)


@pytest.mark.parametrize(("sigma", "k"), [(1.0, 1), (3.0, 2), (10.0, 4)])
def test_one_person_makes_a_key_appear_at_most_at_rate_delta(sigma: float, k: int) -> None:
    """A7, at scales 1, 3 and 10. More than δ once in 10^6 runs; and no less than nine tenths of it."""
    selection, draws, delta = chosen(k, 2e-3), 100_000 // k, 2e-3
    seen = rate(selection, sigma, draws)
    assert seen <= binom.isf(1e-6, draws, delta)
    assert seen >= binom.ppf(1e-6, draws, 0.9 * delta)


def test_a_threshold_with_an_understated_delta_is_caught() -> None:
    """#2922: thrice the δ that is declared."""
    honest, draws = chosen(1, 2e-3), 100_000
    seen = rate(honest, 3.0, draws, chosen(1, 6e-3).threshold(Scale(3 * ONE * SCALE_UNIT)))
    assert seen > binom.isf(1e-6, draws, 2e-3)


def two_keys(layout: Layout) -> Candidates:
    return candidates(layout, 0, [frame([(person, "popular") for person in range(99)] + [(100, "mine")])], SECRET)


def test_what_is_not_shown_is_forgotten() -> None:
    layout = layout_of(1, Count("rows", 3))
    found, selection = two_keys(layout), Selection(1, delta_units(1e-6), layout.blocks[0].steps)
    scale = Scale(4 * layout.blocks[0].steps * SCALE_UNIT)
    names, values = shown(selection, found, scale, lambda values: values)
    assert names == ("popular",)
    assert (values / [block.steps for block in layout.blocks]).tolist() == [99, 99]
    assert "mine" not in repr(found)
    assert repr(found) == "Candidates(secret)"


def test_noise_is_drawn_for_the_people_of_every_key_and_for_the_rest_of_what_shows() -> None:
    """The noise of a hidden key's other cells would be thrown away unseen."""
    layout, drawn = layout_of(1, Count("rows", 3), Count("clicks", 1)), []
    selection = Selection(1, delta_units(1e-6), layout.blocks[0].steps)

    def draw(values: np.ndarray) -> np.ndarray:
        drawn.append(len(values))
        return values

    found = two_keys(Layout.of([GroupBy("people", PAGE, 1, (People(), Count("rows", 3)))]))
    shown(selection, found, Scale(4 * selection.steps * SCALE_UNIT), draw)
    assert drawn == [2, 1]


def test_no_more_keys_are_shown_than_are_asked_for_and_the_largest_are() -> None:
    values = np.array([30, 50, 40, 1], dtype=np.int64) * ONE
    found = Candidates(("a", "b", "c", "d"), 1, Statistic(values, 0, ONE**2))
    selection = Selection(1, delta_units(1e-6), ONE, most=2)
    names, kept = shown(selection, found, Scale(ONE * SCALE_UNIT), lambda values: values)
    assert names == ("b", "c")
    assert kept.tolist() == [50 * ONE, 40 * ONE]


@pytest.mark.parametrize(("most_text", "stay"), [(12, ("a", "bb", "ccc")), (11, ("bb", "ccc")), (8, ("bb",)), (3, ())])
def test_keys_take_no_more_text_than_they_may_and_the_largest_stay(most_text: int, stay: tuple[str, ...]) -> None:
    """As JSON, so with their quotes: 3, 4 and 5 bytes."""
    values = np.array([30, 50, 40], dtype=np.int64) * ONE
    found = Candidates(("a", "bb", "ccc"), 1, Statistic(values, 0, ONE**2))
    selection = Selection(1, delta_units(1e-6), ONE, most_text=most_text)
    names, kept = shown(selection, found, Scale(ONE * SCALE_UNIT), lambda values: values)
    assert names == stay
    assert len(kept) == len(stay)


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
    ours = chosen(1, delta).threshold(scale) / ONE
    assert ours - float(np.interp(0.5, best, np.arange(len(best)))) < behind


@pytest.mark.parametrize(("k", "delta"), [(0, 1), (1, 0), (1, DELTA_UNIT // 2)])
def test_a_selection_without_bounds_is_refused(k: int, delta: int) -> None:
    with pytest.raises(InvalidQuery):
        Selection(k, delta, ONE)


def test_a_column_of_numbers_is_refused() -> None:
    layout = Layout.of([GroupBy("people", (Open("person"),), 1, (People(),))])
    with pytest.raises(InvalidQuery):
        candidates(layout, 0, [frame([(1, "a")])], SECRET)


@pytest.mark.parametrize(
    "group",
    [
        {"by": (*PAGE, Category("device", ("tv", "phone")))},
        {"by": PAGE, "totals": ((),)},
    ],
)
def test_what_would_show_keys_that_do_not_is_refused(group: dict[str, Any]) -> None:
    with pytest.raises(InvalidQuery):
        GroupBy("people", keys_per_person=1, measures=(People(),), **group)


@pytest.mark.parametrize("delta", [1e-9, 1e-18, 0.25, 4.5e-10, 1e-3])
def test_a_delta_is_counted_as_it_is_written(delta: float) -> None:
    assert delta_units(delta) / DELTA_UNIT == delta


@pytest.mark.parametrize("delta", [1e-19, 1.5e-18, 0.0])
def test_a_delta_between_two_units_is_refused(delta: float) -> None:
    with pytest.raises(ValueError, match="whole"):
        delta_units(delta)


# -- through the ledger ----------------------------------------------------------------------------------------------

LAYOUT = layout_of(1, Count("rows", 3))
SCALE = Scale(LAYOUT.blocks[0].steps * SCALE_UNIT)  # one person
OWNER, KEPT = "advertiser/record", "advertiser/selection"


def asked(delta: float = 1e-6, **changes: Any) -> Purchase:
    """Pages, for the publisher."""
    spec = Specification(
        statistic="keys@1",
        datasets={"buyers": "ab" * 32},
        unit="record",
        rule="own-best",
        part="all",
        columns=("buyers.page",),
        cells=2,
        bits=0,
        l2_squared=LAYOUT.l2_squared,
        scale=SCALE,
        query=changes.pop("query", "01" * 32),
        selection=delta_units(delta),
    )
    charges = (Charge(OWNER, "buyers", price(spec.l2_squared, spec.scale)),)
    selecting = (Charge(KEPT, "buyers", Rho(spec.selection)),)
    context = Context("cc" * 32, "dd" * 32, "publisher", ("publisher",), "reach")
    fields: dict[str, Any] = {
        "selection": Selection(1, spec.selection, LAYOUT.blocks[0].steps),
        "selecting": selecting,
        **changes,
    }
    return Purchase(spec, charges, context, **fields)


def caps(selection: float = 1e-5) -> list[Cap]:
    return [
        Cap(OWNER, "advertiser", "record", "64.0", "1e-06", Rho(10**15), "cc" * 32),
        Cap(KEPT, "advertiser", "record", "0.0", repr(selection), Rho(delta_units(selection)), "cc" * 32),
    ]


def test_the_same_keys_for_ever_and_both_are_paid_once(desk: Desk) -> None:
    found = two_keys(LAYOUT)
    with desk.create(caps()) as ledger:
        first = ledger.select(asked(), found)
        assert first.keys == ("popular",)
        again = ledger.select(asked(), Candidates((), 2, Statistic(np.zeros(0, dtype=np.int64), 0, 0)))
        assert again.keys == first.keys
        assert again.values.tolist() == first.values.tolist()
        spent = {name: account.spent for name, account in ledger.accounts().items()}
        assert spent == {OWNER: asked().charges[0].rho, KEPT: delta_units(1e-6)}
        assert ledger.paid(asked()) is not None


def test_nobody_is_there(desk: Desk) -> None:
    """A release like any other, paid like any other."""
    with desk.create(caps()) as ledger:
        noisy = ledger.select(asked(), candidates(LAYOUT, 0, [frame([])], SECRET))
        assert noisy.keys == ()
        assert noisy.values.shape == (0,)
        assert ledger.select(asked(), two_keys(LAYOUT)).keys == ()


def test_no_delta_is_spent_beyond_what_is_kept(desk: Desk) -> None:
    with desk.create(caps(1.5e-6)) as ledger:
        ledger.select(asked(), two_keys(LAYOUT))
        with pytest.raises(BudgetExceeded) as short:
            ledger.select(asked(query="02" * 32), two_keys(LAYOUT))
        assert short.value.account == KEPT
        assert ledger.accounts()[OWNER].spent == asked().charges[0].rho


@pytest.mark.parametrize(
    "changes",
    [
        {"selecting": ()},
        {"selecting": (Charge(KEPT, "buyers", Rho(delta_units(1e-6) - 1)),)},
        {"selection": Selection(1, delta_units(2e-6), LAYOUT.blocks[0].steps)},
        {"selection": None},
    ],
)
def test_keys_that_are_not_paid_for_in_full_are_not_drawn(desk: Desk, changes: dict[str, Any]) -> None:
    with desk.create(caps()) as ledger:
        with pytest.raises(SpecificationMismatch):
            ledger.select(asked(**changes), two_keys(LAYOUT))
        assert len(ledger.leaves()) == 2


def test_keys_do_not_pass_as_a_table_nor_a_table_as_keys(desk: Desk) -> None:
    found = two_keys(LAYOUT)
    with desk.create(caps()) as ledger:
        with pytest.raises(SpecificationMismatch):
            ledger.pay(asked(), found.statistic)
        with pytest.raises(SpecificationMismatch):
            ledger.select(desk.purchase(), found)


def test_stored_keys_that_were_changed_are_caught(desk: Desk) -> None:
    with desk.create(caps()) as ledger:
        ledger.select(asked(), two_keys(LAYOUT))
        ((sealed,),) = ledger._storage.rows("select body from release")
        plain = desk.vault.open(sealed, asked().key.encode()).replace(b"popular", b"another")
        ledger._storage.rows("update release set body = ?", desk.vault.seal(plain, asked().key.encode()))
        with pytest.raises(LedgerDamaged):
            ledger.select(asked(), two_keys(LAYOUT))
