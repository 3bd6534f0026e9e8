"""A number that bounds may have cut is marked, and public rows say closer what may be missing of it."""

from __future__ import annotations

from typing import Any

import pytest

from passbox.cli.reports import cuts, tables
from passbox.cli.show import Table, covered

EXPOSURES = {
    "cost": {"kind": "number", "bounds": [0, 2]},
    "campaign": {"kind": "category", "values": ["spring"]},
    "seen": {"kind": "set", "values": ["a", "b"], "at_most": 2},
}


def column(name: str, value: float, low: float, high: float, covers: str = "noise") -> dict[str, Any]:
    return {"name": name, "estimate": [value], "low": [low], "high": [high], "covers": covers}


def document(missing: float = 4_000, **asked: Any) -> dict[str, Any]:
    """1,000 rows, of which 900 surely count."""
    numbers = [column("impressions", 950, 900, 1_000), column("clicks", 90, 80, 100), column("spend", 70, 60, 80)]
    most, covers = {"impressions": missing, "spend": 2 * missing}, "noise, of the most that may be missing"
    missed = [column(f"{name} missing at most", each, each / 2, each * 2, covers) for name, each in most.items()]
    numbers.append(column("ctr", 0.1, 0.05, 0.2))
    return {
        "kind": "campaign",
        "asked": {"dataset": "exposures", "by": ["campaign"], "spend": "cost", "clicks": "clicked"} | asked,
        "declared": {"dataset": {"exposures": {"columns": EXPOSURES}}},
        "rows": {"exposures": 1_000},
        "notes": [],
        "tables": [
            {
                "name": "in all",
                "by": [],
                "keys": [[]],
                "columns": [*numbers, column("ctr", 0.1, 0.05, 0.2)],
                "hidden": 0,
            },
            {
                "name": "cut by bounds (events)",
                "by": [],
                "keys": [[]],
                "columns": [column("people cut", 5, 3, 7), *missed],
                "hidden": 0,
            },
        ],
    }


def rows(found: dict[str, Any]) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for part in tables.parts(found) if isinstance(part, Table) for row in part.rows}


def test_numbers_that_bounds_may_have_cut_are_marked_and_what_is_made_of_them() -> None:
    """Clicks have no bound that cuts, and ctr is made of impressions."""
    found = document()
    assert {"impressions *", "clicks", "spend *", "ctr *"} < set(rows(found))
    assert cuts.MARKED in tables.parts(found)


def test_where_nothing_was_cut_nothing_is_marked() -> None:
    found = document(missing=0)
    assert "impressions" in rows(found)
    assert cuts.MARKED not in tables.parts(found)


def test_where_nobody_is_told_how_much_was_cut_numbers_are_marked() -> None:
    found = document()
    hidden = found["tables"][1]
    hidden |= {"keys": [], "columns": [{**each, "estimate": [], "low": [], "high": []} for each in hidden["columns"]]}
    assert "impressions *" in rows(found)


def test_no_more_is_missing_than_public_rows_leave() -> None:
    """Of 1,000 rows 900 surely count; a row costs 2 at most, and 60 of that are counted."""
    said = rows(document())
    assert said["impressions missing at most"] == "100  [100, 100]"
    assert said["spend missing at most"] == "1,940  [1,940, 1,940]"
    assert cuts.PUBLIC in tables.parts(document())
    assert rows(document(missing=40))["impressions missing at most"] == "40  [20, 80]"
    assert cuts.PUBLIC not in tables.parts(document(missing=40))


def test_rows_that_count_under_several_keys_bound_nothing() -> None:
    assert rows(document(by=["exposures.seen"]))["impressions missing at most"] == "4,000  [2,000, 8,000]"


def test_what_a_reader_recomputes_is_not_touched() -> None:
    found = document()
    tables.parts(found)
    assert found == document()


@pytest.mark.parametrize(
    ("covers", "said"),
    [
        (["noise", "noise"], "noise"),
        (["noise; made to add up", "noise"], "noise; some made to add up"),
        (["noise", "noise, of the most that may be missing"], "noise; some of the most that may be missing"),
        (["noise; made to add up"], "noise; made to add up"),
        (["", "noise and sampling"], "noise and sampling"),
        (["sums", "noise"], "sums, noise"),
        ([], ""),
    ],
)
def test_what_several_intervals_cover_is_one_phrase(covers: list[str], said: str) -> None:
    assert covered(covers) == said
