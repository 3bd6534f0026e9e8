"""How a release is told to its reader."""

from __future__ import annotations

import pytest

from passbox.cli.explain import explain
from passbox.cli.receipt import ledger_entries
from passbox.cli.reports.kinds import report
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


def test_a_job_for_another_contract_is_told_by_the_word_of_its_file() -> None:
    said = explain(Refused("name", "the job is for winter, this room's contract is spring", "draft it anew"))
    assert said.message.startswith("contract: the job is for winter")
