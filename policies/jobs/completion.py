"""Completion: what another party knows of some people, told for the people of a reader who knows other things of them.

Who reads decides what is secret. Answers are given person by person, and follow from that person's own columns, so only
the owner of `people` may read them. The record of the other party, `attributes`, is protected whole: that it is there,
whom it matches, and every attribute. How, its contract line says:

| `dataset.ATTRIBUTES.protects` | learnt from | secret |
|---|---|---|
| `membership` | the reader's columns of the people who match | who matches, and what is known of them |
| `person` | the other party's own columns of the same names; nobody is matched | everything, these columns too |

Refused: another reader, who would learn columns of single people; one owner on both sides, who has no secret from
itself; a file of attributes about events, in which a person stands many times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ...dp.budget import Rho
from ...dp.canonical import Json
from ...dp.entry import Specification
from ...dp.scale import price
from ..contract import ChoiceColumn, Contract, Name, SetColumn
from ..learnt import learnable, pairs, wanted
from ..refused import Refused, Submitted
from ..sentences import counted, names
from ..threat import ThreatModel
from .draw import Draw, shaped, with_noise
from .job import MOST_COLUMNS, Job, ShapeOf, each_once
from .lookalike import FEWEST_PEOPLE, refuse_columns
from .pair import refuse_short
from .table import identifier_of

SUMS, ANSWERS = "attribute-moments@1", "answer-counts@1"
MOST_TARGETS, MOST_VALUES = 8, 100
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""How sure an answer can be asked to be: the noisy counts tell how right answers are at each."""
MOST_CELLS = 2**20


class CompletionJob(Job):
    """people: whom answers are wanted for. attributes: the data set that knows them of some. targets: its columns that
    are wanted. known: columns that answers follow from; all that can be learnt from where it is left out. confident:
    how sure an answer must be not to be an abstention; another one later costs nothing.
    """

    kind: Literal["completion"]
    people: Name
    attributes: Name
    targets: Annotated[list[Name], Field(min_length=1, max_length=MOST_TARGETS)]
    known: Annotated[list[Name], Field(min_length=1, max_length=MOST_COLUMNS)] | None = None
    confident: float = 0.8

    @field_validator("confident")
    @classmethod
    def _told(cls, value: float) -> float:
        if value not in LEVELS:
            raise ValueError(f"must be one of {', '.join(f'{level:g}' for level in LEVELS)}")
        return value

    _targets_once = field_validator("targets")(each_once)
    _known_once = field_validator("known")(each_once)

    def datasets(self) -> tuple[str, ...]:
        return (self.people, self.attributes)

    def priced_by(self) -> tuple[str, ...]:
        """The attributes: everything else is their reader's own."""
        return (self.attributes,)

    def own_columns(self, contract: Contract) -> bool:
        """Whether it learns from the other party's own columns: everything about its people is secret."""
        return contract.dataset[self.attributes].protects == "person"

    def columns_of(self, contract: Contract) -> tuple[str, ...]:
        """The known columns in the contract's order, whatever order the job names them in."""
        found = learnable(contract, self.people)
        if self.known is not None:
            return tuple(name for name in found if name in self.known)
        if not self.own_columns(contract):
            return tuple(found)
        theirs = contract.dataset[self.attributes].columns
        return tuple(name for name in found if name in theirs and name not in self.targets)

    def targets_of(self, contract: Contract) -> tuple[str, ...]:
        """The wanted columns in the contract's order."""
        return tuple(name for name in contract.dataset[self.attributes].columns if name in self.targets)

    def threat_model(self, contract: Contract) -> ThreatModel:
        return "person" if self.own_columns(contract) else "membership"

    def fewest_rows(self, contract: Contract, dataset: str) -> int:
        return contract.rules.smallest_seed if dataset == self.attributes else FEWEST_PEOPLE

    def refuse(self, contract: Contract, submitted: Mapping[str, Submitted]) -> None:
        self._refuse_datasets(contract)
        refuse_short(contract, self.attributes, submitted)
        if submitted[self.people].rows < FEWEST_PEOPLE:
            rows = counted(submitted[self.people].rows, "row")
            rule = f"{self.people} has {rows}, a completion needs {FEWEST_PEOPLE}"
            raise Refused("people", rule, "submit more people")
        self._refuse_readers(contract)
        self._refuse_targets(contract)
        self._refuse_known(contract)

    def _refuse_datasets(self, contract: Contract) -> None:
        for name in self.datasets():
            if contract.dataset[name].rows == "events":
                rule = f"{name} holds events, in which a person may stand many times"
                raise Refused("dataset", rule, "name a data set of people")
        if contract.dataset[self.people].owner == contract.dataset[self.attributes].owner:
            owner, same = contract.dataset[self.people].owner, self.people == self.attributes
            both = f"owns both {self.people} and {self.attributes}, and has no secret from itself"
            rule = f"people and attributes are the same data set, {self.people}" if same else f"{owner} {both}"
            raise Refused("dataset", rule, "name data sets of two owners; what is all one's own is completed at home")
        if contract.dataset[self.people].id is None:
            rule = "without own IDs there is nobody to tell an answer for"
            raise Refused(
                f"dataset.{self.people}.id", rule, 'it takes a contract that names the column: `id = "COLUMN"`'
            )
        if not self.own_columns(contract):
            identifier_of(contract, self.datasets())

    def _refuse_readers(self, contract: Contract) -> None:
        owner = contract.dataset[self.people].owner
        others = contract.readers(tuple(self.recipients)) - {owner}
        if others:
            rule = (
                f"an answer follows from one person's columns, so only {owner}, who owns {self.people}, may read it; "
                f"{names(others)} would read it too"
            )
            remedy = "let a neutral party, or the owner of the people, operate the room"
            if set(self.recipients) - {owner}:
                remedy = f'ask recipients = ["{owner}"]; for other readers ask a job of kind model'
            raise Refused("membership", rule, remedy)

    def _refuse_targets(self, contract: Contract) -> None:
        declared = contract.dataset[self.attributes].columns
        fitting = wanted(contract, self.attributes)
        unfit = [name for name in self.targets if name not in fitting]
        if unfit:
            rule = f"{names(unfit)} is no category, flag or set of {self.attributes}"
            remedy = f"use some of {names(fitting)}" if fitting else "declare such columns in the contract"
            raise Refused("targets", rule, remedy)
        lone = [n for n in self.targets if isinstance(c := declared[n], ChoiceColumn) and len(c.values) < 2]
        if lone:
            raise Refused("targets", f"{names(lone)} has one value only, which everybody has", "leave it out")
        values = sum(len(values_of(contract, self.attributes, name)) for name in self.targets)
        if values > MOST_VALUES:
            rule = f"the targets have {values} values, one release tells at most {MOST_VALUES}"
            raise Refused("targets", rule, "name fewer of them, or declare coarser values")

    def _refuse_known(self, contract: Contract) -> None:
        refuse_columns(contract, self.people, self.known)
        ours, theirs = contract.dataset[self.people].columns, contract.dataset[self.attributes].columns
        if not self.own_columns(contract):
            return
        both = sorted(set(self.known or ()) & set(self.targets))
        if both:
            raise Refused("known", f"{names(both)} is wanted, and cannot be known as well", "leave it out of known")
        columns = self.columns_of(contract)
        unlike = [name for name in columns if name not in theirs or ours[name] != theirs[name]]
        if unlike or not columns:
            what = f"{names(unlike)} is not declared for both alike" if unlike else "no column is declared for both"
            raise Refused(
                f"dataset.{self.attributes}.protects",
                f'it protects "person", so what is known must be columns of its own; {what}',
                f'declare them for {self.attributes} as for {self.people}, or agree on protects = "membership" for it',
            )

    def draws(self, contract: Contract, base: Specification, rho: Rho, shape_of: ShapeOf) -> tuple[Draw, ...]:
        """Sums for all targets at once pay; the counts of answers, on the other part of the people, cost no more."""
        source = self.attributes if self.own_columns(contract) else self.people
        columns = tuple(f"{source}.{name}" for name in self.columns_of(contract))
        columns += tuple(f"{self.attributes}.{name}" for name in self.targets_of(contract))
        sums = replace(base, statistic=SUMS, part="train", columns=columns)
        shape = shape_of(contract, self, SUMS)
        if shape.cells > MOST_CELLS:
            rule = f"these columns and targets take {shape.cells:,} sums, one release holds at most {MOST_CELLS:,}"
            raise Refused("targets", rule, "name fewer targets, or fewer columns in known")
        sums = with_noise(shaped(sums, shape), rho)
        answers = replace(base, statistic=ANSWERS, part="held-out", columns=columns, follows=sums.key)
        answers = shaped(answers, shape_of(contract, self, ANSWERS))
        answers = with_noise(answers, price(sums.l2_squared, sums.scale))
        return (Draw(sums), Draw(answers, beside=sums.key))

    def learns(self, contract: Contract, readers: str) -> tuple[str, ...]:
        del readers
        owner, other = contract.dataset[self.people].owner, contract.dataset[self.attributes].owner
        secret = (
            f"everything about one of {other}'s people is protected, its columns too"
            if self.own_columns(contract)
            else f"whom {other} knows is protected, and all that it knows of each of them"
        )
        return (
            f"{owner} gets a guess of {names(self.targets)} for each of its own people, from their columns and from "
            f"noisy sums over {self.attributes} (ε {self.epsilon:g})",
            secret,
            f"nobody's answer is looked up: whom {other} knows gets the same guess as others with the same columns",
            f"{other} learns nothing from this release",
        )

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        """Attributes are of a data set with columns to want, people of another owner with some to learn from."""
        del size
        people_first = sorted(pairs(contract), key=lambda pair: contract.dataset[pair[0]].id is None)
        if not people_first:
            rule = "no two owners hold columns, one to learn from and one to complete"
            raise Refused("targets", rule, "declare columns for both in the contract")
        people, attributes = people_first[0]
        targets = ", ".join(f'"{name}"' for name in wanted(contract, attributes)[:MOST_TARGETS])
        return [
            f'people = "{people}"  # who gets answers: its owner alone reads them',
            f'attributes = "{attributes}"  # who knows them of some',
            f"targets = [{targets}]  # every one more costs precision: k of them make noise √k as wide",
            "confident = 0.8  # .5, .6, .7, .8, .9 or .95; another one later costs nothing",
        ]

    def brief(self) -> str:
        return f"{', '.join(self.targets)} of {self.attributes} for {self.people}, at {self.confident:g}"

    def made(self) -> dict[str, Json]:
        return {"people": self.people, "attributes": self.attributes, "confident": str(self.confident)}


def values_of(contract: Contract, dataset: str, column: str) -> tuple[str, ...]:
    """The values of a wanted column; of a flag, no and yes."""
    declared = contract.dataset[dataset].columns[column]
    return tuple(declared.values) if isinstance(declared, ChoiceColumn | SetColumn) else ("no", "yes")
