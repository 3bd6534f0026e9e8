"""What was typed wrong, in plain words. The parser's own speak of types and parsing."""

from __future__ import annotations

import re
from typing import Any

from .explanation import USAGE, Explanation


def usage(error: Any, command: str) -> Explanation:
    """The words for an error of the parser. command: what was typed up to its options, for the hint."""
    words = _WORDS.get(type(error).__name__, _others)(error)
    return Explanation("usage", words, f"`{command} --help` shows how", USAGE)


def _unreadable(error: Any) -> str:
    if limit := re.search(r"(greater|less) than or equal to (-?[\d.]+)", error.message):
        side = {"greater": "at least", "less": "at most"}[limit[1]]
        return f"`{_named(error.param)}` is {side} {float(limit[2]):,.7g}"
    kind = next((plain for word, plain in _KINDS.items() if word in error.message), "something else")
    return f"`{_named(error.param)}` takes {kind}"


_KINDS = {"integer": "a whole number", "number": "a number", "path": "a path", "bool": "no value"}


def _missing(error: Any) -> str:
    return f"`{_named(error.param)}` is missing"


def _named(parameter: Any) -> str:
    return str(parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar)


def _no_option(error: Any) -> str:
    alike = f"; did you mean `{'` or `'.join(error.possibilities)}`?" if error.possibilities else ""
    return f"there is no option `{error.option_name}`{alike}"


def _others(error: Any) -> str:
    said = error.format_message().rstrip(".").replace("No such command", "there is no command")
    return str(said[:1].lower() + said[1:])


_WORDS = {"BadParameter": _unreadable, "MissingParameter": _missing, "NoSuchOption": _no_option}
