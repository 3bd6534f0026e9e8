"""A sample of an invented campaign: who was shown what, on which device, and who bought afterwards.

Three files, as a publisher and an advertiser have them: `visitors.csv` (people), `exposures.csv` (one row an ad that
was served), `purchases.csv` (one row an order). The same arguments give the same rows, on the same versions of numpy
and polars. What is true of them is in `Truth`: clicks and purchases are drawn from the rates written there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from . import addresses
from .people import DEVICES, REGIONS, TOPICS, TOPICS_AT_MOST, invent
from .sample import new_files

Ints: TypeAlias = npt.NDArray[np.int64]

CAMPAIGNS: Final = {"spring": (0.45, 0.030, 0.10), "summer": (0.35, 0.020, 0.06), "brand": (0.20, 0.006, 0.02)}
"""Campaign to its share of the ads, its click rate, and how likely who was shown it buys."""
LIKED: Final = {
    ("cycling", "spring"): 3.0,
    ("fitness", "spring"): 2.0,
    ("travel", "summer"): 2.5,
    ("gaming", "brand"): 3.0,
}
"""(topic, campaign) to how much more often people of the topic click and buy."""
FIRST, LAST = date(2027, 1, 1), date(2027, 3, 31)
MOST_EXPOSURES, MOST_PURCHASES = 40, 10
COST: Final = (0.001, 0.02)
PRICE: Final = (5.0, 500.0)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class CampaignSample:
    """The files, and how many rows each has."""

    visitors: Path
    exposures: Path
    purchases: Path
    rows: dict[str, int]


def write(people: int, publisher_dir: Path, advertiser_dir: Path, *, seed: int = 11) -> CampaignSample:
    """Writes the three files, none of which may exist. people: visitors, 1,000 or more. Errors: FileExistsError."""
    rng = np.random.default_rng(seed)
    crowd = invent(rng, people)
    emails = addresses.spell(rng, addresses.invent(rng, people), np.zeros(people, dtype=np.int64))
    visitors = _visitors(crowd.topics, emails, crowd.region, crowd.age)
    exposures = _exposures(rng, people, crowd.topics, crowd.device, emails)
    purchases = _purchases(rng, exposures, emails, people)
    paths = (publisher_dir / "visitors.csv", publisher_dir / "exposures.csv", advertiser_dir / "purchases.csv")
    tables = (visitors, exposures.drop("person"), purchases)
    with new_files(*paths) as files:
        for file, table in zip(files, tables, strict=True):
            table.write_csv(file)
    return CampaignSample(*paths, {path.stem: table.height for path, table in zip(paths, tables, strict=True)})


def _visitors(topics: npt.NDArray[np.bool_], emails: pl.Series, region: Ints, age: Ints) -> pl.DataFrame:
    names = [pl.when(pl.col(name)).then(pl.lit(name)) for name in TOPICS]
    said = pl.DataFrame(topics, schema=list(TOPICS)).select(
        topics=pl.concat_str(names, separator="|", ignore_nulls=True)
    )
    count = len(emails)
    return pl.DataFrame(
        {
            "visitor_id": [f"v{at:07d}" for at in range(count)],
            "email": emails,
            "age": age,
            "region": pl.Series(list(REGIONS))[region],
            "topics": said["topics"],
            "visits": topics.sum(axis=1) * 3 + 1,
        }
    )


def _exposures(
    rng: np.random.Generator, people: int, topics: npt.NDArray[np.bool_], device: Ints, emails: pl.Series
) -> pl.DataFrame:
    """About four ads a person, a few see very many; clicks by campaign and topic; the later parts of a video after the
    earlier ones."""
    many = np.minimum(rng.geometric(0.25, people) * (rng.random(people) < 0.8), 3 * MOST_EXPOSURES)
    person = np.repeat(np.arange(people), many)
    rows = len(person)
    campaign = rng.choice(len(CAMPAIGNS), size=rows, p=[share for share, _, _ in CAMPAIGNS.values()])
    rate = np.array([click for _, click, _ in CAMPAIGNS.values()])[campaign] * _liking(topics, person, campaign)
    started = rng.random(rows) < 0.7
    span = (LAST - FIRST).days
    order = rng.permutation(rows)
    table = pl.DataFrame(
        {
            "person": person,
            "email": emails[person],
            "campaign": pl.Series(list(CAMPAIGNS))[campaign],
            "device": pl.Series(list(DEVICES))[device[person]],
            "day": _days((FIRST - _EPOCH).days + rng.integers(0, span + 1, rows)),
            "cost": np.round(rng.uniform(*COST, rows), 4),
            "clicked": _words(rng.random(rows) < np.minimum(rate, 0.9)),
            "started": _words(started),
            "completed": _words(started & (rng.random(rows) < 0.6)),
            "depth": rng.integers(0, 101, rows),
            "household": [f"10.0.{at // 250}.{at % 250}" for at in (person // 2).tolist()],
        }
    )
    return table[order]


def _purchases(rng: np.random.Generator, exposures: pl.DataFrame, emails: pl.Series, people: int) -> pl.DataFrame:
    """Who clicked buys often; some buy who never saw an ad."""
    seen = exposures.filter(pl.col("clicked") == "yes")
    buys = rng.random(seen.height) < 0.35
    after = seen.filter(pl.Series(buys))
    strangers = rng.integers(0, people, people // 50)
    person = np.concatenate([after["person"].to_numpy(), strangers])
    days = np.concatenate(
        [
            np.minimum(
                after["day"].cast(pl.Int32).to_numpy() + rng.integers(0, 20, after.height), (LAST - _EPOCH).days
            ),
            (FIRST - _EPOCH).days + rng.integers(0, (LAST - FIRST).days + 1, len(strangers)),
        ]
    )
    rows = len(person)
    return pl.DataFrame(
        {
            "email": emails[person],
            "day": _days(days),
            "price": np.round(np.clip(rng.lognormal(4.0, 0.8, rows), *PRICE), 2),
            "product": pl.Series(["bicycle", "helmet", "service"])[rng.choice(3, size=rows, p=[0.5, 0.3, 0.2])],
        }
    )[rng.permutation(rows)]


def _liking(topics: npt.NDArray[np.bool_], person: Ints, campaign: Ints) -> npt.NDArray[np.float64]:
    """How much more often each person clicks the ad of a row."""
    factor = np.ones(len(person))
    for (topic, name), times in LIKED.items():
        likes = topics[person, list(TOPICS).index(topic)] & (campaign == list(CAMPAIGNS).index(name))
        factor[likes] *= times
    return factor


def _days(days: Ints) -> pl.Series:
    return pl.Series(days.astype(np.int32)).cast(pl.Date)


def _words(yes: npt.NDArray[np.bool_]) -> pl.Series:
    return pl.Series(np.where(yes, "yes", "no"))


def contract_text(cards: Sequence[Mapping[str, str]], room: Mapping[str, str], expires: date, smallest: int) -> str:
    """A contract about these files. cards: of the parties. room: its card. smallest: rows of a data set. As TOML."""
    parties = "\n".join(
        f'[party.{card["name"]}]\nrole = "{card["role"]}"\nsign = "{card["sign"]}"\nseal = "{card["seal"]}"'
        for card in cards
    )
    both = 'ask = ["publisher", "advertiser"], recipients = ["publisher", "advertiser"]'
    allow = "\n".join(f'  {{ job = "{kind}", {both} }},' for kind in KINDS)
    head = _HEAD.format(expires=expires, room=room, parties=parties)
    rules = f"[rules]\nsmallest_seed = {smallest}\nsmallest_audience = {smallest}\n"
    return f"{head}{contract_blocks()}{rules}allow = [\n{allow}\n]\n"


KINDS: Final = ("reach", "frequency", "campaign", "topics", "aggregate")
_HEAD = """\
version = 1
name = "spring-campaign"
purpose = "what the spring campaign did, and for whom"
expires = {expires}
[room]
operator = "{room[operator]}"
name = "{room[name]}"
seal = "{room[seal]}"
checkpoint = "{room[checkpoint]}"
cosign = {{ by = ["officer"], ahead = 0.25 }}
{parties}
[match]
keys = ["email"]
scheme.email = "uid2@1"
rule = "own-best"
"""


def contract_blocks() -> str:
    """The data sets of a contract for these files, but for owners and budgets: TOML."""
    topics, regions = (", ".join(f'"{each}"' for each in values) for values in (TOPICS, REGIONS))
    devices, campaigns = (", ".join(f'"{each}"' for each in values) for values in (DEVICES, CAMPAIGNS))
    return _BLOCKS.format(
        topics=topics,
        regions=regions,
        devices=devices,
        campaigns=campaigns,
        topics_at_most=TOPICS_AT_MOST,
        exposures=MOST_EXPOSURES,
        purchases=MOST_PURCHASES,
        first=FIRST,
        last=LAST,
        cost=COST[1],
        price=PRICE[1],
    )


_BLOCKS = """\
[dataset.visitors]
owner = "publisher"
protects = "person"
id = "visitor_id"
identifiers.email = "raw"
budget = {{ epsilon = 8.0, delta = 1e-7 }}
columns.age = {{ kind = "number", bounds = [18, 90] }}
columns.region = {{ kind = "category", values = [{regions}] }}
columns.topics = {{ kind = "set", values = [{topics}], at_most = {topics_at_most} }}
columns.visits = {{ kind = "number", bounds = [0, 100] }}
[dataset.exposures]
owner = "publisher"
protects = "person"
rows = "events"
at_most = {exposures}  # rows of one person that count
identifiers.email = "raw"
budget = {{ epsilon = 8.0, delta = 1e-7 }}
columns.campaign = {{ kind = "category", values = [{campaigns}] }}
columns.device = {{ kind = "category", values = [{devices}] }}
columns.day = {{ kind = "date", bounds = [{first}, {last}] }}
columns.cost = {{ kind = "number", bounds = [0, {cost}] }}
columns.clicked = {{ kind = "flag" }}
columns.started = {{ kind = "flag" }}
columns.completed = {{ kind = "flag" }}
columns.depth = {{ kind = "number", bounds = [0, 100] }}
columns.household = {{ kind = "household" }}
[dataset.purchases]
owner = "advertiser"
protects = "person"
rows = "events"
at_most = {purchases}
identifiers.email = "raw"
budget = {{ epsilon = 8.0, delta = 1e-7 }}
columns.day = {{ kind = "date", bounds = [{first}, {last}] }}
columns.price = {{ kind = "number", bounds = [0, {price}] }}
columns.product = {{ kind = "category", values = ["bicycle", "helmet", "service"] }}
"""
