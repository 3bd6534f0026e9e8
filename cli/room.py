"""`passbox room`, `submit` and `match`: what the operator does before jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .show import JsonFlag, Result, Table, counted, progressing, say

if TYPE_CHECKING:
    from ..cleanroom.room import Room
    from ..cleanroom.statement import AccountLine

app = typer.Typer(help="Make, show and close a room.", no_args_is_help=True)

RoomFolder = Annotated[Path, typer.Argument(metavar="ROOM", help="the room's folder")]


def largest(line: AccountLine) -> str:
    """The largest job that fits now, and once a witness has cosigned where that makes a difference."""
    now, cosigned = f"{line.largest_job:.3f}", f"{line.largest_cosigned:.3f}"
    return now if now == cosigned else f"{now}; {cosigned} once cosigned"


@app.command("new")
def new(
    folder: RoomFolder,
    contract: Annotated[Path, typer.Option(help="contract.toml, signed by all its parties")],
    key: Annotated[Path, typer.Option("--key", help="the operator's NAME.keys folder")],
    continues: Annotated[
        list[Path] | None,
        typer.Option(metavar="EXPORT", help="closed ledger of a contract whose accounts this one continues"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a room for a contract. Refuses one that is not signed by all its parties."""
    from ..cleanroom.foundation import create_room
    from ..cleanroom.keys import open_keys
    from ..cleanroom.room import open_room
    from ..cleanroom.succession import continue_room
    from ..policies.agreement import read_agreement

    agreement, keys = read_agreement(contract), open_keys(key)
    made = continue_room(folder, agreement, keys, continues) if continues else create_room(folder, agreement, keys)
    name = agreement.contract.room.name
    say(
        Result(
            {"room": str(folder), "name": name, "contract": agreement.digest, "created": made},
            [
                f"made room {name} in `{folder}/`" if made else f"room {name} is here already, nothing changed",
                f"contract {agreement.contract.name} is signed by {', '.join(agreement.signatures)}",
            ],
            _next(folder, open_room(folder)),
        ),
        as_json,
    )


@app.command("show")
def show(folder: RoomFolder, as_json: JsonFlag = False) -> None:
    """Show what is in a room: public sizes, whether they are matched, releases and what was spent."""
    from dataclasses import asdict

    from ..cleanroom.log import log_of
    from ..cleanroom.matched import is_matched
    from ..cleanroom.release import releases
    from ..cleanroom.room import open_room
    from ..cleanroom.statement import Filter, ahead_of, statement

    room = open_room(folder)
    held = room.submitted()
    rows = [
        (name, rule.owner, f"{held[name].rows:,}" if name in held else "not submitted yet")
        for name, rule in room.contract.dataset.items()
    ]
    listed, matched = releases(room), is_matched(room)
    log = log_of(room)
    said = statement(log.entries, Filter(), ahead_of(log))
    accounts, kept = said.accounts, [(line.account, f"{line.spent:g} of {line.cap:g}") for line in said.selections]
    labels = [(line.account, f"{line.spent:g} of {line.cap:g}") for line in said.responses]
    spent = [(line.account, f"{line.spent:.3f} of {line.cap:g}", largest(line)) for line in accounts]
    say(
        Result(
            {
                "room": str(folder),
                "name": room.contract.room.name,
                "contract": room.contract.name,
                "datasets": {name: {"rows": item.rows, "manifest": item.manifest} for name, item in held.items()},
                "matched": matched,
                "accounts": [asdict(line) for line in accounts],
                "selections": [asdict(line) for line in said.selections],
                "responses": [asdict(line) for line in said.responses],
                "releases": [item.id for item in listed],
            },
            [
                f"{room.contract.room.name}, contract {room.contract.name} until {room.contract.expires}",
                Table(("data set", "owner", "rows"), rows, right=(2,)),
                "matched" if matched else "not matched yet",
                Table(("account", "ε spent", "largest job that fits, ε"), spent, right=(1, 2)),
                *([Table(("account", "δ spent on keys that nobody listed"), kept, right=(1,))] if kept else []),
                *([Table(("account", "ε spent on randomised labels"), labels, right=(1,))] if labels else []),
                counted(len(listed), "release"),
            ],
            _next(folder, room),
        ),
        as_json,
    )


def _missing(room: Room) -> list[str]:
    """Data sets that were not submitted yet, with their owners."""
    held = room.submitted()
    return [f"{name} of {rule.owner}" for name, rule in room.contract.dataset.items() if name not in held]


def _next(folder: Path, room: Room) -> str:
    from ..cleanroom.matched import is_matched

    with room.ledger() as ledger:
        if following := ledger.closed_for():
            return f"this room is closed: its accounts go on under the contract with sha256 {following}"
    if missing := _missing(room):
        return f"`passbox submit {folder} BUNDLE`; still to come: {', '.join(missing)}"
    return f"`passbox plan {folder} JOB`" if is_matched(room) else f"`passbox match {folder}`"


def submit(
    room: RoomFolder,
    bundle: Annotated[Path, typer.Argument(help="what a party prepared")],
    as_json: JsonFlag = False,
) -> None:
    """Take a bundle in: verify everything about it, then store it encrypted, whole or not at all."""
    from ..cleanroom.room import open_room
    from ..cleanroom.submit import submit as take

    with progressing("verifying and storing") as progress:
        opened = open_room(room)
        taken = take(opened, bundle, progress)
    manifest = taken.dataset.manifest
    verb = "took in" if taken.new else "nothing changed: the room holds"
    replaces = f"; replaces {counted(taken.replaced, 'row')}" if taken.replaced is not None else ""
    follows = [_OUTDATED] if taken.outdated else []
    say(
        Result(
            {
                "dataset": manifest.dataset,
                "owner": manifest.owner,
                "rows": manifest.rows,
                "manifest": taken.dataset.digest,
                "new": taken.new,
                "replaced": taken.replaced,
                "warnings": follows,
            },
            [f"{verb} {manifest.dataset} of {manifest.owner}, {counted(manifest.rows, 'row')} (public){replaces}"],
            _next(room, opened),
            follows,
        ),
        as_json,
    )


_OUTDATED = (
    "a signed job that was run on the rows before is refused from now on: whoever asks writes the next `serial` in it "
    "and signs it again, and it is drawn and charged anew"
)


def match(room: RoomFolder, as_json: JsonFlag = False) -> None:
    """Match the data sets of different owners. Says nothing that depends on who matches."""
    from ..cleanroom.matched import match as match_all
    from ..cleanroom.room import RoomUnusable, open_room
    from ..policies.sentences import matching

    with progressing("matching") as progress:
        opened = open_room(room)
        pairs = match_all(opened, progress)
    if not pairs and (missing := _missing(opened)):
        rule = f"nothing can be matched yet: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        them = "it" if len(missing) == 1 else "them"
        raise RoomUnusable(room, rule, f"ask for {them}, then `passbox submit {room} BUNDLE`")
    new, bounds = any(pair.new for pair in pairs), opened.contract.match.bounds
    rows = [(pair.people, f"{pair.people_rows:,}", pair.seed, f"{pair.seed_rows:,}") for pair in pairs]
    say(
        Result(
            {
                "pairs": [{"people": pair.people, "seed": pair.seed, "new": pair.new} for pair in pairs],
                "rule": opened.contract.match.rule,
                "rows_moved_by_one_seed": bounds.seed,
                "rows_moved_by_one_person": bounds.person,
            },
            [
                Table(("people", "rows", "seed", "rows"), rows, right=(1, 3)),
                "matched" if new else "nothing changed: these were matched before",
                *matching(opened.contract)[:2],
                "how many match is secret until a job pays for it",
            ]
            if pairs
            else ["nothing is to be matched: one owner has all people, and events are joined when a job asks for them"],
            _next(room, opened),
        ),
        as_json,
    )
