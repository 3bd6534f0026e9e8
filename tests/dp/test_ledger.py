"""What a ledger promises, on real files; forks stand for processes that die, race, or find a disk full."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
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

from passbox.dp import mechanisms, tree
from passbox.dp.account import BudgetExceeded, Cap
from passbox.dp.budget import Rho
from passbox.dp.canonical import canonical
from passbox.dp.cover import UnpaidPart
from passbox.dp.entry import Purchase
from passbox.dp.ledger import Ledger
from passbox.dp.mechanisms import PriceTooLow
from passbox.dp.note import verify_checkpoint
from passbox.dp.promised import SpecificationMismatch
from passbox.dp.scale import Scale, smallest_scale
from passbox.dp.storage import VERSION, LedgerDamaged, Storage
from passbox.dp.tree import BadTree

ADVERTISER, SHOP = "advertiser/record", "shop/record"
PATIENCE = 60
"""Seconds for what takes none where nothing is wrong, on a machine that does much else."""


@pytest.fixture
def ledger(desk: Any) -> Ledger:
    return desk.create()


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts draws: one number is added a call."""
    made: list[int] = []
    real = mechanisms.gaussian

    def counted(values: Any, *rest: Any) -> Any:
        made.append(len(values))
        return real(values, *rest)

    monkeypatch.setattr(mechanisms, "gaussian", counted)
    return made


def spent(ledger: Ledger, account: str = ADVERTISER) -> int:
    return ledger.accounts()[account].spent


def entries(ledger: Ledger, kind: str = "release") -> list[dict[str, Any]]:
    return [entry for entry in map(json.loads, ledger.leaves()) if entry["kind"] == kind]


def holds_together(ledger: Ledger, vkey: str) -> None:
    """Balances are the sums of the log, every entry is under the checkpoint, hours and numbers only grow."""
    leaves, note = ledger.log()
    head = verify_checkpoint(note, vkey)
    assert (head.size, head.root) == (len(leaves), tree.root_of(map(tree.leaf_hash, leaves)))
    parsed = [json.loads(leaf) for leaf in leaves]
    assert [canonical(entry) for entry in parsed] == leaves
    assert [entry["seq"] for entry in parsed] == list(range(len(parsed)))
    assert [entry["time"] for entry in parsed] == sorted(entry["time"] for entry in parsed)
    for name, account in ledger.accounts().items():
        charges = [c for entry in parsed for c in entry.get("charges", []) if c["account"] == name]
        assert [c["before"] for c in charges] == [sum(p["rho"] for p in charges[:i]) for i in range(len(charges))]
        assert account.spent == sum(c["rho"] for c in charges) <= account.cap


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


def test_an_entry_that_no_log_could_carry_is_not_written(desk: Any, ledger: Ledger) -> None:
    with pytest.raises(BadTree):
        ledger.deny(desk.purchase().context, "x" * 70_000)
    with pytest.raises(BadTree):
        ledger.pay(desk.purchase("x" * 70_000), desk.count())
    assert (spent(ledger), len(ledger.leaves())) == (0, 2)


# -- one charge for a pair of parts ---------------------------------------------------------------------------------


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


# -- what the log gives away, and what it proves --------------------------------------------------------------------


def test_every_entry_is_signed_by_a_checkpoint_of_its_own(desk: Any, ledger: Ledger) -> None:
    ledger.pay(desk.purchase(), desk.count())
    ledger.deny(desk.purchase().context, "x")
    notes = [note for (note,) in ledger._storage.rows("select note from checkpoint order by size")]
    hashes = [tree.leaf_hash(leaf) for leaf in ledger.leaves()]
    heads = [verify_checkpoint(note, desk.key.vkey) for note in notes]
    assert [(head.size, head.root) for head in heads] == [(n, tree.root_of(hashes[:n])) for n in range(1, 5)]


def test_a_commitment_opens_with_its_nonce_and_to_nobody_else(desk: Any, ledger: Ledger) -> None:
    """No digest in an entry is a hash of a count that can be guessed, in any spelling, over 0 to 100,000."""
    noisy = ledger.pay(desk.purchase(), desk.count(500))
    entry = entries(ledger)[0]
    opened = hashlib.sha256(noisy.receipt.nonce + canonical(noisy.values.tolist())).hexdigest()
    assert entry["commitment"] == noisy.receipt.commitment == opened
    assert noisy.receipt.nonce.hex() not in json.dumps(entry)
    digests = {word for word in json.dumps(entry).split('"') if len(word) == 64}
    assert len(digests) >= 5
    guesses = (spelled for n in range(100_001) for spelled in (b"%d" % n, b"[%d]" % n, n.to_bytes(8, "little")))
    assert not any(hashlib.sha256(guess).hexdigest() in digests for guess in guesses)


def test_stored_bytes_are_unreadable_without_the_vault_and_tell_no_size(desk: Any, ledger: Ledger) -> None:
    small = ledger.pay(desk.purchase("a"), desk.count(0))
    large = ledger.pay(desk.purchase("b"), desk.count(2**60))
    bodies = [body for (body,) in ledger._storage.rows("select body from release")]
    assert len(bodies[0]) == len(bodies[1])
    ledger.close()
    on_disk = b"".join(path.read_bytes() for path in desk.path.parent.iterdir())
    nonces = [form for noisy in (small, large) for form in (noisy.receipt.nonce, noisy.receipt.nonce.hex().encode())]
    numbers = [large.values.astype("<i8").tobytes(), str(large.values[0]).encode()]
    assert not any(secret in on_disk for secret in (*nonces, *numbers))
    desk.vault = type(desk.vault)()
    with desk.open() as stranger, pytest.raises(InvalidTag):
        stranger.paid(desk.purchase("a"))


def test_noise_that_was_exchanged_in_the_file_is_refused(desk: Any, ledger: Ledger) -> None:
    """A body moved to another key does not open; one sealed anew for this key is not what the log commits to."""
    a, b = desk.purchase("a"), desk.purchase("b")
    for purchase in (a, b):
        ledger.pay(purchase, desk.count())
    (body,) = ledger._storage.row("select body from release where key = ?", b.key) or (b"",)
    for forged, error in ((body, InvalidTag), (desk.vault.seal(bytes(40), a.key.encode()), LedgerDamaged)):
        ledger._storage.rows("update release set body = ? where key = ?", forged, a.key)
        with pytest.raises(error):
            ledger.paid(a)


def test_nothing_secret_shows_when_printed(desk: Any, ledger: Ledger) -> None:
    noisy = ledger.pay(desk.purchase(), desk.count(10**15))
    shown = repr(noisy) + repr(desk.count(10**15)) + repr(noisy.receipt)
    assert str(noisy.values[0]) not in shown
    assert str(10**15) not in shown
    assert noisy.receipt.nonce.hex() not in shown


def test_a_clock_set_back_writes_the_hour_above_again(desk: Any, ledger: Ledger) -> None:
    ledger.deny(desk.purchase().context, "first")
    desk.wait(-48)
    ledger.pay(desk.purchase(), desk.count())
    desk.wait(+50)
    ledger.deny(desk.purchase().context, "last")
    hours = [json.loads(leaf)["time"] for leaf in ledger.leaves()]
    assert hours == ["2026-03-01T09:00Z"] * 4 + ["2026-03-01T11:00Z"]


def test_the_log_is_one_view_though_others_write(desk: Any, ledger: Ledger) -> None:
    other = desk.open()
    with ledger._storage.reading():
        before = ledger.leaves()
        other.deny(desk.purchase().context, "meanwhile")
        assert verify_checkpoint(ledger.checkpoint(), desk.key.vkey).size == len(before) == 2
    assert verify_checkpoint(ledger.log()[1], desk.key.vkey).size == 3


# -- dying at any point ---------------------------------------------------------------------------------------------


def in_a_fork(act: Callable[[], object]) -> tuple[bytes, int]:
    """What a child wrote to its pipe, and how it ended: the signal that killed it, or 0. Errors are told by name."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = act()
            os.write(writing, said if isinstance(said, bytes) else b"")
        except BaseException as error:  # noqa: BLE001 - a child never returns
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said_ = pipe.read()
    _, status = os.waitpid(child, 0)
    return said_, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


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


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit, ValueError])
def test_an_exception_leaves_neither_lock_nor_transaction_behind(
    desk: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def failing(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(mechanisms, "gaussian", failing)
        with pytest.raises(error):
            ledger.pay(desk.purchase(), desk.count())
    assert spent(ledger) == 0
    with desk.open() as other:
        other.pay(desk.purchase(), desk.count())
    assert spent(ledger) == desk.cost


def test_a_ledger_is_not_used_across_a_fork(desk: Any, ledger: Ledger) -> None:
    said, _ = in_a_fork(lambda: ledger.pay(desk.purchase(), desk.count()))
    assert said == b"RuntimeError"
    said, _ = in_a_fork(lambda: ledger.accounts())
    assert said == b"RuntimeError"
    ledger.pay(desk.purchase(), desk.count())
    holds_together(ledger, desk.key.vkey)


def test_a_child_forked_while_the_lock_was_held_does_not_keep_it(desk: Any, ledger: Ledger) -> None:
    with ledger._storage._locked():
        child = os.fork()
        if child == 0:
            time.sleep(10 * PATIENCE)
            os._exit(0)
    try:
        waiting = threading.Thread(target=lambda: desk.open().close(), daemon=True)
        waiting.start()
        waiting.join(PATIENCE)
        assert not waiting.is_alive()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        desk.opened.pop()


def test_nobody_opens_or_writes_while_another_holds_the_lock(
    desk: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own locks are not enough: see `dp.storage`. Looked at when the other asks for the lock, or is done."""
    done, came, real = list[str](), threading.Event(), fcntl.flock

    def flock(handle: int, how: int) -> None:
        came.set()
        real(handle, how)

    def writing() -> None:
        with Ledger(desk.path, desk.key, desk.vault, lambda: desk.now) as own:
            own.deny(desk.purchase().context, "expires")
        done.append("written")
        came.set()

    thread = threading.Thread(target=writing)
    with ledger._storage._locked():
        monkeypatch.setattr(fcntl, "flock", flock)
        thread.start()
        assert came.wait(PATIENCE)
        thread.join(0.2)
        assert done == []
    thread.join(PATIENCE)
    assert done == ["written"]


def test_threads_open_ledgers_of_their_own(desk: Any, ledger: Ledger) -> None:
    caught: list[str] = []

    def sharing() -> None:
        try:
            ledger.pay(desk.purchase("shared"), desk.count())
        except sqlite3.ProgrammingError as error:
            caught.append(type(error).__name__)

    def owning(name: str) -> None:
        with Ledger(desk.path, desk.key, desk.vault, lambda: desk.now) as own:
            own.pay(desk.purchase(name), desk.count())

    threads = [threading.Thread(target=sharing), *(threading.Thread(target=owning, args=name) for name in "abc")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (caught, spent(ledger)) == (["ProgrammingError"], 3 * desk.cost)
    holds_together(ledger, desk.key.vkey)


# -- racing ---------------------------------------------------------------------------------------------------------


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


# -- disks ----------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_named_and_not_made(desk: Any) -> None:
    with pytest.raises(LedgerDamaged, match="missing"):
        desk.open()
    assert not desk.path.exists()


@pytest.mark.parametrize("content", [b"", b"no database" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_ledger_is_refused_and_left_as_it_is(desk: Any, content: bytes) -> None:
    desk.path.write_bytes(content)
    with pytest.raises(LedgerDamaged):
        desk.open()
    assert desk.path.read_bytes() == content


def test_a_ledger_of_another_version_is_refused(desk: Any) -> None:
    desk.create().close()
    with sqlite3.connect(desk.path) as db:
        db.execute(f"pragma user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(LedgerDamaged):
        desk.open()


def test_a_file_damaged_in_the_middle_pays_nothing(desk: Any, draws: list[int]) -> None:
    desk.create().close()
    data = bytearray(desk.path.read_bytes())
    data[4096:] = np.random.default_rng(1).bytes(len(data) - 4096)
    desk.path.write_bytes(data)
    with pytest.raises(LedgerDamaged), desk.open() as ledger:
        ledger.pay(desk.purchase(), desk.count())
    assert draws == []


@pytest.mark.parametrize(
    "damage",
    ["update frontier set peaks = x'00'", "delete from frontier", "update entry set leaf = x'7b'", "delete from entry"],
)
def test_damaged_rows_are_refused_and_nothing_is_charged(desk: Any, ledger: Ledger, damage: str) -> None:
    ledger._storage.rows(damage)
    with pytest.raises(LedgerDamaged):
        ledger.pay(desk.purchase(), desk.count())
    assert spent(ledger) == 0


def test_a_release_whose_entry_is_gone_is_not_drawn_again(desk: Any, ledger: Ledger, draws: list[int]) -> None:
    ledger.pay(desk.purchase(), desk.count())
    ledger._storage.rows("pragma foreign_keys = off")
    ledger._storage.rows("delete from entry where seq = 2")
    for ask in (lambda: ledger.pay(desk.purchase(), desk.count()), lambda: ledger.paid(desk.purchase())):
        with pytest.raises(LedgerDamaged):
            ask()
    assert draws == [1]


def test_sqlite_finds_nothing_wrong_with_its_tables(desk: Any, ledger: Ledger) -> None:
    """SQLite 3.40 finds a table at fault whose rows are kept by a key that is not its first columns."""
    first = ledger.pay(desk.purchase("a", accounts=("advertiser", "shop")), desk.count())
    ledger.pay(desk.purchase("b", part="held-out"), desk.count())
    assert ledger._storage.row("select count(*) from charge where key = ?", first.receipt.key) == (2,)
    assert ledger._storage.rows("pragma integrity_check") == [("ok",)]


def test_a_ledger_is_made_once(desk: Any) -> None:
    desk.create().close()
    with pytest.raises(FileExistsError):
        desk.create()


def test_a_ledger_that_could_not_be_made_leaves_no_file(desk: Any) -> None:
    cap = Cap(ADVERTISER, "advertiser", "record", "1.0", "1e-06", desk.cap, "cc" * 32)
    with pytest.raises(sqlite3.IntegrityError):
        Ledger.create(desk.path, desk.key, desk.vault, lambda: desk.now, [cap, cap])
    assert not desk.path.exists()


def test_only_its_owner_may_read_a_ledger(desk: Any, ledger: Ledger) -> None:
    ledger.pay(desk.purchase(), desk.count())
    assert {path.stat().st_mode & 0o777 for path in desk.path.parent.iterdir()} == {0o600}


def test_a_full_disk_is_refused_and_nothing_is_charged(desk: Any) -> None:
    desk.create().close()

    def act() -> bytes:
        with desk.open() as ledger:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
            try:
                ledger.pay(desk.purchase(), desk.count())
            except sqlite3.OperationalError:
                said = b"refused, spent %d" % spent(ledger)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return said

    assert in_a_fork(act) == (b"refused, spent 0", 0)
    with desk.open() as ledger:
        assert spent(ledger) == 0
        ledger.pay(desk.purchase(), desk.count())
        holds_together(ledger, desk.key.vkey)


def test_a_disk_that_may_not_be_written_is_refused_and_nothing_is_charged(desk: Any, draws: list[int]) -> None:
    desk.create().close()
    folder = desk.path.parent

    def act() -> bytes:
        if os.geteuid() == 0:  # root may write everywhere: become somebody who may not
            for parent in (folder, *folder.parents):
                parent.chmod(parent.stat().st_mode | 0o055)
            for path in folder.iterdir():
                path.chmod(0o444)
            os.setuid(65534)
        else:
            folder.chmod(0o500)
            desk.path.chmod(0o400)
        with desk.open() as ledger:
            ledger.pay(desk.purchase(), desk.count())
        return b"paid"

    modes = {path: path.stat().st_mode for path in (folder, *folder.parents)}
    try:
        said, _ = in_a_fork(act)
    finally:
        for path, mode in modes.items():
            if path.stat().st_mode != mode:
                path.chmod(mode)
    assert said in (b"PermissionError", b"OperationalError")
    for path in folder.iterdir():
        path.chmod(0o600)
    with desk.open() as ledger:
        assert (spent(ledger), draws) == (0, [])


# -- any order of everything ----------------------------------------------------------------------------------------


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
