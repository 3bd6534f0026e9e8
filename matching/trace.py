"""What a scheme does to one value, step by step and in words: for whoever holds the value, on their own screen."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass

from .identifiers import refused_after, refused_before
from .rejects import RejectCode
from .schemes import NamedStep, Rule, load
from .schemes.setting import NOTHING_DECLARED, Setting
from .suspects import suspicion


@dataclass(frozen=True, slots=True)
class Traced:
    """One step. words: what it does. text: what the value is after it; the same as before where it refused."""

    name: str
    words: str
    text: str
    refused: RejectCode | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of a value under a scheme. digest: None where it is rejected. suspect: what is odd about it."""

    normalised: str | None
    digest: bytes | None
    hash: str
    rejected: RejectCode | None
    suspect: RejectCode | None = None

    @property
    def hex(self) -> str | None:
        return self.digest.hex() if self.digest is not None else None

    @property
    def base64(self) -> str | None:
        return b64encode(self.digest).decode() if self.digest is not None else None


def trace(scheme: str, kind: str, text: str, setting: Setting = NOTHING_DECLARED) -> list[Traced]:
    """Every step up to the one that refused. Errors: UnknownScheme, UnknownKind, WindowMissing."""
    refused = refused_before(kind, text)
    steps = [Traced("check", "not empty, not too long, not hashed already", text, refused)]
    for each in load(scheme).rule(kind).steps if refused is None else ():
        result = each.step(text, setting)
        if isinstance(result, RejectCode):
            return [*steps, Traced(each.name, words(each), text, result)]
        text = result
        steps.append(Traced(each.name, words(each), text))
    if refused is None:
        steps.append(Traced("check", "nothing invisible in it", text, refused_after(text)))
    return steps


def outcome(scheme: str, kind: str, text: str, setting: Setting = NOTHING_DECLARED) -> Outcome:
    """The normalised value and its hash, or why there is none. Errors: as `trace`."""
    rule, last = load(scheme).rule(kind), trace(scheme, kind, text, setting)[-1]
    if last.refused is not None:
        return rejected(rule, last.refused)
    digest = hashlib.new(rule.hash, last.text.encode()).digest()
    return Outcome(last.text, digest, rule.hash, None, suspicion(kind, last.text))


def rejected(rule: Rule, code: RejectCode) -> Outcome:
    """What comes of bytes that are not even text, for example."""
    return Outcome(None, None, rule.hash, code)


def words(step: NamedStep) -> str:
    """What a step does, for people."""
    listed = "any domain" if "*" in step.options else " and ".join(step.options)
    return _WORDS[step.name].format(options=listed, first=(step.options or ("",))[0], last=(step.options or ("",))[-1])


_WORDS = {
    "trim-spaces": "spaces at either end go",
    "trim-whitespace": "white space at either end goes",
    "remove-spaces": "spaces go, inside too",
    "remove-whitespace": "white space goes, inside too",
    "lower-ascii": "A-Z become a-z",
    "upper-ascii": "a-z become A-Z",
    "lower-unicode": "capital letters of any alphabet become small",
    "one-at": "there is one @ with something on both sides",
    "dotted-domain": "after the last @ comes a domain with a dot",
    "drop-suffix": "at {options}, a + and what follows it before the @ go",
    "drop-dots": "at {options}, dots before the @ go",
    "double-zero": "00 in front becomes +",
    "assume-plus": "digits alone are taken to carry their country code, where no country is declared",
    "e164": "a number becomes +, country code and number, {first} to {last} digits",
    "drop-plus": "the + goes",
    "drop-country-code": "the country code goes",
    "uuid": "32 hex digits in groups of 8-4-4-4-12, not all zero",
    "android-id": "16 hex digits, not all zero",
    "device-id": "a device's ID: groups of hex digits in small letters, or another kind as it is",
    "opaque": "anything but a word for nothing",
    "household": "an address and the time it was seen at become a household and a window",
}
