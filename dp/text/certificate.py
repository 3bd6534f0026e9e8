"""A certificate: what was promised about words, in a form that someone else can check. One JSON object.

    format      "passbox text certificate v1"
    mechanism   exponential (rate solved for) | halved (rate ε / 2, as in textbooks) | euclidean | hyperbolic
    vocabulary  SHA-256 of its words and vectors (`dp.text.vocabulary`), words and dimensions: how many
    table       SHA-256 of the words that a word may become, one a line; size: how many
    values      whether the table is a list of declared values instead of the vocabulary's own words
    epsilon     for one unit of distance between two words of the table
    rate, reach, crowd   of an exponential mechanism (`dp.text.weights`)
    worst       the largest log-ratio for one unit of distance, over all pairs; at most epsilon
    any_two     the largest log-ratio of any two words, where there is one: plain local ε of one word

Decimals are strings, so that everybody reads the same number. Unknown keys are refused. Euclidean and hyperbolic noise
keep their ε by proof, whatever the vocabulary; there `worst` is `epsilon`, and there is no `any_two`.
"""

from __future__ import annotations

import hashlib
import json
from decimal import ROUND_CEILING, Decimal
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..canonical import named_once
from .ratio import DIGITS
from .weights import Score

MechanismName: TypeAlias = Literal["exponential", "halved", "euclidean", "hyperbolic"]
Hex = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Number = Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,6})(\.\d{1,9})?$")]
Count = Annotated[int, Field(ge=1, le=10**8, strict=True)]
LARGEST_FILE = 1_000_000


class CertificateUnreadable(Exception):
    """These bytes are no certificate. rule: what is wrong."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Certificate(_Strict):
    """What a mechanism keeps to. See the module for the fields."""

    format: Literal["passbox text certificate v1"] = "passbox text certificate v1"
    mechanism: MechanismName
    vocabulary: Hex
    words: Count
    dimensions: Count
    table: Hex
    size: Count
    values: bool = False
    epsilon: Number
    rate: Number | None = None
    reach: Number | None = None
    crowd: Count | None = None
    worst: Number
    any_two: Number | None = None

    @model_validator(mode="after")
    def _whole(self) -> Certificate:
        exponential = self.mechanism in ("exponential", "halved")
        if exponential != (None not in (self.rate, self.reach, self.crowd, self.any_two)):
            raise ValueError("rate, reach, crowd and any_two belong to exponential mechanisms")
        if not Decimal(self.epsilon) > 0 or Decimal(self.worst) > Decimal(self.epsilon):
            raise ValueError("worst must be at most epsilon, which is above 0")
        if not exponential and Decimal(self.worst) != Decimal(self.epsilon):
            raise ValueError("what is proven is epsilon itself")
        if exponential and not (Decimal(str(self.rate)) > 0 and Decimal(str(self.reach)) > 0):
            raise ValueError("rate and reach are above 0")
        return self

    @property
    def score(self) -> Score | None:
        """Of an exponential mechanism."""
        return (
            Score(float(self.rate), float(self.reach), self.crowd) if self.rate and self.reach and self.crowd else None
        )

    @property
    def digest(self) -> str:
        """SHA-256 of its one spelling, in hex."""
        return hashlib.sha256(self.spelled()).hexdigest()

    def spelled(self) -> bytes:
        """The bytes of its file."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def parse(data: bytes) -> Certificate:
    """Errors: CertificateUnreadable."""
    if len(data) > LARGEST_FILE:
        raise CertificateUnreadable("it is larger than a certificate can be")
    refuse_doubled(data)
    try:
        return Certificate.model_validate_json(data)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        fault = f": {where} is not as it must be" if where else ""
        raise CertificateUnreadable(f"it is no certificate{fault}") from None


def refuse_doubled(data: bytes) -> None:
    """A name twice in an object. What is no JSON is refused by who parses it. Errors: CertificateUnreadable."""
    try:
        json.loads(data, object_pairs_hook=named_once)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return
    except ValueError:
        raise CertificateUnreadable("a name stands twice in it") from None


def decimal(value: float) -> str:
    """A number as certificates spell it: plain digits, as many as are kept."""
    return format(Decimal(str(round(value, DIGITS))).normalize(), "f")


def rounded(value: str | Decimal) -> str:
    """A bound for people: three significant digits, never below what it is."""
    exact = Decimal(value)
    return format(exact.quantize(Decimal(1).scaleb(min(exact.adjusted() - 2, 0)), ROUND_CEILING), "f")


def table_digest(words: list[str]) -> str:
    """SHA-256, in hex, of words one a line."""
    return hashlib.sha256("\n".join([*words, ""]).encode()).hexdigest()
