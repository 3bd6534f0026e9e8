"""What a ledger promises of a payment, on real files: one charge, one release, and nothing of what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from passbox.dp import mechanisms
from passbox.dp.account import BudgetExceeded
from passbox.dp.budget import Rho
from passbox.dp.cover import UnpaidPart
from passbox.dp.entry import Purchase
from passbox.dp.ledger import Ledger
from passbox.dp.mechanisms import PriceTooLow
from passbox.dp.promised import SpecificationMismatch
from passbox.dp.storage import Storage

from .reading import SHOP, entries, holds_together, spent

# -- one payment, one release ---------------------------------------------------------------------------------------


def test_the_same_specification_gives_the_same_bytes_and_one_charge(desk: Any, draws: list[int]) -> None:
    with desk.create() as ledger:
        first = ledger.pay(desk.purchase(), desk.count())
    with desk.open() as ledger:
        again = ledger.pay(desk.purchase(job="ee" * 32), desk.count(9_999))
        kept = ledger.paid(desk.purchase())
        assert first.values.tolist() == again.values.tolist() == kept.values.tolist()
        assert first.receipt == again.receipt == kept.receipt
        assert (spent(ledger), len(entries(ledger)), draws) == (desk.cost, 1, [1])
        holds_together(ledger, desk.key.vkey)


def test_a_receipt_buys_one_release(desk: Any, ledger: Ledger) -> None:
    """Another statistic is another key, and pays again."""
    receipts = {ledger.pay(desk.purchase(name), desk.count()).receipt.key for name in "abc"}
    assert (len(receipts), spent(ledger)) == (3, 3 * desk.cost)


def test_a_payment_asks_its_file_thirteen_things(desk: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others wait for the lock meanwhile. Nothing is read twice; the first release of a job writes the job down too."""
    ledger.pay(desk.purchase("a"), desk.count())
    asked: list[str] = []
    real = Storage.rows

    def counted(self: Storage, statement: str, *values: object) -> Any:
        asked.append(statement)
        return real(self, statement, *values)

    monkeypatch.setattr(Storage, "rows", counted)
    ledger.pay(desk.purchase("b"), desk.count())
    assert (len(asked), len(set(asked))) == (13, 13)


def test_nothing_is_paid_before_it_is_paid(desk: Any, ledger: Ledger) -> None:
    assert ledger.paid(desk.purchase()) is None
    assert spent(ledger) == 0


def test_another_recipient_pays_only_for_what_is_newly_exposed(desk: Any, ledger: Ledger, draws: list[int]) -> None:
    first = ledger.pay(desk.purchase(), desk.count())
    both = desk.purchase(accounts=("advertiser", "shop"), recipients=("publisher", "press"))
    assert ledger.paid(both) is None
    shared = ledger.pay(both, desk.count())
    assert shared.values.tolist() == first.values.tolist()
    assert shared.receipt == first.receipt
    assert (spent(ledger), spent(ledger, SHOP), draws) == (desk.cost, desk.cost, [1])
    assert [c["account"] for c in entries(ledger)[1]["charges"]] == [SHOP]
    assert entries(ledger)[0]["commitment"] == entries(ledger)[1]["commitment"]
    holds_together(ledger, desk.key.vkey)


def test_a_new_reader_who_cannot_be_paid_for_gets_nothing(desk: Any, ledger: Ledger) -> None:
    ledger.pay(desk.purchase(), desk.count())
    for name in "xyz":
        ledger.pay(desk.purchase(name, accounts=("shop",)), desk.count())
    with pytest.raises(BudgetExceeded):
        ledger.pay(desk.purchase(accounts=("advertiser", "shop")), desk.count())
    assert len(entries(ledger)) == 4


# -- refusals cost nothing and draw nothing -------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", ["cells", "bits", "l2", "floats", "cheap", "twice"])
def test_a_statistic_that_is_not_the_planned_one_is_not_released(
    desk: Any, ledger: Ledger, draws: list[int], spoil: str
) -> None:
    purchase, statistic = desk.purchase(), desk.count()
    charge = purchase.charges[0]
    spoiled: dict[str, tuple[Purchase, Any]] = {
        "cells": (purchase, replace(statistic, values=np.zeros(2, dtype=np.int64))),
        "bits": (purchase, replace(statistic, bits=1)),
        "l2": (purchase, replace(statistic, l2_squared=2)),
        "floats": (purchase, replace(statistic, values=np.array([0.5]))),
        "cheap": (replace(purchase, charges=(replace(charge, rho=Rho(charge.rho - 1)),)), statistic),
        "twice": (replace(purchase, charges=(charge, charge)), statistic),
    }
    with pytest.raises(SpecificationMismatch):
        ledger.pay(*spoiled[spoil])
    assert (spent(ledger), draws, entries(ledger)) == (0, [], [])


def test_a_release_that_nobody_pays_for_is_refused_though_it_was_drawn_for_another(desk: Any, ledger: Ledger) -> None:
    ledger.pay(desk.purchase(), desk.count())
    free = desk.purchase(accounts=())
    for ask in (lambda: ledger.pay(free, desk.count()), lambda: ledger.paid(free)):
        with pytest.raises(UnpaidPart):
            ask()


def test_a_denial_is_logged_and_costs_nothing(desk: Any, ledger: Ledger) -> None:
    ledger.deny(desk.purchase().context, "rules.smallest_seed")
    assert [entry["clause"] for entry in entries(ledger, "denial")] == ["rules.smallest_seed"]
    assert (spent(ledger), entries(ledger)) == (0, [])
    holds_together(ledger, desk.key.vkey)


def test_where_opendp_says_more_than_was_charged_nothing_is_written(
    desk: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object) -> None:
        raise PriceTooLow

    monkeypatch.setattr(mechanisms, "gaussian", refusing)
    with pytest.raises(PriceTooLow):
        ledger.pay(desk.purchase(), desk.count())
    assert (spent(ledger), entries(ledger)) == (0, [])
