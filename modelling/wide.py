"""The `membership` learner for wide tables: the same release, fitted without a curvature of all cells at once.

`SeedGLM` solves for cells x cells; that is best up to some thousand cells. Here the same noisy sum is fitted by the
steps of `descent`: what the model expects of the people is computed exactly, for they are known to the reader, and
the noisy sum minus that is the gradient, with the same noise in every step. Time grows with people x columns.

Threat model, release and both lists: as in `lookalike`. `descent` is handed no label.

There are no effects with intervals of it. Intervals as if columns were independent, as of `person`, were tried: of 60
columns of which six tell, at mu .24, they held .68 of the six's levels, those of `SeedGLM` .92.

`measured` says how the people of a design are measured, and `learnt` fits that by the learner it takes. How large a
design is follows from declarations and the owner's own rows.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from ..dp.noisy import Noisy
from .descent import Descent
from .design import BITS, COUNT_UNIT, ONE, Design, DesignMismatch, Float, Mask
from .draw import Draw
from .lookalike import SeedGLM
from .margins import Margins
from .mixing import Mixing
from .model import Model
from .outlook import Outlook
from .packed import Packed
from .strategy import MOST_CELLS, Rows, Strategy

STEPS = 8


class WideGLM:
    """steps: how many passes over the people; no noise is added by any."""

    def __init__(self, steps: int = STEPS) -> None:
        self.steps = steps

    def fit_drawn(self, people: Design | Packed, matched: Mask, draw: Draw) -> Model:
        """The model, for one call of `draw` on `Packed.moments`: of rows as they are."""
        return self.fit_noisy(people, draw(people.moments(matched)))

    def fit_noisy(self, people: Design | Packed, noisy: Noisy) -> Model:
        """The model that paid moments of these people make plausible. Errors: DesignMismatch; ValueError."""
        return self._fit(people if isinstance(people, Packed) else Packed.of(people), noisy)

    def _fit(self, people: Packed, noisy: Noisy) -> Model:
        if noisy.values.shape != (people.cells + 1,) or noisy.bits != BITS:
            raise DesignMismatch(noisy.values.size, people.cells + 1)
        if people.rows == 0:
            raise ValueError("there is nobody to learn from")
        nobody, sums = np.zeros(people.rows, dtype=np.bool_), noisy.real

        def pull(_step: int, intercept: float, effects: list[Float]) -> Float:
            return sums + np.ldexp(people.pull(nobody, intercept, effects).astype(np.float64), -BITS)

        found = float(noisy.values[-1]) / COUNT_UNIT
        margins = Margins.of(people.columns, people.counts(), float(people.rows), found, noisy.scale / COUNT_UNIT)
        with threadpool_limits(limits=1, user_api="blas"):
            pace = Mixing(len(people.columns))
            descent = Descent(people.columns, margins, noisy.sigma**2, self.steps, pace, fresh=False)
            self.model_ = descent.model(pull, people.digest)
        return self.model_


def measured(design: Design, reach: int = ONE, outlook: Outlook | None = None) -> Rows:
    """How the people of a design are measured: no label is looked at. reach, outlook: as of `Strategy.of`."""
    return design if design.cells > MOST_CELLS else Strategy.of(design, reach, outlook)


def learnt(people: Rows, noisy: Noisy) -> SeedGLM | WideGLM:
    """The learner that fits such sums, with its settings as they come, fitted. Errors: DesignMismatch; ValueError."""
    if isinstance(people, Design):
        wide = WideGLM()
        wide.fit_noisy(people, noisy)
        return wide
    narrow = SeedGLM()
    narrow.fit_noisy(people, noisy)
    return narrow
