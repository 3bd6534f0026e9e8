"""A job: what somebody asks of the room. TOML, parsed once, here; signed as bytes by who asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from .contract import Digest, Name, digest
from .document import InvalidContract, Problem, read_toml, shape_problems

MOST_READERS, MOST_COLUMNS = 50, 500
"""So many fit into one entry of the ledger."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _each_once(names: list[str] | None) -> list[str] | None:
    if names is not None and len(set(names)) < len(names):
        raise ValueError("a name stands twice")
    return names


class _Asks(_Strict):
    """What every job says.

    contract: its name, or the SHA-256 of its bytes: the latter binds a signed job to one contract for good.
    serial: tells two jobs of the same words apart. A signed job is for one set of submissions: to ask the same of
    newer ones its asker signs the next number.
    """

    contract: Name | Digest | None = None
    serial: Annotated[int, Field(ge=1, le=10**9)] = 1
    people: Name
    seed: Name
    recipients: Annotated[list[Name], Field(min_length=1, max_length=MOST_READERS)]
    epsilon: float

    @field_validator("epsilon")
    @classmethod
    def _sensible(cls, value: float) -> float:
        if not 0 < value <= 64:
            raise ValueError("must be above 0 and at most 64")
        return value

    _readers_once = field_validator("recipients")(_each_once)


class AudienceSize(_Strict):
    """How many of the people the audience holds."""

    size: Annotated[int, Field(ge=1)]


class LookalikeJob(_Asks):
    """Fit on the seed, choose the people most like it, evaluate on people held out. One reader: the features' owner.

    columns: the features used, in any order; all of the contract's where it is left out.
    """

    kind: Literal["lookalike"]
    audience: AudienceSize
    columns: Annotated[list[Name], Field(min_length=1)] | None = None

    _columns_once = field_validator("columns")(_each_once)


class OverlapJob(_Asks):
    """How many people of one data set are in the other, with noise."""

    kind: Literal["overlap"]


Job: TypeAlias = LookalikeJob | OverlapJob
_JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class Request:
    """A job whose signature was checked. data: its signed bytes. asker: who signed it, with `signature`."""

    job: Job
    data: bytes
    asker: str
    signature: str

    @property
    def digest(self) -> str:
        """SHA-256 of the signed bytes, in hex."""
        return digest(self.data)


def parse_job(data: bytes) -> Job:
    """The job in these bytes. Errors: InvalidContract with every mistake found."""
    raw = read_toml(data, "job")
    try:
        return _JOB.validate_python(raw)
    except ValidationError as error:
        raise InvalidContract("job", tuple(map(_as_written, shape_problems(error)))) from None


def _as_written(problem: Problem) -> Problem:
    """A key as it stands in the file: pydantic puts the kind before it, and nothing where the kind is at fault."""
    kind, dot, key = problem.where.partition(".")
    inner = key if dot and kind in ("lookalike", "overlap") else problem.where
    return replace(problem, where=inner or "kind")
