"""Why a value was rejected, in words: what each reason means, and what to do where a whole column has it."""

from __future__ import annotations

from collections.abc import Mapping


def meaning(code: str) -> str:
    """What a reason says about a value; "" for one that is not about identifiers."""
    return _MEANINGS.get(code, "")


_MEANINGS = {
    "empty": "nothing, or white space only",
    "filler": "what programs write for nothing",
    "not-utf8": "bytes that are no UTF-8 text",
    "too-long": "longer than any such identifier",
    "control-character": "an invisible character: programs disagree on whether it is trimmed",
    "not-an-email": "no address of the shape the scheme asks for",
    "test-value": "set aside for tests and manuals: nobody has it",
    "domain-beyond-ascii": "no convention says whether such a domain is hashed as written or as xn--...",
    "look-alike-domain": "letters of another script, or with marks, that look like others",
    "mailbox-beyond-ascii": "no convention says how letters beyond a-z are written before the @",
    "not-a-phone": "no telephone number",
    "letters-in-number": "letters, an extension or a code in a number: no convention hashes them",
    "no-country-code": "a number without its country code, and no country is declared",
    "ambiguous-number": "without a +, it is one number of its country, and another that carries its country code",
    "unknown-country-code": "a number whose country code belongs to no country",
    "wrong-number-of-digits": "too few or too many digits for a number of its country",
    "not-a-device-id": "no device ID of that kind",
    "no-hyphens": "32 hex digits without hyphens: a device ID that lost them, or an MD5",
    "all-zero": "what a device says when tracking is off: the same for everybody",
    "not-an-ip-address": "no IP address",
    "private-address": "a private, shared or reserved address: nobody's household",
    "no-time": "an IP address without the time it was seen at, or a time without Z or an offset",
    "already-hashed": "a hash where a raw value was expected",
    "raw-email-in-hashed-column": "a raw address where a hash was expected",
    "raw-in-hashed-column": "a raw number, device ID or IP address where a hash was expected",
    "wrong-length": "a hash of another size: MD5, SHA-1, SHA-512, or one that was cut off",
    "base64-of-hex": "hex text that was put into base64",
    "hex-of-hex": "hex text that was put into hex again",
    "encoded-twice": "base64 text that was encoded again",
    "hashed-twice": "the hash of the hash of a known value",
    "hash-of-nothing": "the hash of an empty value, of a filler or of a zero ID",
    "not-a-hash": "neither 64 hex digits of one case nor base64 with its =",
}


def remedy(rejects: Mapping[str, int]) -> str:
    """What to do about the commonest reason, where it is the contract or the wrong column rather than single cells."""
    reason = max(sorted(rejects), key=lambda reason: (_tells(reason), rejects[reason]), default="")
    column, _, code = reason.partition(": ")
    return _REMEDIES.get(code, "").format(column=column)


def _tells(reason: str) -> bool:
    """Whether one row is enough: the whole column was made as this one was."""
    return reason.endswith(": hashed-twice")


_REMEDIES = {
    "already-hashed": "column {column} holds hashes and the contract says raw: name the raw column with "
    "`--column {column}=COLUMN`; MD5 and SHA-1 (32 and 40 hex digits) match nobody, and SHA-256 (64) is for a "
    'contract with `identifiers.{column} = "sha256"`',
    "raw-email-in-hashed-column": "column {column} holds addresses and the contract says sha256: name the hashed one "
    'with `--column {column}=COLUMN`, or agree on a contract with `identifiers.{column} = "raw"`',
    "wrong-length": "32, 40 and 128 hex digits are MD5, SHA-1 and SHA-512, other lengths were cut off: hash the "
    "normalised values with SHA-256, or leave these rows out with `--max-rejects`",
    "not-a-hash": "a hash is 64 hex digits of one case, or base64 with its `=`, without `0x`, quotes, colons or the "
    "`-` and `_` of URLs: write it so, or leave these rows out with `--max-rejects`",
    "base64-of-hex": "they hold hex text that was put into base64: decode column {column} once",
    "hex-of-hex": "they hold hex text that was put into hex again: decode column {column} once",
    "encoded-twice": "they hold base64 text that was encoded again: decode column {column} once",
    "hashed-twice": "the hash of the hash of a known value shows that column {column} was hashed twice: hash the "
    "normalised values once",
    "hash-of-nothing": "they are hashes of empty values: leave these rows out with `--max-rejects`",
    "raw-in-hashed-column": "column {column} holds raw values and the contract says it is hashed: name the hashed one "
    'with `--column {column}=COLUMN`, or agree on a contract with `identifiers.{column} = "raw"`',
    "no-country-code": "say in the contract whose numbers come without their code, with the data set's line "
    '`country = "US"`, or write them with + and code, or leave these rows out with `--max-rejects`',
    "ambiguous-number": "write them with a +, or leave these rows out with `--max-rejects`",
    "letters-in-number": "write numbers as digits, without extensions: mend them, or leave these rows out with "
    "`--max-rejects`",
    "all-zero": "these devices have tracking switched off: leave these rows out with `--max-rejects`",
    "no-hyphens": "write device IDs in groups of 8-4-4-4-12; where column {column} holds MD5, they match nobody",
    "no-time": "write each address with the time it was seen at, such as `203.0.113.7 2026-11-29T10:03:00Z`",
    "test-value": "the contract refuses what is nobody's: leave these rows out with `--max-rejects`",
    "mailbox-beyond-ascii": "the contract refuses addresses that conventions disagree on: leave these rows out with "
    "`--max-rejects`",
    "look-alike-domain": "the contract refuses domains that mislead: leave these rows out with `--max-rejects`",
    "domain-beyond-ascii": "the contract refuses domains that conventions disagree on: write them as `xn--...`, or "
    "leave these rows out with `--max-rejects`",
}
