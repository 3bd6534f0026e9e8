"""How hashes were made: told from raw values beside them, or from a few values that are known to be among them."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from itertools import chain, product

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.matching.doctor import Observed, misfits, refuted, standing_otherwise
from passbox.matching.identifiers import digests, normalise
from passbox.matching.recipes import LAYERS, ONCE, Made, beside, standing
from passbox.matching.schemes import known, load
from passbox.matching.schemes.setting import Setting
from passbox.matching.specimens import unlike

NOTHING = Setting()
NAMES = [name for name in known() if "email" in load(name).rules]
IDS = ["6d92078a-8246-4ba4-ae5b-76104861e7dc", "6D92078A-8246-4BA4-AE5B-76104861E7DC"]
EMAILS = [f"P.{at}+x@{domain}" for at in range(20) for domain in ("gmail.com", "googlemail.com", "b.io")]


def column(values: Sequence[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


def hashed(values: Sequence[str], scheme: str, layers: str = ONCE, kind: str = "email") -> list[str]:
    made = [row.tobytes() for row in digests(column(values), scheme, kind, "raw").values]
    return [made_of.hex() if layers == ONCE else sha256(LAYERS[layers](made_of)) for made_of in made]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def salted(values: Sequence[str]) -> list[str]:
    return [sha256(b"salt" + value.lower().encode()) for value in values]


@pytest.mark.parametrize("layers", [ONCE, *LAYERS])
@pytest.mark.parametrize("scheme", ["uid2@1", "google-docs@1"])
def test_raw_values_beside_hashes_tell_how_they_were_made(layers: str, scheme: str) -> None:
    made = beside(column(EMAILS), column(hashed(EMAILS, scheme, layers)), "email", NOTHING)
    best = made.recipes("meta@1")[0]
    assert (best.scheme, best.layers, best.share) == (scheme, layers, 1.0)


def test_what_a_list_of_two_conventions_loses_is_what_the_agreed_one_does_not_explain() -> None:
    """Though the agreed one explains most of it."""
    gmail = [each for each in EMAILS if "@gmail" in each]
    made = beside(
        column(gmail), column([*hashed(gmail[:14], "uid2@1"), *hashed(gmail[14:], "pair@1")]), "email", NOTHING
    )
    (cause,) = misfits(made, "uid2@1", 20)
    assert (cause.name, cause.rows, cause.of, cause.certain) == ("scheme", 6, 20, True)
    assert "70.0% fit uid2@1" in cause.what
    assert "pair@1" in cause.what


def test_each_way_in_which_a_list_was_hashed_is_told_apart_and_they_add_up() -> None:
    gmail = [each for each in EMAILS if "@gmail" in each]
    twice = "twice, the second time of its hex"
    parts = [hashed(gmail[:8], "uid2@1"), hashed(gmail[8:13], "uid2@1", twice), hashed(gmail[13:17], "cm360@1")]
    made = beside(column(gmail), column([*chain.from_iterable(parts), *salted(gmail[17:])]), "email", NOTHING)
    causes = misfits(made, "uid2@1", 20)
    assert [(each.name, each.rows) for each in causes] == [("encoding", 5), ("scheme", 4), ("no-scheme", 3)]
    assert sum(each.rows for each in causes) == 20 - made.explained("uid2@1")
    assert twice in causes[0].what
    assert "uid2@1" in causes[0].what
    assert causes[1].detail == "cm360@1"
    assert len({each.label for each in causes}) == 3


def test_hashes_that_nothing_explains_fit_no_scheme() -> None:
    for hashes in (salted(EMAILS), [*hashed(EMAILS[1:], "uid2@1"), sha256(b"somebody else")]):
        made = beside(column(EMAILS), column(hashes), "email", NOTHING)
        (cause,) = misfits(made, "uid2@1", 1000)
        assert (cause.name, cause.share) == ("no-scheme", 1.0)
        assert [(each.scheme, each.share) for each in made.recipes("uid2@1")] == [("uid2@1", 0.0)]


def test_a_list_that_was_made_as_agreed_loses_nothing() -> None:
    made = beside(column(EMAILS), column(hashed(EMAILS, "uid2@1")), "email", NOTHING)
    assert misfits(made, "uid2@1", 60) == []
    assert (
        standing_otherwise(standing(EMAILS, column(hashed(EMAILS, "uid2@1")), "email", NOTHING), "uid2@1", "email", 60)
        == []
    )


def test_rows_without_either_value_are_passed_over_and_count_as_rows() -> None:
    """Half of the rows hold both; one of these in three fits nothing, which is one row in six."""
    hashes = [*hashed(EMAILS[:20], "uid2@1"), *salted(EMAILS[20:30])]
    raw: list[str | None] = [*EMAILS[:30], *[None] * 30]
    made = beside(column(raw), column([*hashes, *salted(EMAILS[30:])]), "email", NOTHING)
    assert (len(made.fits), made.of) == (30, 60)
    (cause,) = misfits(made, "uid2@1", 600)
    assert (cause.rows, cause.of) == (100, 600)


@pytest.mark.parametrize("every", [2, 3, 7])
def test_a_long_list_that_alternates_is_seen_as_it_is(every: int) -> None:
    """Only some rows are looked at, never all of one sort."""
    values = [f"p.{at}@gmail.com" for at in range(40_000)]
    fine, other = (hashed(values, scheme) for scheme in ("uid2@1", "pair@1"))
    mixed = [fine[at] if at % every else other[at] for at in range(len(values))]
    made = beside(column(values), column(mixed), "email", NOTHING)
    (cause,) = misfits(made, "uid2@1", len(values))
    assert len(made.fits) < len(values) / 5
    assert cause.share == pytest.approx(1 / every, rel=0.05)


def test_columns_that_hold_nothing_together_say_so() -> None:
    made = beside(column([None, "a@b.c"]), column([sha256(b"x"), None]), "email", NOTHING)
    assert made.recipes("uid2@1") == []
    (cause,) = misfits(made, "uid2@1", 2)
    assert (cause.certain, "no row holds both" in cause.what) == (False, True)


def test_the_agreed_recipe_is_always_among_those_shown_and_the_first_of_those_alike() -> None:
    made = beside(column(EMAILS), column(hashed(EMAILS, "pair@1")), "email", NOTHING)
    assert made.recipes("x@1")[0].scheme == "x@1"
    assert ("uid2@1", ONCE) in {(each.scheme, each.layers) for each in made.recipes("uid2@1")}


fits = st.frozensets(
    st.tuples(st.sampled_from(["", "a@1", "b@1", "c@1"]), st.sampled_from([ONCE, *LAYERS])), max_size=4
)


@given(st.lists(fits, max_size=30))
def test_parts_and_what_the_agreed_recipe_explains_are_all_of_the_values(
    every: list[frozenset[tuple[str, str]]],
) -> None:
    made = Made(tuple(every), len(every))
    parts = made.parts("a@1")
    assert made.explained("a@1") + sum(each.values for each in parts) == len(every)
    assert all(("a@1", ONCE) not in each.fits for each in parts)
    assert all(each.values for each in parts)
    assert [not each.fits for each in parts[:-1]] == [False] * len(parts[:-1])


# -- values that are known to be on the list ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write", [str, str.upper, lambda text: b64encode(bytes.fromhex(text)).decode(), " {}\t".format]
)
def test_a_known_value_is_found_however_its_hash_is_written(write: object) -> None:
    assert callable(write)
    made = standing(["P.3+x@gmail.com"], column([write(each) for each in hashed(EMAILS, "uid2@1")]), "email", NOTHING)
    assert made.explained("uid2@1") == 1


def test_a_known_value_shows_another_scheme_and_a_second_hash() -> None:
    values = ["P.3+x@gmail.com", "P.4+x@gmail.com"]
    twice = "twice, the second time of its bytes"
    for scheme, layers, name in (("pair@1", ONCE, "scheme"), ("uid2@1", twice, "encoding")):
        made = standing(values, column(hashed(EMAILS, scheme, layers)), "email", NOTHING)
        (cause,) = standing_otherwise(made, "uid2@1", "email", 60)
        assert (cause.name, cause.rows, cause.certain) == (name, 60, True)
        assert scheme in cause.what
        assert "P.3" not in repr(cause)
        assert not refuted(cause, Observed(0.3, 0.3, 0.3)), "how many rows were made so does not show"


def test_known_values_that_two_schemes_hash_alike_do_not_decide_between_them() -> None:
    made = standing(["jo@b.io"], column(hashed(["jo@b.io", "an@b.io"], "pair@1")), "email", NOTHING)
    (cause,) = standing_otherwise(made, "uid2@1", "email", 2)
    assert (cause.certain, cause.rows) == (False, 0)
    assert "cm360@1" in cause.what
    assert "try a value like" in cause.remedy


def test_values_that_stand_nowhere_are_no_proof_of_a_scheme() -> None:
    made = standing(["jo@b.io"], column(salted(["jo@b.io"])), "email", NOTHING)
    (cause,) = standing_otherwise(made, "uid2@1", "email", 1)
    assert (cause.name, cause.certain) == ("no-scheme", False)


mailboxes = st.text(st.sampled_from("aBÉ.+ "), min_size=1, max_size=8)


@given(mailboxes, st.sampled_from(["gmail.com", "GoogleMail.com", "b.io"]))
def test_schemes_that_hash_any_address_otherwise_part_on_a_specimen(mailbox: str, domain: str) -> None:
    """So a list of hashes is never told of fewer schemes than it may have been made by."""
    address = f"{mailbox}@{domain}"
    for one in NAMES:
        named = {name for each in unlike(one, "email") for name in each.schemes}
        mine = normalise(one, "email", address)
        differ = {two for two in NAMES if isinstance(mine, str) and normalise(two, "email", address) != mine}
        assert differ <= named


@pytest.mark.parametrize(
    ("kind", "values"), [("phone", ["+4420 7946 0958", "+39 06 1234567"]), ("idfa", IDS), ("gaid", IDS)]
)
def test_so_do_schemes_of_other_kinds(kind: str, values: list[str]) -> None:
    names = [name for name in known() if kind in load(name).rules]
    for one, value in product(names, values):
        same = [name for name in names if load(name).rule(kind).hash == load(one).rule(kind).hash]
        named = {name for each in unlike(one, kind) for name in each.schemes}
        mine = normalise(one, kind, value)
        assert {two for two in same if isinstance(mine, str) and normalise(two, kind, value) != mine} <= named


def test_a_specimen_shows_the_plus_of_a_number() -> None:
    (each,) = (each for each in unlike("uid2@1", "phone") if "meta@1" in each.schemes)
    assert (each.mine, each.written) == ("+14155550132", "14155550132")
