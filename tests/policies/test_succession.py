"""Accounts that go on under another contract, and what an owner allows in all."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import pytest

from passbox.cleanroom.memory import Untold
from passbox.cli.explain import explain
from passbox.dp.accounting import epsilon_of, rho_within
from passbox.dp.budget import Budget, Delta, Epsilon, Rho
from passbox.policies.accounts import caps
from passbox.policies.agreement import Agreement, agree
from passbox.policies.contract import Contract, parse
from passbox.policies.succession import Ended, NotContinued, carried, together

if TYPE_CHECKING:
    from conftest import People


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def agreed(people: People, name: str, *continued: str, epsilon: float = 3.0, room: str | None = None) -> Agreement:
    """A contract of that name among the same people, in a room of its own."""
    listed = ", ".join(f'"{each}"' for each in continued)
    text = people.text.replace('name = "spring-lookalike"', f'name = "{name}"\ncontinues = [{listed}]')
    text = text.replace('name = "rooms.example/spring"', f'name = "{room or "rooms.example/" + name}"')
    text = text.replace('"rooms.example/spring+', f'"{room or "rooms.example/" + name}+')
    text = text.replace("epsilon = 3.0", f"epsilon = {epsilon}")
    text = _vkey_of(text)
    contract = parse(text.encode())
    return agree(contract, text.encode(), people.signatures(text))


def _vkey_of(text: str) -> str:
    """A verifier key names its log: another name is another key."""
    from passbox.dp.note import NoteKey

    line = next(line for line in text.splitlines() if line.startswith("checkpoint"))
    name = line.partition('"')[2].partition("+")[0]
    return text.replace(line, f'checkpoint = "{NoteKey.new(name).vkey}"')


def ended(agreement: Agreement, following: Agreement | str, publisher: int = 0, advertiser: int = 0) -> Ended:
    spent = {"publisher/record": Rho(publisher), "advertiser/record": Rho(advertiser)}
    after = following if isinstance(following, str) else following.digest
    return Ended(agreement, spent, 9, "ab" * 32, after)


def test_what_was_spent_is_carried_from_every_contract_that_is_continued(people: People) -> None:
    spring, summer = agreed(people, "spring"), agreed(people, "summer")
    autumn = agreed(people, "autumn", spring.digest, summer.digest)
    before = {each.digest: ended(each, autumn, publisher=7, advertiser=at) for at, each in enumerate((spring, summer))}
    left = carried(autumn, before)
    assert [(each.came_from, each.charges) for each in left] == [
        (spring.digest, {"publisher/record": 7, "advertiser/record": 0}),
        (summer.digest, {"publisher/record": 7, "advertiser/record": 1}),
    ]
    assert {each.contract for each in left} == {autumn.digest}


def test_merging_accounts_keeps_the_smallest_cap(people: People) -> None:
    """One contract that goes on alone may state a larger cap: its owner signs it."""
    spring, summer = agreed(people, "spring", epsilon=1.0), agreed(people, "summer", epsilon=2.0)
    raised = agreed(people, "alone", spring.digest, epsilon=2.0)
    assert carried(raised, {spring.digest: ended(spring, raised)})
    for epsilon, fits in ((1.0, True), (1.01, False), (2.0, False)):
        merged = agreed(people, "merged", spring.digest, summer.digest, epsilon=epsilon)
        before = {each.digest: ended(each, merged) for each in (spring, summer)}
        if fits:
            assert len(carried(merged, before)) == 2
        else:
            with pytest.raises(NotContinued, match="into one"):
                carried(merged, before)


def test_a_ledger_that_is_open_elsewhere_or_missing_is_not_continued(people: People) -> None:
    spring, other = agreed(people, "spring"), agreed(people, "other")
    summer = agreed(people, "summer", spring.digest)
    for before, rule in (
        ({}, "missing"),
        ({spring.digest: ended(spring, "")}, "still open"),
        ({spring.digest: ended(spring, other)}, "another contract"),
    ):
        with pytest.raises(NotContinued, match=rule):
            carried(summer, before)


def test_two_logs_may_not_have_one_name(people: People) -> None:
    """A witness would take the later one for a fork."""
    spring = agreed(people, "spring")
    summer = agreed(people, "summer", spring.digest, room="rooms.example/spring")
    with pytest.raises(NotContinued, match="called"):
        carried(summer, {spring.digest: ended(spring, summer)})


# -- in all --------------------------------------------------------------------------------------------------------


def test_the_sum_is_of_rho_at_this_contracts_delta(people: People) -> None:
    """ε does not add up: two caps of ε 3 are less than ε 6, and more than ε 3."""
    spring, summer = agreed(people, "spring"), agreed(people, "summer")
    found = together(summer.contract, "advertiser", {spring.digest: spring.contract}, summer.digest)
    rho = rho_within(Budget(Epsilon(3.0), Delta(1e-6)))
    assert found.contracts == ("spring",)
    assert found.epsilon == pytest.approx(epsilon_of(Rho(2 * rho), Delta(1e-6)))
    assert 4 < found.epsilon < 6
    assert not found.said


def test_a_contract_that_is_continued_counts_once(people: People) -> None:
    spring = agreed(people, "spring")
    summer = agreed(people, "summer", spring.digest)
    autumn = agreed(people, "autumn", summer.digest)
    signed = {each.digest: each.contract for each in (spring, summer)}
    assert together(autumn.contract, "publisher", signed, autumn.digest).said
    side = agreed(people, "side")
    assert together(side.contract, "publisher", signed, side.digest).contracts == ("summer",)


def test_the_same_contract_again_is_no_other(people: People) -> None:
    spring = agreed(people, "spring")
    assert together(spring.contract, "publisher", {spring.digest: spring.contract}, spring.digest).said


def selecting(people: People, name: str, delta: float, selection: float) -> tuple[Contract, str]:
    """A contract of which the advertiser keeps some δ for keys that nobody listed."""
    kept = f"delta = {delta!r}, selection = {selection!r} }}"
    text = agreed(people, name).data.decode().replace("delta = 1e-6 }", kept)
    assert kept in text
    return parse(text.encode()), digest(text)


def test_selections_of_every_contract_are_taken_off_the_delta_that_is_stated(people: People) -> None:
    """Noise and selections add up to (ε, δ) together: ε is read at what all the selections leave of δ."""
    (spring, before), (summer, now) = (selecting(people, name, 1e-6, 3e-7) for name in ("spring", "summer"))
    found = together(summer, "advertiser", {before: spring}, now)
    rho = rho_within(Budget(Epsilon(3.0), Delta(7e-7)))
    assert (found.delta, found.selecting) == (1e-6, pytest.approx(6e-7))
    assert found.epsilon == pytest.approx(epsilon_of(Rho(2 * rho), Delta(4e-7)))
    assert found.epsilon > epsilon_of(Rho(2 * rho), Delta(7e-7)) + 0.05
    plain = agreed(people, "plain")
    beside = together(plain.contract, "advertiser", {before: spring, now: summer}, plain.digest)
    assert beside.selecting == pytest.approx(6e-7)
    assert beside.epsilon > epsilon_of(Rho(2 * rho + rho_within(Budget(Epsilon(3.0), Delta(1e-6)))), Delta(1e-6))


def test_where_selections_leave_nothing_of_delta_no_sum_can_be_stated(people: People) -> None:
    (spring, before), (summer, now) = (selecting(people, name, 1e-6, 5e-7) for name in ("spring", "summer"))
    assert together(spring, "advertiser", {}, before).said
    found = together(summer, "advertiser", {before: spring}, now)
    assert (found.epsilon, found.said) == (math.inf, False)
    refused = Untold("advertiser", found)
    assert refused.needed is None
    assert refused.delta == pytest.approx(1.5e-6)
    assert "1.5e-06" in explain(refused).hint
    larger, again = selecting(people, "summer", refused.delta, 5e-7)
    assert math.isfinite(together(larger, "advertiser", {before: spring}, again).epsilon)


def test_caps_are_what_the_smallest_data_set_of_an_owner_allows(people: People) -> None:
    spring = agreed(people, "spring", epsilon=1.0)
    assert {cap.account: cap.rho for cap in caps(spring)}["advertiser/record"] == rho_within(
        Budget(Epsilon(1.0), Delta(1e-6))
    )


def responding(people: People, name: str, *continued: str, responses: float = 2.0) -> Agreement:
    """A contract of which the advertiser keeps some ε for labels."""
    text = agreed(people, name, *continued).data.decode()
    text = text.replace("delta = 1e-6 }", f"delta = 1e-6, responses = {responses!r} }}")
    assert "responses" in text
    return agree(parse(text.encode()), text.encode(), people.signatures(text))


def test_labels_of_every_contract_add_to_the_sum_that_is_stated(people: People) -> None:
    """Noise adds up in ρ, labels in ε, and both together are (ε of noise + ε of labels, δ)."""
    spring, summer = responding(people, "spring"), responding(people, "summer")
    found = together(summer.contract, "advertiser", {spring.digest: spring.contract}, summer.digest)
    rho = rho_within(Budget(Epsilon(1.0), Delta(1e-6)))
    assert found.epsilon == pytest.approx(epsilon_of(Rho(2 * rho), Delta(1e-6)) + 4.0)
    plain = agreed(people, "plain")
    beside = together(plain.contract, "advertiser", {spring.digest: spring.contract}, plain.digest)
    both = Rho(rho + rho_within(Budget(Epsilon(3.0), Delta(1e-6))))
    assert beside.epsilon == pytest.approx(epsilon_of(both, Delta(1e-6)) + 2.0)


def test_what_was_spent_on_labels_is_carried_and_fits_what_the_next_contract_keeps(people: People) -> None:
    spring = responding(people, "spring")
    spent = {"publisher/record": Rho(0), "advertiser/record": Rho(1), "advertiser/responses": Rho(15 * 10**11)}
    summer = responding(people, "summer", spring.digest)
    (left,) = carried(summer, {spring.digest: Ended(spring, spent, 9, "ab" * 32, summer.digest)})
    assert left.charges["advertiser/responses"] == 15 * 10**11
    for later in (responding(people, "less", spring.digest, responses=1.4), agreed(people, "none", spring.digest)):
        with pytest.raises(NotContinued, match=r"advertiser/responses was spent"):
            carried(later, {spring.digest: Ended(spring, spent, 9, "ab" * 32, later.digest)})


def test_merged_with_a_contract_that_kept_nothing_for_labels_none_is_kept(people: People) -> None:
    """A contract that goes on alone may begin to keep some: its owner signs it."""
    spring, summer = agreed(people, "spring"), responding(people, "summer")
    alone = responding(people, "alone", spring.digest)
    assert carried(alone, {spring.digest: ended(spring, alone)})
    names = (spring.digest, summer.digest)
    merged = responding(people, "merged", *names)
    with pytest.raises(NotContinued, match="accounts of advertiser/responses into one") as refused:
        carried(merged, {each.digest: ended(each, merged) for each in (spring, summer)})
    assert "keep none" in refused.value.remedy
    none = agreed(people, "none", *names, epsilon=1.0)
    assert len(carried(none, {each.digest: ended(each, none) for each in (spring, summer)})) == 2
