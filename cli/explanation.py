"""An explanation: one line, one hint and one exit code, as a person reads them and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

DONE, INTERNAL, USAGE, BAD_INPUT, SIGNATURE, REFUSED, BUDGET, STORAGE = range(8)
STOPPED = 130

AGAIN = "type it again, nothing is charged twice"
"""True wherever a command stopped: what was charged is in the ledger, with the noise that it paid for."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person reads. rule: a short stable code."""

    rule: str
    message: str
    hint: str
    exit: int

    def as_json(self) -> dict[str, dict[str, str | int]]:
        return {"error": {"rule": self.rule, "message": self.message, "hint": self.hint, "exit": self.exit}}


Words: TypeAlias = Callable[[Any], Explanation]
"""What is said of an error of one class."""


def simple(rule: str, message: str, hint: str, exit_code: int) -> Words:
    """The same words whatever it carries. message, hint: templates; `e` is the error."""

    def words(error: Any) -> Explanation:
        return Explanation(rule, message.format(e=error), hint.format(e=error), exit_code)

    return words


def placed(rule: str, exit_code: int) -> Words:
    """Errors that carry path, rule and remedy."""

    def words(error: Any) -> Explanation:
        code = SIGNATURE if getattr(error, "tampered", False) else exit_code
        return Explanation(rule, f"{error.path}: {error.rule}", error.remedy, code)

    return words


def tell(words: Explanation, as_json: bool) -> int:
    """Print an error's words where they belong, and give its exit code."""
    from .show import note, print_json

    if as_json:
        print_json(words.as_json())
    elif words.exit == STOPPED:
        note(f"{words.message}; {words.hint}")
    else:
        note(f"error: {words.message}", "bold red")
        note(f"hint: {words.hint}", "dim")
    sys.stdout.flush()
    return words.exit
