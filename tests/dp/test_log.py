"""The log on disk: every entry is signed, hours only grow, and a view of it is one view."""

from __future__ import annotations

import json
from typing import Any

import pytest

from passbox.dp import tree
from passbox.dp.ledger import Ledger
from passbox.dp.note import verify_checkpoint
from passbox.dp.tree import BadTree

from .reading import spent


def test_an_entry_that_no_log_could_carry_is_not_written(desk: Any, ledger: Ledger) -> None:
    with pytest.raises(BadTree):
        ledger.deny(desk.purchase().context, "x" * 70_000)
    with pytest.raises(BadTree):
        ledger.pay(desk.purchase("x" * 70_000), desk.count())
    assert (spent(ledger), len(ledger.leaves())) == (0, 2)


def test_every_entry_is_signed_by_a_checkpoint_of_its_own(desk: Any, ledger: Ledger) -> None:
    ledger.pay(desk.purchase(), desk.count())
    ledger.deny(desk.purchase().context, "x")
    notes = [note for (note,) in ledger._storage.rows("select note from checkpoint order by size")]
    hashes = [tree.leaf_hash(leaf) for leaf in ledger.leaves()]
    heads = [verify_checkpoint(note, desk.key.vkey) for note in notes]
    assert [(head.size, head.root) for head in heads] == [(n, tree.root_of(hashes[:n])) for n in range(1, 5)]


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
