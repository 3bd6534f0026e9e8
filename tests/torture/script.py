"""What the people of a room type, in order: every command that changes something, and what happens between them.

All of it is typed in one folder, so that a judge sees everything at once: the operator's, with the officer's keys
beside its own, and the owners of data at home in `publisher/` and `advertiser/`. It goes through two mishaps: the
room's disk is lost after a job that is in no copy of its log, and the room made anew is closed for a second contract.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from passbox.cleanroom.keys import open_keys
from passbox.policies.sign import sign

Type = Callable[[str], None]
"""Types one line in the folder; it must succeed."""

CONTRACTS = {"spring": "contract.toml", "summer": "summer.toml"}
"""Which contract a room is for: what its ledger is verified against."""


def nothing(_place: Path, _type: Type) -> None:
    """Nothing happens before most commands."""


@dataclass(frozen=True)
class Typed:
    """A command. meanwhile: what happens before it, without a fault. again: how it may end when it is typed twice."""

    name: str
    line: str
    meanwhile: Callable[[Path, Type], None] = nothing
    again: frozenset[int] = frozenset({0})

    @property
    def words(self) -> list[str]:
        return self.line.split()


def verify(room: str) -> list[str]:
    """The command that verifies a room."""
    return ["ledger", "verify", room, "--contract", CONTRACTS[room]]


# -- between the commands ----------------------------------------------------------------------------------------------


def draft_another_job(place: Path, _type: Type) -> None:
    text = (place / "overlap.toml").read_text()
    (place / "more.toml").write_text(re.sub(r"(?m)^epsilon = \S+", "epsilon = 0.3", text))


def receive_a_release(place: Path, _type: Type) -> None:
    (sealed,) = (place / "out").glob("lookalike-*.release")
    shutil.copy(sealed, place / "publisher" / "audience.release")


def lose_the_room(place: Path, type_: Type) -> None:
    """A copy of the log was kept; then somebody read one more release; then the disk is gone."""
    type_("ledger export spring --out kept.ledger")
    type_("run spring more.toml")
    shutil.rmtree(place / "spring")


def the_advertiser_approves(_place: Path, type_: Type) -> None:
    type_("ledger approve kept.ledger loss.toml --contract contract.toml --key advertiser/advertiser.keys")


def draft_the_next_contract(place: Path, type_: Type) -> None:
    """The same parties, and a room of another name; the owners of data have not signed it yet."""
    type_("keys new host2 --room rooms.example/summer --role operator --ssh-key host.keys/sign")
    (place / "summer.toml").write_text(_continuing(place))
    for keys in ("officer.keys", "host2.keys"):
        type_(f"contract sign summer.toml --key {keys}")


def _continuing(place: Path) -> str:
    before = (place / "contract.toml").read_text()
    seals = [(place / f"{name}.party.toml").read_text().partition('seal = "')[2][:62] for name in ("host", "host2")]
    head, table, room = before.replace(*seals).partition("[room]")
    for field in ("name", "seal", "checkpoint"):
        line = re.search(rf'(?m)^{field} = ".*?"', (place / "host2.room.toml").read_text())
        room = re.sub(rf'(?m)^{field} = ".*?"', line[0] if line else "", room, count=1)
    digest = hashlib.sha256(before.encode()).hexdigest()
    return re.sub(r"(?m)^version = 1$", f'version = 1\ncontinues = ["{digest}"]', head) + table + room


def put_the_key_elsewhere(place: Path, _type: Type) -> None:
    """The advertiser's private key is on a token from now on."""
    home = place / "advertiser"
    shutil.copytree(home / "advertiser.keys", home / "token.keys", ignore=shutil.ignore_patterns("sign"))


def sign_elsewhere(place: Path, _type: Type) -> None:
    """What `ssh-keygen -Y sign` writes there."""
    home = place / "advertiser"
    key = open_keys(home / "advertiser.keys").signing(lambda: b"")
    share = home / "token.keys" / "summer.toml.advertiser.share.unsigned"
    (home / "contract.sig").write_text(sign((place / "summer.toml").read_bytes(), key, "passbox-contract"))
    (home / "share.sig").write_text(sign(share.read_bytes(), key, "passbox-share"))


def send_the_closed_log(_place: Path, type_: Type) -> None:
    type_("ledger export spring")


# -- the commands ------------------------------------------------------------------------------------------------------

APPROVE = "ledger approve kept.ledger loss.toml --contract contract.toml"
RECOVER = "ledger recover kept.ledger spring --contract contract.toml --key host.keys --statement loss.toml"
PREPARE = "--contract contract.toml --max-rejects 1%"
DRAFTED = frozenset({0, 4})
"""Typed again where the statement is there, it says who has not signed."""

SCRIPT = (
    Typed("room new", "room new spring --contract contract.toml --key host.keys"),
    Typed("submit people", "submit spring visitors.bundle"),
    Typed("submit seed", "submit spring buyers.bundle"),
    Typed("match", "match spring"),
    Typed("run overlap", "run spring overlap.toml"),
    Typed("run lookalike", "run spring lookalike.toml"),
    Typed("release export", "release export spring --out out"),
    Typed("ledger export", "ledger export spring"),
    Typed("ledger export again", "ledger export spring"),
    Typed(
        "ledger cosign", "ledger cosign spring.ledger --contract contract.toml --key officer.keys --seen spring.seen"
    ),
    Typed("ledger accept", "ledger accept spring spring.officer.cosigned"),
    Typed("ledger verify", "ledger verify spring --contract contract.toml"),
    Typed("keys new", "keys new host3 --role operator"),
    Typed("keys new, of a room", "keys new host3 --room rooms.example/autumn"),
    Typed(
        "contract new",
        "contract new --party publisher.party.toml --party advertiser.party.toml --party officer.party.toml "
        "--party host3.party.toml --room host3.room.toml --from publisher/visitors.csv "
        f"--out autumn.toml --expires {date.today() + timedelta(days=90)}",
    ),
    Typed(
        "prepare people",
        f"prepare publisher/visitors.csv {PREPARE} --dataset visitors --key publisher/publisher.keys "
        "--out publisher/again.bundle",
    ),
    Typed(
        "prepare seed",
        f"prepare advertiser/buyers.csv {PREPARE} --dataset buyers --key advertiser/advertiser.keys "
        "--out advertiser/again.bundle",
    ),
    Typed("job sign", "job sign more.toml --contract contract.toml --key publisher/publisher.keys", draft_another_job),
    Typed(
        "release open",
        "release open publisher/audience.release --key publisher/publisher.keys --ids publisher/visitors.ids "
        "--contract contract.toml",
        receive_a_release,
    ),
    Typed("ledger recover, drafting", RECOVER, lose_the_room, DRAFTED),
    Typed("ledger approve, an owner", f"{APPROVE} --key publisher/publisher.keys"),
    Typed("ledger approve, a witness", f"{APPROVE} --key officer.keys --seen spring.seen", the_advertiser_approves),
    Typed("ledger recover", RECOVER),
    Typed("contract sign", "contract sign summer.toml --key publisher/publisher.keys", draft_the_next_contract),
    Typed("contract sign, asking", "contract sign summer.toml --key advertiser/token.keys", put_the_key_elsewhere),
    Typed(
        "contract sign, taking",
        "contract sign summer.toml --key advertiser/token.keys --signature advertiser/contract.sig "
        "--share-signature advertiser/share.sig",
        sign_elsewhere,
    ),
    Typed("room close", "room close spring --next summer.toml"),
    Typed(
        "room new, continuing",
        "room new summer --contract summer.toml --key host2.keys --continues spring.ledger",
        send_the_closed_log,
    ),
)
