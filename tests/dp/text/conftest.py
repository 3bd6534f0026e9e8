"""A small vocabulary: 600 words in bundles, in 6 dimensions, the words that stand for others among them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from passbox.dp.text import table as tables
from passbox.dp.text.neighbours import quiet
from passbox.dp.text.table import Table
from passbox.dp.text.vocabulary import STAND_INS, Vocabulary


def letters(number: int) -> str:
    return "".join(chr(97 + number // 26**place % 26) for place in range(4))


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    rng = np.random.default_rng(7)
    names = [each[0] for each in STAND_INS.values()] + [letters(number) for number in range(596)]
    centres = rng.normal(size=(30, 6)) * 3
    vectors = centres[rng.integers(30, size=600)] + rng.normal(size=(600, 6)) * 0.7
    return Vocabulary(pl.Series([*names, "tail-1", "42"]), np.vstack([vectors, vectors[:2]]).astype(np.float32))


@pytest.fixture(scope="session")
def table(vocabulary: Vocabulary) -> Table:
    return tables.build(vocabulary, 300, quiet)
