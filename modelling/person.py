"""A lookalike that protects everything about a person: features, label, and being there (`person`).

**Threat model `person`.** Secret: a person's whole record on either side. Neighbours: one record replaced by a dummy
that matches nobody and adds nothing; a publisher's record takes row and label away, an advertiser's turns one label
to 0. The model may be read by anybody it is paid for: bins come from the declared bounds (`Encoder.from_declared`).

**What is drawn.** `margins` once, `steps` times `pull`: integers, each moved by one person by at most
`step_l2_squared` (a row is at most 1 long and |label - probability| at most 1, whichever of the two records goes).
Step t's weights, and the tables by which levels are summed (`column_strategy`), come from the noisy results before, so
this is adaptive composition of Gaussian releases with one scale: together it costs what one Gaussian release of
sensitivity sqrt(steps + 1) times a step's costs (Dong, Roth, Su 2022, theorem 3.2 and corollary 3.3; the discrete noise
as in `dp.scale`, cell by cell, whatever integers it is centred on). So **one** draw pays for all of it: `blank` is a
statistic of zeros with that sensitivity, its noisy twin is the noise itself, independent of data, and each exact
integer sum takes its own slice of it.

The code ensures: one call of `draw`, on zeros, before any row is looked at; each slice is used once; how many steps
are made depends on nothing; nothing but noisy sums, public declarations and settings enters the model.
The caller ensures: the noise stays sealed (whoever sees it sees the exact sums), is used for these submissions and
this job alone, and a run that starts again uses the same noise on the same people (DESIGN: an open entry).

**The learner.** Additive log-odds, z = b + sum over columns of an effect, effects = table x weights. The margins give
b, and what curvature would be were columns independent: a block a column and rank one. Preconditioned by it, steps
with momentum (`momentum`) on the full data settle, and the mean over most of them has about the error one release of
the gradient at the optimum would have had. Prior variances, one a column, are re-estimated half-way and at
the end from the noisy sums (evidence; pooled between columns), which is post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from ..dp.noisy import Noise, Noisy
from .apart import Apart, Off, spread_of
from .attenuation import restored, spreads
from .blank import STEPS, blank
from .column_strategy import ColumnStrategy
from .descent import Descent, Pull
from .design import BITS, Block, Design, DesignMismatch, Float, Int, Mask
from .draw import Draw
from .effects import ColumnEffect, Held, Known, explained
from .expected import Expected
from .margins import Margins
from .model import Model
from .momentum import DAMPING, Momentum
from .packed import PEOPLE_UNIT, POSITIVES_UNIT, Packed, level_unit
from .progress import Progress, quietly
from .settings import Settings
from .sizes import together

SMOOTHER, ROUGH_MU, SMOOTH_MU = 0.2, 0.125, 0.235
"""How much smoother effects of ordered columns are taken to be than their rows are alike: not at all up to the first μ
(ε .5), in full from the second on (ε 1)."""


class DPGAM(Settings):
    """The learner of the `person` threat model. steps: how many, fixed beforehand. damping: the
    share of each move that is taken.

    Settings as scikit-learn's, and no `fit`: as `SeedGLM`.
    """

    def __init__(self, steps: int = STEPS, damping: float = DAMPING) -> None:
        self.steps, self.damping = steps, damping

    def fit_drawn(self, people: Design | Packed, matched: Mask, draw: Draw) -> Model:
        """The model, for one call of `draw`. matched: (rows,) bool.

        Errors: what `draw` raises; DesignMismatch where noise of another shape comes back.
        """
        packed = people if isinstance(people, Packed) else Packed.of(people)
        model, _ = self.fit_opened(packed, matched, draw(blank(packed.columns, self.steps)))
        return model

    def fit_opened(
        self, people: Packed, matched: Mask, noise: Noisy | Noise, progress: Progress = quietly
    ) -> tuple[Model, Int]:
        """The model, and the noisy sums that it follows from, in the noise's own order: what a ledger settles.

        progress: called after each step.

        Errors: DesignMismatch where the noise is of another shape; ValueError where a row has no yes or no.
        """
        if matched.shape != (people.rows,) or matched.dtype != np.bool_:
            raise ValueError("matched must say yes or no for every row")
        sums = _Asked(people, matched, noise.values)
        return self._fit(people.columns, people.digest, noise, sums, progress), sums.values

    def refit(self, columns: Sequence[Block], digest: str, noisy: Noisy) -> Model:
        """The same model once more, from its noisy sums alone: nobody is looked at. digest: of the encoder.

        Errors: DesignMismatch.
        """
        return self._fit(columns, digest, noisy, _Known(noisy.values))

    def _fit(
        self, columns: Sequence[Block], digest: str, noise: Noisy | Noise, sums: _Sums, progress: Progress = quietly
    ) -> Model:
        wanted = blank(columns, self.steps)
        if noise.values.shape != wanted.values.shape or noise.bits != BITS:
            raise DesignMismatch(noise.values.size, wanted.values.size)
        sigma = float(np.ldexp(noise.scale, -noise.bits))
        with threadpool_limits(limits=1, user_api="blas"):
            margins = margins_of(columns, sums.margins(slice(0, _first(columns))), noise.scale)
            strategy = ColumnStrategy.of(columns, margins, noise.scale / level_unit(columns))
            sums.measure(strategy.columns)
            smoother = smoother_at(math.sqrt(wanted.l2_squared) / noise.scale)
            expected = [
                Expected.of(block, smoother).through(turn) for block, turn in zip(columns, strategy.turns, strict=True)
            ]
            self._declared, self._strategy = columns, strategy
            self._descent = Descent(
                strategy.columns,
                margins,
                sigma**2 / self.steps,
                self.steps,
                Momentum(len(columns), self.damping),
                expected=expected,
                kept=strategy.kept,
            )
            self.model_ = self._descent.model(_pull(columns, sums, self.steps, progress), digest)
        return self.model_

    def explained(self) -> tuple[ColumnEffect, ...]:
        """What the last model's columns add, with intervals, as if columns were independent (`effects`)."""
        held, known = self._held(), self._known()
        known = restored(self._declared, held, known, self._descent.near())
        return explained(self._declared, held, [effects.values for effects in self.model_.columns], known)

    def doubt(self) -> Apart:
        """How far the last model's scores may be off, a person, for noise and sampling (`apart`)."""
        descent, columns, shares = self._descent, self._declared, self._descent.margins.shares
        with threadpool_limits(limits=1, user_api="blas"):
            held = self._held()
            beliefs = together(columns, restored(columns, held, self._known(), descent.near(), together))
            moments = [each.moments() for each in beliefs]
            each = zip(columns, shares, moments, strict=True)
            variances, same = zip(*(spread_of(block, share, spread) for block, share, (_, spread) in each), strict=True)
            away = self._away([mean for mean, _ in moments], sum(spreads(columns, held, beliefs)))
        intercept = descent.intercept_variance(self.model_) + sum(same)
        return Apart(self.model_.encoder, variances, intercept, (away,))

    def _away(self, means: Sequence[Float], spread: float) -> Off:
        """From the last model's scores to the middle of what is believed. means: of the weights. spread: variance over
        people of what all columns add."""
        margins, model = self._descent.margins, self.model_
        own = [each.values for each in model.columns]
        away = [block.real @ mean - values for block, mean, values in zip(self._declared, means, own, strict=True)]
        middle = sum(float(share @ each) for share, each in zip(margins.shares, away, strict=True))
        bent = margins.settled_at(own, model.intercept, spread) - model.intercept
        return Off(bent - middle, tuple(away))

    def _held(self) -> list[Held]:
        margins = self._descent.margins
        each = zip(self._declared, margins.counts, strict=True)
        return [Held.alone(block, counts, margins.people) for block, counts in each]

    def _known(self) -> list[Known]:
        """What the noisy sums say of each column's declared weights."""
        return self._strategy.declared(self._descent.known(self.model_))


def smoother_at(mu: float) -> float:
    """Where noise is large, what little it leaves of an effect is not smoothed further."""
    return SMOOTHER * min(max((mu - ROUGH_MU) / (SMOOTH_MU - ROUGH_MU), 0.0), 1.0)


def _first(columns: Sequence[Block]) -> int:
    """How many cells the margins have: the pulls begin after them."""
    return sum(len(block.table) for block in columns) + 2


def margins_of(columns: Sequence[Block], noisy: Int, scale: float) -> Margins:
    """The margins that a fit was made with. noisy: its noisy sums, from the first on. scale: of their noise."""
    levels = sum(len(block.table) for block in columns)
    counts = noisy[:levels] / level_unit(columns)
    people, positives = noisy[levels : levels + 2].tolist()
    return Margins.of(columns, counts, people / PEOPLE_UNIT, positives / POSITIVES_UNIT, scale / POSITIVES_UNIT)


def _pull(columns: Sequence[Block], sums: _Sums, steps: int, progress: Progress) -> Pull:
    """The noisy gradient of the log-likelihood: the only thing a step sees of people."""
    width, first = sum(block.cells for block in columns) + 1, _first(columns)

    def pull(step: int, intercept: float, effects: list[Float]) -> Float:
        start = first + step * width
        noisy = sums.pull(slice(start, start + width), intercept, effects)
        progress(step + 1, steps)
        return np.ldexp(noisy.astype(np.float64), -BITS)

    return pull


class _Sums(Protocol):
    """Noisy sums over people, as a fit asks for them: each slice of the row once, in order."""

    def margins(self, at: slice) -> Int: ...
    def measure(self, columns: Sequence[Block]) -> None: ...
    def pull(self, at: slice, intercept: float, effects: list[Float]) -> Int: ...


class _Asked:
    """Noise, with the exact integers added as they are asked for."""

    def __init__(self, packed: Packed, matched: Mask, noise: Int) -> None:
        self.packed, self.matched, self.noise = packed, matched, noise
        self.values = np.zeros(len(noise), dtype=np.int64)

    def margins(self, at: slice) -> Int:
        return self._noisy(at, self.packed.margins(self.matched))

    def measure(self, columns: Sequence[Block]) -> None:
        self.packed = self.packed.by(columns)

    def pull(self, at: slice, intercept: float, effects: list[Float]) -> Int:
        return self._noisy(at, self.packed.pull(self.matched, intercept, effects))

    def _noisy(self, at: slice, exact: Int) -> Int:
        self.values[at] = exact + self.noise[at]
        return self.values[at]


class _Known:
    """The same sums, once they are known."""

    def __init__(self, values: Int) -> None:
        self.values = values

    def margins(self, at: slice) -> Int:
        return self.values[at]

    def measure(self, columns: Sequence[Block]) -> None:
        del columns

    def pull(self, at: slice, intercept: float, effects: list[Float]) -> Int:
        del intercept, effects
        return self.values[at]
