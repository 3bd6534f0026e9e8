"""What a release says of columns that its model does not use: how much each would add, beside the used ones.

Their cells stand after the used ones in the same noisy sum; `modelling.considered` says what is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from pydantic import Field

from ...modelling.considered import Adds, considered_of
from ...modelling.crosses import Cross
from ...modelling.design import Design
from ...modelling.features import Kind, Topics, most_cells
from ...modelling.length import lengths
from ...policies.jobs.considered import Considered
from ...policies.sentences import counted
from ..document import Figure, Strict


class Consideration(Strict):
    """adds: standard deviation over people, log-odds, of what it says and the columns used beside it do not.

    used: whether the model has it. told: whether it can be told from nothing. already_said: nothing is left to say.
    """

    column: str
    used: bool
    adds: Figure
    told: bool
    already_said: bool = Field(default=False, exclude_if=lambda value: not value)


def considered_json(found: Sequence[Adds]) -> list[dict[str, object]]:
    return [
        {"column": each.name, "used": each.used, "adds": each.adds.as_json(), "told": each.told}
        | ({"already_said": True} if each.already_said else {})
        for each in found
    ]


def cells_of(kinds: Mapping[str, Kind], asked: Considered) -> int:
    """How many cells what is considered can fill, whatever the data. kinds: by column."""
    pairs = sum(cross.most_cells for cross in _crosses(kinds, asked))
    return most_cells([kinds[name] for name in asked.columns]) + pairs


def encoded(table: pa.Table, kinds: Mapping[str, Kind], used: int, asked: Considered) -> Design | None:
    """Everybody's considered blocks, beside so many used columns; None where nothing is considered."""
    if not asked.named:
        return None
    length = lengths(used, len(asked.named))[1]
    return considered_of(table, [kinds[name] for name in asked.columns], _crosses(kinds, asked), length)


def share_said(used: int, asked: Considered) -> tuple[str, ...]:
    """What considering costs the model, in a sentence."""
    many = len(asked.named)
    if not many:
        return ()
    own, others = lengths(used, many)
    return (
        f"{', '.join(asked.named)} considered beside {counted(used, 'used column')}: each takes its part of a row, so "
        f"what the model reads has {1 / own:.2f} times the noise it would have without, and what is considered "
        f"{(many / used) ** 0.5 / others:.2f} times; they are ranked, and the model does not use them",
    )


def _crosses(kinds: Mapping[str, Kind], asked: Considered) -> list[Cross]:
    return [_cross(kinds[a], kinds[b]) for a, b in asked.pairs]


def _cross(first: Kind, second: Kind) -> Cross:
    assert not isinstance(first, Topics)  # noqa: S101 - the job was refused (`policies.jobs.considered`)
    assert not isinstance(second, Topics)  # noqa: S101
    return Cross(first, second)
