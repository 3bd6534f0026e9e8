"""What was spent elsewhere counts here: on a ledger that goes on, and on one whose disk was lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from passbox.dp.account import BudgetExceeded, Cap
from passbox.dp.budget import Rho
from passbox.dp.carry import Carried, Closed
from passbox.dp.ledger import Ledger
from passbox.dp.note import verify_checkpoint
from passbox.dp.releases import NoiseLost
from passbox.dp.tree import leaf_hash, root_of
from passbox.dp.window import Window, WindowFull

NEXT = "ee" * 32
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def caps(desk: Any) -> list[Cap]:
    return [Cap(f"{owner}/record", owner, "record", "1.0", "1e-06", desk.cap, NEXT) for owner in ("advertiser", "shop")]


def carried(rho: int, **changes: Any) -> Carried:
    given = {"contract": NEXT, "charges": {"advertiser/record": Rho(rho), "shop/record": Rho(0)}}
    return Carried(**{**given, "came_from": "cc" * 32, "size": 4, "root": "00" * 32, **changes})


def go_on(desk: Any, path: Path, rho: int) -> Ledger:
    desk.opened.append(Ledger.create(path, desk.key, desk.vault, lambda: NOW, caps(desk), [carried(rho)]))
    return desk.opened[-1]


def test_a_new_ledger_goes_on_where_another_ended(desk: Any, tmp_path: Path) -> None:
    """Two of three releases were paid for under the first contract: one is left."""
    ledger = go_on(desk, tmp_path / "next.sqlite", 2 * desk.cost)
    entry = json.loads(ledger.leaves()[2])
    assert entry["charges"] == [{"account": "advertiser/record", "rho": 2 * desk.cost, "before": 0}]
    ledger.pay(desk.purchase("a"), desk.count())
    with pytest.raises(BudgetExceeded):
        ledger.pay(desk.purchase("b"), desk.count())


def test_more_than_the_cap_is_not_carried_and_leaves_no_file(desk: Any, tmp_path: Path) -> None:
    with pytest.raises(BudgetExceeded):
        go_on(desk, tmp_path / "next.sqlite", desk.cap + 1)
    assert not (tmp_path / "next.sqlite").exists()
    go_on(desk, tmp_path / "next.sqlite", desk.cap)


def test_a_closed_ledger_pays_for_nothing_and_says_where_it_went_on(desk: Any) -> None:
    ledger = desk.create()
    first = ledger.pay(desk.purchase("a"), desk.count())
    ledger.close_for("cc" * 32, NEXT)
    size = len(ledger.leaves())
    ledger.close_for("cc" * 32, NEXT)
    assert ledger.pay(desk.purchase("a"), desk.count()).values.tolist() == first.values.tolist()
    for refused in (
        lambda: ledger.pay(desk.purchase("b"), desk.count()),
        lambda: ledger.deny(desk.purchase("b").context, "budget"),
        lambda: ledger.close_for("cc" * 32, "ff" * 32),
    ):
        with pytest.raises(Closed) as closed:
            refused()
        assert closed.value.following == NEXT
    assert len(ledger.leaves()) == size


# -- a lost disk ---------------------------------------------------------------------------------------------------


def lost_after(desk: Any, tmp_path: Path, kept: int, rho: int, **changes: Any) -> Ledger:
    """The ledger made anew from the first entries of the desk's log, with what may have been spent after them."""
    leaves = desk.open().leaves()[:kept]
    root = root_of([leaf_hash(leaf) for leaf in leaves]).hex()
    lost = carried(rho, contract="cc" * 32, size=kept, root=root, statement="ab" * 32, **changes)
    path = tmp_path / "again.sqlite"
    Ledger.restore(path, desk.key, desk.vault, lambda: NOW, leaves, lost).close()
    desk.opened.append(Ledger(path, desk.key, desk.vault, lambda: NOW, Window(1, Fraction(1, 2))))
    return desk.opened[-1]


def test_a_ledger_made_anew_continues_the_very_log(desk: Any, tmp_path: Path) -> None:
    ledger = desk.create()
    for name in ("a", "b"):
        ledger.pay(desk.purchase(name), desk.count())
    anew = lost_after(desk, tmp_path, 4, 7)
    leaves, note = anew.log()
    assert leaves[:4] == ledger.leaves()
    head = verify_checkpoint(note, desk.key.vkey)
    assert (head.size, head.root) == (5, root_of([leaf_hash(leaf) for leaf in leaves]))
    assert {name: a.spent for name, a in anew.accounts().items()} == {
        "advertiser/record": 2 * desk.cost + 7,
        "shop/record": 0,
    }


def test_what_was_drawn_before_is_never_drawn_again(desk: Any, tmp_path: Path) -> None:
    ledger = desk.create()
    ledger.pay(desk.purchase("a"), desk.count())
    anew = lost_after(desk, tmp_path, 3, 7)
    for ask in (lambda: anew.paid(desk.purchase("a")), lambda: anew.pay(desk.purchase("a"), desk.count())):
        with pytest.raises(NoiseLost):
            ask()
    assert len(anew.leaves()) == 4


def test_the_window_stays_spent_until_a_witness_has_seen_the_new_head(desk: Any, tmp_path: Path) -> None:
    """Half the cap may run ahead; a third was spent, the rest of the half may have been."""
    ledger = desk.create()
    ledger.pay(desk.purchase("a"), desk.count())
    anew = lost_after(desk, tmp_path, 3, desk.cap // 2 - desk.cost)
    with pytest.raises(WindowFull):
        anew.pay(desk.purchase("b"), desk.count())
    leaves, note = anew.log()
    anew.witness("officer", len(leaves), root_of([leaf_hash(leaf) for leaf in leaves]), note)
    anew.pay(desk.purchase("b"), desk.count())


def test_restoring_twice_keeps_what_was_lost_the_first_time(desk: Any, tmp_path: Path) -> None:
    ledger = desk.create()
    ledger.pay(desk.purchase("a"), desk.count())
    first = lost_after(desk, tmp_path, 3, 7)
    desk.path = first_path = tmp_path / "again.sqlite"
    (tmp_path / "second").mkdir()
    again = lost_after(desk, tmp_path / "second", 4, 5)
    assert first_path.exists()
    assert again.accounts()["advertiser/record"].spent == first.accounts()["advertiser/record"].spent + 5
