"""One draw a statistic: an operator who draws again, whatever it calls it, is found out."""

from __future__ import annotations

from copy import deepcopy

import pytest

from .forger import HISTOGRAM, MOMENTS, OVERLAP, Change, Operator, priced

UNLIKE: dict[str, Change] = {
    "less noise": lambda s: s.update(scale=s["scale"] // 2),
    "more noise": lambda s: s.update(scale=s["scale"] + 1),
    "a scale that is true": lambda s: s.update(scale=True),
    "a sensitivity understated": lambda s: s.update(l2_squared=s["l2_squared"] // 4),
    "a sensitivity overstated": lambda s: s.update(l2_squared=s["l2_squared"] + 1),
    "a finer lattice": lambda s: s.update(lattice="2^-21"),
    "another unit of scale": lambda s: s.update(scale_unit="1/1"),
    "columns in another order": lambda s: s.update(columns=s["columns"][::-1]),
    "a column twice": lambda s: s.update(columns=[*s["columns"], s["columns"][0]]),
    "a column less": lambda s: s.update(columns=s["columns"][1:]),
    "columns that are not the job's": lambda s: s.update(columns=["buyers.age"]),
    "more cells": lambda s: s.update(cells=s["cells"] + 1),
    "another part": lambda s: s.update(part="all"),
    "the other part": lambda s: s.update(part={"train": "held-out", "held-out": "train"}[s["part"]]),
    "something it follows": lambda s: s.update(follows="0" * 64),
    "another statistic": lambda s: s.update(statistic="seed-moments@9"),
    "another mechanism": lambda s: s.update(mechanism="none"),
    "another unit": lambda s: s.update(unit="row"),
    "other neighbours": lambda s: s.update(neighbours="none"),
    "another match rule": lambda s: s.update(rule="any"),
    "data sets swapped": lambda s: s.update(
        datasets=dict(zip(s["datasets"], [*s["datasets"].values()][::-1], strict=True))
    ),
    "a data set less": lambda s: s["datasets"].pop("buyers"),
    "a third data set": lambda s: s["datasets"].update(more="0" * 64),
    "a manifest nobody has": lambda s: s["datasets"].update(buyers="0" * 64),
    "something more": lambda s: s.update(salt="1"),
}


@pytest.mark.parametrize("name", UNLIKE)
@pytest.mark.parametrize("part", [0, 1], ids=["moments", "histogram"])
def test_the_same_statistic_cannot_be_drawn_again_by_calling_it_another(
    operator: Operator, name: str, part: int
) -> None:
    """A second draw, paid in full, with something changed that the job does not change."""
    request = operator.world.request("lookalike")
    entry = operator.release(request, part)
    before = entry["key"]
    UNLIKE[name](entry["specification"])
    entry = priced(entry)
    assert entry["key"] != before
    operator.entries.append(entry)
    assert operator.broken().entry == 5


def test_the_same_statistic_with_fresh_noise_is_named(operator: Operator) -> None:
    request = operator.world.request("lookalike")
    for part in (0, 1):
        again = Operator(operator.world, operator.log)
        again.entries.append(again.release(request, part))
        broken = again.broken()
        assert (broken.entry, broken.rule) == (5, "the same statistic was drawn twice")


def test_a_statistic_that_stands_twice_without_a_new_payer_is_named(operator: Operator) -> None:
    again = deepcopy(operator.entries[OVERLAP]) | {"seq": 5, "charges": []}
    operator.entries.append(again)
    assert operator.broken().entry == 5


def test_a_second_pair_cannot_be_covered_by_the_same_charge(operator: Operator) -> None:
    """The histogram of another job, covered by the moments of the first."""
    request = operator.world.request("lookalike", epsilon=0.9)
    entry = operator.release(request, 1)
    entry["beside"] = entry["specification"]["follows"] = operator.entries[MOMENTS]["key"]
    entry["covered"] = deepcopy(operator.entries[HISTOGRAM]["covered"])
    operator.entries.append(priced(entry))
    assert operator.broken().entry == 5


def test_a_covered_release_without_its_cover_is_named(operator: Operator) -> None:
    operator.entries.append(operator.release(operator.world.request("lookalike", epsilon=0.9), 1))
    broken = operator.broken()
    assert (broken.entry, broken.rule) == (5, "what should have paid for it is not here")
