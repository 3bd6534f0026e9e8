"""What a completion gives away (`canary`): of a record that says all it can of one person, or is not there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ...dp.entry import Purchase
from ...dp.rehearsal import rehearsed
from ...modelling.attributes import Target
from ...modelling.canaries import moved
from ...modelling.features import Category, Kind, Topics
from ...modelling.invented import invented
from ...policies.contract import Contract
from ...policies.jobs.completion import ANSWERS, SUMS, CompletionJob
from ..measure.case import Case, Pairs, Parts, case_in, known_kinds, targets_of
from ..measure.completion import completed
from ..measure.crowds import held_out, keyed_hash
from ..progress import Progress
from .buying import bought
from .chance import coins, handles, key, uniform
from .finding import ONE_RUN, Attack, Finding, Trial, handed_out
from .held import Held, follows, moves

BACKGROUND, RECORDS = 2_000, 200
"""Invented people of the reader, and records of the other party beside the canary."""
LISTS, UNKNOWN = 3, 0.2


def of_completion(
    contract: Contract, data: bytes, job: CompletionJob, runs: int, progress: Progress
) -> tuple[list[Finding], tuple[str, ...]]:
    """data: the contract's bytes."""
    buys = sums, answers = bought(contract, data, job)
    trial = Trial(runs, progress, 2)
    training, asked = (_worlds(contract, job, out=out) for out in (False, True))
    fit, right = _on_fit(training, sums), _on_answers(asked, sums, answers)

    def given(case: Case, held: Held) -> bytes:
        return handed_out(completed(case, contract, job, buys, held.pay).contents)

    apart = [moves(given, each.outside, each.inside) for each in (training, asked)]
    unmoved = follows(given, _cases(contract, job))
    findings = [
        trial.between("fit", "a record of the longest row, of all values that it may have, there or not", fit, sums),
        trial.between("answers", "one record more of which answers are right or wrong", right, answers),
        Finding("parts", "a record is in sums or in counts of who is held out", apart == [{SUMS}, {ANSWERS}]),
        Finding("file", "it follows from the noisy numbers, whatever is known of whom", unmoved),
    ]
    return findings, (ONE_RUN,)


@dataclass(frozen=True, slots=True)
class _Worlds:
    """The same people and records, without the canary's and with it."""

    outside: Case
    inside: Case


def _worlds(contract: Contract, job: CompletionJob, *, out: bool) -> _Worlds:
    """out: whether the canary is held out; else it trains."""
    own = job.own_columns(contract)
    rows = (BACKGROUND if own else RECORDS) + 1
    people, records = _people(contract, job, canary=not own), _records(contract, job, rows)
    parts = _parts(rows if own else people.num_rows)
    parts.out[0] = out
    pairs = None if own else _pairs(rows)
    inside = case_in((people, records), contract, job, parts, pairs, rows)
    if pairs is None:
        parts = Parts(parts.out[1:], parts.hashed[1:])
    else:
        pairs = pairs[0][1:], pairs[1][1:] - 1
    return _Worlds(case_in((people, records.slice(1)), contract, job, parts, pairs, rows), inside)


def _cases(contract: Contract, job: CompletionJob) -> list[Case]:
    """The same people of the reader, and as many records; of any of them, or of whoever else, in either part."""
    own = job.own_columns(contract)
    people, rows = _people(contract, job, canary=False), BACKGROUND if own else RECORDS
    theirs = _parts(people.num_rows)

    def case() -> Case:
        records = _records(contract, job, rows)
        match = rows // 2 + int(uniform(1)[0] * rows / 2)
        parts, pairs = (_parts(rows), None) if own else (theirs, _pairs(match))
        return case_in((people, records), contract, job, parts, pairs, rows)

    return [case() for _ in range(LISTS)]


def _people(contract: Contract, job: CompletionJob, *, canary: bool) -> pa.Table:
    """The reader's. canary: whether the first has the longest row there is: nothing is known of it."""
    rows = BACKGROUND + 1
    first = np.arange(rows) < canary
    table = invented(known_kinds(contract, job), rows, first, uniform)
    return table.append_column("token", pa.array(np.arange(rows, dtype=np.uint64)))


def _records(contract: Contract, job: CompletionJob, rows: int) -> pa.Table:
    """The other party's: the first has a value of every wanted column, and all of every wanted set, each twice; nothing
    else is known of it. Of the others some values are not known."""
    first = np.arange(rows) == 0
    kinds: list[Kind] = known_kinds(contract, job) if job.own_columns(contract) else []
    known = invented(kinds, rows, first, uniform)
    columns = dict(zip(known.column_names, known.columns, strict=True))
    for target in targets_of(contract, job):
        made = _wanted(target, contract.dataset[job.attributes].columns[target.name].kind == "flag", first)
        unknown = pa.array(coins(rows, UNKNOWN) & ~first)
        columns[target.name] = pc.if_else(unknown, pa.scalar(None, made.type), made)
    return pa.table(columns)


def _wanted(target: Target, flag: bool, first: NDArray[np.bool_]) -> pa.Array:
    """A column of it, as a room holds one: flags are numbers."""
    if flag:
        return pa.array(coins(len(first), 0.5).astype(np.float64))
    if target.at_most:
        made = invented([Topics(target.name, target.values, target.at_most)], len(first), first, uniform)
    else:
        made = invented([Category(target.name, target.values)], len(first), first & False, uniform)
    return made.column(0).combine_chunks()


def _parts(rows: int) -> Parts:
    each = handles(rows)
    return Parts(held_out(each, key()).copy(), keyed_hash(each, key()))


def _pairs(records: int) -> Pairs:
    """The first record is the first person's, the others some other people's."""
    others = 1 + np.argsort(uniform(BACKGROUND))[: records - 1]
    return np.concatenate([[0], np.sort(others)]).astype(np.int64), np.arange(records)


def _on_fit(worlds: _Worlds, purchase: Purchase) -> Attack:
    return moved(partial(rehearsed, purchase), worlds.outside.sums(), worlds.inside.sums())


def _on_answers(worlds: _Worlds, sums: Purchase, purchase: Purchase) -> Attack:
    """Answers are learnt as they would be; who is held out has no part in that."""
    learnt = worlds.inside.learnt(rehearsed(sums, worlds.inside.sums()))
    done = [each.answer(worlds.inside.people) for each in learnt]
    outside, inside = (each.counts(learnt, done) for each in (worlds.outside, worlds.inside))
    return moved(partial(rehearsed, purchase), outside, inside)
