"""Attributes that only some people's records have, completed for the rest from what is known of everybody.

The reader owns people with known attributes (ABCD). Another party knows further attributes (E to H) of some of them.
From one noisy release for all wanted attributes the reader gets, for each of its people, P(G = g) and P(H = h), a
confidence, and an honest "not known".

**Threat model `membership`.** Secret: whom the other party knows, and what it knows of them, all attributes together.
Known to the reader: its people and their features. Neighbours: one record of the other party replaced by a dummy that
matches nobody. For each value of each wanted attribute, `moments` is the sum of rows over the matched people who have
that value. A record has one value of each attribute, so it moves one part of `moments` for each: with k attributes by
at most sqrt(k (1 + .3^2)) (L2). **The factor for k attributes is sqrt(k) in noise, whatever number of values they
have.** Everything else is post-processing.

The code ensures: one call of `draw` for all attributes; exact integers; a person without a value of an attribute adds
nothing to it; no more than one value an attribute and person, by the type of `Known`.
The caller ensures: matching moves one row for one record; values are declared; the reader owns the features.

**The model.** For each value a membership model (`SeedGLM`) of "is known to have it", and P(value | known) is its
share of their sum: who is known, and who is not, cancels. A person's probabilities are shrunk to what is known of
everybody (the parent) by the posterior's spread, which is wide for people of whom little is known. Where even the
likeliest value's probability, taken at the lower end of its spread, is below `confident`, the answer is an abstention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dp.aggregate import Statistic
from ..dp.noisy import Noisy
from .design import BITS, MOMENTS_L2_SQUARED, Design, Float, Int, Mask
from .draw import Draw
from .lookalike import DesignMismatch, SeedGLM, sigmoid

CONFIDENT = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What the other party knows of an attribute. value: (rows,) int64, a position in `values`, -1 where unknown."""

    name: str
    values: tuple[str, ...]
    value: Int

    def __post_init__(self) -> None:
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise ValueError("an attribute needs two values or more, each once")
        if self.value.dtype != np.int64 or self.value.ndim != 1:
            raise TypeError("one int64 a person is needed")
        if self.value.size and not (int(self.value.min()) >= -1 and int(self.value.max()) < len(self.values)):
            raise ValueError("a value was not declared")


@dataclass(frozen=True, slots=True, eq=False)
class Completed:
    """An attribute of everybody. probability: (rows, values). confidence: (rows,), how sure the likeliest value is, at
    the lower end of its spread. answered: (rows,) bool. parent: (values,), the shares among those who are known."""

    name: str
    values: tuple[str, ...]
    probability: Float
    confidence: Float
    answered: Mask
    parent: Float

    @property
    def likeliest(self) -> Int:
        """Position of the likeliest value, -1 for an abstention."""
        return np.where(self.answered, np.argmax(self.probability, axis=1), -1).astype(np.int64)


def l2_squared(attributes: int) -> int:
    """The most one record moves `moments` (L2, squared, lattice units)."""
    return int(attributes * MOMENTS_L2_SQUARED)


def cells(design_cells: int, values: Sequence[int]) -> int:
    """Cells of `moments` for attributes of so many values."""
    return (design_cells + 1) * sum(values)


def moments(design: Design, known: Sequence[Known]) -> Statistic:
    """For each value of each attribute in order, `Design.moments` of the people who are known to have it."""
    if not known or len({attribute.name for attribute in known}) < len(known):
        raise ValueError("attributes must be named, each once")
    parts = [design.moments(attribute.value == v) for attribute in known for v in range(len(attribute.values))]
    return Statistic(np.concatenate([part.values for part in parts]), BITS, l2_squared(len(known)))


class Completion:
    """The learner. confident: abstain where the likeliest value's lower end is below it."""

    def __init__(self, confident: float = CONFIDENT) -> None:
        self.confident = confident

    def complete_drawn(self, people: Design, known: Sequence[Known], draw: Draw) -> list[Completed]:
        """Every attribute of everybody in `people`, for one call of `draw`."""
        shapes = [(attribute.name, attribute.values) for attribute in known]
        return self.complete(people, people, draw(moments(people, known)), shapes)

    def complete(
        self, trained: Design, people: Design, noisy: Noisy, shapes: Sequence[tuple[str, tuple[str, ...]]]
    ) -> list[Completed]:
        """The same from paid moments of `trained`, for other people of the same encoder too.

        Errors: DesignMismatch where they do not fit the shapes.
        """
        width = trained.cells + 1
        if noisy.values.shape != (width * sum(len(values) for _, values in shapes),):
            raise DesignMismatch(noisy.values.size, width * sum(len(values) for _, values in shapes))
        parts = iter(noisy.values.reshape(-1, width))
        found = []
        for name, values in shapes:
            each = [Noisy(next(parts), noisy.scale, noisy.bits, noisy.receipt) for _ in values]
            found.append(self._one(trained, people, name, values, each))
        return found

    def _one(
        self, trained: Design, people: Design, name: str, values: tuple[str, ...], noisy: Sequence[Noisy]
    ) -> Completed:
        scores, spreads, matches = [], [], []
        for part in noisy:
            learner = SeedGLM(ceilings=())
            model = learner.fit_noisy(trained, part)
            scores.append(np.log(np.maximum(model.probability(people), 1e-12)))
            spreads.append(learner.doubt().deviation(people))
            matches.append(float(model.probability(trained).mean()))
        parent = np.array(matches) / sum(matches)
        score, spread = np.stack(scores, axis=1), np.stack(spreads, axis=1)
        probability = _shrunk(score, spread, parent)
        likeliest = np.argmax(probability, axis=1)
        confidence = _lower_end(probability, spread, likeliest)
        return Completed(name, values, probability, confidence, confidence >= self.confident, parent)


def _shrunk(score: Float, spread: Float, parent: Float) -> Float:
    """Shares of the sum, their log distance from the parent's divided by sqrt(1 + pi spread^2 / 8) (MacKay 1992)."""
    apart = score - np.log(parent)
    shared = apart - apart.mean(axis=1, keepdims=True)
    moved = np.log(parent) + shared / np.sqrt(1 + np.pi / 8 * (spread**2))
    moved -= moved.max(axis=1, keepdims=True)
    weights = np.exp(moved)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _lower_end(probability: Float, spread: Float, likeliest: Int) -> Float:
    """The likeliest value's probability, one standard deviation of its log-odds lower."""
    row = np.arange(len(probability))
    p = np.clip(probability[row, likeliest], 1e-9, 1 - 1e-9)
    return sigmoid(np.log(p / (1 - p)) - spread[row, likeliest])


@dataclass(frozen=True, slots=True)
class Stratum:
    """How good a completion is for the people with so many known attributes, on people whose truth is no secret.

    answered: share. accuracy: of the answers. parent: accuracy of always saying the parent's likeliest value to the
    same people. log_loss: of everybody's probabilities.
    """

    known: int
    people: int
    answered: float
    accuracy: float | None
    parent: float | None
    log_loss: float


def by_known(completed: Completed, truth: Int, known: Int) -> list[Stratum]:
    """Quality by number of known attributes, a row for each number that occurs; for generated or own truth only.

    truth: positions of the true values. known: how many attributes each person has.
    """
    found = []
    for number in np.unique(known):
        who = known == number
        answered = who & completed.answered
        said = completed.likeliest[answered] == truth[answered]
        usual = int(np.argmax(completed.parent)) == truth[answered]
        loss = -np.log(np.maximum(completed.probability[who, truth[who]], 1e-12))
        hit = float(said.mean()) if answered.any() else None
        base = float(usual.mean()) if answered.any() else None
        share = float(answered.sum() / who.sum())
        found.append(Stratum(int(number), int(who.sum()), share, hit, base, float(loss.mean())))
    return found
