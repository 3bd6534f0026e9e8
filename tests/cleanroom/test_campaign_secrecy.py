"""One person, with all rows, moves what is drawn by no more than is charged: through stored tables, joins and bounds.

Exact replay on neighbours, the noise left out: no statistics, no false alarms. Each planted fault fails the very replay
that the product passes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from campaign_jobs import KINDS, asked

from passbox.cleanroom import job
from passbox.cleanroom.bundle import BadBundle
from passbox.cleanroom.measure import rows as rows_
from passbox.cleanroom.measure.table import exact
from passbox.cleanroom.room import Dataset, Room
from passbox.dp.grouped import PERSON
from passbox.policies.jobs.query import Query, Terms
from passbox.policies.jobs.table import TableJob

if TYPE_CHECKING:
    from .campaign_world import CampaignWorld
    from .world import Copier

SECRET = bytes(range(32))
TIGHT: dict[str, dict[str, Any]] = {
    "aggregate": {
        "keys_per_person": 1,
        "measure": {"people": {"kind": "people"}, "ads": {"kind": "count", "at_most": 2}},
        "among": ["visitors", "purchases"],
    },
    "reach": {"keys_per_person": 2, "by": ["campaign", "visitors.region"]},
    "frequency": {"most": 3, "by": ["campaign"], "keys_per_person": 1, "households": True},
    "campaign": {
        "at_most": {"impressions": 2, "clicks": 1, "conversions": 1, "spend": 0.01},
        "by": ["visitors.region"],
    },
    "topics": {"topics_per_person": 1, "history": {"column": "visits", "below": 10}, "where": {}},
}
"""Bounds that bite, and joins of every sort."""
WAYS = [(kind, "as declared") for kind in KINDS] + [(kind, "tight") for kind in KINDS]


def request_of(world: CampaignWorld, kind: str, how: str) -> tuple[TableJob, Query]:
    fields = asked(kind) if how == "as declared" else asked(kind, **TIGHT[kind])
    asking = world.request(kind, "advertiser", **fields).job
    assert isinstance(asking, TableJob)
    return asking, asking.query(Terms.of(world.agreement.contract, asking.datasets()))


def minus(table: pa.Table, k: int) -> pa.Table:
    """The table without a person's rows."""
    return table.filter(pc.not_equal(table.column("k"), pa.scalar(k, pa.uint64())))


@contextlib.contextmanager
def without(dataset: str, k: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The room as if this person had never stood in that data set."""
    honest = Room.read

    def read(room: Room, held: Dataset, columns: list[str] | None = None) -> pa.Table:
        table = honest(room, held, columns)
        return (
            table.filter(pc.not_equal(table.column("k"), pa.scalar(k, pa.uint64()))) if held.name == dataset else table
        )

    with monkeypatch.context() as patch:
        patch.setattr(Room, "read", read)
        yield


def targets(world: CampaignWorld, dataset: str, many: int = 3) -> list[int]:
    """Whoever has most rows, and so many who stand in the other data sets, too."""
    k = world.table(dataset).column("k").to_numpy()
    people, rows = np.unique(k, return_counts=True)
    elsewhere = [world.table(name).column("k").to_numpy() for name in ("visitors", "exposures", "purchases")]
    everywhere = people[np.isin(people, elsewhere[0]) & np.isin(people, elsewhere[1]) & np.isin(people, elsewhere[2])]
    return [int(people[rows.argmax()]), *map(int, everywhere[:many])]


@dataclass
class Moved:
    """How far one person moved the row, as a share of what is charged, squared L2; and whether anything moved."""

    share: float
    at_all: bool


def moved(world: CampaignWorld, kind: str, how: str, dataset: str, k: int, monkeypatch: pytest.MonkeyPatch) -> Moved:
    _, query = request_of(world, kind, how)
    layout, room = query.layout(), world.room()
    before = exact(room, query, "key").values
    with without(dataset, k, monkeypatch):
        after = exact(room, query, "key").values
    apart = [int(a) - int(b) for a, b in zip(before, after, strict=True)]
    distance = sum(each * each for each in apart)
    return Moved(distance / query.l2_squared(layout), distance > 0)


@pytest.mark.parametrize(("kind", "how"), WAYS)
def test_one_person_moves_no_more_than_is_charged(
    campaign_room: CampaignWorld, kind: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever data set the person is taken from."""
    asking, _ = request_of(campaign_room, kind, how)
    for dataset in asking.datasets():
        found = [moved(campaign_room, kind, how, dataset, k, monkeypatch) for k in targets(campaign_room, dataset)]
        assert all(each.share <= 1 for each in found)
        assert any(each.at_all for each in found) or kind == "topics"


def left_of(tables: list[pl.DataFrame], query: Query, k: int) -> list[pl.DataFrame | None]:
    """Of each table, the person's rows; None of a household's."""
    found: list[pl.DataFrame | None] = []
    for table, recipe in zip(tables, query.recipes, strict=True):
        own = table.filter(pl.col(PERSON) == k) if not recipe.household else None
        found.append(None if own is None else own.sort(own.columns, nulls_last=True) if own.height else own)
    return found


def all_or_nothing(
    world: CampaignWorld, kind: str, how: str, dataset: str, k: int, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Whether each table keeps all rows of a person or none, and all others, when a data set loses the person."""
    _, query = request_of(world, kind, how)
    before = rows_.tables(world.room(), query, SECRET)
    with without(dataset, k, monkeypatch):
        after = rows_.tables(world.room(), query, SECRET)
    mine = zip(left_of(before, query, k), left_of(after, query, k), strict=True)
    own = all(was is None or now is None or now.height == 0 or now.equals(was) for was, now in mine)
    others = all(
        recipe.household or one.filter(pl.col(PERSON) != k).height == other.filter(pl.col(PERSON) != k).height
        for one, other, recipe in zip(before, after, query.recipes, strict=True)
    )
    return own and others


@pytest.mark.parametrize(("kind", "how"), WAYS)
def test_what_is_left_of_a_person_is_all_or_nothing(
    campaign_room: CampaignWorld, kind: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What every bound of several data sets rests on (`policies.jobs.query`)."""
    asking, _ = request_of(campaign_room, kind, how)
    for dataset in asking.datasets():
        for k in targets(campaign_room, dataset, 2):
            assert all_or_nothing(campaign_room, kind, how, dataset, k, monkeypatch)


def test_a_real_neighbour_is_submitted_and_moves_no_more(
    campaign_room: CampaignWorld, copied: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same through bundles: whoever has most rows becomes as many rows of a dummy, who match nobody."""
    later = campaign_room.at(campaign_room.now + timedelta(hours=1))
    table = later.table("purchases")
    people = targets(later, "purchases", 20)
    k = next(k for k in people if moved(later, "campaign", "as declared", "purchases", k, monkeypatch).at_all)
    gone = np.flatnonzero(table.column("k").to_numpy() == k)
    neighbour = minus(table, k)
    dummies = table.take(pa.array(np.zeros(len(gone), dtype=np.int64)))
    handle = np.random.default_rng(3).integers(1, 2**63, 2, dtype=np.uint64)
    for name, half in zip(("k", "k2"), handle, strict=True):
        place = dummies.schema.get_field_index(name)
        dummies = dummies.set_column(place, name, pa.array(np.full(len(gone), half, dtype=np.uint64)))
    neighbour = pa.concat_tables([neighbour, dummies]).sort_by("k")
    values = []
    for each in (table, neighbour):
        room = copied(later)
        room.submit("purchases", each)
        _, query = request_of(room, "campaign", "as declared")
        values.append(exact(room.room(), query, "key"))
    apart = [int(a) - int(b) for a, b in zip(values[0].values, values[1].values, strict=True)]
    assert 0 < sum(each * each for each in apart) <= values[0].l2_squared


# -- planted faults --------------------------------------------------------------------------------------------------


def conversions_of_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody was shown before is credited to the last campaign: it moves there when the ads are taken away."""
    honest = rows_.touched

    def generous(rows: pl.DataFrame, events: pl.DataFrame, touch: Any, secret: bytes) -> pl.DataFrame:
        found = honest(rows, events, touch, secret)
        rest = rows.join(found.select("k", "k2").unique(), on=["k", "k2"], how="anti")
        return pl.concat(
            [found, rest.with_columns(pl.lit("brand").alias(name) for name in touch.carried)], how="diagonal"
        )

    monkeypatch.setattr(rows_, "touched", generous)


def looked_up_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not among the visitors is counted in the first region."""
    honest = pl.DataFrame.join

    def left(self: pl.DataFrame, other: pl.DataFrame, **how: Any) -> pl.DataFrame:
        if how.get("how") != "inner" or "visitors.region" not in other.columns:
            return honest(self, other, **how)
        joined = honest(self, other, **(how | {"how": "left"}))
        return joined.with_columns(pl.col("visitors.region").fill_null("capital"))

    monkeypatch.setattr(pl.DataFrame, "join", left)


@pytest.mark.parametrize(
    ("fault", "kind", "how", "dataset"),
    [
        (conversions_of_strangers, "campaign", "as declared", "exposures"),
        (looked_up_without_need, "reach", "tight", "visitors"),
        (looked_up_without_need, "campaign", "tight", "visitors"),
    ],
)
def test_a_planted_fault_leaves_some_of_a_person(
    campaign_room: CampaignWorld,
    fault: Callable[[pytest.MonkeyPatch], None],
    kind: str,
    how: str,
    dataset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(monkeypatch)
    kept = [
        all_or_nothing(campaign_room, kind, how, dataset, k, monkeypatch) for k in targets(campaign_room, dataset, 20)
    ]
    assert not all(kept)


def a_household_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """People are counted in every household they were seen in, and the noise is for one."""
    monkeypatch.setattr(
        rows_, "by_household", lambda rows, household, secret: rows.with_columns(pl.col(household).alias(PERSON))
    )


def test_a_person_in_many_households_is_caught(
    campaign_room: CampaignWorld, copied: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody moves house with every ad."""
    room: CampaignWorld = copied(campaign_room).at(campaign_room.now + timedelta(hours=1))  # type: ignore[assignment]
    k = targets(room, "exposures")[0]
    table = room.table("exposures")
    mine = table.column("k").to_numpy() == k
    homes = table.column("household").to_numpy().copy()
    homes[mine] = np.arange(mine.sum(), dtype=np.uint64) + np.uint64(7)
    place = table.schema.get_field_index("household")
    room.submit("exposures", table.set_column(place, "household", pa.array(homes)))
    assert moved(room, "reach", "as declared", "exposures", k, monkeypatch).share <= 1
    a_household_each_time(monkeypatch)
    assert moved(room, "reach", "as declared", "exposures", k, monkeypatch).share > 1


# -- a person with ten thousand rows -----------------------------------------------------------------------------------


def test_a_bundle_in_which_a_person_has_too_many_rows_is_refused(campaign_room: CampaignWorld, copied: Copier) -> None:
    room = copied(campaign_room).at(campaign_room.now + timedelta(hours=1))
    table = room.table("exposures")
    more = pa.concat_tables([table, table.take(pa.array(np.zeros(10_000, dtype=np.int64)))]).sort_by("k")
    with pytest.raises(BadBundle, match="more rows"):
        room.submit("exposures", more)
    assert room.table("exposures").num_rows == table.num_rows


def test_a_bundle_in_which_a_k_stands_for_two_is_refused(campaign_room: CampaignWorld, copied: Copier) -> None:
    room = copied(campaign_room).at(campaign_room.now + timedelta(hours=1))
    table = room.table("purchases")
    k, k2 = (table.column(name).to_numpy().copy() for name in ("k", "k2"))
    k[1], k2[1] = k[0], k2[0] ^ np.uint64(1)
    table = table.set_column(0, "k", pa.array(k)).set_column(1, "k2", pa.array(k2)).sort_by("k")
    with pytest.raises(BadBundle, match="two people"):
        room.submit("purchases", table)


def test_what_neighbours_are_told_is_the_same(campaign_room: CampaignWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans and refusals, word for word."""
    room, k = campaign_room.room(), targets(campaign_room, "exposures")[0]

    def said() -> list[str]:
        found = []
        for kind in KINDS:
            found.append(str(job.plan(room, campaign_room.request(kind, "advertiser", **asked(kind))).precision))
            with pytest.raises(job.Refused) as refused:
                job.plan(room, campaign_room.request(kind, "advertiser", **asked(kind, dataset="nothing")))
            found.append(f"{refused.value.clause} {refused.value.rule} {refused.value.remedy}")
        return found

    before = said()
    with without("exposures", k, monkeypatch):
        assert said() == before


STRANGE: dict[str, Callable[[pa.Table, str], pa.Table]] = {
    "nobody is in any other data set": lambda table, name: _handled(table, len(name)),
    "one row": lambda table, name: table.slice(0, 1),
    "no row": lambda table, name: table.slice(0, 0),
    "every cell is missing": lambda table, name: pa.table(
        {
            field.name: table.column(field.name)
            if field.name in ("k", "k2", "token")
            else pa.nulls(table.num_rows, field.type)
            for field in table.schema
        }
    ),
}


def _handled(table: pa.Table, seed: int) -> pa.Table:
    k = np.sort(np.random.default_rng(seed).integers(1, 2**63, table.num_rows, dtype=np.uint64))
    return table.set_column(0, "k", pa.array(k)).set_column(1, "k2", pa.array(k))


@pytest.mark.parametrize("strange", STRANGE)
def test_no_error_depends_on_a_row(campaign_room: CampaignWorld, strange: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the data sets hold, a job gives as many numbers, and says nothing else."""
    honest = Room.read

    def read(room: Room, held: Dataset, columns: list[str] | None = None) -> pa.Table:
        return STRANGE[strange](honest(room, held, columns), held.name)

    for kind, how in WAYS:
        _, query = request_of(campaign_room, kind, how)
        layout = query.layout()
        with monkeypatch.context() as patch:
            patch.setattr(Room, "read", read)
            assert exact(campaign_room.room(), query, "key").values.shape == (layout.cells,)
