"""What a completion gives away (`canary`): of a record that says all it can of one person, or is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...dp.aggregate import Statistic
from ...dp.entry import Purchase
from ...dp.noisy import Noisy
from ...dp.rehearsal import rehearsed
from ...modelling.canaries import follows_from, moved
from ...modelling.features import Category, Kind, Topics
from ...modelling.invented import invented
from ...policies.contract import Contract
from ...policies.jobs.completion import CompletionJob
from ..measure.case import Case, Pairs, Parts, case_in, known_kinds, targets_of
from ..measure.completion import completed
from ..measure.crowds import held_out, keyed_hash
from ..progress import Progress
from .buying import bought
from .chance import handles, key, uniform
from .finding import Attack, Finding, Trial, handed_out

BACKGROUND, RECORDS = 2_000, 200
"""Invented people of the reader, and records of the other party beside the canary."""
LISTS = 3


def of_completion(
    contract: Contract, data: bytes, job: CompletionJob, runs: int, progress: Progress
) -> tuple[list[Finding], tuple[str, ...]]:
    """data: the contract's bytes."""
    sums, answers = bought(contract, data, job)
    trial = Trial(runs, progress, 2)
    fit = _on_fit(_worlds(contract, job, out=False), sums)
    right = _on_answers(_worlds(contract, job, out=True), sums, answers)
    follows = _follows(contract, job, (sums, answers))
    findings = [
        trial.between("fit", "a record of the longest row, of all values that it may have, there or not", fit, sums),
        trial.between("answers", "one record more of which answers are right or wrong", right, answers),
        Finding("file", "it follows from the noisy numbers, whatever is known of whom", follows),
    ]
    return findings, ("one run with many canaries: only for lookalikes",)


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


def _people(contract: Contract, job: CompletionJob, *, canary: bool) -> pa.Table:
    """The reader's. canary: whether the first has the longest row there is: nothing is known of it."""
    rows = BACKGROUND + 1
    first = np.arange(rows) < canary
    table = invented(known_kinds(contract, job), rows, first, uniform)
    return table.append_column("token", pa.array(np.arange(rows, dtype=np.uint64)))


def _records(contract: Contract, job: CompletionJob, rows: int) -> pa.Table:
    """The other party's: the first has all values of every wanted set, each twice, and nothing else is known of it but
    one value of the other columns that are wanted."""
    first, nobody = np.arange(rows) == 0, np.zeros(rows, dtype=np.bool_)
    kinds: list[Kind] = known_kinds(contract, job) if job.own_columns(contract) else []
    known = invented(kinds, rows, first, uniform)
    declared, columns = (
        contract.dataset[job.attributes].columns,
        dict(zip(known.column_names, known.columns, strict=True)),
    )
    for target in targets_of(contract, job):
        if target.at_most:
            made = invented([Topics(target.name, target.values, target.at_most)], rows, first, uniform)
        else:
            made = invented([Category(target.name, target.values)], rows, nobody, uniform)
        columns[target.name] = made.column(target.name)
        if declared[target.name].kind == "flag":
            columns[target.name] = pa.array((uniform(rows) < 0.5).astype(np.float64))
    return pa.table(columns)


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


def _follows(contract: Contract, job: CompletionJob, buys: tuple[Purchase, ...]) -> bool:
    """The file and every figure, from held noisy bytes and other records of as many people."""
    own, held = job.own_columns(contract), dict[str, Noisy]()
    people = _people(contract, job, canary=False)
    rows = BACKGROUND if own else RECORDS
    parts = _parts(rows if own else people.num_rows)

    def case() -> Case:
        records = _records(contract, job, rows)
        return case_in((people, records), contract, job, parts, None if own else _pairs(rows), rows)

    def pay(purchase: Purchase, exact: Callable[[], Statistic]) -> Noisy:
        statistic = exact()
        return held.setdefault(purchase.key, rehearsed(purchase, statistic))

    def given(_noisy: Noisy, of: Case) -> NDArray[np.int64]:
        return handed_out(completed(of, contract, job, buys, pay).contents)

    cases = [case() for _ in range(LISTS)]
    return follows_from(given, pay(buys[0], cases[0].sums), cases)
