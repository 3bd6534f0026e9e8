"""What one party sees in its own list: the causes, their shares, and bounds on what mending gives."""

from __future__ import annotations

import base64
import hashlib
from itertools import permutations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.matching.doctor import Cause, Observed, examine, gain, likely, refuted, weighed
from passbox.matching.hashing import MatchKey, SchemeMismatch, handles
from passbox.matching.identifiers import NotText, digests
from passbox.matching.recipes import beside
from passbox.matching.schemes import KINDS, known, load
from passbox.matching.schemes.setting import Setting

SETTING = Setting("US", 24)
PEOPLE = {
    "email": [
        f"{a}{i}{b}@{d}" for i in range(30) for a in ("Jo.", "é") for b in ("", "+x") for d in ("GMail.com", "b.io")
    ],
    "phone": [f"(415) 555-{i:04d}" for i in range(2000, 2040)] + [f"+44 20 7946 {i:04d}" for i in range(20)],
    "idfa": [f"6D92078A-8246-4BA4-AE5B-{i:012X}" for i in range(1, 50)],
    "gaid": [f"97987bca-ae59-4c7d-94ba-{i:012x}" for i in range(1, 50)],
    "maid": [f"97987bca-ae59-4c7d-94ba-{i:012x}" for i in range(1, 50)],
    "android-id": [f"af3802a4{i:08x}" for i in range(1, 50)],
    "ctv": [f"7XCBNROQ{i:05d}" for i in range(50)],
    "ip": [f"81.2.69.{i} 2026-11-29T10:00:00Z" for i in range(50)],
    "first-party": [f"visitor-{i}" for i in range(50)],
}
PAIRS = [
    (kind, one, two)
    for kind in KINDS
    for one, two in permutations([name for name in known() if kind in load(name).rules], 2)
]
KEY = MatchKey(bytes(range(32)))


def column(values: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


def by_name(causes: list[Cause], name: str) -> list[Cause]:
    return [cause for cause in causes if cause.name == name]


@pytest.mark.parametrize(("kind", "one", "two"), PAIRS)
def test_no_pair_of_schemes_ends_in_a_silent_empty_match(kind: str, one: str, two: str) -> None:
    """One list follows `one`, the contract says `two`.

    Raw, both are normalised by the contract's scheme, so that cannot arise. Digests of one scheme are not keyed as
    another. A list that arrives hashed does not show its scheme: of the raw list the doctor names what the two hash
    otherwise, with its share; and where they hash alike there is nothing to name, and everybody matches. Where nobody
    has a raw list, tests/cli/test_doctor.py.
    """
    texts = PEOPLE[kind]
    theirs = digests(column(list(texts)), one, kind, "raw", SETTING)
    ours = digests(column(list(texts)), two, kind, "raw", SETTING)
    assert ours.accepted.all()
    with pytest.raises(SchemeMismatch):
        handles(theirs, KEY, kind, two)
    pairs = zip(theirs.values, ours.values, theirs.accepted, strict=True)
    unlike = sum(not fine or mine.tobytes() != other.tobytes() for mine, other, fine in pairs)
    named = [
        cause
        for cause in by_name(examine(column(list(texts)), two, kind, "raw", SETTING), "scheme")
        if one in cause.what.removeprefix("hashed otherwise by ").split(", ")
    ]
    assert [cause.rows for cause in named] == ([unlike] if unlike else [])


emails = st.lists(st.from_regex(r"[a-zA-Z.+]{1,6}@(gmail|googlemail|b)\.com", fullmatch=True), min_size=1, max_size=30)


@given(emails)
@settings(deadline=None)
def test_what_is_named_is_what_does_not_match_on_any_list(texts: list[str]) -> None:
    for one, two in (("uid2@1", "pair@1"), ("google@1", "uid2@1"), ("google-docs@1", "cm360@1")):
        made = [digests(column(list(texts)), name, "email", "raw") for name in (one, two)]
        unlike = sum(
            mine != 0 and a.tobytes() != b.tobytes()
            for mine, a, b in zip(made[1].accepted, made[0].values, made[1].values, strict=True)
        )
        named = [
            cause.rows
            for cause in by_name(examine(column(list(texts)), two, "email", "raw"), "scheme")
            if one in cause.what.removeprefix("hashed otherwise by ").split(", ")
        ]
        assert sum(named) == unlike


def test_a_list_without_country_codes_names_the_country_code() -> None:
    values: list[str | None] = ["(415) 555-2671"] * 3 + ["+14155552672"]
    (cause,) = by_name(examine(column(values), "uid2@1", "phone", "raw"), "country-code")
    assert (cause.rows, cause.of, cause.certain) == (3, 4, True)
    assert "--country US" in cause.remedy
    assert not by_name(examine(column(values), "uid2@1", "phone", "raw", Setting("US")), "country-code")


def test_gmail_spellings_and_twins_are_counted_apart() -> None:
    values: list[str | None] = ["a.b@gmail.com", "a+b@gmail.com", "ab@gmail.com", "ab@googlemail.com", "a.b@c.io"]
    rows = sorted(cause.rows for cause in by_name(examine(column(values), "uid2@1", "email", "raw"), "gmail"))
    assert rows == [1, 2]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a@b.c", "raw-email-in-hashed-column"),
        ("ab" * 16, "wrong-length"),
        (base64.b64encode(("ab" * 32).encode()).decode(), "base64-of-hex"),
        (hashlib.sha256(hashlib.sha256(b"").hexdigest().encode()).hexdigest(), "hashed-twice"),
    ],
)
def test_an_encoding_that_matches_nobody_is_named(value: str, told: str) -> None:
    good = [hashlib.sha256(bytes([i])).hexdigest() for i in range(9)]
    (cause,) = by_name(examine(column([*good, value]), "uid2@1", "email", "sha256"), "encoding")
    assert (cause.rows, cause.of) == (1, 10)
    assert told in cause.what


def test_mixed_encodings_and_repeats_are_named() -> None:
    hashes = [hashlib.sha256(bytes([i])).hexdigest() for i in range(9)]
    mixed: list[str | None] = [*hashes[:7], hashes[7].upper(), hashes[8].upper()]
    assert [cause.rows for cause in examine(column(mixed), "uid2@1", "email", "sha256")] == [2]
    repeated: list[str | None] = [*hashes, hashes[0], hashes[0]]
    (cause,) = by_name(examine(column(repeated), "uid2@1", "email", "sha256"), "repeats")
    assert cause.rows == 2
    assert gain(cause, None) is None


@given(st.integers(0, 100), st.integers(1, 100), st.floats(0, 1))
def test_mending_never_gives_more_than_all_rows_and_never_less_than_nothing(rows: int, of: int, rate: float) -> None:
    cause = Cause("scheme", "w", min(rows, of), of, "r")
    unseen, seen = gain(cause, None), gain(cause, Observed(0.0, rate / 2, rate))
    assert unseen is not None
    assert seen is not None
    assert 0 <= seen.low <= seen.high <= unseen.high == cause.share


def test_the_bound_holds_where_the_truth_is_known() -> None:
    """60 of 100 rows would match; 20 of the 100, spread evenly, are hashed otherwise: 48 match, and 12 are won."""
    cause = Cause("gmail", "w", 20, 100, "r", certain=False)
    won = gain(cause, Observed(0.48, 0.48, 0.48))
    assert won is not None
    assert won.high == pytest.approx(0.12)


def test_nearly_nobody_matching_is_explained_by_what_concerns_everybody() -> None:
    gmail = Cause("gmail", "w", 40, 100, "r", certain=False)
    twice = Cause("encoding", "w", 100, 100, "r")
    assert likely([gmail, twice], Observed(0.0, 0.001, 0.003)) == [twice]
    assert likely([gmail, twice], Observed(0.5, 0.55, 0.6)) == [gmail]
    assert likely([gmail], Observed(0.0, 0.001, 0.003)) == [gmail]


def test_what_concerns_no_row_explains_no_rate() -> None:
    nothing = Cause("scheme", "w", 0, 100, "r", certain=False, at_most=True)
    assert likely([nothing], Observed(0.5, 0.6, 0.7)) == likely([nothing], Observed(0.0, 0.001, 0.003)) == []


@pytest.mark.parametrize("scheme", ["uid2@1", "plain@1"])
def test_a_list_of_one_and_a_list_of_none_are_looked_at_like_any_other(scheme: str) -> None:
    assert examine(column(["a@b.c"]), scheme, "email", "raw") == []
    assert examine(column([]), scheme, "email", "raw") == []
    (cause,) = examine(column([None]), scheme, "email", "raw")
    assert (cause.name, cause.rows) == ("form", 1)


def test_a_hashed_list_says_that_its_scheme_does_not_show() -> None:
    hashes: list[str | None] = [hashlib.sha256(bytes([i])).hexdigest() for i in range(9)]
    (cause,) = examine(column(hashes), "uid2@1", "email", "sha256")
    assert (cause.name, cause.certain, cause.rows) == ("scheme", False, 9)
    assert "--raw-column" in cause.remedy


def test_every_layout_of_text_is_read_and_other_columns_are_refused() -> None:
    values = column(["a.b@gmail.com", None, "c@b.io"])
    for layout in (values, values.dictionary_encode(), values.cast(pa.string_view()), values.cast(pa.large_string())):
        assert [cause.rows for cause in by_name(examine(layout, "uid2@1", "email", "raw"), "gmail")] == [1]
    with pytest.raises(NotText):
        beside(pa.chunked_array([[1, 2]]), column(["a", "b"]), "email", Setting())


def test_no_cause_holds_a_value() -> None:
    values: list[str | None] = ["canary.7f3a@gmail.com", "canary-7f3a", "canary7f3a@gmаil.com", None]
    told = repr(examine(column(values), "uid2@1", "email", "raw"))
    assert "7f3a" not in told


def test_nothing_is_won_beyond_what_does_not_match_yet() -> None:
    cause = Cause("form", "what", 651, 1_000, "remedy", certain=False)
    observed = Observed(0.86, 0.874, 0.89)
    won = gain(cause, observed)
    assert won is not None
    assert won.high <= 1 - observed.low
    assert refuted(cause, observed)
    assert not refuted(cause, Observed(0.2, 0.3, 0.4))


def test_values_kept_for_tests_are_nobodys_until_an_overlap_rules_that_out() -> None:
    made_up = column([f"jo{i}@{'example.com' if i < 65 else 'b.io'}" for i in range(100)])
    (cause,) = by_name(examine(made_up, "uid2@1", "email", "raw"), "test-values")
    assert (cause.rows, cause.certain, gain(cause, None)) == (65, False, None)
    assert weighed([cause], Observed(0.2, 0.3, 0.34)) == [cause]
    (told,) = weighed([cause], Observed(0.88, 0.9, 0.92))
    assert "some of these do" in told.what
    assert "leave them out" not in told.remedy


def test_names_around_addresses_are_named_before_anything_that_another_scheme_does() -> None:
    exported = column([f"Jo Ek <jo.ek{i}@b.io>" for i in range(90)] + [f"jo{i}@b.io" for i in range(10)])
    causes = examine(exported, "uid2@1", "email", "raw")
    assert (causes[0].label, causes[0].rows, causes[0].certain) == ("form unlikely-address", 90, True)
    assert likely(causes, Observed(0, 0.01, 0.02))[0] is causes[0]
    assert not by_name(causes, "scheme")


def test_causes_of_one_name_are_told_apart() -> None:
    raw = column([*(f"a.{i}+x@{d}" for i in range(9) for d in ("gmail.com", "googlemail.com", "B.io")), "nobody", None])
    labels = [cause.label for cause in examine(raw, "uid2@1", "email", "raw")]
    assert sum(label.startswith("scheme ") for label in labels) > 1
    assert {"form empty", "form not-an-email", "gmail spelling", "gmail googlemail.com"} <= set(labels)
    assert len(set(labels)) == len(labels)
