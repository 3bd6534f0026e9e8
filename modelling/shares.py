"""Which share of the people who are known has a value, person by person, from noisy sums alone.

Let w be the chance that a person is known at all, and q that a known person has the value. From the sums of rows over
those who have it, s, and over all who are known, k, the contrast t = s - pi k is made, pi the value's share among the
known. Its mean is F' w (q - pi), and nothing of who is known is left in it but the weights w: where rows say nothing of
the value, t is nothing but noise and luck, weights stay at 0, and everybody gets pi. That is the shrinkage to the
parent: a person of whom little is known has few levels that could move its probability.

With log(q / (1 - q)) = b + F v - o the v are found as the weights of a lookalike are (`modelling.problem.Problem`),
under the noise that t has; b is moved until the known people's mean probability is pi. w comes from a lookalike of k. o
is 0 for one of two values. Of several each has a score z = b + F v, and q is its part of the sum of all exp(z): there o
is what the others' scores add up to. They are fitted one after the other, each beside those before; others stand at
their shares until it is their turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .design import Design, Float, used_cells
from .doubt import Doubt
from .logistic import calibrate, sigmoid
from .model import Model
from .problem import Problem


@dataclass(frozen=True, slots=True, eq=False)
class Among:
    """The people, and the chance that each of them is known."""

    design: Design
    chance: Float


@dataclass(frozen=True, slots=True, eq=False)
class ShareProblem(Problem):
    """A contrast of noisy sums, beside the people it came from. share: pi.

    among: w, one a person. beside: o, one a person. doubt_of_share: variance of the log-odds of pi, for noise.
    """

    among: Float
    beside: Float
    doubt_of_share: float

    @classmethod
    def of(cls, known: Among, contrast: Float, sigma: float, share: float, beside: Float, doubt: float) -> ShareProblem:
        """contrast: as many cells as a row has. sigma: of the noise in it."""
        design, used = known.design, used_cells(known.design)
        column = np.repeat(np.arange(len(design.columns)), [block.cells for block in design.columns])[used]
        return cls(design, used, column, contrast[used], sigma, share, 1.0, known.chance, beside, doubt)

    def people(self, scores: Float) -> tuple[Float, Float, Float]:
        q = sigmoid(self.intercept(scores) + scores - self.beside)
        moving = self.among * q * (1 - q)
        apart = q - self.share
        return self.among * apart, moving + self.among * (1 - self.among) * apart**2, moving

    def intercept(self, scores: Float) -> float:
        return calibrate(scores - self.beside, self.share, self.among / self.among.sum())

    def intercept_doubt(self) -> tuple[float, float]:
        known = float(self.among.sum())
        return 1 / max(known * self.share * (1 - self.share), 1e-9), self.doubt_of_share


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """A fitted share. model: its log-odds. doubt: how far these may be off."""

    model: Model
    doubt: Doubt


def fit_share(problem: ShareProblem, rounds: int = 8, steps: int = 8) -> Share:
    """The share under which the contrast is most plausible."""
    solution = problem.solve(rounds, steps)
    return Share(problem.model(solution.weights), problem.doubt(solution))
