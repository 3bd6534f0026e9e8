"""Values that a scheme accepts and that match nobody, or somebody else. They are counted; a contract may refuse them.

test-value: at a domain set aside for tests and manuals (RFC 2606, RFC 6761) or at test.com, or an address that many
lists hold; a North American number
555-01xx; a telephone number or a device ID that repeats one digit or counts up, which is what people and programs type
who have none; a device ID that many devices share; an IP address of a manual.
unlikely-address: white space, brackets, quotes or other marks that no plain address holds, as in `Jo <jo@b.de>` and
`mailto:jo@b.de`; or a domain without a dot.
domain-beyond-ascii: no convention says whether such a domain is hashed as it is written or as `xn--...`. Either is odd.
look-alike-domain: a domain, written either way, with letters of two scripts, or of another script that all look like
Latin ones; or a large provider's but for accents.
mailbox-beyond-ascii: some conventions write Ö before the @ as ö and some leave it, and none says whether ö is one
character or two.
"""

from __future__ import annotations

import re
import unicodedata

from .rejects import RejectCode
from .schemes.addresses import is_example
from .well_known import DEVICES, EMAILS, SHORTEST, country_codes

TEST_DOMAINS = ("example.com", "example.net", "example.org", "test.com")
TEST_TLDS = ("example", "invalid", "localhost", "test")
_FICTION = re.compile(r"\+?1?[2-9][0-9]{2}55501[0-9]{2}")
_EMAILS = frozenset(EMAILS)
_MARKS = re.compile(r"""[\s()<>\[\]:;,\\"“”„«»‹›]|^['‘’]|['‘’]$""")
"""What stands around or between addresses. Compiled code leaves all rows that hold one of the ASCII ones."""
_COUNTS_UP = ("1234567890" * 4, "0123456789abcdef" * 4)


def suspicion(kind: str, normalised: str) -> RejectCode | None:
    """What is odd about an accepted value; None where nothing is."""
    if kind == "email":
        return _of_email(normalised)
    if kind == "phone":
        return RejectCode.TEST_VALUE if _FICTION.fullmatch(normalised) or _is_typed(normalised) else None
    if kind == "ip":
        return RejectCode.TEST_VALUE if is_example(normalised) else None
    if kind in ("idfa", "gaid", "maid", "android-id", "ctv"):
        return _of_device(normalised)
    return None


# -- telephones and devices --------------------------------------------------------------------------------------------


def _is_typed(number: str) -> bool:
    """Whether a number repeats one digit or counts up, its country code apart where it has one."""
    digits = number.lstrip("+")
    length = next((size for size in (1, 2, 3) if digits[:size] in country_codes()), 0)
    return _is_run(digits) or _is_run(digits[length:])


def _is_run(digits: str) -> bool:
    return len(digits) >= SHORTEST and (len(set(digits)) == 1 or any(digits in run for run in _COUNTS_UP))


def _of_device(text: str) -> RejectCode | None:
    digits = text.replace("-", "").lower()
    return RejectCode.TEST_VALUE if _is_run(digits) or digits in DEVICES else None


# -- e-mails -----------------------------------------------------------------------------------------------------------


def _of_email(text: str) -> RejectCode | None:
    mailbox, _, domain = text.rpartition("@")
    if _MARKS.search(text):
        return RejectCode.UNLIKELY
    if domain in TEST_DOMAINS or domain.rpartition(".")[2] in TEST_TLDS or text in _EMAILS:
        return RejectCode.TEST_VALUE
    labels = domain.split(".")
    if len(labels) == 1:
        return RejectCode.UNLIKELY
    if not domain.isascii() or any(label.startswith("xn--") for label in labels):
        return _of_domain(labels)
    return None if mailbox.isascii() else RejectCode.FOREIGN_MAILBOX


def _of_domain(labels: list[str]) -> RejectCode:
    read = [_read(label) for label in labels]
    if any(map(_misleads, read)) or _without_marks(".".join(read)) in _PROVIDERS:
        return RejectCode.LOOK_ALIKE
    return RejectCode.FOREIGN_DOMAIN


def _read(label: str) -> str:
    """A label as people see it; as it is where it cannot be read."""
    if not label.startswith("xn--") or not label.isascii():
        return label
    try:
        return label.removeprefix("xn--").encode().decode("punycode")
    except UnicodeError:
        return label


_PROVIDERS = frozenset(
    {
        "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "aol.com",
        "icloud.com", "me.com", "proton.me", "protonmail.com", "gmx.net", "gmx.de", "web.de", "mail.com", "mail.ru",
        "yandex.ru", "qq.com", "163.com",
    }
)  # fmt: skip


def _without_marks(text: str) -> str:
    """Letters without their accents."""
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


_LIKE_LATIN = frozenset("аеорсухіјѕԁԛԝһӏαοινρυκօսհոց")
"""Small letters of Cyrillic, Greek and Armenian that are drawn as Latin ones."""


def _misleads(label: str) -> bool:
    letters = [char for char in label if char.isalpha()]
    scripts = {unicodedata.name(char, "?").split(" ")[0] for char in letters}
    if len(scripts & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN"}) > 1:
        return True
    return "LATIN" not in scripts and bool(letters) and _LIKE_LATIN.issuperset(letters)
