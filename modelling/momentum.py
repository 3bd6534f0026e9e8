"""Steps on gradients that have noise of their own: a part of each move, and some of the step before.

A move solves for each column as if the others were not there. Where columns hang together, a direction that they share
is k times as curved as that, k at most the number of columns and one more for the intercept. With a part d of every
move and m of the step before, what is off in such a direction goes on turning and growing where d k > 2 (1 + m).
Without m, a part that settles soon where columns are apart (.3) swings from k = 7 on. With it, all directions with
(1 - sqrt m)^2 <= d k <= (1 + sqrt m)^2 settle by sqrt m a step (Polyak 1964): at d = .15, .57 <= k <= 19, by .7, as
fast as .3 alone where columns are apart.

Where so many columns hang together that it swings all the same, it shows in what was paid for: consecutive moves point
against each other. Then d is halved, and the next step starts from rest (O'Donoghue, Candès 2015, restart likewise).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .descent import Alike
from .design import Float

DAMPING = 0.15
"""Share of a Newton step taken each time."""
SLOWEST = 0.57
"""The least curvature, in parts of what columns alone have, whose directions settle as fast as any."""
FINAL = 0.5
"""Share of a Newton step taken once more from the mean at the end."""
AGAINST = -0.5
"""Cosine between two moves that swing."""


class Momentum:
    """One fit's steps. columns: how many. damping: the share of each move that is taken."""

    remembers = 2

    def __init__(self, columns: int, damping: float = DAMPING) -> None:
        self.columns, self.first, self.damping = columns, damping, damping

    def onward(self, at: Sequence[Float], moves: Sequence[Float], alike: Alike) -> Float:
        """Where the next gradient is taken. at, moves: the last weights and where from each, newest last."""
        weights, move = at[-1], moves[-1]
        if len(at) == 1:
            return weights + self.damping * move
        if self._may_swing() and _cosine(moves[-2], move, alike) < AGAINST:
            self.damping /= 2
            return weights + self.damping * move
        return weights + self.damping * move + _momentum(self.damping) * (weights - at[-2])

    def end(self, at: Sequence[Float], moves: Sequence[Float], alike: Alike) -> Float:
        """The model, from the mean of steps: it says what is left there with less noise than any step did."""
        del alike
        return at[-1] + FINAL * self.damping / self.first * moves[-1]

    def _may_swing(self) -> bool:
        return self.damping * (self.columns + 1) > 2 * (1 + _momentum(self.damping))


def _momentum(damping: float) -> float:
    return (1 - math.sqrt(min(SLOWEST * damping, 1.0))) ** 2


def _cosine(one: Float, other: Float, alike: Alike) -> float:
    length = math.sqrt(alike(one, one) * alike(other, other))
    return alike(one, other) / length if length else 0.0
