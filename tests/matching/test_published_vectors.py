"""Every e-mail row of the collection of published vectors, where that folder is at hand.

It is looked for in PASSBOX_VECTORS, else beside the repository. A row that a publisher got wrong stays what
it is: the test holds that our digest differs from it.
"""

import hashlib
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from passbox.matching.identifiers import Reject, digests, normalise

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
    "guardian(ID5/TTD dots only)": "cm360@1",
}
KNOWN_BAD = {  # label in the file -> the scheme it was meant to follow, and what went wrong
    "none(wrong: hashed without normalising)": ("uid2@1", "upper case left in, printed as a warning"),
    "sha256(raw) (the bug report before the fix)": ("google@1", "hashed without normalising"),
    "google_ads_python_sample": ("google-docs@1", "takes out the + sign and leaves the suffix"),
}


def emails() -> list[dict[str, str | None]]:
    if not FILE.exists():
        return []
    rows = map(json.loads, FILE.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["kind"] == "email"]


def is_good(row: dict[str, str | None]) -> bool:
    return row["scheme"] in SCHEMES


GOOD = [row for row in emails() if is_good(row)]
BAD = [row for row in emails() if not is_good(row)]
without = pytest.mark.skipif(not FILE.exists(), reason=f"the published vectors are not at {FILE}")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@without
def test_every_email_row_is_either_a_scheme_of_ours_or_known_to_be_bad() -> None:
    assert {row["scheme"] for row in BAD} <= set(KNOWN_BAD)
    assert len(GOOD) + len(BAD) == len(emails()) > 0


@without
@pytest.mark.parametrize("row", GOOD, ids=lambda row: f"{row['scheme']}-{row['input']!a}")
def test_a_published_email_gives_the_published_hash(row: dict[str, str]) -> None:
    scheme = SCHEMES[row["scheme"]]
    result = normalise(scheme, "email", row["input"])
    column = digests(pa.chunked_array([pa.array([row["input"]])]), scheme, "email", "raw")
    if row["normalised"] is None:
        assert isinstance(result, Reject)
        assert not column.accepted[0]
    else:
        assert result == row["normalised"]
        assert column.values[0].tobytes().hex() == row["sha256_hex"]


@without
@pytest.mark.parametrize("row", BAD, ids=lambda row: f"{row['scheme']}-{row['input']!a}")
def test_a_known_bad_sample_stays_what_it_is(row: dict[str, str]) -> None:
    scheme, _ = KNOWN_BAD[row["scheme"]]
    ours = normalise(scheme, "email", row["input"])
    assert isinstance(ours, str)
    assert sha(row["normalised"]) == row["sha256_hex"]
    assert (sha(ours) == row["sha256_hex"]) == (ours == row["input"])
