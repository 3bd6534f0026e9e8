"""How the identifiers of an owner's own file arrive: raw or hashed, and in which column, as far as the values show it.

Names and forms only; no value is carried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from ..matching.identifiers import Arrives, MixedEncodings, WrongHash, digests
from ..matching.schemes import UnknownKind, UnknownScheme
from ..matching.schemes.setting import Setting
from .personal import HASHED

_SAMPLE = 1_000
"""Values of a column that are looked at."""
_FORMS: tuple[Arrives, ...] = ("raw", "sha256", "sha1")


@dataclass(frozen=True, slots=True)
class Arrival:
    """The column that holds identifiers of a kind, and the form that most of them have.

    form: None where they look like hashes, and like none that the scheme takes.
    """

    column: str
    form: Arrives | None


def arrival(frame: pl.DataFrame, kind: str, scheme: str) -> Arrival | None:
    """None where no column shows it. A column that is named otherwise counts only where it holds hashes."""
    if kind in frame.columns:
        return _arrival(frame, kind, kind, scheme)
    named = [name for name in frame.columns if _letters(kind) in _letters(name)]
    found = list(_arrivals(frame, named or frame.columns, kind, scheme))
    hashed = [each for each in found if each.form not in ("raw", None)]
    if named and not hashed and all(each.form is None for each in found):
        return next(iter(found), None)
    return hashed[0] if hashed and (named or len(hashed) == 1) else None


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _arrivals(frame: pl.DataFrame, names: list[str], kind: str, scheme: str) -> Iterator[Arrival]:
    return (found for name in names if (found := _arrival(frame, name, kind, scheme)) is not None)


def _arrival(frame: pl.DataFrame, name: str, kind: str, scheme: str) -> Arrival | None:
    if frame[name].dtype != pl.String:
        return None
    sample = frame[name].str.strip_chars().drop_nulls().head(_SAMPLE)
    sample = sample.filter(sample != "")
    form = next((form for form in _FORMS if len(sample) and _fits(sample, kind, scheme, form)), None)
    return Arrival(name, form) if form or _are_hashes(sample) else None


def _are_hashes(sample: pl.Series) -> bool:
    """Whether more than half of the values are written as hashes are, of whatever size."""
    return bool(2 * sample.str.contains(HASHED).sum() > len(sample))


def _fits(sample: pl.Series, kind: str, scheme: str, form: Arrives) -> bool:
    """Whether more than half of the values are accepted in this form."""
    try:
        accepted = digests(sample.to_arrow(), scheme, kind, form, Setting(window=24)).accepted
    except (MixedEncodings, UnknownScheme, UnknownKind, WrongHash):
        return False
    return bool(2 * accepted.sum() > len(accepted))
