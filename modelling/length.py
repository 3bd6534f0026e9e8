"""How the length of a row is shared by the columns that a model uses and those that it considers (`considered`)."""

from __future__ import annotations

import math

LENGTH = 0.5
"""How long a considered block's row is beside a used one's."""


def lengths(used: int, considered: int) -> tuple[float, float]:
    """How long the used part of a row is, and the considered one, for so many blocks of each: squares add up to 1."""
    own = used / (used + LENGTH**2 * considered)
    return math.sqrt(own), math.sqrt(1 - own)
