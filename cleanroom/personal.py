"""Texts that may be somebody's address or number, in a column that is not meant to hold any."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import pyarrow as pa

from ..policies.contract import Column, TextColumn

HASHED = r"^[0-9a-fA-F]{32,}$|^[0-9A-Za-z+/]{43}=$"
"""As a hash is written, in hex or base64."""
_EMAIL = r"[^\s@/=&?]@[^\s@/]+\.[^\s@/.]{2,}"
_PHONE = r"^(\+|00|0|\()[\d\s()./-]{7,22}$|^\d{3}[-. ]\d{3}[-. ]\d{4}$"
_DIGITS = (8, 15)
"""Of a phone number that can be called from abroad (E.164)."""


def personal(table: pa.Table, declared: Mapping[str, Column]) -> dict[str, int]:
    """Columns of text to how many of their rows look like an e-mail address, a phone number or the hash of one, where
    any do. The counts stay at the party, as the values do."""
    texts = [name for name, column in declared.items() if isinstance(column, TextColumn)]
    found = {name: _rows(pl.Series(table.column(name))) for name in texts}
    return {name: rows for name, rows in found.items() if rows}


def _rows(texts: pl.Series) -> int:
    digits = texts.str.count_matches(r"\d").is_between(*_DIGITS)
    return int((texts.str.contains(f"{_EMAIL}|{HASHED}") | (texts.str.contains(_PHONE) & digits)).sum())
