"""A model as a file that scores new people: the model and the encoder that its rows are made with, in one JSON object.

    {"version": 3, "encoder": {...}, "model": {...}, "doubt": {...}}

`features.Encoder.to_json`, `to_json` of `model.Model` or `trees.Boosted`, and `doubt.Filed` write the three; doubt
is null where scores have no intervals. Where `apart.Apart` writes it the version is 4. Version 2, which knew none, is
read. Floats of encoder and model are written in full, so that new people get, to the last bit, the scores that they
would have got in the room. Refused: other versions, unknown kinds, numbers that are not finite, and a model whose
levels are not the encoder's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from ..dp.noisy import Z95
from .apart import Apart
from .design import Float
from .doubt import Doubt, Filed
from .features import Encoder
from .logistic import sigmoid
from .model import Model
from .trees import Boosted

APART, VERSION, BEFORE = 4, 3, 2
MOST_LEVELS = 1_000
"""Levels of all columns together, above which a file holds no intervals: their tables grow with the square of it. Where
columns stand apart, of sets alone."""


class NotAModel(Exception):
    """A file that holds no model that can be read here."""


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """A model, the encoder of its rows, and how far its scores may be off, where that is known."""

    encoder: Encoder
    model: Model | Boosted
    doubt: Filed | Apart | None = None

    @classmethod
    def of(cls, encoder: Encoder, model: Model, doubt: Callable[[], Doubt]) -> Scorer:
        """With intervals, where their tables are small enough for a file. doubt: makes it, where it is wanted."""
        levels = sum(len(column.block.levels) for column in encoder.columns)
        return cls(encoder, model, Filed.of(doubt()) if levels <= MOST_LEVELS else None)

    @classmethod
    def of_apart(cls, encoder: Encoder, model: Model, doubt: Callable[[], Apart]) -> Scorer:
        """The same where columns are known one at a time."""
        levels = sum(len(column.block.levels) for column in encoder.columns if not column.block.partition)
        return cls(encoder, model, doubt().filed() if levels <= MOST_LEVELS else None)

    @property
    def additive(self) -> Model:
        """The model, or the one that trees stand on."""
        return self.model if isinstance(self.model, Model) else self.model.base

    def score(self, people: pa.Table) -> Float:
        """Log-odds, one a row. people: the columns of `Encoder.encode`. Errors: ColumnMismatch."""
        return self.model.score(self.encoder.encode(people))

    def probability(self, people: pa.Table) -> Float:
        return sigmoid(self.score(people))

    def interval(self, people: pa.Table) -> tuple[Float, Float] | None:
        """Ends of each person's 95 % interval, as probabilities; over people and draws they hold 95 %, not for each
        person. None where the file knows none. Errors: ColumnMismatch."""
        if self.doubt is None or not isinstance(self.model, Model):
            return None
        design = self.encoder.encode(people)
        z, wide = self.model.below(design), Z95 * self.doubt.deviation(design)
        low, high = (sigmoid(self.model.log_odds(end)) for end in (z - wide, z + wide))
        return low, high

    def to_json(self) -> str:
        parts: dict[str, object] = {"encoder": json.loads(self.encoder.to_json())}
        parts |= {"model": json.loads(self.model.to_json()), "doubt": self.doubt.to_json() if self.doubt else None}
        version = APART if isinstance(self.doubt, Apart) else VERSION
        return json.dumps({"version": version, **parts}, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Scorer:
        """What `to_json` wrote. Errors: NotAModel."""
        try:
            parsed = json.loads(text)
            if parsed["version"] not in (APART, VERSION, BEFORE):
                raise NotAModel
            encoder = Encoder.from_json(json.dumps(parsed["encoder"], allow_nan=False))
            kind = Boosted if "trees" in parsed["model"] else Model
            said = None if parsed["version"] == BEFORE else parsed["doubt"]
            blocks = [column.block for column in encoder.columns]
            of = Apart if parsed["version"] == APART else Filed
            doubt = None if said is None else of.from_json(said, encoder.digest, blocks)
            made = cls(encoder, kind.from_json(json.dumps(parsed["model"], allow_nan=False)), doubt)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError):
            raise NotAModel from None
        levels = [(column.kind.name, column.block.levels) for column in encoder.columns]
        found = [(column.name, column.levels) for column in made.additive.columns]
        if encoder.digest != made.additive.encoder or found != levels:
            raise NotAModel
        return made
