"""Values that a scheme accepts and that match nobody, or somebody else. They are counted; a contract may refuse them.

test-value: at a domain set aside for tests and manuals (RFC 2606, RFC 6761) or at test.com; a North American number
555-01xx; a device ID that repeats one digit or counts up; an IP address of a manual.
domain-beyond-ascii: no convention says whether such a domain is hashed as it is written or as `xn--...`.
look-alike-domain: a domain with letters of two scripts, or of another script that all look like Latin ones.
"""

from __future__ import annotations

import re
import unicodedata

from .rejects import RejectCode
from .schemes.addresses import is_example

TEST_DOMAINS = ("example.com", "example.net", "example.org", "test.com")
TEST_TLDS = ("example", "invalid", "localhost", "test")
_FICTION = re.compile(r"\+?1?[2-9][0-9]{2}55501[0-9]{2}")
_COUNTS_UP = "1234567890" * 4


def suspicion(kind: str, normalised: str) -> RejectCode | None:
    """What is odd about an accepted value; None where nothing is."""
    if kind == "email":
        return _of_email(normalised)
    if kind == "phone":
        return RejectCode.TEST_VALUE if _FICTION.fullmatch(normalised) else None
    if kind == "ip":
        return RejectCode.TEST_VALUE if is_example(normalised) else None
    if kind in ("idfa", "gaid", "maid", "android-id", "ctv"):
        return _of_device(normalised)
    return None


def _of_email(text: str) -> RejectCode | None:
    domain = text.rpartition("@")[2]
    if domain in TEST_DOMAINS or domain.rpartition(".")[2] in TEST_TLDS:
        return RejectCode.TEST_VALUE
    if domain.isascii():
        return None
    return RejectCode.LOOK_ALIKE if any(map(_misleads, domain.split("."))) else RejectCode.FOREIGN_DOMAIN


def _of_device(text: str) -> RejectCode | None:
    digits = text.replace("-", "").lower()
    counts = digits.isdigit() and digits in _COUNTS_UP
    return RejectCode.TEST_VALUE if counts or len(set(digits)) == 1 else None


_LIKE_LATIN = frozenset("аеорсухіјѕԁԛԝһӏαοινρυκօսհոց")
"""Small letters of Cyrillic, Greek and Armenian that are drawn as Latin ones."""


def _misleads(label: str) -> bool:
    letters = [char for char in label if char.isalpha()]
    scripts = {unicodedata.name(char, "?").split(" ")[0] for char in letters}
    if len(scripts & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN"}) > 1:
        return True
    return "LATIN" not in scripts and bool(letters) and _LIKE_LATIN.issuperset(letters)
