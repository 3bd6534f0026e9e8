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
from .design import ONE, Block, Design, Float, Int, Mask, co_occurrence, largest_norm_squared, verify
from .effects import COVERS, SIZES, Known, beliefs_of
from .features import Encoder, Kind
from .lookalike import Problem, SeedGLM, Solution, used_cells
from .prior import LARGEST_T, SMALLEST_T

LENGTH = 0.5
"""How long a considered block's row is beside a used one's."""
SURE = 0.05
"""Of releases in which no considered block adds anything, how many say of some that it does."""
ROUNDS, INNER = 3, 8
"""Steps towards a considered block's weights, and of finding how large they are at each."""
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


def lengths(used: int, considered: int) -> tuple[float, float]:
    """How long the used part of a row is, and the considered one, for so many blocks of each: squares add up to 1."""
    own = used / (used + LENGTH**2 * considered)
    return math.sqrt(own), math.sqrt(1 - own)


def considered_of(table: pa.Table, columns: Sequence[Kind], crosses: Sequence[Cross], length: float) -> Design:
    """Everybody's considered blocks, columns first. length: of their part of a row. Errors: ColumnMismatch."""
    share = length / math.sqrt(len(columns) + len(crosses))
    blocks, codes = crossed(table, crosses, share * math.sqrt(len(crosses)))
    if columns:
        plain = Encoder.from_owner(table, columns, share * math.sqrt(len(columns))).encode(table)
        blocks, codes = [*plain.columns, *blocks], [*plain.codes, *codes]
    return Design(table.num_rows, tuple(blocks), tuple(codes), "")


def summed(used: Design, considered: Design, matched: Mask) -> Statistic:
    """The exact sums of used and considered cells over the matched rows, and last the count.

    Errors: SensitivityExceeded where a row of both could be longer than the two lists above allow.
    """
    verify([*used.columns, *considered.columns])
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
        refined = problem.anew(solution)
        own = zip(problem.design.columns, problem.known(solution), spread.left(), strict=True)
        found = [_adds(column, known, left, SURE / len(problem.design.columns)) for column, known, left in own]
        used = [replace(each, used=True) for each in found]
        beside = ((one, _beside(problem, refined, one, part)) for one, part in zip(blocks, parts, strict=True))
        others = [_adds(one.columns[0], known, spread.left_of(one), SURE / len(blocks)) for one, known in beside]
    return tuple(sorted([*used, *others], key=lambda each: (not each.told and not each.used, -each.adds.estimate)))


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
        ridge = RIDGE * max(float(np.trace(covariance)) / len(covariance), 1e-300)
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
        (block,), (codes,), mean = one.columns, one.codes, one.project(everyone) / rows
        pairs = zip(self.design.columns, self.design.codes, strict=True)
        levels = len(block.table)
        across = [a.real.T @ co_occurrence(code, codes, everyone, (len(a.table), levels)) for a, code in pairs]
        both = np.vstack(across) @ block.real / rows - np.outer(self.design.project(everyone) / rows, mean)
        own = one.curvature(everyone) / rows - np.outer(mean, mean)
        return np.asarray(own - both.T @ self.inverse @ both)


# -- what the sums say of a block ------------------------------------------------------------------------------------


def _beside(problem: Problem, solution: Solution, one: Design, sums: Float) -> Known:
    """What the sums say of a considered block's weights, with those of the used columns left open.

    Steps start at the model as it was fitted, where the block adds nothing.
    """
    used, telling, own = problem.design, used_cells(one), len(problem.used)
    both = replace(
        problem,
        design=Design(used.rows, (*used.columns, *one.columns), (*used.codes, *one.codes), ""),
        used=np.concatenate([problem.used, used.cells + telling]),
        column=np.concatenate([problem.column, np.full(len(telling), len(used.columns))]),
        sums=np.concatenate([problem.sums, sums[telling]]),
    )
    weights, variance = np.concatenate([solution.weights, np.zeros(len(telling))]), _length(one.columns[0]) ** -2
    for _ in range(ROUNDS):
        view = both.view(weights)
        pull = view.pull + view.precision @ weights
        across = view.precision[:own, own:]
        solved = np.linalg.solve(view.precision[:own, :own] + solution.prior, np.column_stack([across, pull[:own]]))
        known = Known(view.precision[own:, own:] - across.T @ solved[:, :-1], pull[own:] - across.T @ solved[:, -1])
        mine, variance = _sized(known, variance, one.columns[0])
        weights = np.concatenate([solved[:, -1] - solved[:, :-1] @ mine, mine])
    return _whole(known, telling, one.cells)


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


def _adds(block: Block, known: Known, left: Float, rate: float) -> Adds:
    """left: covariance of the block's cells that others leave over. rate: of false alarms."""
    values, axes = np.linalg.eigh((left + left.T) / 2)
    kept = values > LEAST * _length(block) ** 2
    if not kept.any():
        return Adds(block.name, False, Estimate(0.0, 0.0, 0.0, COVERS), told=False, already_said=True)
    open_ = _open(known, axes[:, kept], axes[:, ~kept], (_length(block) / SIZES[-1]) ** 2)
    least, middle, most = beliefs_of(block, open_).root(np.diag(values[kept]))
    told = chance_above(float(open_.pull @ open_.pull), np.maximum(np.linalg.eigvalsh(open_.precision), 0)) < rate
    return Adds(block.name, False, Estimate(middle, least if told else 0.0, most, COVERS), told)


def _open(known: Known, kept: Float, others: Float, least: float) -> Known:
    """What is known along some directions, with weights along the others left open. least: precision they have."""
    inner = kept.T @ known.precision @ kept
    across, beyond = kept.T @ known.precision @ others, others.T @ known.precision @ others
    values, axes = np.linalg.eigh((beyond + beyond.T) / 2)
    through = across @ (axes / (np.maximum(values, 0.0) + least)) @ axes.T
    precision = inner - through @ across.T
    return Known((precision + precision.T) / 2, kept.T @ known.pull - through @ (others.T @ known.pull))


def _length(block: Block) -> float:
    """Of its longest row."""
    return float(max(math.sqrt(largest_norm_squared(block)) / ONE, 1e-6))
