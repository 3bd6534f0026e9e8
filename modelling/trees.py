"""Small trees over levels of columns, and the model they make on top of an additive one.

A tree asks of a column whether a person's level is among some levels. What it is grown on, `modelling.boosting` says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .design import Design, Float, Int, Mask
from .logistic import sigmoid
from .model import Model

SMALLEST = 1e-3
"""Probabilities below it, and above 1 less it, are bent towards 0 and 1 and never reach them."""


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Nodes in the order they were made, the root first.

    view: what a node asks for (`levels_of`), or -1 in a leaf. left: (nodes, levels), which levels go left. child: the
    left child, the right one follows it. value: of a leaf, added to a probability.
    """

    view: Int
    left: Mask
    child: Int
    value: Float

    @classmethod
    def leaf(cls, value: float, levels: int) -> Tree:
        """The same for everybody."""
        return cls(np.array([-1]), np.zeros((1, levels), dtype=np.bool_), np.array([0]), np.array([value]))

    def score(self, level: Int) -> Float:
        """level: (rows, views)."""
        node = np.zeros(len(level), dtype=np.int64)
        for at in np.flatnonzero(self.view >= 0):
            here = np.flatnonzero(node == at)
            node[here] = self.child[at] + ~self.left[at, level[here, self.view[at]]]
        return np.asarray(self.value[node])

    def as_json(self) -> dict[str, Any]:
        left = [np.flatnonzero(row).tolist() for row in self.left]
        return {"view": self.view.tolist(), "left": left, "child": self.child.tolist(), "value": self.value.tolist()}


@dataclass(frozen=True, slots=True, eq=False)
class Boosted:
    """Probability of a match: that of an additive model, and what every tree adds."""

    base: Model
    levels: int
    trees: tuple[Tree, ...]

    def score(self, design: Design) -> Float:
        """Log-odds of a match, one a row. Errors: DesignMismatch."""
        total, level = self.base.probability(design), levels_of(design)
        for tree in self.trees:
            total = total + tree.score(level)
        return log_odds(total)

    def probability(self, design: Design) -> Float:
        """Modelled probability of a match, one a row. Errors: DesignMismatch."""
        return sigmoid(self.score(design))

    def to_json(self) -> str:
        """Floats are written in full: what is read back gives identical scores."""
        trees = [tree.as_json() for tree in self.trees]
        body = {"version": 1, "base": json.loads(self.base.to_json()), "levels": self.levels, "trees": trees}
        return json.dumps(body, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Boosted:
        """What `to_json` wrote. Errors: ValueError, KeyError, IndexError or TypeError otherwise."""
        body = json.loads(text)
        if body["version"] != 1:
            raise ValueError("these are not trees of version 1")
        trees = tuple(_tree(tree, body["levels"]) for tree in body["trees"])
        return cls(Model.from_json(json.dumps(body["base"])), body["levels"], trees)


def _tree(body: dict[str, Any], levels: int) -> Tree:
    view, child = (np.array(body[name], dtype=np.int64) for name in ("view", "child"))
    value, left = np.array(body["value"], dtype=np.float64), np.zeros((len(view), levels), dtype=np.bool_)
    for node, chosen in enumerate(body["left"]):
        left[node, np.array(chosen, dtype=np.int64)] = True
    inner = np.flatnonzero(view >= 0)
    fits = view.shape == child.shape == value.shape and len(body["left"]) == len(view) > 0
    below = (child[inner] > inner).all() and (child[inner] < len(view) - 1).all()
    if not (fits and below and np.isfinite(value).all()):
        raise ValueError("nodes of a tree do not fit together")
    return Tree(view, left, child, value)


def log_odds(probability: Float) -> Float:
    """Of sums that may leave [0, 1], however far: bent at both ends, so that their order stays what it was."""
    low = np.minimum(probability, 1 - probability)
    log = np.log(np.maximum(low, SMALLEST)) + np.minimum(low / SMALLEST - 1, 0)
    z = log - np.log1p(-np.where(low < SMALLEST, np.exp(log), low))
    return np.asarray(np.where(probability > 0.5, -z, z))


def levels_of(design: Design) -> Int:
    """(rows, views): a view is a column's level; of a column of several levels a person, each level's 0 or 1."""
    views: list[Int] = []
    for block, code in zip(design.columns, design.codes, strict=True):
        if code.row is None:
            views.append(code.level.astype(np.int64))
            continue
        has = np.zeros((design.rows, len(block.levels)), dtype=np.int64)
        has[code.row, code.level] = 1
        views.extend(has.T)
    return np.stack(views, axis=1)


def widest(design: Design) -> int:
    """Levels of the column that has most; a level of a column of several levels a person has a 0 and a 1."""
    pairs = zip(design.columns, design.codes, strict=True)
    return max(2 if code.row is not None else len(block.levels) for block, code in pairs)


def ordered_views(design: Design, ordered: Sequence[bool]) -> Mask:
    """Which views have levels that stand in an order. ordered: which columns do."""
    pairs = zip(design.columns, design.codes, strict=True)
    many = [1 if code.row is None else len(block.levels) for block, code in pairs]
    return np.repeat(np.asarray(ordered, dtype=np.bool_), many)


def effects_of(design: Design, model: Model) -> list[Float]:
    """What each level of each view adds in an additive model: categories are put in this order before they are cut."""
    effects: list[Float] = []
    for code, column in zip(design.codes, model.columns, strict=True):
        effects += [column.values] if code.row is None else [np.array([0.0, value]) for value in column.values]
    return effects
