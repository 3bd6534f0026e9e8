"""Which row of one data set is which row of another, by the one identifier that joins them.

A handle stands at most once on either side, so a row of either has one row of the other at most: taking a record away
takes its own pair away and changes no other. That is stricter than the contract's rule for matching by several keys,
which may credit a person to another record once the first is gone.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ...policies.jobs.table import identifier_of
from ..layout import MASK, PART, layout_of
from ..room import Dataset, Room, RoomUnusable

K, K2 = "k", "k2"


def paired(room: Room, one: Dataset, other: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of both that are the same person, as they stand in the room, in the order of the first.

    Errors: RoomUnusable where the owners hold different match keys: nobody would match, as in any other result.
    """
    if one.manifest.shares != other.manifest.shares:
        rule = f"{one.name} and {other.name} were prepared with other shares of the match key"
        raise RoomUnusable(room.path, rule, "both owners prepare again, with the same contract.toml.*.share files")
    key = identifier_of(room.contract, (one.name, other.name))
    both = _handles(room, one, key).join(_handles(room, other, key), on=[K, K2], suffix="_other").sort("row")
    return both["row"].to_numpy(), both["row_other"].to_numpy()


def _handles(room: Room, held: Dataset, key: str) -> pl.DataFrame:
    """Every handle of a kind, and whose it is."""
    several = layout_of(room.contract, held.name).several
    columns = [K, K2, "record"] if several else [K, K2]
    table = pa.concat_tables(room.read_part(path, columns) for path in held.parts(key if several else PART))
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is not a series
    if several:
        return frame.select(K, K2, row=(pl.col("record") // MASK).cast(pl.Int64))
    return frame.with_row_index("row").select(K, K2, pl.col("row").cast(pl.Int64))
