"""What a job about rows may ask, from declarations alone."""

from __future__ import annotations

from typing import Any

import pytest

from passbox.dp.measures import Count, Sum
from passbox.policies.contract import AtLeast, DatasetRule
from passbox.policies.jobs.query import Query, Terms
from passbox.policies.jobs.table import TableJob
from passbox.policies.refused import Refused
from passbox.policies.request import parse_job

EVENTS = {
    "owner": "publisher",
    "protects": "person",
    "rows": "events",
    "at_most": 40,
    "identifiers": {"email": "raw"},
    "budget": {"epsilon": 3.0, "delta": 1e-8},
    "columns": {
        "event": {"kind": "category", "values": ["impression", "click"]},
        "cost": {"kind": "number", "bounds": [0.0, 0.5]},
        "balance": {"kind": "number", "bounds": [-5.0, 5.0]},
        "clicked": {"kind": "flag"},
        "ip": {"kind": "household"},
    },
}


def terms(at_least: AtLeast | None = None, **changes: Any) -> Terms:
    return Terms({"events": DatasetRule.model_validate(EVENTS | changes)}, at_least)


def query(text: str, of: Terms | None = None) -> Query:
    asked = parse_job(f'dataset = "events"\nrecipients = ["advertiser"]\nepsilon = 1.0\n{text}'.encode())
    assert isinstance(asked, TableJob)
    return asked.query(of or terms())


def test_what_a_person_may_add_follows_from_the_rows_it_may_have() -> None:
    asked = query('kind = "aggregate"\nmeasure.ads = { kind = "count" }\nmeasure.cost = { kind = "sum", of = "cost" }')
    counted, spent = asked.groups[0].measures
    assert isinstance(counted, Count)
    assert (counted.at_most, counted.in_total) == (40, 40)
    assert isinstance(spent, Sum)
    assert (spent.at_most, spent.in_total) == (20.0, 20.0)


def test_a_job_may_ask_less_of_a_person_never_more() -> None:
    counted = 'kind = "aggregate"\nmeasure.ads = {{ kind = "count", at_most = {} }}'
    less, more = (query(counted.format(most)).layout() for most in (4, 4000))
    assert less.block("counts", "ads").l2_squared == 16
    assert more.block("counts", "ads").l2_squared == 1600


def test_a_household_table_is_charged_for_moving_from_one_key_to_another() -> None:
    by_key = query('kind = "reach"\nby = ["event"]\nhouseholds = true')
    layout = by_key.layout()
    people = sum(
        block.multiplier**2 * block.l2_squared for block in layout.blocks if block.group.name.startswith("people")
    )
    homes = sum(block.multiplier**2 * block.l2_squared for block in layout.blocks if block.group.name == "households")
    alone = sum(
        block.multiplier**2 * block.l2_squared for block in layout.blocks if block.group.name == "households_all"
    )
    assert by_key.l2_squared(layout) == people + 2 * homes + alone


def test_spending_is_not_negative() -> None:
    with pytest.raises(Refused, match="negative"):
        query('kind = "campaign"\nspend = "balance"')
    assert query('kind = "campaign"\nspend = "cost"')
    assert query('kind = "aggregate"\nmeasure.balance = { kind = "sum", of = "balance" }')


def test_clicks_of_a_log_of_events_need_an_impression_in_their_key() -> None:
    which = '{{ column = "event", values = ["{}"] }}'
    text = f'kind = "campaign"\nimpressions = {which.format("impression")}\nclicks = {which.format("click")}'
    flags = {flag.name: flag.within for flag in query(text).recipes[0].flags}
    assert flags == {"impressions": "", "clicks": "impressions"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('kind = "campaign"\nclicks = "event"', "which of its rows"),
        ('kind = "campaign"\nclicks = { column = "event", values = ["view"] }', "does not have"),
        ('kind = "campaign"\nclicks = { column = "event", at_least = 3 }', "at_least is for numbers"),
        ('kind = "campaign"\nreport = ["cpa"]', "cpa is spend / conversions"),
        ('kind = "campaign"\nrevenue = "cost"', "names none"),
        ('kind = "campaign"\nconversions = "events"', "the events themselves"),
        ('kind = "aggregate"\nmeasure.m = { kind = "mean", of = "event" }', "does not hold numbers"),
        ('kind = "aggregate"\nmeasure.m = { kind = "count", of = "event" }', "neither yes or no nor a number"),
        ('kind = "aggregate"\nmeasure.m = { kind = "mean", of = "cost" }\ntop = { by = "m", keys = 1 }', "largest"),
        ('kind = "aggregate"\nby = ["cost"]\nmeasure.m = { kind = "count" }', "has no list of values"),
        (
            'kind = "aggregate"\nby = ["event"]\nbins.cost = [0, 1]\nmeasure.m = { kind = "count" }',
            "by does not name it",
        ),
        ('kind = "aggregate"\nby = ["cost"]\nbins.cost = [1, 0]\nmeasure.m = { kind = "count" }', "ascend"),
        ('kind = "reach"\nwhere.cost = [0.6, 0.9]', "can lie there"),
        ('kind = "reach"\nwhere.cost = ["cheap"]', "neither values nor two ends"),
        ('kind = "reach"\nby = ["ip"]', "households"),
        ('kind = "topics"\ntopics = "event"\nresponse = "events.event"', "holds events"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        query(text)
    assert words in f"{refused.value.rule} {refused.value.remedy}"
    assert refused.value.remedy


def test_a_filter_may_be_written_either_way() -> None:
    whole = query('kind = "reach"\nwhere."events.clicked" = ["yes"]')
    nested = query('kind = "reach"\nwhere.events.clicked = ["yes"]')
    short = query('kind = "reach"\nwhere.clicked = ["yes"]')
    assert whole.digest(whole.layout(), terms()) == nested.digest(nested.layout(), terms())
    assert whole.recipes == nested.recipes == short.recipes


def test_what_is_declared_is_part_of_what_is_paid_for() -> None:
    asked = query('kind = "reach"')
    other = terms(at_most=41)
    assert asked.digest(asked.layout(), terms()) != asked.digest(asked.layout(), other)
    assert asked.digest(asked.layout(), terms()) != asked.digest(asked.layout(), terms(AtLeast(people=5, delta=1e-6)))


def test_where_people_are_asked_for_every_key_has_a_judge() -> None:
    least = AtLeast(people=50, delta=1e-6)
    for text in (
        'kind = "aggregate"\nby = ["event"]\ntotals = true\nmeasure.ads = { kind = "count", at_most = 3 }',
        'kind = "aggregate"\nby = ["event"]\nmeasure.q = { kind = "quantiles", of = "cost", bins = 4 }',
        'kind = "reach"\nby = ["event"]\nhouseholds = true',
        'kind = "frequency"\nby = ["event"]',
        'kind = "campaign"\nby = ["event"]\nspend = "cost"',
    ):
        asked = query(text, terms(least))
        layout = asked.layout()
        veil = asked.veil(layout, 1000.0, least)
        assert veil is not None
        cells = [(block.start, block.stop) for block in layout.blocks]
        assert [(each.start, each.stop) for each in veil.judged] == cells, "also how many people were cut"
        assert all((each.stop - each.start) % each.many == 0 and each.least > 49 for each in veil.judged)
        assert not any(group.totals for group in asked.groups)
        assert all(group.by for group in asked.groups), (
            "a total, less the parts that are shown, is the part that is hidden"
        )


def test_a_budget_that_keeps_nothing_for_keys_is_digested_as_it_always_was() -> None:
    """Else tables that were paid for would be drawn anew."""
    held = next(iter(terms().dataset.values()))
    assert "selection" not in held.model_dump(mode="json")["budget"]
    kept = held.model_copy(update={"budget": held.budget.model_copy(update={"selection": 1e-9})})
    assert kept.model_dump(mode="json")["budget"]["selection"] == 1e-9


def test_keys_whose_declared_text_no_release_can_hold_are_refused() -> None:
    """Two columns of 400 values, of 40 or of 200 characters: 160,000 keys either way."""

    def by(long: int) -> Query:
        values = [f"{at:03}" + "x" * (long - 3) for at in range(400)]
        columns = {name: {"kind": "category", "values": values} for name in ("page", "app")}
        text = 'kind = "aggregate"\nby = ["page", "app"]\nmeasure.people = { kind = "people" }'
        return query(text, terms(columns=columns))

    assert by(40).layout().cells == 160_000
    with pytest.raises(Refused, match="text of its keys"):
        by(200).layout()
