"""Topics: which topics go with which responses, also among people of whom little is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from ...dp.keys import Bins, Category, Dimension, InvalidQuery, cells
from ...dp.layout import GroupBy
from ...dp.measures import People
from ..contract import ChoiceColumn, Contract, Name, NumberColumn, SetColumn
from ..refused import Refused
from ..sentences import names
from .job import Strict
from .query import Chosen, Query, Recipe, Terms, refused, with_people
from .table import ColumnName, Number, TableJob

PAIRS, TOPIC, RESPONSE, EVERYBODY = "pairs", "topic", "response", "everybody"
MARGINS_MATTER = 0.1
"""How much the noise of a margin counts beside that of a pair: it moves a lift far less."""


class History(Strict):
    """People with little history: those whose number in a column is below this one, beside all the others."""

    column: Name
    below: Number


class TopicsJob(TableJob):
    """dataset: people with topics. topics: a set, or a category. response: a category of another data set, such as the
    campaign that somebody clicked. topics_per_person, responses_per_person: how many of one person count.
    """

    kind: Literal["topics"]
    topics: Name
    response: ColumnName
    topics_per_person: Annotated[int, Field(ge=1, le=1000)] | None = None
    responses_per_person: Annotated[int, Field(ge=1, le=1000)] | None = None
    history: History | None = None
    false_discoveries: Annotated[float, Field(gt=0, le=0.5)] = 0.05

    def own_datasets(self) -> tuple[str, ...]:
        return (self.response.partition(".")[0],)

    def what(self) -> str:
        return f"how {self.topics} and {self.response} go together"

    def brief(self) -> str:
        return f"{self.topics} and {self.response}"

    def query(self, terms: Terms) -> Query:
        if terms.at_least is not None:
            rule = "lift needs sums beside the pairs, which would show a pair that is hidden for having too few people"
            raise Refused("rules.at_least", rule, "ask an aggregate, or agree on a contract without it")
        topic, response, history = self._topic(terms), self._response(terms), self._history(terms)
        topics, responses = self.most(terms)
        plain = Recipe(self.dataset, self.filters(terms), self.joined(terms), tuple(self.among))
        of_topic = Chosen(topic.name, topics)
        of_response = Chosen(response.name, responses, self.filters(terms, of_own=True))
        asked: list[tuple[str, tuple[Dimension, ...], int, Chosen | None, Chosen | None]] = [
            (PAIRS, (*history, topic, response), topics * responses, of_topic, of_response),
            (TOPIC, (*history, topic), topics, of_topic, None),
            (RESPONSE, (*history, response), responses, None, of_response),
            (EVERYBODY, history, 1, None, None),
        ]
        try:
            groups = [GroupBy(n, by, min(most, cells(by)), (People("people"),)) for n, by, most, _, _ in asked]
        except InvalidQuery as invalid:
            raise refused(invalid) from None
        recipes = [replace(plain, answer=answer, topics=chosen) for _, _, _, chosen, answer in asked]
        read = {topic.name, response.name, *(each.name for each in history)}
        read |= {each.column for each in (*self.filters(terms), *self.filters(terms, of_own=True))}
        matters = {(group.name, "people"): MARGINS_MATTER for group in groups if group.name != PAIRS}
        groups = [with_people(group, terms.at_least) for group in groups]
        return Query(tuple(groups), tuple(recipes), tuple(sorted(read)), matters)

    def _refuse_shape(self, terms: Terms) -> None:
        if self.by or self.keys_per_person is not None:
            rule = "topics and responses are its keys already"
            raise Refused("by", rule, "leave by and keys_per_person out; say topics_per_person")
        if terms.dataset[self.dataset].rows == "events":
            raise Refused("dataset", f"{self.dataset} holds events, not people", "name a data set of people")

    def _topic(self, terms: Terms) -> Category:
        self._refuse_shape(terms)
        whole = terms.named(self.topics, self.dataset)
        column = terms.column(whole)
        if not isinstance(column, SetColumn | ChoiceColumn):
            known = names(
                n for n, c in terms.dataset[self.dataset].columns.items() if c.kind in ("set", "category", "ordinal")
            )
            raise Refused("columns", f"{self.topics} is no list of topics", f"use {known or 'a set or a category'}")
        return Category(whole, tuple(column.values))

    def _response(self, terms: Terms) -> Category:
        dataset, dot, name = self.response.partition(".")
        if not dot or dataset == self.dataset:
            rule = f"{self.response} does not say of which other data set it is"
            raise Refused("columns", rule, 'write it such as response = "exposures.campaign"')
        column = terms.column(self.response)
        if not isinstance(column, ChoiceColumn):
            known = names(
                f"{dataset}.{n}" for n, c in terms.dataset[dataset].columns.items() if c.kind in ("category", "ordinal")
            )
            raise Refused("columns", f"{name} of {dataset} is no category", f"use {known or 'a category'}")
        return Category(self.response, tuple(column.values))

    def _history(self, terms: Terms) -> tuple[Bins, ...]:
        if self.history is None:
            return ()
        name, below = self.history.column, float(self.history.below)
        column = terms.column(terms.named(name, self.dataset))
        if not isinstance(column, NumberColumn):
            raise Refused(
                "columns", f"{name} does not hold numbers", "use a column that says how much is known of a person"
            )
        low, high = column.bounds
        if not low < below < high:
            rule = f"nobody, or everybody, is below {below:g} by the bounds of {name}"
            raise Refused("bins", rule, f"say below = a number between {low:g} and {high:g}")
        return (Bins(f"{self.dataset}.{name}", (float(low), below, float(high))),)

    def most(self, terms: Terms) -> tuple[int, int]:
        """How many topics and how many responses of one person count."""
        column = terms.dataset[self.dataset].columns[self.topics]
        topics = column.at_most if isinstance(column, SetColumn) else 1
        dataset, _, name = self.response.partition(".")
        rule = terms.dataset[dataset]
        known = rule.columns[name]
        values = len(known.values) if isinstance(known, ChoiceColumn) else 1
        responses = min(rule.rows_a_person, values)
        return min(self.topics_per_person or topics, topics), min(self.responses_per_person or responses, responses)

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        """The first set of topics, and the first category of events."""
        del size
        people = {n: rule.columns for n, rule in contract.dataset.items() if rule.rows == "people"}
        found = [
            (n, c) for n, columns in people.items() for c, column in columns.items() if isinstance(column, SetColumn)
        ]
        dataset, topics = found[0] if found else (next(iter(contract.dataset)), "topics")
        events = [
            f"{n}.{c}"
            for n, rule in contract.dataset.items()
            if n != dataset
            for c, column in rule.columns.items()
            if isinstance(column, ChoiceColumn)
        ]
        return [
            f'dataset = "{dataset}"',
            f'topics = "{topics}"',
            f'response = "{events[0] if events else "exposures.campaign"}"  # such as the campaign somebody clicked',
            "topics_per_person = 3  # the fewer count, the less noise",
            "responses_per_person = 1",
        ]
