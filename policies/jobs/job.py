"""What every job is: a few lines that somebody signs, and what follows from them and the contract alone.

A kind of job is a class in a file beside this one. It says which data sets it reads, what it is refused for, what it
draws, and who learns what. `policies.request` lists the kinds; what is computed from people, and how a release of the
kind looks, stands in `cleanroom.measure`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...dp.budget import Rho
from ...dp.canonical import Json
from ...dp.entry import Specification
from ..contract import Contract, Digest, Name
from ..refused import Submitted
from ..threat import ThreatModel
from .draw import Draw, Shape

MOST_READERS, MOST_COLUMNS = 50, 500
"""So many fit into one entry of the ledger."""


class Strict(BaseModel):
    """A part of a job: no key more than is known, nothing converted, nothing changed later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


def each_once(names: list[str] | None) -> list[str] | None:
    """Errors: ValueError where a name stands twice."""
    if names is not None and len(set(names)) < len(names):
        raise ValueError("a name stands twice")
    return names


ShapeOf: TypeAlias = "Callable[[Contract, Job, str], Shape]"
"""The shape of one of a job's statistics, by its name: what features look like is known above `policies`."""


class Job(Strict, ABC):
    """What every job says.

    contract: its name, or the SHA-256 of its bytes: the latter binds a signed job to one contract for good.
    serial: tells two jobs of the same words apart. A signed job is for one set of submissions: to ask the same of
    newer ones its asker signs the next number.
    """

    kind: str
    contract: Name | Digest | None = None
    serial: Annotated[int, Field(ge=1, le=10**9)] = 1
    recipients: Annotated[list[Name], Field(min_length=1, max_length=MOST_READERS)]
    epsilon: float

    @field_validator("epsilon")
    @classmethod
    def _sensible(cls, value: float) -> float:
        if not 0 < value <= 64:
            raise ValueError("must be above 0 and at most 64")
        return value

    _readers_once = field_validator("recipients")(each_once)

    @property
    def randomised(self) -> bool:
        """Whether labels leave one by one, so that it is charged in ε and not in ρ."""
        return False

    @abstractmethod
    def datasets(self) -> tuple[str, ...]:
        """The data sets it reads, each once, in the order in which what they pay is listed."""

    def priced_by(self) -> tuple[str, ...]:
        """The data sets at whose smallest δ its ε is priced."""
        return self.datasets()

    def threat_model(self, contract: Contract) -> ThreatModel | None:
        """By name, of a job that learns from people (`policies.threat`)."""
        del contract
        return None

    def rows_moved(self, contract: Contract) -> int:
        """How many of the rows that its statistics are sums over one protected record moves at most."""
        del contract
        return 1

    @abstractmethod
    def refuse(self, contract: Contract, submitted: Mapping[str, Submitted]) -> None:
        """Refuse what this kind may not ask. Public facts only. Errors: Refused.

        The caller ensures: its data sets are in the contract and were submitted; the asker and the readers are
        those of a rule.
        """

    @abstractmethod
    def draws(self, contract: Contract, base: Specification, rho: Rho, shape_of: ShapeOf) -> tuple[Draw, ...]:
        """What it draws, in order, all within rho. base: the specification of a count, without noise.

        The sensitivity of `base` and of shapes is that of one protected record already: `rows_moved` times one row's.
        Errors: EpsilonTooSmall.
        """

    @abstractmethod
    def learns(self, contract: Contract, readers: str) -> tuple[str, ...]:
        """Who learns what, in sentences. readers: who can read the release, in words."""

    @classmethod
    @abstractmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        """The lines of a first draft, as commented TOML, that only this kind has.

        size: how many people are asked for, where the kind hands out people. Errors: Refused.
        """

    def made(self) -> dict[str, Json]:
        """What is made of what was drawn, as far as another choice makes another release of the same noise."""
        return {}

    def brief(self) -> str:
        """What tells it apart from others of its kind, in a few words."""
        return ", ".join(self.datasets())

    def fewest_rows(self, contract: Contract, dataset: str) -> int:
        """How few rows a data set may have for this job not to be refused for that."""
        del dataset
        return contract.rules.smallest_seed
