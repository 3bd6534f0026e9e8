"""How far spending may run ahead where several witness: so many of them make a head count, and no more are needed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from passbox.dp.ledger import Ledger
from passbox.dp.tree import leaf_hash, root_of
from passbox.dp.window import RolledBack, Window, WindowFull

NEED = 2


@pytest.fixture
def ledger(desk: Any) -> Ledger:
    """A third of a cap, which is one purchase, may run ahead of what two have cosigned."""
    desk.create().close()
    desk.opened.append(Ledger(desk.path, desk.key, desk.vault, lambda: desk.now, Window(NEED, Fraction(1, 3))))
    opened: Ledger = desk.opened[-1]
    return opened


def cosigned(ledger: Ledger, *names: str) -> None:
    leaves, note = ledger.log()
    for name in names:
        ledger.witness(name, len(leaves), root_of([leaf_hash(leaf) for leaf in leaves]), note)


def test_one_witness_is_too_few_and_two_are_enough_whichever_they_are(desk: Any, ledger: Ledger) -> None:
    ledger.pay(desk.purchase("a"), desk.count())
    cosigned(ledger, "officer")
    with pytest.raises(WindowFull):
        ledger.pay(desk.purchase("b"), desk.count())
    cosigned(ledger, "regulator")
    ledger.pay(desk.purchase("b"), desk.count())
    cosigned(ledger, "regulator", "auditor")  # the officer is absent, and blocks nobody
    ledger.pay(desk.purchase("c"), desk.count())


def test_the_newest_head_of_one_counts_for_nobody_else(desk: Any, ledger: Ledger) -> None:
    """Two have cosigned what stood before: from there on the window is counted."""
    cosigned(ledger, "officer", "regulator")
    ledger.pay(desk.purchase("a"), desk.count())
    cosigned(ledger, "officer")
    with pytest.raises(WindowFull):
        ledger.pay(desk.purchase("b"), desk.count())


def test_one_witness_that_is_ahead_is_enough_to_stop_a_copy(desk: Any, ledger: Ledger) -> None:
    leaves, note = ledger.log()
    with pytest.raises(RolledBack):
        ledger.witness("auditor", len(leaves) + 1, bytes(32), note)
    with pytest.raises(RolledBack):
        ledger.pay(desk.purchase("a"), desk.count())


@pytest.mark.parametrize(
    ("seen", "entries"),
    [({}, 0), ({"a": 9}, 0), ({"a": 9, "b": 4}, 4), ({"a": 9, "b": 4, "c": 7}, 7), ({"a": 5, "b": 5, "c": 2}, 5)],
)
def test_a_head_counts_where_so_many_vouch_for_it_or_more(seen: dict[str, int], entries: int) -> None:
    assert Window(NEED, Fraction(1, 4)).witnessed(seen) == entries
