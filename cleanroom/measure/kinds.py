"""Every kind of job as the room measures it."""

from __future__ import annotations

from ...policies.contract import Contract
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from .lookalike import LookalikeMeasure
from .measure import Measure
from .overlap import OverlapMeasure

MEASURES: dict[str, Measure] = {"lookalike": LookalikeMeasure(), "overlap": OverlapMeasure()}


def shape_of(contract: Contract, job: Job, statistic: str) -> Shape:
    """A job's statistic as declared columns fix it, before any data is touched (`policies.jobs.draw.ShapeOf`)."""
    return MEASURES[job.kind].shape(contract, job, statistic)
