"""How far long work has come, as `modelling.progress` has it, for the rooms' own work."""

from __future__ import annotations

from ..modelling.progress import Progress as Progress
from ..modelling.progress import quietly as quietly


class Stages:
    """Work of a few parts of different lengths: how many are done. stages: as many as public facts make there be."""

    def __init__(self, stages: int, progress: Progress = quietly) -> None:
        self._progress, self._stages, self._done = progress, stages, 0

    def passed(self) -> None:
        """One more is done."""
        self._done += 1
        self._progress(self._done, self._stages)
