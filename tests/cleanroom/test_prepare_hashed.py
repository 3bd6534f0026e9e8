"""Lists that arrive hashed: what is no hash is counted under its likely cause."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from passbox.cleanroom.prepare import Brought, TooManyRejects, examine
from passbox.cleanroom.source import BadSource
from passbox.cli.explain import explain
from passbox.cli.reasons import remedy

from .party import Party

DIGEST = hashlib.sha256(b"person.1@example.com").digest()
SHA, BASE64 = DIGEST.hex(), base64.b64encode(DIGEST).decode()
EMPTY = hashlib.sha256(b"").hexdigest()
TEST, TYPED = (hashlib.sha256(value).hexdigest() for value in (b"noemail@noemail.com", b"+11111111111"))
HASHES = {"email": "sha256"}
HASHED: dict[str, tuple[str, str]] = {
    "a raw address": ("person.1@example.com", "raw-email-in-hashed-column"),
    "hex of hex": (SHA.encode().hex(), "hex-of-hex"),
    "capital hex of capital hex": (SHA.upper().encode().hex().upper(), "hex-of-hex"),
    "hex of base64": (BASE64.encode().hex(), "encoded-twice"),
    "base64 of hex": (base64.b64encode(SHA.encode()).decode(), "base64-of-hex"),
    "base64 of base64": (base64.b64encode(BASE64.encode()).decode(), "encoded-twice"),
    "base64 of URLs": (base64.urlsafe_b64encode(b"\xfb" * 32).decode(), "not-a-hash"),
    "base64 without its end": (BASE64[:-1], "not-a-hash"),
    "hex of both cases": (SHA[:32].upper() + SHA[32:], "not-a-hash"),
    "hex with its mark": ("0x" + SHA, "not-a-hash"),
    "MD5": (hashlib.md5(b"person.1@example.com").hexdigest(), "wrong-length"),
    "SHA-512": (hashlib.sha512(b"person.1@example.com").hexdigest(), "wrong-length"),
    "nothing, hashed": (EMPTY, "hash-of-nothing"),
    "nothing, hashed twice": (hashlib.sha256(EMPTY.encode()).hexdigest(), "hashed-twice"),
    "a test address, hashed twice": (hashlib.sha256(TEST.encode()).hexdigest(), "hashed-twice"),
    "a typed number, hashed twice": (hashlib.sha256(TYPED.encode()).hexdigest(), "hashed-twice"),
    "nothing, hashed twice as bytes": (hashlib.sha256(bytes.fromhex(EMPTY)).hexdigest(), "hashed-twice"),
}


def hashed(party: Party, *cells: str) -> Brought:
    """A list that the contract says arrives hashed."""
    contract = party.world.agreement.contract
    rule = contract.dataset["buyers"].model_copy(update={"identifiers": {"email": "sha256"}})
    agreed = contract.model_copy(update={"dataset": contract.dataset | {"buyers": rule}})
    return Brought(party.csv([{"email": cell} for cell in cells], "buyers.csv"), agreed, "buyers")


@pytest.mark.parametrize("case", HASHED)
def test_a_hash_that_is_none_is_counted_under_its_likely_cause_and_explained(case: str, party: Party) -> None:
    """Any cause has words of its own, and none of them holds what the cell held."""
    cell, cause = HASHED[case]
    report = examine(hashed(party, "ab" * 32, cell))
    assert (report.rows, dict(report.rejects)) == (1, {f"email: {cause}": 1})
    words = explain(TooManyRejects(Path("buyers.csv"), 2, report.rejects, 0, HASHES))
    assert cause in words.message
    assert remedy(report.rejects, HASHES) == words.hint != ""
    assert cell[:12] not in words.message + words.hint


def test_one_row_that_shows_a_double_hash_is_what_the_remedy_speaks_of(party: Party) -> None:
    twice = hashlib.sha256(EMPTY.encode()).hexdigest()
    report = examine(hashed(party, "ab" * 32, twice, "x", "y", "z"))
    assert "hashed twice" in remedy(report.rejects, HASHES)


def test_a_hash_of_a_test_address_is_counted_or_refused_as_the_address_is(party: Party) -> None:
    brought = hashed(party, "ab" * 32, TEST, TYPED)
    report = examine(brought)
    assert (report.rows, dict(report.rejects), dict(report.suspects)) == (3, {}, {"email: test-value": 2})
    rule = brought.rule.model_copy(update={"suspicious": "refuse"})
    contract = brought.contract.model_copy(update={"dataset": brought.contract.dataset | {"buyers": rule}})
    report = examine(replace(brought, contract=contract))
    assert (report.rows, dict(report.rejects), dict(report.suspects)) == (1, {"email: test-value": 2}, {})


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_hex_of_either_case_is_the_same_person(case: Callable[[str], str], party: Party) -> None:
    report = examine(hashed(party, case(SHA), case("ab" * 32)))
    assert (report.rows, report.rejects) == (2, {})


def test_hex_of_both_cases_in_one_column_says_so(party: Party) -> None:
    with pytest.raises(BadSource) as caught:
        examine(hashed(party, SHA, SHA.upper()))
    assert caught.value.rule == "column email mixes encodings of hashes: small hex letters and capital hex letters"
