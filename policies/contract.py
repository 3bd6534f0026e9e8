"""The contract: who, what, for which purpose, under which budgets and rules. TOML, parsed once, here.

`parse` returns a `Contract` or raises `InvalidContract` with every mistake it found, each with its place, the rule and
the remedy. Unknown and doubled keys are refused. Bytes are signed as they are and never re-serialised. The shape is
explained line by line in the file that `passbox contract new` writes (`policies.template`).
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from ..dp.accounting import rho_within
from ..dp.budget import Budget, Delta, Epsilon

LARGEST_FILE = 1_000_000
"""Bytes of a contract or job that are read before it is refused."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Text = Annotated[
    str,
    StringConstraints(pattern="^[^\\x00-\\x1f\\x7f-\\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]{1,300}$"),
]
"""One line of text without control characters or marks that turn or hide what follows."""
Origin = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9./-]{2,99}$")]
Role = Literal["publisher", "advertiser", "officer", "operator"]
Arrives = Literal["raw", "sha256"]
Protects = Literal["person", "membership"]
JobKind = Literal["lookalike", "overlap"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Cosign(_Strict):
    """Who witnesses the ledger, and which share of a cap may run ahead of the last witnessed checkpoint.

    need: how many of `by` must have cosigned a checkpoint for it to count.
    """

    by: Annotated[list[Name], Field(min_length=1)]
    ahead: Annotated[float, Field(gt=0, le=1)]
    need: Annotated[int, Field(ge=1)] = 1


class Room(_Strict):
    """Where it happens. operator: a party. seal: age recipient. checkpoint: note verifier key."""

    operator: Name
    name: Origin
    seal: Text
    checkpoint: Text
    cosign: Cosign | None = None


class Party(_Strict):
    """Who takes part. sign: OpenSSH Ed25519 public key. seal: age recipient."""

    role: Role
    sign: Text
    seal: Text


class MatchRule(_Strict):
    """How people are matched: one identifier kind, one published scheme, a stable rule."""

    keys: Annotated[list[Name], Field(min_length=1, max_length=1)]
    scheme: dict[Name, Text]
    rule: Literal["own-best"]


class AllowedBudget(_Strict):
    """What the owner allows to be spent on this data set."""

    epsilon: float
    delta: float

    @field_validator("delta", "epsilon")
    @classmethod
    def _above_zero(cls, value: float) -> float:
        if not 0 < value <= 64:
            raise ValueError("must be above 0 (epsilon at most 64, delta below 1)")
        return value

    def budget(self) -> Budget:
        return Budget(Epsilon(self.epsilon), Delta(self.delta))


class NumberColumn(_Strict):
    """A number within bounds that were declared without looking at the data."""

    kind: Literal["number"]
    bounds: Annotated[list[float], Field(min_length=2, max_length=2)]


class CategoryColumn(_Strict):
    """One of a declared list of values."""

    kind: Literal["category"]
    values: Annotated[list[Text], Field(min_length=1, max_length=1000)]


class SetColumn(_Strict):
    """Some of a declared list of values, at most so many a person; `|` between them in a CSV file."""

    kind: Literal["set"]
    values: Annotated[list[Text], Field(min_length=1, max_length=1000)]
    at_most: Annotated[int, Field(ge=1, le=1000)]


Column: TypeAlias = Annotated[NumberColumn | CategoryColumn | SetColumn, Field(discriminator="kind")]


class DatasetRule(_Strict):
    """One data set: whose, what is protected, how its identifiers arrive, its budget and its columns."""

    owner: Name
    protects: Protects
    id: Text | None = None
    identifiers: dict[Name, Arrives]
    budget: AllowedBudget
    columns: dict[Name, Column] = {}


class Allowance(_Strict):
    """One kind of job, who may ask it and who may read it."""

    job: JobKind
    ask: Annotated[list[Name], Field(min_length=1)]
    recipients: Annotated[list[Name], Field(min_length=1)]


class Rules(_Strict):
    """Minimum sizes, which look at public sizes only, and the jobs that are allowed."""

    smallest_seed: Annotated[int, Field(ge=1)]
    smallest_audience: Annotated[int, Field(ge=1)]
    allow: Annotated[list[Allowance], Field(min_length=1)]


class Contract(_Strict):
    """What every party signs."""

    version: Literal[1]
    name: Name
    purpose: Text
    expires: date
    room: Room
    party: Annotated[dict[Name, Party], Field(min_length=2)]
    match: MatchRule
    dataset: Annotated[dict[Name, DatasetRule], Field(min_length=1)]
    rules: Rules

    @property
    def kind(self) -> str:
        """The identifier kind people are matched on."""
        return self.match.keys[0]

    @property
    def scheme(self) -> str:
        return self.match.scheme[self.kind]

    @property
    def data_parties(self) -> tuple[str, ...]:
        """Who owns a data set, sorted: they hold the match key."""
        return tuple(sorted({rule.owner for rule in self.dataset.values()}))

    def operator_owns_data(self) -> bool:
        return self.room.operator in self.data_parties

    def readers(self, recipients: tuple[str, ...]) -> frozenset[str]:
        """Who can read a release: its recipients, and the operator where it is a data party."""
        return frozenset(recipients) | ({self.room.operator} if self.operator_owns_data() else frozenset())


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a contract or job: where it is, which rule it breaks, what to do."""

    where: str
    rule: str
    remedy: str


class InvalidContract(Exception):
    """A contract or job that cannot be used, with every mistake found."""

    def __init__(self, what: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(what, problems)
        self.what, self.problems = what, problems


def digest(data: bytes) -> str:
    """SHA-256 of signed bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def read_toml(data: bytes, what: str) -> dict[str, object]:
    """TOML with one clear problem where it is not. Doubled keys are refused by the format itself."""
    if len(data) > LARGEST_FILE:
        raise InvalidContract(what, (Problem("file", "it is larger than 1 MB", "this is no contract or job"),))
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        problem = Problem("file", "it is not UTF-8 text", "save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        place = str(error).rpartition("(at ")[2].rstrip(")") if "(at " in str(error) else "file"
        doubled = "a key stands twice" if "overwrite" in str(error) else "it is not valid TOML there"
        problem = Problem(place, doubled, "mend that line; `passbox contract new` shows the shape")
    raise InvalidContract(what, (problem,))


def parse(data: bytes) -> Contract:
    """The contract in these bytes. Errors: InvalidContract with every mistake found."""
    raw = read_toml(data, "contract")
    problems: list[Problem] = []
    contract: Contract | None = None
    try:
        contract = Contract.model_validate(raw)
    except ValidationError as error:
        problems.extend(shape_problems(error))
    problems.extend(_meaning_problems(raw))
    if problems or contract is None:
        raise InvalidContract("contract", tuple(problems))
    return contract


def shape_problems(error: ValidationError) -> list[Problem]:
    """pydantic's findings as one line each, without the values."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [_shape_problem(".".join(str(part) for part in item["loc"]), item["type"], item["msg"]) for item in found]


def _shape_problem(where: str, kind: str, message: str) -> Problem:
    if kind == "extra_forbidden":
        return Problem(where, "this key is not known", "remove it, or mend its spelling")
    if kind == "missing":
        return Problem(where, "this key is missing", "add it; `passbox contract new` shows the shape")
    if kind == "string_pattern_mismatch":
        return Problem(where, "it has characters or a length that are not allowed here", "use plain short text")
    return Problem(where, message[:1].lower() + message[1:], "mend the value")


def _meaning_problems(raw: Mapping[str, object]) -> list[Problem]:
    """What only shows between keys. Works on unparsed data, so that these come with the other mistakes."""
    problems = [*_party_problems(raw), *_reference_problems(raw), *_match_problems(raw)]
    for name, rule in _tables(raw, "dataset").items():
        problems.extend(_dataset_problems(f"dataset.{name}", rule))
    return problems


def _table(raw: object, name: str) -> Mapping[str, object]:
    value = raw.get(name) if isinstance(raw, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _tables(raw: object, name: str) -> dict[str, Mapping[str, object]]:
    return {str(key): value for key, value in _table(raw, name).items() if isinstance(value, Mapping)}


def _party_problems(raw: Mapping[str, object]) -> list[Problem]:
    from .sign import BadKey, parse_public_key

    problems: list[Problem] = []
    seen: dict[tuple[str, str], str] = {}
    for name, party in _tables(raw, "party").items():
        for key in ("sign", "seal"):
            value = str(party.get(key, ""))
            if value and (key, value) in seen:
                problems.append(
                    Problem(f"party.{name}.{key}", f"it is the key of {seen[key, value]} too", "one key a party")
                )
            seen[key, value] = name
        try:
            parse_public_key(str(party.get("sign", "")))
        except BadKey:
            problems.append(
                Problem(
                    f"party.{name}.sign",
                    "it is not an Ed25519 SSH public key",
                    "copy it from NAME.party.toml",
                )
            )
        problems.extend(_seal_problems(f"party.{name}.seal", party.get("seal")))
    problems.extend(_seal_problems("room.seal", _table(raw, "room").get("seal")))
    problems.extend(_checkpoint_problems(_table(raw, "room")))
    return problems


def _seal_problems(where: str, value: object) -> list[Problem]:
    from pyrage import RecipientError, x25519

    try:
        x25519.Recipient.from_str(str(value))
    except RecipientError:
        return [Problem(where, "it is not an age recipient", "copy it from the card: it begins with age1")]
    return []


def _checkpoint_problems(room: Mapping[str, object]) -> list[Problem]:
    from ..dp.note import BadNote, parse_vkey

    try:
        key = parse_vkey(str(room.get("checkpoint", "")))
    except BadNote:
        return [Problem("room.checkpoint", "it is not a note verifier key", "copy it from NAME.room.toml")]
    if key.name != room.get("name"):
        return [Problem("room.checkpoint", "its name is not room.name", "copy both from NAME.room.toml")]
    return []


def _reference_problems(raw: Mapping[str, object]) -> list[Problem]:
    parties = set(_table(raw, "party"))
    named: list[tuple[str, object]] = [("room.operator", _table(raw, "room").get("operator"))]
    named += [(f"dataset.{name}.owner", rule.get("owner")) for name, rule in _tables(raw, "dataset").items()]
    allow = _table(raw, "rules").get("allow")
    for position, item in enumerate(allow if isinstance(allow, list) else []):
        for key in ("ask", "recipients"):
            value = item.get(key) if isinstance(item, Mapping) else None
            named += [(f"rules.allow.{position}.{key}", name) for name in value or [] if isinstance(value, list)]
    return [
        Problem(where, "no party has this name", "use a name under [party]")
        for where, name in named
        if isinstance(name, str) and name not in parties
    ]


def _match_problems(raw: Mapping[str, object]) -> list[Problem]:
    from ..matching.schemes import UnknownScheme, load

    match = _table(raw, "match")
    keys = match.get("keys")
    problems: list[Problem] = []
    for kind in keys if isinstance(keys, list) else []:
        scheme = _table(match, "scheme").get(str(kind))
        if scheme is None:
            problems.append(Problem(f"match.scheme.{kind}", "this key has no scheme", 'name one, such as "uid2@1"'))
            continue
        try:
            known = str(kind) in load(str(scheme)).rules
        except UnknownScheme:
            known = False
        if not known:
            problems.append(Problem(f"match.scheme.{kind}", "no such scheme for this kind", 'use one such as "uid2@1"'))
        for name, rule in _tables(raw, "dataset").items():
            if kind not in _table(rule, "identifiers"):
                problems.append(
                    Problem(
                        f"dataset.{name}.identifiers",
                        f"it does not carry {kind}",
                        f'add identifiers.{kind} = "raw"',
                    )
                )
    return problems


def _dataset_problems(where: str, rule: Mapping[str, object]) -> list[Problem]:
    problems: list[Problem] = []
    for name, column in _tables(rule, "columns").items():
        problems.extend(_column_problems(f"{where}.columns.{name}", column))
    budget = _table(rule, "budget")
    epsilon, delta = budget.get("epsilon"), budget.get("delta")
    if isinstance(epsilon, float) and isinstance(delta, float) and 0 < epsilon <= 64 and 0 < delta <= 64:
        if delta >= 1:
            problems.append(Problem(f"{where}.budget.delta", "it must be below 1", "use 1e-6 or less"))
        elif rho_within(Budget(Epsilon(epsilon), Delta(delta))) < 1:
            problems.append(Problem(f"{where}.budget", "it is too small for any release", "raise epsilon"))
    return problems


def _column_problems(where: str, column: Mapping[str, object]) -> list[Problem]:
    bounds, values, at_most = column.get("bounds"), column.get("values"), column.get("at_most")
    if isinstance(bounds, list) and len(bounds) == 2 and not _rising(bounds):
        return [Problem(f"{where}.bounds", "they must be two finite numbers, the smaller first", "[18, 99]")]
    if isinstance(values, list) and len({str(value) for value in values}) < len(values):
        return [Problem(f"{where}.values", "a value stands twice", "name each once")]
    if isinstance(values, list) and isinstance(at_most, int) and at_most > len(values):
        return [Problem(f"{where}.at_most", "it is more than there are values", "lower it")]
    if column.get("kind") == "set" and isinstance(values, list) and any("|" in str(value) for value in values):
        return [Problem(f"{where}.values", "a value holds `|`, which separates values", "rename it")]
    return []


def _rising(bounds: list[object]) -> bool:
    low, high = bounds
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return False
    return -1e15 <= low < high <= 1e15
