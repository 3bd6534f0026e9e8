"""`passbox release`: what has left the room, and opening it at its reader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .receipt import SHORT, hour_of, places, said_hour
from .reports.hidden import without_hidden
from .reports.kinds import report
from .room import RoomFolder
from .show import JsonFlag, Part, Result, Table, say, working

if TYPE_CHECKING:
    from ..cleanroom.vouched import Vouched

app = typer.Typer(help="List and export releases, and open one at its reader.", no_args_is_help=True)


_LETTERS = ("places", "cells")
"""Fields with a letter a person, of randomised labels: whoever recomputes figures finds them in release.json."""


@app.command("list")
def list_(room: RoomFolder, as_json: JsonFlag = False) -> None:
    """List what has left the room, or may."""
    from ..cleanroom.ahead import paid_ahead
    from ..cleanroom.release import releases
    from ..cleanroom.room import open_room

    opened = open_room(room)
    listed = releases(opened)
    with opened.ledger() as ledger:
        leaves = ledger.leaves()
    ahead = paid_ahead(leaves)
    drawn = {item.id: hour_of(leaves[item.entries[-1]]) for item in listed if item.entries[-1] < len(leaves)}
    rows = [
        (
            item.id,
            item.asked,
            "" if item.epsilon is None else f"{item.epsilon:g}",
            said_hour(drawn.get(item.id, "")),
            (item.job or "")[:SHORT],
            ", ".join(item.recipients),
            places(item.entries, ahead),
        )
        for item in listed
    ]
    data = [
        {
            "id": item.id,
            "kind": item.kind,
            "asked": item.asked,
            "epsilon": item.epsilon,
            "hour": drawn.get(item.id),
            "job": item.job,
            "recipients": list(item.recipients),
            "entries": list(item.entries),
            "paid_ahead": sorted({ahead[entry] for entry in item.entries if entry in ahead}),
        }
        for item in listed
    ]
    header = ("release", "of", "ε", "drawn (UTC)", "its job, sha256", "readers", "entries")
    parts = [Table(header, rows, right=(2,), whole=(0, 3, 4), keys=1)] if rows else ["nothing has left this room"]
    say(Result({"releases": data}, parts, f"`passbox release export {room} --out FOLDER`" if rows else ""), as_json)


@app.command("export")
def export(
    room: RoomFolder,
    release: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="some releases [default: all]")] = None,
    out: Annotated[Path, typer.Option(help="folder to copy the sealed files to")] = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Copy sealed releases to a folder, to be sent to their readers."""
    from ..cleanroom.release import export as copy
    from ..cleanroom.release import releases
    from ..cleanroom.room import open_room

    opened = open_room(room)
    readers = {item.path.name: ", ".join(item.recipients) for item in releases(opened)}
    copied = copy(opened, release, out)
    lines = [f"`{path}`, sealed to {readers[path.name]}" for path in copied]
    then = "send each file to its readers: `passbox release open FILE --key NAME.keys --contract contract.toml`"
    files = [str(path) for path in copied]
    say(Result({"files": files}, lines or ["nothing has left this room"], then if copied else ""), as_json)


@app.command("open")
def open_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="a .release file")],
    key: Annotated[Path, typer.Option("--key", help="your NAME.keys folder")],
    ids: Annotated[
        Path | None, typer.Option(help="the .ids file that `prepare` left: turns tokens into own IDs")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="audience or tables, .csv or .parquet [default: ID.csv for an audience, no file for tables]"),
    ] = None,
    contract: Annotated[
        Path | None, typer.Option(help="contract.toml: also check that the receipt is signed by the contract's room")
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(help="a copy of the ledger: also check that the release stands in it, and who vouches"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Open a release that is sealed to you: numbers with intervals, and an audience as your own IDs."""
    from ..cleanroom.files import write_all_new
    from ..cleanroom.keys import open_keys
    from ..cleanroom.opening import check_signer, open_release, spelled
    from ..cleanroom.tabulated import flat
    from .words import NoRole, audience_path

    if ledger is not None and contract is None:
        raise NoRole("a ledger is verified against your own contract", "add `--contract contract.toml`")
    if len(files) > 1:
        raise NoRole(f"{len(files)} releases are named", f"open one at a time, such as `{files[0]}`")
    (file,) = files
    target = audience_path(out, file, tokens=ids is None)
    opened = open_release(file, open_keys(key).seal_identity(), ids)
    if contract is not None:
        check_signer(file, opened, contract)
    found = _vouched(file, opened.document, ledger, contract) if ledger and contract else None
    tables = flat(opened.document)
    if opened.audience is None and tables is None and out is not None:
        raise NoRole("this release holds no audience to write", "leave `--out` out")
    made: dict[Path, bytes] = {}
    if (rows := tables if out is not None and opened.audience is None else opened.audience) is not None:
        made[target] = spelled(rows, target)
    if opened.labels is not None:
        beside = target.with_suffix(f".labels{target.suffix}")
        made[beside] = spelled(opened.labels, beside)
    left = _add_model(made, file.with_suffix(".model.json"), opened.files.get("model.json"), asked=out is not None)
    write_all_new(made, mode=0o600)
    document = opened.document
    parts = [
        *report(document, _caps(contract)),
        *(_standing(found) if found else []),
        *(f"wrote `{path}`" for path in made),
    ]
    if opened.audience is not None and ids is None:
        parts.append("the audience is in the room's tokens: `--ids DATASET.ids` turns them into your own IDs")
    unsigned = "who made this release was not checked: anybody can seal a file to you; pass `--contract contract.toml`"
    shown = {name: value for name, value in without_hidden(document).items() if name not in _LETTERS}
    data = {**shown, "files": [str(path) for path in made], "signer_checked": contract is not None}
    data |= {"vouched_by": list(found.by)} if found else {}
    doubts = _doubts(document, file, key, contract)
    data |= {"doubts": doubts} if doubts else {}
    said: Any = document["warnings"]
    warnings = [*said, *left, *doubts, *([] if contract else [unsigned])]
    say(Result(data, parts, _after_opening(document, contract, ledger), warnings), as_json)


def _caps(contract: Path | None) -> dict[str, int]:
    """Of the accounts, as the reader's own contract has them; none without one."""
    from ..policies.accounts import caps_of
    from ..policies.agreement import read_contract

    return {cap.account: cap.rho for cap in caps_of(read_contract(contract)[0], "")} if contract else {}


def _add_model(made: dict[Path, bytes], path: Path, data: bytes | None, *, asked: bool) -> list[str]:
    """The model beside its release; where another file is there and no file was asked for, the report is shown without.

    Returns what to say of it. Errors: FileInTheWay.
    """
    from ..cleanroom.files import FileInTheWay, holds

    if data is None:
        return []
    if not path.exists() or holds(path, data):
        made[path] = data
        return []
    if asked:
        raise FileInTheWay(path, "move it away and type it again")
    return [f"the model was not written: another file is at `{path}`; move it away and type it again"]


def _doubts(document: Mapping[str, Any], file: Path, key: Path, contract: Path | None) -> list[str]:
    """What to look into, of a number that was paid for: an overlap of about nobody may be no fact about people."""
    from ..policies.agreement import read_contract
    from .reports.overlap import next_to_nobody

    if document["kind"] != "overlap" or not next_to_nobody(document):
        return []
    agreed = read_contract(contract)[0] if contract else None
    own = [name for name, rule in agreed.dataset.items() if f"{rule.owner}.keys" == key.name] if agreed else []
    words = f"--contract {contract or 'contract.toml'} --dataset {own[0] if own else 'DATASET'}"
    typed = f"passbox doctor match FILE {words} --overlap {file} --key {key}"
    return [
        "it may be that next to nobody matches. Lists that were hashed by two schemes, or keyed otherwise, look just "
        f"so: `{typed}` says for nothing what its owner can see in a list"
    ]


def _vouched(file: Path, document: Mapping[str, Any], ledger: Path, contract: Path) -> Vouched:
    from ..cleanroom.log import read_log
    from ..cleanroom.vouched import vouched
    from ..policies.agreement import read_agreement

    with working("verifying the ledger"):
        return vouched(file, document, read_log(ledger), read_agreement(contract))


def _standing(found: Vouched) -> list[Part]:
    """Where a release stands, and what that is worth."""
    if found.by:
        return [f"it stands in this copy of the ledger, cosigned by {', '.join(found.by)}"]
    return ["it stands in this copy of the ledger, which no witness has cosigned so far: ask again after the next time"]


def _after_opening(document: Mapping[str, Any], contract: Path | None, ledger: Path | None) -> str:
    if contract is None:
        return "type it again with `--contract contract.toml`, your own copy, before you rely on it"
    if ledger is not None:
        return f"`passbox ledger show {ledger}` lists what was spent, and on what"
    what = "this was" if len(document["receipt"]["entries"]) == 1 else "these were"
    return f"with a copy of the ledger, `--ledger EXPORT` shows that {what} paid for, and which witness vouches for it"
