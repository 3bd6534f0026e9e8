"""Overlap: how many people of one data set are in the other, with noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from ...dp.aggregate import COUNT_L2_SQUARED
from ...dp.budget import Rho
from ...dp.canonical import Json
from ...dp.entry import Specification
from ...matching.rules import tiers_l2_squared
from ..contract import Contract
from ..refused import Refused, Submitted
from ..sentences import names
from .draw import Draw, with_noise
from .job import ShapeOf
from .pair import PairJob, refuse_short

COUNT, TIERS = "matched-count@1", "matched-by-tier@1"


class OverlapJob(PairJob):
    """How many people of one data set are in the other, with noise.

    tiers: for each of the contract's keys, how many match by it and by no better one.
    """

    kind: Literal["overlap"]
    tiers: bool = False

    def refuse(self, contract: Contract, submitted: Mapping[str, Submitted]) -> None:
        """A count is the same both ways round, so both lists must be long enough. Errors: Refused."""
        super().refuse(contract, submitted)
        refuse_short(contract, self.people, submitted)
        if self.tiers and len(contract.match.keys) == 1:
            rule = f"people are matched on {contract.kind} alone: there are no tiers"
            raise Refused("tiers", rule, "leave out tiers")

    def draws(self, contract: Contract, base: Specification, rho: Rho, shape_of: ShapeOf) -> tuple[Draw, ...]:
        """One count of matched people, which is what `base` is; or one vector of such counts."""
        del shape_of
        return (Draw(with_noise(self._by_tier(contract, base) if self.tiers else base, rho)),)

    def _by_tier(self, contract: Contract, base: Specification) -> Specification:
        """A row that stays may change its tier: the vector moves otherwise than a count."""
        keys, rule = len(contract.match.keys), contract.match.rule
        moved = max((tiers_l2_squared(rule, keys, side) for side in self.protects(contract)), default=1)
        return replace(base, statistic=TIERS, cells=keys, l2_squared=COUNT_L2_SQUARED * moved)

    def learns(self, contract: Contract, readers: str) -> tuple[str, ...]:
        learn = "learn" if ", " in readers else "learns"
        by = f", by {names(contract.match.keys)}" if self.tiers else ""
        return (f"{readers} {learn} how many records are in both data sets{by}, with noise (ε {self.epsilon:g})",)

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        """Where there is one key there are no tiers."""
        tiers = ["tiers = false  # true: how many match by each key, all within the same epsilon"]
        return [*super().draft(contract, size), *(tiers if len(contract.match.keys) > 1 else [])]

    def made(self) -> dict[str, Json]:
        return {**super().made(), **({"tiers": True} if self.tiers else {})}
