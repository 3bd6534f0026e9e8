"""What deserves a second look while a list is at home: what its size means under its contract, for rows are public and
a room looks at them; texts that look like somebody's; and columns that tell nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..matching.rejects import RejectCode
from ..policies.check import Refused
from ..policies.contract import Allowance, Contract
from ..policies.jobs.lookalike import FEWEST_PEOPLE
from ..policies.learnt import LEARNABLE, LEARNING


def refuse_large_delta(contract: Contract, dataset: str, rows: int) -> None:
    """A δ above 1/n would let a release give one person away whole. A list that whatever the contract allows would
    charge is refused at home: no room would run anything on it. Errors: Refused."""
    delta = contract.dataset[dataset].budget.delta
    if rows and delta > 1 / rows and all(_charged(contract, rule, dataset) for rule in contract.rules.allow):
        raise Refused(
            f"dataset.{dataset}.budget.delta",
            f"δ {delta:g} is above 1/n for the {rows} rows of {dataset}: every job would be refused",
            f"agree on a δ of at most {1 / (10 * rows):.0e}",
        )


def doubts(contract: Contract, dataset: str, rows: int) -> tuple[str, ...]:
    """What of a list's size deserves a second look before the bundle is sent, in sentences. Without rows there is
    none to look at."""
    return () if rows == 0 else (*_too_few(contract, dataset, rows), *_large_delta(contract, dataset, rows))


def personal_doubts(found: Mapping[str, int]) -> tuple[str, ...]:
    """The same of its texts. found: as `cleanroom.personal` counts them."""
    return tuple(
        f"{name}: {'1 row looks' if rows == 1 else f'{rows:,} rows look'} like an e-mail address, a phone number or a "
        "hash of one; the bundle holds text as it is, and what many people share is shown: clear them, or the column"
        for name, rows in found.items()
    )


def odd_doubts(suspects: Mapping[str, int]) -> tuple[str, ...]:
    """The same of identifiers that are kept and reach nobody. suspects: as `records.Prepared` has them."""
    return tuple(
        f"{reason.partition(': ')[0]}: {'1 row holds' if rows == 1 else f'{rows:,} rows hold'} no plain address, which "
        "is hashed as it stands and matches nobody who exports plain ones: export `jo@b.de`, not `Jo <jo@b.de>` or "
        "`mailto:jo@b.de`"
        for reason, rows in suspects.items()
        if reason.endswith(f": {RejectCode.UNLIKELY}")
    )


def idle_doubts(contract: Contract, dataset: str, columns: pa.Table) -> tuple[str, ...]:
    """The same of columns that tell a model nothing: all values are missing, or one and the same.

    columns: as they go into the bundle.
    """
    rule = contract.dataset[dataset]
    learns = any(item.job in LEARNING for item in contract.rules.allow) and rule.rows == "people"
    if not learns or columns.num_rows < 2:
        return ()
    names = [name for name in columns.column_names if rule.columns[name].kind in LEARNABLE]
    empty = [name for name in names if _is_empty(columns.column(name))]
    same = [name for name in names if name not in empty and _is_one_value(columns.column(name))]
    found = ((empty, "empty in every row"), (same, "the same in every row"))
    return tuple(f"{_listed(which, what)}: {_IDLE}" for which, what in found if which)


_IDLE = (
    "a model learns nothing there, and the column takes its share of every row all the same; leave it out of the "
    "contract, or of `columns` in a job"
)
_LISTED = 5


def _listed(names: list[str], what: str) -> str:
    said = ", ".join(names[:_LISTED])
    if len(names) > _LISTED:
        said += f" and {len(names) - _LISTED} more"
    return f"{said} {'is' if len(names) == 1 else 'are'} {what}"


def _is_empty(column: pa.ChunkedArray) -> bool:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return not len(pc.list_flatten(column))
    return bool(column.null_count == len(column))


def _is_one_value(column: pa.ChunkedArray) -> bool:
    """Whether everybody has the same, missing or not."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return len(pc.unique(column)) == 1
    sizes = np.asarray(pc.list_value_length(column).fill_null(0))
    if not (sizes == sizes[0]).all():
        return False
    values = np.asarray(pc.index_in(pc.list_flatten(column), value_set=pc.unique(pc.list_flatten(column))))
    return bool((values.reshape(-1, sizes[0]) == values[: sizes[0]]).all())


def _too_few(contract: Contract, dataset: str, rows: int) -> list[str]:
    """As jobs count (`policies.jobs`): an overlap looks at both lists, a lookalike and a model at the seed, a
    completion at who knows attributes."""
    kinds = {rule.job for rule in contract.rules.allow}
    least, has_features = contract.rules.smallest_seed, bool(contract.dataset[dataset].columns)
    is_seed = _is_seed(contract, dataset)
    counts = {"overlap": True, "completion": has_features and contract.dataset[dataset].id is None}
    counts |= {"lookalike": is_seed, "model": is_seed}
    looking = [kind for kind in sorted(kinds) if counts.get(kind, not has_features)]
    said = []
    if looking and rows < least:
        said.append(f"{_rows(rows)} fewer than smallest_seed = {least}: {' and '.join(looking)} will be refused")
    if "lookalike" in kinds and not is_seed and rows < FEWEST_PEOPLE:
        said.append(f"{_rows(rows)} fewer than the {FEWEST_PEOPLE} that a lookalike needs: it will be refused")
    return said


def _is_seed(contract: Contract, dataset: str) -> bool:
    """Whether people are held against this list: it has nothing to learn from, or no own IDs where a list of another
    owner has both."""
    own = contract.dataset[dataset]
    if not own.columns:
        return True
    others = (rule for rule in contract.dataset.values() if rule.owner != own.owner and rule.rows == "people")
    return own.id is None and any(rule.id is not None and rule.columns for rule in others)


def _large_delta(contract: Contract, dataset: str, rows: int) -> list[str]:
    delta = contract.dataset[dataset].budget.delta
    if not rows or delta <= 1 / (10 * rows):
        return []
    if delta > 1 / rows:
        return [f"δ {delta:g} is above 1/n for {rows} rows: jobs that {dataset} pays for will be refused"]
    return [f"δ {delta:g} is above 1/(10 n) for {rows} rows: agree on a smaller one"]


def _charged(contract: Contract, rule: Allowance, dataset: str) -> bool:
    """Whether what the rule allows is shown to anybody but the data set's owner."""
    return bool(contract.readers(tuple(rule.recipients)) - {contract.dataset[dataset].owner})


def _rows(rows: int) -> str:
    return "1 row is" if rows == 1 else f"{rows} rows are"
