"""What labels by randomised response give away (`canary`), where a contract keeps ε for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...dp.budget import EPSILON_UNIT
from ...dp.entry import Purchase
from ...dp.labels import Labels, unpacked
from ...dp.rehearsal import rehearsed
from ...modelling.canaries import two_answers
from ...policies.contract import Contract
from ...policies.jobs.lookalike import AudienceSize, LookalikeJob
from ..measure import crowds, fitted, lookalike
from .buying import bought
from .chance import coins
from .crowd import crowd_of
from .finding import Finding, handed_out
from .held import Held, follows

ANSWERS = 1_000_000
"""Invented records in either world whose labels are drawn: an ε of 8 then shows to a hundredth."""
LISTS = 3


def of_labels(contract: Contract, data: bytes, asked: LookalikeJob) -> list[Finding]:
    """The same lookalike, of randomised labels, at the same ε. data: the contract's bytes."""
    job = asked.model_copy(update={"labels": "randomised"})
    (purchase,) = bought(contract, data, job)
    moves = job.rows_moved(contract)
    crowd, _ = crowd_of(contract, job)

    def drawn(labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return unpacked(rehearsed(purchase, Labels(labels, moves)).values, len(labels))

    charged = min(each.rho for each in purchase.charges) / EPSILON_UNIT
    told = two_answers(drawn, moves, charged, ANSWERS)
    return [
        Finding.of("labels", "a record's labels all say that it is on the list", told),
        Finding("labels: audience", "it follows from the labels as they were drawn", _follow(crowd, moves, purchase)),
    ]


def _follow(crowd: crowds.Crowd, moves: int, purchase: Purchase) -> bool:
    """The audience and every other file of labels that are held, from other lists."""
    rows = crowd.design.rows
    tokens = np.arange(rows, dtype=np.uint64)

    def given(label: NDArray[np.bool_], held: Held) -> bytes:
        fit = fitted.responded_to(crowd, Labels(label, moves), purchase, held.pay)
        return handed_out(lookalike.contents(fit, tokens, AudienceSize(size=rows // 10), 0))

    return follows(given, [coins(rows, 0.2) for _ in range(LISTS)])
