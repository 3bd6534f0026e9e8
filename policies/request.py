"""A job as somebody asks it of a room: TOML, parsed once, here; signed as bytes by who asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from .contract import digest
from .document import InvalidContract, Problem, read_toml, shape_problems
from .jobs.aggregate import AggregateJob
from .jobs.campaign import CampaignJob
from .jobs.completion import CompletionJob
from .jobs.job import Job
from .jobs.lookalike import LookalikeJob
from .jobs.model import ModelJob
from .jobs.overlap import OverlapJob
from .jobs.reach import FrequencyJob, ReachJob
from .jobs.topics import TopicsJob

AnyJob: TypeAlias = (
    LookalikeJob
    | ModelJob
    | CompletionJob
    | OverlapJob
    | AggregateJob
    | ReachJob
    | FrequencyJob
    | CampaignJob
    | TopicsJob
)
"""Every kind of job there is; `policies.contract.JobKind` names the same kinds."""

_JOB: TypeAdapter[AnyJob] = TypeAdapter(
    Annotated[AnyJob, Field(discriminator="kind")], config=ConfigDict(defer_build=True)
)
KINDS: dict[str, type[Job]] = {get_args(job.model_fields["kind"].annotation)[0]: job for job in get_args(AnyJob)}
"""The class of each kind, by its name."""


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
    inner = key if dot and kind in KINDS else problem.where
    return replace(problem, where=inner or "kind")
