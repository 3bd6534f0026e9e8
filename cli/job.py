"""`passbox job`, `plan` and `run`: asking, pricing and paying."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .room import RoomFolder
from .show import JsonFlag, Result, Table, say, working

if TYPE_CHECKING:
    from ..cleanroom.job import Plan

app = typer.Typer(help="Draft and sign a job.", no_args_is_help=True)

JobFile = Annotated[Path, typer.Argument(metavar="JOB", help="job.toml, with its asker's signature beside it")]


@app.command("new")
def new(
    kind: Annotated[str, typer.Argument(help="lookalike or overlap")],
    contract: Annotated[Path, typer.Option(help="contract.toml")],
    epsilon: Annotated[float, typer.Option(help="everything the job draws is within it")] = 1.0,
    size: Annotated[int, typer.Option(help="a lookalike's: people in the audience")] = 20_000,
    out: Annotated[Path | None, typer.Option(help="where to write it [default: KIND.toml]")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a job, explained line by line, for its asker to edit and sign."""
    from ..cleanroom.files import write_new
    from ..policies.agreement import read_contract
    from ..policies.template import job_text
    from .words import NoRole

    agreed, _ = read_contract(contract)
    rule = next((rule for rule in agreed.rules.allow if rule.job == kind), None)
    if rule is None:
        allowed = ", ".join(sorted({rule.job for rule in agreed.rules.allow}))
        raise NoRole(f"the contract allows no {kind}", f"it allows {allowed}")
    people = next((name for name, held in agreed.dataset.items() if held.columns), next(iter(agreed.dataset)))
    seed = next((name for name in agreed.dataset if name != people), people)
    path = out or Path(f"{kind}.toml")
    text = job_text(kind, agreed.name, people, seed, rule.recipients, epsilon, size)
    written = write_new(path, text.encode(), same_is_fine=True)
    say(
        Result(
            {"job": str(path), "kind": kind, "written": written},
            [f"wrote `{path}`" if written else f"`{path}` is here already, nothing changed"],
            f"edit it, then `passbox job sign {path} --contract {contract} --key NAME.keys`",
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
    """Sign a job as the one who asks. Send it with its .sig to the operator."""
    from ..cleanroom.keys import open_keys
    from ..cleanroom.signing import party_of, sign_job
    from ..policies.agreement import read_contract
    from .words import passphrase

    agreed, _ = read_contract(contract)
    keys = open_keys(key)
    party = party_of(agreed, keys)
    asked, at = sign_job(job, party, keys.signing(passphrase(key)))
    say(
        Result(
            {"job": str(job), "kind": asked.kind, "asker": party, "signature": str(at)},
            [f"signed as {party}: `{at}`"],
            f"send `{job}` and `{at}` to {agreed.room.operator}",
        ),
        as_json,
    )


def plan(
    room: RoomFolder,
    job: JobFile,
    explain: Annotated[bool, typer.Option("--explain", help="say what a reader could find out at worst")] = False,
    as_json: JsonFlag = False,
) -> None:
    """What a job would cost and how exact it would be. Touches no data, charges nothing."""
    from ..cleanroom.job import plan as price
    from ..cleanroom.job import read_request
    from ..cleanroom.room import open_room

    opened = open_room(room)
    planned = price(opened, read_request(opened, job))
    parts: list[str | Table] = [_costs(planned), _precision(planned)]
    parts += [f"- {sentence}" for sentence in planned.allowed.learns]
    if planned.paid:
        parts.append("all of it was paid before: running it costs nothing")
    if explain:
        parts += _explained(planned)
    say(Result(_plan_json(planned), parts, f"`passbox run {room} {job}`", warnings=planned.allowed.warnings), as_json)


def _costs(planned: Plan) -> Table:
    rows = [
        (
            cost.dataset,
            cost.owner,
            f"{planned.allowed.request.job.epsilon:g}",
            f"{cost.spent:.3f} of {cost.cap:g}",
            f"{cost.spent if planned.paid else cost.spent_after:.3f}",
            f"{cost.largest_after:.3f}",
        )
        for cost in planned.costs
    ]
    header = ("charged to", "owner", "ε of the job", "ε spent now", "ε spent then", "largest ε that then fits")
    return Table(header, rows, right=(2, 3, 4, 5))


def _precision(planned: Plan) -> Table:
    rows = [
        (what, assumed, f"±{half:.3f}" if half < 10 else f"±{half:,.0f}") for what, assumed, half in planned.precision
    ]
    return Table(("number", "if", "95 % interval"), rows, right=(2,))


def _explained(planned: Plan) -> list[str | Table]:
    rows = [(f"{epsilon:g}", f"{auc:.2f}") for epsilon, auc in planned.worst_case]
    return [
        "at worst, a reader who crafts a feature for one person and knows everything else can test whether that person "
        "is on the list; how often the best test is right, where .50 is a coin:",
        Table(("ε", "AUC of the best test"), rows, right=(0, 1)),
    ]


def _plan_json(planned: Plan) -> dict[str, Any]:
    return {
        "kind": planned.allowed.request.job.kind,
        "asker": planned.allowed.request.asker,
        "epsilon": planned.allowed.request.job.epsilon,
        "paid": planned.paid,
        "costs": [
            {
                "dataset": cost.dataset,
                "owner": cost.owner,
                "rho": cost.rho,
                "spent": cost.spent,
                "spent_after": cost.spent_after,
                "cap": cost.cap,
                "largest_after": cost.largest_after,
            }
            for cost in planned.costs
        ],
        "precision": [{"number": what, "if": given, "half_width": half} for what, given, half in planned.precision],
        "worst_case": [{"epsilon": epsilon, "auc": auc} for epsilon, auc in planned.worst_case],
        "learns": list(planned.allowed.learns),
        "warnings": list(planned.allowed.warnings),
    }


def run(room: RoomFolder, job: JobFile, as_json: JsonFlag = False) -> None:
    """Run a signed job: check, pay in the ledger, make the release and seal it to its readers."""
    from ..cleanroom.job import read_request
    from ..cleanroom.job import run as perform
    from ..cleanroom.room import open_room

    with working("checking, paying and making the release"):
        opened = open_room(room)
        ran = perform(opened, read_request(opened, job))
    release = ran.release
    readers = ", ".join(release.recipients)
    paid = "paid for" if ran.charged else "costs nothing: it was paid for before, and its numbers are the same"
    say(
        Result(
            {
                "release": release.id,
                "kind": release.kind,
                "recipients": list(release.recipients),
                "entries": list(release.entries),
                "charged": ran.charged,
                "path": str(release.path),
            },
            [
                f"release {release.id}, {paid}; ledger entries {', '.join(map(str, release.entries))}",
                f"sealed to {readers}: nobody else can open it",
            ],
            f"`passbox release export {room} --out FOLDER`, and send the file to {readers}",
        ),
        as_json,
    )
