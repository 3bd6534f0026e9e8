"""Published normalisation conventions as versioned data: one TOML file a scheme, read from the package.

    name = "uid2@1"                    # as a contract pins it; the file is uid2-1.toml
    source = "https://..."             # where the rule is published
    [email]                            # one table a kind of identifier
    encoding = "base64"                # how this convention writes a hash as text: hex | base64
    hash = "sha256"                    # or sha1, where it says so; sha256 where left out
    steps = [                          # in order; steps.py says what each one does
      { do = "trim-spaces" },
      { do = "drop-dots", domains = ["gmail.com"] },
    ]
    [phone]
    encoding = "base64"
    steps = [{ do = "e164", digits = [10, 15] }]

A published file is never edited in meaning: a changed rule is a new version beside it, since lists hashed
under the old one still exist. Rejected: an unknown key, step, encoding, hash or kind, a name that is not the
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

from ..rejects import RejectCode
from . import addresses, devices, phones, steps
from .phones import BY_DIGITS
from .setting import NOTHING_DECLARED, Setting
from .steps import BY_DOMAIN, Step

KINDS = ("email", "phone", "idfa", "gaid", "maid", "android-id", "ctv", "ip", "first-party")
"""maid: an advertising ID of either system, where a convention writes both alike. ctv: the ID of a television."""
ENCODINGS = ("hex", "base64")
HASHES = ("sha256", "sha1")
PLAIN: Mapping[str, Step] = {**steps.STEPS, **phones.STEPS, **devices.STEPS, **addresses.STEPS}
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
class NamedStep:
    """One step as its file lists it. options: the domains or the digits it was given, as text."""

    name: str
    options: tuple[str, ...]
    step: Step


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of identifier is normalised, step by step, and how the convention hashes and writes it."""

    steps: tuple[NamedStep, ...]
    encoding: str
    hash: str = "sha256"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.steps)

    def apply(self, text: str, setting: Setting = NOTHING_DECLARED) -> str | RejectCode:
        """The normalised text, or why it is no such identifier. Errors: WindowMissing."""
        for each in self.steps:
            result = each.step(text, setting)
            if isinstance(result, RejectCode):
                return result
            text = result
        return text


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
    except (ValueError, RecursionError):  # numbers of thousands of digits and deep brackets have errors of their own
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
    if not isinstance(table, dict) or not {"encoding", "steps"} <= set(table) <= {"encoding", "steps", "hash"}:
        raise BadScheme(file, "keys")
    encoding, steps, hashed = table["encoding"], table["steps"], table.get("hash", "sha256")
    if encoding not in ENCODINGS:
        raise BadScheme(file, "encoding")
    if hashed not in HASHES:
        raise BadScheme(file, "hash")
    if not isinstance(steps, list) or not steps:
        raise BadScheme(file, "steps")
    return Rule(tuple(_step(file, step) for step in steps), encoding, hashed)


def _step(file: str, step: object) -> NamedStep:
    if not isinstance(step, dict):
        raise BadScheme(file, "step")
    name, domains, digits = step.get("do"), step.get("domains"), step.get("digits")
    if not isinstance(name, str):
        raise BadScheme(file, "step")
    if name in PLAIN and set(step) == {"do"}:
        return NamedStep(name, (), PLAIN[name])
    if name in BY_DOMAIN and set(step) == {"do", "domains"} and _are_domains(domains):
        return NamedStep(name, tuple(domains), BY_DOMAIN[name](frozenset(domains)))
    if name in BY_DIGITS and set(step) == {"do", "digits"} and _are_digits(digits):
        return NamedStep(name, tuple(map(str, digits)), BY_DIGITS[name](*digits))
    raise BadScheme(file, "step")


def _are_domains(domains: object) -> TypeGuard[list[str]]:
    return isinstance(domains, list) and bool(domains) and all(isinstance(d, str) and d for d in domains)


def _are_digits(digits: object) -> TypeGuard[list[int]]:
    if not isinstance(digits, list) or len(digits) != 2 or not all(type(count) is int for count in digits):
        return False
    return bool(1 <= digits[0] <= digits[1] <= 15)
