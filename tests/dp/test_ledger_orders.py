"""Payments, denials, clocks and new starts in any order: the ledger is its model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from passbox.dp.account import BudgetExceeded

from .reading import holds_together


class AnyOrder(RuleBasedStateMachine):
    """The ledger beside a model of it: who paid for which key, which numbers it got, and how many entries there are."""

    new_desk: Callable[[Path], Any]
    folders: Callable[[], Path]

    @initialize()
    def start(self) -> None:
        self.desk = type(self).new_desk(type(self).folders())
        self.ledger = self.desk.create()
        self.payers: dict[str, set[str]] = {}
        self.numbers: dict[str, list[int]] = {}
        self.spent = {"advertiser": 0, "shop": 0}
        self.entries = 2

    @rule(name=st.sampled_from("abcde"), owners=st.sampled_from([("advertiser",), ("shop",), ("advertiser", "shop")]))
    def pay(self, name: str, owners: tuple[str, ...]) -> None:
        due = set(owners) - self.payers.get(name, set())
        fits = all(self.spent[owner] + self.desk.cost <= self.desk.cap for owner in due)
        purchase = self.desk.purchase(name, accounts=owners)
        assert (self.ledger.paid(purchase) is None) == bool(due)
        if not fits:
            with pytest.raises(BudgetExceeded):
                self.ledger.pay(purchase, self.desk.count())
            return
        values = self.ledger.pay(purchase, self.desk.count()).values.tolist()
        assert self.numbers.setdefault(name, values) == values
        self.payers.setdefault(name, set()).update(due)
        self.spent = {owner: paid + self.desk.cost * (owner in due) for owner, paid in self.spent.items()}
        self.entries += bool(due)

    @rule()
    def deny(self) -> None:
        self.ledger.deny(self.desk.purchase().context, "expires")
        self.entries += 1

    @rule(hours=st.integers(-5, 5))
    def clock(self, hours: int) -> None:
        self.desk.wait(hours)

    @precondition(lambda self: self.entries > 3)
    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = self.desk.open()

    @invariant()
    def is_the_model(self) -> None:
        assert {a.id: a.spent for a in self.ledger.accounts().values()} == {
            f"{owner}/record": paid for owner, paid in self.spent.items()
        }
        assert len(self.ledger.leaves()) == self.entries
        holds_together(self.ledger, self.desk.key.vkey)

    def teardown(self) -> None:
        self.ledger.close()


def test_in_any_order_the_ledger_is_its_model(tmp_path_factory: Any, new_desk: Any) -> None:
    AnyOrder.new_desk = staticmethod(new_desk)
    AnyOrder.folders = staticmethod(lambda: tmp_path_factory.mktemp("any"))
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=50,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
