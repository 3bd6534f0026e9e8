"""How far long work has come, for whoever shows it. Never anything that depends on who matches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many steps are done, and how many there are: both follow from public sizes."""


def quietly(done: int, steps: int) -> None:
    """Shows nothing."""
    del done, steps
