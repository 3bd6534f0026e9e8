"""Events at home and at the door: how many rows of a person count, and which."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from passbox.cleanroom.columns import outside, read_columns
from passbox.cleanroom.events import RowsOfPersons, counted
from passbox.cleanroom.measure import rows
from passbox.cleanroom.prepare import Brought, examine
from passbox.dp.grouped import PERSON
from passbox.dp.keys import Bins, Category
from passbox.matching.hashing import Handles
from passbox.policies.contract import Column, DateColumn, FlagColumn, HouseholdColumn
from passbox.policies.jobs.query import Flag

if TYPE_CHECKING:
    from pathlib import Path

    from .campaign_world import CampaignWorld

SECRET = bytes(range(32))
U = np.uint64


def handles(*k: int) -> Handles:
    return Handles(np.array(k, dtype=U), np.array(k, dtype=U) * U(3))


# -- at home -----------------------------------------------------------------------------------------------------------


def test_at_most_so_many_rows_of_a_person_count() -> None:
    found = counted(handles(*[7] * 10_000, 1, 1, 2), 5, SECRET)
    assert len(found.at) == 5 + 3
    assert found.over == 9_995
    assert len(found.first) == 3


def test_which_rows_are_kept_depends_on_the_persons_own_rows_alone() -> None:
    alone = counted(handles(*[7] * 50), 5, SECRET).at
    among = counted(handles(*[9] * 20, *[7] * 50, *[3] * 60), 5, SECRET).at
    assert sorted(at - 20 for at in among.tolist() if 20 <= at < 70) == sorted(alone.tolist())
    assert counted(handles(*[7] * 50), 5, SECRET[::-1]).at.tolist() != alone.tolist()


def test_a_handle_that_shares_its_k_is_left_out() -> None:
    made = Handles(np.array([5, 5, 5], dtype=U), np.array([1, 2, 1], dtype=U))
    assert sorted(counted(made, 9, SECRET).at.tolist()) == [0, 2]


def test_prepare_says_how_many_rows_stayed_at_home(campaign_room: CampaignWorld, tmp_path: Path) -> None:
    """A person with 10,000 rows counts for no more than anybody else."""
    one = {"email": "pb.sample.1@example.com", "day": "2027-01-05", "price": "10", "product": "helmet"}
    many = pl.DataFrame([one] * 10_000 + [one | {"email": f"a{at}@example.com"} for at in range(50)])
    many.write_csv(tmp_path / "purchases.csv")
    report = examine(Brought(tmp_path / "purchases.csv", campaign_room.agreement.contract, "purchases"))
    assert (report.read, report.rows, report.over, report.merged) == (10_050, 60, 9_990, 0)


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("day", "2027-04-01", "out of bounds"),
        ("day", "2027-13-01", "not a day"),
        ("day", "05.01.2027", "not a day"),
        ("price", "-3", "out of bounds"),
        ("price", "1e309", "not finite"),
        ("product", "spaceship", "value not declared"),
    ],
)
def test_rows_out_of_their_domains_stay_at_home(
    campaign_room: CampaignWorld, tmp_path: Path, column: str, cell: str, reason: str
) -> None:
    row = {"email": "a1@example.com", "day": "2027-01-05", "price": "10", "product": "helmet"}
    pl.DataFrame([row, row | {column: cell}]).write_csv(tmp_path / "purchases.csv")
    report = examine(Brought(tmp_path / "purchases.csv", campaign_room.agreement.contract, "purchases"))
    assert report.rejects == {f"{column}: {reason}": 1}
    assert report.rows == 1


def read(column: Column, values: Any, key: bytes = bytes(32)) -> tuple[list[Any], list[bool]]:
    found = read_columns(pa.table({"c": values}), {"c": column}, key=key)
    accepted = found.accepted.tolist()
    assert outside(found.table.filter(pa.array(accepted)), {"c": column}) == ()
    return found.table.column("c").to_pylist(), accepted


def test_a_flag_is_yes_or_no() -> None:
    values, accepted = read(FlagColumn(kind="flag"), ["yes", " TRUE ", "1", "no", "False", "0", "", None, "maybe"])
    assert values[:8] == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, None, None]
    assert accepted == [True] * 8 + [False]


def test_a_day_is_what_a_time_begins_with() -> None:
    column = DateColumn(kind="date", bounds=[date(2027, 1, 1), date(2027, 1, 31)])
    values, accepted = read(
        column, ["2027-01-02", "2027-01-02 23:59:59", "2027-01-02T01:00:00Z", None, "2026-12-31", "x"]
    )
    assert values[:3] == [20820.0] * 3
    assert accepted == [True, True, True, True, False, False]
    assert read(column, [date(2027, 1, 2)])[0] == [20820.0]
    assert read(column, [datetime(2027, 1, 2, 12)])[0] == [20820.0]


def test_a_household_is_a_keyed_number_the_same_for_all() -> None:
    column = HouseholdColumn(kind="household")
    values, _ = read(column, ["10.0.0.1", " 10.0.0.1 ", "10.0.0.2", None], b"k" * 32)
    assert values[0] == values[1] != values[2]
    assert values[3] is None
    assert read(column, ["10.0.0.1"], b"m" * 32)[0] != values[:1]


# -- at the door -------------------------------------------------------------------------------------------------------


def test_rows_are_counted_across_batches() -> None:
    for at_most, fine in ((3, True), (2, False)):
        persons = RowsOfPersons(at_most)
        said = [persons.take(np.array(k, dtype=U), np.array(k, dtype=U)) for k in ([1, 1], [1, 2], [2, 3], [])]
        assert any(said) is not fine


# -- in the room -------------------------------------------------------------------------------------------------------


def test_a_click_without_an_impression_in_its_key_does_not_count() -> None:
    events = pl.DataFrame(
        {
            PERSON: np.array([1, 1, 2, 3, 3], dtype=U),
            "e.event": ["impression", "click", "click", "impression", "click"],
            "e.campaign": ["a", "a", "a", "a", "b"],
        }
    )
    flags = (Flag("seen", "e.event", ("impression",)), Flag("clicks", "e.event", ("click",), within="seen"))
    found = rows.flagged(events, flags, [Category("e.campaign", ("a", "b"))])
    assert found["clicks"].to_list() == [False, True, False, False, False]


def test_days_are_counted_together_in_their_window() -> None:
    events = pl.DataFrame({PERSON: np.array([1, 1, 1, 2], dtype=U), "e.day": [1.0, 2.0, 11.0, 50.0]})
    found = rows.counted(events, [Bins("e.day", (0.0, 10.0, 20.0))], 10).sort("e.day")
    assert found["frequency"].to_list() == [2.0, 1.0]
