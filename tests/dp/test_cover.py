"""One charge for a pair of parts: once, for the same readers, and only where the parts are disjoint."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from passbox.dp.cover import UnpaidPart
from passbox.dp.entry import Purchase
from passbox.dp.ledger import Ledger
from passbox.dp.scale import Scale

from .reading import ADVERTISER, entries, holds_together, spent


def train(desk: Any, **changes: Any) -> Purchase:
    return desk.purchase(**{"name": "m", "part": "train", **changes})


def held_out(desk: Any, paired: Purchase, **changes: Any) -> Purchase:
    given = {"name": "h", "part": "held-out", "accounts": (), "beside": paired.key, "follows": paired.key}
    return desk.purchase(**{**given, **changes})


def test_the_other_part_is_covered_once_and_replays_for_ever(desk: Any, ledger: Ledger, draws: list[int]) -> None:
    ledger.pay(train(desk), desk.count())
    part = held_out(desk, train(desk))
    first = ledger.pay(part, desk.count(100))
    assert ledger.pay(part, desk.count(100)).values.tolist() == first.values.tolist()
    assert ledger.paid(part) is not None
    assert (spent(ledger), len(draws)) == (desk.cost, 2)
    assert entries(ledger)[1]["covered"] == [{"account": ADVERTISER, "dataset": "buyers", "rho": desk.cost}]
    with pytest.raises(UnpaidPart, match="once"):
        ledger.pay(held_out(desk, train(desk), name="another"), desk.count(100))
    with pytest.raises(UnpaidPart):
        ledger.pay(desk.purchase("chain", part="train", accounts=(), beside=part.key), desk.count())
    holds_together(ledger, desk.key.vkey)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipients": ("publisher", "press")}, "readers"),
        ({"datasets": {"visitors": "aa" * 32, "buyers": "ff" * 32}}, "same data sets"),
        ({"unit": "household"}, "same data sets"),
        ({"rule": "any"}, "same rule"),
        ({"part": "train"}, "disjoint"),
        ({"part": "all"}, "disjoint"),
        ({"scale": Scale(3 * 2**20)}, "smaller than this release costs"),
        ({"accounts": ("advertiser",)}, "not both"),
        ({"beside": "00" * 32}, "not paid for"),
        ({"beside": ""}, "charged to somebody"),
    ],
)
def test_each_rule_of_a_covered_release_is_needed(
    desk: Any, ledger: Ledger, draws: list[int], change: dict[str, Any], said: str
) -> None:
    ledger.pay(train(desk), desk.count())
    with pytest.raises(UnpaidPart, match=said):
        ledger.pay(held_out(desk, train(desk), **change), desk.count())
    assert (spent(ledger), len(draws), len(entries(ledger))) == (desk.cost, 1, 1)


def test_a_match_rule_that_bounds_nothing_has_no_disjoint_parts(desk: Any, ledger: Ledger) -> None:
    ledger.pay(train(desk, rule="nearest"), desk.count())
    with pytest.raises(UnpaidPart, match="both parts"):
        ledger.pay(held_out(desk, train(desk, rule="nearest"), rule="nearest"), desk.count())


@pytest.mark.parametrize("most", range(1, 9))
def test_rows_of_one_record_in_both_parts_cost_no_more_than_the_dearer_part(most: int) -> None:
    """However K rows are dealt to two parts that are each priced for K rows; a part priced for one row costs more."""
    for one, other in ((1.0, 1.0), (1.0, 0.2), (0.4, 3.0)):
        whole = max(one, other) ** 2
        dealt = [(a, b) for a in range(most + 1) for b in range(most + 1 - a)]
        assert all((a / most * one) ** 2 + (b / most * other) ** 2 <= whole * (1 + 1e-12) for a, b in dealt)
        assert most == 1 or any((a * one) ** 2 + (b * other) ** 2 > whole for a, b in dealt)


def test_a_reader_who_exposes_nobody_new_is_logged_and_pays_nothing(desk: Any, ledger: Ledger) -> None:
    both = ("advertiser", "shop")
    first = ledger.pay(desk.purchase(accounts=both), desk.count())
    officer = desk.purchase(accounts=both, recipients=("officer",))
    assert ledger.due(officer) == ()
    assert ledger.paid(officer) is None
    assert ledger.pay(officer, desk.count()).values.tolist() == first.values.tolist()
    assert ledger.paid(officer) is not None
    last = entries(ledger)[-1]
    assert (last["recipients"], last["charges"]) == (["officer"], [])
    before = len(ledger.leaves())
    ledger.pay(officer, desk.count())
    ledger.pay(desk.purchase(accounts=both), desk.count())
    assert len(ledger.leaves()) == before


def test_sqlite_itself_refuses_a_second_release_beside_the_same(desk: Any, ledger: Ledger) -> None:
    ledger._storage.rows("insert into release values('b', 0, 'a', '[]', x'')")
    with pytest.raises(sqlite3.IntegrityError, match="beside"):
        ledger._storage.rows("insert into release values('c', 0, 'a', '[]', x'')")


def test_a_covered_release_is_not_lent_to_new_readers_or_under_another_cover(desk: Any, ledger: Ledger) -> None:
    ledger.pay(train(desk), desk.count())
    ledger.pay(desk.purchase("other", part="train"), desk.count())
    ledger.pay(held_out(desk, train(desk)), desk.count())
    lent = held_out(desk, train(desk), recipients=("press",))
    moved = held_out(desk, train(desk), beside=desk.purchase("other", part="train").key)
    for purchase in (lent, moved):
        for ask in (ledger.paid, lambda p: ledger.pay(p, desk.count())):
            with pytest.raises(UnpaidPart):
                ask(purchase)
    assert len(entries(ledger)) == 3
