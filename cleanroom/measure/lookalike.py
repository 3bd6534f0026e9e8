"""Lookalike: fit on the seed through one noisy sum, choose the people most like it, evaluate on people held out.

Two noisy statistics are paid for: feature sums over the seeds among the training people, and a histogram of scores
over the seeds among the held-out people. A person is in one part or the other by a keyed hash of the handle, which
knows nothing of seeds, so that one seed moves one of the two: the job costs the larger, not the sum. Everything else,
the model, the curves, the audience of any size, is computed from those noisy integers and the publisher's own table.

The code ensures: nothing after `pay` sees a label; ties at the audience's cut are broken by a keyed hash; rows leave
in the order of their tokens, never in the order of a join.
The caller ensures: the reader owns the features (`policies.check` refuses others).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...dp.aggregate import Statistic, histogram
from ...dp.ledger import Ledger
from ...dp.noisy import Noisy
from ...modelling.audience import choose
from ...modelling.design import BITS, MOMENTS_L2_SQUARED, Design
from ...modelling.evaluate import MOST_BINS, Evaluation, ScoreBins, evaluate
from ...modelling.features import Category, Encoder, Kind, Number, Topics, most_cells
from ...modelling.lookalike import Model, fit
from ...policies.check import Allowed, Shape
from ...policies.contract import CategoryColumn, Column, Contract, NumberColumn
from ...policies.request import LookalikeJob
from ..release import Contents
from ..room import Dataset, Room

HELD_OUT = 0.2
"""Share of the people whose seeds are kept for evaluation."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A paid model and what it says of everybody, in the room's row order.

    scores: log-odds. held_out: (rows,) bool. bins: of the held-out people by score. noisy: the two paid statistics.
    """

    model: Model
    scores: NDArray[np.float64]
    tiebreak: NDArray[np.uint64]
    held_out: NDArray[np.bool_]
    bins: ScoreBins
    evaluation: Evaluation
    noisy: tuple[Noisy, Noisy]


def shape_of(contract: Contract, job: LookalikeJob) -> Shape:
    """Cells and sensitivity as the declared columns fix them, before any data is touched."""
    kinds = declared_kinds(contract.dataset[job.people].columns, job.columns)
    return Shape(most_cells(kinds) + 1, BITS, MOMENTS_L2_SQUARED, MOST_BINS)


def declared_kinds(columns: Mapping[str, Column], chosen: Sequence[str] | None) -> list[Kind]:
    """The contract's columns as features."""
    return [_kind(name, columns[name]) for name in chosen or columns]


def _kind(name: str, column: Column) -> Kind:
    if isinstance(column, NumberColumn):
        return Number(name, *column.bounds)
    if isinstance(column, CategoryColumn):
        return Category(name, tuple(column.values))
    return Topics(name, tuple(column.values), column.at_most)


def fitted(room: Room, allowed: Allowed, ledger: Ledger, people: Dataset, matched: NDArray[np.bool_]) -> Fitted:
    """Pay for the two statistics, or find them paid, and make of them what follows."""
    job = allowed.request.job
    assert isinstance(job, LookalikeJob)  # noqa: S101 - `run` dispatches on the kind
    kinds = declared_kinds(room.contract.dataset[job.people].columns, job.columns)
    table = room.read(people)
    design = Encoder.from_owner(table, kinds).encode(table)
    keys = table.column("k").to_numpy()
    held_out = _keyed(keys, room.store.derive("split")) < np.uint64(HELD_OUT * 2**64)
    tiebreak = _keyed(keys, room.store.derive("ties"))
    first, second = allowed.purchases
    moments = ledger.paid(first) or ledger.pay(
        first, _padded(design.take(~held_out).moments(matched[~held_out]), first.specification.cells)
    )
    model = _fit(design.take(~held_out), moments)
    scores = model.score(design)
    bins = ScoreBins.of(scores[held_out], tiebreak[held_out])
    scored = ledger.paid(second) or ledger.pay(
        second, histogram(bins.cell, matched[held_out], second.specification.cells)
    )
    evaluation = evaluate(scored, bins.totals, bins.predicted)
    return Fitted(model, scores, tiebreak, held_out, bins, evaluation, (moments, scored))


def _keyed(handles: NDArray[np.uint64], key: bytes) -> NDArray[np.uint64]:
    """A keyed hash of every handle, uniform on 64 bits, independent of who matched."""
    data = handles.astype("<u8").tobytes()
    hashed = (hashlib.blake2b(data[at : at + 8], key=key, digest_size=8).digest() for at in range(0, len(data), 8))
    return np.frombuffer(b"".join(hashed), dtype="<u8")


def _padded(moments: Statistic, cells: int) -> Statistic:
    """Empty cells up to the declared number: how many bins the owner's numbers fill is nobody else's to know.

    The count stays the last cell.
    """
    values = np.zeros(cells, dtype=np.int64)
    values[: len(moments.values) - 1] = moments.values[:-1]
    values[-1] = moments.values[-1]
    return Statistic(values, moments.bits, moments.l2_squared)


def _fit(design: Design, moments: Noisy) -> Model:
    """Fit on the cells that the owner's bins fill; the noise in the others is thrown away."""
    used = np.r_[0 : design.cells, len(moments.values) - 1]
    return fit(design, Noisy(moments.values[used], moments.scale, moments.bits, moments.receipt))


def contents(fit: Fitted, tokens: NDArray[np.uint64], size: int) -> Contents:
    """The release: evaluation, the model's effects, and the audience as tokens."""
    chosen = np.sort(tokens[choose(fit.scores, fit.tiebreak, size)])
    audience = io.BytesIO()
    pq.write_table(pa.table({"token": chosen}), audience)
    values = {
        "people": len(fit.scores),
        "held_out": int(fit.held_out.sum()),
        "audience": {"size": len(chosen)},
        **fit.evaluation.as_json(),
    }
    return Contents(values, {"audience.parquet": audience.getvalue(), "model.json": fit.model.to_json().encode()})
