"""Invented e-mail addresses, and the ways people spell theirs.

Local parts are two words and a number, or `pb.sample` and a number. Domains are those that RFC 2606 reserves,
and gmail.com, where alone dots and +tags do not count (UID2).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

Ints: TypeAlias = npt.NDArray[np.int64]

FIRST_WORDS: Final = (
    "blue", "brisk", "calm", "clear", "early", "gentle", "golden", "hidden",
    "light", "lucky", "mellow", "quiet", "rapid", "silver", "sunny", "velvet",
)  # fmt: skip
SECOND_WORDS: Final = (
    "anchor", "badger", "beacon", "bridge", "canyon", "comet", "falcon", "garden",
    "harbour", "lantern", "meadow", "orchard", "otter", "pebble", "river", "window",
)  # fmt: skip
DOMAINS: Final = {"gmail.com": 0.35, "example.com": 0.35, "example.org": 0.18, "example.net": 0.12}
TAGS: Final = ("", "+news", "+shop", "+offers")
BLANKS: Final = ("", " ", "  ")

SPELLINGS: Final = 4
"""0 as given, 1 Title Case, 2 CAPITALS, 3 capital domain. They differ whatever dots, tags and blanks do."""


def invent(rng: np.random.Generator, count: int) -> pl.DataFrame:
    """Addresses as `local` and `domain`, one a row; no two are the same even when normalised."""
    number = pl.Series(rng.permutation(count) + 100_000).cast(pl.String)
    first, second = rng.integers(len(FIRST_WORDS), size=count), rng.integers(len(SECOND_WORDS), size=count)
    domain = pl.Series(list(DOMAINS))[rng.choice(len(DOMAINS), size=count, p=list(DOMAINS.values()))]
    parts = pl.DataFrame(
        {
            "first": pl.Series(FIRST_WORDS)[first],
            "second": pl.Series(SECOND_WORDS)[second],
            "number": number,
            "domain": domain,
        }
    )
    words = pl.concat_str("first", "second", "number", separator=".")
    sample = pl.concat_str(pl.lit("pb.sample"), "number", separator=".")
    return parts.select(local=pl.when(pl.col("domain") == "gmail.com").then(sample).otherwise(words), domain="domain")


def spell(rng: np.random.Generator, addresses: pl.DataFrame, spelling: Ints) -> pl.Series:
    """Each address as somebody typed it: in that spelling, some with blanks and, at gmail.com, dots and tags.

    Two different spellings of one address are different text, and the same once normalised.
    """
    count = addresses.height
    typed = addresses.with_columns(
        spelling=pl.Series(spelling),
        dots=pl.Series(rng.choice(3, size=count, p=[0.6, 0.3, 0.1])),
        tag=pl.Series(TAGS)[rng.choice(len(TAGS), size=count, p=[0.76, 0.08, 0.08, 0.08])],
        before=pl.Series(BLANKS)[rng.choice(len(BLANKS), size=count, p=[0.97, 0.02, 0.01])],
        after=pl.Series(BLANKS)[rng.choice(len(BLANKS), size=count, p=[0.95, 0.04, 0.01])],
    )
    typed = typed.with_columns(local=_local(), domain=_domain())
    email = pl.concat_str("local", pl.lit("@"), "domain")
    cased = (
        pl.when(pl.col("spelling") == 1)
        .then(email.str.to_titlecase())
        .when(pl.col("spelling") == 2)
        .then(email.str.to_uppercase())
        .otherwise(email)
    )
    return typed.select(email=pl.concat_str("before", cased, "after")).get_column("email")


def break_some(rng: np.random.Generator, emails: pl.Series, rows: Ints) -> pl.Series:
    """The same e-mails, of which those in `rows` are of no use: missing, a filler, or without the @."""
    frame = pl.DataFrame({"email": emails, "fault": np.full(emails.len(), -1, dtype=np.int64)})
    frame = frame.with_columns(fault=frame.get_column("fault").scatter(rows, rng.integers(3, size=rows.size)))
    fault, email = pl.col("fault"), pl.col("email")
    broken = (
        pl.when(fault == 0)
        .then(None)
        .when(fault == 1)
        .then(pl.lit("n/a"))
        .when(fault == 2)
        .then(email.str.replace("@", " ", literal=True))
        .otherwise(email)
    )
    return frame.select(email=broken).get_column("email")


def _local() -> pl.Expr:
    """The local part with its dots and tag, where the provider does not count them."""
    local, dots = pl.col("local"), pl.col("dots")
    loose = (
        pl.when(dots == 1)
        .then(local.str.replace_all(".", "", literal=True))
        .when(dots == 2)
        .then(local.str.replace(".", "", literal=True))
        .otherwise(local)
    )
    return pl.when(pl.col("domain") == "gmail.com").then(pl.concat_str(loose, "tag")).otherwise(local)


def _domain() -> pl.Expr:
    domain = pl.col("domain")
    return pl.when(pl.col("spelling") == 3).then(domain.str.to_uppercase()).otherwise(domain)
