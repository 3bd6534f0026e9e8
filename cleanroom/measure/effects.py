"""What a release says of its model's columns: what each adds to scores, those that matter most first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ...modelling.effects import ColumnEffect
from ...modelling.features import Encoder, Number, Ordinal
from ..document import Figure, Strict


class Level(Strict):
    """One value of a column, or range of numbers. share: of people who have it. effect: on the log-odds."""

    level: str
    share: Annotated[float, Field(ge=0, le=1)]
    effect: Figure


class Effect(Strict):
    """matters: standard deviation over people of what the column adds (`modelling.effects`). ordered: whether its
    levels stand in order."""

    column: str
    ordered: bool
    matters: Figure
    levels: list[Level]


def effects_json(found: Sequence[ColumnEffect], encoder: Encoder) -> list[dict[str, object]]:
    """Levels that nobody has are left out."""
    ordered = {column.kind.name for column in encoder.columns if isinstance(column.kind, Number | Ordinal)}
    return [
        {
            "column": column.name,
            "ordered": column.name in ordered,
            "matters": column.matters.as_json(),
            "levels": [
                {"level": level.level, "share": level.share, "effect": level.effect.as_json()}
                for level in column.levels
                if level.share > 0
            ],
        }
        for column in found
    ]
