"""What a contract declares of identifiers beside their scheme: country, window, hash, and what is refused as odd."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from passbox.matching.schemes.setting import Setting
from passbox.policies.contract import parse
from passbox.policies.document import InvalidContract

Changed = Callable[..., str]
KEYS = 'keys = ["email"]'


def on(kind: str, scheme: str, changed: Changed, *more: tuple[str, str]) -> str:
    """The contract, matching on another kind."""
    return changed(
        (KEYS, f'keys = ["{kind}"]'),
        ("scheme.email", f"scheme.{kind}"),
        ('"uid2@1"', f'"{scheme}"'),
        ('identifiers.email = "raw"', f'identifiers.{kind} = "raw"\nCOUNTRY'),
        ('identifiers.email = "sha256"', f'identifiers.{kind} = "sha256"'),
        *(more or (("COUNTRY", ""),)),
    )


def places(text: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidContract) as caught:
        parse(text.encode())
    return [(problem.where, problem.rule) for problem in caught.value.problems]


def test_raw_phones_need_a_country_or_the_word_that_each_carries_its_own(changed: Changed) -> None:
    assert places(on("phone", "uid2@1", changed)) == [
        ("dataset.visitors.country", "a phone number may be written without its country code")
    ]
    us = parse(on("phone", "uid2@1", changed, ("COUNTRY", 'country = "US"')).encode())
    assert us.setting("visitors") == Setting("US")
    assert us.setting("buyers") == Setting()
    none = parse(on("phone", "uid2@1", changed, ("COUNTRY", 'country = "none"')).encode())
    assert none.setting("visitors") == Setting()


@pytest.mark.parametrize("country", ["XX", "us", "USA", ""])
def test_a_country_that_nobody_knows_is_named(country: str, changed: Changed) -> None:
    found = places(on("phone", "uid2@1", changed, ("COUNTRY", f'country = "{country}"')))
    assert "dataset.visitors.country" in [where for where, _ in found]


def test_an_ip_address_needs_a_window_and_nothing_else_has_one(changed: Changed) -> None:
    without = places(on("ip", "plain@1", changed))
    assert ("match.window", "an IP address is a household's for a while only") in without
    beside = places(changed((KEYS, f"{KEYS}\nwindow = 24")))
    assert [where for where, _ in beside] == ["match.window"]
    contract = parse(
        on("ip", "plain@1", changed, ("COUNTRY", ""), ('keys = ["ip"]', 'keys = ["ip"]\nwindow = 6')).encode()
    )
    assert contract.setting("visitors") == Setting(window=6)


def test_a_column_of_another_hash_than_the_scheme_makes_is_named(changed: Changed) -> None:
    text = on("phone", "liveramp@1", changed, ("COUNTRY", 'country = "US"'))
    assert places(text) == [("dataset.buyers.identifiers.phone", "liveramp@1 hashes phone with sha1")]
    assert parse(text.replace('"sha256"', '"sha1"').encode()).dataset["buyers"].identifiers == {"phone": "sha1"}


def test_odd_values_are_counted_unless_the_data_set_says_otherwise(changed: Changed) -> None:
    assert parse(changed().encode()).dataset["visitors"].suspicious == "count"
    text = changed(('identifiers.email = "raw"', 'identifiers.email = "raw"\nsuspicious = "refuse"'))
    assert parse(text.encode()).dataset["visitors"].suspicious == "refuse"
