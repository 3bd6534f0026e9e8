"""`passbox job`, `plan` and `run`: asking, pricing and paying."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .hints import own_keys
from .receipt import ledger_entries
from .room import RoomFolder
from .show import NOT_KNOWN, JsonFlag, Part, Result, Table, note, progressing, say, warn

if TYPE_CHECKING:
    from ..cleanroom.job import Plan
    from ..cleanroom.room import Room
    from ..cleanroom.target import Target
    from ..policies.jobs.job import Job

app = typer.Typer(help="Draft and sign a job.", no_args_is_help=True)

JobFile = Annotated[Path, typer.Argument(metavar="JOB", help="job.toml, with its asker's signature beside it")]


@app.command("new")
def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="what to ask for: a kind that the contract allows")],
    contract: Annotated[Path, typer.Option(help="contract.toml")],
    epsilon: Annotated[float, typer.Option(help="everything the job draws is within it: above 0, at most 64")] = 1.0,
    size: Annotated[
        int | None, typer.Option(help="a lookalike's: people in the audience [default: the contract's smallest]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="where to write it [default: KIND.toml]")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a job, explained line by line, for its asker to edit and sign."""
    from ..cleanroom.asking import draft_job
    from ..cleanroom.files import write_new
    from ..policies.agreement import read_contract
    from ..policies.request import parse_job
    from .words import allowed_job, asked_epsilon

    agreed, data = read_contract(contract)
    rule = allowed_job(kind, size, agreed)
    path = out or Path(f"{kind}.toml")
    text = draft_job(agreed, data, rule, asked_epsilon(epsilon), size)
    written = write_new(path, text.encode(), same_is_fine=True)
    doubt = [f"as it stands, {said}" for said in _refused(contract, parse_job(text.encode()), rule.ask[0])]
    say(
        Result(
            {"job": str(path), "kind": kind, "written": written, "warnings": doubt},
            [f"wrote `{path}`" if written else f"`{path}` is here already, nothing changed"],
            f"edit it, then `passbox job sign {path} --contract {contract} --key {own_keys()}`",
            doubt,
        ),
        as_json,
    )


@app.command("sign")
def sign(
    job: JobFile,
    contract: Annotated[Path, typer.Option(help="contract.toml")],
    key: Annotated[Path, typer.Option("--key", help="your NAME.keys folder")],
    as_json: JsonFlag = False,
) -> None:
    """Sign a job as the one who asks. Send it with its .sig to the operator.

    Where the contract will refuse the job, it is signed all the same, with a warning and exit code 0.
    """
    from ..cleanroom.keys import open_keys
    from ..cleanroom.signing import party_of, sign_job
    from ..policies.agreement import read_contract
    from .words import passphrase

    agreed, _ = read_contract(contract)
    keys = open_keys(key)
    party = party_of(agreed, keys)
    asked, at = sign_job(job, party, keys.signer(passphrase(key)))
    ledger = "running it as it is puts a refusal into the ledger"
    doubt = [f"{said}; {ledger}" for said in _refused(contract, asked, party)]
    say(
        Result(
            {"job": str(job), "kind": asked.kind, "asker": party, "signature": str(at), "warnings": doubt},
            [f"signed as {party}: `{at}`"],
            f"send `{job}` and `{at}` to {agreed.room.operator}" if not doubt else "mend the job, and sign it again",
            doubt,
        ),
        as_json,
    )


def _refused(contract: Path, job: Job, asker: str) -> list[str]:
    """Why every room would refuse a job; nothing while the contract is not signed by all."""
    from ..cleanroom.asking import refusal
    from ..policies.agreement import SignatureMissing, read_agreement
    from .words import clause_said, today

    try:
        refused = refusal(read_agreement(contract), job, asker, today())
    except SignatureMissing:
        return []
    if refused is None:
        return []
    return [f"this job will be refused: {clause_said(refused.clause)}: {refused.rule}; {refused.remedy}"]


def plan(
    room: RoomFolder,
    job: JobFile,
    explain: Annotated[bool, typer.Option("--explain", help="say what a reader could find out at worst")] = False,
    target: Annotated[
        str, typer.Option(help="how far a number may be off, such as 50 or people=50: says the ε it needs")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Say what a job would cost, whether it fits, and how exact it would be. Touches no data, charges nothing.

    Exit code 0 whether or not the job fits the budget: `fits` in `--json` says which.
    """
    from ..cleanroom.job import plan as price
    from ..cleanroom.job import read_request
    from ..cleanroom.room import open_room
    from ..cleanroom.target import target as epsilon_for
    from .words import accuracy

    wanted = accuracy(target) if target else None
    opened = open_room(room)
    planned = price(opened, read_request(opened, job))
    found = epsilon_for(opened.contract, planned, wanted[1], wanted[0]) if wanted else None
    parts: list[Part] = [_costs(planned), *_selections(planned), _precision(planned)]
    parts += _threat(opened, planned)
    parts += [f"- {sentence}" for sentence in (*planned.allowed.learns, *_words(opened), *planned.notes)]
    parts += _verdict(planned)
    parts += [_needed(found, planned)] if found else []
    if explain:
        parts += _explained(planned)
    then = "" if planned.unaffordable() else f"`passbox run {room} {job}`"
    data = _plan_json(planned) | {"threat_model": planned.allowed.request.job.threat_model(opened.contract)}
    data |= {"target": asdict(found)} if found else {}
    say(Result(data, parts, then, warnings=planned.warnings), as_json)


def _threat(room: Room, planned: Plan) -> list[Part]:
    """What is secret, by the threat model's name; nothing for jobs that count."""
    from ..policies.threat import SECRET

    model = planned.allowed.request.job.threat_model(room.contract)
    return [f"- threat model `{model}`: {SECRET[model]}"] if model else []


def _needed(found: Target, planned: Plan) -> str:
    number, gives = f"{found.number} within ±{found.within:g}", f"which gives ±{found.half_width:,.4g}"
    if planned.paid and found.planned <= found.within:
        return f"{found.number} is within ±{found.planned:,.4g} by what was paid before: nothing more is needed"
    needs = f"{number} needs epsilon = {found.epsilon:g}, {gives}"
    if planned.paid:
        needs = f"what was paid before gives ±{found.planned:,.4g}; {needs}, in another draw that is paid for by itself"
    if found.fits:
        return f"{needs}; it fits. Write it into the job, and sign it again"
    return f"{needs}; that does not fit now: the largest that does is epsilon = {planned.largest:g}"


def _words(room: Room) -> list[str]:
    """What columns that came privatised mean; nothing where there are none."""
    from ..cleanroom.private import spoken

    held = room.datasets()
    return [sentence for name, item in held.items() for sentence in spoken(name, item.manifest.private)]


def _verdict(planned: Plan) -> list[Part]:
    """Whether it fits, and what would."""
    if planned.paid:
        return ["all of it was paid before: running it costs nothing"]
    if (short := planned.unaffordable()) is not None:
        return [f"does not fit: {short.message}", f"to make it fit: {short.hint}"]
    largest, cosigned = f"ε {planned.largest:g}", f"ε {planned.largest_cosigned or 0:g}"
    later = f" now, and {cosigned} once a witness has cosigned" if cosigned not in ("ε 0", largest) else ""
    return [f"it fits; the largest such job that would is {largest}{later}"]


def _costs(planned: Plan) -> Table:
    rows = [
        (
            cost.dataset,
            cost.owner,
            f"{planned.allowed.request.job.epsilon:g}",
            f"{cost.spent:.3f} of {cost.cap:g}{' for labels' if cost.labels else ''}",
            f"{cost.spent if planned.paid else cost.spent_after:.3f}",
            f"{cost.largest_after:.3f}",
        )
        for cost in planned.costs
    ]
    header = ("charged to", "owner", "ε of the job", "ε spent now", "ε spent then", "largest ε that then fits")
    return Table(header, rows, right=(2, 3, 4, 5), whole=(0, 3))


def _selections(planned: Plan) -> list[Part]:
    """What showing keys that nobody listed costs beside."""
    rows = [
        (
            cost.dataset,
            cost.owner,
            _delta(cost.asked),
            f"{_delta(cost.spent)} of {_delta(cost.cap)}",
            _delta(cost.spent + cost.asked),
        )
        for cost in planned.selections
    ]
    header = ("charged to", "owner", "δ for keys that nobody listed", "δ spent now", "δ spent then")
    return [Table(header, rows, right=(2, 3, 4), whole=(0, 3))] if rows else []


def _delta(units: int) -> str:
    from ..dp.budget import DELTA_UNIT

    return f"{units / DELTA_UNIT:g}"


def _precision(planned: Plan) -> Part:
    """Which table a number stands in is said where not all stand in the same."""
    if not planned.precision:
        return "at these sizes it cannot be foreseen how exact it would be"
    places: dict[tuple[str, str, str], list[str]] = {}
    for row in planned.precision:
        said = NOT_KNOWN if row.open else f"±{_width(row.half)}"
        places.setdefault((row.number, row.given, said), []).append(row.table)
    several = len({tuple(tables) for tables in places.values()}) > 1
    rows = [(*([", ".join(dict.fromkeys(tables))] if several else []), *row) for row, tables in places.items()]
    header = (*(["table"] if several else []), "number", "if", "95 % interval")
    everywhere = list(dict.fromkeys(row.table for row in planned.precision if row.table))
    title = f"in each table: {', '.join(everywhere)}" if len(everywhere) > 1 and not several else ""
    return Table(header, rows, title, right=(len(header) - 1,), whole=(len(header) - 3, len(header) - 1))


def _width(half: float) -> str:
    """As many digits as tell something."""
    if half >= 10:
        return f"{half:,.0f}"
    return f"{half:.3f}" if half >= 0.01 else f"{half:.2g}"


def _explained(planned: Plan) -> list[Part]:
    rows = [(f"{epsilon:g}", f"{auc:.2f}") for epsilon, auc in planned.worst_case]
    kind = planned.allowed.request.job.kind
    flips = any(cost.labels for cost in planned.costs)
    crafts = "crafts a feature for one person and " if kind in ("lookalike", "completion") and not flips else ""
    what = "is on the list" if kind in ("lookalike", "overlap") else "is in the data, with all of that person's rows,"
    of = "who is on it and one who is not" if kind in ("lookalike", "overlap") else "who is in it and one who is not"
    return [
        "what nobody can learn from it: what any one person did or saw, beyond the odds below; that holds whatever "
        "else is known of that person, and what other releases add to it, the budget counts",
        f"at worst, a reader who {crafts}knows everything else can test whether one person {what} from this; the best "
        f"test's AUC: of one person {of}, how often it tells which is which (a coin: .50)",
        Table(("ε", "AUC of the best test"), rows, right=(0, 1)),
    ]


def _plan_json(planned: Plan) -> dict[str, Any]:
    from ..dp.budget import DELTA_UNIT

    return {
        "kind": planned.allowed.request.job.kind,
        "asker": planned.allowed.request.asker,
        "epsilon": planned.allowed.request.job.epsilon,
        "paid": planned.paid,
        "fits": planned.unaffordable() is None,
        "largest": planned.largest,
        "largest_cosigned": planned.largest_cosigned,
        "costs": [
            {
                "dataset": cost.dataset,
                "owner": cost.owner,
                "rho": cost.rho,
                "spent": cost.spent,
                "spent_after": cost.spent_after,
                "cap": cost.cap,
                "labels": cost.labels,
                "largest_after": cost.largest_after,
                "fits": cost.fits,
                "rho_left": cost.left,
                "rho_left_before_cosigning": cost.now,
            }
            for cost in planned.costs
        ],
        "selections": [
            {
                "dataset": cost.dataset,
                "owner": cost.owner,
                "delta": cost.asked / DELTA_UNIT,
                "spent": cost.spent / DELTA_UNIT,
                "cap": cost.cap / DELTA_UNIT,
                "fits": cost.fits,
            }
            for cost in planned.selections
        ],
        "precision": [
            {"table": row.table, "number": row.number, "if": row.given, "half_width": None if row.open else row.half}
            for row in planned.precision
        ],
        "worst_case": [{"epsilon": epsilon, "auc": auc} for epsilon, auc in planned.worst_case],
        "learns": list(planned.allowed.learns),
        "notes": list(planned.notes),
        "warnings": list(planned.warnings),
    }


def run(room: RoomFolder, job: JobFile, as_json: JsonFlag = False) -> None:
    """Run a signed job: check, pay in the ledger, make the release and seal it to its readers.

    What deserves a second look is said before anything is paid; `passbox plan` says it without paying.
    """
    from dataclasses import replace

    from ..cleanroom.ahead import paid_ahead, released_by
    from ..cleanroom.job import read_request
    from ..cleanroom.job import run as perform
    from ..cleanroom.plan import SelectionSpent, Unaffordable
    from ..cleanroom.room import open_room
    from ..policies.refused import Refused

    opened = open_room(room)
    request = read_request(opened, job)
    opened.refuse_expired()
    heard = False

    def paying(planned: Plan) -> None:
        nonlocal heard
        heard = not as_json and warn(planned.warnings)

    try:
        with progressing("checking, paying and making the release") as progress:
            ran = perform(replace(opened, progress=progress), request, paying)
    except (Refused, Unaffordable, SelectionSpent):
        if not as_json:
            note("the refusal stands in the ledger now, at no cost; `passbox plan` asks without an entry")
        raise
    with opened.ledger() as ledger:
        leaves = ledger.leaves()
    release, ahead = ran.release, paid_ahead(leaves)
    entries = sorted({*release.entries, *released_by(leaves, request.digest)})
    readers = ", ".join(release.recipients)
    paid = "paid for" if ran.charged else "costs nothing: it was paid for before, and its numbers are the same"
    say(
        Result(
            {
                "release": release.id,
                "kind": release.kind,
                "recipients": list(release.recipients),
                "entries": entries,
                "charged": ran.charged,
                "path": str(release.path),
                "warnings": list(ran.plan.warnings),
            },
            [
                f"release {release.id}, {paid}; {ledger_entries(entries, ahead)}",
                f"sealed to {readers}: nobody else can open it",
            ],
            f"`passbox release export {room} --out FOLDER`, and send the file to {readers}",
            () if heard else ran.plan.warnings,
        ),
        as_json,
    )
