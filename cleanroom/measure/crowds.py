"""The people of a job as a room sees them before any label: encoded, and split into those who train and those held out.

The code ensures: the split and the hash that breaks ties know handles and the room's key alone; nothing here reads who
matched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...dp.entry import Specification
from ...modelling.completion import known_columns
from ...modelling.considered import reach_beside
from ...modelling.design import ONE, Design
from ...modelling.features import Category, Encoder, Kind, Number, Ordinal, Topics
from ...modelling.length import lengths
from ...modelling.outlook import Outlook
from ...modelling.strategy import Rows
from ...modelling.wide import measured
from ...policies.contract import CategoryColumn, Column, Contract, NumberColumn, OrdinalColumn, SetColumn
from ...policies.jobs.lookalike import LookalikeJob
from ...policies.learnt import learnable
from ..room import Dataset, Room
from .considered import encoded

HELD_OUT = 0.2
"""Share of the people whose seeds are kept for evaluation."""


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """The people of a job as the room sees them, before any label: rows in the room's order.

    held_out: (rows,) bool, one in five by a keyed hash; the others train. tiebreak: a keyed hash. seeds: how many of
    those who train may be on the list, by its length, which its owner says and everybody knows. considered: blocks of
    the same rows that no model uses, None where nothing is considered.
    """

    encoder: Encoder
    design: Design
    held_out: NDArray[np.bool_]
    tiebreak: NDArray[np.uint64]
    seeds: float
    considered: Design | None = None

    @property
    def ordered(self) -> list[bool]:
        """Which columns have an order."""
        return [isinstance(column.kind, Number | Ordinal) for column in self.encoder.columns]

    @property
    def known(self) -> NDArray[np.int64]:
        """How many of its columns are known of each."""
        return known_columns(self.design)

    @property
    def training(self) -> Design:
        return self.design.take(~self.held_out)

    def measured(self, specification: Specification) -> Rows:
        """Those who train, as they are measured for sums of such noise: beside what is considered."""
        reach = ONE if self.considered is None else reach_beside(self.considered)
        outlook = Outlook(self.seeds, specification.deviation * ONE / max(reach, 1))
        return measured(self.training, reach, outlook)


def crowd_of(room: Room, job: LookalikeJob, people: Dataset) -> Crowd:
    """Read the people's table, and split it without looking at who matched."""
    table = room.read(people)
    keys = table.column("k").to_numpy()
    parts = held_out(keys, room.store.derive("split")), keyed_hash(keys, room.store.derive("ties"))
    return crowd_in(table, room.contract, job, *parts, trained_on(room.submitted()[job.seed].rows))


def crowd_in(
    table: pa.Table,
    contract: Contract,
    job: LookalikeJob,
    held_out: NDArray[np.bool_],
    tiebreak: NDArray[np.uint64],
    seeds: float,
) -> Crowd:
    """People in a table of the job's columns. The part of a row that used columns have is the shorter the more blocks
    are considered."""
    kinds, asked = declared_kinds(contract, job), job.considered_of(contract)
    encoder = Encoder.from_owner(table, kinds, lengths(len(kinds), len(asked.named))[0])
    considered = encoded(table, all_kinds(contract, job), len(kinds), asked)
    return Crowd(encoder, encoder.encode(table), held_out, tiebreak, seeds, considered)


def declared_kinds(contract: Contract, job: LookalikeJob) -> list[Kind]:
    """The job's columns as features, in the contract's order: another order would be another model."""
    kinds = all_kinds(contract, job)
    return [kinds[name] for name in job.columns_of(contract)]


def all_kinds(contract: Contract, job: LookalikeJob) -> dict[str, Kind]:
    """All columns that can be learnt from as features, by name, in the contract's order."""
    declared = contract.dataset[job.people].columns
    names = learnable(contract, job.people)
    return dict(zip(names, kinds_of({name: declared[name] for name in names}), strict=True))


def kinds_of(declared: Mapping[str, Column]) -> list[Kind]:
    """Columns of a contract as features, in their order."""
    return [_kind(name, column) for name, column in declared.items()]


def _kind(name: str, column: Column) -> Kind:
    if isinstance(column, NumberColumn):
        return Number(name, *column.bounds)
    if isinstance(column, CategoryColumn):
        return Category(name, tuple(column.values))
    if isinstance(column, OrdinalColumn):
        return Ordinal(name, tuple(column.values))
    assert isinstance(column, SetColumn)  # noqa: S101 - the job names no column of another kind (`LEARNABLE`)
    return Topics(name, tuple(column.values), column.at_most)


def trained_on(listed: int) -> float:
    """How many of a list's records are of people who train, were all matched."""
    return (1 - HELD_OUT) * listed


def held_out(handles: NDArray[np.uint64], key: bytes) -> NDArray[np.bool_]:
    """Whose seeds are kept for evaluation. Every row is in one part, whoever else is there."""
    return keyed_hash(handles, key) < np.uint64(HELD_OUT * 2**64)


def keyed_hash(handles: NDArray[np.uint64], key: bytes) -> NDArray[np.uint64]:
    """A keyed hash of every handle, uniform on 64 bits, independent of who matched."""
    data = handles.astype("<u8").tobytes()
    hashed = (hashlib.blake2b(data[at : at + 8], key=key, digest_size=8).digest() for at in range(0, len(data), 8))
    return np.frombuffer(b"".join(hashed), dtype="<u8")
