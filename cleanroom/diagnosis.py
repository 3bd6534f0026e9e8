"""Why a list matches badly, from the party's own file: `matching.doctor` on a file, its dates and its bundle.

The code ensures: one file is read, the party's own; nothing is charged, since nothing of another party is looked at but
a release that was paid for and opened with the party's own key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa

from ..matching.doctor import Cause, Observed, examine, misfits, ranked, standing_otherwise
from ..matching.identifiers import Arrives, NotText, WrongHash
from ..matching.recipes import Made, Recipe, beside, standing
from ..matching.schemes.setting import Setting
from ..policies.agreement import read_agreement
from ..policies.share import shares_digest
from .bundle import open_bundle
from .columns import ColumnUnreadable, refuse_missing
from .opening import open_release
from .release import BadRelease
from .signing import read_shares
from .source import BadSource, header, read_source


class BothLists(Exception):
    """Two lists were to be compared: that is a release, and it is paid for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Examined:
    """What to look at. raw: a column of raw values beside hashes. known: values that the party knows to be on its
    hashed list. passed_over: how many others were brought, which are no such values. seen: a column of dates,
    stale after so many days."""

    source: Path
    column: str
    kind: str
    scheme: str
    arrives: Arrives
    setting: Setting
    raw: str | None = None
    known: tuple[str, ...] = ()
    passed_over: int = 0
    seen: str | None = None
    stale_after: int = 365

    @property
    def columns(self) -> dict[str, str]:
        """The option that names a column, and the column."""
        named = {"--column": self.column, "--raw-column": self.raw, "--last-seen": self.seen}
        return {option: name for option, name in named.items() if name}


@dataclass(frozen=True, slots=True)
class Known:
    """Of values that a party knows to be on its list: how many there are, how many stand in it, and made how."""

    values: int
    found: int
    recipes: tuple[Recipe, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """rows: in the file. causes: the costliest first. recipes: how hashes were made, where raw values show it."""

    rows: int
    causes: tuple[Cause, ...]
    recipes: tuple[Recipe, ...] = ()
    known: Known | None = None


def diagnose(asked: Examined, today: date) -> Diagnosis:
    """What a party's own file shows. Errors: BadSource, ColumnMissing, ColumnUnreadable, UnknownScheme, UnknownKind."""
    names = header(asked.source)
    for option, name in asked.columns.items():
        refuse_missing([name], names, asked.source, option)
    table = read_source(asked.source, set(asked.columns.values()))
    column, rows = table.column(asked.column), table.num_rows
    try:
        causes = examine(column, asked.scheme, asked.kind, asked.arrives, asked.setting)
        paired = beside(table.column(asked.raw), column, asked.kind, asked.setting) if asked.raw else None
        known = standing(asked.known, column, asked.kind, asked.setting) if asked.known else None
    except NotText:
        named = " or ".join(name for name in (asked.column, asked.raw) if name)
        raise BadSource(asked.source, f"column {named} is not text", "export it as text") from None
    except WrongHash as error:
        rule = f"{error.scheme} hashes {error.kind} with {error.makes}"
        raise BadSource(asked.source, rule, f"say `--arrives {error.makes}`, or `--arrives raw`") from None
    if paired or known:  # they show what hashes alone do not
        causes = [cause for cause in causes if cause.name != "scheme"]
        causes += misfits(paired, asked.scheme, rows) if paired else []
        causes += standing_otherwise(known, asked.scheme, asked.kind, rows) if known else []
    if asked.seen and (stale := _stale(table.column(asked.seen), asked, today)):
        causes.append(stale)
    recipes = tuple(paired.recipes(asked.scheme)) if paired else ()
    return Diagnosis(rows, tuple(ranked(causes)), recipes, _known(known, asked.scheme) if known else None)


def _known(made: Made, scheme: str) -> Known:
    found = Made(tuple(each for each in made.fits if each), made.of)
    return Known(len(made.fits), len(found.fits), tuple(found.recipes(scheme)))


def _stale(column: pa.ChunkedArray, asked: Examined, today: date) -> Cause | None:
    """Rows that were last seen long ago: people change their addresses, and nobody matches the old one."""
    days = _days(column, str(asked.seen))
    limit = today - timedelta(days=asked.stale_after)
    old = int((days < limit).sum())
    if not old:
        return None
    what = f"last seen more than {asked.stale_after} days ago, before {limit}"
    return Cause("stale", what, old, len(column), "bring a newer list, or leave these rows out", certain=False)


_DATES = "name a column of days with `--last-seen`, written such as 2026-11-29"


def _days(column: pa.ChunkedArray, name: str) -> pl.Series:
    """Dates, null where there is none. Errors: ColumnUnreadable."""
    try:
        series = pl.from_arrow(column)
    except (pl.exceptions.PolarsError, pa.ArrowException, ValueError):
        raise ColumnUnreadable(name, "a date", _DATES) from None
    if not isinstance(series, pl.Series):
        raise ColumnUnreadable(name, "a date", _DATES)
    if series.dtype == pl.String:
        days = series.str.strip_chars().str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        if days.null_count() == len(days):
            raise ColumnUnreadable(name, "a date", _DATES)
        return days
    if not series.dtype.is_temporal() or series.dtype in (pl.Time, pl.Duration):
        raise ColumnUnreadable(name, "a date", _DATES)
    return series.cast(pl.Date)


@dataclass(frozen=True, slots=True)
class Paid:
    """What a paid overlap says of a list. whole: who matches by whichever key. best: the contract's best key, and who
    matches by it; None where the overlap was not asked for by key."""

    whole: Observed
    best: tuple[str, Observed] | None = None

    def of(self, kind: str, *, alone: bool) -> Observed | None:
        """Who matches by one key; None where that does not show. alone: people are matched on no other.

        A tier below the best counts those alone whom no better key matched, so it says nothing of its own key.
        """
        if self.best is not None:
            return self.best[1] if self.best[0] == kind else None
        return self.whole if alone else None


def observed(release: Path, identity: str, rows: int) -> Paid:
    """The match rate of a list of so many rows, from the count of a paid overlap. Errors: BadRelease, OSError.

    The release's own rate is of the seed's rows. What is looked at may be the other list; causes are shares of all of
    its rows.
    """
    document = open_release(release, identity, None).document
    matched, tiers = document.get("matched"), document.get("tiers")
    if document["kind"] != "overlap" or not isinstance(matched, dict):
        raise BadRelease(release, "it is no overlap, so it holds no match rate", "name the release of an overlap")
    best = (tiers[0]["key"], _rate(tiers[0]["matched"], rows)) if isinstance(tiers, list) else None
    return Paid(_rate(matched, rows), best)


def _rate(matched: Mapping[str, float], rows: int) -> Observed:
    low, rate, high = (min(1.0, max(0.0, matched[end] / max(rows, 1))) for end in ("low", "estimate", "high"))
    return Observed(low, rate, high)


def key_mismatch(bundle: Path, contract: Path) -> Cause | None:
    """Whether a bundle was keyed for this contract, with the shares that lie beside it.

    Errors: BadBundle, OSError, and those of reading a contract.
    """
    agreement, manifest = read_agreement(contract), open_bundle(bundle).manifest
    remedy = "`passbox prepare` it again with this contract and all shares beside it"
    if manifest.contract != agreement.digest:
        return Cause(
            "key", "the bundle was keyed for another contract: nobody matches", manifest.rows, manifest.rows, remedy
        )
    if manifest.shares != shares_digest(read_shares(contract, agreement.contract)):
        what = "the bundle was keyed with other shares than those beside the contract: nobody matches"
        return Cause("key", what, manifest.rows, manifest.rows, remedy)
    return None
