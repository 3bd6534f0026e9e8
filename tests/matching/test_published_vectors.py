"""Every row of the collection of published vectors, where that folder is at hand.

It is looked for in PASSBOX_VECTORS, else beside the repository. A row that a publisher got wrong stays what
it is: the test holds that our digest differs from it.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from passbox.matching.identifiers import Reject, digest_of, digests, normalise
from passbox.matching.schemes import load
from passbox.matching.schemes.setting import Setting

FOLDER = Path(os.environ.get("PASSBOX_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
FILE = FOLDER / "identifiers.jsonl"
SCHEMES = {
    "uid2": "uid2@1",
    "google_ec_gmail_only": "google@1",
    "google_ec_docs_all_domains": "google-docs@1",
    "meta_capi": "meta@1",
    "pair": "pair@1",
    "tiktok": "tiktok@1",
    "liveramp": "liveramp@1",
    "snap": "snap@1",
    "x": "x@1",
    "adobe_aam(raw)": "plain@1",  # "unaltered": as devices write them, which is what plain@1 keeps
    "guardian(ID5/TTD dots only)": "cm360@1",
}
KINDS = {"rida": "ctv", "samsung_duid": "ctv", "android_id": "android-id"}
OTHER_KINDS = {"f5first", "f5last", "fi", "dobd", "dobm", "doby", "handle", "text"}
"""Names, birth dates, handles and cleartext for a fingerprint: no identifiers of ours."""
KNOWN_BAD = {  # label in the file -> the scheme it was meant to follow, and what went wrong
    "none(wrong: hashed without normalising)": ("uid2@1", "upper case left in, printed as a warning"),
    "sha256(raw) (the bug report before the fix)": ("google@1", "hashed without normalising"),
    "google_ads_python_sample": ("google-docs@1", "takes out the + sign and leaves the suffix"),
}
COUNTRY = {"1 (234) 567-8901": "US", "65 1243 5678": "SG", "0491 570 006": "AU"}
"""What the page says beside a number that is written without its country code."""
MISPRINTED = {"65 1243 5678": "+6512435678"}
"""The page transposes two digits: what the number is."""

Row = dict[str, Any]


def rows() -> list[Row]:
    return list(map(json.loads, FILE.read_text(encoding="utf-8").splitlines())) if FILE.exists() else []


def kind(row: Row) -> str:
    return KINDS.get(row["kind"], row["kind"])


def is_printed_without_input(row: Row) -> bool:
    return row["input"] is None and row["scheme"] != "uid2"


OURS = [row for row in rows() if row["kind"] not in OTHER_KINDS]
GOOD = [row for row in OURS if row["scheme"] in SCHEMES and not is_printed_without_input(row)]
BAD = [row for row in OURS if row["scheme"] in KNOWN_BAD]
WITHOUT_INPUT = [row for row in OURS if is_printed_without_input(row)]
without = pytest.mark.skipif(not FILE.exists(), reason=f"the published vectors are not at {FILE}")


def name(row: Row) -> str:
    return f"{row['scheme'][:20]}-{row['kind']}-{row['input']!a}"


@without
def test_every_row_is_a_scheme_of_ours_or_known_to_be_bad_or_of_another_kind() -> None:
    assert len(GOOD) + len(BAD) + len(WITHOUT_INPUT) == len(OURS)
    others = [row for row in rows() if row["kind"] in OTHER_KINDS]
    assert len(OURS) + len(others) == len(rows()) > 100
    assert {row["kind"] for row in others} <= OTHER_KINDS
    assert {"email", "phone", "idfa", "gaid", "maid", "rida", "samsung_duid", "android_id"} == {
        row["kind"] for row in OURS
    }


@without
@pytest.mark.parametrize("row", GOOD, ids=name)
def test_a_published_value_gives_the_published_hash(row: Row) -> None:
    scheme, text = SCHEMES[row["scheme"]], row["input"]
    setting = Setting(COUNTRY.get(text))
    result = normalise(scheme, kind(row), text or "", setting)
    column = digests(pa.array([text], pa.string()), scheme, kind(row), "raw", setting)
    if row["normalised"] is None:
        assert isinstance(result, Reject)
        assert not column.accepted[0]
        return
    assert result == MISPRINTED.get(text, row["normalised"])
    assert column.values[0].tobytes() == hashlib.new(load(scheme).rule(kind(row)).hash, result.encode()).digest()
    if text not in MISPRINTED:
        assert column.values[0].tobytes().hex() == (row["sha256_hex"] or row["sha1_hex"])


@without
@pytest.mark.parametrize("row", BAD, ids=name)
def test_a_known_bad_sample_stays_what_it_is(row: Row) -> None:
    scheme, _ = KNOWN_BAD[row["scheme"]]
    ours = normalise(scheme, "email", row["input"])
    assert isinstance(ours, str)
    assert hashlib.sha256(row["normalised"].encode()).hexdigest() == row["sha256_hex"]
    assert (hashlib.sha256(ours.encode()).hexdigest() == row["sha256_hex"]) == (ours == row["input"])


@without
@pytest.mark.parametrize("row", WITHOUT_INPUT, ids=name)
def test_a_hash_printed_without_its_input_is_read_as_a_hash_alone(row: Row) -> None:
    rule = load(SCHEMES[row["scheme"]]).rules.get({"maid": "idfa"}.get(row["kind"], row["kind"]))
    assert rule is not None
    if row["sha256_hex"]:
        assert digest_of(row["sha256_hex"]) == bytes.fromhex(row["sha256_hex"])


@without
def test_the_tiktok_page_prints_the_hash_of_a_number_without_its_plus() -> None:
    """Its one hash beside two numbers: of the second, written the way its older page asks for."""
    printed = "65b7e6dcf6f4310f8d7cbfbd78289a753062fb054d6664fb9aaac5df66a422d4"
    assert hashlib.sha256(b"37493828222").hexdigest() == printed
    ours = normalise("tiktok@1", "phone", "+37493828222")
    assert ours == "+37493828222"
    assert hashlib.sha256(ours.encode()).hexdigest() != printed
