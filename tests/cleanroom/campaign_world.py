"""The same parties under a contract about a campaign: visitors, exposures and purchases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passbox.cleanroom import opening, release
from passbox.cleanroom.cards import read_card
from passbox.cleanroom.foundation import create_room
from passbox.cleanroom.newkeys import make
from passbox.cleanroom.samples import campaign
from passbox.cleanroom.submit import submit

from .world import CONTRACT, PARTIES, World, prepare_all, sign_contract, toml_of

CAMPAIGN_PEOPLE = 2_000
TABLE_KINDS = ("aggregate", "reach", "frequency", "campaign", "topics")
"""Kinds of jobs about a campaign."""


@dataclass(frozen=True)
class CampaignWorld(World):
    def job_text(self, kind: str, /, **changes: Any) -> str:
        fields: dict[str, Any] = {"recipients": ["advertiser"], "epsilon": 1.0}
        return "\n".join(
            [f'kind = "{kind}"', *(f"{name} = {toml_of(value)}" for name, value in (fields | changes).items())]
        )

    def open(self, listed: release.Listed, reader: str = "advertiser", *, ids: bool = False) -> opening.Opened:
        return super().open(listed, reader, ids=ids)


def campaign_contract(folder: Path, rules: str = "") -> str:
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
    allow = "\n".join(f'  {{ job = "{kind}", {both} }},' for kind in (*TABLE_KINDS, "overlap"))
    return (
        f"{head}{campaign.contract_blocks()}[rules]\nsmallest_seed = 100\nsmallest_audience = 200\n{rules}"
        f"allow = [\n{allow}\n]\n"
    )


def made_campaign(folder: Path, people: int = CAMPAIGN_PEOPLE, rules: str = "") -> CampaignWorld:
    """A room where everything was submitted."""
    for name, role in PARTIES.items():
        make(folder, name, role, None, "rooms.example/spring" if name == "host" else None)
    world = CampaignWorld(folder)
    world.contract.write_text(campaign_contract(folder, rules))
    agreement = sign_contract(world.contract, folder)
    sample = campaign.write(people, folder / "p", folder / "a")
    sources = {"visitors": sample.visitors, "exposures": sample.exposures, "purchases": sample.purchases}
    bundles = prepare_all(world, sources)
    create_room(world.place, agreement, world.keys("host"), world.clock)
    for bundle in bundles.values():
        submit(world.room(), bundle)
    return world
