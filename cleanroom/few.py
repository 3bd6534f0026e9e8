"""Too few seeds for a model: what a plan says of it, from public sizes, before anything is spent."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..dp.flip import FLIP_UNIT
from ..dp.scale import SCALE_UNIT
from ..modelling.person import STEPS
from ..modelling.reliable import TRAINS, as_sums, fewest_seeds
from ..policies.check import Allowed
from ..policies.contract import Contract
from ..policies.jobs.lookalike import LookalikeJob
from ..policies.jobs.model import ModelJob

SHAKY = 4
"""So many times the fewest seeds: below that a model's scores are loosely tied to what they should be."""


def too_few(contract: Contract, allowed: Allowed, rows: Mapping[str, int]) -> tuple[str, ...]:
    """rows: as submitted. That all of them match is the best case: how many do is secret."""
    job = allowed.request.job
    if not isinstance(job, LookalikeJob | ModelJob):
        return ()
    spec, columns, seeds = allowed.purchases[0].specification, len(job.columns_of(contract)), rows[job.seed]
    sigma = spec.scale / SCALE_UNIT / 2**spec.bits
    if isinstance(job, ModelJob):
        sigma /= math.sqrt(STEPS)
    if spec.flip:
        sigma = as_sums(spec.flip / FLIP_UNIT, round(TRAINS * rows[job.people]), columns)
    least = fewest_seeds(sigma, columns)
    if seeds >= SHAKY * least:
        return ()
    so_few = f"{job.seed} has {seeds:,} rows; with {columns} columns at ε {job.epsilon:g}"
    remedy = "bring more seeds, name fewer columns, or ask a larger ε"
    if seeds < least:
        return (f"{so_few} noise outweighs what fewer than {least:,} say, even if all match: {remedy}",)
    return (f"{so_few} scores are loose below about {SHAKY * least:,} matching seeds: {remedy}",)
