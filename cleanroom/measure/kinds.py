"""Every kind of job as the room measures it."""

from __future__ import annotations

from ...policies.contract import Contract
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from .aggregate import AggregateMeasure
from .campaign import CampaignMeasure
from .completion import CompletionMeasure
from .lookalike import LookalikeMeasure
from .measure import Measure
from .model import ModelMeasure
from .overlap import OverlapMeasure
from .reach import FrequencyMeasure, ReachMeasure
from .topics import TopicsMeasure

MEASURES: dict[str, Measure] = {
    "lookalike": LookalikeMeasure(),
    "model": ModelMeasure(),
    "completion": CompletionMeasure(),
    "overlap": OverlapMeasure(),
    "aggregate": AggregateMeasure(),
    "reach": ReachMeasure(),
    "frequency": FrequencyMeasure(),
    "campaign": CampaignMeasure(),
    "topics": TopicsMeasure(),
}


def shape_of(contract: Contract, job: Job, statistic: str) -> Shape:
    """A job's statistic as declared columns fix it, before any data is touched (`policies.jobs.draw.ShapeOf`)."""
    return MEASURES[job.kind].shape(contract, job, statistic)
