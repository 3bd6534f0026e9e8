"""Overlap: how many records two data sets share, and the match rate on the public size of the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ...dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED, count
from ...dp.ledger import Ledger
from ...dp.noisy import Z95, Estimate, Noisy
from ...dp.scale import SCALE_UNIT
from ...policies.check import Allowed
from ...policies.contract import Contract
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ...policies.jobs.overlap import OverlapJob
from ..document import Count, Document, Figure
from ..matched import read_match
from ..room import Room
from .measure import Contents, Made, Precision


class Overlap(Document):
    """How many records two data sets share."""

    kind: Literal["overlap"]
    seed_rows: Annotated[Count, Field(ge=1)]
    matched: Figure
    match_rate: Figure


class OverlapMeasure:
    """One noisy count."""

    document = Overlap
    files: frozenset[str] = frozenset()

    def statistics(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        del document
        return ("matched-count@1",)

    def shape(self, contract: Contract, job: Job, statistic: str) -> Shape:
        del contract, job, statistic
        return Shape(1, COUNT_BITS, COUNT_L2_SQUARED)

    def make(self, room: Room, allowed: Allowed, ledger: Ledger) -> Made:
        job, held = allowed.request.job, room.datasets()
        assert isinstance(job, OverlapJob)  # noqa: S101 - MEASURES dispatches on the kind
        matched = read_match(room, held[job.people], held[job.seed])
        purchase = allowed.purchases[0]
        noisy = ledger.paid(purchase) or ledger.pay(purchase, count(matched))
        return Made((noisy,), Contents(overlap(noisy, held[job.seed].manifest.rows), {}))

    def figures(self, document: Mapping[str, Any], noisy: Sequence[Noisy]) -> dict[str, object]:
        return overlap(noisy[0], int(document["seed_rows"]))

    def precision(self, room: Room, allowed: Allowed) -> tuple[Precision, ...]:
        del room
        spec = allowed.purchases[0].specification
        return (("matched", "whatever it is", Z95 * spec.scale / SCALE_UNIT / 2**spec.bits),)


def overlap(noisy: Noisy, seeds: int) -> dict[str, object]:
    """The matched count and the match rate, as a release holds them. seeds: accepted rows, public and above 0.

    The intervals cover the noise, whose size is known exactly. The count is shown as it came, though noise may make it
    negative: cutting it off would bias it. A rate lies in [0, 1], one seed matching one row at most, and so do the
    figures of the rate: cutting the interval there leaves no possible rate out.
    """
    count, half = float(noisy.real[0]), Z95 * noisy.sigma
    low, middle, high = (min(1.0, max(0.0, end / seeds)) for end in (count - half, count, count + half))
    return {
        "seed_rows": seeds,
        "matched": Estimate(count, count - half, count + half).as_json(),
        "match_rate": Estimate(middle, low, high).as_json(),
    }
