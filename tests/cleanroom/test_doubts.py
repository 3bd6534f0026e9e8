"""A list's size is held against its contract at home, by what every room would say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from passbox.cleanroom.doubts import doubts, refuse_large_delta
from passbox.policies.check import Refused
from passbox.policies.contract import Contract, parse

if TYPE_CHECKING:
    from conftest import World


@pytest.fixture
def contract(signed: World) -> Contract:
    """Seeds from 100; δ 1e-5 of visitors, 1e-4 of buyers."""
    return signed.agreement.contract


def test_a_list_that_is_long_enough_is_not_doubted(contract: Contract) -> None:
    assert doubts(contract, "buyers", 100) == ()
    assert doubts(contract, "visitors", 3000) == ()


def test_a_seed_list_below_the_contracts_smallest_is_doubted(contract: Contract) -> None:
    assert doubts(contract, "buyers", 99) == (
        "99 rows are fewer than smallest_seed = 100: lookalike and overlap will be refused",
    )
    assert "1 row are" not in doubts(contract, "buyers", 1)[0]


def test_too_few_people_for_a_lookalike_are_doubted(contract: Contract) -> None:
    assert doubts(contract, "visitors", 199) == (
        "199 rows are fewer than the 200 that a lookalike needs: it will be refused",
    )


def test_a_delta_above_a_tenth_of_1_n_is_doubted(contract: Contract) -> None:
    assert doubts(contract, "buyers", 1000) == ()
    assert doubts(contract, "buyers", 1001) == ("δ 0.0001 is above 1/(10 n) for 1001 rows: agree on a smaller one",)


def test_a_delta_above_1_n_is_refused_where_whatever_is_allowed_would_be(contract: Contract) -> None:
    refuse_large_delta(contract, "buyers", 10_000)
    with pytest.raises(Refused) as refused:
        refuse_large_delta(contract, "buyers", 10_001)
    assert refused.value.clause == "dataset.buyers.budget.delta"


def test_visitors_whom_a_lookalike_does_not_charge_are_doubted_alone(contract: Contract, signed: World) -> None:
    """Their owner may still have lookalikes, which nobody else reads; with the overlap alone nothing would be left."""
    refuse_large_delta(contract, "visitors", 100_001)
    assert "jobs that visitors pays for will be refused" in doubts(contract, "visitors", 100_001)[0]
    lines = signed.contract.read_text().splitlines()
    alone = parse("\n".join(line for line in lines if 'job = "lookalike"' not in line).encode())
    with pytest.raises(Refused):
        refuse_large_delta(alone, "visitors", 100_001)
