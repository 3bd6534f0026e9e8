"""`passbox room`, `submit` and `match`: what the operator does before jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .show import JsonFlag, Result, Table, say, working

app = typer.Typer(help="Make and show a room.", no_args_is_help=True)

RoomFolder = Annotated[Path, typer.Argument(metavar="ROOM", help="the room's folder")]


@app.command("new")
def new(
    folder: RoomFolder,
    contract: Annotated[Path, typer.Option(help="contract.toml, signed by all its parties")],
    key: Annotated[Path, typer.Option("--key", help="the operator's NAME.keys folder")],
    as_json: JsonFlag = False,
) -> None:
    """Make a room for a contract. Refuses one that is not signed by all its parties."""
    from ..cleanroom.keys import open_keys
    from ..cleanroom.room import create_room
    from ..policies.agreement import read_agreement

    agreement = read_agreement(contract)
    made = create_room(folder, agreement, open_keys(key))
    name = agreement.contract.room.name
    say(
        Result(
            {"room": str(folder), "name": name, "contract": agreement.digest, "created": made},
            [
                f"made room {name} in `{folder}/`" if made else f"room {name} is here already, nothing changed",
                f"contract {agreement.contract.name} is signed by {', '.join(agreement.signatures)}",
            ],
            f"`passbox submit {folder} BUNDLE` for every data set",
        ),
        as_json,
    )


@app.command("show")
def show(folder: RoomFolder, as_json: JsonFlag = False) -> None:
    """Show what is in a room: public sizes, releases and what was spent."""
    from ..cleanroom.release import releases
    from ..cleanroom.room import open_room

    room = open_room(folder)
    held = room.submitted()
    rows = [
        (name, rule.owner, f"{held[name].rows:,}" if name in held else "not submitted yet")
        for name, rule in room.contract.dataset.items()
    ]
    listed = releases(room)
    say(
        Result(
            {
                "room": str(folder),
                "name": room.contract.room.name,
                "contract": room.contract.name,
                "datasets": {name: {"rows": item.rows, "manifest": item.manifest} for name, item in held.items()},
                "releases": [item.id for item in listed],
            },
            [
                f"{room.contract.room.name}, contract {room.contract.name} until {room.contract.expires}",
                Table(("data set", "owner", "rows"), rows, right=(2,)),
                f"{len(listed)} releases; `passbox ledger show {folder}` says what was spent",
            ],
        ),
        as_json,
    )


def submit(
    room: RoomFolder,
    bundle: Annotated[Path, typer.Argument(help="what a party prepared")],
    as_json: JsonFlag = False,
) -> None:
    """Take a bundle in: verify everything about it, then store it encrypted, whole or not at all."""
    from ..cleanroom.room import open_room
    from ..cleanroom.submit import submit as take

    with working("verifying and storing"):
        taken = take(open_room(room), bundle)
    manifest = taken.dataset.manifest
    verb = "took in" if taken.new else "nothing changed: the room holds"
    say(
        Result(
            {
                "dataset": manifest.dataset,
                "owner": manifest.owner,
                "rows": manifest.rows,
                "manifest": taken.dataset.digest,
                "new": taken.new,
            },
            [f"{verb} {manifest.dataset} of {manifest.owner}, {manifest.rows:,} rows (public)"],
            f"`passbox match {room}` once all data sets are in",
        ),
        as_json,
    )


def match(room: RoomFolder, as_json: JsonFlag = False) -> None:
    """Match the data sets of different owners. Says nothing that depends on who matches."""
    from ..cleanroom.job import match as match_all
    from ..cleanroom.room import open_room
    from .words import NoSuchDataset

    with working("matching"):
        opened = open_room(room)
        pairs = match_all(opened)
    if not pairs:
        raise NoSuchDataset("to match: two owners must submit first", ", ".join(opened.contract.dataset))
    rows = [(pair.people, f"{pair.people_rows:,}", pair.seed, f"{pair.seed_rows:,}") for pair in pairs]
    say(
        Result(
            {
                "pairs": [{"people": pair.people, "seed": pair.seed, "new": pair.new} for pair in pairs],
                "rule": opened.contract.match.rule,
                "rows_moved_by_one_record": 1,
            },
            [
                Table(("people", "rows", "seed", "rows"), rows, right=(1, 3)),
                "matched; one record of either side moves at most one matched row",
                "how many match is secret until a job pays for it",
            ],
            f"`passbox plan {room} JOB`",
        ),
        as_json,
    )
