"""A model as a file that scores new people: the model and the encoder that its rows are made with, in one JSON object.

    {"version": 2, "encoder": {...}, "model": {...}}

`features.Encoder.to_json` and `to_json` of `lookalike.Model` or `trees.Boosted` write the two. Floats are written in
full, so that new people get, to the last bit, the scores that they would have got in the room. Refused: other versions,
unknown kinds, numbers that are not finite, and a model whose levels are not the encoder's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa

from .design import Float
from .features import Encoder
from .lookalike import Model, sigmoid
from .trees import Boosted

VERSION = 2


class NotAModel(Exception):
    """A file that holds no model that can be read here."""


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """A model and the encoder of its rows."""

    encoder: Encoder
    model: Model | Boosted

    @property
    def additive(self) -> Model:
        """The model, or the one that trees stand on."""
        return self.model if isinstance(self.model, Model) else self.model.base

    def score(self, people: pa.Table) -> Float:
        """Log-odds, one a row. people: the columns of `Encoder.encode`. Errors: ColumnMismatch."""
        return self.model.score(self.encoder.encode(people))

    def probability(self, people: pa.Table) -> Float:
        return sigmoid(self.score(people))

    def to_json(self) -> str:
        parts = {"encoder": json.loads(self.encoder.to_json()), "model": json.loads(self.model.to_json())}
        return json.dumps({"version": VERSION, **parts}, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Scorer:
        """What `to_json` wrote. Errors: NotAModel."""
        try:
            parsed = json.loads(text)
            if parsed["version"] != VERSION:
                raise NotAModel
            encoder = Encoder.from_json(json.dumps(parsed["encoder"], allow_nan=False))
            kind = Boosted if "trees" in parsed["model"] else Model
            made = cls(encoder, kind.from_json(json.dumps(parsed["model"], allow_nan=False)))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError):
            raise NotAModel from None
        levels = [(column.kind.name, column.block.levels) for column in encoder.columns]
        found = [(column.name, column.levels) for column in made.additive.columns]
        if encoder.digest != made.additive.encoder or found != levels:
            raise NotAModel
        return made
