"""Which people of one data set are in another: kept in the room, shown to nobody, read when a job has paid for it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .joining import Join
from .progress import Progress, quietly
from .room import Dataset, Room, RoomUnusable


class NotMatched(Exception):
    """Two data sets were not matched yet, or one was submitted anew since."""

    def __init__(self, room: Path, people: str, seed: str) -> None:
        super().__init__(room, people, seed)
        self.room, self.people, self.seed = room, people, seed


@dataclass(frozen=True, slots=True)
class Matched:
    """A pair that was matched. Public sizes only. new: False where it was matched before."""

    people: str
    people_rows: int
    seed: str
    seed_rows: int
    new: bool


def match(room: Room, progress: Progress = quietly) -> list[Matched]:
    """Match every two submitted data sets of people of different owners, both ways round. Nothing it says depends on
    the intersection, and no more than one partition of either is in memory. Killed, it goes on where it was. Events are
    joined by handle when a job asks for them (`measure.rows`).

    Errors: Refused after the contract's last day; RoomUnusable where the owners hold different match keys.
    """
    room.refuse_expired()
    with room.changing():
        pairs = _pairs(room)
        for pair in pairs:
            _refuse_other_key(room, *pair)
        return [matched for pair in pairs for matched in _match(room, *pair, progress)]


def is_matched(room: Room) -> bool:
    """Whether every pair that `match` takes is matched, by its newest submissions. Where the contract has people of one
    owner only, nothing is to be matched, and so all of it is."""
    pairs, rules = _pairs(room), room.contract.dataset.values()
    waits = not pairs and len({rule.owner for rule in rules if rule.rows == "people"}) > 1
    return not waits and all(room.match_path(*way).exists() for one, other in pairs for way in _ways(one, other))


def _pairs(room: Room) -> list[tuple[Dataset, Dataset]]:
    people = [held for name, held in room.datasets().items() if room.contract.dataset[name].rows == "people"]
    return [pair for pair in combinations(people, 2) if pair[0].manifest.owner != pair[1].manifest.owner]


def _ways(one: Dataset, other: Dataset) -> tuple[tuple[Dataset, Dataset], ...]:
    return ((one, other), (other, one))


def _refuse_other_key(room: Room, people: Dataset, seed: Dataset) -> None:
    """Keyed with other shares nobody would match, which would look like any other result."""
    if people.manifest.shares != seed.manifest.shares:
        raise RoomUnusable(
            room.path,
            f"{people.name} and {seed.name} were prepared with other shares of the match key",
            "both owners prepare again, with the same contract.toml.*.share files",
        )


def _match(room: Room, one: Dataset, other: Dataset, progress: Progress) -> list[Matched]:
    """Both ways round rest on the same claims."""
    ways, join = _ways(one, other), Join.of(room, one, other)
    missing = [way for way in ways if not room.match_path(*way).exists()]
    if missing:
        join.look_up(progress)
        for way, found in zip(missing, join.settle(missing), strict=True):
            room.keep_match(*way, found.tier)
    join.forget()  # also what a run left that was killed once both matches were kept
    return [
        Matched(people.name, people.manifest.rows, seed.name, seed.manifest.rows, (people, seed) in missing)
        for people, seed in ways
    ]


def read_tiers(room: Room, people: Dataset, seed: Dataset) -> NDArray[np.uint8]:
    """For every row of people, the rank of the best key by which a seed matches it, from 1; 0 where none does.

    Errors: NotMatched.
    """
    if not room.match_path(people, seed).exists():
        raise NotMatched(room.path, people.name, seed.name)
    return room.read_match(people, seed)


def read_match(room: Room, people: Dataset, seed: Dataset) -> NDArray[np.bool_]:
    """For every row of people, whether a seed matches it. Errors: NotMatched."""
    return read_tiers(room, people, seed) > 0
