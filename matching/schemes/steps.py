"""The named steps a scheme may list. Each takes a text and gives the next text, or why it is no such identifier.

A step's meaning never changes: a correction is a step of another name in a scheme of a higher version. Here are those
for text and e-mail; `phones`, `devices` and `addresses` have the others.

trim-spaces, remove-spaces: U+0020 only.
trim-whitespace, remove-whitespace: the six of ASCII (space, tab, line feed, vertical tab, form feed,
return). White space beyond ASCII is left in, and then refused as invisible: published programs disagree on
whether it is trimmed.
lower-ascii, upper-ascii: A-Z only. lower-unicode: every cased character, by Unicode's locale-free mapping.
one-at: exactly one @ with something on both sides. dotted-domain: something before the last @, and after it
a dot with something on both sides.
drop-suffix: the first + before the @ and what follows it up to the @. drop-dots: the dots before the @.
Both for the domains listed, `*` standing for all; a mailbox that is empty afterwards is refused. No step
composes or decomposes Unicode.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import TypeAlias

from ..rejects import RejectCode
from .setting import Setting

WHITESPACE = " \t\n\v\f\r"
Step: TypeAlias = Callable[[str, Setting], str | RejectCode]

_NO_WHITESPACE = str.maketrans("", "", WHITESPACE)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def trim_spaces(text: str, _: Setting) -> str:
    return text.strip(" ")


def trim_whitespace(text: str, _: Setting) -> str:
    return text.strip(WHITESPACE)


def remove_spaces(text: str, _: Setting) -> str:
    return text.replace(" ", "")


def remove_whitespace(text: str, _: Setting) -> str:
    return text.translate(_NO_WHITESPACE)


def lower_ascii(text: str, _: Setting) -> str:
    return text.lower() if text.isascii() else text.translate(_LOWER)


def upper_ascii(text: str, _: Setting) -> str:
    return text.upper() if text.isascii() else text.translate(_UPPER)


def lower_unicode(text: str, _: Setting) -> str:
    return text.lower()


def one_at(text: str, _: Setting) -> str | RejectCode:
    mailbox, at, domain = text.partition("@")
    return text if mailbox and domain and at and "@" not in domain else RejectCode.NOT_AN_EMAIL


def dotted_domain(text: str, _: Setting) -> str | RejectCode:
    mailbox, _at, domain = text.rpartition("@")
    return text if mailbox and "." in domain[1:-1] else RejectCode.NOT_AN_EMAIL


def drop_suffix(domains: frozenset[str]) -> Step:
    """Steps that cut the + suffix of a mailbox at one of `domains`."""
    return _on_mailbox(domains, lambda mailbox: mailbox.partition("+")[0])


def drop_dots(domains: frozenset[str]) -> Step:
    """Steps that take the dots out of a mailbox at one of `domains`."""
    return _on_mailbox(domains, lambda mailbox: mailbox.replace(".", ""))


def _on_mailbox(domains: frozenset[str], change: Callable[[str], str]) -> Step:
    everywhere = "*" in domains

    def step(text: str, _: Setting) -> str | RejectCode:
        mailbox, _at, domain = text.rpartition("@")
        if not everywhere and domain not in domains:
            return text
        kept = change(mailbox)
        return f"{kept}@{domain}" if kept else RejectCode.NOT_AN_EMAIL

    return step


STEPS: dict[str, Step] = {
    "trim-spaces": trim_spaces,
    "trim-whitespace": trim_whitespace,
    "remove-spaces": remove_spaces,
    "remove-whitespace": remove_whitespace,
    "lower-ascii": lower_ascii,
    "upper-ascii": upper_ascii,
    "lower-unicode": lower_unicode,
    "one-at": one_at,
    "dotted-domain": dotted_domain,
}
BY_DOMAIN: dict[str, Callable[[frozenset[str]], Step]] = {"drop-suffix": drop_suffix, "drop-dots": drop_dots}
