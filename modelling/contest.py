"""Several learners on the same paid numbers, and which of them is best, on the people they trained on.

Moments pay for the additive learners; noisy counts of seeds by group (`groups`) pay for the trees, and judge them all:
how likely are the noisy counts, were a learner's probabilities true? A count of a group of n people has mean E and
variance close to n p (1 - p) + sigma^2. The counts' noise is not that of the moments, so noise that an additive learner
took for truth counts against it here; trees are judged by those that were grown without a group. So no held-out person
is looked at to choose, the held-out histogram is drawn once, for the winner, and its intervals stay what they are.

Why not private selection (a noisy maximum over held-out scores): it would pay for each look at the held-out, and its
answer could not be checked by the reader. What is compared here is paid for as a statistic of its own, and kept.

The code ensures: the choice is post-processing of the two noisy statistics and the owner's rows.
The caller ensures: both were paid for. In-sample labels favour a learner by about one unit a free weight; that is far
below what noise adds at any epsilon at which trees could win.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ..dp.noisy import Z95, Estimate, Noisy
from .bayes import naive_bayes
from .boosting import Counts, boost
from .design import Float
from .model import Model
from .strategy import Rows, design_of
from .trees import Boosted

Learner: TypeAlias = Literal["glm", "naive-bayes", "boosting"]
LEARNERS: tuple[Learner, ...] = ("glm", "naive-bayes", "boosting")
Learnt: TypeAlias = Model | Boosted


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """One learner. gain: log-likelihood of the noisy counts beyond that of one rate for everybody, in nats.

    lead: its gain less that of the best of the learners named before it; None for the first. won: by the rule below.
    """

    learner: Learner
    model: Learnt
    gain: Estimate
    lead: Estimate | None
    won: bool


def contest(
    people: Rows, glm: Model, sums: Noisy, ordered: Sequence[bool], counts: Counts, named: Sequence[Learner]
) -> list[Standing]:
    """Every learner named, in their order. One that is named later wins where its lead is more than its own deviation.

    glm: the additive model that `sums` gave. sums: paid moments of the people. counts: paid, of the same people.
    Errors: as of `bayes.naive_bayes`.
    """
    design = design_of(people)
    models: dict[Learner, tuple[Learnt, Float]] = {}
    for learner in named:
        model: Learnt = glm
        if learner == "boosting":
            grown = boost(design, glm, ordered, counts)
            models[learner] = grown.model, grown.expected
            continue
        model = naive_bayes(people, sums) if learner == "naive-bayes" else glm
        models[learner] = model, counts.expected(model.probability(design))
    return _standings(counts, models)


def _standings(counts: Counts, models: Mapping[Learner, tuple[Learnt, Float]]) -> list[Standing]:
    rate = float(np.mean([expected.sum() for _, expected in models.values()])) / len(counts.group)
    spread = counts.people * rate * (1 - rate) + counts.variance
    nobody = (counts.seeds - counts.people * rate) ** 2
    gains = {
        learner: (nobody - (counts.seeds - expected) ** 2) / (2 * spread) for learner, (_, expected) in models.items()
    }
    best, leads = next(iter(gains)), dict[Learner, Estimate]()
    for learner in list(gains)[1:]:
        lead = gains[learner] - gains[best]
        leads[learner] = _total(lead)
        if float(lead.sum()) > _deviation(lead):
            best = learner
    return [
        Standing(learner, model, _total(gains[learner]), leads.get(learner), learner == best)
        for learner, (model, _) in models.items()
    ]


def _total(each: Float) -> Estimate:
    total, wide = float(each.sum()), Z95 * _deviation(each)
    return Estimate(total, total - wide, total + wide, "noise and sampling")


def _deviation(each: Float) -> float:
    """Of a sum over groups, which are independent given the people."""
    return float(np.sqrt(len(each)) * np.std(each))
