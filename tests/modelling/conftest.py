"""People to learn from: real ones where the files are, and small generated ones that always run."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pytest
from numpy.typing import NDArray

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling.features import Category, Encoder, Kind, Number, Topics

DATA = Path(os.environ.get("PASSBOX_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital",
    "occupation",
    "relationship",
    "race",
    "sex",
    "gain",
    "loss",
    "hours",
    "country",
]
ADULT_BOUNDS = {
    "age": (17, 90),
    "fnlwgt": (12285, 1484705),
    "education_num": (1, 16),
    "gain": (0, 99999),
    "loss": (0, 4356),
    "hours": (1, 99),
}
TELCO_BOUNDS = {"tenure": (0, 72), "MonthlyCharges": (18, 120), "TotalCharges": (0, 9000)}

Draw = Callable[[Statistic, float, int], Noisy]


@dataclass(frozen=True)
class People:
    table: pa.Table
    declared: list[Kind]
    label: NDArray[np.bool_]

    def split(self, number: int) -> NDArray[np.bool_]:
        """Who is trained on: four in five, as in the data's README."""
        order = np.random.default_rng(1000 + number).permutation(len(self.label))
        train = np.zeros(len(order), dtype=bool)
        train[order[: int(0.8 * len(order))]] = True
        return train

    def encoder(self, rows: NDArray[np.bool_]) -> Encoder:
        return Encoder.from_owner(self.table.filter(pa.array(rows)), self.declared)


def _declare(table: pa.Table, bounds: dict[str, tuple[int, int]], label: NDArray[np.bool_]) -> People:
    declared: list[Kind] = []
    columns = {}
    for name in table.column_names:
        text = pa.compute.utf8_trim_whitespace(table.column(name).cast(pa.string()))
        if name in bounds:
            declared.append(Number(name, *bounds[name]))
            empty = pa.compute.equal(text, "")
            columns[name] = pa.compute.if_else(empty, None, text).cast(pa.float64())
        else:
            declared.append(Category(name, tuple(sorted(text.unique().to_pylist()))))
            columns[name] = text
    return People(pa.table(columns), declared, label)


def _file(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here; PASSBOX_TEST_DATA says where it is")
    return path


@pytest.fixture(scope="session")
def adult() -> People:
    names = [*ADULT, "income"]
    table = pcsv.read_csv(_file("adult.data"), read_options=pcsv.ReadOptions(column_names=names))
    label = np.array([">50K" in value for value in table.column("income").to_pylist()])
    return _declare(table.select(ADULT), ADULT_BOUNDS, label)


@pytest.fixture(scope="session")
def telco() -> People:
    table = pcsv.read_csv(_file("telco.csv"))
    label = np.array([value in ("Yes", True) for value in table.column("Churn").to_pylist()])
    return _declare(table.drop_columns(["customerID", "Churn"]), TELCO_BOUNDS, label)


@pytest.fixture(scope="session")
def crowd() -> People:
    """3,000 generated people with every kind of column, holes in each, and a label they explain in part."""
    rng = np.random.default_rng(7)
    n = 3_000
    age = np.round(rng.normal(45, 15, n).clip(18, 90))
    age[rng.random(n) < 0.05] = np.nan
    spend = rng.gamma(1.5, 30, n).clip(0, 500)
    region = rng.choice(["north", "south", "east", None, "nowhere"], n, p=[0.4, 0.3, 0.2, 0.05, 0.05])
    likes = [None if rng.random() < 0.05 else list(rng.choice(TOPICS, rng.integers(0, 7))) for _ in range(n)]
    odds = -2 + (np.nan_to_num(age, nan=45) > 50) + (region == "south") + np.array(["cars" in (x or []) for x in likes])
    table = pa.table(
        {
            "age": pa.array(age, from_pandas=True),
            "spend": pa.array(spend),
            "region": pa.array(region, type=pa.string()),
            "likes": pa.array(likes, type=pa.list_(pa.string())),
        }
    )
    declared: list[Kind] = [
        Number("age", 18, 90),
        Number("spend", 0, 500),
        Category("region", ("north", "south", "east")),
        Topics("likes", ("cars", "travel", "food", "sport"), 3),
    ]
    return People(table, declared, rng.random(n) < 1 / (1 + np.exp(-odds)))


TOPICS = ("cars", "travel", "food", "sport", "undeclared")


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Noise at a Gaussian-DP parameter mu, from a number that names the draw. Rounded: indistinguishable here."""

    def drawn(statistic: Statistic, mu: float, number: int) -> Noisy:
        scale = math.sqrt(statistic.l2_squared) / mu
        noise = np.rint(np.random.default_rng(number).normal(0, scale, len(statistic.values)))
        return paid(statistic.values + noise.astype(np.int64), scale, statistic.bits)

    return drawn


def paid(values: NDArray[np.int64], scale: float, bits: int) -> Noisy:
    return Noisy(values, scale, bits, Receipt("00", 0, b"", "00"))
