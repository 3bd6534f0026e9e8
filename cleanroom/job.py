"""The job, stage by stage: the page to read first.

    submit    a party's bundle becomes a Dataset                              cleanroom.submit
    match     two Datasets become a Match, which nobody is shown              cleanroom.matched
    plan      a signed job becomes a Plan: what it pays, how exact it is      cleanroom.plan
    run       pays in the ledger, makes the release, seals it                 here; each kind: cleanroom.measure

Nothing reads a later stage. A refusal is decided from the contract and public sizes before data is touched; nothing
printed, counted or stored in the clear depends on who matched. Each stage may be killed at any point and typed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..policies.agreement import SignatureBroken, SignatureMissing, read_armored, signature_path
from ..policies.check import Refused, askers
from ..policies.document import read_document
from ..policies.price import context_of
from ..policies.request import Request, parse_job
from ..policies.sign import BadSignature, verify
from .matched import Matched as Matched
from .matched import NotMatched as NotMatched
from .matched import match as match
from .matched import read_match as read_match
from .measure.kinds import measure_of
from .plan import Plan as Plan
from .plan import SelectionSpent as SelectionSpent
from .plan import Unaffordable as Unaffordable
from .plan import plan as plan
from .release import Listed, published
from .room import Room
from .sealed import publish, release_id

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
        raise SignatureMissing("job", may_ask or tuple(sorted(room.contract.party)), path.name)
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


def run(room: Room, request: Request, paying: Callable[[Plan], None] = lambda _: None) -> Ran:
    """Check, pay, make the release, seal it. The same job gives the same release and costs nothing more.

    paying: told what is about to be paid; not where everything was paid for before.

    Errors: Refused, Unaffordable and SelectionSpent (all logged as denials, but for a contract that has expired: where
    the clock was wrong, a later hour would stand above all that follows), NotMatched, and those of the ledger. Nothing
    is half-applied: killed after it paid, it goes on from the stored noise.
    """
    room.refuse_expired()
    with room.changing():
        planned = payable(room, request)
        before = published(room, release_id(planned.allowed))
        if before is not None and planned.paid:
            return Ran(before, planned, charged=False)
        if not planned.paid:
            paying(planned)
        with room.ledger() as ledger:
            made = measure_of(request.job.kind).make(room, planned.allowed, ledger)
            released = publish(room, planned.allowed, ledger, made)
        return Ran(released, planned, charged=any(cost.rho for cost in planned.costs))


def payable(room: Room, request: Request) -> Plan:
    """What is to be paid. The signed job is kept before any entry names it.

    Errors: Refused, Unaffordable and SelectionSpent, each logged as a denial.
    The caller ensures: it is alone in the room (`Room.changing`).
    """
    room.keep_request(request)
    try:
        planned = plan(room, request)
        planned.refuse_unaffordable()
    except (Refused, Unaffordable, SelectionSpent) as refusal:
        clause = refusal.clause if isinstance(refusal, Refused) else "budget"
        with room.ledger() as ledger:
            ledger.deny(context_of(room.agreement, request), clause)
        raise
    return planned
