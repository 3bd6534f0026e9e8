"""What a lookalike gives away (`canary`): of seeds that are on a list or not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...dp.entry import Purchase
from ...dp.rehearsal import rehearsed
from ...modelling.canaries import Audited, moved, one_run, rows_of
from ...modelling.evaluate import ScoreBins
from ...modelling.features import Encoder, Kind
from ...modelling.groups import MOST_GROUPS
from ...modelling.invented import invented
from ...modelling.strata import StratumCells
from ...policies.contract import Contract
from ...policies.jobs.considered import CROSS, MOST_CONSIDERED
from ...policies.jobs.lookalike import AudienceSize, Learner, LookalikeJob
from ...policies.price import delta_of_job
from ...policies.refused import Refused
from ..measure import crowds, fitted, lookalike
from ..measure.strata import cells_of
from ..progress import Progress
from .buying import bought
from .chance import coins, uniform
from .crowd import SEEDS, crowd_of
from .finding import Attack, Finding, Trial, handed_out
from .held import Held, follows, moves

FEWEST_COORDINATES = 5_000
"""Below, one run is not tried: it has room for as many canaries as there are coordinates, and few say little."""
GUESSED = 0.2
LABELS = 3
COMPARED: tuple[Learner, ...] = ("glm", "naive-bayes")
"""What a comparing job is audited with: what it draws is the same whichever they are."""
Priced = tuple[LookalikeJob, tuple[Purchase, ...]]
"""A job, and what it buys."""


def of_lookalike(
    contract: Contract, data: bytes, job: LookalikeJob, runs: int, progress: Progress
) -> tuple[list[Finding], tuple[str, ...]]:
    """The job as it is, as one that compares learners, as one with strata, and as one that considers columns, if it
    can be one. data: the contract's bytes."""
    others = [job.model_copy(update=change) for change in ({"learners": [*COMPARED]}, {"strata": True})]
    jobs = [job, *others, *_considering(contract, job)]
    priced = [(each, bought(contract, data, each)) for each in jobs]
    findings = _between_worlds(contract, priced, runs, progress)
    unmoved = all(_follows(crowd_of(contract, each)[0], each, buys) for each, buys in priced)
    findings.append(
        Finding("parts", "a record is in sums or in counts of who is held out", _parts(contract, *priced[1]))
    )
    findings.append(Finding("audience", "it follows from the noisy numbers, whoever is on the list", unmoved))
    first = priced[0][1][0]
    cells = first.specification.cells
    if cells < FEWEST_COORDINATES:
        said = f"one run with many canaries: {cells:,} coordinates are too few, it takes {FEWEST_COORDINATES:,} or more"
        return findings, (said,)
    many = _many(crowds.declared_kinds(contract, job), first, cells, job.epsilon, delta_of_job(contract, job))
    findings.append(Finding.of("one run", f"{cells:,} canaries, each on the list by a coin", many))
    return findings, ()


def _considering(contract: Contract, job: LookalikeJob) -> list[LookalikeJob]:
    """The job with half of its columns considered, and a pair of those it uses; none where it has too few for that, or
    too many cells to rank beside."""
    columns = job.columns_of(contract)
    used, others = columns[: (len(columns) + 1) // 2], columns[(len(columns) + 1) // 2 :][:MOST_CONSIDERED]
    pair = [CROSS.join(used[:2])] if len(used) > 1 else []
    for consider in ([*others, *pair], [*others]):
        asked = job.model_copy(update={"columns": [*used], "consider": consider})
        with suppress(Refused):
            asked.refuse_considered(contract)
            return [asked] if consider else []
    return []


def _between_worlds(contract: Contract, priced: Sequence[Priced], runs: int, progress: Progress) -> list[Finding]:
    """priced: as it is, comparing, with strata, and considering, if there is one."""
    (job, (first, second)), (_, (_, between, _)), (_, (_, by_known)), *considering = priced
    crowd, canaries = crowd_of(contract, job, first)
    listed = coins(len(canaries), SEEDS) & ~canaries
    trial, worlds = Trial(runs, progress, 4 + len(considering)), (crowd, listed, canaries)
    tests = [
        ("fit", "the longest row of many people, on the list or not", _on_fit, first),
        ("scores", "one seed more in a score bin", _on_scores, second),
        ("strata", "one seed more among those of whom as much is known", on_strata, by_known),
        ("groups", "one seed more in a group, where learners are compared", _on_groups, between),
    ]
    return [
        *(trial.between(test, what, attack(*worlds, buys), buys) for test, what, attack, buys in tests),
        *(_considered(contract, each, buys[0], trial) for each, buys in considering),
    ]


def _considered(contract: Contract, job: LookalikeJob, sums: Purchase, trial: Trial) -> Finding:
    crowd, canaries = crowd_of(contract, job, sums)
    listed = coins(len(canaries), SEEDS) & ~canaries
    what = "the longest row of many people, where columns are considered"
    return trial.between("considered", what, _on_fit(crowd, listed, canaries, sums), sums)


def _on_fit(crowd: crowds.Crowd, listed: NDArray[np.bool_], canaries: NDArray[np.bool_], purchase: Purchase) -> Attack:
    cells = purchase.specification.cells
    people = crowd.measured(purchase.specification)
    outside, inside = (fitted.moments(crowd, people, label, cells) for label in (listed, listed | canaries))
    return moved(partial(rehearsed, purchase), outside, inside)


def _on_scores(
    crowd: crowds.Crowd, listed: NDArray[np.bool_], canaries: NDArray[np.bool_], purchase: Purchase
) -> Attack:
    """Scores are worth what the first value says: which model made them does not matter to the histogram."""
    bins = ScoreBins.of(uniform(len(canaries)), crowd.tiebreak)
    return _on_counts(crowd, listed, canaries, purchase, bins)


def on_strata(
    crowd: crowds.Crowd, listed: NDArray[np.bool_], canaries: NDArray[np.bool_], purchase: Purchase
) -> Attack:
    """What is known of people is what their invented rows hold; scores are as in `_on_scores`."""
    cells = cells_of(crowd.design, uniform(len(canaries)), crowd.tiebreak)
    return _on_counts(crowd, listed, canaries, purchase, cells)


def _on_counts(
    crowd: crowds.Crowd,
    listed: NDArray[np.bool_],
    canaries: NDArray[np.bool_],
    purchase: Purchase,
    bins: ScoreBins | StratumCells,
) -> Attack:
    """Of who is held out; here everybody is."""
    held, cells = replace(crowd, held_out=np.ones_like(canaries)), purchase.specification.cells
    outside, inside = (fitted.positives(held, bins, label, cells) for label in (listed, listed | canaries))
    return moved(partial(rehearsed, purchase), outside, inside)


def _on_groups(
    crowd: crowds.Crowd, listed: NDArray[np.bool_], canaries: NDArray[np.bool_], purchase: Purchase
) -> Attack:
    """How people were dealt into groups does not matter to the counts."""
    dealt = (uniform(crowd.training.rows) * MOST_GROUPS).astype(np.int64)
    outside, inside = (fitted.in_groups(crowd, dealt, label) for label in (listed, listed | canaries))
    return moved(partial(rehearsed, purchase), outside, inside)


def _follows(crowd: crowds.Crowd, job: LookalikeJob, buys: tuple[Purchase, ...]) -> bool:
    """The audience and every other file, from held noisy bytes and other labels."""
    rows = crowd.design.rows
    tokens = np.arange(rows, dtype=np.uint64)

    def given(label: NDArray[np.bool_], held: Held) -> bytes:
        fit = fitted.fitted_to(crowd, label, job, buys, held.pay)
        return handed_out(lookalike.contents(fit, tokens, AudienceSize(size=rows // 10), 0))

    return follows(given, [coins(rows, 0.2) for _ in range(LABELS)])


def _parts(contract: Contract, job: LookalikeJob, buys: tuple[Purchase, ...]) -> bool:
    """Whether a record that trains moves no count of those held out, and one that is held out nothing else. job: one
    that compares learners, which draws the most."""
    crowd, canaries = crowd_of(contract, job)
    listed = coins(len(canaries), SEEDS) & ~canaries
    *training, asked = [each.specification.statistic for each in buys]
    for out, may in ((False, set(training)), (True, {asked})):
        placed = replace(crowd, held_out=crowd.held_out | canaries if out else crowd.held_out & ~canaries)

        def given(label: NDArray[np.bool_], held: Held, placed: crowds.Crowd = placed) -> object:
            return fitted.fitted_to(placed, label, job, buys, held.pay)

        if not moves(given, listed, listed | canaries) <= may:
            return False
    return True


def _many(kinds: list[Kind], purchase: Purchase, canaries: int, epsilon: float, delta: float) -> Audited:
    """One release of the sums of many canaries, each guessed by how far the sums lie along its own row."""
    table = invented(kinds, canaries, np.zeros(canaries, dtype=np.bool_), uniform)
    encoder = Encoder.from_owner(table, kinds)
    design = encoder.encode(table)
    none = np.zeros(canaries, dtype=np.bool_)
    crowd = crowds.Crowd(encoder, design, none, np.zeros(canaries, dtype=np.uint64), canaries / 2)
    people, included = crowd.measured(purchase.specification), coins(canaries, 0.5)
    sums = fitted.moments(crowd, people, included, purchase.specification.cells)
    away = rehearsed(purchase, sums).real[: design.cells] - sum(rows.sum(axis=0) for rows in rows_of(people)) / 2
    scores = np.concatenate([rows @ away for rows in rows_of(people)])
    return one_run(scores, included, round(GUESSED * canaries), epsilon, delta)
