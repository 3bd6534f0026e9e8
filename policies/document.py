"""A TOML document written by people: read once, with every mistake named in plain words.

Refused: more than 1 MB, text that is not UTF-8, doubled keys, keys that nest deeper than any contract does, and what
TOML itself refuses. What is said about a mistake names its place and its rule, never the value.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

LARGEST_FILE = 1_000_000
"""Bytes of a contract or job that are read before it is refused."""
MOST_DOTS = 40
"""Dots in one key: tomllib takes memory in the square of them."""
LONGEST_PLACE = 120

_DOUBLED = re.compile(r"overwrite|twice|[Mm]utate|namespace")
_TOKEN = re.compile(
    r'(?P<part>"""(?:(?:\\.|[^\\])*?"{3,5})?'
    r"|'''(?:.*?'{3,5})?"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'|[\w+:-]+|[ \t]+)"
    r"|#[^\n]*|.",
    re.DOTALL,
)
"""Part of a key, or what stands between keys. Quotes that nothing closes stand alone."""
_UNCLOSED = frozenset(('"""', "'''", '"', "'"))


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a contract or job: where it is, which rule it breaks, what to do."""

    where: str
    rule: str
    remedy: str


class InvalidContract(Exception):
    """A contract or job that cannot be used, with every mistake found. what: "contract" or "job"."""

    def __init__(self, what: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(what, problems)
        self.what, self.problems = what, problems


def read_document(path: Path) -> bytes:
    """The bytes of a document, cut where it is too large to be one: `read_toml` refuses those. Errors: OSError."""
    with path.open("rb") as file:
        return file.read(LARGEST_FILE + 1)


def read_toml(data: bytes, what: str) -> dict[str, object]:
    """TOML with one clear problem where it is not. Errors: InvalidContract."""
    try:
        return _parsed(data)
    except _NotToml as error:
        raise InvalidContract(what, (error.problem,)) from None


class _NotToml(Exception):
    def __init__(self, where: str, rule: str, remedy: str) -> None:
        super().__init__(where, rule)
        self.problem = Problem(where, rule, remedy)


def _parsed(data: bytes) -> dict[str, object]:
    if len(data) > LARGEST_FILE:
        raise _NotToml("file", "it is larger than 1 MB", "this is no contract or job")
    try:
        text = data.decode("utf-8")
        _refuse_depth(text)
        return tomllib.loads(text)
    except UnicodeDecodeError:
        raise _NotToml("file", "it is not UTF-8 text", "save it as plain UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _grammar(str(error)) from None
    except RecursionError:
        raise _NotToml("file", "it nests too deep", "write it flat; `passbox contract new` shows the shape") from None
    except ValueError:  # an integer of thousands of digits
        raise _NotToml("file", "a number in it is too long", "mend that number") from None


def _refuse_depth(text: str) -> None:
    dots = 0
    for token in _TOKEN.finditer(text):
        if token[0] in _UNCLOSED:  # there the parser ends, too
            return
        if token[0] == ".":
            dots += 1
        elif token.lastgroup is None:
            dots = 0
        if dots > MOST_DOTS:
            line = text.count("\n", 0, token.start()) + 1
            raise _NotToml(f"line {line}", "its keys nest too deep", "write it flat, as `passbox contract new` does")


def _grammar(message: str) -> _NotToml:
    """tomllib's message holds keys and characters of the file: only its place is passed on."""
    place = re.search(r"\(at ((?:line \d+, column \d+)|end of document)\)", message)
    doubled = "a key stands twice" if _DOUBLED.search(message) else "it is not valid TOML there"
    return _NotToml(place[1] if place else "file", doubled, "mend that line; `passbox contract new` shows the shape")


def shape_problems(error: ValidationError) -> list[Problem]:
    """pydantic's findings as one line each, without the values."""
    found = error.errors(include_input=False, include_url=False)
    return [
        _unknown_kind(place(*item["loc"]), item["ctx"]["expected_tags"])
        if item["type"] == "union_tag_invalid"
        else _shape_problem(place(*item["loc"]), item["type"], item["msg"])
        for item in found
    ]


def _unknown_kind(where: str, known: str) -> Problem:
    """known: pydantic's list of those it expected, in quotes; what was written is left out."""
    names = known.replace("'", "")
    return Problem(where, "this kind is not known", f"use one of {names}")


def place(*parts: object) -> str:
    """Where something is, as a dotted path; long keys are cut."""
    dotted = ".".join(str(part) for part in parts)
    return dotted if len(dotted) <= LONGEST_PLACE else dotted[: LONGEST_PLACE - 1] + "…"


_SHAPES = {
    "extra_forbidden": ("this key is not known", "remove it, or mend its spelling"),
    "missing": ("this key is missing", "add it; `passbox contract new` shows the shape"),
    "string_pattern_mismatch": ("it has characters or a length that are not allowed here", "use plain short text"),
    "string_type": ("it must be text", 'write it in "quotes"'),
    "int_type": ("it must be a whole number", "write it without quotes or a point"),
    "int_parsing_size": ("it is too large a number", "write a smaller one"),
    "float_type": ("it must be a number", "write it without quotes"),
    "finite_number": ("it must be a finite number", "write a plain number"),
    "bool_type": ("it must be true or false", "write it without quotes"),
    "list_type": ("it must be a list", "write it in [brackets]"),
    "dict_type": ("it must be a table", "write it as a [table] or in {braces}"),
    "model_type": ("it must be a table", "write it as a [table] or in {braces}"),
    "model_attributes_type": ("it must be a table", "write it as a [table] or in {braces}"),
    "date_type": ("it must be a day", "write it as 2027-03-31, without quotes"),
    "too_short": ("it has too few entries", "add what is missing"),
    "too_long": ("it has too many entries", "shorten it"),
    "union_tag_not_found": ('it does not say its "kind"', "add kind; `passbox contract new` shows the shape"),
}
_SAYS_A_RULE = {"literal_error", "value_error", "greater_than", "greater_than_equal", "less_than", "less_than_equal"}


def _shape_problem(where: str, kind: str, message: str) -> Problem:
    rule, remedy = _SHAPES.get(kind, ("it is not what belongs here", "`passbox contract new` shows the shape"))
    if kind in _SAYS_A_RULE:  # these name what is allowed, and nothing of what was written
        rule = message.removeprefix("Value error, ").replace("Input should be", "it must be")
        remedy = "mend the value"
    return Problem(where, rule[:1].lower() + rule[1:], remedy)
