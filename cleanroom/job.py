"""The job, stage by stage: the page to read first.

    submit    a party's bundle becomes a Dataset                              cleanroom.submit
    match     two Datasets become a Match, which nobody is shown              here
    plan      a signed job becomes a Plan: what it pays, how exact it is      cleanroom.plan
    run       pays in the ledger, makes the release, seals it                 here

Nothing reads a later stage. A refusal is decided from the contract and public sizes before data is touched; nothing
printed, counted or stored in the clear depends on who matched. Each stage may be killed at any point and typed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..dp.aggregate import count
from ..dp.ledger import Ledger
from ..matching.match import match as match_handles
from ..policies.agreement import SignatureBroken, SignatureMissing, read_armored, signature_path
from ..policies.check import Allowed, Refused, askers
from ..policies.document import read_document
from ..policies.price import context_of
from ..policies.request import LookalikeJob, Request, parse_job
from ..policies.sign import BadSignature, verify
from .measure.lookalike import contents, fitted
from .measure.overlap import overlap
from .plan import Plan as Plan
from .plan import Unaffordable as Unaffordable
from .plan import plan as plan
from .release import Contents, Listed, publish, published, release_id
from .room import Dataset, Room, RoomUnusable

# -- match ---------------------------------------------------------------------------------------------------------


class NotMatched(Exception):
    """Two data sets were not matched yet, or one was submitted anew since."""

    def __init__(self, room: Path, people: str, seed: str) -> None:
        super().__init__(room, people, seed)
        self.room, self.people, self.seed = room, people, seed


@dataclass(frozen=True, slots=True)
class Matched:
    """A pair that was matched. Public sizes only. new: False where it was matched before."""

    people: str
    people_rows: int
    seed: str
    seed_rows: int
    new: bool


def match(room: Room) -> list[Matched]:
    """Match every two submitted data sets of different owners. Nothing it says depends on the intersection.

    Errors: Refused after the contract's last day; RoomUnusable where the owners hold different match keys.
    """
    room.refuse_expired()
    with room.changing():
        held = room.datasets().values()
        pairs = [(a, b) for a in held for b in held if a.manifest.owner != b.manifest.owner]
        for people, seed in pairs:
            _refuse_other_key(room, people, seed)
        return [_match(room, people, seed) for people, seed in pairs]


def _refuse_other_key(room: Room, people: Dataset, seed: Dataset) -> None:
    """Keyed with other shares nobody would match, which would look like any other result."""
    if people.manifest.shares != seed.manifest.shares:
        raise RoomUnusable(
            room.path,
            f"{people.name} and {seed.name} were prepared with other shares of the match key",
            "both owners prepare again, with the same contract.toml.*.share files",
        )


def _match(room: Room, people: Dataset, seed: Dataset) -> Matched:
    new = not room.match_path(people, seed).exists()
    if new:
        matched = match_handles(room.handles(people), room.handles(seed)).matched
        room.keep_match(people, seed, pa.table({"matched": matched.astype(np.uint8)}))
    return Matched(people.name, people.manifest.rows, seed.name, seed.manifest.rows, new)


def read_match(room: Room, people: Dataset, seed: Dataset) -> NDArray[np.bool_]:
    """For every row of people, whether a seed matches it. Errors: NotMatched."""
    if not room.match_path(people, seed).exists():
        raise NotMatched(room.path, people.name, seed.name)
    matched: NDArray[np.bool_] = room.read_match(people, seed).column("matched").to_numpy().astype(np.bool_)
    return matched


# -- request -------------------------------------------------------------------------------------------------------


def read_request(room: Room, path: Path) -> Request:
    """A job file whose signature lies beside it; reads, and keeps nothing.

    Signed by several parties, it is asked by the one who may ask it. Errors: InvalidContract, SignatureMissing,
    SignatureBroken, OSError.
    """
    data = read_document(path)
    job = parse_job(data)
    places = {name: signature_path(path, name) for name in room.contract.party}
    found = {name: read_armored(at) for name, at in places.items() if at.is_file()}
    may_ask = askers(room.contract, job)
    if not found:
        raise SignatureMissing("job", may_ask or tuple(sorted(room.contract.party)))
    for name, signature in found.items():
        try:
            verify(data, signature, room.contract.party[name].sign, "passbox-job")
        except BadSignature as error:
            raise SignatureBroken("job", name, error.reason) from None
    asker = next((name for name in may_ask if name in found), next(iter(found)))
    return Request(job, data, asker, found[asker])


# -- run -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ran:
    """What a job gave. charged: False where everything was paid for before."""

    release: Listed
    plan: Plan
    charged: bool


def run(room: Room, request: Request) -> Ran:
    """Check, pay, make the release, seal it. The same job gives the same release and costs nothing more.

    Errors: Refused and Unaffordable (both logged as denials, but for a contract that has expired: where the clock was
    wrong, a later hour would stand above all that follows), NotMatched, and those of the ledger. Nothing is
    half-applied: killed after it paid, it goes on from the stored noise.
    """
    room.refuse_expired()
    with room.changing():
        planned = _planned(room, request)
        before = published(room, release_id(planned.allowed))
        if before is not None and planned.paid:
            return Ran(before, planned, charged=False)
        held, job = room.datasets(), request.job
        matched = read_match(room, held[job.people], held[job.seed])
        with room.ledger() as ledger:
            released = _release(room, planned.allowed, ledger, held, matched)
        return Ran(released, planned, charged=any(cost.rho for cost in planned.costs))


def _planned(room: Room, request: Request) -> Plan:
    """What is to be paid. The signed job is kept before any entry names it."""
    room.keep_request(request)
    try:
        planned = plan(room, request)
        planned.refuse_unaffordable()
    except (Refused, Unaffordable) as refusal:
        clause = refusal.clause if isinstance(refusal, Refused) else "budget"
        with room.ledger() as ledger:
            ledger.deny(context_of(room.agreement, request), clause)
        raise
    return planned


def _release(
    room: Room, allowed: Allowed, ledger: Ledger, held: Mapping[str, Dataset], matched: NDArray[np.bool_]
) -> Listed:
    """From paid statistics to a sealed file. `matched` goes no further than `Ledger.pay`."""
    job = allowed.request.job
    if isinstance(job, LookalikeJob):
        fit = fitted(room, allowed, ledger, held[job.people], matched)
        tokens = room.read(held[job.people], ["token"]).column("token").to_numpy()
        return publish(room, allowed, ledger, fit.noisy, contents(fit, tokens, job.audience.size))
    purchase = allowed.purchases[0]
    noisy = ledger.paid(purchase) or ledger.pay(purchase, count(matched))
    return publish(room, allowed, ledger, (noisy,), Contents(overlap(noisy, held[job.seed].manifest.rows), {}))
