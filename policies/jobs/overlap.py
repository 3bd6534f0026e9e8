"""Overlap: how many people of one data set are in the other, with noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ...dp.budget import Rho
from ...dp.entry import Specification
from ..contract import Contract
from ..refused import Submitted
from .draw import Draw, with_noise
from .job import ShapeOf
from .pair import PairJob, refuse_short


class OverlapJob(PairJob):
    """How many people of one data set are in the other, with noise."""

    kind: Literal["overlap"]

    def refuse(self, contract: Contract, submitted: Mapping[str, Submitted]) -> None:
        """A count is the same both ways round, so both lists must be long enough. Errors: Refused."""
        super().refuse(contract, submitted)
        refuse_short(contract, self.people, submitted)

    def draws(self, contract: Contract, base: Specification, rho: Rho, shape_of: ShapeOf) -> tuple[Draw, ...]:
        """One count of matched people, which is what `base` is."""
        del contract, shape_of
        return (Draw(with_noise(base, rho)),)

    def learns(self, contract: Contract, readers: str) -> tuple[str, ...]:
        del contract
        learn = "learn" if ", " in readers else "learns"
        return (f"{readers} {learn} how many records are in both data sets, with noise (ε {self.epsilon:g})",)
