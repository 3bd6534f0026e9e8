"""Published normalisation conventions as versioned data: one TOML file a scheme, read from the package.

    name = "uid2@1"                    # as a contract pins it; the file is uid2-1.toml
    source = "https://..."             # where the rule is published
    [email]                            # one table a kind of identifier
    encoding = "base64"                # how this convention writes a SHA-256 as text: hex | base64
    steps = [                          # in order; steps.py says what each one does
      { do = "trim-spaces" },
      { do = "drop-dots", domains = ["gmail.com"] },
    ]

A published file is never edited in meaning: a changed rule is a new version beside it, since lists hashed
under the old one still exist. Rejected: an unknown key, step, encoding or kind, a name that is not the
file's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TypeGuard

from .steps import BY_DOMAIN, PLAIN, Step

KINDS = ("email",)
ENCODINGS = ("hex", "base64")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*@[1-9][0-9]*")


class UnknownScheme(Exception):
    """No scheme of that name ships with this version."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name, self.known = name, known


class UnknownKind(Exception):
    """The scheme says nothing about identifiers of that kind."""

    def __init__(self, scheme: str, kind: str, known: tuple[str, ...]) -> None:
        super().__init__(scheme, kind, known)
        self.scheme, self.kind, self.known = scheme, kind, known


class BadScheme(Exception):
    """A scheme file does not follow the format above."""

    def __init__(self, file: str, rule: str) -> None:
        super().__init__(file, rule)
        self.file, self.rule = file, rule


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of identifier is normalised, step by step, and how the convention writes its hash."""

    names: tuple[str, ...]
    steps: tuple[Step, ...]
    encoding: str

    def apply(self, text: str) -> str | None:
        """The normalised text, or None when the text is no such identifier."""
        current: str | None = text
        for step in self.steps:
            if current is None:
                return None
            current = step(current)
        return current


@dataclass(frozen=True, slots=True)
class Scheme:
    """One published convention at one version."""

    name: str
    source: str
    rules: Mapping[str, Rule]

    def rule(self, kind: str) -> Rule:
        """The rule for a kind of identifier. Errors: UnknownKind."""
        if kind not in self.rules:
            raise UnknownKind(self.name, kind, tuple(self.rules))
        return self.rules[kind]


@cache
def known() -> tuple[str, ...]:
    """The names of all schemes, sorted."""
    files = (entry.name for entry in resources.files(__package__).iterdir())
    return tuple(sorted(_scheme_name(file) for file in files if file.endswith(".toml")))


@cache
def load(name: str) -> Scheme:
    """The scheme of that name, such as `uid2@1`. Errors: UnknownScheme, BadScheme."""
    if name not in known():
        raise UnknownScheme(name, known())
    file = name.replace("@", "-") + ".toml"
    text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    return parse(file, text)


def parse(file: str, text: str) -> Scheme:
    """A scheme from the text of its file. Errors: BadScheme."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise BadScheme(file, "not TOML") from None
    name, source = data.pop("name", None), data.pop("source", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name != _scheme_name(file):
        raise BadScheme(file, "name")
    if not isinstance(source, str) or not source:
        raise BadScheme(file, "source")
    if not data or not set(data) <= set(KINDS):
        raise BadScheme(file, "kind")
    return Scheme(name, source, MappingProxyType({kind: _rule(file, table) for kind, table in data.items()}))


def _scheme_name(file: str) -> str:
    return "@".join(file.removesuffix(".toml").rsplit("-", 1))


def _rule(file: str, table: object) -> Rule:
    if not isinstance(table, dict) or set(table) != {"encoding", "steps"}:
        raise BadScheme(file, "keys")
    encoding, steps = table["encoding"], table["steps"]
    if encoding not in ENCODINGS:
        raise BadScheme(file, "encoding")
    if not isinstance(steps, list) or not steps:
        raise BadScheme(file, "steps")
    names, parsed = zip(*(_step(file, step) for step in steps), strict=True)
    return Rule(names, parsed, encoding)


def _step(file: str, step: object) -> tuple[str, Step]:
    if not isinstance(step, dict):
        raise BadScheme(file, "step")
    name, domains = step.get("do"), step.get("domains")
    if name in PLAIN and set(step) == {"do"}:
        return name, PLAIN[name]
    if name in BY_DOMAIN and set(step) == {"do", "domains"} and _are_domains(domains):
        return name, BY_DOMAIN[name](frozenset(domains))
    raise BadScheme(file, "step")


def _are_domains(domains: object) -> TypeGuard[list[str]]:
    return isinstance(domains, list) and bool(domains) and all(isinstance(d, str) and d for d in domains)
