"""An additive model: what each level of each column adds to the log-odds of a match, as numbers and as a text.

The text is one JSON object with sorted keys:

    {"ceiling": 0.3, "columns": [{"levels": ["north", "south", "(missing)"], "name": "region", "values": [...]}],
     "encoder": digest of the encoder, "intercept": -2.1, "version": 1}

Floats are written in full. Refused are another version, a column with more or fewer values than levels, a value or an
intercept that is not finite, and a ceiling that is not above 0 and at most 1.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from .design import Design, DesignMismatch, Float
from .logistic import sigmoid


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What each level of a column adds to z; values: float64, one a level."""

    name: str
    levels: tuple[str, ...]
    values: Float


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Probability of a match, ceiling / (1 + exp(-z)), where z is an intercept and an effect for each level one has.

    encoder: digest of the encoder whose designs this model scores. ceiling: in (0, 1].
    """

    encoder: str
    ceiling: float
    intercept: float
    columns: tuple[Effects, ...]

    def score(self, design: Design) -> Float:
        """Log-odds of a match, one a row. Errors: DesignMismatch."""
        return self.log_odds(self.below(design))

    def below(self, design: Design) -> Float:
        """z, the log-odds below the ceiling, one a row. Errors: DesignMismatch."""
        if design.digest != self.encoder:
            raise DesignMismatch(design.digest, self.encoder)
        return np.asarray(self.intercept + design.scores([column.values for column in self.columns]))

    def log_odds(self, z: Float) -> Float:
        """Of a match, from z."""
        if self.ceiling == 1:
            return z
        return np.asarray(math.log(self.ceiling) - np.logaddexp(math.log1p(-self.ceiling), -z))

    def probability(self, design: Design) -> Float:
        """Modelled probability of a match, one a row. Errors: DesignMismatch."""
        return sigmoid(self.score(design))

    def effects(self) -> dict[str, dict[str, float]]:
        """By column and level: what the level adds to z, the log-odds below the ceiling."""
        return {c.name: dict(zip(c.levels, c.values.tolist(), strict=True)) for c in self.columns}

    def to_json(self) -> str:
        """Floats are written in full: what is read back gives identical scores."""
        columns = [{"name": c.name, "levels": list(c.levels), "values": c.values.tolist()} for c in self.columns]
        body = {"version": 1, "encoder": self.encoder, "ceiling": self.ceiling, "intercept": self.intercept}
        return json.dumps(body | {"columns": columns}, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Model:
        """What `to_json` wrote. Errors: ValueError, KeyError or TypeError otherwise."""
        body = json.loads(text)
        columns = tuple(
            Effects(c["name"], tuple(c["levels"]), np.array(c["values"], dtype=np.float64)) for c in body["columns"]
        )
        fits = all(c.values.shape == (len(c.levels),) and np.isfinite(c.values).all() for c in columns)
        if body["version"] != 1 or not fits or not (0 < body["ceiling"] <= 1 and math.isfinite(body["intercept"])):
            raise ValueError("this is not a model of version 1")
        return cls(body["encoder"], float(body["ceiling"]), float(body["intercept"]), columns)
