"""A sample of invented people: a publisher's visitors and an advertiser's buyers, untidy as such files are.

The same arguments give the same bytes, on the same versions of numpy and polars.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from . import addresses, people
from .people import Crowd
from .sample import Column, Sample, keep_apart, new_files

PEOPLE: Final = 200_000
SEEDS: Final = 5_000

KNOWN: Final = 0.88
"""Share of the advertiser's list that the publisher has seen."""
BUYERS: Final = 0.045
"""Share of the people who buy, unless the advertiser's list asks for more."""
LISTED: Final = 0.8
"""At most this share of the buyers is on the advertiser's list."""
TWINS: Final = 0.005
"""Share of the people with a second account."""
UNUSABLE: Final = 0.001
"""Share of the publisher's rows whose e-mail cannot be used."""
AGE_UNKNOWN: Final = 0.06
PUBLISHER_SPELLS: Final = (0.70, 0.12, 0.08, 0.10)
ADVERTISER_SPELLS: Final = (0.50, 0.25, 0.10, 0.15)
"""Shares of the spellings that `addresses.spell` knows by number."""

ABOUT: Final = (
    "All people in these files are invented: attributes, addresses and purchases were drawn by a random "
    "number generator, and any likeness to a person or a mailbox is chance."
)

Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


class SampleSizeError(ValueError):
    """No sample of this size can be made; `rule` says which limit was broken."""

    def __init__(self, people: int, seeds: int, rule: str) -> None:
        super().__init__(f"no sample of {people} people and {seeds} seeds: {rule}")
        self.people = people
        self.seeds = seeds
        self.rule = rule


def contract_columns() -> dict[str, Column]:
    """What a contract says of the publisher's columns."""
    return {
        "age": {"kind": "number", "bounds": list(people.AGES)},
        "region": {"kind": "category", "values": list(people.REGIONS)},
        "device": {"kind": "category", "values": list(people.DEVICES)},
        "topics": {"kind": "set", "values": list(people.TOPICS), "at_most": people.TOPICS_AT_MOST},
    }


def write(
    people: int, seeds: int, publisher_dir: Path, advertiser_dir: Path, truth_dir: Path, *, seed: int = 7
) -> Sample:
    """Writes `visitors.csv`, `buyers.csv` and `truth.parquet`, none of which may exist.

    people: distinct visitors; a few more rows are second accounts. seeds: rows of `buyers.csv`.
    Errors: SampleSizeError; FileExistsError; ValueError for a truth inside a party's folder.
    """
    check_sizes(people, seeds)
    keep_apart(truth_dir, publisher_dir, advertiser_dir)
    sample = Sample(
        publisher=publisher_dir / "visitors.csv",
        advertiser=advertiser_dir / "buyers.csv",
        truth=truth_dir / "truth.parquet",
        id_column="visitor_id",
        email_column="email",
        email_form="raw",
        advertiser_email_column="email",
        advertiser_email_form="raw",
        contract_columns=contract_columns(),
        people=people,
        seeds=seeds,
        about=ABOUT,
    )
    with new_files(sample.publisher, sample.advertiser, sample.truth) as (publisher, advertiser, truth):
        visitors, buyers = _tables(people, seeds, seed)
        visitors.drop("is_buyer").write_csv(publisher)
        buyers.write_csv(advertiser)
        visitors.select("visitor_id", "is_buyer").write_parquet(truth, compression="zstd")
    return sample


def check_sizes(people: int, seeds: int) -> None:
    """Errors: SampleSizeError."""
    if not 1_000 <= people <= 10_000_000:
        raise SampleSizeError(people, seeds, "people must be 1,000 to 10,000,000")
    if not 10 <= seeds <= people // 5:
        raise SampleSizeError(people, seeds, "seeds must be 10 to a fifth of the people")


def _tables(count: int, seeds: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The publisher's rows with their truth, and the advertiser's rows."""
    for_people, for_purchases, for_addresses, for_publisher, for_advertiser = (
        np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(5)
    )
    known = round(KNOWN * seeds)
    book = addresses.invent(for_addresses, count + seeds - known)
    crowd = people.invent(for_people, count)
    is_buyer = people.purchases(for_purchases, crowd, max(round(BUYERS * count), round(known / LISTED)))
    visitors, reachable = _visitors(for_publisher, crowd, is_buyer, book)
    listed = for_advertiser.choice(np.flatnonzero(is_buyer & reachable), size=known, replace=False)
    outsiders = np.arange(count, book.height)
    return visitors, _buyers(for_advertiser, np.concatenate([listed, outsiders]), book)


def _visitors(
    rng: np.random.Generator, crowd: Crowd, is_buyer: Bools, book: pl.DataFrame
) -> tuple[pl.DataFrame, Bools]:
    """The publisher's rows, shuffled, and which people an e-mail reaches."""
    count = is_buyer.size
    chosen = rng.permutation(count)
    twins, broken = np.split(chosen[: round(TWINS * count) + round(UNUSABLE * count)], [round(TWINS * count)])
    person = np.concatenate([np.arange(count), twins])
    table = _accounts(rng, crowd, person).with_columns(
        addresses.break_some(rng, _account_emails(rng, book, count, twins), broken), is_buyer=is_buyer[person]
    )
    table = table[rng.permutation(person.size)].with_columns(visitor_id=_numbered(person.size))
    reachable = np.ones(count, dtype=np.bool_)
    reachable[broken] = False
    return table.select("visitor_id", "email", "age", "region", "device", "topics", "is_buyer"), reachable


def _accounts(rng: np.random.Generator, crowd: Crowd, person: Ints) -> pl.DataFrame:
    """Attributes of each account; a second one is on another device, and may give the age or not."""
    count = crowd.age.size
    device = crowd.device[person]
    device[count:] = (device[count:] + 1) % len(people.DEVICES)
    age = pl.Series(crowd.age[person]).to_frame("age")
    untold = pl.Series(rng.random(person.size) < AGE_UNKNOWN)
    return age.with_columns(
        age=pl.when(untold).then(None).otherwise("age"),
        region=_named(people.REGIONS, crowd.region[person]),
        device=_named(people.DEVICES, device),
        topics=_joined(crowd.topics)[person],
    )


def _account_emails(rng: np.random.Generator, book: pl.DataFrame, count: int, twins: Ints) -> pl.Series:
    """An e-mail for everybody, then for the second accounts, each spelled unlike the first."""
    spelling = rng.choice(addresses.SPELLINGS, size=count, p=PUBLISHER_SPELLS)
    other = (spelling[twins] + rng.integers(1, addresses.SPELLINGS, size=twins.size)) % addresses.SPELLINGS
    person = np.concatenate([np.arange(count), twins])
    return addresses.spell(rng, book[person], np.concatenate([spelling, other]))


def _buyers(rng: np.random.Generator, person: Ints, book: pl.DataFrame) -> pl.DataFrame:
    """The advertiser's rows, shuffled."""
    person = rng.permutation(person)
    spelling = rng.choice(addresses.SPELLINGS, size=person.size, p=ADVERTISER_SPELLS)
    return addresses.spell(rng, book[person], spelling).to_frame()


def _named(names: Iterable[str], code: Ints) -> pl.Series:
    return pl.Series(list(names))[code]


def _joined(topics: Bools) -> pl.Series:
    """Each row's topics with bars between them; nothing where there are none."""
    columns = [pl.when(pl.col(name)).then(pl.lit(name)) for name in people.TOPICS]
    text = pl.concat_str(columns, separator="|", ignore_nulls=True)
    frame = pl.DataFrame(topics, schema=list(people.TOPICS))
    return frame.select(topics=pl.when(text != "").then(text)).get_column("topics")


def _numbered(count: int) -> pl.Series:
    return pl.select("v" + pl.int_range(1, count + 1).cast(pl.String).str.zfill(8)).to_series()
