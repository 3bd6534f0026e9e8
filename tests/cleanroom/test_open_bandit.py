"""Campaign measures on a real log: the sample of the Open Bandit Dataset (ZOZO, CC BY 4.0) that the package obp ships.

It is read where it is, and not copied: in the installed package, or in the folder that PASSBOX_OPEN_BANDIT names (the
one that holds `random/` and `bts/`). The log names no users, so each impression is of somebody else here.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from passbox.cleanroom.submit import submit

from .campaign_world import campaign_contract

if TYPE_CHECKING:
    from .campaign_world import CampaignWorld
    from .world import Copier

SIX_SIGMA = 6 / 1.96
"""Half widths of 95 % beyond which one of all numbers here lies once in 6 million runs."""


def sample() -> Path:
    """Men's fashion, shown at random: 10,000 impressions in a week."""
    named = os.environ.get("PASSBOX_OPEN_BANDIT")
    package = None if named else find_spec("obp")
    root = Path(named) if named else Path(package.origin).parent / "dataset" / "obd" if package else None  # type: ignore[arg-type]
    path = root / "random" / "men" / "men.csv" if root else None
    if path is None or not path.is_file():
        pytest.skip("the Open Bandit sample is not here: install obp, or name its folder in PASSBOX_OPEN_BANDIT")
    return path


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    rows = pl.read_csv(sample())
    return rows.select(
        email=pl.int_range(pl.len()).map_elements(lambda at: f"seen.{at}@example.com", return_dtype=pl.String),
        position=pl.col("position").cast(pl.String),
        item=pl.format("item {}", "item_id"),
        day=pl.col("timestamp").str.slice(0, 10),
        clicked=pl.col("click").replace_strict({0: "no", 1: "yes"}, return_dtype=pl.String),
    )


BLOCKS = """
[dataset.exposures]
owner = "publisher"
protects = "person"
rows = "events"
at_most = 1
identifiers.email = "raw"
budget = { epsilon = 8.0, delta = 1e-6, selection = 1e-8 }
columns.position = { kind = "category", values = ["1", "2", "3"] }
columns.item = { kind = "text" }
columns.day = { kind = "date", bounds = [2019-11-24, 2019-11-30] }
columns.clicked = { kind = "flag" }
[dataset.purchases]
owner = "advertiser"
protects = "membership"
identifiers.email = "raw"
budget = { epsilon = 8.0, delta = 1e-6 }
"""


@pytest.fixture(scope="module")
def world(campaign_room: CampaignWorld, anew: Copier, log: pl.DataFrame) -> CampaignWorld:
    room: CampaignWorld = anew(campaign_room)  # type: ignore[assignment]
    head, _, rest = campaign_contract(room.folder).partition("[dataset.visitors]")
    room.under(f"{head}{BLOCKS}[rules]{rest.partition('[rules]')[2]}")
    for left in (each for end in ("ids", "made", "bundle") for each in room.folder.glob(f"*.{end}")):
        left.unlink()
    log.write_csv(room.folder / "p" / "exposures.csv")
    log.select("email").write_csv(room.folder / "a" / "purchases.csv")
    sources = {"exposures": room.folder / "p" / "exposures.csv", "purchases": room.folder / "a" / "purchases.csv"}
    for bundle in room.prepared(sources).values():
        submit(room.room(), bundle)
    return room


def numbers(document: dict[str, Any]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Key to number to estimate and interval, of the first table."""
    table = document["tables"][0]
    found: dict[str, dict[str, tuple[float, float, float]]] = {key: {} for (key,) in table["keys"]}
    for column in table["columns"]:
        for (key,), *ends in zip(table["keys"], column["estimate"], column["low"], column["high"], strict=True):
            found[key][column["name"]] = tuple(ends)  # type: ignore[assignment]
    return found


def holds(interval: tuple[float, float, float], exact: float) -> bool:
    estimate, low, high = interval
    return estimate - SIX_SIGMA * (estimate - low) <= exact <= estimate + SIX_SIGMA * (high - estimate)


def test_impressions_clicks_and_rates_of_a_real_log_are_what_they_are(world: CampaignWorld, log: pl.DataFrame) -> None:
    fields = {"dataset": "exposures", "by": ["position"], "clicks": "clicked", "epsilon": 2.0}
    found = numbers(dict(world.open(world.run("campaign", "advertiser", **fields).release).document))
    for (position,), rows in log.group_by("position"):
        seen, clicks = rows.height, rows.filter(pl.col("clicked") == "yes").height
        assert holds(found[str(position)]["impressions"], seen)
        assert holds(found[str(position)]["clicks"], clicks)
        assert holds(found[str(position)]["ctr"], clicks / seen)
        low, high = found[str(position)]["impressions"][1:]
        assert high - low < 0.02 * seen


def test_items_that_nobody_listed_show_with_their_numbers(world: CampaignWorld, log: pl.DataFrame) -> None:
    fields = {
        "dataset": "exposures",
        "by": ["item"],
        "epsilon": 2.0,
        "measure": {"people": {"kind": "people"}, "clicks": {"kind": "count", "of": "clicked"}},
    }
    ran = world.run("aggregate", "advertiser", **fields)
    found = numbers(dict(world.open(ran.release).document))
    assert len(found) == log["item"].n_unique()
    for (item,), rows in log.group_by("item"):
        assert holds(found[str(item)]["people"], rows.height)
        assert holds(found[str(item)]["clicks"], rows.filter(pl.col("clicked") == "yes").height)
    world.verify()
