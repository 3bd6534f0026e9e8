"""Every reason for a rejection has words, and what to do about it is said of the hash that the scheme makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from passbox.cleanroom.prepare import NothingLeft
from passbox.cli.explain import explain
from passbox.cli.reasons import meaning, remedy
from passbox.matching.rejects import RejectCode
from passbox.matching.remedies import _REMEDIES, Offer
from passbox.matching.remedies import remedy as words


def test_every_reason_has_a_meaning() -> None:
    assert [code for code in RejectCode if not meaning(code)] == []


def test_remedies_are_for_reasons_that_there_are() -> None:
    assert set(_REMEDIES) <= {str(code) for code in RejectCode}
    assert "`--column phone=COLUMN`" in remedy({"phone: raw-in-hashed-column": 3}, {"phone": "sha256"})
    assert remedy({"email: not-an-email": 2}, {}) == ""


@pytest.mark.parametrize("code", sorted(_REMEDIES))
@pytest.mark.parametrize(("algorithm", "name", "digits"), [("sha256", "SHA-256", "64"), ("sha1", "SHA-1", "40")])
def test_a_remedy_never_sends_to_another_hash_than_the_scheme_makes(
    code: str, algorithm: str, name: str, digits: str
) -> None:
    said = words(code, "phone", algorithm, Offer("`--column COLUMN`"))
    assert not re.search(r"[{}]", said)
    assert not re.search(rf"hash the normalised values with (?!{name})", said)
    assert not re.search(rf'identifiers\.phone = "(?!raw|{algorithm}")', said)
    assert not re.search(rf"is (?!{digits})\d+ hex digits of one case", said)
    assert f"{digits} hex digits match nobody" not in said


@pytest.mark.parametrize("code", sorted(RejectCode))
def test_where_no_row_is_left_none_is_offered_to_be_left_out(code: str) -> None:
    hint = explain(NothingLeft(Path("buyers.csv"), {f"email: {code}": 2}, {"email": "sha256"})).hint
    assert hint
    assert "--max-rejects" not in hint


def test_a_column_of_another_hash_is_named_as_what_it_may_be() -> None:
    said = remedy({"phone: already-hashed": 1}, {"phone": "sha1"})
    assert "MD5 and SHA-256 (32 and 64 hex digits) match nobody" in said
    assert 'SHA-1 (40) is for a contract with `identifiers.phone = "sha1"`' in said
    assert "32, 64 and 128 hex digits are MD5, SHA-256 and SHA-512" in remedy(
        {"phone: wrong-length": 1}, {"phone": "sha1"}
    )
