"""Requests and rows as an attacker would choose them, and the replay that holds them against what is charged.

Replay: the same request on two neighbours with the noise at zero. Neighbours differ in all rows of one person. What
differs must stay within the declared sensitivity, and nothing else may differ: not the shape, not what is refused.
The idea is Re:cord-play's (arXiv:2602.17454).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import polars as pl
from hypothesis import strategies as st

from passbox.dp.aggregate import Statistic
from passbox.dp.grouped import aggregate
from passbox.dp.keys import Bins, Category
from passbox.dp.layout import GroupBy, Layout
from passbox.dp.measures import Count, Cut, Measure, People, Sum, mean

SECRET = bytes(range(16))
Aggregate = Callable[[Layout, Sequence[pl.DataFrame], bytes], Statistic]

PERSONS = [0, 1, 7, 2**63, 2**64 - 1]
REGIONS = ["north", "south", "", "Nörd", "No\u0308rd", "west", None]
"""`west`, the empty and the decomposed one are not declared."""
NUMBERS = [
    0.0,
    -0.0,
    0.5,
    1.0,
    2.5,
    -3.0,
    99.9,
    1e9,
    float("nan"),
    float("inf"),
    float("-inf"),
    2.0**53,
    1e38,
    5e-324,
    None,
]

SCHEMA = {
    "person": pl.UInt64,
    "region": pl.String,
    "age": pl.Float64,
    "price": pl.Float64,
    "clicked": pl.Boolean,
    "hour": pl.Int8,
}

row = st.tuples(
    st.sampled_from([*PERSONS, None]),
    st.sampled_from(REGIONS),
    st.sampled_from(NUMBERS),
    st.sampled_from(NUMBERS),
    st.sampled_from([True, False, None]),
    st.one_of(st.none(), st.integers(-128, 127)),
)


def frame(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame([list(r) for r in rows], schema=SCHEMA, orient="row")


tables = st.lists(row, max_size=40).map(frame)

REGION = Category("region", ("south", "north", "Nörd"))
dimensions = st.lists(
    st.sampled_from([REGION, Bins("age", (0.0, 1.0, 50.0, 100.0)), Bins("hour", (-5.0, 0.0, 5.0, 127.0), clip=True)]),
    unique_by=lambda d: d.name,
    max_size=3,
).map(tuple)

limits = st.integers(1, 4)
unlimited = st.one_of(st.none(), limits)


@cache
def amounts(rows_per_key: int | None, people: bool) -> st.SearchStrategy[tuple[Measure, ...]]:
    """Measures of different names that a table of so many rows a key bounds; with people counted or not.

    Built once: a strategy that is new is looked through first, which takes longer than what it is drawn for.
    """
    views = st.builds(Count, st.just("views"), at_most=limits, in_total=unlimited)
    clicks = st.builds(Count, st.just("clicks"), at_most=limits, of=st.just("clicked"))
    priced = st.builds(Count, st.just("priced"), at_most=st.just(rows_per_key or 3), of=st.just("price"))
    spend = st.builds(
        Sum,
        st.just("spend"),
        st.just("price"),
        st.sampled_from([0.0, -2.0]),
        st.sampled_from([3.0, 100.0]),
        parts=st.sampled_from([1, 100]),
        at_most=st.sampled_from([1.0, 7.5] if rows_per_key is None else [None, 1.0, 7.5]),
        in_total=st.sampled_from([None, 1.0, 9.0]),
    )
    each: list[st.SearchStrategy[tuple[Measure, ...]]] = [st.tuples(one) for one in (views, clicks, priced, spend)]
    if people:
        each.append(st.tuples(st.builds(People, in_total=unlimited)))
    if rows_per_key is not None:
        each += [
            st.tuples(st.builds(Count, st.just("priced"), of=st.just("price"))),
            st.just(mean("hour", "hour", 0, 24)),
        ]
    some = st.lists(st.sampled_from(each), min_size=1, max_size=4).flatmap(lambda chosen: st.tuples(*chosen))
    return st.tuples(some, st.booleans()).map(lambda drawn: named_once(drawn[0], cut=drawn[1]))


def named_once(found: tuple[tuple[Measure, ...], ...], *, cut: bool) -> tuple[Measure, ...]:
    """The first of each name, and people who were cut beside them."""
    first = {measure.name: measure for each in reversed(found) for measure in each}
    return (*first.values(), Cut()) if cut else tuple(first.values())


@st.composite
def groups(draw: st.DrawFn, name: str) -> GroupBy:
    by = draw(dimensions)
    running = bool(by) and isinstance(by[-1], Bins) and draw(st.booleans())
    kept = draw(st.sampled_from([(), ((),), tuple((d.name,) for d in by)])) if len(by) > 1 and not running else ()
    keys_per_person, rows_per_key = draw(limits), draw(unlimited)
    measures = draw(amounts(rows_per_key, people=not (kept and keys_per_person > 1)))
    return GroupBy(name, by, keys_per_person, measures, rows_per_key, running, kept)


GROUPS = [groups(name) for name in ("a", "b", "c")]


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Requests of up to three tables that are not refused: what is refused reads no row."""
    return Layout.of([draw(table) for table in GROUPS[: draw(st.integers(1, 3))]])


def moved(layout: Layout, table: pl.DataFrame, person: int, path: Aggregate = aggregate) -> int:
    """How far one person moves the exact integers: squared L2, in lattice steps."""
    before = path(layout, [table] * len(layout.groups), SECRET)
    after = path(layout, [table.filter(pl.col("person").ne_missing(person))] * len(layout.groups), SECRET)
    assert before.values.shape == after.values.shape == (layout.cells,)
    difference = [int(a) - int(b) for a, b in zip(before.values, after.values, strict=True)]
    return sum(d * d for d in difference)


def crowd(rows: int, person: int = 7, others: int = 500) -> pl.DataFrame:
    """One person with many rows of everything, among others with a few."""
    g = np.random.default_rng(1)
    many = rows + 3 * others
    who = np.r_[np.full(rows, person), g.integers(100, 100 + others, 3 * others)].astype(np.uint64)
    return pl.DataFrame(
        {
            "person": who,
            "region": np.array(["north", "south", "Nörd"])[g.integers(0, 3, many)],
            "age": g.uniform(-10, 120, many),
            "price": g.exponential(1e4, many),
            "clicked": g.random(many) < 0.9,
            "hour": g.integers(0, 24, many).astype(np.int8),
        },
        schema=SCHEMA,
    )
