"""The ledger's file: one lock, whole transactions, and disks that fail."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sqlite3
import threading
import time
from typing import Any

import numpy as np
import pytest

from passbox.dp import mechanisms
from passbox.dp.account import Cap
from passbox.dp.ledger import Ledger
from passbox.dp.storage import VERSION, LedgerDamaged

from .forks import in_a_fork
from .reading import ADVERTISER, holds_together, spent

PATIENCE = 60
"""Seconds for what takes none where nothing is wrong, on a machine that does much else."""


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
