"""Discrete Gaussian noise as NumPy draws it, fifty times as fast as the room's: where an audit must see a planted leak.

Where it must see none, the room's own noise is looked at as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passbox.dp.scale import SCALE_UNIT

FINE = 50.0
"""Lattice steps: noise as wide as that is rounded, which makes its variance larger by one part in 30,000."""


def by_numpy(values: NDArray[np.int64], _l2_squared: int, scale: int, _charged: int) -> NDArray[np.int64]:
    """As `mechanisms._drawn`, without its map."""
    sigma, rng = scale / SCALE_UNIT, np.random.default_rng()
    if sigma > FINE:
        return values + np.rint(rng.normal(0, sigma, len(values))).astype(np.int64)
    steps = np.arange(-int(12 * sigma), int(12 * sigma) + 1)
    chance = np.exp(-((steps / sigma) ** 2) / 2)
    return values + rng.choice(steps, len(values), p=chance / chance.sum())
