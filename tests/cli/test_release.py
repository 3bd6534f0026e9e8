"""How a release is told to its reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from passbox.cleanroom.release import listed_at
from passbox.cli.explain import explain
from passbox.cli.receipt import cost, ledger_entries
from passbox.cli.reports.kinds import report
from passbox.dp.budget import DELTA_UNIT, EPSILON_UNIT, RHO_UNIT
from passbox.policies.check import Refused


@pytest.mark.parametrize(("low", "said"), [(-3.0, True), (3.0, False)])
def test_a_count_below_nothing_is_left_as_it_is_and_explained(low: float, said: bool) -> None:
    figure = {"estimate": low + 50, "low": low, "high": low + 100}
    document = {
        "kind": "overlap",
        "id": "overlap-1",
        "purpose": "a test",
        "matched": figure,
        "match_rate": figure,
        "who_learns_what": [],
        "receipt": {"entries": []},
    }
    told = [part for part in report(document) if isinstance(part, str)]
    assert any("a count is not below 0" in part for part in told) is said


@pytest.mark.parametrize(
    ("entries", "ahead", "said"),
    [
        ([2], {}, "ledger entry 2"),
        ([2, 3], {}, "ledger entries 2, 3"),
        ([13, 14], {13: 12}, "ledger entries 12 (the charge, paid ahead), 13, 14"),
        ([13], {13: 12}, "ledger entries 12 (the charge, paid ahead), 13"),
    ],
)
def test_entries_are_told_with_the_one_that_was_charged(entries: list[int], ahead: dict[int, int], said: str) -> None:
    assert ledger_entries(entries, ahead) == said


def test_a_charge_is_told_in_the_unit_of_its_account() -> None:
    charges = [
        {"account": "a/record", "rho": RHO_UNIT // 50},
        {"account": "a/selection", "rho": DELTA_UNIT // 10**6},
        {"account": "a/responses", "rho": EPSILON_UNIT // 2},
    ]
    first = {"sequence": 4, "entry": json.dumps({"charges": charges, "beside": ""})}
    opened = {"l2_squared": 2**40, "scale": 5 * 2**40}
    entry = {"charges": [], "beside": "key", "specification": opened}
    second = {"sequence": 5, "entry": json.dumps(entry), "ahead": 3}
    assert cost([first]) == (
        "cost: ρ 0.02 of a/record (μ 0.2), entry 4; δ 1e-06 of a/selection, entry 4; ε 0.5 of a/responses, entry 4"
    )
    caps = {"a/record": RHO_UNIT // 10, "a/selection": DELTA_UNIT // 10**5, "a/responses": EPSILON_UNIT}
    assert cost([first], caps) == (
        "cost: ρ 0.02 of a/record (20.0% of the cap, μ 0.2), entry 4; "
        "δ 1e-06 of a/selection (10.0% of the cap), entry 4; "
        "ε 0.5 of a/responses (50.0% of the cap), entry 4"
    )
    assert cost([second]) == (
        "cost: ρ 0.02 (μ 0.2) of each account that entry 3 charged, ahead; entry 5 is covered by that"
    )


def test_a_job_for_another_contract_is_told_by_the_word_of_its_file() -> None:
    said = explain(Refused("name", "the job is for winter, this room's contract is spring", "draft it anew"))
    assert said.message.startswith("contract: the job is for winter")


def test_what_an_earlier_version_released_is_listed_without_what_it_did_not_say(tmp_path: Path) -> None:
    path = tmp_path / "overlap-0123456789ab.json"
    path.write_text('{"id": "overlap-0123456789ab", "kind": "overlap", "recipients": ["officer"], "entries": [3]}')
    found = listed_at(path)
    assert (found.job, found.epsilon, found.asked) == (None, None, "")
