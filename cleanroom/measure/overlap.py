"""Overlap: how many records two data sets share, and the match rate on the public size of the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ...dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED, count, tiers
from ...dp.ledger import Ledger
from ...dp.noisy import Z95, Estimate, Noisy
from ...policies.check import Allowed
from ...policies.contract import Contract
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ...policies.jobs.overlap import COUNT, TIERS, OverlapJob
from ..document import Count, Document, Figure, Strict
from ..matched import read_tiers
from ..room import Room
from .measure import Contents, Made, Planned


class Tier(Strict):
    """How many match by a key, and by no better one."""

    key: str
    matched: Figure
    match_rate: Figure


class Overlap(Document):
    """How many records two data sets share.

    rows_a_seed: how many rows one seed may match, where that is more than one. tiers: the same by key, best first,
    where the job asks so.
    """

    kind: Literal["overlap"]
    seed_rows: Annotated[Count, Field(ge=1)]
    matched: Figure
    match_rate: Figure
    rows_a_seed: Annotated[Count, Field(ge=2)] | None = None
    tiers: Annotated[list[Tier], Field(min_length=2)] | None = None


class OverlapMeasure:
    """One noisy count, or one a key."""

    document = Overlap
    files: frozenset[str] = frozenset()

    def statistics(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        return (TIERS if document.get("tiers") else COUNT,)

    def shape(self, contract: Contract, job: Job, statistic: str) -> Shape:
        del job
        return Shape(1 if statistic == COUNT else len(contract.match.keys), COUNT_BITS, COUNT_L2_SQUARED)

    def make(self, room: Room, allowed: Allowed, ledger: Ledger) -> Made:
        job, held, match = allowed.request.job, room.datasets(), room.contract.match
        assert isinstance(job, OverlapJob)  # noqa: S101 - measure_of dispatches on the kind
        tier = read_tiers(room, held[job.people], held[job.seed])
        purchase = allowed.purchases[0]
        exact = tiers(tier, len(match.keys)) if job.tiers else count(tier > 0)
        noisy = ledger.paid(purchase) or ledger.pay(purchase, exact)
        return Made((noisy,), Contents(overlap(noisy, held[job.seed].manifest.rows, match.bounds.seed, match.keys), {}))

    def figures(self, document: Mapping[str, Any], noisy: Sequence[Noisy]) -> dict[str, object]:
        keys = [tier["key"] for tier in document.get("tiers") or ()]
        return overlap(noisy[0], int(document["seed_rows"]), int(document.get("rows_a_seed") or 1), keys)

    def said(self, room: Room, allowed: Allowed) -> tuple[str, ...]:
        """Everybody counts."""
        del room, allowed
        return ()

    def precision(self, room: Room, allowed: Allowed) -> tuple[Planned, ...]:
        """A rate is a count over a public size."""
        job, spec = allowed.request.job, allowed.purchases[0].specification
        assert isinstance(job, OverlapJob)  # noqa: S101 - measure_of dispatches on the kind
        half, seeds, most = Z95 * spec.deviation, allowed.rows[job.seed], room.contract.match.bounds.seed
        by_key = _planned(" by one key", half, seeds, most) if spec.statistic != COUNT else ()
        return (*by_key, *_planned("", half * spec.cells**0.5, seeds, most))


def _planned(by: str, half: float, seeds: int, most: int) -> tuple[Planned, ...]:
    """most: rows that one seed may match, so that no rate is larger."""
    return (
        Planned(f"matched{by}", "whatever it is", half),
        Planned(f"match rate{by}", "whatever it is", half / seeds, open_from=float(most)),
    )


def overlap(noisy: Noisy, seeds: int, most: int = 1, keys: Sequence[str] = ()) -> dict[str, object]:
    """The matched count and the match rate, as a release holds them. seeds: accepted rows, public and above 0. most:
    rows that one seed may match. keys: what the cells of `noisy` stand for, where there is one a key.

    The intervals cover the noise, whose size is known exactly. The count is shown as it came, though noise may make it
    negative: cutting it off would bias it. A rate lies between 0 and `most`, and so do the figures of the rate: cutting
    the interval there leaves no possible rate out.
    """
    half = Z95 * noisy.sigma
    figures = _figures(float(noisy.real.sum()), half * len(noisy.real) ** 0.5, seeds, most)
    said = {"seed_rows": seeds, **figures, **({"rows_a_seed": most} if most > 1 else {})}
    if len(noisy.real) == 1:
        return said
    each = [
        {"key": key, **_figures(float(cell), half, seeds, most)} for key, cell in zip(keys, noisy.real, strict=True)
    ]
    return {**said, "tiers": each}


def _figures(count: float, half: float, seeds: int, most: int) -> dict[str, object]:
    low, middle, high = (min(float(most), max(0.0, end / seeds)) for end in (count - half, count, count + half))
    return {
        "matched": Estimate(count, count - half, count + half).as_json(),
        "match_rate": Estimate(middle, low, high).as_json(),
    }
