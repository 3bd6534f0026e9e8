"""One line of the ledger: what is written, as canonical JSON, and what it must look like to be read.

Every leaf of the log is one JSON object of strings, whole numbers, lists and objects: keys sorted, no blanks, ASCII
escapes, no floats. The kinds:

    cap      {"account", "owner", "unit", "epsilon", "delta", "rho", ...}      what an owner allows, from its contract
    release  {"key", "specification", "charges", "covered", "beside", ...}    noise drawn and paid for
    open     the same: noise paid for and drawn ahead of a job that uses it step by step; the noise stays sealed
    outcome  the same, without charges: what came of opened noise, which is then released
    denial   {"clause", ...}                                                  asked and refused; costs nothing
    carry    {"charges", "from", "statement", ...}                            spent elsewhere (`dp.carry`)
    closed   {"next", ...}                                                    the last entry: another log goes on

and in all of them "v", "seq", "kind", "time" (rounded down to the hour, UTC; never before the entry above it, even
where the clock was set back) and "contract" (SHA-256 of its bytes).
A release's "key" is the SHA-256 of its canonical specification. "commitment" is SHA-256(nonce || the noisy integers as
a canonical list): only who holds the 32-byte nonce, that is a reader, can check it, so no guess can be tested with it.
Where keys were selected (`dp.selection`) it is SHA-256(nonce || {"keys": those that show, "values": the integers}).
Labels of a randomised response are committed to as the numbers that `dp.labels` packs them into.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

from .budget import Rho
from .canonical import Leaf, canonical
from .flip import FLIP_UNIT, NO_FLIP, Flip, price_of
from .scale import SCALE_UNIT, Scale, price

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .selection import Selection
    from .veil import Veil


def commitment_to(nonce: bytes, values: NDArray[np.int64], keys: tuple[str, ...] | None = None) -> str:
    """Ties the log to noisy integers, and hides them from whoever lacks the nonce. nonce: 32 bytes.

    keys: that were selected, where the integers are about keys that nobody listed.
    """
    numbers = values.tolist()
    said = canonical(numbers if keys is None else {"keys": [*keys], "values": numbers})
    return hashlib.sha256(nonce + said).hexdigest()


def hour(time: datetime) -> str:
    """A time as the ledger keeps it: rounded down to the hour, so that it tells little about who was busy when."""
    return time.astimezone(UTC).isoformat(timespec="hours")[:13] + ":00Z"


@dataclass(frozen=True, slots=True)
class Charge:
    """What one account pays for one release. rho: whole units of 10^-12, also where an account counts ε; where it
    counts δ, of 10^-18."""

    account: str
    dataset: str
    rho: Rho


class Paid(TypedDict):
    """A charge as an entry holds it. before: what the account had spent until then."""

    account: str
    dataset: str
    rho: int
    before: int


class Released(TypedDict):
    """What the ledger reads back of a release's entry. kind: release, open or outcome."""

    kind: str
    specification: Leaf
    recipients: list[str]
    charges: list[Paid]
    beside: str
    commitment: str


@dataclass(frozen=True, slots=True)
class Context:
    """Who asked for what, under which contract: everything in an entry that is not about the noise.

    contract, job: SHA-256 in hex of the signed bytes. asker, recipients: party names.
    """

    contract: str
    job: str
    asker: str
    recipients: tuple[str, ...]
    purpose: str

    def as_json(self) -> Leaf:
        return {
            "contract": self.contract,
            "job": self.job,
            "asker": self.asker,
            "recipients": list(self.recipients),
            "purpose": self.purpose,
        }


@dataclass(frozen=True)
class Specification:
    """The noisy statistic itself. Two requests with the same specification get the same bytes for ever.

    statistic: which one, with its version ("moments@1"). datasets: name to digest of the submitted manifest.
    part: which keyed part of the people it looks at ("train", "held-out", "all"). columns: of which features.
    cells, bits, l2_squared, scale: shape, lattice, sensitivity and noise (`dp.scale`).
    follows: key of the release whose noisy bytes shaped this one (score bins follow from a model), or "".
    query: SHA-256 of all that says what is counted, for statistics that a job words itself; "" for the others.
    selection: δ with which keys are selected that nobody listed, in whole units of 10^-18; 0 where keys are listed.
    `cells` are then those of one key.
    flip: where labels are flipped, and no Gaussian noise is added, how often, in whole units of 2^-52; 0 for others.
    `cells` is then 1, a label of each person, and `l2_squared` the square of how many labels a record moves; an entry
    has the flip in the place of `scale`.
    """

    statistic: str
    datasets: Mapping[str, str]
    unit: str
    rule: str
    part: str
    columns: tuple[str, ...]
    cells: int
    bits: int
    l2_squared: int
    scale: Scale
    follows: str = ""
    query: str = ""
    selection: int = 0
    flip: Flip = NO_FLIP

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise in a value, in the unit of what is summed; of flips it says nothing."""
        return float(self.scale / SCALE_UNIT / 2**self.bits)

    def as_json(self) -> Leaf:
        asked: Leaf = {"query": self.query} if self.query else {}
        asked |= {"selection": self.selection} if self.selection else {}
        return (
            asked
            | self._noise()
            | {
                "statistic": self.statistic,
                "datasets": dict(self.datasets),
                "unit": self.unit,
                "neighbours": "one record replaced by a dummy that matches nobody",
                "rule": self.rule,
                "part": self.part,
                "columns": list(self.columns),
                "cells": self.cells,
                "lattice": f"2^-{self.bits}",
                "l2_squared": self.l2_squared,
                "follows": self.follows,
            }
        )

    def _noise(self) -> Leaf:
        """How it is made noisy, and how much."""
        if self.flip:
            return {"mechanism": "randomised-response", "scale": self.flip, "scale_unit": f"1/{FLIP_UNIT}"}
        return {"mechanism": "discrete-gaussian", "scale": self.scale, "scale_unit": f"1/{SCALE_UNIT}"}

    @property
    def moved(self) -> int:
        """How many rows one record moves, of statistics that a row moves by 1."""
        return math.isqrt(self.l2_squared)

    @property
    def cost(self) -> Rho:
        """What it costs everybody who pays, in what their accounts count: ρ, or ε of randomised responses."""
        return Rho(price_of(self.flip, self.moved)) if self.flip else price(self.l2_squared, self.scale)

    @cached_property
    def spelled(self) -> bytes:
        """The canonical specification."""
        return canonical(self.as_json())

    @cached_property
    def key(self) -> str:
        """SHA-256 of the canonical specification, in hex."""
        return hashlib.sha256(self.spelled).hexdigest()


@dataclass(frozen=True, slots=True)
class Purchase:
    """A release decided on and priced, before data is touched.

    charges: what it costs every account whose owner is not its only reader. selecting: what it costs their accounts of
    selections, in the same order. selection: which keys show, where nobody listed them.
    beside: key of the release whose charge covers this one as well, because the two look at disjoint parts of the
    same people (parallel composition); "" where it pays for itself.
    opened: its noise is drawn ahead, and used step by step (`Ledger.open`, `Ledger.settle`).
    veil: hides keys with too few people, before anything is stored; it follows from the specification.
    """

    specification: Specification
    charges: tuple[Charge, ...]
    context: Context
    beside: str = ""
    opened: bool = False
    veil: Veil | None = None
    selection: Selection | None = None
    selecting: tuple[Charge, ...] = ()

    @property
    def key(self) -> str:
        return self.specification.key

    @property
    def dues(self) -> tuple[Charge, ...]:
        """Everything that it is charged, in ρ and in δ."""
        return self.charges + self.selecting
