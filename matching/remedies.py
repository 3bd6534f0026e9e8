"""What to do about values that are refused for one reason: the words of `prepare` and of `doctor match`, one table.

Slots: {column}, the kind of identifier that the column holds; {hash}, {arrives} and {digits}, the hash of its scheme as
people and as contracts write it, and its hex digits; {others}, the hashes of other sizes; {short}, those that a raw
value may be taken for; {pick}, {country}, {leave} and {only}, what the command itself offers (`Offer`).
"""

from __future__ import annotations

from dataclasses import dataclass

from .encodings import SIZES
from .rejects import RejectCode

_NAMES = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512"}
_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


@dataclass(frozen=True, slots=True)
class Offer:
    """What a command offers. pick: how another column is named. country: how numbers get their country, after an "or".
    leave: how such rows are left out; "" where that is no matter of the command."""

    pick: str
    country: str = ""
    leave: str = ""


def remedy(code: str, column: str, algorithm: str, offer: Offer) -> str:
    """What to do; "" where single values are wrong and nothing more can be said. algorithm: what the scheme hashes
    with."""
    if (template := _REMEDIES.get(code)) is None:
        return ""
    others = [name for name in _NAMES if name != algorithm]
    short = [name for name in others if name != "sha512"]
    return template.format(
        column=column,
        arrives=algorithm,
        hash=_NAMES[algorithm],
        digits=2 * SIZES[algorithm],
        others=_and([_NAMES[name] for name in others]),
        other_digits=_and([str(_DIGITS[name]) for name in others]),
        short=_and([_NAMES[name] for name in short]),
        short_digits=_and([str(_DIGITS[name]) for name in short]),
        pick=offer.pick,
        country=f", or {offer.country}" if offer.country else "",
        leave=f", or {offer.leave}" if offer.leave else "",
        only=f": {offer.leave}" if offer.leave else "",
    )


def _and(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


_REMEDIES: dict[str, str] = {
    RejectCode.ALREADY_HASHED: "column {column} holds hashes and the contract says raw: name the raw column with "
    "{pick}; {short} ({short_digits} hex digits) match nobody, and {hash} ({digits}) is for a "
    'contract with `identifiers.{column} = "{arrives}"`',
    RejectCode.RAW_EMAIL_IN_HASHED_COLUMN: "column {column} holds addresses and the contract says {arrives}: name the "
    'hashed one with {pick}, or agree on a contract with `identifiers.{column} = "raw"`',
    RejectCode.RAW_IN_HASHED_COLUMN: "column {column} holds raw values and the contract says {arrives}: name the "
    'hashed one with {pick}, or agree on a contract with `identifiers.{column} = "raw"`',
    RejectCode.WRONG_LENGTH: "{other_digits} hex digits are {others}, other lengths were cut off: hash the normalised "
    "values with {hash}{leave}",
    RejectCode.NOT_A_HASH: "a {hash} is {digits} hex digits of one case, or base64 with its `=`, without `0x`, quotes, "
    "colons or the `-` and `_` of URLs: write it so{leave}",
    RejectCode.BASE64_OF_HEX: "they hold hex text that was put into base64: decode column {column} once",
    RejectCode.HEX_OF_HEX: "they hold hex text that was put into hex again: decode column {column} once",
    RejectCode.ENCODED_TWICE: "they hold base64 text that was encoded again: decode column {column} once",
    RejectCode.HASHED_TWICE: "the hash of the hash of a known value shows that column {column} was hashed twice: hash "
    "the normalised values once",
    RejectCode.HASH_OF_NOTHING: "they are hashes of empty values{only}",
    RejectCode.NO_COUNTRY: "say in the contract whose numbers come without their code, with the data set's line "
    '`country = "US"`{country}, or write them with + and code{leave}',
    RejectCode.AMBIGUOUS: "write them with a +{leave}",
    RejectCode.DIGITS: "a digit is missing, or they are of another country than is declared: mend them{leave}",
    RejectCode.LETTERS: "write numbers as digits, without extensions: mend them{leave}",
    RejectCode.ALL_ZERO: "these devices have tracking switched off, nobody can match them{only}",
    RejectCode.NO_HYPHENS: "write device IDs in groups of 8-4-4-4-12; where column {column} holds MD5, they match "
    "nobody",
    RejectCode.NO_TIME: "write each address with the time it was seen at, such as `203.0.113.7 2026-11-29T10:03:00Z`",
    RejectCode.TEST_VALUE: "the contract refuses what is nobody's{only}",
    RejectCode.UNLIKELY: "the contract refuses what is no plain address: export `jo@b.de`, not `Jo <jo@b.de>` or "
    "`mailto:jo@b.de`{leave}",
    RejectCode.LOOK_ALIKE: "the contract refuses domains that mislead{only}",
    RejectCode.FOREIGN_MAILBOX: "the contract refuses addresses that conventions disagree on{only}",
    RejectCode.FOREIGN_DOMAIN: "the contract refuses domains that conventions disagree on: write them as "
    "`xn--...`{leave}",
}
