"""Noise that is held: what a job gives, and what it hands in, in worlds that get the same noisy numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...dp.aggregate import Statistic
from ...dp.entry import Purchase
from ...dp.labels import Labels
from ...dp.noisy import Noisy
from ...dp.rehearsal import rehearsed

Exact = TypeVar("Exact", Statistic, Labels)
World = TypeVar("World")


class Held:
    """Pays as a room does, once: later worlds are told what the first was. exact: handed in last, by statistic."""

    def __init__(self) -> None:
        self._noisy: dict[str, Noisy] = {}
        self._opened: dict[str, Noisy] = {}
        self.exact: dict[str, bytes] = {}

    def pay(self, purchase: Purchase, exact: Callable[[], Exact]) -> Noisy:
        statistic = exact()
        self.exact[purchase.specification.statistic] = statistic.values.tobytes()
        return self._noisy.setdefault(purchase.key, rehearsed(purchase, statistic))

    def settle(self, purchase: Purchase, empty: Statistic, sums: Callable[[Noisy], NDArray[np.int64]]) -> Noisy:
        """Of noise that is opened ahead, on nothing: what is made of it."""
        values = sums(noise := self._opened.setdefault(purchase.key, rehearsed(purchase, empty)))
        self.exact[purchase.specification.statistic] = values.tobytes()
        return self._noisy.setdefault(purchase.key, replace(noise, values=values))


def follows(given: Callable[[World, Held], bytes], worlds: Sequence[World]) -> bool:
    """Whether what is given follows from the noisy numbers alone: the same in all worlds, to the last byte."""
    held = Held()
    first, *others = [given(world, held) for world in worlds]
    return all(other == first for other in others)


def moves(given: Callable[[World, Held], object], one: World, other: World) -> set[str]:
    """Which statistics differ between two worlds."""
    held = Held()
    given(one, held)
    before = dict(held.exact)
    given(other, held)
    return {name for name, exact in held.exact.items() if exact != before[name]}
