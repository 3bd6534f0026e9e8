"""Lookalike: fit on the seed, choose the people most like it, evaluate on people held out.

What it gives rests on exact knowledge of the features, so only the features' owner may read it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ...dp.budget import Rho, epsilon_units
from ...dp.canonical import Json
from ...dp.entry import Specification
from ...dp.scale import price
from ..contract import Contract, Name
from ..learnt import learnable
from ..refused import Refused, Submitted
from ..sentences import counted, names
from ..threat import ThreatModel
from .considered import MOST_CONSIDERED, Considered, refuse_considered, spelled
from .draw import Draw, shaped, with_flip, with_noise
from .job import MOST_COLUMNS, ShapeOf, Strict, each_once
from .pair import PairJob

FEWEST_PEOPLE = 200
"""A lookalike holds out one person in five by a hash: with fewer people nobody might be held out."""

MOMENTS, GROUPS, SCORES = "seed-moments@5", "seed-groups@1", "score-histogram@1"
STRATA = "score-strata@1"
"""What `SCORES` counts, by how much is known of a person as well."""
RESPONSES = "responses@1"
"""One label a person, whoever is held out, by randomised response."""

Learner = Literal["glm", "naive-bayes", "boosting"]
_ALONE: list[Learner] = ["glm"]
GROUPS_SHARE = 4
"""One part in so many of a job's price buys the counts that learners are compared by."""
MOST_BOOSTED = 100
"""So many columns may boosting take on: its trees are grown hundreds of times over all of them."""


class AudienceSize(Strict):
    """How many of the people the audience holds, and of how many columns something must be known of each."""

    size: Annotated[int, Field(ge=1)]
    least_known: Annotated[int, Field(ge=1)] | None = None


class LookalikeJob(PairJob):
    """Fit on the seed, choose the people most like it, evaluate on people held out. One reader: the features' owner.

    columns: the features used, in any order; all of the contract's that are not considered where it is left out.
    consider: what is ranked by how much it would add, and not used (`considered`).
    learners: compared on those who train, in the order in which they are preferred; the winner makes the audience.
    labels: what is taken of the labels: noisy sums over those who are matched, or every label by randomised response.
    strata: whether those held out are counted by how much is known of them; randomised labels always tell that.
    """

    kind: Literal["lookalike"]
    audience: AudienceSize
    columns: Annotated[list[Name], Field(min_length=1)] | None = None
    consider: Annotated[list[str], Field(min_length=1, max_length=MOST_CONSIDERED)] | None = None
    learners: Annotated[list[Learner], Field(min_length=1)] = Field(default_factory=lambda: [*_ALONE])
    labels: Literal["sums", "randomised"] = "sums"
    strata: bool = False

    _columns_once = field_validator("columns")(each_once)
    _considered_once = field_validator("consider")(spelled)
    _learners_once = field_validator("learners")(each_once)

    @property
    def compares(self) -> bool:
        """Whether counts by group are paid for: the one that is there without asking needs none."""
        return self.learners != _ALONE

    @property
    def randomised(self) -> bool:
        """Whether every label leaves by randomised response, and no noisy sums."""
        return self.labels == "randomised"

    def priced_by(self) -> tuple[str, ...]:
        """The seed: the features are their reader's own."""
        return (self.seed,)

    def columns_of(self, contract: Contract) -> tuple[str, ...]:
        """The columns that the model uses in the contract's order, whatever order the job names them in."""
        declared, considered = learnable(contract, self.people), self.consider or []
        if self.columns is None:
            return tuple(name for name in declared if name not in considered)
        return tuple(name for name in declared if name in self.columns)

    def considered_of(self, contract: Contract) -> Considered:
        """What it considers and does not use."""
        return Considered.of(self.consider or [], learnable(contract, self.people))

    def threat_model(self, contract: Contract) -> ThreatModel:
        del contract
        return "membership"

    def fewest_rows(self, contract: Contract, dataset: str) -> int:
        """Of the people: as many as it needs, and as the audience it asks for."""
        return contract.rules.smallest_seed if dataset == self.seed else max(FEWEST_PEOPLE, self.audience.size)

    def refuse(self, contract: Contract, submitted: Mapping[str, Submitted]) -> None:
        super().refuse(contract, submitted)
        self._refuse_sizes(contract, submitted[self.people].rows)
        self._refuse_readers(contract)
        refuse_columns(contract, self.people, self.columns)
        self._refuse_unknown(contract)
        self.refuse_considered(contract)
        self._refuse_boosting(contract)
        self._refuse_responses(contract)
        if contract.dataset[self.people].id is None:
            clause = f"dataset.{self.people}.id"
            raise Refused(
                clause,
                "without own IDs there is no audience to hand out",
                'it takes a contract that names the column: `id = "COLUMN"`',
            )

    def _refuse_sizes(self, contract: Contract, people: int) -> None:
        asked, least = self.audience.size, contract.rules.smallest_audience
        if people < FEWEST_PEOPLE:
            rule = f"{self.people} has {counted(people, 'row')}, a lookalike needs {FEWEST_PEOPLE}"
            raise Refused("people", rule, "submit more people")
        if asked < least:
            raise Refused(
                "rules.smallest_audience",
                f"an audience of {asked} is asked, at least {least} are needed",
                f"ask audience = {{ size = {least} }} or more",
            )
        if asked > people:
            remedy = f"the contract's smallest audience is {least:,}: agree on a smaller one, or submit more people"
            raise Refused(
                "audience",
                f"{asked:,} people are asked, and {self.people} has {counted(people, 'row')}",
                remedy if people < least else f"ask audience = {{ size = {people} }} or less",
            )

    def _refuse_unknown(self, contract: Contract) -> None:
        """More columns than there are can be known of nobody."""
        asked, columns = self.audience.least_known, len(self.columns_of(contract))
        if asked is not None and asked > columns:
            rule = f"{counted(asked, 'known column')} are asked of everybody, and the job has {columns}"
            raise Refused("audience", rule, f"ask least_known = {columns} or less")

    def refuse_considered(self, contract: Contract) -> None:
        """Errors: Refused where it considers what cannot be."""
        if self.consider is None:
            return
        if self.randomised:
            rule = "labels by randomised response serve any columns: none has to be drawn for"
            raise Refused(
                "consider", rule, "leave consider out, and name its columns in columns: it costs nothing more"
            )
        held = contract.dataset[self.people].columns
        declared = {name: held[name] for name in learnable(contract, self.people)}
        refuse_considered(declared, self.columns_of(contract), self.columns, self.consider)

    def _refuse_boosting(self, contract: Contract) -> None:
        columns = len(self.columns_of(contract))
        if "boosting" in self.learners and columns > MOST_BOOSTED:
            rule = f"boosting takes on at most {MOST_BOOSTED} columns, here are {columns}"
            raise Refused("learners", rule, 'name fewer in columns, or leave "boosting" out')

    def _refuse_responses(self, contract: Contract) -> None:
        """Labels are charged to what the seed's owner keeps for them, in whole units."""
        if not self.randomised:
            return
        kept, clause = contract.dataset[self.seed].budget.responses, f"dataset.{self.seed}.budget.responses"
        if self.compares:
            rule = "learners are compared on noisy counts, which are none of randomised labels"
            raise Refused("learners", rule, "leave learners out: what is learnt is chosen by the labels themselves")
        if kept is None:
            owner = contract.dataset[self.seed].owner
            rule = f"{owner} keeps no ε for labels by randomised response"
            raise Refused(clause, rule, "leave labels out, or agree on a contract with budget.responses")
        refuse_digits(self.epsilon)

    def _refuse_readers(self, contract: Contract) -> None:
        owner = contract.dataset[self.people].owner
        others = contract.readers(tuple(self.recipients)) - {owner}
        if others:
            raise Refused(
                "membership",
                f"a lookalike may be read only by {owner}, who owns the features; {names(others)} would read it too",
                f'ask recipients = ["{owner}"]; for other readers {_ask_model(contract)}'
                if set(self.recipients) - {owner}
                else "let a neutral party, or the owner of the features, operate the room",
            )
        if contract.dataset[self.seed].protects != "membership":
            raise Refused(
                f"dataset.{self.seed}.protects",
                "a lookalike protects membership of the seed, and this data set asks for more",
                f"{_ask_model(contract)}: it protects everything about a person",
            )

    def draws(self, contract: Contract, base: Specification, rho: Rho, shape_of: ShapeOf) -> tuple[Draw, ...]:
        """The moments pay; the histogram, on the other part of the people, is covered by them. Counts by group, where
        learners are compared, look at the people of the moments once more, and pay for themselves.

        Labels by randomised response are drawn once, of everybody: whoever is held out has one too, and what is made of
        them, with which columns, costs nothing more."""
        if self.randomised:
            units = Rho(epsilon_units(self.epsilon))
            flipped = shaped(replace(base, statistic=RESPONSES), shape_of(contract, self, RESPONSES))
            return (Draw(with_flip(flipped, units), flipped=units),)
        columns = tuple(f"{self.people}.{name}" for name in self.columns_of(contract))
        share = Rho(rho // GROUPS_SHARE if self.compares else 0)
        considered = self.considered_of(contract).in_ledger(self.people)
        moments = replace(base, statistic=MOMENTS, part="train", columns=(*columns, *considered))
        moments = with_noise(shaped(moments, shape_of(contract, self, MOMENTS)), Rho(rho - share))
        groups = replace(base, statistic=GROUPS, part="train", columns=columns, follows=moments.key)
        compared = [with_noise(shaped(groups, shape_of(contract, self, GROUPS)), share)] if self.compares else []
        follows = compared[-1].key if compared else moments.key
        evaluated = STRATA if self.strata else SCORES
        scores = replace(base, statistic=evaluated, part="held-out", columns=columns, follows=follows)
        scores = shaped(scores, shape_of(contract, self, evaluated))
        scores = with_noise(scores, price(moments.l2_squared, moments.scale))
        return (Draw(moments), *map(Draw, compared), Draw(scores, beside=moments.key))

    def learns(self, contract: Contract, readers: str) -> tuple[str, ...]:
        del readers
        owner, seed_owner = contract.dataset[self.people].owner, contract.dataset[self.seed].owner
        fitted = "fitted to randomised labels" if self.randomised else "fitted in noise"
        return (
            f"{owner} gets IDs of its own people, chosen by a model of {self.seed} {fitted} (ε {self.epsilon:g})",
            *self._responded(owner),
            f"{seed_owner} learns nothing from this release; once a campaign runs it sees who arrives, and may infer "
            "that they resemble its buyers: no ε covers that",
            "people on the seed list get no special treatment: the audience is a ranking, not the list",
            *self._considered(contract, owner),
            *self._compared(),
            *self._left_out(contract),
        )

    def _considered(self, contract: Contract, owner: str) -> tuple[str, ...]:
        if self.consider is None:
            return ()
        listed = ", ".join(self.considered_of(contract).named)
        return (f"{owner} learns, in the same noise, how much {listed} would add to the model, which does not use it",)

    def _responded(self, owner: str) -> tuple[str, ...]:
        if not self.randomised:
            return ()
        odds = math.exp(self.epsilon)
        return (
            f"{owner} gets a yes or no of each of its people, wrong so often that no answers are more than {odds:.3g} "
            "times as likely from one list as from another that differs in one record",
        )

    def _compared(self) -> tuple[str, ...]:
        if not self.compares:
            return ()
        listed = ", ".join(self.learners)
        return (
            f"a quarter of the price buys noisy counts of {self.seed} by groups of like people, on which "
            f"{listed} are compared; who was held out is looked at once, for the winner",
        )

    def _left_out(self, contract: Contract) -> tuple[str, ...]:
        least, smallest = self.audience.least_known, contract.rules.smallest_audience
        if least is None:
            return ()
        return (
            f"people of whom fewer than {counted(least, 'column')} are known are not chosen, so the audience may be "
            f"smaller than {self.audience.size:,}; it is empty where fewer than {smallest:,} are left",
        )

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        least = contract.rules.smallest_audience
        asked = least if size is None else size
        if asked < least:
            rule = f"an audience of {asked} is asked, at least {least} are needed"
            raise Refused("rules.smallest_audience", rule, f"say `--size {least}` or more")
        kept = any(rule.budget.responses for rule in contract.dataset.values())
        columns = next((c for name in contract.dataset if (c := learnable(contract, name))), [])
        return [
            *super().draft(contract, size),
            f"audience = {{ size = {asked} }}  # another size later costs nothing",
            *([f'# consider = ["{columns[-1]}"]  # ranked by what it would add, and not used'] if columns[1:] else []),
            '# learners = ["glm", "naive-bayes", "boosting"]  # compared, the best one chooses',
            "# strata = true  # how right scores are by how much is known; other figures are less exact",
            *(['# labels = "randomised"  # charged to what is kept for labels'] if kept else []),
        ]

    def brief(self) -> str:
        return f"{self.audience.size:,} of {self.people} like {self.seed}"

    def made(self) -> dict[str, Json]:
        compared: dict[str, Json] = {"learners": [*self.learners]} if self.compares else {}
        used: dict[str, Json] = {"columns": [*sorted(self.columns)]} if self.randomised and self.columns else {}
        least = self.audience.least_known
        known: dict[str, Json] = {} if least is None else {"least_known": least}
        return {**super().made(), "size": self.audience.size, **compared, **used, **known}


def _ask_model(contract: Contract) -> str:
    """What gives readers something where a lookalike's promise is not enough."""
    if any(rule.job == "model" for rule in contract.rules.allow):
        return "ask a job of kind model"
    return 'agree on a contract that allows `job = "model"`'


def refuse_columns(contract: Contract, dataset: str, columns: list[str] | None) -> None:
    """Columns to learn from that are declared, and not too many. columns: None for all of them. Errors: Refused."""
    declared = learnable(contract, dataset)
    if not declared:
        raise Refused(f"dataset.{dataset}.columns", "it has no columns to learn from", "declare some in the contract")
    unknown = [name for name in columns or [] if name not in declared]
    if unknown:
        raise Refused("columns", f"{names(unknown)} is not declared", f"use some of {names(declared)}")
    if len(declared if columns is None else columns) > MOST_COLUMNS:
        raise Refused("columns", f"a model learns from at most {MOST_COLUMNS} columns", "name some in columns")


def refuse_digits(epsilon: float) -> None:
    """Labels are charged in whole units of ε. Errors: Refused."""
    try:
        epsilon_units(epsilon)
    except ValueError:
        raise Refused("epsilon", f"ε {epsilon!r} has more than 12 digits after the point", "round it") from None
