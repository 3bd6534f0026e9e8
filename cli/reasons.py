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
    "unlikely-address": "a name, quotes, mailto: or white space with the address, or a domain without a dot: no plain "
    "address is hashed so",
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
    "wrong-length": "a hash of another size than the scheme makes, or one that was cut off",
    "base64-of-hex": "hex text that was put into base64",
    "hex-of-hex": "hex text that was put into hex again",
    "encoded-twice": "base64 text that was encoded again",
    "hashed-twice": "the hash of the hash of a known value",
    "hash-of-nothing": "the hash of an empty value, of a filler or of a zero ID",
    "not-a-hash": "neither hex digits of one case, as many as the scheme's hash has, nor base64 with its =",
}


def remedy(rejects: Mapping[str, int], hashes: Mapping[str, str], *, others: bool = True) -> str:
    """What to do about the commonest reason, where it is the contract or the wrong column rather than single cells.

    hashes: what the contract's scheme hashes each kind with. others: whether there are rows without it, so that these
    may be left out.
    """
    from ..matching.remedies import Offer
    from ..matching.remedies import remedy as words

    reason = max(sorted(rejects), key=lambda reason: (_tells(reason), rejects[reason]), default="")
    kind, _, code = reason.partition(": ")
    leave = "leave these rows out with `--max-rejects`" if others else ""
    offer = Offer(f"`--column {kind}=COLUMN`", leave=leave)
    return words(code, kind, hashes.get(kind, "sha256"), offer)


def _tells(reason: str) -> bool:
    """Whether one row is enough: the whole column was made as this one was."""
    return reason.endswith(": hashed-twice")
