"""What declared columns that a model does not use would add to it, and pairs of its columns: from the same noisy sums.

Columns to consider are blocks of the same row as the used ones, in the same noisy sum: each takes its share of a row's
length, half as long as a used one. The model is fitted to the used cells alone; what a considered block would add
follows from all of them, so it is post-processing, like the model.

Each block is held beside the used columns alone, as if no other were considered: two that say the same both rank high.
How much it adds is the standard deviation over people, in log-odds, of the part of its effects that the used columns
cannot express: what any sum of theirs could follow is taken out, over the people as they are, so that a column that
they already say adds nothing however strong it is. The same figure is given of every used column, beside the other used
ones, to compare with. The estimate is the middle of what is believed of it, as in `effects`; an interval holds noise,
and which people happened to be there.

Whether it may be nothing says a score test for a variance (Lin 1997): with the used columns' weights left open, the
block's pull is scattered as its precision says if it adds nothing. `SURE` is the rate of false alarms of all considered
blocks of a release together; where the test leaves it open, the interval begins at 0.

The code ensures: nothing here sees a label; all follows from noisy sums, their noise's scale and the owner's rows.
The caller ensures: one row of all blocks, used and considered, is at most 1 long (`summed` checks it in integers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from ..dp.aggregate import Statistic
from ..dp.noisy import Estimate
from .chi_squares import chance_above
from .crosses import Cross, crossed
from .design import ONE, Block, Design, Float, Int, Mask, across, largest_norm_squared, used_cells, verify
from .effects import COVERS, SIZES, Beliefs, Known, Seen
from .features import Encoder, Kind
from .lookalike import SeedGLM
from .prior import LARGEST_T, SMALLEST_T
from .problem import Problem, Solution
from .strategy import Rows
from .view import seen

SURE = 0.05
"""Of releases in which no considered block adds anything, how many say of some that it does."""
ROUNDS, INNER = 3, 8
"""Steps towards a considered block's weights, and of finding how large they are at each."""
UNLIKELY = 0.2
"""A block whose pull is no rarer than that adds nothing or little, and the first step says what there is to say."""
RIDGE, LEAST = 1e-9, 1e-6
"""Where other columns leave over so small a part of a row's squared length, they say all of it."""


@dataclass(frozen=True, slots=True)
class Adds:
    """What a block adds to a model's scores that its other columns do not say.

    adds: standard deviation over people, log-odds. told: whether it can be told from nothing. already_said: the other
    columns say all of it, whatever the labels are. used: whether the model has it.
    """

    name: str
    used: bool
    adds: Estimate
    told: bool
    already_said: bool = False


def considered_of(table: pa.Table, columns: Sequence[Kind], crosses: Sequence[Cross], length: float) -> Design:
    """Everybody's considered blocks, columns first. length: of their part of a row. Errors: ColumnMismatch."""
    share = length / math.sqrt(len(columns) + len(crosses))
    blocks, codes = crossed(table, crosses, share * math.sqrt(len(crosses)))
    if columns:
        plain = Encoder.from_owner(table, columns, share * math.sqrt(len(columns))).encode(table)
        blocks, codes = [*plain.columns, *blocks], [*plain.codes, *codes]
    return Design(table.num_rows, tuple(blocks), tuple(codes), "")


def reach_beside(considered: Design) -> int:
    """How long, in lattice units, the used part of a row may be."""
    return math.isqrt(max(ONE**2 - sum(largest_norm_squared(block) for block in considered.columns), 0))


def summed(used: Rows, considered: Design, matched: Mask) -> Statistic:
    """The exact sums of used and considered cells over the matched rows, and last the count.

    Errors: SensitivityExceeded where a row of both could be longer than the two lists above allow.
    """
    if isinstance(used, Design):
        verify([*used.columns, *considered.columns])
    else:
        verify(considered.columns, used.reach**2)
    own, others = used.moments(matched), considered.moments(matched)
    values = np.concatenate([own.values[:-1], others.values[:-1], own.values[-1:]])
    return Statistic(values, own.bits, own.l2_squared)


def ranked(learner: SeedGLM, considered: Design, sums: Float) -> tuple[Adds, ...]:
    """Considered blocks and used columns, those that add most first; those that may add nothing after the others.

    learner: just fitted. considered: of the same people. sums: noisy, of the considered cells, in units of a row.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        problem, solution = learner.solved
        spread, blocks = _Spread.of(problem.design), _apart(considered)
        parts = np.split(sums, np.cumsum([block.cells for block in blocks])[:-1])
        fit = _Fit.at(problem, problem.anew(solution))
        own = [_Left.of(*each) for each in zip(problem.design.columns, spread.left(), strict=True)]
        left = [_Left.of(one.columns[0], spread.left_of(one)) for one in blocks]
        each = zip(own, problem.known(solution), strict=True)
        found = [_adds(mine, mine.of_known(known), True, SURE / len(own)) for mine, known in each]
        beside = zip(left, blocks, parts, strict=True)
        found += [_adds(mine, _beside(fit, one, part, mine), False, SURE / len(blocks)) for mine, one, part in beside]
    return tuple(sorted(found, key=lambda each: (not each.told and not each.used, -each.adds.estimate)))


def _apart(design: Design) -> list[Design]:
    """The same people with one block each."""
    pairs = zip(design.columns, design.codes, strict=True)
    return [Design(design.rows, (block,), (codes,), design.digest) for block, codes in pairs]


# -- how much of a block other columns can say -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    """How the cells of the used columns go together over people. inverse: of their covariance, hardly more than that.

    ridge: what was added to it first, for cells that add up to a constant.
    """

    design: Design
    inverse: Float
    ridge: float

    @classmethod
    def of(cls, design: Design) -> _Spread:
        everyone, rows = np.ones(design.rows), max(1, design.rows)
        mean = design.project(everyone) / rows
        covariance = design.curvature(everyone) / rows - np.outer(mean, mean)
        ridge = RIDGE * max(float(np.trace(covariance)) / len(covariance), LEAST)
        inverse = np.asarray(np.linalg.inv(covariance + ridge * np.eye(len(covariance))), dtype=np.float64)
        return cls(design, inverse, ridge)

    def left(self) -> list[Float]:
        """Of each used column, the covariance of its cells once the other columns have said of it what they can."""
        ends = np.cumsum([0, *(block.cells for block in self.design.columns)])
        own = [slice(a, b) for a, b in pairwise(ends.tolist())]
        return [np.linalg.inv(self.inverse[each, each]) - self.ridge * np.eye(each.stop - each.start) for each in own]

    def left_of(self, one: Design) -> Float:
        """The same of a considered block."""
        everyone, rows = np.ones(one.rows), max(1, one.rows)
        mean = one.project(everyone) / rows
        both = across(self.design, one, everyone) / rows - np.outer(self.design.project(everyone) / rows, mean)
        own = one.curvature(everyone) / rows - np.outer(mean, mean)
        return np.asarray(own - both.T @ self.inverse @ both)


# -- what the sums say of a block ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """The model as it was fitted: where steps towards a considered block's weights start.

    expected, scattered, moving: `Problem.people` there. spread, slope: `Problem.moved`.
    """

    problem: Problem
    solution: Solution
    expected: Float
    scattered: Float
    moving: Float
    spread: Float
    slope: Float

    @classmethod
    def at(cls, problem: Problem, solution: Solution, more: Float | None = None) -> _Fit:
        """more: what is added to each person's score."""
        scores = problem.design.scores(problem.levels(solution.weights))
        people = problem.people(scores if more is None else scores + more)
        return cls(problem, solution, *people, *problem.moved(*people[1:]))


def _beside(fit: _Fit, one: Design, sums: Float, left: _Left) -> Known:
    """What the sums say of a considered block's weights where others leave it some, with all other weights open.

    At the model as it was fitted the block adds nothing; where it may well add something, further steps follow.
    """
    telling, block = used_cells(one), one.columns[0]
    mine, variance, found = np.zeros(len(telling)), _length(block) ** -2, Known(np.zeros((0, 0)), np.zeros(0))
    for step in range(ROUNDS):
        precision, pull = _joint(fit, one, telling, sums[telling], mine)
        own = len(fit.solution.weights)
        beside = precision[:own, own:]
        solved = np.linalg.solve(precision[:own, :own] + fit.solution.prior, np.column_stack([beside, pull[:own]]))
        known = Known(precision[own:, own:] - beside.T @ solved[:, :-1], pull[own:] - beside.T @ solved[:, -1])
        found = left.of_known(_whole(known, telling, one.cells))
        if step == 0 and _chance(found) > UNLIKELY:
            break
        mine, variance = _sized(known, variance, block)
        moved = replace(fit.solution, weights=solved[:, -1] - solved[:, :-1] @ mine)
        more = np.zeros(one.cells)
        more[telling] = mine
        fit = _Fit.at(fit.problem, moved, one.scores([block.real @ more]))
    return found


def _joint(fit: _Fit, one: Design, telling: Int, sums: Float, mine: Float) -> tuple[Float, Float]:
    """Precision and pull of the used weights and a block's own, around where they are.

    The used sums move with a block's weights as they go together with its rows; a block's sums move with the used
    weights as its rows go together with the used columns' rows.
    """
    problem, scattered, moving = fit.problem, fit.scattered, fit.moving
    beside, moved = (problem.across(one, weights)[:, telling] for weights in (scattered, moving))
    back = _about(across(problem.design, one, moving), problem.design, one, moving)[np.ix_(problem.used, telling)]
    inner, steep = (
        _about(one.curvature(each), one, one, each)[np.ix_(telling, telling)] for each in (scattered, moving)
    )
    spread = np.block([[fit.spread, beside], [beside.T, inner]])
    slope = np.block([[fit.slope, moved], [back.T, steep]])
    residual = np.concatenate([problem.sums - problem.total(fit.expected), sums - one.project(fit.expected)[telling]])
    view = seen(spread, slope, residual, problem.sigma)
    return view.precision, view.pull + view.precision @ np.concatenate([fit.solution.weights, mine])


def _about(sums: Float, first: Design, second: Design, weights: Float) -> Float:
    """Sums of weight x row x other row^T about the weighted means of both."""
    return np.asarray(sums - np.outer(first.project(weights), second.project(weights)) / max(weights.sum(), 1e-300))


def _sized(known: Known, variance: float, block: Block) -> tuple[Float, float]:
    """The likeliest weights, and how large they are, squared."""
    least, most = (end / _length(block) for end in (SMALLEST_T, LARGEST_T))
    for _ in range(INNER):
        spread = np.linalg.inv(known.precision + np.eye(len(known.pull)) / variance)
        weights = spread @ known.pull
        second = float(weights @ weights + np.trace(spread)) / max(len(weights) - 2, 1)
        variance = min(max(second, least**2), most**2)
    return np.asarray(weights, dtype=np.float64), variance


def _whole(known: Known, telling: Int, cells: int) -> Known:
    """Over all cells of a block, those that tell nobody from others too."""
    precision, pull = np.zeros((cells, cells)), np.zeros(cells)
    precision[np.ix_(telling, telling)], pull[telling] = known.precision, known.pull
    return Known(precision, pull)


@dataclass(frozen=True, slots=True, eq=False)
class _Left:
    """Directions of a block's weights in which other columns leave it something to say.

    variance: how much, of each. axes: those directions, cells x directions. others: the other directions.
    """

    block: Block
    variance: Float
    axes: Float
    others: Float

    @classmethod
    def of(cls, block: Block, covariance: Float) -> _Left:
        """covariance: of the block's cells, once other columns have said of them what they can."""
        values, axes = np.linalg.eigh((covariance + covariance.T) / 2)
        kept = values > LEAST * _length(block) ** 2
        return cls(block, values[kept], axes[:, kept], axes[:, ~kept])

    def of_known(self, known: Known) -> Known:
        """What is known along them, with weights along the others left open, as far as effects can be large."""
        inner = self.axes.T @ known.precision @ self.axes
        beside, beyond = self.axes.T @ known.precision @ self.others, self.others.T @ known.precision @ self.others
        values, axes = np.linalg.eigh((beyond + beyond.T) / 2)
        least = (_length(self.block) / SIZES[-1]) ** 2
        through = beside @ (axes / (np.maximum(values, 0.0) + least)) @ axes.T
        precision = inner - through @ beside.T
        return Known((precision + precision.T) / 2, self.axes.T @ known.pull - through @ (self.others.T @ known.pull))


def _adds(left: _Left, known: Known, used: bool, rate: float) -> Adds:
    """known: in the directions of `left`. rate: of false alarms."""
    name = left.block.name
    if not len(left.variance):
        return Adds(name, used, Estimate(0.0, 0.0, 0.0, COVERS), told=False, already_said=True)
    least, middle, most = Beliefs.of(Seen.of(left.block, known)).root(np.diag(left.variance))
    told = _chance(known) < rate
    return Adds(name, used, Estimate(middle, least if told else 0.0, most, COVERS), told)


def _chance(known: Known) -> float:
    """Of a pull as strong as this one, were the weights 0."""
    if not len(known.pull):
        return 1.0
    scattered = np.linalg.eigvalsh((known.precision + known.precision.T) / 2)
    return chance_above(float(known.pull @ known.pull), np.maximum(scattered, 0))


def _length(block: Block) -> float:
    """Of its longest row."""
    return float(max(math.sqrt(largest_norm_squared(block)) / ONE, 1e-6))
