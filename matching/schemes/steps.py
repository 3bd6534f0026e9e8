"""The named steps a scheme may list. Each takes a text and gives the next text, or None when it is no such
identifier.

A step's meaning never changes: a correction is a step of another name in a scheme of a higher version.

trim-spaces, remove-spaces: U+0020 only.
trim-whitespace, remove-whitespace: the six of ASCII (space, tab, line feed, vertical tab, form feed,
return). White space beyond ASCII is left in, and then refused as invisible: published programs disagree on
whether it is trimmed.
lower-ascii: A-Z only. lower-unicode: every cased character, by Unicode's locale-free mapping.
one-at: exactly one @ with something on both sides. dotted-domain: something before the last @, and after it
a dot with something on both sides.
drop-suffix: the first + before the @ and what follows it up to the @. drop-dots: the dots before the @.
Both for the domains listed, `*` standing for all; a mailbox that is empty afterwards is refused. No step
composes or decomposes Unicode.
"""

from __future__ import annotations

import string
from collections.abc import Callable

WHITESPACE = " \t\n\v\f\r"
Step = Callable[[str], str | None]

_NO_WHITESPACE = str.maketrans("", "", WHITESPACE)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def trim_spaces(text: str) -> str:
    return text.strip(" ")


def trim_whitespace(text: str) -> str:
    return text.strip(WHITESPACE)


def remove_spaces(text: str) -> str:
    return text.replace(" ", "")


def remove_whitespace(text: str) -> str:
    return text.translate(_NO_WHITESPACE)


def lower_ascii(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_LOWER)


def lower_unicode(text: str) -> str:
    return text.lower()


def one_at(text: str) -> str | None:
    mailbox, at, domain = text.partition("@")
    return text if mailbox and domain and at and "@" not in domain else None


def dotted_domain(text: str) -> str | None:
    mailbox, _, domain = text.rpartition("@")
    return text if mailbox and "." in domain[1:-1] else None


def drop_suffix(domains: frozenset[str]) -> Step:
    """Steps that cut the + suffix of a mailbox at one of `domains`."""
    return _on_mailbox(domains, lambda mailbox: mailbox.partition("+")[0])


def drop_dots(domains: frozenset[str]) -> Step:
    """Steps that take the dots out of a mailbox at one of `domains`."""
    return _on_mailbox(domains, lambda mailbox: mailbox.replace(".", ""))


def _on_mailbox(domains: frozenset[str], change: Callable[[str], str]) -> Step:
    everywhere = "*" in domains

    def step(text: str) -> str | None:
        mailbox, _, domain = text.rpartition("@")
        if not everywhere and domain not in domains:
            return text
        kept = change(mailbox)
        return f"{kept}@{domain}" if kept else None

    return step


PLAIN: dict[str, Step] = {
    "trim-spaces": trim_spaces,
    "trim-whitespace": trim_whitespace,
    "remove-spaces": remove_spaces,
    "remove-whitespace": remove_whitespace,
    "lower-ascii": lower_ascii,
    "lower-unicode": lower_unicode,
    "one-at": one_at,
    "dotted-domain": dotted_domain,
}
BY_DOMAIN: dict[str, Callable[[frozenset[str]], Step]] = {"drop-suffix": drop_suffix, "drop-dots": drop_dots}
