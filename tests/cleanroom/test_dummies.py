"""Dummies in the room: a size that is shown to everybody, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.dummies import refuse_padding, with_dummies
from passbox.matching.hashing import Handles
from passbox.policies.check import Refused

if TYPE_CHECKING:
    from .world import World

SECRET = bytes(range(32))


def handles(count: int, seed: int = 5) -> Handles:
    rng = np.random.default_rng(seed)
    k = np.sort(rng.integers(1, 2**63, count, dtype=np.uint64))
    return Handles(k, rng.integers(1, 2**63, count, dtype=np.uint64))


def padded(world: World, table: pa.Table, rows: int) -> pa.Table:
    made = with_dummies(Handles(*(table.column(name).to_numpy() for name in ("k", "k2"))), rows, SECRET)
    return pa.table({"k": made.k, "k2": made.k2})


def matched(world: World) -> np.ndarray:
    room = world.room()
    job.match(room)
    return job.read_match(room, room.datasets()["visitors"], room.datasets()["buyers"])


def test_the_room_matches_the_same_people_and_shows_the_padded_size(world: World) -> None:
    plain, later = world.seeds(200, 100), world.at(world.now)
    later.submit("buyers", plain)
    people = matched(later)
    later.submit("buyers", padded(world, plain, 5_000), made=world.now.replace(minute=59))
    assert later.room().submitted()["buyers"].rows == 5_000
    assert (matched(later) == people).all()
    assert people.sum() == 200


def test_an_audience_and_its_ids_hold_no_dummy(world: World) -> None:
    world.submit("buyers", padded(world, world.seeds(200, 100), 5_000))
    job.match(world.room())
    opened = world.open(world.run("lookalike").release)
    assert opened.audience is not None
    assert set(opened.audience.column("visitor_id").to_pylist()) <= set(ids(world))


def ids(world: World) -> list[str]:
    import pyarrow.parquet as pq

    own: list[str] = pq.read_table(world.folder / "visitors.ids").column("visitor_id").to_pylist()
    return own


def test_delta_is_held_against_the_padded_size(world: World) -> None:
    """The larger n is the stricter one: with 300 people a δ of 1e-4 would do."""
    world.submit("buyers", padded(world, world.seeds(200, 100), 10_001))
    job.match(world.room())
    with pytest.raises(Refused, match="above 1/n"):
        world.run("overlap", recipients=["publisher"])


def test_dummies_are_spread_as_handles_are_and_never_repeat_one() -> None:
    people = handles(100)
    made = with_dummies(people, 20_100, SECRET)
    assert len(set(made.k.tolist())) == len(made) == 20_100
    strange = ~np.isin(made.k, people.k)
    for half in (made.k[strange], made.k2[strange]):
        bits = (half[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        assert np.abs(bits.mean(axis=0) - 0.5).max() < 6 * 0.5 / np.sqrt(
            20_000
        )  # 64 bits twice: 1 in 4 million by chance


def test_a_dummy_that_meets_a_person_gives_way() -> None:
    nobody = Handles(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    first = with_dummies(nobody, 3, SECRET)
    person = Handles(first.k[1:2], first.k2[:1])
    again = with_dummies(person, 4, SECRET)
    assert len(set(again.k.tolist())) == 4
    assert again.k2[again.k == person.k[0]] == person.k2[0]


def test_nothing_is_added_to_a_list_that_is_full() -> None:
    people = handles(5)
    for rows in (0, 4, 5):
        assert with_dummies(people, rows, SECRET).k.tolist() == people.k.tolist()


def test_only_a_list_of_bare_handles_is_padded(world: World) -> None:
    rules = world.agreement.contract.dataset
    refuse_padding("buyers", rules["buyers"])
    for changes in ({"columns": {}}, {"id": None}):
        with pytest.raises(Refused, match="without IDs and columns"):
            refuse_padding("visitors", rules["visitors"].model_copy(update=changes))
