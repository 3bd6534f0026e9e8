"""A model as an ONNX graph, so that other systems score with it: same numbers, no Python.

One input a column, under the column's name: float64 (people, 1) for a number, NaN where it is missing; text (people, 1)
for a category or an ordinal, anything undeclared where it is missing; float64 (people, values) for a set, 1 where a
person has the value, in declared order, and NaN in a row that is missing. Two outputs, float64 (people, 1): `log_odds`
and `probability`.

A set of more values than a person may have counts the first in declared order, as `Encoder.encode` does. All arithmetic
is in float64. Needs the extra `onnx`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .features import Column, Number, Topics
from .model import Model
from .scorer import Scorer

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

OPSET, ML_OPSET, IR = 18, 3, 9
"""Old enough for runtimes of some years ago."""
LOG_ODDS, PROBABILITY = "log_odds", "probability"


class OnnxMissing(Exception):
    """The extra `onnx` is not installed."""


class NotAdditive(Exception):
    """Trees are not written as ONNX."""


class NameTaken(Exception):
    """A column is called like an output."""


def graph(scorer: Scorer) -> ModelProto:
    """Errors: OnnxMissing, NotAdditive, NameTaken."""
    model = scorer.model
    if not isinstance(model, Model):
        raise NotAdditive
    try:
        from onnx import checker, helper
    except ImportError:
        raise OnnxMissing from None
    if {column.kind.name for column in scorer.encoder.columns} & {LOG_ODDS, PROBABILITY}:
        raise NameTaken
    parts = _Parts()
    added = [
        parts.column(column, effects.values)
        for column, effects in zip(scorer.encoder.columns, model.columns, strict=True)
    ]
    parts.ends(added, model.intercept, model.ceiling)
    outputs = [helper.make_tensor_value_info(name, _double(), [None, 1]) for name in (LOG_ODDS, PROBABILITY)]
    body = helper.make_graph(parts.nodes, "passbox", parts.inputs, outputs, parts.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    made = helper.make_model(body, opset_imports=opsets, producer_name="passbox", ir_version=IR)
    checker.check_model(made)
    return made


def _double() -> int:
    from onnx import TensorProto

    return int(TensorProto.DOUBLE)


class _Parts:
    """Nodes, inputs and constants, as they are added. Every method gives the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.constants: list[TensorProto] = []

    def column(self, column: Column, effects: Sequence[float] | np.ndarray[Any, Any]) -> str:
        """What a column adds to log-odds, (people, 1)."""
        values = np.asarray(effects, dtype=np.float64)
        if isinstance(column.kind, Number):
            return self._number(column, values)
        if isinstance(column.kind, Topics):
            return self._set(column.kind, column.block.at_most, values)
        return self._choice(column.kind.name, column.kind.values, values)

    def _number(self, column: Column, effects: np.ndarray[Any, Any]) -> str:
        """The bin is how many edges lie at or below the value, which is clipped to its bounds first."""
        from onnx import TensorProto

        kind = column.kind
        assert isinstance(kind, Number)  # noqa: S101 - said again for the type checker
        value = self._input(kind.name, _double(), 1)
        if not len(column.edges):
            place = self._node("Cast", self._node("IsNaN", value), to=TensorProto.INT64)
            return self._node("Gather", self._constant(effects), place, axis=0)
        ends = (self._constant(np.array(end, dtype=np.float64)) for end in (kind.low, kind.high))
        clipped = self._node("Clip", value, *ends)
        above = self._node("GreaterOrEqual", clipped, self._constant(column.edges.reshape(1, -1)))
        counted = self._node("Cast", above, to=TensorProto.INT64)
        level = self._node("ReduceSum", counted, self._constant(np.array([1], dtype=np.int64)), keepdims=1)
        missing = self._constant(np.array([[len(effects) - 1]], dtype=np.int64))
        place = self._node("Where", self._node("IsNaN", value), missing, level)
        return self._node("Gather", self._constant(effects), place, axis=0)

    def _choice(self, name: str, values: tuple[str, ...], effects: np.ndarray[Any, Any]) -> str:
        from onnx import TensorProto

        text = self._input(name, TensorProto.STRING, 1)
        place = self._node(
            "LabelEncoder",
            text,
            domain="ai.onnx.ml",
            keys_strings=list(values),
            values_int64s=list(range(len(values))),
            default_int64=len(values),
        )
        return self._node("Gather", self._constant(effects), place, axis=0)

    def _set(self, kind: Topics, at_most: int, effects: np.ndarray[Any, Any]) -> str:
        """Values beyond `at_most`, by a running count in declared order, count for nothing."""
        from onnx import TensorProto

        has = self._input(kind.name, _double(), len(kind.values))
        missing = self._node("IsNaN", has)
        zero, half = (self._constant(np.array(number, dtype=np.float64)) for number in (0.0, 0.5))
        held = self._node("Cast", self._node("Greater", self._node("Where", missing, zero, has), half), to=_double())
        order = self._node("CumSum", held, self._constant(np.array(1, dtype=np.int64)))
        most = self._constant(np.array(at_most + 0.5, dtype=np.float64))
        kept = self._node("Mul", held, self._node("Cast", self._node("Less", order, most), to=_double()))
        added = self._node("MatMul", kept, self._constant(effects[:-1].reshape(-1, 1)))
        axis = self._constant(np.array([1], dtype=np.int64))
        gaps = self._node("ReduceSum", self._node("Cast", missing, to=TensorProto.INT64), axis, keepdims=1)
        without = self._node("Greater", gaps, self._constant(np.array(0, dtype=np.int64)))
        return self._node("Where", without, self._constant(effects[-1:].reshape(1, 1)), added)

    def ends(self, added: Sequence[str], intercept: float, ceiling: float) -> None:
        """`Model.score` and the probability of it."""
        total = self._constant(np.array([[intercept]], dtype=np.float64))
        for each in added:
            total = self._node("Add", total, each)
        if ceiling < 1:
            total = self._below(total, ceiling)
        self._node("Identity", total, name=LOG_ODDS)
        self._node("Sigmoid", total, name=PROBABILITY)

    def _below(self, z: str, ceiling: float) -> str:
        """log(c) - log((1 - c) + exp(-z)), without overflow."""
        first = self._constant(np.array(math.log1p(-ceiling), dtype=np.float64))
        second = self._node("Neg", z)
        larger = self._node("Max", first, second)
        apart = self._node("Neg", self._node("Abs", self._node("Sub", first, second)))
        one = self._constant(np.array(1.0, dtype=np.float64))
        rest = self._node("Log", self._node("Add", one, self._node("Exp", apart)))
        whole = self._node("Add", larger, rest)
        return self._node("Sub", self._constant(np.array(math.log(ceiling), dtype=np.float64)), whole)

    def _input(self, name: str, kind: int, width: int) -> str:
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, kind, [None, width]))
        return name

    def _constant(self, values: np.ndarray[Any, Any]) -> str:
        from onnx import numpy_helper

        name = f"/constant/{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def _node(self, operation: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = name or f"/node/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [output], **attributes))
        return output
