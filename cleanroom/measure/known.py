"""What a submitted table says of wanted columns, as positions among declared values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...modelling.attributes import Known, Target


def known_of(target: Target, table: pa.Table) -> Known:
    """A category or a flag has one value a row, nulls unknown; of a set, null is unknown and an empty one is known.

    The caller ensures: the table was submitted, so that its values are declared ones.
    """
    column = table.column(target.name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if target.at_most:
        row = np.asarray(pc.list_parent_indices(column)).astype(np.int64)
        return Known.several(target, _places(pc.list_flatten(column), target), row, np.asarray(column.is_valid()))
    if pa.types.is_floating(column.type):  # a flag
        return Known.one(target, np.asarray(column.fill_null(-1.0)).astype(np.int64))
    return Known.one(target, _places(column, target))


def _places(values: pa.Array, target: Target) -> np.typing.NDArray[np.int64]:
    found = pc.index_in(values, value_set=pa.array(target.values, type=values.type))
    return np.asarray(found.fill_null(-1)).astype(np.int64)
