"""Values of every kind, half of them rejections: vectors that any implementation could run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from passbox.matching.identifiers import Arrives, Reject, RejectCode, digests, normalise
from passbox.matching.schemes import known, load
from passbox.matching.schemes.addresses import WindowMissing
from passbox.matching.schemes.setting import Setting

VECTORS = Path(__file__).parents[1] / "vectors" / "identifiers-kinds.jsonl"
ROWS = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]


def name(row: dict[str, Any]) -> str:
    return f"{row['scheme']}-{row['kind']}-{row['input'][:40]!a}"


def test_half_are_rejections_and_every_kind_is_there() -> None:
    refused = [row for row in ROWS if "reject" in row]
    assert 0.4 < len(refused) / len(ROWS) < 0.6
    every = {kind for scheme in known() for kind in load(scheme).rules} - {"email"}
    assert {row["kind"] for row in ROWS} == every
    pairs = {(row["scheme"], row["kind"]) for row in ROWS}
    assert pairs >= {(scheme, "phone") for scheme in known() if "phone" in load(scheme).rules}


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_value_is_normalised_hashed_or_refused_as_written_down(row: dict[str, Any]) -> None:
    setting = Setting(row.get("country"), row.get("window"))
    result = normalise(row["scheme"], row["kind"], row["input"], setting)
    made = digests(pa.array([row["input"]]), row["scheme"], row["kind"], "raw", setting)
    if "reject" in row:
        assert result == Reject(RejectCode(row["reject"]))
        assert made.rejects == {RejectCode(row["reject"]): 1}
        return
    assert result == row["normalised"]
    hashed = load(row["scheme"]).rule(row["kind"]).hash
    assert made.values[0].tobytes() == hashlib.new(hashed, row["normalised"].encode()).digest()
    assert {str(code) for code in made.suspects} == set(row.get("suspect", []))


@pytest.mark.parametrize("row", [row for row in ROWS if "reject" not in row and row["kind"] != "ip"], ids=name)
def test_normalising_twice_changes_nothing(row: dict[str, Any]) -> None:
    setting = Setting(row.get("country") or ("US" if row["scheme"] == "liveramp@1" else None))
    assert normalise(row["scheme"], row["kind"], row["normalised"], setting) == row["normalised"]


@pytest.mark.parametrize("row", [row for row in ROWS if row.get("suspect")], ids=name)
def test_what_is_odd_is_refused_where_the_contract_says_so(row: dict[str, Any]) -> None:
    setting = Setting(row.get("country"), row.get("window"))
    made = digests(pa.array([row["input"]]), row["scheme"], row["kind"], "raw", setting, "refuse")
    assert not made.accepted.any()
    assert {str(code) for code in made.rejects} == set(row["suspect"])


def test_an_address_without_a_window_is_an_error_of_the_caller() -> None:
    with pytest.raises(WindowMissing):
        normalise("plain@1", "ip", "81.2.69.142 2026-11-29T10:03:00Z")


LOOK_ALIKES = [
    *("gmаil.com", "аррӏе.com", "раураl.com", "gmail.ϲom", "gmạil.com", "xn--gmil-6q5a.com", "xn--gmil-63d.com"),
    *("mail.xn--80ak6aa92e.com", "xn--gmail-.com", "göögle.xn--pypal-4ve.com"),
]


@pytest.mark.parametrize("domain", LOOK_ALIKES)
def test_a_domain_that_looks_like_another_is_told_apart_however_it_is_written(domain: str) -> None:
    column = pa.array([f"jo@{domain}"])
    assert dict(digests(column, "uid2@1", "email", "raw").suspects) == {RejectCode.LOOK_ALIKE: 1}
    refused = digests(column, "uid2@1", "email", "raw", suspicious="refuse")
    assert dict(refused.rejects) == {RejectCode.LOOK_ALIKE: 1}


ABROAD = [
    "jo@münchen.de",
    "jo@xn--mnchen-3ya.de",
    "jo@例え.jp",
    "jo@xn--r8jz45g.jp",
    "jo@mail.xn--a",
    "jo@xn--99999.de",
]


def test_an_international_domain_is_counted_and_kept_written_either_way() -> None:
    made = digests(pa.array([*ABROAD, "jo@axn--b.de", "xn--jo@b.de"]), "uid2@1", "email", "raw")
    assert made.accepted.all()
    assert dict(made.suspects) == {RejectCode.FOREIGN_DOMAIN: len(ABROAD)}


MORE_THAN_AN_ADDRESS = [
    *("Jo Ek <jo@b.de>", "<jo@b.de>", "mailto:jo@b.de", '"jo@b.de"', "'jo@b.de'", "“jo@b.de”", "jo@b.de;"),
    *("jo@b.de,", "jo@[10.0.0.1]", "jo@b"),
]


@pytest.mark.parametrize("scheme", ["uid2@1", "pair@1", "google@2"])
@pytest.mark.parametrize("text", MORE_THAN_AN_ADDRESS)
def test_what_is_more_or_less_than_an_address_is_counted_and_kept(text: str, scheme: str) -> None:
    column = pa.array([text, "o'ek+x@b-c.de", "jo_ek!#$%&*/=?^`{|}~@b.de"])
    made = digests(column, scheme, "email", "raw")
    assert made.accepted.all()
    assert dict(made.suspects) == {RejectCode.UNLIKELY: 1}
    refused = digests(column, scheme, "email", "raw", suspicious="refuse")
    assert dict(refused.rejects) == {RejectCode.UNLIKELY: 1}


@pytest.mark.parametrize("mailbox", ["jörg", "JÖRG", "jo\u0308rg", "джо"])
def test_a_mailbox_on_which_conventions_disagree_is_counted_and_kept(mailbox: str) -> None:
    made = digests(pa.array([f"{mailbox}@b.de"]), "uid2@1", "email", "raw")
    assert made.accepted.all()
    assert dict(made.suspects) == {RejectCode.FOREIGN_MAILBOX: 1}


@pytest.mark.parametrize("scheme", [name for name in known() if "phone" in load(name).rules])
def test_no_scheme_completes_a_number_without_its_area_code(scheme: str) -> None:
    for text, country in (("867-5309", "US"), ("123456 7", "DE"), ("7946 0958", "GB")):
        assert normalise(scheme, "phone", text, Setting(country)) == Reject(RejectCode.DIGITS)


FILLERS = ["0000000000", "1111111111", "5555555555", "1234567890", "0123456789"]


@pytest.mark.parametrize("scheme", [name for name in known() if "phone" in load(name).rules])
@pytest.mark.parametrize("country", ["US", "DE", "GB", "IT", "BR", "IS"])
def test_a_number_that_is_typed_for_none_is_odd_and_known_by_its_hash(scheme: str, country: str) -> None:
    column = pa.array([text[:7] if country == "IS" else text for text in FILLERS])
    made = digests(column, scheme, "phone", "raw", Setting(country))
    assert int(made.accepted.sum()) == made.suspects.get(RejectCode.TEST_VALUE, 0) == int(made.nobodys.sum())
    arrives: Arrives = load(scheme).rule("phone").hash  # type: ignore[assignment]
    hashes = pa.array([row.tobytes().hex() for row in made.values[made.accepted]], pa.string())
    assert digests(hashes, scheme, "phone", arrives).suspects.get(RejectCode.TEST_VALUE, 0) == len(hashes)
