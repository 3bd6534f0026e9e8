"""How much ε an accuracy needs: a plan turned round.

The half width of a number of fixed noise is in proportion to the noise, so the noise that a target allows follows, and
from it the price and the ε. Of ratios and others, whose width is a matter of secret sizes, no ε is known beforehand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..dp.accounting import epsilon_of, rho_within
from ..dp.budget import LARGEST_EPSILON, Budget, Epsilon
from ..dp.scale import SCALE_UNIT, Scale, price, smallest_scale
from ..policies.contract import Contract
from ..policies.price import delta_of_job
from .plan import Plan

ANY_SIZE = "whatever it is"
"""What a plan says of numbers whose noise does not depend on them."""
STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """A number within ± of the truth in 95 of 100 releases. epsilon: the least that is enough, to four digits.

    half_width: what it gives. fits: whether a job of this ε fits now. planned: what the job gives as it is.
    """

    number: str
    within: float
    epsilon: float
    half_width: float
    fits: bool
    planned: float


class NoTarget(Exception):
    """No ε gives that accuracy, or none is known. rule, remedy: plain words."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule, remedy)
        self.rule, self.remedy = rule, remedy


def target(contract: Contract, planned: Plan, within: float, number: str = "") -> Target:
    """The ε at which a number is ±within. number: its name, after "TABLE: " where several tables have it; the first of
    the plan where it is left out.

    Errors: NoTarget.
    """
    name, half = _found(planned, number)
    if not (math.isfinite(within) and within > 0):
        raise NoTarget("that is no accuracy", "write how far it may be off, such as `--target 50`")
    spec, delta = planned.allowed.purchases[0].specification, delta_of_job(contract, planned.allowed.request.job)
    widest = math.floor(spec.scale * within / half)
    if widest <= 2 * SCALE_UNIT:
        raise NoTarget("no noise is that small", "ask for less accuracy")
    epsilon = math.ceil(epsilon_of(price(spec.l2_squared, Scale(widest)), delta) * STEPS) / STEPS
    if epsilon > LARGEST_EPSILON:
        raise NoTarget(
            f"{name} within {within:g} needs more than ε {LARGEST_EPSILON:g}, which no contract allows",
            "ask for less accuracy, for fewer numbers at once, or for tighter bounds of what one person adds",
        )
    scale = smallest_scale(spec.l2_squared, rho_within(Budget(Epsilon(epsilon), delta)))
    most = planned.largest
    return Target(name, within, epsilon, half * scale / spec.scale, epsilon <= most, half)


def _found(planned: Plan, number: str) -> tuple[str, float]:
    known = [row for row in planned.precision if row.given == ANY_SIZE]
    fixed = {row.number: row.half for row in reversed(known)}
    names = ", ".join(reversed(fixed))
    fixed = {f"{row.table}: {row.number}": row.half for row in known if row.table} | fixed
    if number and number not in _all_names(planned):
        told = f"name one of {names}" if fixed else "`passbox plan` without `--target` lists its numbers"
        raise NoTarget(f"this job has no number {number}", told)
    if not fixed:
        raise NoTarget("how exact it is depends on sizes that are secret", "read the plan's table for some of them")
    if number and number not in fixed:
        rule = f"{number} is no number of this job whose interval is known beforehand"
        raise NoTarget(rule, f"name one of {names}")
    name = number or next(reversed(fixed))
    return name, fixed[name]


def _all_names(planned: Plan) -> set[str]:
    """Of every number, with its table and without; also of those whose interval is not known beforehand."""
    rows = planned.precision
    return {row.number for row in rows} | {f"{row.table}: {row.number}" for row in rows if row.table}
