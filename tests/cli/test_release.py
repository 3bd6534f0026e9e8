"""How a release is told to its reader."""

from __future__ import annotations

import pytest

from passbox.cli.reports.kinds import report


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
