"""Caps are kept to the last unit, and what is refused costs nothing and draws nothing."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from passbox.dp.account import BudgetExceeded
from passbox.dp.budget import Rho
from passbox.dp.ledger import Ledger
from passbox.dp.scale import smallest_scale

from .reading import ADVERTISER, spent


def test_overspending_is_refused_before_a_draw_and_costs_nothing(desk: Any, ledger: Ledger, draws: list[int]) -> None:
    for name in "abc":
        ledger.pay(desk.purchase(name), desk.count())
    before = ledger.log()
    with pytest.raises(BudgetExceeded) as caught:
        ledger.pay(desk.purchase("d"), desk.count())
    left = desk.cap - 3 * desk.cost
    assert (caught.value.account, caught.value.asked, caught.value.left) == (ADVERTISER, desk.cost, left)
    assert (len(draws), ledger.log()) == (3, before)


def test_exactly_100_of_100_hundredths_of_a_cap_pass(desk: Any) -> None:
    with desk.create() as ledger:
        scale = smallest_scale(1, Rho(desk.cap // 100))
        for number in range(100):
            ledger.pay(desk.purchase(f"{number}", scale=scale), desk.count())
        with pytest.raises(BudgetExceeded):
            ledger.pay(desk.purchase("100", scale=scale), desk.count())


@pytest.mark.parametrize(("short", "fits"), [(0, True), (1, False)])
def test_a_cap_is_kept_to_the_last_unit(desk: Any, short: int, fits: bool) -> None:
    desk.cap = Rho(desk.cost - short)
    with desk.create() as ledger:
        try:
            ledger.pay(desk.purchase(), desk.count())
        except BudgetExceeded:
            assert not fits
        assert spent(ledger) == (desk.cost if fits else 0)


def test_where_one_of_two_accounts_is_empty_neither_pays(desk: Any, ledger: Ledger, draws: list[int]) -> None:
    for name in "abc":
        ledger.pay(desk.purchase(name, accounts=("shop",)), desk.count())
    with pytest.raises(BudgetExceeded):
        ledger.pay(desk.purchase("d", accounts=("advertiser", "shop")), desk.count())
    assert (spent(ledger), len(draws)) == (0, 3)


def test_an_account_without_a_cap_has_nothing_to_spend(desk: Any, ledger: Ledger, draws: list[int]) -> None:
    with pytest.raises(BudgetExceeded):
        ledger.pay(desk.purchase(accounts=("stranger",)), desk.count())
    assert draws == []


def test_sqlite_itself_refuses_to_overspend(desk: Any, ledger: Ledger) -> None:
    """The second lock on the door: a fault in our arithmetic cannot write past a cap."""
    with pytest.raises(sqlite3.IntegrityError), ledger._storage.writing():
        ledger._storage.rows("update account set spent = cap + 1")
    assert spent(ledger) == 0
