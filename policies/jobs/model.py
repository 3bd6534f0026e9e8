"""Model: what tells the seed from other people, for readers who own neither side alone (threat model `person`).

A `lookalike` rests on exact knowledge of the features, so only their owner may read it. A model protects everything
about a person, features, membership and being there, on either side; so anybody may read it for whom its data sets
pay. It hands out no people: effects of columns, and how good the model is on people held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ...dp.budget import Rho
from ...dp.entry import Specification
from ...dp.scale import price
from ..contract import Contract, Name
from ..learnt import learnable
from ..refused import Refused, Submitted
from ..sentences import counted
from ..threat import ThreatModel
from .draw import Draw, shaped, with_noise
from .job import ShapeOf, each_once
from .lookalike import FEWEST_PEOPLE, refuse_columns
from .pair import PairJob

FIT, SCORES = "person-fit@2", "person-scores@1"
FEWEST_IN_STRATA = 2
"""Columns that a model with strata has."""


class ModelJob(PairJob):
    """columns: the features used, in any order; all of the contract's where it is left out.

    strata: whether those held out are counted by how much is known of them.
    """

    kind: Literal["model"]
    columns: Annotated[list[Name], Field(min_length=1)] | None = None
    strata: bool = False

    _columns_once = field_validator("columns")(each_once)

    def columns_of(self, contract: Contract) -> tuple[str, ...]:
        """The job's columns in the contract's order, whatever order the job names them in."""
        return tuple(name for name in learnable(contract, self.people) if self.columns is None or name in self.columns)

    def threat_model(self, contract: Contract) -> ThreatModel:
        del contract
        return "person"

    def fewest_rows(self, contract: Contract, dataset: str) -> int:
        return contract.rules.smallest_seed if dataset == self.seed else FEWEST_PEOPLE

    def refuse(self, contract: Contract, submitted: Mapping[str, Submitted]) -> None:
        super().refuse(contract, submitted)
        people = submitted[self.people].rows
        if people < FEWEST_PEOPLE:
            rule = f"{self.people} has {counted(people, 'row')}, a model needs {FEWEST_PEOPLE}"
            raise Refused("people", rule, "submit more people")
        refuse_columns(contract, self.people, self.columns)
        if self.strata and len(self.columns_of(contract)) < FEWEST_IN_STRATA:
            rule = "a model of one column has no strata: it is known of a person, or it is not"
            raise Refused("strata", rule, "leave strata out, or name more in columns")

    def draws(self, contract: Contract, base: Specification, rho: Rho, shape_of: ShapeOf) -> tuple[Draw, ...]:
        """All the noise of the fit at once, opened and settled; two histograms on the other part are covered by it."""
        columns = tuple(f"{self.people}.{name}" for name in self.columns_of(contract))
        fit = shaped(replace(base, statistic=FIT, part="train", columns=columns), shape_of(contract, self, FIT))
        fit = with_noise(fit, rho)
        scores = replace(base, statistic=SCORES, part="held-out", columns=columns, follows=fit.key)
        scores = with_noise(shaped(scores, shape_of(contract, self, SCORES)), price(fit.l2_squared, fit.scale))
        return (Draw(fit, opened=True), Draw(scores, beside=fit.key))

    def learns(self, contract: Contract, readers: str) -> tuple[str, ...]:
        learn = "learn" if ", " in readers else "learns"
        owner = contract.dataset[self.people].owner
        return (
            f"{readers} {learn} which columns of {self.people} tell {self.seed} from other people, and how well, with "
            f"noise (ε {self.epsilon:g})",
            f"everything about one person is protected, among {owner}'s people and in {self.seed} alike: a reader who "
            "knows all others could hardly tell whether that person is there, or what its columns say",
        )

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        return [
            *super().draft(contract, size),
            "# strata = true  # how right scores are by how much is known; other figures are less exact",
        ]
