"""How far a person's score may be off where columns are known one at a time: in `person`, nobody's row is looked at.

A score's error is the intercept's, and each column's beside its mean over people. How columns hang together is paid for
by nobody, so their errors are added up as if they were independent. That is about right for columns that go together as
well: what sums say of two of them together they know best along what the two share, and there people differ most
(docs/decisions/0044-how-sure-a-persons-model-is.md).

A column's weights are believed to have a mean w and a covariance S (`sizes`), and its people a mean row m, from noisy
counts. A person with row x is then off by (x - m)(w - v), v the model's weights, give or take (x - m)'S(x - m); that is
added up over columns. One more thing is known of the model: its scores are shrunk, and were they spread as much as is
believed, its intercept would say that too many people are positive. All of it is post-processing.

The code ensures: nothing but noisy sums, what follows from them and public tables is read; a person's figure is, bit
for bit, a function of its own levels, as of `doubt`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dp.noisy import Z95
from .design import Block, Design, Float
from .doubt import in_six_digits, over_pairs


@dataclass(frozen=True, slots=True, eq=False)
class Apart:
    """Variance of a score as a sum over columns, and what scores are thought to be off by.

        {"intercept": 0.01, "off": [{"effects": [[...], ...], "intercept": -0.1}, ...], "variances": [[...], ...]}

    variances: one array a column, of each level; where levels come together, of each pair of them, levels x levels.
    intercept: its variance, and what is the same for all people. off: their squares are added.
    """

    digest: str
    variances: tuple[Float, ...]
    intercept: float
    off: tuple[Off, ...]

    def deviation(self, design: Design) -> Float:
        """Root mean square of what each person's log-odds may be off by. Errors: ValueError for a design of another
        encoder."""
        if design.digest != self.digest:
            raise ValueError("the design was made by another encoder")
        own = [each if each.ndim == 1 else np.zeros(len(each)) for each in self.variances]
        total = self.intercept + design.scores(own)
        for at, pairs in enumerate(self.variances):
            if pairs.ndim == 2:
                total += over_pairs(design, at, at, pairs)
        total = np.maximum(total, 0)
        for each in self.off:
            total += each.of(design) ** 2
        return np.sqrt(total)

    def interval(self, scores: Float, design: Design) -> tuple[Float, Float]:
        """Ends of each person's 95 % interval, log-odds; over people and draws, not for each person, they hold 95 %."""
        wide = Z95 * self.deviation(design)
        return scores - wide, scores + wide

    def filed(self) -> Apart:
        """As it goes into a model's file: six digits."""
        off = (Off(_six(each.intercept), tuple(map(in_six_digits, each.effects))) for each in self.off)
        return Apart(self.digest, tuple(map(in_six_digits, self.variances)), _six(self.intercept), tuple(off))

    def to_json(self) -> dict[str, object]:
        off = [{"effects": [e.tolist() for e in each.effects], "intercept": each.intercept} for each in self.off]
        return {"intercept": self.intercept, "off": off, "variances": [each.tolist() for each in self.variances]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any], digest: str, columns: Sequence[Block]) -> Apart:
        """What `to_json` wrote, for the columns of an encoder. Errors: ValueError, KeyError or TypeError otherwise."""
        levels = [(len(block.levels),) for block in columns]
        pairs = [one if block.partition else 2 * one for block, one in zip(columns, levels, strict=True)]
        off = [Off(_finite(each["intercept"]), _arrays(each["effects"], levels)) for each in body["off"]]
        intercept = _finite(body["intercept"])
        if intercept < 0:
            raise ValueError("a variance is none")
        return cls(digest, _arrays(body["variances"], pairs), intercept, tuple(off))


@dataclass(frozen=True, slots=True, eq=False)
class Off:
    """What scores are thought to be off by: a constant, and something for each level a person has; log-odds."""

    intercept: float
    effects: tuple[Float, ...]

    def of(self, design: Design) -> Float:
        return self.intercept + design.scores(self.effects)


def spread_of(block: Block, share: Float, covariance: Float) -> tuple[Float, float]:
    """Variances of what a column adds beside its mean over people, and what of them is the same for all people.

    share: of people, a level. covariance: of the weights.
    """
    if block.partition:
        rows = block.real - share @ block.real
        return np.asarray(((rows @ covariance) * rows).sum(axis=1)), 0.0
    pairs = block.real @ covariance @ block.real.T
    beside = pairs @ share
    return pairs - 2 * np.diag(beside), float(share @ beside)


def _six(value: float) -> float:
    return float(f"{value:.6g}")


def _finite(said: Any) -> float:
    value = float(said)
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    return value


def _arrays(said: Any, shapes: Sequence[tuple[int, ...]]) -> tuple[Float, ...]:
    found = tuple(np.array(each, dtype=np.float64) for each in said)
    if [each.shape for each in found] != list(shapes) or not all(np.isfinite(each).all() for each in found):
        raise ValueError("numbers and columns do not fit together")
    return found
