from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.dp.budget import Rho
from passbox.dp.canonical import canonical, digest, with_part
from passbox.dp.entry import Charge, Context, Purchase, Specification, commitment_to, hour
from passbox.dp.scale import Scale

SPEC = Specification(
    statistic="matched-count@1",
    datasets={"visitors": "aa", "buyers": "bb"},
    unit="record",
    rule="own-best",
    part="all",
    columns=("age",),
    cells=1,
    bits=0,
    l2_squared=1,
    scale=Scale(2**20),
)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_reading_and_spelling_again_gives_the_same_bytes(value: object) -> None:
    spelled = canonical(value)  # type: ignore[arg-type]
    assert canonical(json.loads(spelled)) == spelled
    assert spelled.isascii()


def test_one_value_has_one_spelling() -> None:
    assert canonical({"b": 1, "a": ["é", None, True]}) == b'{"a":["\\u00e9",null,true],"b":1}'
    assert canonical({"a": (1, 2)}) == canonical({"a": [1, 2]})  # type: ignore[dict-item]


@pytest.mark.parametrize("value", [1.0, float("nan"), [1, [2.5]], {"a": {"b": 0.0}}, {1: "a"}, {"a": [{None: 1}]}])
def test_what_has_several_spellings_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)  # type: ignore[arg-type]


@given(st.text(max_size=20), values)
def test_a_part_that_was_spelled_before_is_put_where_it_belongs(purpose: str, part: object) -> None:
    whole = {"purpose": purpose, "seq": 1, "specification": part, "time": "2027-01-10T12:00Z", "v": 1}
    rest = canonical({name: value for name, value in whole.items() if name != "specification"})  # type: ignore[misc]
    assert with_part(rest, "specification", canonical(part), "time") == canonical(whole)  # type: ignore[arg-type]


def test_a_purpose_that_looks_like_a_part_is_none() -> None:
    rest = canonical({"purpose": 'x","time":"y', "time": "2027-01-10T12:00Z", "v": 1})
    assert json.loads(with_part(rest, "specification", b"{}", "time"))["purpose"] == 'x","time":"y'


def test_a_time_is_kept_to_the_hour_in_utc() -> None:
    assert hour(datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)) == "2026-03-01T23:00Z"
    assert hour(datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))) == "2026-02-28T23:00Z"


def test_the_key_says_what_was_measured_and_nothing_of_who_asked() -> None:
    context = Context("c", "j", "publisher", ("publisher",), "reach")
    other = replace(context, job="k", asker="advertiser", recipients=("advertiser",))
    charge = Charge("advertiser/record", "buyers", Rho(1))
    assert Purchase(SPEC, (charge,), context).key == Purchase(SPEC, (), other, beside="x").key == SPEC.key


@pytest.mark.parametrize(
    "change",
    [
        {"statistic": "matched-count@2"},
        {"datasets": {"visitors": "aa", "buyers": "cc"}},
        {"unit": "household"},
        {"rule": "any"},
        {"part": "train"},
        {"columns": ()},
        {"cells": 2},
        {"bits": 1},
        {"l2_squared": 2},
        {"scale": Scale(2**20 + 1)},
        {"follows": "ab"},
    ],
)
def test_everything_about_the_noise_is_in_the_key(change: dict[str, object]) -> None:
    assert replace(SPEC, **change).key != SPEC.key  # type: ignore[arg-type]


def test_the_key_is_the_digest_of_the_specification_as_logged() -> None:
    assert SPEC.key == digest(json.loads(canonical(SPEC.as_json())))


def test_a_commitment_opens_with_its_nonce_and_its_numbers_only() -> None:
    nonce, numbers = b"n" * 32, np.array([5, -7])
    assert commitment_to(nonce, numbers) == hashlib.sha256(nonce + b"[5,-7]").hexdigest()
    assert commitment_to(b"m" * 32, numbers) != commitment_to(nonce, numbers)
    assert commitment_to(nonce, np.array([5, 7])) != commitment_to(nonce, numbers)
