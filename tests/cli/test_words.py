"""What people type is checked before anything is opened."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from passbox.cli.words import NoRole, arrives, bundle_path, day, pair, pairs, plain_name, room_name, share


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("250", 250), ("1%", 0.01), ("0.5%", 0.005), ("99%", 0.99)])
def test_a_count_or_a_share(text: str, value: float) -> None:
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "%", "-1", "-1%", "100%", "nan", "inf", "1e400", "many", "1%%", "1e13"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(NoRole):
        share(text)


@pytest.mark.parametrize("text", ["", "A", "a b", "a\n", "../a", "1a", "a" * 41, "a\u202e"])
def test_names_are_plain(text: str) -> None:
    with pytest.raises(NoRole):
        plain_name(text)
    with pytest.raises(NoRole):
        room_name(f"{text} ")


def test_pairs_are_read_and_others_refused() -> None:
    assert pairs(["email=E=Mail"], "a=b") == {"email": "E=Mail"}
    assert pair("email=uid2@1", "a=b") == ("email", "uid2@1")
    for wrong in (["email"], ["=x"], ["email="], ["a=b", "a=c"]):
        with pytest.raises(NoRole):
            pairs(wrong, "a=b")


def test_days_and_arrivals() -> None:
    assert day("2027-03-31") == date(2027, 3, 31)
    assert arrives("raw") == "raw"
    for wrong in ("", "tomorrow", "31.3.2027"):
        with pytest.raises(NoRole):
            day(wrong)
        with pytest.raises(NoRole):
            arrives(wrong)


def test_a_bundle_never_takes_the_place_of_what_stays() -> None:
    assert bundle_path(None, "visitors") == Path("visitors.bundle")
    for wrong in ("visitors.ids", "buyers.made"):
        with pytest.raises(NoRole):
            bundle_path(Path(wrong), "visitors")
