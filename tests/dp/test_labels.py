from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.dp.account import BudgetExceeded, Cap
from passbox.dp.budget import EPSILON_UNIT, Rho
from passbox.dp.cover import UnpaidPart
from passbox.dp.entry import Charge, Context, Purchase, Specification
from passbox.dp.flip import FLIP_UNIT, Flip, least_flip
from passbox.dp.labels import WORD, Labels, packed, unpacked
from passbox.dp.promised import SpecificationMismatch
from passbox.dp.scale import Scale

if TYPE_CHECKING:
    from conftest import Desk

ACCOUNT, NOISE = "advertiser/responses", "advertiser/record"
EPSILON = EPSILON_UNIT
"""What a release here costs."""


@given(st.lists(st.booleans(), max_size=200))
def test_labels_come_back_as_they_were_packed(labels: list[bool]) -> None:
    words = packed(np.array(labels, dtype=np.bool_))
    assert len(words) == -(-len(labels) // WORD)
    assert all(0 <= word < 2**WORD for word in words.tolist())
    assert unpacked(words, len(labels)).tolist() == labels


def test_the_first_label_is_the_lowest_bit() -> None:
    labels = np.zeros(50, dtype=np.bool_)
    labels[[0, 9, 49]] = True
    assert packed(labels).tolist() == [1 + 2**9, 2]


@pytest.mark.parametrize(("words", "people"), [([0], 49), ([0, 0], 48), ([2**48], 48), ([-1], 48), ([2], 1), ([], 1)])
def test_numbers_that_are_no_labels_of_so_many_people_are_refused(words: list[int], people: int) -> None:
    with pytest.raises(ValueError, match="so many people"):
        unpacked(np.array(words, dtype=np.int64), people)


# -- through the ledger ----------------------------------------------------------------------------------------------


def asked(epsilon: int = EPSILON, moved: int = 1, **changes: Any) -> Purchase:
    """Labels of the publisher's people, for the publisher. changes: to the specification or the purchase."""
    spec: dict[str, Any] = {
        "statistic": "responses@1",
        "datasets": {"visitors": "aa" * 32, "buyers": "bb" * 32},
        "unit": "record",
        "rule": "own-best",
        "part": "all",
        "columns": (),
        "cells": 1,
        "bits": 0,
        "l2_squared": moved**2,
        "scale": Scale(1),
        "flip": least_flip(epsilon, moved),
    }
    spec |= {name: changes.pop(name) for name in [*changes] if name in spec}
    charges = changes.pop("charges", (Charge(ACCOUNT, "buyers", Rho(epsilon)),))
    context = Context("cc" * 32, "dd" * 32, "publisher", ("publisher",), "reach")
    return Purchase(Specification(**spec), charges, context, **changes)


def caps(epsilon: int = 2 * EPSILON) -> list[Cap]:
    return [
        Cap(NOISE, "advertiser", "record", "2.0", "1e-06", Rho(10**12), "cc" * 32),
        Cap(ACCOUNT, "advertiser", "record", "2.0", "0.0", Rho(epsilon), "cc" * 32),
    ]


def exact(people: int = 1_000, moved: int = 1) -> Labels:
    return Labels(np.arange(people) % 10 == 0, moved)


def test_the_same_labels_for_ever_and_paid_once(desk: Desk) -> None:
    with desk.create(caps()) as ledger:
        first = ledger.respond(asked(), exact())
        assert first.flip == asked().specification.flip / FLIP_UNIT
        again = ledger.respond(asked(), Labels(np.ones(1_000, dtype=np.bool_), 1))
        assert again.values.tolist() == first.values.tolist()
        assert {name: account.spent for name, account in ledger.accounts().items()} == {NOISE: 0, ACCOUNT: EPSILON}
    with desk.open() as ledger:
        kept = ledger.paid(asked())
        assert kept is not None
        assert kept.values.tolist() == first.values.tolist()
        assert kept.flip == first.flip


def test_no_more_epsilon_is_spent_than_is_kept(desk: Desk) -> None:
    with desk.create(caps()) as ledger:
        ledger.respond(asked(), exact())
        ledger.respond(asked(EPSILON - 1), exact())
        with pytest.raises(BudgetExceeded) as short:
            ledger.respond(asked(10**6), exact())
        assert (short.value.account, short.value.left) == (ACCOUNT, 1)


def test_labels_take_little_room(desk: Desk) -> None:
    """8 bytes for 48 of them, and the seal."""
    with desk.create(caps()) as ledger:
        ledger.respond(asked(), exact(48_000))
        ((sealed,),) = ledger._storage.rows("select body from release")
        assert len(sealed) < 8 * 1_000 + 100


SHORT = {
    "charged less than it costs": {"charges": (Charge(ACCOUNT, "buyers", Rho(EPSILON - 2)),)},
    "charged to noise": {"charges": (Charge(NOISE, "buyers", Rho(EPSILON)),)},
    "flipped half as often": {"flip": Flip(least_flip(EPSILON, 1) // 2)},
    "flipped as if a record moved one label": {"l2_squared": 4},
    "of several cells": {"cells": 2},
    "on a lattice": {"bits": 10},
}


@pytest.mark.parametrize("what", SHORT)
def test_labels_that_are_not_paid_for_in_full_are_not_drawn(what: str, desk: Desk) -> None:
    with desk.create(caps()) as ledger:
        with pytest.raises(SpecificationMismatch):
            ledger.respond(asked(**SHORT[what]), exact())
        assert len(ledger.leaves()) == 2


def test_labels_of_which_a_record_moves_more_than_is_paid_for_are_not_drawn(desk: Desk) -> None:
    with desk.create(caps()) as ledger:
        with pytest.raises(SpecificationMismatch):
            ledger.respond(asked(moved=1), exact(moved=2))
        ledger.respond(asked(moved=2), exact(moved=2))


def test_labels_do_not_pass_as_a_count_nor_a_count_as_labels(desk: Desk) -> None:
    with desk.create(caps()) as ledger:
        with pytest.raises(SpecificationMismatch):
            ledger.pay(asked(), desk.count())
        with pytest.raises(SpecificationMismatch):
            ledger.respond(desk.purchase(), exact())
        with pytest.raises(SpecificationMismatch):
            ledger.pay(desk.purchase(), exact())  # type: ignore[arg-type]


def test_a_charge_in_epsilon_covers_no_noise(desk: Desk) -> None:
    """ε 1 is a larger number than the ρ of any count: were it taken for that, a count beside it would be free."""
    with desk.create(caps()) as ledger:
        labels = asked(part="train")
        ledger.respond(labels, exact())
        with pytest.raises(UnpaidPart, match="in ε"):
            ledger.pay(desk.purchase(part="held-out", accounts=(), beside=labels.key), desk.count())
        with pytest.raises(SpecificationMismatch):
            ledger.respond(asked(part="held-out", beside=labels.key, charges=()), exact())
