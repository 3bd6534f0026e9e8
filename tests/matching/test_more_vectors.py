"""Values of every kind, half of them rejections: vectors that any implementation could run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from passbox.matching.identifiers import Reject, RejectCode, digests, normalise
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


@pytest.mark.parametrize("domain", ["gmаil.com", "аррӏе.com", "раураl.com", "gmail.ϲom"])
def test_a_domain_that_looks_like_another_is_told_apart(domain: str) -> None:
    made = digests(pa.array([f"jo@{domain}"]), "uid2@1", "email", "raw")
    assert set(made.suspects) <= {RejectCode.LOOK_ALIKE, RejectCode.FOREIGN_DOMAIN}
    assert made.suspects


def test_an_international_domain_is_counted_and_kept() -> None:
    made = digests(pa.array(["jörg@münchen.de", "jo@例え.jp", "jörg@b.de"]), "uid2@1", "email", "raw")
    assert made.accepted.all()
    assert dict(made.suspects) == {RejectCode.FOREIGN_DOMAIN: 2}
