from __future__ import annotations

from typing import Any

import pytest

from passbox.dp.carry import Closed
from passbox.dp.head import Head, head_of
from passbox.dp.storage import LedgerDamaged
from passbox.dp.tree import Frontier
from passbox.dp.window import RolledBack


def head(**changes: Any) -> Head:
    three = Frontier().push(b"a").push(b"b").push(b"c")
    return Head(**{"frontier": three, "hour": "", "following": "", "seen": {}, **changes})


def test_it_is_what_the_entries_and_the_witnesses_say(desk: Any) -> None:
    with desk.create() as ledger:
        assert head_of(ledger._storage) == Head(head_of(ledger._storage).frontier, "2026-03-01T09:00Z", "", {})
        ledger.witness("officer", 1, ledger_root(ledger, 1), "")
        desk.wait(2)
        ledger.close_for("cc" * 32, "ee" * 32)
        found = head_of(ledger._storage)
        assert (found.size, found.frontier.root()) == (3, ledger_root(ledger, 3))
        assert (found.hour, found.following, found.seen) == ("2026-03-01T11:00Z", "ee" * 32, {"officer": 1})


def ledger_root(ledger: Any, size: int) -> bytes:
    frontier = Frontier()
    for leaf in ledger.leaves()[:size]:
        frontier = frontier.push(leaf)
    return frontier.root()


@pytest.mark.parametrize("leaf", ["null", "x'7b'", "x'5b5d'", "x'7b7d'"], ids=["gone", "torn", "no entry", "no hour"])
def test_a_newest_entry_that_is_not_what_was_written_is_refused(desk: Any, leaf: str) -> None:
    with desk.create() as ledger:
        if leaf == "null":
            ledger._storage.rows("delete from entry where seq = 1")
        else:
            ledger._storage.rows(f"update entry set leaf = {leaf} where seq = 1")
        with pytest.raises(LedgerDamaged, match="entry 1"):
            head_of(ledger._storage)


def test_a_witness_that_has_seen_more_is_named() -> None:
    head(seen={"officer": 3}).refuse_rolled_back()
    with pytest.raises(RolledBack, match="'notary', 3, 4"):
        head(seen={"notary": 4, "officer": 3}).refuse_rolled_back()


def test_a_ledger_that_went_on_elsewhere_says_where() -> None:
    head().refuse_closed()
    with pytest.raises(Closed, match="ee"):
        head(following="ee" * 32).refuse_closed()
