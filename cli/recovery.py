"""What happens to a ledger rarely: it is closed for another contract, or made anew after its disk was lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .room import RoomFolder
from .show import JsonFlag, Result, Table, say, working

if TYPE_CHECKING:
    from ..cleanroom.log import Log
    from ..policies.agreement import Agreement

OwnContract = Annotated[Path, typer.Option(help="your own copy of contract.toml, with the signatures beside it")]
Export = Annotated[Path, typer.Argument(metavar="EXPORT", help="the newest copy of the ledger that anybody kept")]


def close(
    room: RoomFolder,
    following: Annotated[Path, typer.Option("--next", help="the signed contract that continues this room's")],
    as_json: JsonFlag = False,
) -> None:
    """Close a room for a contract that goes on with its accounts. It pays for nothing afterwards."""
    from ..cleanroom.room import open_room
    from ..cleanroom.succession import close_room
    from ..policies.agreement import read_agreement

    agreement = read_agreement(following)
    was_open = close_room(open_room(room), agreement)
    said = f"closed: its accounts go on under {agreement.contract.name}"
    say(
        Result(
            {"room": str(room), "next": agreement.digest, "closed": was_open},
            [said if was_open else "it was closed for this contract already, nothing changed"],
            f"`passbox ledger export {room}`, then `passbox room new NEW --contract {following} "
            f"--key NAME.keys --continues {room.name}.ledger`",
        ),
        as_json,
    )


def recover(
    export: Export,
    room: Annotated[Path, typer.Argument(metavar="ROOM", help="the folder of the room that is made anew")],
    contract: OwnContract,
    key: Annotated[Path, typer.Option("--key", help="the operator's NAME.keys folder")],
    statement: Annotated[Path, typer.Option(help="the statement of loss; drafted where it is not there yet")],
    as_json: JsonFlag = False,
) -> None:
    """Make a room anew after its disk was lost, from a copy of its ledger.

    First it drafts a statement of what may have been spent after that copy, which the owners of data and the witnesses
    sign with `ledger approve`. Typed again, with their signatures beside the statement, it makes the room.
    """
    from ..cleanroom.keys import open_keys
    from ..cleanroom.recovery import draft_loss
    from ..cleanroom.recovery import recover as make_anew

    agreement, keys = _agreement(contract), open_keys(key)
    with working("verifying the copy"):
        log = _log(export)
        if not statement.exists():
            draft_loss(log, agreement, statement)
            return say(_drafted(statement, export, agreement), as_json)
        done = make_anew(room, log, agreement, keys, statement)
    return say(
        Result(
            {"room": str(room), "created": done.made, "entries": done.entries, "charged": dict(done.charged)},
            [
                f"made room `{room}/` anew, its ledger has {done.entries} entries"
                if done.made
                else f"room `{room}/` is here already, nothing changed",
                Table(("account", "charged, in 10⁻¹² ρ"), [(a, f"{r:,}") for a, r in done.charged.items()], right=(1,)),
                "noisy numbers and submissions are lost: no statistic that the ledger names is drawn again",
            ],
            f"let the owners submit again, and a witness cosign: `passbox ledger export {room}`",
        ),
        as_json,
    )


def _drafted(statement: Path, export: Path, agreement: Agreement) -> Result:
    from ..policies.loss import approvers

    needed = approvers(agreement.contract)
    assert needed is not None  # noqa: S101 - no statement is drafted without witnesses
    witnesses = f"{needed.enough} of {', '.join(needed.witnesses)}"
    return Result(
        {
            "statement": str(statement),
            "created": False,
            "owners": list(needed.owners),
            "witnesses": list(needed.witnesses),
            "enough": needed.enough,
        },
        [
            f"wrote `{statement}`: what may have been spent after this copy of the ledger was made",
            f"it must be signed by {', '.join(needed.owners)}, and of the witnesses by {witnesses}",
        ],
        f"send it with `{export}/` to each: `passbox ledger approve {export} {statement} --contract contract.toml "
        "--key NAME.keys`, a witness with `--seen FILE`; then type this again",
    )


def approve(
    export: Export,
    statement: Annotated[Path, typer.Argument(metavar="STATEMENT", help="the statement of loss")],
    contract: OwnContract,
    key: Annotated[Path, typer.Option("--key", help="your NAME.keys folder")],
    seen: Annotated[Path | None, typer.Option(help="a witness's: the file that remembers what you cosigned")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign a statement of loss, if it is what this copy of the ledger makes it and you have seen no later one."""
    from ..cleanroom.keys import open_keys
    from ..cleanroom.recovery import approve as sign_statement
    from ..cleanroom.signing import party_of
    from .words import NoRole, passphrase

    agreement, keys = _agreement(contract), open_keys(key)
    party = party_of(agreement.contract, keys)
    cosign = agreement.contract.room.cosign
    if cosign and party in cosign.by and seen is None:
        raise NoRole("a witness says what it has seen", "add `--seen FILE`, the file that `ledger cosign` remembers in")
    signer = keys.signer(passphrase(key))
    with working("verifying the copy"):
        at = sign_statement(_log(export), agreement, statement, party, signer, seen)
    say(
        Result(
            {"party": party, "statement": str(statement), "signature": str(at)},
            [f"signed as {party}: wrote `{at}`"],
            f"send it to {agreement.contract.room.operator}",
        ),
        as_json,
    )


def _agreement(contract: Path) -> Agreement:
    from ..policies.agreement import read_agreement

    return read_agreement(contract)


def _log(export: Path) -> Log:
    from ..cleanroom.log import read_log

    return read_log(export)
