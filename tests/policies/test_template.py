"""The first draft is a contract that parses, whatever text goes into it."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.policies.contract import parse
from passbox.policies.template import Draft, ProposedColumn, draft


def facts(people: Any, **changes: Any) -> Draft:
    raw = tomllib.loads(people.text)
    cards = [{"name": name, **card} for name, card in raw["party"].items()]
    fields: dict[str, Any] = {
        "name": "spring",
        "purpose": "find more people like the buyers",
        "expires": date(2099, 3, 31),
        "parties": cards,
        "room": {key: raw["room"][key] for key in ("operator", "name", "seal", "checkpoint")},
        "kind": "email",
        "scheme": "uid2@1",
        "people": "visitors",
        "seed": "buyers",
        "people_arrives": "raw",
        "seed_arrives": "sha256",
        "people_id": "visitor_id",
        "columns": (ProposedColumn("age", "number", bounds=(0.0, 100.0)),),
        "epsilon": 3.0,
        "people_delta": 1e-8,
        "seed_delta": 1e-6,
        "smallest_seed": 1000,
        "smallest_audience": 5000,
    }
    return Draft(**(fields | changes))


def test_a_draft_parses_and_explains_its_lines(people: Any) -> None:
    text = draft(facts(people))
    assert parse(text.encode()).dataset["visitors"].columns["age"].kind == "number"
    assert text.count("#") >= 12


def test_a_draft_without_columns_or_id_parses(people: Any) -> None:
    assert parse(draft(facts(people, columns=(), people_id="")).encode()).dataset["visitors"].id is None


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_gets_out_of_its_quotes(text: str) -> None:
    from passbox.policies.template import _text

    encodable = text.encode("utf-8", "ignore").decode()
    assert tomllib.loads(f"a = {_text(encodable)}\nb = 1") == {"a": encodable, "b": 1}


@given(st.floats(-1e15, 1e15))
def test_a_bound_keeps_all_its_digits(value: float) -> None:
    from passbox.policies.template import _number

    assert tomllib.loads(f"a = {_number(value)}")["a"] == value
