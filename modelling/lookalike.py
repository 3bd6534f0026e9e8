"""A lookalike of a seed from one noisy sum: who among the publisher's people resembles the matched ones.

**Threat model `membership`.** Secret: which of the publisher's people the seed holds. Known to the reader: the
people and their features, for the reader owns them. Neighbouring seeds differ in one submitted record, replaced
by a dummy that matches nobody. With labels y (one where a person is matched) and rows phi, a generalised linear model
meets y only through sum y phi. So a sum of such rows, each turned and cut to a length of at most 1 as the reader's own
people spread (`strategy`), and the number of matches are all that is taken from it: `Strategy.moments`, one release.
One record moves it by at most sqrt(1 + .3^2) (L2). All that happens here - variances, weights, intercept, scores,
every audience size - is post-processing of those noisy integers: it composes to nothing, and may be repeated with other
settings free of charge.

The code ensures: `fit` is handed no label and draws no randomness; a row is no longer than 1, checked in integers
where the sum is made; nothing but `Noisy.values`, its scale and the owner's rows enters a model.
The caller ensures: the model's reader owns the features (the fit uses their exact sums, which protects nobody's
features); matching moves one row for one record; held-out people are split off by a hash of the publisher's own
key, or the histogram that evaluates the model costs extra.

How a model is found from the sums says `problem`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from ..dp.noisy import Noisy
from .design import BITS, Design, DesignMismatch, Float, Mask
from .doubt import Doubt
from .draw import Draw
from .effects import ColumnEffect, explained, held_by
from .model import Model
from .outlook import Outlook
from .problem import Measured, Problem, Solution
from .settings import Settings
from .strategy import Rows, Strategy

CEILINGS = (12.0, 6.0)
"""Ceilings tried below 1, as multiples, above 1, of the share of matches."""


class SeedGLM(Settings):
    """The learner of the `membership` threat model: additive in the columns, noise-aware, no randomness.

    Its settings are read, set and cloned as scikit-learn's are. It has no `fit`: that would have to pay without being
    told how: `estimators.LookalikeClassifier` is the classifier.

    rounds: in which sizes of effects are found, at most. steps: of Gauss-Newton, at most. ceilings: tried below 1, as
    multiples of the share of matches.
    """

    def __init__(self, rounds: int = 8, steps: int = 8, ceilings: tuple[float, ...] = CEILINGS) -> None:
        self.rounds, self.steps, self.ceilings = rounds, steps, ceilings

    def fit_drawn(self, design: Design, matched: Mask, draw: Draw, outlook: Outlook | None = None) -> Model:
        """The model, for one call of `draw` on `Strategy.moments`. outlook: what is public of that draw.

        Errors: what `draw` raises; as `fit_noisy`.
        """
        people = Strategy.of(design, outlook=outlook)
        return self.fit_noisy(people, draw(people.moments(matched)))

    def fit_noisy(self, people: Design | Strategy, noisy: Noisy) -> Model:
        """The model under which the paid moments of these people are most plausible.

        people: a design stands for its `Strategy` under the usual outlook. noisy: `Strategy.moments` of these very
        people, paid for. Errors: DesignMismatch; ValueError without rows.
        """
        if noisy.bits != BITS:
            raise DesignMismatch(noisy.bits, BITS)
        measured = Strategy.of(people) if isinstance(people, Design) else people
        return self.fit_sums(measured, noisy.real, noisy.sigma)

    def fit_sums(self, people: Rows, sums: Float, sigma: float) -> Model:
        """The same from sums in units of a row's length, with the noise they carry. A design stands for its rows as
        they are. Errors: as `fit_noisy`.
        """
        if isinstance(people, Design):
            return self.fit_best(Problem.each(people, sums, sigma, self.ceilings))
        return self.fit_best(Measured.by(people, sums, sigma, self.ceilings))

    def fit_best(self, problems: Sequence[Problem]) -> Model:
        """The model of the problem whose solution is most plausible."""
        with threadpool_limits(limits=1, user_api="blas"):  # more threads would change last bits, and wait
            solutions = [problem.solve(self.rounds, self.steps) for problem in problems]
            best = int(np.argmax([solution.plausibility for solution in solutions]))
            self.model_ = problems[best].model(solutions[best].weights)
            self._solved = problems[best], solutions[best]
        return self.model_

    @property
    def solved(self) -> tuple[Problem, Solution]:
        """The last fit: the problem that was most plausible, and its solution."""
        return self._solved

    def doubt(self) -> Doubt:
        """How far the last model's scores may be off, a person: from the noise's known covariance, and from luck."""
        problem, solution = self._solved
        with threadpool_limits(limits=1, user_api="blas"):
            return problem.whole_doubt(solution)

    def explained(self) -> tuple[ColumnEffect, ...]:
        """What the last model's columns add to scores, with intervals (`effects`)."""
        problem, solution = self._solved
        with threadpool_limits(limits=1, user_api="blas"):
            known = problem.known(solution)
            design, effects = problem.design, [column.values for column in self.model_.columns]
            return explained(design.columns, held_by(design), effects, known)


def fit(people: Design | Strategy, noisy: Noisy) -> Model:
    """`SeedGLM` with its settings as they come. Errors: DesignMismatch; ValueError without rows."""
    return SeedGLM().fit_noisy(people, noisy)
