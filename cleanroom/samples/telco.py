"""A sample of published data: the customers of a telephone company, and those who left it.

The table is IBM's Telco customer churn; `telco.README.md` says where it comes from and what was changed.
It stands in for a publisher who holds features and an advertiser who sends a list that is already hashed.
"""

from __future__ import annotations

import hashlib
import io
from importlib import resources
from pathlib import Path
from typing import Final

import polars as pl

from .sample import Column, Sample, keep_apart, new_files

NUMBERS: Final[dict[str, tuple[float, float]]] = {
    "tenure": (0, 72),
    "monthly_charges": (18, 120),
    "total_charges": (0, 9000),
}
"""Column to its bounds: months, dollars a month, dollars."""

YES_NO: Final = ("Yes", "No")
WITH_PHONE: Final = (*YES_NO, "No phone service")
WITH_INTERNET: Final = (*YES_NO, "No internet service")
CATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "gender": ("Female", "Male"),
    "senior_citizen": ("0", "1"),
    "partner": YES_NO,
    "dependents": YES_NO,
    "phone_service": YES_NO,
    "multiple_lines": WITH_PHONE,
    "internet_service": ("DSL", "Fiber optic", "No"),
    "online_security": WITH_INTERNET,
    "online_backup": WITH_INTERNET,
    "device_protection": WITH_INTERNET,
    "tech_support": WITH_INTERNET,
    "streaming_tv": WITH_INTERNET,
    "streaming_movies": WITH_INTERNET,
    "contract": ("Month-to-month", "One year", "Two year"),
    "paperless_billing": YES_NO,
    "payment_method": (
        "Bank transfer (automatic)", "Credit card (automatic)", "Electronic check", "Mailed check",
    ),
}  # fmt: skip

ABOUT: Final = (
    "IBM's Telco customer churn sample data, 7,043 customers (Apache-2.0). It holds no e-mail addresses: "
    "each customer was given one at example.com, made from a running number. The advertiser's list is those "
    "who left, hashed."
)


def contract_columns() -> dict[str, Column]:
    """What a contract says of the publisher's columns, in the order of the file."""
    described: dict[str, Column] = {}
    for name in read().drop("customer_id", "churn").columns:
        if name in NUMBERS:
            described[name] = {"kind": "number", "bounds": list(NUMBERS[name])}
        else:
            described[name] = {"kind": "category", "values": list(CATEGORIES[name])}
    return described


def read() -> pl.DataFrame:
    """The table as it ships: `customer_id`, 19 attributes, `churn`."""
    return pl.read_parquet(io.BytesIO(resources.files(__package__).joinpath("telco.parquet").read_bytes()))


def write(publisher_dir: Path, advertiser_dir: Path, truth_dir: Path) -> Sample:
    """Writes `customers.csv`, `churned.csv` and `truth.parquet`, none of which may exist.

    Errors: FileExistsError; ValueError for a truth inside a party's folder.
    """
    keep_apart(truth_dir, publisher_dir, advertiser_dir)
    table = read().with_columns(email=pl.col("customer_id") + "@example.com", is_buyer=pl.col("churn") == "Yes")
    customers = table.select("customer_id", "email", pl.exclude("customer_id", "email", "churn", "is_buyer"))
    churned = _hashed(table.filter("is_buyer").get_column("email"))
    sample = Sample(
        publisher=publisher_dir / "customers.csv",
        advertiser=advertiser_dir / "churned.csv",
        truth=truth_dir / "truth.parquet",
        id_column="customer_id",
        email_column="email",
        email_form="raw",
        advertiser_email_column="email_sha256",
        advertiser_email_form="sha256",
        contract_columns=contract_columns(),
        people=customers.height,
        seeds=churned.height,
        about=ABOUT,
    )
    with new_files(sample.publisher, sample.advertiser, sample.truth) as (publisher, advertiser, truth):
        customers.write_csv(publisher)
        churned.write_csv(advertiser)
        table.select("customer_id", "is_buyer").write_parquet(truth, compression="zstd")
    return sample


def _hashed(emails: pl.Series) -> pl.DataFrame:
    """SHA-256 in hex of addresses that are normalised as they stand; sorted, for the order would tell."""
    digests = sorted(hashlib.sha256(email.encode()).hexdigest() for email in emails)
    return pl.DataFrame({"email_sha256": digests})
