"""What a model gives away (`canary`): of a person who is there, as a seed, or is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...dp.entry import Purchase
from ...dp.noisy import Noisy
from ...dp.rehearsal import rehearsed
from ...modelling.blank import blank
from ...modelling.canaries import moved, person_attack
from ...modelling.completion import known_columns
from ...modelling.design import Design, Int, Mask
from ...modelling.grid import BINS, FEW_BINS
from ...modelling.invented import invented
from ...modelling.packed import Packed
from ...modelling.person import DPGAM
from ...modelling.strata_noisy import placed, places
from ...policies.contract import Contract
from ...policies.jobs.model import FIT, SCORES, ModelJob
from ..measure import model
from ..measure.crowds import Crowd, held_out
from ..progress import Progress
from .buying import bought
from .chance import coins, handles, key, uniform
from .crowd import SEEDS
from .finding import ONE_RUN, Attack, Finding, Trial, handed_out
from .held import Held, follows, moves

BACKGROUND = 20_000
"""Invented people beside the canary: a fit of few comes to say of it what it is."""
FEW, LISTS = 1_000, 3
"""People where nothing depends on how many there are, and lists that they are on."""


def of_model(
    contract: Contract, data: bytes, job: ModelJob, runs: int, progress: Progress
) -> tuple[list[Finding], tuple[str, ...]]:
    """The job as it is; and with strata, where it has columns enough. data: the contract's bytes."""
    jobs = [job, *([job.model_copy(update={"strata": True})] if len(job.columns_of(contract)) > 1 else [])]
    priced = [(each, bought(contract, data, each)) for each in jobs]
    each = [_handed_out(contract, one, *buys) for one, buys in priced]
    apart, follow = (all(held) for held in zip(*each, strict=True))
    findings = [
        *_between_worlds(contract, priced, Trial(runs, progress, 1 + len(jobs))),
        Finding("parts", "a person is in sums or in counts of who is held out", apart),
        Finding("release", "it follows from the noisy numbers, whoever is on the list", follow),
    ]
    return findings, (ONE_RUN,)


def _between_worlds(
    contract: Contract, priced: Sequence[tuple[ModelJob, tuple[Purchase, ...]]], trial: Trial
) -> list[Finding]:
    """priced: the job as it is, and with strata, if there is one."""
    (job, (first, second)), *by_known = priced
    moves, encoder = job.rows_moved(contract), model.encoder_of(contract, job)
    canaries = np.arange(BACKGROUND + moves) < moves
    design = encoder.encode(invented([each.kind for each in encoder.columns], len(canaries), canaries, uniform))
    labels = (listed := coins(len(canaries), SEEDS) & ~canaries), listed | canaries
    attack = person_attack(design, listed, canaries, partial(rehearsed, first))
    what = "a seed with the longest row there can be, there or not: all steps"
    said = "one person more on the list, and one fewer of the others"
    findings = [trial.between("fit", what, attack, first)]
    scored = (uniform(len(canaries)) * BINS).astype(np.int64)
    findings.append(trial.between("scores", said, _on_counts(scored, BINS, labels, second), second))
    for _, (_, third) in by_known:
        many = len(encoder.columns)
        cells = placed((uniform(len(canaries)) * FEW_BINS).astype(np.int64), known_columns(design), many)
        what = f"{said}, of whom as much is known"
        findings.append(trial.between("strata", what, _on_counts(cells, places(many), labels, third), third))
    return findings


def _on_counts(cells: Int, bins: int, labels: tuple[Mask, Mask], purchase: Purchase) -> Attack:
    """labels: who is on the list, without the canary's and with."""
    outside, inside = (model.histograms(cells, label, bins) for label in labels)
    return moved(partial(rehearsed, purchase), outside, inside)


@dataclass(frozen=True, slots=True)
class _World:
    """Whom a room sees, and who of them is on the list."""

    crowd: Crowd
    seeds: Mask


def _handed_out(contract: Contract, job: ModelJob, first: Purchase, second: Purchase) -> tuple[bool, bool]:
    """Whether a person is in one part, and what is handed out follows from noisy numbers. Of few people: neither
    depends on how many there are."""

    def given(world: _World, held: Held) -> bytes:
        def fitted(people: Design, seeds: Mask) -> Noisy:
            return held.settle(first, blank(people.columns), partial(_sums, people, seeds))

        return handed_out(model.made(world.crowd, job, world.seeds, fitted, partial(held.pay, second)).contents)

    apart = [moves(given, *_worlds(contract, job, out=out)) for out in (False, True)]
    listed, _ = _worlds(contract, job, out=False)
    others = [replace(listed, seeds=coins(FEW, 0.2)) for _ in range(LISTS)]
    return apart == [{FIT}, {SCORES}], follows(given, others)


def _sums(people: Design, seeds: Mask, noise: Noisy) -> Int:
    return DPGAM().fit_opened(Packed.of(people), seeds, noise)[1]


def _worlds(contract: Contract, job: ModelJob, *, out: bool) -> tuple[_World, _World]:
    """Without somebody who is on the list, and with. out: whether that one is held out; else it trains."""
    first = np.arange(FEW + 1) == 0
    encoder, each = model.encoder_of(contract, job), handles(FEW + 1)
    design = encoder.encode(invented([column.kind for column in encoder.columns], FEW + 1, first, uniform))
    held, seeds = held_out(each, key()).copy(), coins(FEW + 1, 0.2) | first
    held[0] = out
    ties = np.zeros(FEW + 1, dtype=np.uint64)
    inside = _World(Crowd(encoder, design, held, ties, FEW * 0.2), seeds)
    outside = _World(Crowd(encoder, design.take(~first), held[1:], ties[1:], FEW * 0.2), seeds[1:])
    return outside, inside
