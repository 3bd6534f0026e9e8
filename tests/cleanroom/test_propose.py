"""A draft of columns that carries no one person's value, and that `contract check` accepts."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.cleanroom import source
from passbox.cleanroom.propose import FEWEST, Proposal, propose
from passbox.cleanroom.source import BadSource
from passbox.policies.contract import NumberColumn
from passbox.policies.mistakes import mistakes

ROWS = 400
EMAIL = ("email", "uid2@1", "raw")


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process of its own unpacks a file first: that is a claim of `test_probe`, and takes longer than all else."""
    monkeypatch.setattr(source, "unpacks", lambda *_: True)


def proposal(tmp_path: Path, **columns: Any) -> Proposal:
    rows = len(next(iter(columns.values())))
    emails = [f"p{n}@example.com" for n in range(rows)]
    path = tmp_path / "visitors.parquet"
    pq.write_table(pa.table({"visitor_id": [f"V{n}" for n in range(rows)], "email": emails, **columns}), path)
    return propose(path, *EMAIL)


def only(found: Proposal) -> Any:
    (column,) = found.columns
    return column


def test_ids_and_identifiers_are_no_columns(tmp_path: Path) -> None:
    found = proposal(tmp_path, region=["north", "south"] * 200)
    assert (found.people, found.id, only(found).values) == (ROWS, "visitor_id", ("north", "south"))


def test_a_category_that_few_rows_hold_is_left_out(tmp_path: Path) -> None:
    rare = ["the queen"] * (FEWEST - 1)
    found = proposal(tmp_path, title=rare + ["dr"] * FEWEST + ["ms"] * 300)
    assert only(found).values == ("dr", "ms")
    assert only(found).note == "1 rarer values left out"


def test_a_set_value_counts_once_a_row(tmp_path: Path) -> None:
    found = proposal(tmp_path, topics=["|".join(["secret"] * 50) + "|cars"] + ["cars|travel"] * 389 + ["cars"] * 10)
    assert only(found).values == ("cars", "travel")


def test_the_longest_set_is_not_one_persons(tmp_path: Path) -> None:
    many = [[f"t{n}" for n in range(20)]] * 9 + [[f"t{n}", "t0"] for n in range(20)] * 20
    assert only(proposal(tmp_path, topics=many)).at_most == 2


def test_one_persons_extreme_does_not_move_the_bounds(tmp_path: Path) -> None:
    ages = [18 + n % 70 for n in range(ROWS - 9)]
    plain = only(proposal(tmp_path, age=[*ages, *[40] * 9])).bounds
    assert plain == (10.0, 100.0)
    assert only(proposal(tmp_path, age=[*ages, *[987_654] * 9])).bounds == (10.0, 100.0)
    assert only(proposal(tmp_path, age=[*ages, *[-987_654] * 9])).bounds == (10.0, 100.0)


LOUD = 1_000
"""Rows of one person among the others."""


def crowded(tmp_path: Path, **loud: Any) -> Proposal:
    """400 people with a row each, among whom one has a thousand rows more. loud: what differs in those rows."""
    plain = {
        "visitor_id": [f"V{n}" for n in range(ROWS)],
        "email": [f"p{n}@example.com" for n in range(ROWS)],
        "region": ["north", "south"] * 200,
        "age": [18.0 + n % 70 for n in range(ROWS)],
        "topics": [["cars", "travel"], ["cars"]] * 200,
    }
    more = {"visitor_id": ["V7"], "email": ["p7@example.com"], "region": ["the queen"], "age": [987_654.0]}
    more |= {"topics": [["secret", "cars", "travel", "pets"]]} | loud
    each = {name: (cells * LOUD)[:LOUD] for name, cells in more.items()}
    path = tmp_path / "visitors.parquet"
    pq.write_table(pa.table({name: plain[name] + each[name] for name in plain}), path)
    return propose(path, *EMAIL)


SPELLINGS = ["p7@example.com", " P7@Example.com", "P7@EXAMPLE.COM "]


@pytest.mark.parametrize(
    "loud",
    [
        {},
        {"visitor_id": [f"W{n}" for n in range(LOUD)]},
        {"visitor_id": [None], "email": SPELLINGS},
        {"email": [f"alias{n}@example.com" for n in range(LOUD)]},
        {"email": [None]},
        {"email": ["not an address"], "visitor_id": [f"W{n}" for n in range(LOUD)]},
    ],
)
def test_one_person_with_a_thousand_rows_is_one_person(loud: dict[str, Any], tmp_path: Path) -> None:
    """By its identifier, however it is spelled, or by its ID."""
    region, age, topics = crowded(tmp_path, **loud).columns
    assert region.values == ("north", "south")
    assert age.bounds == (10.0, 100.0)
    assert (topics.values, topics.at_most) == (("cars", "travel"), 2)


def test_ten_people_with_a_row_each_are_ten(tmp_path: Path) -> None:
    """The same file as above, but for whose rows they are: the test above can fail."""
    loud = {
        name: [form.format(n) for n in range(LOUD)]
        for name, form in (("visitor_id", "W{}"), ("email", "w{}@b.example"))
    }
    region, age, topics = crowded(tmp_path, **loud).columns
    assert "the queen" in region.values
    assert age.bounds[1] > 900_000
    assert "secret" in topics.values


def test_people_are_told_apart_in_a_hashed_column_as_well(tmp_path: Path) -> None:
    digests = [hashlib.sha256(f"p{n}@example.com".encode()).hexdigest() for n in range(40)]
    path = tmp_path / "visitors.parquet"
    cells = ["north", "south"] * 20 + ["the queen"] * 30
    pq.write_table(pa.table({"email": digests + digests[:1] * 30, "region": cells}), path)
    assert only(propose(path, "email", "uid2@1", "sha256")).values == ("north", "south")


def test_without_identifiers_or_ids_nothing_is_proposed(tmp_path: Path) -> None:
    path = tmp_path / "visitors.parquet"
    pq.write_table(pa.table({"mail": ["x"] * 50, "visitor_id": ["V1"] * 50, "region": ["north"] * 50}), path)
    found = propose(path, *EMAIL)
    assert (found.columns, set(found.left_out)) == ((), {"mail", "visitor_id", "region"})


@pytest.mark.parametrize("values", [[0] * 395 + [1, 2, 3, 4, 5], ["5"] * 100, [None] * 50])
def test_what_nobody_shares_or_few_differ_in_gives_no_bounds(values: list[Any], tmp_path: Path) -> None:
    for column in proposal(tmp_path, income=values).columns:
        assert column.kind == "category"


@pytest.mark.parametrize(
    "values", [["info@company.example"] * 200, ["ab" * 32] * 200, [f"0{n % 3}" * 16 for n in range(200)]]
)
def test_a_column_of_addresses_or_hashes_is_never_proposed(values: list[str], tmp_path: Path) -> None:
    found = proposal(tmp_path, contact=values)
    assert found.columns == ()
    assert "stay at home" in found.left_out["contact"]


def test_columns_that_cannot_stand_in_a_contract_are_left_out_with_the_reason(tmp_path: Path) -> None:
    common = ["x", "y"] * 100
    found = proposal(tmp_path, Age=common, token=common, k=common, blob=pa.array([b"x"] * 200), nested=[{"a": 1}] * 200)
    assert found.columns == ()
    assert set(found.left_out) == {"Age", "token", "k", "blob", "nested"}
    assert "rename" in found.left_out["Age"]


SAME = {
    "one value for all": ["north"] * ROWS,
    "one number for all": [7] * ROWS,
    "one set for all": [["cars", "travel"]] * ROWS,
    "nine who lack it": ["north"] * (ROWS - FEWEST + 1) + [None] * (FEWEST - 1),
    "nine of another value, which is not proposed": ["no"] * (ROWS - FEWEST + 1) + ["yes"] * (FEWEST - 1),
    "nine who hold less": [["cars", "travel"]] * (ROWS - FEWEST + 1) + [["cars"]] * (FEWEST - 1),
}
DIFFER = {
    "ten who lack it": ["north"] * (ROWS - FEWEST) + [None] * FEWEST,
    "ten of another value": ["no"] * (ROWS - FEWEST) + ["yes"] * FEWEST,
    "ten who hold less": [["cars", "travel"]] * (ROWS - FEWEST) + [["cars"]] * FEWEST,
}


@pytest.mark.parametrize("values", SAME.values(), ids=SAME)
def test_a_column_in_which_few_people_differ_is_left_out(values: list[Any], tmp_path: Path) -> None:
    found = proposal(tmp_path, held=values)
    assert found.columns == ()
    assert found.left_out == {"held": "fewer than 10 people differ in it, so a model would learn nothing there"}


@pytest.mark.parametrize("values", DIFFER.values(), ids=DIFFER)
def test_a_column_in_which_ten_people_differ_is_proposed(values: list[Any], tmp_path: Path) -> None:
    assert only(proposal(tmp_path, held=values)).name == "held"


def test_values_a_contract_would_refuse_are_left_out(tmp_path: Path) -> None:
    assert only(proposal(tmp_path, region=["north", "\x1b[2Jsouth", "a\u202eb", "  "] * 100)).values == ("north",)


def test_a_file_without_a_header_proposes_nothing_of_its_first_person(tmp_path: Path) -> None:
    path = tmp_path / "visitors.csv"
    path.write_text("anna,anna@example.com,34\n" * 50)
    with pytest.raises(BadSource) as caught:
        propose(path, *EMAIL)
    assert "anna" not in str(caught.value.rule)


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(
        st.floats() | st.integers(-(10**20), 10**20).map(float) | st.floats(-1e3, 1e3), min_size=20, max_size=60
    )
)
def test_proposed_bounds_are_always_ones_a_contract_takes(values: list[float], tmp_path: Path) -> None:
    for column in proposal(tmp_path, amount=values).columns:
        if column.bounds is None:
            continue
        declared = {"kind": "number", "bounds": list(column.bounds)}
        assert NumberColumn.model_validate(declared)
        assert mistakes({"dataset": {"d": {"columns": {"amount": declared}}}}) == []
        finite = sorted(value for value in values if abs(value) < float("inf"))
        assert column.bounds[0] <= finite[FEWEST - 1]
        assert finite[-FEWEST] <= column.bounds[1]


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.text(max_size=6), min_size=1, max_size=30))
def test_no_text_is_a_crash_and_no_rare_value_is_proposed(values: list[str], tmp_path: Path) -> None:
    texts = [value.encode("utf-8", "ignore").decode().replace("\0", "") for value in values]
    path = tmp_path / "visitors.csv"
    pcsv.write_csv(pa.table({"email": [f"a{n}@b.example" for n in range(len(texts))], "note": texts}), path)
    held = [{text.strip(), *(part.strip() for part in text.split("|"))} for text in texts]
    for column in propose(path, *EMAIL).columns:
        for value in column.values:
            assert sum(value in row for row in held) >= FEWEST


def test_the_draft_of_real_looking_people_holds_no_rare_value(signed: Any, tmp_path: Path) -> None:
    """Every text and number of the draft's columns is held by ten rows, or is a bound rounded outwards."""
    from datetime import date

    from passbox.cleanroom.draft import Wishes, draft_contract

    rows: dict[str, list[str]] = {
        "visitor_id": [f"own~{n}" for n in range(ROWS)],
        "email": [f"p{n}@example.com" for n in range(ROWS)],
        "age": [str(18 + n % 70) for n in range(ROWS - 1)] + ["987654321"],
        "region": ["north", "south"] * 199 + ["atlantis", "eldorado"],
        "topics": ["cars|travel", "cars"] * 199 + ["falconry|cars"] * 2,
    }
    path = tmp_path / "visitors.csv"
    pcsv.write_csv(pa.table(rows), path)
    wishes = Wishes(
        "spring",
        "find more people",
        date(2099, 1, 1),
        "visitors",
        "buyers",
        "email",
        "uid2@1",
        "raw",
        "raw",
        3.0,
        10,
        10,
    )
    cards = [signed.folder / f"{name}.party.toml" for name in ("publisher", "advertiser", "officer", "host")]
    drafted = draft_contract(cards, signed.folder / "host.room.toml", wishes, path, date(2027, 1, 1))
    for rare in ("987654321", "atlantis", "eldorado", "falconry", "p1@", "own~"):
        assert rare not in drafted.text
    columns = tomllib.loads(drafted.text)["dataset"]["visitors"]["columns"]
    assert columns["age"]["bounds"] == [10, 100]
    assert (columns["region"]["values"], columns["topics"]["values"]) == (["north", "south"], ["cars", "travel"])


@pytest.mark.parametrize("form", ["+1415{:07d}", "1415{:07d}", "{:08d}0"])
def test_numbers_that_tell_people_apart_are_no_columns(form: str, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    rows = [f"p{at}@example.org,{form.format(2_000_000 + 7 * at)},{20 + at % 50}" for at in range(400)]
    path.write_text("email,phone,age\n" + "\n".join(rows) + "\n")
    found = propose(path, "email", "uid2@1", "raw")
    assert [column.name for column in found.columns] == ["age"]
    assert "stay at home" in found.left_out["phone"]
