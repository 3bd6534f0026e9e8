"""A signed room with a campaign in it: visitors and exposures of the publisher, purchases of the advertiser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conftest import CONTRACT, PARTIES, World, _toml, prepare_all, sign_contract

from passbox.cleanroom.keys import make, read_card
from passbox.cleanroom.room import create_room
from passbox.cleanroom.samples import campaign
from passbox.cleanroom.submit import submit

if TYPE_CHECKING:
    from passbox.cleanroom.opening import Opened
    from passbox.cleanroom.release import Listed

PEOPLE = 2_000
KINDS = ("aggregate", "reach", "frequency", "campaign", "topics")
"""Kinds of jobs about a campaign."""


@dataclass(frozen=True)
class CampaignWorld(World):
    def job_text(self, kind: str, /, **changes: Any) -> str:
        fields: dict[str, Any] = {"recipients": ["advertiser"], "epsilon": 1.0}
        return "\n".join(
            [f'kind = "{kind}"', *(f"{name} = {_toml(value)}" for name, value in (fields | changes).items())]
        )

    def open(self, listed: Listed, reader: str = "advertiser", *, ids: bool = False) -> Opened:
        return super().open(listed, reader, ids=ids)


def contract_text(folder: Path, rules: str = "") -> str:
    cards = {name: read_card(folder / f"{name}.party.toml", "party") for name in PARTIES}
    parties = "\n".join(
        f'[party.{name}]\nrole = "{PARTIES[name]}"\nsign = "{card["sign"]}"\nseal = "{card["seal"]}"'
        for name, card in cards.items()
    )
    head, _, _ = CONTRACT.partition("[dataset.visitors]")
    head = head.format(
        expires="2027-06-30", operator="host", room=read_card(folder / "host.room.toml", "room"), parties=parties
    )
    both = 'ask = ["publisher", "advertiser"], recipients = ["publisher", "advertiser", "officer"]'
    allow = "\n".join(f'  {{ job = "{kind}", {both} }},' for kind in (*KINDS, "overlap"))
    return (
        f"{head}{campaign.contract_blocks()}[rules]\nsmallest_seed = 100\nsmallest_audience = 200\n{rules}"
        f"allow = [\n{allow}\n]\n"
    )


def made(folder: Path, people: int = PEOPLE, rules: str = "") -> CampaignWorld:
    """A room where everything was submitted."""
    for name, role in PARTIES.items():
        make(folder, name, role, None, "rooms.example/spring" if name == "host" else None)
    world = CampaignWorld(folder)
    world.contract.write_text(contract_text(folder, rules))
    agreement = sign_contract(world.contract, folder)
    sample = campaign.write(people, folder / "p", folder / "a")
    sources = {"visitors": sample.visitors, "exposures": sample.exposures, "purchases": sample.purchases}
    bundles = prepare_all(world, sources)
    create_room(world.place, agreement, world.keys("host"), world.clock)
    for bundle in bundles.values():
        submit(world.room(), bundle)
    return world
