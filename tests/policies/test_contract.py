"""A contract parses, or every mistake in it is named at once."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.dp.accounting import rho_within
from passbox.dp.budget import Budget, Delta, Epsilon
from passbox.dp.note import NoteKey
from passbox.policies.accounts import caps_of
from passbox.policies.contract import InvalidContract, Problem, is_plain, parse
from passbox.policies.mistakes import mistakes

Changed = Callable[..., str]


def problems(text: str, today: date | None = None) -> list[Problem]:
    with pytest.raises(InvalidContract) as caught:
        parse(text.encode(), today)
    return list(caught.value.problems)


def test_the_contract_of_the_design_parses_as_written(people: Any) -> None:
    contract = parse(people.text.encode())
    assert contract.room.cosign is not None
    assert (contract.room.cosign.by, contract.room.cosign.ahead, contract.room.cosign.need) == (["officer"], 0.25, 1)
    assert (contract.kind, contract.scheme) == ("email", "uid2@1")
    assert contract.data_parties == ("advertiser", "publisher")
    assert not contract.operator_owns_data()


# what is replaced, by what, where the mistake is, a word of its rule
MISTAKES: dict[str, tuple[str, str, str, str]] = {
    "unknown key": ("version = 1", "version = 1\ncolour = 2", "colour", "not known"),
    "unknown key in a table": ("[match]", "[match]\nsalt = 1", "match.salt", "not known"),
    "missing key": ('purpose = "find more people like the buyers"', "", "purpose", "missing"),
    "another version": ("version = 1", "version = 2", "version", "1"),
    "a number as text": ("version = 1", 'version = "1"', "version", "1"),
    "text as a number": ('name = "spring-lookalike"', "name = 7", "name", "text"),
    "a list as a number": ('ask = ["publisher"]', "ask = 5", "rules.allow.0.ask", "list"),
    "a day as text": ("2099-03-31", '"2099-03-31"', "expires", "day"),
    "a moment for a day": ("2099-03-31", "2099-03-31T10:00:00Z", "expires", ""),
    "a name with capitals": ('"spring-lookalike"', '"Spring"', "name", "not allowed"),
    "a name with a line break": ('"spring-lookalike"', '"spring\\n"', "name", "not allowed"),
    "a purpose that clears the screen": ("like the buyers", "\\u001b[2J", "purpose", "invisible"),
    "a purpose that turns the text": ("like the buyers", "\\u202Esreyub", "purpose", "invisible"),
    "a purpose with an isolate": ("like the buyers", "\\u2066x", "purpose", "invisible"),
    "a purpose with a zero width space": ("like the buyers", "a\\u200Bb", "purpose", "invisible"),
    "a purpose with a byte order mark": ("like the buyers", "a\\uFEFFb", "purpose", "invisible"),
    "a purpose with a tag character": ("like the buyers", "a\\U000E0041b", "purpose", "invisible"),
    "a purpose with a line separator": ("like the buyers", "a\\u2028b", "purpose", "invisible"),
    "an empty purpose": ("find more people like the buyers", "", "purpose", "1 to 300"),
    "a long purpose": ("like the buyers", "x" * 400, "purpose", "1 to 300"),
    "an operator nobody knows": ('operator = "host"', 'operator = "ghost"', "room.operator", "no party"),
    "an owner nobody knows": ('owner = "publisher"', 'owner = "ghost"', "dataset.visitors.owner", "no party"),
    "a reader nobody knows": (
        'recipients = ["publisher", "advertiser"]',
        'recipients = ["ghost"]',
        "rules.allow.1.recipients",
        "no party",
    ),
    "a cosigner nobody knows": ('by = ["officer"]', 'by = ["ghost"]', "room.cosign.by", "no party"),
    "an operator that cosigns": ('by = ["officer"]', 'by = ["host"]', "room.cosign.by", "witness"),
    "too many cosigners needed": ("ahead = 0.25", "ahead = 0.25, need = 2", "room.cosign.need", "more than"),
    "all ahead": ("ahead = 0.25", "ahead = 1.25", "room.cosign.ahead", "less than or equal to 1"),
    "NaN ahead": ("ahead = 0.25", "ahead = nan", "room.cosign.ahead", "finite"),
    "a role nobody has": ('role = "officer"', 'role = "king"', "party.officer.role", "publisher"),
    "a room name with spaces": ('name = "rooms.example/spring"', 'name = "a b"', "room.name", "not allowed"),
    "no scheme": ('scheme.email = "uid2@1"', "scheme = {}", "match.scheme.email", "no scheme"),
    "a scheme nobody published": ("uid2@1", "uid2@9", "match.scheme.email", "no such scheme"),
    "a scheme of another kind": (
        'scheme.email = "uid2@1"',
        'scheme.email = "uid2@1"\nscheme.phone = "uid2@1"',
        "match.scheme.phone",
        "does not name",
    ),
    "an identifier that is not matched on": (
        'identifiers.email = "raw" ',
        'identifiers.email = "raw"\nidentifiers.phone = "raw" ',
        "dataset.visitors.identifiers.phone",
        "not matched",
    ),
    "no identifier": (
        'identifiers.email = "sha256"',
        "identifiers = {}",
        "dataset.buyers.identifiers",
        "does not carry",
    ),
    "another arrival": (
        'identifiers.email = "sha256"',
        'identifiers.email = "md5"',
        "dataset.buyers.identifiers.email",
        "raw",
    ),
    "an infinite budget": ("epsilon = 3.0", "epsilon = inf", "dataset.visitors.budget.epsilon", "finite"),
    "a budget of NaN": ("epsilon = 3.0", "epsilon = nan", "dataset.visitors.budget.epsilon", "finite"),
    "a budget below nothing": ("epsilon = 3.0", "epsilon = -1", "dataset.visitors.budget.epsilon", "above 0"),
    "a budget beyond reason": ("epsilon = 3.0", "epsilon = 1000", "dataset.visitors.budget.epsilon", "at most 64"),
    "a budget beyond floats": (
        "epsilon = 3.0",
        "epsilon = 1" + "0" * 400,
        "dataset.visitors.budget.epsilon",
        "number",
    ),
    "delta 1": ("delta = 1e-8", "delta = 1.0", "dataset.visitors.budget.delta", "below 1"),
    "delta above 1/n": ("delta = 1e-8", "delta = 0.001", "dataset.visitors.budget.delta", "above 1/n"),
    "delta 0": ("delta = 1e-8", "delta = 0.0", "dataset.visitors.budget.delta", "above 0"),
    "bounds the wrong way": ("[18, 99]", "[99, 18]", "dataset.visitors.columns.age.bounds", "smaller first"),
    "bounds too far apart": ("[18, 99]", "[18, 1e18]", "dataset.visitors.columns.age", "within ±1e+15"),
    "bounds without end": ("[18, 99]", "[18, inf]", "dataset.visitors.columns.age", "finite"),
    "one bound": ("[18, 99]", "[18]", "dataset.visitors.columns.age", "too few"),
    "a bound as text": ("[18, 99]", '["18", 99]', "dataset.visitors.columns.age", "number"),
    "a doubled value": ('["north", "south"]', '["north", "north"]', "dataset.visitors.columns.region.values", "twice"),
    "a value with a space at its end": (
        '["north", "south"]',
        '["north "]',
        "dataset.visitors.columns.region",
        "space",
    ),
    "an empty value": ('["north", "south"]', '[""]', "dataset.visitors.columns.region", "1 to 300"),
    "a value that hides": ('["north", "south"]', '["nor\\u200Bth"]', "dataset.visitors.columns.region", "invisible"),
    "a set value with a bar": ('["cars", "travel"]', '["cars|vans", "b"]', "dataset.visitors.columns.topics", "`|`"),
    "more at most than values": ("at_most = 2", "at_most = 3", "dataset.visitors.columns.topics.at_most", "more than"),
    "a kind of column nobody knows": (
        'kind = "number", bounds',
        'kind = "colour", bounds',
        "dataset.visitors.columns.age",
        "kind",
    ),
    "a column named as the bundle's": (
        "columns.age",
        "columns.token",
        "dataset.visitors.columns.token",
        "every bundle",
    ),
    "the ID as a column": ("columns.age", "columns.visitor_id", "dataset.visitors.columns.visitor_id", "stay at home"),
    "the identifier as a column": ("columns.age", "columns.email", "dataset.visitors.columns.email", "stay at home"),
    "a column with capitals": ("columns.age", "columns.Age", "dataset.visitors.columns.Age", "not allowed"),
    "one owner of everything": ('owner = "advertiser"', 'owner = "publisher"', "dataset", "one party"),
    "a lookalike for who has no features": (
        'recipients = ["publisher"] }',
        'recipients = ["advertiser"] }',
        "rules.allow.0.recipients",
        "may be read only",
    ),
    "a lookalike for two": (
        'recipients = ["publisher"] }',
        'recipients = ["publisher", "officer"] }',
        "rules.allow.0.recipients",
        "may be read only",
    ),
    "a lookalike of a seed that asks for more": (
        'protects = "membership"',
        'protects = "person"',
        "rules.allow.0.job",
        "buyers asks that all about a person",
    ),
    "a completion for two": (
        '{ job = "lookalike", ask = ["publisher"], recipients = ["publisher"] }',
        '{ job = "completion", ask = ["publisher"], recipients = ["publisher", "advertiser"] }',
        "rules.allow.0.recipients",
        "completion may be read only",
    ),
    "a lookalike the operator would read": (
        'operator = "host"',
        'operator = "advertiser"',
        "rules.allow.0.recipients",
        "would read",
    ),
    "a job nobody knows": ('job = "overlap"', 'job = "everything"', "rules.allow.1.job", "lookalike"),
    "a doubled reader": (
        'recipients = ["publisher", "advertiser"]',
        'recipients = ["publisher", "publisher"]',
        "rules.allow.1.recipients",
        "twice",
    ),
    "a seed of nobody": ("smallest_seed = 1000", "smallest_seed = 0", "rules.smallest_seed", "1"),
    "a seed as a fraction": ("smallest_seed = 1000", "smallest_seed = 1.5", "rules.smallest_seed", "whole"),
    "a seed of everybody": ("smallest_seed = 1000", "smallest_seed = 1" + "0" * 30, "rules.smallest_seed", ""),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_is_named_with_its_place_rule_and_remedy(case: str, changed: Changed) -> None:
    old, new, where, rule = MISTAKES[case]
    found = problems(changed((old, new)))
    hit = [each for each in found if each.where.startswith(where) and rule in each.rule]
    assert hit, found
    assert all(each.rule and each.remedy for each in found)


def test_a_lookalike_for_two_is_told_of_the_job_that_may_have_several_readers(changed: Changed) -> None:
    (found,) = problems(changed(('recipients = ["publisher"] }', 'recipients = ["publisher", "officer"] }')))
    assert 'for other readers allow `job = "model"`' in found.remedy


def test_one_list_that_asks_no_more_is_enough_for_a_lookalike(changed: Changed) -> None:
    more = MORE.format(protects="membership")
    parse(changed(('protects = "membership"', 'protects = "person"'), ("[rules]", more)).encode())
    (found,) = problems(
        changed(('protects = "membership"', 'protects = "person"'), ("[rules]", MORE.format(protects="person")))
    )
    assert "buyers and more ask that" in found.rule


def completed(column: str, rows: str = 'rows = "people"') -> tuple[tuple[str, str], ...]:
    """What makes of the contract one that allows a completion of a column of the buyers."""
    whole = '{ job = "completion", ask = ["publisher"], recipients = ["publisher"] }'
    return (
        ('{ job = "lookalike", ask = ["publisher"], recipients = ["publisher"] }', whole),
        ("[dataset.buyers]", f"[dataset.buyers]\n{rows}\n{column}"),
    )


NO_TARGETS = {
    "nothing": "",
    "a number": 'columns.spent = { kind = "number", bounds = [0, 9] }',
    "a text": 'columns.page = { kind = "text" }',
    "one value": 'columns.tier = { kind = "category", values = ["gold"] }',
    "one value in order": 'columns.tier = { kind = "ordinal", values = ["gold"] }',
}
TARGETS = {
    "two values": 'columns.tier = { kind = "category", values = ["gold", "tin"] }',
    "two values in order": 'columns.tier = { kind = "ordinal", values = ["gold", "tin"] }',
    "a flag": 'columns.member = { kind = "flag" }',
    "a set of one": 'columns.likes = { kind = "set", values = ["cars"], at_most = 1 }',
}


@pytest.mark.parametrize("column", NO_TARGETS.values(), ids=NO_TARGETS)
def test_a_completion_of_nothing_is_a_mistake(column: str, changed: Changed) -> None:
    (found,) = problems(changed(*completed(column)))
    assert (found.where, found.remedy) == (
        "rules.allow.0.job",
        "declare such a column for them, or leave this rule out",
    )


@pytest.mark.parametrize("column", TARGETS.values(), ids=TARGETS)
def test_one_attribute_is_enough_for_a_completion(column: str, changed: Changed) -> None:
    parse(changed(*completed(column)).encode())


def test_what_events_hold_is_no_attribute_to_complete(changed: Changed) -> None:
    events = 'rows = "events"\nat_most = 5'
    (found,) = problems(changed(*completed(TARGETS["a flag"], events)))
    assert "to complete" in found.rule


MORE = """\
[dataset.more]
owner = "advertiser"
protects = "{protects}"
identifiers.email = "raw"
budget = {{ epsilon = 3.0, delta = 1e-6 }}
[rules]"""


def test_all_mistakes_are_named_at_once_however_they_are_mixed(changed: Changed) -> None:
    text = changed(
        ("version = 1", "version = 1\ncolour = 2"),
        ('operator = "host"', 'operator = "ghost"'),
        ("epsilon = 3.0", 'epsilon = "much"'),
        ("[18, 99]", "[99, 18]"),
        ("uid2@1", "uid2@9"),
        ("at_most = 2", "at_most = 9"),
        ("smallest_seed = 1000", "smallest_seed = -1"),
        ("2099-03-31", "2020-03-31"),
    )
    found = {each.where for each in problems(text, date(2026, 1, 1))}
    assert found == {
        "colour",
        "room.operator",
        "dataset.visitors.budget.epsilon",
        "dataset.visitors.columns.age.bounds",
        "match.scheme.email",
        "dataset.visitors.columns.topics.at_most",
        "rules.smallest_seed",
        "expires",
    }


def test_a_missing_key_is_named_once(changed: Changed, people: Any) -> None:
    seal = next(line for line in people.text.splitlines() if line.startswith("seal"))
    assert [each.where for each in problems(changed((seal, "")))] == ["room.seal"]


def test_an_expired_contract_is_a_mistake_for_who_signs_and_none_for_who_looks_back(changed: Changed) -> None:
    text = changed(("2099-03-31", "2020-03-31"))
    assert [each.where for each in problems(text, date(2020, 4, 1))] == ["expires"]
    assert parse(text.encode(), date(2020, 3, 31))
    assert parse(text.encode())


@pytest.mark.parametrize("kind", ["sign", "seal"])
def test_a_key_that_two_parties_share_is_refused_also_under_another_comment(kind: str, people: Any) -> None:
    keys = tomllib.loads(people.text)["party"]
    comment = " somebody else" if kind == "sign" else ""
    text = people.text.replace(keys["officer"][kind], keys["advertiser"][kind] + comment)
    assert any("the key of" in each.rule for each in problems(text))


def test_a_party_with_the_rooms_seal_is_refused(people: Any) -> None:
    raw = tomllib.loads(people.text)
    text = people.text.replace(raw["party"]["officer"]["seal"], raw["room"]["seal"])
    assert any("the key of the room" in each.rule for each in problems(text))


@pytest.mark.parametrize("key", ["ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7", "ssh-ed25519 AAAA", "", "age1xyz"])
def test_what_is_no_key_is_named(key: str, people: Any) -> None:
    raw = tomllib.loads(people.text)
    for old, where in ((raw["party"]["officer"]["sign"], "party.officer.sign"), (raw["room"]["seal"], "room.seal")):
        assert where in {each.where for each in problems(people.text.replace(old, key))}


def test_a_checkpoint_key_of_another_room_is_named(people: Any) -> None:
    other = NoteKey.new("rooms.example/autumn").vkey
    text = people.text.replace(tomllib.loads(people.text)["room"]["checkpoint"], other)
    assert [each.where for each in problems(text)] == ["room.checkpoint"]


def test_what_is_said_of_a_mistake_never_holds_the_value(changed: Changed) -> None:
    secret = "s3cret-Value"
    text = changed(
        ('job = "overlap"', f'job = "{secret}"'),
        ('kind = "number", bounds', f'kind = "{secret}", bounds'),
        ('role = "officer"', f'role = "{secret}"'),
        ('"raw"', f'"{secret}"'),
        ("epsilon = 3.0", f'epsilon = "{secret}"'),
    )
    assert secret not in repr(problems(text))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _paths(raw: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [at, *(path for key, value in items for path in _paths(value, (*at, key)))]


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_shape_of_toml_is_a_crash(data: st.DataObject, people: Any) -> None:
    raw: Any = tomllib.loads(people.text)
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(_paths(raw)[1:]))
        holder = raw
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = data.draw(values)
    for each in mistakes(raw, date(2026, 1, 1)):
        assert each.where
        assert each.rule


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_bytes_are_a_crash(data: st.DataObject, people: Any) -> None:
    raw = bytearray(people.text.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(raw)))
        stop = data.draw(st.integers(start, min(len(raw), start + 20)))
        raw[start:stop] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"[", b"]", b"{", b'"', b"\n", b"=", b"."])
        )
    with contextlib.suppress(InvalidContract):
        parse(bytes(raw))


@given(st.text(max_size=20))
def test_plain_text_is_what_a_terminal_shows_as_it_is(text: str) -> None:
    if is_plain(text):
        assert text
        assert not any(ord(char) < 32 or char in "\u202e\u2066\u200b\ufeff" for char in text)


def test_a_kind_of_column_nobody_knows_is_told_with_those_there_are(people: Any) -> None:
    text = people.text.replace('kind = "number", bounds', 'kind = "flg", bounds')
    (problem,) = (each for each in problems(text) if "kind is not known" in each.rule)
    assert problem.remedy == "use one of number, category, ordinal, set, flag, date, household, text"


def splitting(people: Any, responses: str = "2.0") -> str:
    """The contract, whose buyers' owner keeps some ε for labels."""
    assert people.text.count("delta = 1e-6 }") == 1
    return str(people.text.replace("delta = 1e-6 }", f"delta = 1e-6, responses = {responses} }}"))


def test_noise_has_what_labels_leave_of_epsilon(people: Any) -> None:
    contract = parse(splitting(people).encode())
    assert contract.dataset["buyers"].budget.budget() == Budget(Epsilon(1.0), Delta(1e-6))
    found = {cap.account: (cap.epsilon, cap.delta, cap.rho) for cap in caps_of(contract, "")}
    assert found["advertiser/record"] == ("1.0", "1e-06", rho_within(Budget(Epsilon(1.0), Delta(1e-6))))
    assert found["advertiser/responses"] == ("2.0", "0.0", 2 * 10**12)
    assert "publisher/responses" not in found


def test_a_contract_that_keeps_nothing_for_labels_says_nothing_of_them(people: Any) -> None:
    held = parse(people.text.encode()).dataset["buyers"]
    assert "responses" not in held.model_dump(mode="json")["budget"]
    kept = parse(splitting(people).encode()).dataset["buyers"]
    assert kept.model_dump(mode="json")["budget"]["responses"] == 2.0


@pytest.mark.parametrize(
    ("responses", "rule"),
    [
        ("0.0", "above 0"),
        ("-1.0", "above 0"),
        ("64.0", "below 64"),
        ("3.0", "less than a hundredth"),
        ("3", "less than a hundredth"),
        ("2.98", "less than a hundredth"),
        ("4.0", "less than a hundredth"),
        ("0.1234567890123", "whole number of 10^-12"),
        ("nan", ""),
        ("true", ""),
        ('"2.0"', ""),
    ],
)
def test_an_epsilon_that_is_split_badly_is_refused(people: Any, responses: str, rule: str) -> None:
    with pytest.raises(InvalidContract) as bad:
        parse(splitting(people, responses).encode())
    assert any("budget.responses" in problem.where and rule in problem.rule for problem in bad.value.problems)


def test_nearly_all_of_epsilon_may_be_kept_for_labels(people: Any) -> None:
    assert parse(splitting(people, "2.96").encode())
    with pytest.raises(InvalidContract, match="too small"):
        parse(splitting(people, "2.9").replace("epsilon = 3.0", "epsilon = 1e-12").encode())


def test_data_sets_of_one_owner_keep_the_same_for_labels(people: Any) -> None:
    text = splitting(people)
    second = text[text.index("[dataset.buyers]") : text.index("[rules]")].replace("[dataset.buyers]", "[dataset.more]")
    both = text.replace("[rules]", f"{second}[rules]")
    assert parse(both.encode())
    with pytest.raises(InvalidContract, match="different responses"):
        parse(text.replace("[rules]", f"{second.replace('responses = 2.0', 'responses = 1.0')}[rules]").encode())
