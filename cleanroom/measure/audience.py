"""Who is chosen: the best of the people, of whom enough is known.

Who is left out, because fewer columns are known of it than the job asks, follows from the owner's own rows. How many
those are is nobody else's to know, so a plan cannot refuse for it, nor a log say it. Where fewer remain than were asked
the audience is smaller, and where fewer than the contract's smallest, there is none. Its reader is told so in the
release, and asks again with another number, which costs nothing more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...modelling.audience import best_first, choose
from ...policies.jobs.lookalike import AudienceSize
from ..document import Count, Share, Strict


class Audience(Strict):
    """size: people in it. The others stand where a job says how many columns must be known. asked: its size; left_out:
    people of whom fewer are known; reach: the share of all people who score no lower than the last one in it."""

    size: Count
    asked: Count | None = Field(default=None, exclude_if=lambda value: value is None)
    least_known: Count | None = Field(default=None, exclude_if=lambda value: value is None)
    left_out: Count | None = Field(default=None, exclude_if=lambda value: value is None)
    reach: Share | None = Field(default=None, exclude_if=lambda value: value is None)


def chosen(
    scores: NDArray[np.float64],
    tiebreak: NDArray[np.uint64],
    known: NDArray[np.int64],
    asked: AudienceSize,
    smallest: int,
) -> tuple[NDArray[np.int64], dict[str, object]]:
    """Their rows, and what a release says of them. known: columns of each person. smallest: the contract's."""
    if asked.least_known is None:
        rows = choose(scores, tiebreak, asked.size)
        return rows, {"size": len(rows)}
    ranked = best_first(scores, tiebreak)
    enough = np.flatnonzero(known[ranked] >= asked.least_known)
    places = enough[: asked.size] if len(enough) >= smallest else enough[:0]
    reach = int(places[-1]) + 1 if len(places) else 0
    said = {"asked": asked.size, "least_known": asked.least_known, "left_out": len(scores) - len(enough)}
    return np.sort(ranked[places]), {"size": len(places), **said, "reach": reach / len(scores)}
