"""`passbox keys`: a party's keys and its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .show import JsonFlag, Part, Result, Verbatim, say

app = typer.Typer(help="Make and show a party's keys.", no_args_is_help=True)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="the party's name, as the contract will use it")],
    role: Annotated[
        str, typer.Option(help="publisher, advertiser, officer or operator [default: NAME if it is one, or its card's]")
    ] = "",
    room: Annotated[str, typer.Option(help="an operator's: name of the room, such as rooms.example/spring")] = "",
    ssh_key: Annotated[
        Path | None, typer.Option(help="use this Ed25519 SSH key; a .pub file where an agent or a token holds it")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make NAME.keys/, which stays here, and NAME.party.toml, the card to hand out.

    An operator's --room, now or later, also makes NAME.room.toml. What is there already stays as it is.
    """
    from ..cleanroom.cards import ROLES, role_of
    from ..cleanroom.newkeys import make
    from ..policies.sign import fingerprint
    from .words import NoRole, plain_name, room_name

    chosen = role or role_of(Path(), plain_name(name)) or (name if name in ROLES or not room else "operator")
    if chosen not in ROLES:
        raise NoRole(f"{chosen} is no role", f"say which with `--role`: {', '.join(ROLES)}")
    known = Path(f"{name}.keys").exists()
    made = make(Path(), plain_name(name), chosen, ssh_key, room_name(room) if room else None)
    mark = fingerprint(made.keys.sign_public())
    cards = [made.card] + ([made.room_card] if made.room_card else [])
    listed = " and ".join(f"`{card}`" for card in cards)
    new = f"added the room's keys to `{made.keys.folder}/`" if known else f"made `{made.keys.folder}/`"
    done = new if made.created else f"`{made.keys.folder}/` is here already, nothing changed"
    say(
        Result(
            {
                "name": name,
                "role": chosen,
                "keys": str(made.keys.folder),
                "cards": [str(card) for card in cards],
                "fingerprint": mark,
                "created": made.created,
            },
            [done, Verbatim(f"fingerprint {mark}"), f"cards to hand out: {listed}"],
            f"{_then(chosen)}; read your fingerprint to the others by voice",
            [_CANNOT_WITNESS] if chosen == "officer" and not made.keys.can_sign() else [],
        ),
        as_json,
    )


_CANNOT_WITNESS = (
    "an agent or a token signs contracts and jobs, but cosigns no ledger, which takes the key itself: an officer who "
    "is to witness makes keys without `--ssh-key`, or with a private key file"
)


def _then(role: str) -> str:
    """Where the card goes: to who drafts the contract."""
    if role == "publisher":
        return "if you draft the contract, gather the others' cards here, then `passbox contract new --help`"
    return "send the cards to whoever drafts the contract, usually the publisher"


@app.command("show")
def show(
    folder: Annotated[Path, typer.Argument(help="a NAME.keys folder")],
    as_json: JsonFlag = False,
) -> None:
    """Show the public half of keys: what the card says, and the fingerprint to read out."""
    from ..cleanroom.keys import open_keys
    from ..policies.sign import fingerprint

    keys = open_keys(folder)
    facts = {
        "sign": keys.sign_public(),
        "fingerprint": fingerprint(keys.sign_public()),
        "seal": keys.seal_public(),
        "can_sign": keys.can_sign(),
    }
    where = "here" if facts["can_sign"] else "with an agent or a token, which signs for you but cosigns no ledger"
    lines: list[Part] = [
        "sign, an SSH public key:",
        Verbatim(str(facts["sign"])),
        "its fingerprint, to be read out:",
        Verbatim(str(facts["fingerprint"])),
        "seal, an age recipient:",
        Verbatim(str(facts["seal"])),
        f"the private half of the signing key is {where}",
    ]
    say(Result({"keys": str(folder), **facts}, lines), as_json)
