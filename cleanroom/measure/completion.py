"""Completion: noisy sums for all wanted attributes at once, an answer for each of the reader's people, and how right.

Two noisy statistics are paid for: sums of rows over the people whose attributes are known and who train
(`modelling.attributes`, with the privacy argument), and counts of right and wrong answers over those who were held out
(`modelling.answers`). A record of the other party is in one part or the other, by a keyed hash of the row that it
decides about, so the two cost the larger. All else follows from those noisy integers and the reader's own rows.

The code ensures: nothing after `pay` sees an attribute of anybody; answers leave in the order of their tokens; with the
noisy numbers held, no byte depends on whose attributes are known.
The caller ensures: the reader owns the people (`policies.jobs.completion` refuses others).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dp.aggregate import COUNT_BITS, Statistic
from ...dp.canonical import digest
from ...dp.ledger import Ledger
from ...dp.noisy import Noisy
from ...modelling import answers, attributes
from ...modelling.answers import Places, Ranks, counted, stratum_of
from ...modelling.attributes import Known, Target
from ...modelling.blank import PRIOR
from ...modelling.completion import Completed, Learnt, known_columns, learn, questions
from ...modelling.design import BITS, Design
from ...modelling.features import Encoder, Kind, most_cells
from ...policies.check import Allowed
from ...policies.contract import Contract, SetColumn
from ...policies.jobs.completion import ANSWERS, SUMS, CompletionJob, values_of
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ..room import Dataset, Room
from .completed import FILE, CompletionRelease, contents, quality_of
from .crowds import HELD_OUT, held_out, keyed_hash, kinds_of
from .known import known_of
from .measure import OPEN_SHARE, Made, Planned
from .paired import paired

ASSUMED_RATES = (0.25, 0.5, 1.0)


class CompletionMeasure:
    """Two noisy statistics, and a file of answers."""

    document = CompletionRelease
    files: frozenset[str] = frozenset({FILE})

    def statistics(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        del document
        return (SUMS, ANSWERS)

    def shape(self, contract: Contract, job: Job, statistic: str) -> Shape:
        asked = _asked(job)
        kinds, targets = _kinds(contract, asked), targets_of(contract, asked)
        query = digest(
            {
                "secret": contract.dataset[asked.attributes].protects,
                "known": [[*map(str, (type(kind).__name__, kind))] for kind in kinds],
                "targets": [[target.name, list(target.values), target.at_most] for target in targets],
                "prior": PRIOR,
            }
        )
        if statistic == ANSWERS:
            cells = len(questions(targets)) * answers.CELLS
            return Shape(cells, COUNT_BITS, answers.l2_squared(len(targets)), query)
        return Shape(attributes.cells(most_cells(kinds), targets), BITS, attributes.l2_squared(targets), query)

    def make(self, room: Room, allowed: Allowed, ledger: Ledger) -> Made:
        """What is known of people goes no further than `Ledger.pay`."""
        job = _asked(allowed.request.job)
        held = room.datasets()
        case = _Case.of(room, job, held[job.people], held[job.attributes])
        first, second = allowed.purchases
        width = most_cells(_kinds(room.contract, job))
        sums = ledger.paid(first) or ledger.pay(first, attributes.moments(*case.training, width))
        learnt = learn(case.like, _trimmed(sums, case.people.cells, width), case.targets, case.trainees)
        done = [each.answer(case.people) for each in learnt]
        counts = ledger.paid(second) or ledger.pay(second, case.counts(learnt, done))
        return Made((sums, counts), contents(room.contract, job, (case.people, case.tokens), done, (sums, counts)))

    def figures(self, document: Mapping[str, Any], noisy: Sequence[Noisy]) -> dict[str, object]:
        return {"quality": quality_of(document["questions"], document["confident"], noisy)}

    def said(self, room: Room, allowed: Allowed) -> tuple[str, ...]:
        del room, allowed
        return ("how right answers are is told by how sure they are, and by how many columns are known of a person",)

    def precision(self, room: Room, allowed: Allowed) -> tuple[Planned, ...]:
        """Half widths of how right answers are, for some numbers of known people: the real one may be secret."""
        job, spec = _asked(allowed.request.job), allowed.purchases[-1].specification
        sigma = spec.deviation
        rows = {name: held.rows for name, held in room.submitted().items()}
        own = job.own_columns(room.contract)
        most = HELD_OUT * (rows[job.attributes] if own else min(rows[job.attributes], rows[job.people]))
        sets = {max(1, len(each.values) if each.at_most else 1) for each in targets_of(room.contract, job)}
        return tuple(
            Planned(
                "right answers" if values == 1 else f"right answers, of a set of {values} values",
                f"all of {job.attributes} are known, .8 right"
                if own
                else f"{rate:.0%} of {job.attributes} match, .8 right",
                answers.planned(rate * most / values, sigma),
                open_from=OPEN_SHARE,
            )
            for values in sorted(sets)
            for rate in ((1.0,) if own else ASSUMED_RATES)
        )


def _asked(job: Job) -> CompletionJob:
    assert isinstance(job, CompletionJob)  # noqa: S101 - measure_of dispatches on the kind
    return job


def targets_of(contract: Contract, job: CompletionJob) -> list[Target]:
    """The wanted columns as they are learnt."""
    declared = contract.dataset[job.attributes].columns
    found = []
    for name in job.targets_of(contract):
        column = declared[name]
        at_most = min(column.at_most, len(column.values)) if isinstance(column, SetColumn) else 0
        found.append(Target(name, values_of(contract, job.attributes, name), at_most))
    return found


def _kinds(contract: Contract, job: CompletionJob) -> list[Kind]:
    """The known columns as features, in the contract's order."""
    declared = contract.dataset[job.people].columns
    return kinds_of({name: declared[name] for name in job.columns_of(contract)})


# -- who teaches, and who is asked -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """people: the reader's, and their tokens. taught: rows with what is known of them; out: who of these is held out.
    hashed: a keyed hash of each. like: the reader's rows that those who train are among, or are like. trainees: how
    many may train where they are not among them; public.
    """

    people: Design
    tokens: NDArray[np.uint64]
    taught: Design
    known: tuple[Known, ...]
    out: NDArray[np.bool_]
    hashed: NDArray[np.uint64]
    like: Design
    trainees: int | None

    @classmethod
    def of(cls, room: Room, job: CompletionJob, people: Dataset, other: Dataset) -> _Case:
        """Bins are those of the reader's own people, whoever teaches."""
        kinds, targets = _kinds(room.contract, job), targets_of(room.contract, job)
        table, theirs = room.read(people), room.read(other)
        encoder = Encoder.from_owner(table, kinds)
        design = encoder.encode(table)
        own = job.own_columns(room.contract)
        keys = (theirs if own else table).column("k").to_numpy()
        out = held_out(keys, room.store.derive("split"))
        if own:
            known, taught = [known_of(target, theirs) for target in targets], encoder.encode(theirs)
        else:
            at, of = paired(room, people, other)
            known, taught = [known_of(target, theirs).moved(of, at, table.num_rows) for target in targets], design
        return cls(
            design,
            table.column("token").to_numpy(),
            taught,
            tuple(known),
            out,
            keyed_hash(keys, room.store.derive("topics")),
            design if own else design.take(~out),
            round((1 - HELD_OUT) * other.manifest.rows) if own else None,
        )

    @property
    def targets(self) -> list[Target]:
        return [each.target for each in self.known]

    @property
    def training(self) -> tuple[Design, list[Known]]:
        return self.taught.take(~self.out), [each.take(~self.out) for each in self.known]

    def counts(self, learnt: Sequence[Learnt], done: Sequence[Completed]) -> Statistic:
        """Exact counts of right and wrong answers of those held out, placed by the reader's own ranks."""
        asked = self.taught.take(self.out)
        columns = len(asked.columns)
        stratum = stratum_of(known_columns(asked), columns)
        places = [Places.of(each.answer(asked), Ranks.of(own), stratum) for each, own in zip(learnt, done, strict=True)]
        return counted(places, [each.take(self.out) for each in self.known], self.hashed[self.out])


def _trimmed(sums: Noisy, used: int, width: int) -> Noisy:
    """Without the cells that the owner's bins do not fill; the noise in them is thrown away."""
    blocks = sums.values.reshape(-1, width + 1)
    kept = np.concatenate([blocks[:, :used], blocks[:, -1:]], axis=1)
    return Noisy(kept.ravel(), sums.scale, sums.bits, sums.receipt)
