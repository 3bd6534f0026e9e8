"""Which people of one data set are in another: kept in the room, shown to nobody, read when a job has paid for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..matching.match import match as match_handles
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


def match(room: Room) -> list[Matched]:
    """Match every two submitted data sets of different owners. Nothing it says depends on the intersection.

    Errors: Refused after the contract's last day; RoomUnusable where the owners hold different match keys.
    """
    room.refuse_expired()
    with room.changing():
        held = room.datasets().values()
        pairs = [(a, b) for a in held for b in held if a.manifest.owner != b.manifest.owner]
        for people, seed in pairs:
            _refuse_other_key(room, people, seed)
        return [_match(room, people, seed) for people, seed in pairs]


def _refuse_other_key(room: Room, people: Dataset, seed: Dataset) -> None:
    """Keyed with other shares nobody would match, which would look like any other result."""
    if people.manifest.shares != seed.manifest.shares:
        raise RoomUnusable(
            room.path,
            f"{people.name} and {seed.name} were prepared with other shares of the match key",
            "both owners prepare again, with the same contract.toml.*.share files",
        )


def _match(room: Room, people: Dataset, seed: Dataset) -> Matched:
    new = not room.match_path(people, seed).exists()
    if new:
        matched = match_handles(room.handles(people), room.handles(seed)).matched
        room.keep_match(people, seed, pa.table({"matched": matched.astype(np.uint8)}))
    return Matched(people.name, people.manifest.rows, seed.name, seed.manifest.rows, new)


def read_match(room: Room, people: Dataset, seed: Dataset) -> NDArray[np.bool_]:
    """For every row of people, whether a seed matches it. Errors: NotMatched."""
    if not room.match_path(people, seed).exists():
        raise NotMatched(room.path, people.name, seed.name)
    matched: NDArray[np.bool_] = room.read_match(people, seed).column("matched").to_numpy().astype(np.bool_)
    return matched
