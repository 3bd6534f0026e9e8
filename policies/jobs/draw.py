"""What a job draws: a noisy statistic, its shape before any data, and its noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...dp.budget import Rho
from ...dp.entry import Specification
from ...dp.flip import least_flip
from ...dp.scale import smallest_scale
from ...dp.selection import Selection
from ...dp.veil import Veil


@dataclass(frozen=True, slots=True)
class Shape:
    """A statistic as declared columns fix it, before any data is touched.

    cells: how many numbers. bits: one lattice unit is 2^-bits. l2_squared: in lattice units, of one row that comes or
    goes; what one record moves is priced from it (`policies.price`). query: SHA-256 of all that says what is counted,
    where the name of the statistic does not fix l2_squared.
    """

    cells: int
    bits: int
    l2_squared: int
    query: str = ""


@dataclass(frozen=True, slots=True)
class Draw:
    """One noisy statistic of a job.

    beside: key of the draw whose charge covers this one too, because they look at disjoint parts of the same people
    (parallel composition); "" where it pays for itself. opened: its noise is drawn ahead and used step by step.
    veil: hides keys with too few people. selection: which keys show, where nobody listed them. flipped: what flipping
    labels is charged, in whole units of 10^-12 of ε; None for what adds noise.
    """

    specification: Specification
    beside: str = ""
    opened: bool = False
    veil: Veil | None = None
    selection: Selection | None = None
    flipped: Rho | None = None


class EpsilonTooSmall(Exception):
    """No noise that fits the lattice keeps to so small an ε."""


def with_noise(spec: Specification, rho: Rho) -> Specification:
    """The statistic with the least noise that costs no more than rho. Errors: EpsilonTooSmall."""
    try:
        return replace(spec, scale=smallest_scale(spec.l2_squared, rho))
    except ValueError:
        raise EpsilonTooSmall from None


def with_flip(spec: Specification, units: Rho) -> Specification:
    """The labels with the least flip that costs no more than units, 10^-12 of ε each. Errors: EpsilonTooSmall."""
    try:
        return replace(spec, flip=least_flip(units, spec.moved))
    except ValueError:
        raise EpsilonTooSmall from None


def shaped(spec: Specification, shape: Shape) -> Specification:
    """The statistic with a shape put in."""
    return replace(
        spec, cells=shape.cells, bits=shape.bits, l2_squared=shape.l2_squared, query=shape.query or spec.query
    )
