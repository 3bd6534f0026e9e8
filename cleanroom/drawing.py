"""The sums of a signed job, drawn from the room's ledger for a learner in Python instead of a release.

    drawn = passbox.draw_from(room, passbox.read_request(room, Path("lookalike.toml")))
    learner = LookalikeClassifier(unit="membership").fit_drawn(drawn)      # receipt_: where in the ledger

The code ensures: what is drawn is the first statistic of a job that the contract allows, at that job's price, over the
room's own submitted rows and their own match. The caller hands in neither rows nor labels nor a statistic, and is
handed none of the match. The same job gives the same bytes and costs nothing more; run by `passbox run`, before or
after, it draws no other. Whoever calls holds the noisy numbers unsealed, and runs the room: so its operator must be
among the readers whom the job names, and has been priced with them.
The caller ensures: the process is the operator's own; what it makes of the sums goes to the job's readers alone.
"""

from __future__ import annotations

from ..dp.ledger import Ledger
from ..modelling.draw import Drawn
from ..policies.check import Allowed, Refused
from ..policies.jobs.lookalike import MOMENTS, LookalikeJob
from ..policies.jobs.model import ModelJob
from ..policies.request import Request
from .job import payable
from .matched import read_match
from .measure import crowds, fitted, model
from .room import Room


def draw_from(room: Room, request: Request) -> Drawn:
    """Pay for what a lookalike or a model is fitted on, or find it paid.

    Errors: Refused where the operator is not among the job's readers, or the job is of another kind; as of `job.run`.
    """
    _refuse_onlooker(room, request)
    room.refuse_expired()
    with room.changing():
        allowed = payable(room, request).allowed
        _refuse_other_sums(allowed)
        with room.ledger() as ledger:
            made = _of_lookalike if isinstance(request.job, LookalikeJob) else _of_model
            return made(room, allowed, ledger)


def _refuse_onlooker(room: Room, request: Request) -> None:
    operator = room.contract.room.operator
    if not isinstance(request.job, LookalikeJob | ModelJob):
        raise Refused("kind", f"a {request.job.kind} is not learnt from", "run it: `passbox run`")
    if operator not in request.job.recipients:
        raise Refused(
            "recipients",
            f"{operator} operates the room and would read what is drawn, and the job does not name it",
            "run it: `passbox run` seals what it gives to its readers",
        )


def _refuse_other_sums(allowed: Allowed) -> None:
    first = allowed.purchases[0].specification.statistic
    if isinstance(allowed.request.job, LookalikeJob) and first != MOMENTS:
        raise Refused("learners", f"the job draws {first}, not sums to learn from", "run it: `passbox run`")


def _of_lookalike(room: Room, allowed: Allowed, ledger: Ledger) -> Drawn:
    job, held, purchase = allowed.request.job, room.datasets(), allowed.purchases[0]
    assert isinstance(job, LookalikeJob)  # noqa: S101 - dispatched on it
    matched, crowd = read_match(room, held[job.people], held[job.seed]), crowds.crowd_of(room, job, held[job.people])
    people = crowd.measured(purchase.specification)
    paid = ledger.paid(purchase) or ledger.pay(
        purchase, fitted.moments(crowd, people, matched, purchase.specification.cells)
    )
    return Drawn("membership", crowd.encoder, people, fitted.used(crowd.training, paid))


def _of_model(room: Room, allowed: Allowed, ledger: Ledger) -> Drawn:
    job, held, purchase = allowed.request.job, room.datasets(), allowed.purchases[0]
    assert isinstance(job, ModelJob)  # noqa: S101 - dispatched on it
    matched, crowd = read_match(room, held[job.people], held[job.seed]), model.crowd_of(room, job, held[job.people])
    sums = model.settled(room, ledger, purchase, crowd.training, matched[~crowd.held_out])
    return Drawn("person", crowd.encoder, None, sums)
