"""A view: what noisy sums say of a change of the weights, near some weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .design import Float


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The noisy sums as a linear problem around some weights: their precision and pull on a change of the weights.

    misfit: -2 log density of the sums, up to a constant.
    """

    precision: Float
    pull: Float
    misfit: float


def seen(spread: Float, slope: Float, residual: Float, sigma: float) -> View:
    """Sums that scatter with `spread` and noise, move with the weights as `slope` says, and are off by `residual`."""
    from scipy.linalg import cho_factor, cho_solve

    ridge = sigma**2 + 1e-4 * (1 + np.trace(spread) / len(spread))
    scatter = cho_factor(spread + ridge * np.eye(len(spread)))
    weighed = cho_solve(scatter, residual)
    misfit = float(residual @ weighed) + 2 * float(np.log(np.diag(scatter[0])).sum())
    return View(slope.T @ cho_solve(scatter, slope), slope.T @ weighed, misfit)
