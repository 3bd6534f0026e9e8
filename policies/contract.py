"""The contract: who, what, for which purpose, under which budgets and rules. TOML, parsed once, here.

`parse` returns a `Contract` or raises `InvalidContract` with every mistake it found, each with its place, the rule and
the remedy (`policies.mistakes` finds those that show only between keys). Unknown and doubled keys are refused. Bytes
are signed as they are and never re-serialised. The shape is explained line by line in the file that
`passbox contract new` writes (`policies.template`).
"""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import date
from fractions import Fraction
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from ..dp.budget import LARGEST_EPSILON, Budget, Delta, Epsilon, delta_units, epsilon_units
from ..dp.window import Window
from ..matching.rules import Bounds, Fingerprint, Repeats, Rule, bounds
from ..matching.schemes import load
from ..matching.schemes.addresses import LONGEST_WINDOW
from ..matching.schemes.setting import Setting
from .document import InvalidContract as InvalidContract
from .document import Problem as Problem
from .document import read_toml as read_toml
from .document import shape_problems as shape_problems
from .mistakes import mistakes

LONGEST_TEXT = 300
MOST_CONTINUED = 8
MOST_KEYS = 8
MOST_SELECTION = 1e-3
"""In units of 10^-18 it is a number that a log can hold."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def is_plain(text: str) -> bool:
    """One line that shows what it holds: no control characters, no marks that turn or hide what follows."""
    return 0 < len(text) <= LONGEST_TEXT and not any(unicodedata.category(char) in _HIDDEN for char in text)


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError(f"it must be 1 to {LONGEST_TEXT} characters, none of them a control or invisible one")
    return text


def _trimmed(text: str) -> str:
    if text != text.strip():
        raise ValueError("it must not begin or end with a space: cells are trimmed before they are compared")
    return text


NAME_PATTERN = "^[a-z][a-z0-9_-]{0,39}$"
ORIGIN_PATTERN = "^[a-z0-9][a-z0-9./-]{2,99}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
"""SHA-256 of signed bytes, in hex."""
Origin = Annotated[str, StringConstraints(pattern=ORIGIN_PATTERN)]
Text = Annotated[str, AfterValidator(_plain)]
Value = Annotated[str, AfterValidator(_plain), AfterValidator(_trimmed)]
"""A category, as it stands in a cell."""
Count = Annotated[int, Field(ge=1, le=10**9)]
Role = Literal["publisher", "advertiser", "officer", "operator"]
Arrives = Literal["raw", "sha256", "sha1"]
Protects = Literal["person", "membership"]
JobKind = Literal[
    "lookalike", "model", "completion", "overlap", "aggregate", "reach", "frequency", "campaign", "topics"
]
RowsAre = Literal["people", "events"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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
    """How people are matched: identifier kinds, best first, a published scheme for each, and a stable rule.

    repeats: what a party's tool does with rows that repeat an identifier: make one person of them, or let the first
    keep it. largest_person: how many identifiers one person may have; rows joined to more are left out. window: hours
    for which an IP address counts as one household's. fingerprint: how hashes are keyed.
    """

    keys: Annotated[list[Name], Field(min_length=1, max_length=MOST_KEYS)]
    scheme: dict[Name, Text]
    rule: Rule
    repeats: Repeats = "merge"
    largest_person: Annotated[int, Field(ge=2, le=1000)] = 20
    fingerprint: Fingerprint = "passbox@1"
    window: Annotated[int, Field(ge=1, le=LONGEST_WINDOW)] | None = None

    @property
    def bounds(self) -> Bounds:
        """Rows of the people that one record can move."""
        return bounds(self.rule, len(self.keys))

    @property
    def hashes(self) -> dict[str, str]:
        """What each kind is hashed with: sha256, or sha1 where its scheme says so."""
        return {kind: load(scheme).rule(kind).hash for kind, scheme in self.scheme.items()}


class AllowedBudget(_Strict):
    """What the owner allows to be spent on this data set.

    together: what it allows at this δ over all the contracts it signed, this one and those it continues included;
    left out where there are no others. selection: how much of δ may be spent on showing keys that nobody listed.
    responses: how much of ε may be spent on labels by randomised response; noise has the rest.
    """

    epsilon: float
    delta: float
    together: float | None = None
    selection: float | None = Field(default=None, exclude_if=lambda value: value is None)
    responses: float | None = Field(default=None, exclude_if=lambda value: value is None)

    @field_validator("epsilon", "together")
    @classmethod
    def _epsilon(cls, value: float | None) -> float | None:
        if value is not None and not 0 < value <= LARGEST_EPSILON:
            raise ValueError(f"it must be above 0 and at most {LARGEST_EPSILON:g}")
        return value

    @field_validator("delta")
    @classmethod
    def _delta(cls, value: float) -> float:
        if not 1e-100 <= value < 1:
            raise ValueError("it must be above 0 and below 1: a power of ten below 1 / (10 n)")
        return value

    @field_validator("selection")
    @classmethod
    def _selection(cls, value: float | None) -> float | None:
        if value is not None and not 1e-18 <= value <= MOST_SELECTION:
            raise ValueError(f"it must be at least 1e-18 and at most {MOST_SELECTION:g}")
        if value is not None:
            delta_units(value)
        return value

    @field_validator("responses")
    @classmethod
    def _responses(cls, value: float | None) -> float | None:
        if value is not None and not 0 < value < LARGEST_EPSILON:
            raise ValueError(f"it must be above 0 and below {LARGEST_EPSILON:g}")
        if value is not None:
            epsilon_units(value)
        return value

    def budget(self) -> Budget:
        """What noise may spend: all of it, but for what is kept for keys that nobody listed, and for labels."""
        return Budget(Epsilon(self.epsilon - (self.responses or 0.0)), Delta(self.delta - (self.selection or 0.0)))


class NumberColumn(_Strict):
    """A number within bounds that were declared without looking at the data."""

    kind: Literal["number"]
    bounds: Annotated[list[float], Field(min_length=2, max_length=2)]


class ChoiceColumn(_Strict):
    """One of a declared list of values."""

    values: Annotated[list[Value], Field(min_length=1, max_length=1000)]


class CategoryColumn(ChoiceColumn):
    """One of a declared list of values."""

    kind: Literal["category"]


class OrdinalColumn(ChoiceColumn):
    """One of a declared list of values that stand in order, lowest first: a model lets neighbours share strength."""

    kind: Literal["ordinal"]


class SetColumn(_Strict):
    """Some of a declared list of values, at most so many a person; `|` between them in a CSV file."""

    kind: Literal["set"]
    values: Annotated[list[Value], Field(min_length=1, max_length=1000)]
    at_most: Annotated[int, Field(ge=1, le=1000)]


class FlagColumn(_Strict):
    """Yes or no: yes, true and 1, or no, false and 0."""

    kind: Literal["flag"]


class DateColumn(_Strict):
    """A day, from the first to the last of `bounds`; of a time, its day."""

    kind: Literal["date"]
    bounds: Annotated[list[date], Field(min_length=2, max_length=2)]


class HouseholdColumn(_Strict):
    """Which household a row is of, such as an IP address or a set-top box: keyed at home like people are."""

    kind: Literal["household"]


class TextColumn(_Strict):
    """Any short text, such as a page or an app: its values show only as keys that many people share."""

    kind: Literal["text"]


Column: TypeAlias = Annotated[
    NumberColumn | CategoryColumn | OrdinalColumn | SetColumn | FlagColumn | DateColumn | HouseholdColumn | TextColumn,
    Field(discriminator="kind"),
]


class DatasetRule(_Strict):
    """One data set: whose, what is protected, how its identifiers arrive, its budget and its columns.

    id: the owner's own ID column, which stays at home. country: whose phone numbers come without a country code; "none"
    where each carries its own. suspicious: whether test values and misleading domains are counted or refused. rows:
    what a row is; a person stands once among people, and in up to `at_most` rows of events. Either way all rows of a
    person are one record.
    """

    owner: Name
    protects: Protects
    id: Text | None = None
    identifiers: dict[Name, Arrives]
    country: Annotated[str, StringConstraints(pattern="^([A-Z]{2}|none)$")] | None = None
    suspicious: Literal["count", "refuse"] = "count"
    rows: RowsAre = "people"
    at_most: Annotated[int, Field(ge=1, le=10**6)] | None = None
    budget: AllowedBudget
    columns: dict[Name, Column] = {}

    @property
    def rows_a_person(self) -> int:
        """The most rows that one person has here."""
        return self.at_most or 1


class Allowance(_Strict):
    """One kind of job, who may ask it and who may read it."""

    job: JobKind
    ask: Annotated[list[Name], Field(min_length=1)]
    recipients: Annotated[list[Name], Field(min_length=1)]


class AtLeast(_Strict):
    """How many people stand behind each key of a table, beside the noise. delta: how often one of fewer is shown."""

    people: Annotated[int, Field(ge=1, le=10**6)]
    delta: Annotated[float, Field(ge=1e-12, lt=0.5)]


class Rules(_Strict):
    """Minimum sizes, which look at public sizes only, and the jobs that are allowed."""

    smallest_seed: Count
    smallest_audience: Count
    at_least: AtLeast | None = None
    allow: Annotated[list[Allowance], Field(min_length=1)]


class Contract(_Strict):
    """What every party signs.

    continues: earlier contracts whose accounts this one goes on with, so that what was spent there is spent here.
    """

    version: Literal[1]
    name: Name
    purpose: Text
    expires: date
    continues: Annotated[list[Digest], Field(max_length=MOST_CONTINUED)] = []
    room: Room
    party: Annotated[dict[Name, Party], Field(min_length=2)]
    match: MatchRule
    dataset: Annotated[dict[Name, DatasetRule], Field(min_length=1)]
    rules: Rules

    @property
    def kind(self) -> str:
        """The best identifier kind that people are matched on."""
        return self.match.keys[0]

    @property
    def scheme(self) -> str:
        return self.match.scheme[self.kind]

    def setting(self, dataset: str) -> Setting:
        """What is declared of a data set's identifiers beside their scheme."""
        country = self.dataset[dataset].country
        return Setting(None if country == "none" else country, self.match.window)

    @property
    def data_parties(self) -> tuple[str, ...]:
        """Who owns a data set, sorted: they hold the match key."""
        return tuple(sorted({rule.owner for rule in self.dataset.values()}))

    def window(self) -> Window | None:
        """How far spending may run ahead of the witnesses; None where the contract names none."""
        cosign = self.room.cosign
        return Window(cosign.need, Fraction(str(cosign.ahead))) if cosign else None

    def operator_owns_data(self) -> bool:
        return self.room.operator in self.data_parties

    def readers(self, recipients: tuple[str, ...]) -> frozenset[str]:
        """Who can read a release: its recipients, and the operator where it is a data party."""
        return frozenset(recipients) | ({self.room.operator} if self.operator_owns_data() else frozenset())


def digest(data: bytes) -> str:
    """SHA-256 of signed bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def parse(data: bytes, today: date | None = None) -> Contract:
    """The contract in these bytes. Errors: InvalidContract with every mistake found.

    today: where given, an expiry that has passed is a mistake too: for who writes or signs, not for who looks back.
    """
    raw = read_toml(data, "contract")
    if not {"party", "dataset", "rules"} & set(raw) and {"seal", "people", "recipients"} & set(raw):
        other = "a job" if "people" in raw else "a card"
        raise InvalidContract("contract", (Problem("file", f"it is {other}, not a contract", "name contract.toml"),))
    problems: list[Problem] = []
    contract: Contract | None = None
    try:
        contract = Contract.model_validate(raw)
    except ValidationError as error:
        problems.extend(shape_problems(error))
    problems.extend(mistakes(raw, today))
    if problems or contract is None:
        raise InvalidContract("contract", tuple(problems))
    return contract
