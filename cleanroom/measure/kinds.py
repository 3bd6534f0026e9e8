"""Every kind of job as the room measures it, each imported when it is first asked for."""

from __future__ import annotations

from typing import get_args

from ...policies.contract import Contract, JobKind
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from .measure import Measure

KINDS: frozenset[str] = frozenset(get_args(JobKind))


def shape_of(contract: Contract, job: Job, statistic: str) -> Shape:
    """A job's statistic as declared columns fix it, before any data is touched (`policies.jobs.draw.ShapeOf`)."""
    return measure_of(job.kind).shape(contract, job, statistic)


def measure_of(kind: str) -> Measure:
    """Errors: KeyError where there is no such kind."""
    match kind:
        case "lookalike":
            from .lookalike import LookalikeMeasure

            return LookalikeMeasure()
        case "model":
            from .model import ModelMeasure

            return ModelMeasure()
        case "completion":
            from .completion import CompletionMeasure

            return CompletionMeasure()
        case "overlap":
            from .overlap import OverlapMeasure

            return OverlapMeasure()
        case "aggregate":
            from .aggregate import AggregateMeasure

            return AggregateMeasure()
        case "reach":
            from .reach import ReachMeasure

            return ReachMeasure()
        case "frequency":
            from .reach import FrequencyMeasure

            return FrequencyMeasure()
        case "campaign":
            from .campaign import CampaignMeasure

            return CampaignMeasure()
        case "topics":
            from .topics import TopicsMeasure

            return TopicsMeasure()
    raise KeyError(kind)
