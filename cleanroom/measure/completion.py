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
from typing import Any

from ...dp.aggregate import COUNT_BITS
from ...dp.canonical import digest
from ...dp.entry import Purchase
from ...dp.ledger import Ledger
from ...dp.noisy import Noisy
from ...modelling import answers, attributes
from ...modelling.blank import PRIOR
from ...modelling.completion import questions
from ...modelling.design import BITS
from ...modelling.features import most_cells
from ...policies.check import Allowed
from ...policies.contract import Contract
from ...policies.jobs.completion import ANSWERS, SUMS, CompletionJob
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ..room import Room
from .case import Case, case_of, known_kinds, targets_of
from .completed import FILE, CompletionRelease, contents, quality_of
from .crowds import HELD_OUT
from .measure import OPEN_SHARE, Made, Pay, Planned, paying

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
        kinds, targets = known_kinds(contract, asked), targets_of(contract, asked)
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
        job, held = _asked(allowed.request.job), room.datasets()
        case = case_of(room, job, held[job.people], held[job.attributes])
        return completed(case, room.contract, job, allowed.purchases, paying(ledger))

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


def completed(case: Case, contract: Contract, job: CompletionJob, purchases: tuple[Purchase, ...], pay: Pay) -> Made:
    """Everything that follows from the two noisy statistics and the reader's own people."""
    first, second = purchases
    sums = pay(first, case.sums)
    learnt = case.learnt(sums)
    done = [each.answer(case.people) for each in learnt]
    counts = pay(second, lambda: case.counts(learnt, done))
    return Made((sums, counts), contents(contract, job, (case.people, case.tokens), done, (sums, counts)))


def _asked(job: Job) -> CompletionJob:
    assert isinstance(job, CompletionJob)  # noqa: S101 - measure_of dispatches on the kind
    return job
