"""Sizes that teach a model or a completion little or nothing: what a plan says of it, from public sizes.

It is said before anything is spent, and once more by the release: its reader has not seen the plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..dp.flip import FLIP_UNIT
from ..modelling import answers
from ..modelling.blank import STEPS
from ..modelling.length import lengths
from ..modelling.reliable import TRAINS, as_sums, fewest_known, fewest_seeds
from ..policies.check import Allowed
from ..policies.contract import Contract, SetColumn
from ..policies.jobs.completion import CompletionJob, values_of
from ..policies.jobs.lookalike import LookalikeJob
from ..policies.jobs.model import ModelJob
from ..policies.sentences import counted
from .room import Room

ALIKE = 0.9
"""A seed list that has so large a share of the people's rows: if it matches, there is hardly anybody else."""
HIDDEN = 0.5 - 1e-9
"""Half of the width of an interval that holds all shares there are."""
UNSURE = 0.4
"""Half of the width of one that leaves nearly all of them."""
SHAKY = 4
"""So many times the fewest seeds: below that a model's scores are loosely tied to what they should be. Of a
completion's people, a quarter may match."""


def warned(room: Room, allowed: Allowed) -> tuple[str, ...]:
    """All that deserves a second look before a job is run, and beside what it gave."""
    rows = {name: held.rows for name, held in room.submitted().items()}
    odd = (*too_few(room.contract, allowed, rows), *too_many(room.contract, allowed, rows))
    return (*allowed.warnings, *odd, *too_little(allowed, rows), *too_unsure(room.contract, allowed, rows))


def too_few(contract: Contract, allowed: Allowed, rows: Mapping[str, int]) -> tuple[str, ...]:
    """rows: as submitted. That all of them match is the best case: how many do is secret."""
    job = allowed.request.job
    if not isinstance(job, LookalikeJob | ModelJob):
        return ()
    spec, columns, seeds = allowed.purchases[0].specification, len(job.columns_of(contract)), rows[job.seed]
    sigma = spec.deviation
    if isinstance(job, ModelJob):
        sigma /= math.sqrt(STEPS)
    elif job.consider:
        sigma /= lengths(columns, len(job.consider))[0]
    if spec.flip:
        sigma = as_sums(spec.flip / FLIP_UNIT, round(TRAINS * rows[job.people]), columns)
    least = fewest_seeds(sigma, columns)
    if seeds >= SHAKY * least:
        return ()
    so_few = f"{job.seed} has {counted(seeds, 'row')}; with {counted(columns, 'column')} at ε {job.epsilon:g}"
    remedy = "bring more seeds, name fewer columns, or ask a larger ε"
    if seeds < least:
        return (f"{so_few} noise outweighs what fewer than {least:,} say, even if all match: {remedy}",)
    return (f"{so_few} scores follow the truth only loosely below about {SHAKY * least:,} matching seeds: {remedy}",)


def too_many(contract: Contract, allowed: Allowed, rows: Mapping[str, int]) -> tuple[str, ...]:
    """Nearly as many seeds as people, and more columns than people. rows: as submitted."""
    job = allowed.request.job
    if not isinstance(job, LookalikeJob | ModelJob):
        return ()
    columns, seeds, people = len(job.columns_of(contract)), rows[job.seed], rows[job.people]
    said = []
    if seeds >= ALIKE * people:
        said.append(
            f"{job.seed} has {counted(seeds, 'row')} and {job.people} {counted(people, 'row')}: where nearly all "
            "match, there is nobody left to tell them from: bring more people"
        )
    if columns > people:
        said.append(
            f"the job has {counted(columns, 'column')} and {job.people} {counted(people, 'row')}: each column takes "
            "its share of a row, so that little is heard of any: name fewer in columns"
        )
    return tuple(said)


def too_little(allowed: Allowed, rows: Mapping[str, int]) -> tuple[str, ...]:
    """Whether so few known people can teach a completion anything. rows: as submitted."""
    job, spec = allowed.request.job, allowed.purchases[0].specification
    if not isinstance(job, CompletionJob):
        return ()
    few = fewest_known(spec.deviation)
    most = round(TRAINS * rows[job.attributes])
    if most < few:
        return (
            f"too little to learn from: at most {most:,} people of {job.attributes} train, and at this noise some "
            f"{few:,} are needed before answers are better than what is usual: ask fewer targets, or more epsilon",
        )
    if most < SHAKY * few:
        return (
            f"at this noise some {few:,} people must train before answers are better than what is usual, and at "
            f"most {most:,} of {job.attributes} do: where few of them match, nearly all will be abstentions",
        )
    return ()


def too_unsure(contract: Contract, allowed: Allowed, rows: Mapping[str, int]) -> tuple[str, ...]:
    """Whether a completion will hardly say how right its answers are. rows: as submitted.

    A plan takes it that seven in ten are answered, of all whom the other party could know; half as many are looked at
    here."""
    job = allowed.request.job
    if not isinstance(job, CompletionJob):
        return ()
    sigma, asked = allowed.purchases[-1].specification.deviation, most_asked(contract, job, rows)
    found = (_unsure(values, asked / values, sigma) for values in values_told(contract, job))
    return tuple(said for said in found if said)


def _unsure(values: int, people: float, sigma: float) -> str:
    """Of attributes of one value each, or of sets of so many. people: who are asked about one of these at most."""
    best, usual = (answers.planned(each, sigma) for each in (people, people / 2))
    if usual < UNSURE:
        return ""
    told = "even if all are known and seven in ten answered"
    if best < HIDDEN:
        then = "not at all" if usual >= HIDDEN else f"±{usual:.2f}"
        told = f"within ±{best:.2f} at best, and {then} where half as many are known or answered"
    whose = f" of a set of {values} values" if values > 1 else ""
    remedy = "ask a larger ε or fewer targets, or bring more people"
    return f"how right answers{whose} are will probably not be told, {told}: {remedy}"


def most_asked(contract: Contract, job: CompletionJob, rows: Mapping[str, int]) -> float:
    """People held out whose attributes the other party could know: public sizes alone."""
    known, own = rows[job.attributes], job.own_columns(contract)
    return (1 - TRAINS) * (known if own else min(known, rows[job.people]))


def values_told(contract: Contract, job: CompletionJob) -> tuple[int, ...]:
    """Among how many values of an attribute the people are dealt who are asked about it: a set's, or 1; each once."""
    declared = contract.dataset[job.attributes].columns
    sets = {name: isinstance(declared[name], SetColumn) for name in job.targets_of(contract)}
    many = {max(1, len(values_of(contract, job.attributes, name))) if sets[name] else 1 for name in sets}
    return tuple(sorted(many))
