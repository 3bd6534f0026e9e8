"""Killed at any point, or raced for: no charge is lost, no noise drawn twice. Forks stand for processes that die."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from passbox.dp import mechanisms
from passbox.dp.account import BudgetExceeded
from passbox.dp.storage import Storage

from .forks import in_a_fork
from .reading import ADVERTISER, entries, holds_together, spent


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_around(owner: Any, name: str, *, before: bool, when: Callable[..., bool] = lambda *_: True) -> None:
    """In a child: the named function kills its process, before or after it does its work."""
    real = getattr(owner, name)

    def deadly(*given: Any) -> Any:
        if before and when(*given):
            die()
        result = real(*given)
        if when(*given):
            die()
        return result

    setattr(owner, name, deadly)


def statement(begins: str) -> Callable[..., bool]:
    return lambda *given: str(given[1]).startswith(begins)


POINTS: dict[str, tuple[Any, str, bool, Callable[..., bool]]] = {
    "before the draw": (mechanisms, "gaussian", True, lambda *_: True),
    "after the draw": (mechanisms, "gaussian", False, lambda *_: True),
    "after the charge": (Storage, "rows", False, statement("update account")),
    "after the entry": (Storage, "rows", False, statement("insert into entry")),
    "before the commit": (Storage, "rows", True, statement("commit")),
    "after the commit": (Storage, "rows", False, statement("commit")),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_dies_loses_no_charge_and_draws_no_second_noise(desk: Any, point: str) -> None:
    desk.create().close()
    owner, name, before, when = POINTS[point]

    def act() -> bytes:
        with desk.open() as ledger:
            die_around(owner, name, before=before, when=when)
            return ledger.pay(desk.purchase(), desk.count()).values.tobytes()

    said, ended_by = in_a_fork(act)
    assert (said, ended_by) == (b"", signal.SIGKILL)
    committed = point == "after the commit"
    with desk.open() as ledger:
        kept = ledger.paid(desk.purchase())
        assert (kept is not None) == committed
        assert spent(ledger) == (desk.cost if committed else 0)
        holds_together(ledger, desk.key.vkey)
        after = ledger.pay(desk.purchase(), desk.count())
        assert kept is None or kept.values.tolist() == after.values.tolist()
        assert (spent(ledger), len(entries(ledger))) == (desk.cost, 1)
        holds_together(ledger, desk.key.vkey)


def test_a_release_that_was_seen_was_charged_though_its_process_died_next(desk: Any) -> None:
    desk.create().close()

    def act() -> None:
        ledger = desk.open()
        os.write(seen, ledger.pay(desk.purchase(), desk.count()).values.tobytes())
        die()

    reading, seen = os.pipe()
    assert in_a_fork(act)[1] == signal.SIGKILL
    values = np.frombuffer(os.read(reading, 8), dtype=np.int64)
    os.close(reading)
    os.close(seen)
    with desk.open() as ledger:
        assert ledger.pay(desk.purchase(), desk.count()).values.tolist() == values.tolist()
        assert spent(ledger) == desk.cost


def winners(racers: int, buy: Callable[[int], bool]) -> int:
    """How many of several processes, let go at once, bought."""
    reading, writing = os.pipe()
    gate_in, gate_out = os.pipe()
    children = []
    for number in range(racers):
        child = os.fork()
        if child == 0:
            won = False
            try:
                os.close(gate_out)
                os.read(gate_in, 1)
                won = buy(number)
            finally:
                os.write(writing, b"1" if won else b"0")
                os._exit(0)
        children.append(child)
    os.close(gate_out)
    os.close(gate_in)
    os.close(writing)
    for child in children:
        os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().count(b"1")


def test_of_eight_processes_racing_for_a_budget_of_three_exactly_three_win(desk: Any) -> None:
    desk.create().close()

    def buy(number: int) -> bool:
        with desk.open() as ledger:
            try:
                ledger.pay(desk.purchase(f"racer {number}"), desk.count())
            except BudgetExceeded:
                return False
            return True

    assert winners(8, buy) == 3
    with desk.open() as ledger:
        assert (spent(ledger), len(entries(ledger))) == (3 * desk.cost, 3)
        holds_together(ledger, desk.key.vkey)


def test_eight_processes_asking_the_same_draw_once(desk: Any) -> None:
    desk.create().close()
    seen = desk.path.parent / "seen"
    seen.mkdir()

    def buy(number: int) -> bool:
        with desk.open() as ledger:
            values = ledger.pay(desk.purchase(), desk.count()).values
        (seen / str(number)).write_bytes(values.tobytes())
        return True

    assert winners(8, buy) == 8
    assert len({path.read_bytes() for path in seen.iterdir()}) == 1
    with desk.open() as ledger:
        assert (spent(ledger), len(entries(ledger))) == (desk.cost, 1)


def test_a_ledger_that_looks_before_it_locks_is_caught_by_the_same_race(desk: Any) -> None:
    """The planted fault: balance read outside of the transaction that charges."""
    desk.create().close()
    looked = desk.path.with_name("looked")
    looked.touch()

    def buy(number: int) -> bool:
        db = sqlite3.connect(desk.path, timeout=60, isolation_level=None)
        (before,) = db.execute("select spent from account where id = ?", (ADVERTISER,)).fetchone()
        if before + desk.cost > desk.cap:
            return False
        with looked.open("ab", buffering=0) as mine:
            mine.write(b"1")
        while looked.stat().st_size < 4:  # until more have looked than can pay
            time.sleep(0.01)
        db.execute("update account set spent = ? where id = ?", (before + desk.cost, ADVERTISER))
        return True

    assert winners(8, buy) > 3
