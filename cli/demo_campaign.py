"""`passbox demo --campaign`: what a campaign did, asked by the advertiser of a publisher's data and its own."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any

from .show import print_json
from .stage import Stage, keys_made, signed_by_all, verified

DATASETS = {"visitors": "publisher", "exposures": "publisher", "purchases": "advertiser"}
JOBS: dict[str, str] = {
    "reach": 'dataset = "exposures"\nby = ["campaign"]\nhouseholds = true\n',
    "frequency": 'dataset = "exposures"\nmost = 8\n',
    "campaign": """dataset = "exposures"
by = ["campaign"]
clicks = "clicked"
starts = "started"
completes = "completed"
deep = { column = "depth", at_least = 50 }
spend = "cost"
conversions = "purchases"
credit_days = 30
at_most = { impressions = 10, clicks = 2, starts = 8, completes = 5, deep = 6, spend = 0.1, conversions = 2 }
""",
    "topics": """dataset = "visitors"
topics = "topics"
response = "exposures.campaign"
where.exposures.clicked = ["yes"]
topics_per_person = 3
responses_per_person = 1
""",
}
"""What is asked, beside who reads it and its ε."""


def play(stage: Stage, people: int, epsilon: float) -> None:
    """Everything from keys to the cosigned ledger. epsilon: of each job."""
    from ..cleanroom.samples import campaign

    started = time.monotonic()
    for person in ("publisher", "advertiser", "officer", "operator"):
        (stage.folder / person).mkdir(parents=True, exist_ok=True)
    sample = campaign.write(people, stage.folder / "publisher", stage.folder / "advertiser")
    stage.tell("a campaign of invented people: who saw which ad, who clicked, and who bought; every figure is made up")
    stage.tell(f"everybody's files are in {stage.folder}")
    keys_made(stage)
    _agree(stage, min(500, min(sample.rows.values()) // 2))
    _bring_data(stage)
    for kind in JOBS:
        _ask(stage, kind, epsilon)
    verified(stage)
    found = _summary(stage, sample.rows, epsilon, round(time.monotonic() - started, 1))
    if stage.quiet:
        print_json(found)
    else:
        stage.tell(f"{found['ledger']['entries']} ledger entries, verified by the officer from the export alone")
        stage.tell(f"{found['seconds']} s; every command above works again in {stage.folder}/PERSON")


def _agree(stage: Stage, smallest: int) -> None:
    from ..cleanroom.cards import read_card
    from ..cleanroom.samples import campaign

    stage.head("2. The contract: what a row is, which columns there are, what one person may add")
    folder = stage.folder / "publisher"
    names = ("publisher", "advertiser", "officer", "host")
    cards = [read_card(folder / f"{name}.party.toml", "party") for name in names]
    room = read_card(folder / "host.room.toml", "room")
    text = campaign.contract_text(cards, room, date.today() + timedelta(days=90), smallest)
    (folder / "contract.toml").write_text(text, encoding="utf-8")
    stage.type("publisher", "passbox contract show contract.toml", brief=True)
    signed_by_all(stage)


def _bring_data(stage: Stage) -> None:
    stage.head("3. Data: people and events, keyed and sealed at home")
    for dataset, person in DATASETS.items():
        flags = f"--contract contract.toml --dataset {dataset} --key {person}.keys"
        stage.type(person, f"passbox prepare {dataset}.csv {flags}", keep=dataset)
        stage.carry(person, [f"{dataset}.bundle"], "operator")
    stage.head("4. The room")
    stage.type("operator", "passbox room new spring --contract contract.toml --key host.keys")
    for dataset in DATASETS:
        stage.type("operator", f"passbox submit spring {dataset}.bundle", brief=True)


def _ask(stage: Stage, kind: str, epsilon: float) -> None:
    """The advertiser asks; the operator prices and runs; the advertiser opens."""
    stage.head(f"5. {kind}")
    own = f'kind = "{kind}"\nrecipients = ["advertiser"]\nepsilon = {epsilon!r}\n{JOBS[kind]}'
    (stage.folder / "advertiser" / f"{kind}.toml").write_text(own, encoding="utf-8")
    sign = f"passbox job sign {kind}.toml --contract contract.toml --key advertiser.keys"
    stage.type("advertiser", sign, brief=True)
    stage.carry("advertiser", [f"{kind}.toml", f"{kind}.toml.advertiser.sig"], "operator")
    stage.type("operator", f"passbox plan spring {kind}.toml", brief=True, keep=f"plan {kind}")
    release = stage.type("operator", f"passbox run spring {kind}.toml", brief=True)["release"]
    stage.type("operator", f"passbox release export spring {release}", brief=True)
    stage.carry("operator", [f"{release}.release"], "advertiser")
    opening = f"passbox release open {release}.release --key advertiser.keys --contract contract.toml"
    stage.type("advertiser", f"{opening} --out {kind}.parquet", keep=kind)


def _summary(stage: Stage, rows: dict[str, int], epsilon: float, seconds: float) -> dict[str, Any]:
    results = stage.results
    return {
        "rows": rows,
        "epsilon": epsilon,
        "seconds": seconds,
        "folder": str(stage.folder),
        **{kind: results[kind]["tables"] for kind in JOBS},
        "ledger": {
            "entries": results["verified"]["entries"],
            "verified": results["verified"]["verified"],
            "cosigned": results["cosigned"]["entries"],
        },
    }
