"""A lookalike's model, fitted on what is paid for and on nothing else.

Two noisy statistics are paid for: feature sums over the seeds among the training people, and a histogram of scores
over the seeds among the held-out people. A person is in one part or the other by a keyed hash of the handle, which
knows nothing of seeds, so that one seed moves one of the two: the job costs the larger, not the sum. Where the job says
so, the histogram tells people apart by how much is known of them as well (`measure.strata`). Where learners are
compared, counts of training seeds by groups of like people are a third, with a price of its own (`modelling.contest`).
The models, the choice among them and their evaluation are computed from those noisy integers and the publisher's own
table.

A job of randomised labels pays for one label of every person instead, held out or not, and all else follows from those
(`measure.responses`).

The code ensures: nothing after `pay` sees a label.
The caller ensures: `matched` goes nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...dp.aggregate import Statistic, histogram
from ...dp.entry import Purchase
from ...dp.labels import Labels, unpacked
from ...dp.ledger import Ledger
from ...dp.noisy import Noisy
from ...modelling.boosting import Counts
from ...modelling.considered import Adds, ranked, summed
from ...modelling.contest import Learnt, Standing, contest
from ...modelling.design import Design
from ...modelling.effects import ColumnEffect
from ...modelling.evaluate import Evaluation, ScoreBins, evaluate
from ...modelling.groups import MOST_GROUPS, group, how_many
from ...modelling.lookalike import SeedGLM
from ...modelling.responses import Responses, additive, learn
from ...modelling.scorer import Scorer
from ...modelling.strata import StratumCells
from ...modelling.strategy import Rows
from ...modelling.trees import Boosted
from ...modelling.wide import WideGLM, learnt
from ...policies.jobs.lookalike import MOST_BOOSTED, LookalikeJob
from ..progress import Stages
from ..room import Dataset, Room
from .crowds import Crowd, crowd_of
from .measure import Pay, paying
from .responses import evaluated, placed
from .strata import cells_of, lettered, of_counts, of_labels
from .unsure import strata_of


@dataclass(frozen=True, slots=True)
class Fitted:
    """A paid model and what it says of everybody, in the room's row order.

    scores: log-odds. held_out: (rows,) bool. bins: of the held-out people by score. noisy: the paid statistics.
    standings: of the learners that were compared. effects: of the additive model, where that is the one and
    the table not wide. strata, places, by_known, cells: as of `lookalike.Lookalike`. known: columns that are known of
    each.
    """

    scorer: Scorer
    effects: tuple[ColumnEffect, ...]
    scores: NDArray[np.float64]
    tiebreak: NDArray[np.uint64]
    held_out: NDArray[np.bool_]
    known: NDArray[np.int64]
    bins: ScoreBins
    evaluation: Evaluation
    noisy: tuple[Noisy, ...]
    standings: tuple[Standing, ...] = ()
    strata: Sequence[Mapping[str, float]] = ()
    wide: bool = False
    places: str | None = None
    by_known: Sequence[Mapping[str, object]] = ()
    cells: str | None = None
    considered: tuple[Adds, ...] = ()


# -- by sums ---------------------------------------------------------------------------------------------------------


def fitted(
    room: Room,
    job: LookalikeJob,
    purchases: Sequence[Purchase],
    ledger: Ledger,
    people: Dataset,
    matched: NDArray[np.bool_],
) -> Fitted:
    """Pay for the statistics, or find them paid, and make of them what follows."""
    stages = Stages(stages_of(purchases), room.progress)
    crowd = crowd_of(room, job, people)
    stages.passed()
    return fitted_to(crowd, matched, job, purchases, paying(ledger), stages)


def stages_of(purchases: Sequence[Purchase]) -> int:
    """People are read, and measured; the model is fitted, learners compared, people scored and the model evaluated."""
    return 2 + len(purchases)


def fitted_to(
    crowd: Crowd,
    matched: NDArray[np.bool_],
    job: LookalikeJob,
    purchases: Sequence[Purchase],
    pay: Pay,
    stages: Stages | None = None,
) -> Fitted:
    """`matched` goes into what is paid for, and no further. stages: of which people are read already."""
    first, *between, second = purchases
    stages = stages or Stages(stages_of(purchases))
    trained = crowd.measured(first.specification)
    stages.passed()
    sums = pay(first, lambda: moments(crowd, trained, matched, first.specification.cells))
    learner = learnt(trained, used(crowd.training, sums))
    glm = learner.model_
    stages.passed()
    model: Learnt = glm
    noisy, standings = [sums], list[Standing]()
    for purchase in between:
        ordered = crowd.ordered
        dealt = group(crowd.training, glm, ordered, how_many(crowd.training.rows, variance_of(purchase)))
        seeds = pay(purchase, partial(in_groups, crowd, dealt, matched))
        counts = Counts(dealt, seeds.real[: int(dealt.max()) + 1], variance_of(purchase))
        standings = contest(trained, glm, used(crowd.training, sums), ordered, counts, job.learners)
        model, noisy = next(each.model for each in standings if each.won), [sums, seeds]
        stages.passed()
    additive = all(each.learner == "glm" for each in standings if each.won)
    scores = model.score(crowd.design)
    held = crowd.design.take(crowd.held_out)
    people = scores[crowd.held_out], crowd.tiebreak[crowd.held_out]
    bins, cells = ScoreBins.of(*people), cells_of(held, *people) if job.strata else None
    found = pay(second, lambda: positives(crowd, cells or bins, matched, second.specification.cells))
    told = of_counts(found, cells.strata) if cells else (evaluate(found, bins.totals, bins.predicted), [])
    kept = (*noisy, found), tuple(standings)
    sure = learner if additive and isinstance(learner, SeedGLM) else None
    scorer = Scorer.of(crowd.encoder, glm, sure.doubt) if sure else Scorer(crowd.encoder, model)
    made = scorer, sure.explained() if sure else ()
    wide = additive and isinstance(learner, WideGLM)
    rows, said = (crowd.tiebreak, crowd.held_out), strata_of(scorer, held)
    fit = Fitted(*made, scores, *rows, crowd.known, bins, told[0], *kept, strata=said, wide=wide)
    fit = replace(fit, by_known=told[1], considered=would_add(crowd, learner, sums))
    stages.passed()
    return fit


def would_add(crowd: Crowd, learner: SeedGLM | WideGLM, sums: Noisy) -> tuple[Adds, ...]:
    """How much what is considered would add to the additive model, whoever made the audience."""
    if crowd.considered is None or not isinstance(learner, SeedGLM):
        return ()
    cells = crowd.design.cells
    return ranked(learner, crowd.considered.take(~crowd.held_out), sums.real[cells : cells + crowd.considered.cells])


# -- by labels -------------------------------------------------------------------------------------------------------


def responded(
    room: Room,
    job: LookalikeJob,
    purchases: Sequence[Purchase],
    ledger: Ledger,
    people: Dataset,
    matched: NDArray[np.bool_],
) -> Fitted:
    """The same of a job of randomised labels."""

    def pay(purchase: Purchase, exact: Callable[[], Labels]) -> Noisy:
        return ledger.paid(purchase) or ledger.respond(purchase, exact())

    exact, stages = Labels(matched, job.rows_moved(room.contract)), Stages(3, room.progress)
    crowd = crowd_of(room, job, people)
    stages.passed()
    return responded_to(crowd, exact, purchases[0], pay, stages)


def responded_to(
    crowd: Crowd,
    exact: Labels,
    purchase: Purchase,
    pay: Callable[[Purchase, Callable[[], Labels]], Noisy],
    stages: Stages | None = None,
) -> Fitted:
    """`exact` goes into what is paid for, and no further: a model of the labels of those who train, and what it is
    worth by those of the others. stages: people are read already, a model is fitted, and evaluated."""
    stages = stages or Stages(3)
    noisy = pay(purchase, lambda: exact)
    labels = unpacked(noisy.values, crowd.design.rows)
    model, effects = learnt_from(crowd, labels[~crowd.held_out], noisy.flip)
    stages.passed()
    scores = model.score(crowd.design)
    people = scores[crowd.held_out], crowd.tiebreak[crowd.held_out]
    bins, cells = ScoreBins.of(*people), cells_of(crowd.design.take(crowd.held_out), *people)
    places, letters = placed(crowd.held_out, bins.cell), lettered(crowd.held_out, cells)
    evaluation = evaluated(noisy, places, bins.predicted, len(bins.totals))
    known = of_labels(noisy, letters, cells.strata)
    made, rows = (Scorer(crowd.encoder, model), effects), (crowd.tiebreak, crowd.held_out)
    stages.passed()
    return Fitted(
        *made, scores, *rows, crowd.known, bins, evaluation, (noisy,), places=places, by_known=known, cells=letters
    )


def learnt_from(crowd: Crowd, labels: NDArray[np.bool_], flip: float) -> tuple[Learnt, tuple[ColumnEffect, ...]]:
    """What the labels of those who train teach, and the effects of its columns where the model is additive.

    Trees take on as many columns as they do elsewhere (`MOST_BOOSTED`); above that the model is additive.
    """
    wide = len(crowd.training.columns) > MOST_BOOSTED
    model = None if wide else learn(crowd.training, crowd.ordered, labels, flip)
    if isinstance(model, Boosted):
        return model, ()
    alone = additive(crowd.training, Responses(labels, flip))
    return model or alone.model_, alone.explained()


# -- what is paid for ------------------------------------------------------------------------------------------------


def moments(crowd: Crowd, people: Rows, matched: NDArray[np.bool_], cells: int) -> Statistic:
    """Exact feature sums over the seeds that train, those of what is considered last. people: those who train, as they
    are measured."""
    trains = matched[~crowd.held_out]
    if crowd.considered is None:
        return _padded(people.moments(trains), cells)
    return _padded(summed(people, crowd.considered.take(~crowd.held_out), trains), cells)


def positives(crowd: Crowd, bins: ScoreBins | StratumCells, matched: NDArray[np.bool_], cells: int) -> Statistic:
    """Exact counts of the seeds that were held out, by score, or by stratum and score."""
    return histogram(bins.cell, matched[crowd.held_out], cells)


def in_groups(crowd: Crowd, dealt: NDArray[np.int64], matched: NDArray[np.bool_]) -> Statistic:
    """Exact counts, by group, of the seeds that train."""
    return histogram(dealt, matched[~crowd.held_out], MOST_GROUPS)


def variance_of(purchase: Purchase) -> float:
    """Of the noise in one count, in people: known before anything is paid."""
    spec = purchase.specification
    return spec.deviation**2


def used(design: Design, sums: Noisy) -> Noisy:
    """The cells that the owner's bins fill; the noise in the others is thrown away."""
    used = np.r_[0 : design.cells, len(sums.values) - 1]
    return Noisy(sums.values[used], sums.scale, sums.bits, sums.receipt)


def _padded(sums: Statistic, cells: int) -> Statistic:
    """Empty cells up to the declared number: how many bins the owner's numbers fill is nobody else's to know.

    The count stays the last cell.
    """
    values = np.zeros(cells, dtype=np.int64)
    values[: len(sums.values) - 1] = sums.values[:-1]
    values[-1] = sums.values[-1]
    return Statistic(values, sums.bits, sums.l2_squared)
