"""Texts that look like somebody's address or number are counted at home, and never told."""

from __future__ import annotations

import pyarrow as pa
import pytest

from passbox.cleanroom.doubts import personal_doubts
from passbox.cleanroom.personal import personal
from passbox.policies.contract import CategoryColumn, Column, TextColumn

PAGE: Column = TextColumn(kind="text")


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        "Ann Lee <ann.lee@mail.example.co.uk>",
        "https://shop.example/thanks?email=ann@example.com",
        "+44 20 7946 0958",
        "0033 1 23 45 67 89",
        "(415) 555-2671",
        "415-555-2671",
        "ab" * 32,
        "AB" * 16,
        "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
    ],
)
def test_what_looks_like_an_identifier_is_counted(text: str) -> None:
    table = pa.table({"page": pa.array(["news", text, None, text])})
    assert personal(table, {"page": PAGE}) == {"page": 2}


@pytest.mark.parametrize(
    "text",
    [
        "news",
        "https://blog.example/@ann/my-first-post",
        "2027-01-10",
        "2027-01-10 12:30:00",
        "10.0.0.17",
        "0800",
        "1,234,567.89",
        "com.example.app",
        "a1b2c3d4",
        "shop @ home",
    ],
)
def test_what_does_not_is_not(text: str) -> None:
    assert personal(pa.table({"page": [text]}), {"page": PAGE}) == {}


def test_only_text_is_looked_at_for_declared_values_are_everybodys() -> None:
    desk = CategoryColumn(kind="category", values=["help@example.com", "none"])
    assert personal(pa.table({"desk": ["help@example.com"]}), {"desk": desk}) == {}


def test_a_warning_holds_a_count_and_no_value() -> None:
    one, many = personal_doubts({"page": 1, "app": 1_200})
    assert one.startswith("page: 1 row looks like")
    assert many.startswith("app: 1,200 rows look like")
