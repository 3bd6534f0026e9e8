"""What people type is checked before anything is opened."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from passbox.cleanroom.samples.generated import SampleSizeError
from passbox.cli.words import (
    NoRole,
    arrives,
    asked_epsilon,
    audience_path,
    bundle_path,
    day,
    demo_epsilon,
    demo_sizes,
    pair,
    pairs,
    plain_name,
    room_name,
    share,
)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("250", 250), ("1%", 0.01), ("0.5%", 0.005), ("99%", 0.99)])
def test_a_count_or_a_share(text: str, value: float) -> None:
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "%", "-1", "-1%", "100%", "nan", "inf", "1e400", "many", "1%%", "1e13"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(NoRole):
        share(text)


@pytest.mark.parametrize("text", ["100%", "250%"])
def test_a_share_of_everything_or_more_is_told_where_shares_end(text: str) -> None:
    with pytest.raises(NoRole, match="a share lies below 100%"):
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


@pytest.mark.parametrize("value", [0, -1, 64.1, float("nan"), float("inf")])
def test_an_epsilon_no_job_may_have(value: float) -> None:
    assert asked_epsilon(64) == 64
    with pytest.raises(NoRole):
        asked_epsilon(value)
    with pytest.raises(NoRole):
        demo_epsilon(value)


def test_the_sizes_of_a_demo() -> None:
    assert demo_sizes(None, None, real=False) == (200_000, 5_000)
    assert demo_sizes(1_000, 200, real=False) == (1_000, 200)
    for people, seeds in ((999, 10), (1_000, 201), (1_000, 9), (10_000_001, 10), (0, 0)):
        with pytest.raises(SampleSizeError):
            demo_sizes(people, seeds, real=False)
    with pytest.raises(NoRole, match="δ"):
        demo_sizes(10_000_000, 1_000_001, real=False)
    for people, seeds in ((1_000, None), (None, 10), (0, None)):
        with pytest.raises(NoRole, match="real"):
            demo_sizes(people, seeds, real=True)


def test_days_and_arrivals() -> None:
    assert day("2027-03-31") == date(2027, 3, 31)
    assert arrives("raw") == "raw"
    for wrong in ("", "tomorrow", "31.3.2027"):
        with pytest.raises(NoRole):
            day(wrong)
        with pytest.raises(NoRole):
            arrives(wrong)


def test_an_audience_is_csv_or_parquet_and_tokens_have_a_name_of_their_own() -> None:
    release = Path("lookalike-1.release")
    assert audience_path(None, release, tokens=True) == Path("lookalike-1.tokens.csv")
    assert audience_path(None, release, tokens=False) == Path("lookalike-1.csv")
    assert audience_path(Path("a.parquet"), release, tokens=False) == Path("a.parquet")
    for wrong in ("a.xlsx", "a", "a.csv.gz"):
        with pytest.raises(NoRole):
            audience_path(Path(wrong), release, tokens=False)


def test_a_bundle_never_takes_the_place_of_what_stays() -> None:
    assert bundle_path(None, "visitors") == Path("visitors.bundle")
    for wrong in ("visitors.ids", "buyers.made"):
        with pytest.raises(NoRole):
            bundle_path(Path(wrong), "visitors")
