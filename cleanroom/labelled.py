"""Public, labelled texts of a file: what vectors are aimed with."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from .columns import refuse_missing
from .privatise import blocks, text_of
from .source import header


def read_labelled(source: Path, text: str, label: str) -> tuple[pl.Series, pl.Series]:
    """The two columns of a CSV or Parquet file. Errors: BadSource, ColumnMissing, ColumnUnreadable, OSError."""
    names = header(source)
    refuse_missing([text], names, source, "--text")
    refuse_missing([label], names, source, "--label")
    texts, labels = pl.Series(dtype=pl.String), pl.Series(dtype=pl.String)
    with blocks(source, names) as parts:
        for block in parts:
            texts = texts.append(text_of(text, block.column(text)))
            labels = labels.append(text_of(label, block.column(label)))
    return texts, labels
