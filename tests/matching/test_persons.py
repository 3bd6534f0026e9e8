"""Persons are what is joined through any identifier; the same by a loop; a handle stands once in what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.matching.persons import Held, Persons, persons
from passbox.matching.rules import HOUSEHOLD

KINDS = ("email", "phone", "ip")
Row = tuple[int | None, int | None, int | None]


def held(rows: list[Row]) -> list[Held]:
    found = []
    for at, kind in enumerate(KINDS):
        there = [row for row, values in enumerate(rows) if values[at] is not None]
        values = [rows[row][at] for row in there]
        found.append(Held(kind, np.array(there, dtype=np.int64), np.array(values, dtype=np.uint64)))
    return found


def made(rows: list[Row], most: int = 20, repeats: str = "merge", links: list[list[int]] | None = None) -> Persons:
    joined = [np.array(link, dtype=np.int64) for link in links or []]
    return persons(held(rows), joined, len(rows), repeats, most)  # type: ignore[arg-type]


def rows_of(rows: list[Row], found: Persons, kind: str) -> list[int]:
    """The row whose handle each person keeps, -1 for none."""
    row = next(each.row for each in held(rows) if each.kind == kind)
    return [int(row[place]) if place >= 0 else -1 for place in found.place[kind].tolist()]


def spoken_for(rows: list[Row]) -> list[tuple[int, int]]:
    """Rows that are merged, each with the first of its person."""
    return sorted((row, min(group)) for group in by_a_loop(rows) for row in group if row != min(group))


def by_a_loop(rows: list[Row]) -> list[set[int]]:
    """Rows of one person, by joining until nothing is joined any more."""
    groups = [{row} for row in range(len(rows))]
    while True:
        for one in groups:
            for other in groups:
                if one is not other and any(
                    rows[a][at] is not None and rows[a][at] == rows[b][at]
                    for a in one for b in other for at, kind in enumerate(KINDS) if kind not in HOUSEHOLD
                ):  # fmt: skip
                    groups = [group for group in groups if group is not one and group is not other] + [one | other]
                    break
            else:
                continue
            break
        else:
            return groups


def test_merged_rows_know_which_row_speaks_for_them() -> None:
    rows: list[Row] = [(1, None, None), (2, 7, None), (1, 7, None), (3, None, None), (3, None, 5), (2, None, None)]
    found = made(rows)
    assert sorted(zip(found.again.tolist(), found.speaker.tolist(), strict=True)) == spoken_for(rows)
    emails = [Held("email", None, np.array([9, 4, 9, 1, 4, 9], dtype=np.uint64))]
    alone = persons(emails, [], 6, "merge", 20)
    assert sorted(zip(alone.again.tolist(), alone.speaker.tolist(), strict=True)) == [(2, 0), (4, 1), (5, 0)]
    some = [Held("email", np.array([1, 3, 5]), np.array([8, 2, 8], dtype=np.uint64))]
    assert persons(some, [], 6, "merge", 20).again.tolist() == [5]


tables = st.lists(
    st.tuples(*[st.none() | st.integers(0, 4)] * 3).filter(lambda row: any(value is not None for value in row)),
    max_size=10,
)


@settings(max_examples=300, deadline=None)
@given(tables)
def test_persons_are_what_is_joined_through_any_identifier(rows: list[Row]) -> None:
    found, groups = made(rows), by_a_loop(rows)
    firsts = sorted(min(group) for group in groups)
    assert set(found.first) <= set(firsts)
    assert len(found.first) + len(found.bare) == len(groups)
    assert found.merged == len(rows) - len(groups)
    whose = {row: min(group) for group in groups for row in group}
    for at, kind in enumerate(KINDS[:2]):
        for first, row in zip(found.first.tolist(), rows_of(rows, found, kind), strict=True):
            has = [each for each in sorted(whose) if whose[each] == first and rows[each][at] is not None]
            assert row == (has[0] if has else -1)


@settings(max_examples=300, deadline=None)
@given(tables, st.sampled_from(["merge", "drop"]), st.integers(1, 6))
def test_every_row_is_somebody_s_or_counted_and_a_handle_stands_once(rows: list[Row], repeats: str, most: int) -> None:
    found = made(rows, most, repeats)
    assert len(found.first) + found.merged + len(found.crowded) + len(found.bare) == len(rows)
    assert len({*found.first, *found.again, *found.crowded, *found.bare}) == len(rows)
    assert found.first.tolist() == sorted(set(found.first.tolist()))
    for at, kind in enumerate(KINDS):
        kept = [rows[row][at] for row in rows_of(rows, found, kind) if row >= 0]
        assert len(set(kept)) == len(kept)
    assert all(any(found.place[kind][at] >= 0 for kind in KINDS) for at in range(len(found.first)))


def test_people_of_one_household_stay_apart_and_the_first_keeps_its_address() -> None:
    rows: list[Row] = [(1, None, 7), (2, None, 7), (3, None, 8)]
    found = made(rows)
    assert found.first.tolist() == [0, 1, 2]
    assert rows_of(rows, found, "ip") == [0, -1, 2]
    assert found.shared == {"ip": 1}


def test_a_value_of_nobody_s_joins_no_people_nor_makes_a_crowd_of_them() -> None:
    """The telephone that fifteen people typed, each with an e-mail; and a sixteenth row of the first of them."""
    rows: list[Row] = [*((email, 0, None) for email in range(15)), (0, 1, None)]
    email, phone, ip = held(rows)
    typed = replace(phone, nobodys=phone.k == 0)
    found = persons([email, typed, ip], [], len(rows), "merge", 2)
    assert found.first.tolist() == list(range(15))
    assert (found.merged, len(found.crowded), len(found.bare), found.shared) == (1, 0, 0, {"phone": 14})
    assert len(persons([email, phone, ip], [], len(rows), "merge", 2).crowded) == 16


def test_who_has_nothing_but_what_stays_with_another_is_left_out_and_counted() -> None:
    found = made([(None, None, 7), (None, None, 7)])
    assert (found.first.tolist(), found.bare.tolist()) == ([0], [1])


def test_a_telephone_of_a_hundred_people_makes_no_person_of_them() -> None:
    rows: list[Row] = [(email, 0, None) for email in range(100)]
    found = made([*rows, (500, 1, None)], most=20)
    assert (found.first.tolist(), len(found.crowded), found.merged) == ([100], 100, 0)


def test_a_person_on_a_hundred_rows_is_no_crowd() -> None:
    found = made([(1, 2, None)] * 100, most=2)
    assert (found.first.tolist(), len(found.crowded), found.merged) == ([0], 0, 99)


def test_dropped_repeats_leave_rows_apart() -> None:
    """The first row keeps the e-mail; the second has its phone yet, the third nothing."""
    rows: list[Row] = [(1, 2, None), (1, 3, None), (1, None, None)]
    found = made(rows, repeats="drop")
    assert found.first.tolist() == [0, 1]
    assert rows_of(rows, found, "email") == [0, -1]
    assert rows_of(rows, found, "phone") == [0, 1]
    assert (found.bare.tolist(), found.shared) == ([2], {"email": 2})


def test_own_ids_join_too() -> None:
    rows: list[Row] = [(1, None, None), (None, 5, None), (2, None, None)]
    found = made(rows, links=[[10, 10, 11]])
    assert found.first.tolist() == [0, 2]
    assert rows_of(rows, found, "phone") == [1, -1]


def test_a_chain_of_any_length_is_one_person() -> None:
    rows: list[Row] = [(at // 2, (at + 1) // 2 + 1000, None) for at in range(2000)]
    assert made(rows, most=10_000).first.tolist() == [0]
    assert made(rows, most=20).crowded.tolist() == list(range(2000))
