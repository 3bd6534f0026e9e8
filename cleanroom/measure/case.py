"""The people of a completion as a room sees them: whose answers are told, who teaches, and who is asked.

The code ensures: a person is held out by a keyed hash of the row that its record decides about; nothing here reads what
is known of anybody but to take it along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...dp.aggregate import Statistic
from ...dp.noisy import Noisy
from ...modelling import attributes
from ...modelling.answers import Places, Ranks, counted, stratum_of
from ...modelling.attributes import Known, Target
from ...modelling.completion import Completed, Learnt, known_columns, learn
from ...modelling.design import Design
from ...modelling.features import Encoder, Kind, most_cells
from ...policies.contract import Contract, SetColumn
from ...policies.jobs.completion import CompletionJob, values_of
from ..room import Dataset, Room
from .crowds import HELD_OUT, held_out, keyed_hash, kinds_of
from .known import known_of
from .paired import paired

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows of the reader's people, and of the other party's, that are the same persons."""


class Parts(NamedTuple):
    """Of the rows that records decide about: who is held out, and a keyed hash of each."""

    out: NDArray[np.bool_]
    hashed: NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """people: the reader's, and their tokens. taught: rows with what is known of them; out: who of these is held out.
    hashed: a keyed hash of each. like: the reader's rows that those who train are among, or are like. trainees: how
    many may train where they are not among them; public. width: cells of a row as declared.
    """

    people: Design
    tokens: NDArray[np.uint64]
    taught: Design
    known: tuple[Known, ...]
    out: NDArray[np.bool_]
    hashed: NDArray[np.uint64]
    like: Design
    trainees: int | None
    width: int

    @property
    def targets(self) -> list[Target]:
        return [each.target for each in self.known]

    def sums(self) -> Statistic:
        """Exact sums of rows of those who train, for every value that is known of them."""
        training = self.taught.take(~self.out)
        return attributes.moments(training, [each.take(~self.out) for each in self.known], self.width)

    def learnt(self, sums: Noisy) -> list[Learnt]:
        """Every question, from paid sums; the noise in cells that the owner's bins do not fill is thrown away."""
        blocks = sums.values.reshape(-1, self.width + 1)
        kept = np.concatenate([blocks[:, : self.people.cells], blocks[:, -1:]], axis=1)
        return learn(self.like, replace(sums, values=kept.ravel()), self.targets, self.trainees)

    def counts(self, learnt: Sequence[Learnt], done: Sequence[Completed]) -> Statistic:
        """Exact counts of right and wrong answers of those held out, placed by the reader's own ranks."""
        asked = self.taught.take(self.out)
        columns = len(asked.columns)
        stratum = stratum_of(known_columns(asked), columns)
        places = [Places.of(each.answer(asked), Ranks.of(own), stratum) for each, own in zip(learnt, done, strict=True)]
        return counted(places, [each.take(self.out) for each in self.known], self.hashed[self.out])


def case_of(room: Room, job: CompletionJob, people: Dataset, other: Dataset) -> Case:
    """Read both tables, and split those who may be known without looking at what is known."""
    table, theirs = room.read(people), room.read(other)
    own = job.own_columns(room.contract)
    keys = (theirs if own else table).column("k").to_numpy()
    parts = Parts(held_out(keys, room.store.derive("split")), keyed_hash(keys, room.store.derive("topics")))
    pairs = None if own else paired(room, people, other)
    return case_in((table, theirs), room.contract, job, parts, pairs, other.manifest.rows)


def case_in(
    tables: tuple[pa.Table, pa.Table],
    contract: Contract,
    job: CompletionJob,
    parts: Parts,
    pairs: Pairs | None,
    listed: int,
) -> Case:
    """tables: the reader's people, and the other party's. pairs: None where all of the other party's rows teach, by
    columns of their own. listed: how many of these there may be; public.

    Bins are those of the reader's own people, whoever teaches.
    """
    table, theirs = tables
    kinds, targets = known_kinds(contract, job), targets_of(contract, job)
    encoder = Encoder.from_owner(table, kinds)
    people = encoder.encode(table)
    known, trainees = [known_of(target, theirs) for target in targets], None
    if pairs is None:
        taught, like, trainees = encoder.encode(theirs), people, round((1 - HELD_OUT) * listed)
    else:
        taught, like = people, people.take(~parts.out)
        known = [each.moved(pairs[1], pairs[0], table.num_rows) for each in known]
    tokens = table.column("token").to_numpy()
    return Case(people, tokens, taught, tuple(known), *parts, like, trainees, most_cells(kinds))


def targets_of(contract: Contract, job: CompletionJob) -> list[Target]:
    """The wanted columns as they are learnt."""
    declared = contract.dataset[job.attributes].columns
    found = []
    for name in job.targets_of(contract):
        column = declared[name]
        at_most = min(column.at_most, len(column.values)) if isinstance(column, SetColumn) else 0
        found.append(Target(name, values_of(contract, job.attributes, name), at_most))
    return found


def known_kinds(contract: Contract, job: CompletionJob) -> list[Kind]:
    """The known columns as features, in the contract's order."""
    declared = contract.dataset[job.people].columns
    return kinds_of({name: declared[name] for name in job.columns_of(contract)})
