from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from passbox.cleanroom.samples import Sample, generated, telco
from passbox.cleanroom.samples.sample import new_files

PEOPLE, SEEDS = 30_000, 1_500


def normalised(email: str | None) -> str | None:
    """The e-mail rule as UID2 states it, written here a second time; None if it is no address."""
    text = (email or "").strip(" ").lower()
    if text.count("@") != 1:
        return None
    local, domain = text.split("@")
    if domain == "gmail.com":
        local = local.split("+")[0].replace(".", "")
    return f"{local}@{domain}"


def columns_of(sample: Sample) -> dict[str, list[str]]:
    return {name: column.get("values", []) for name, column in sample.contract_columns.items()}


def design(sample: Sample, visitors: pl.DataFrame) -> np.ndarray:
    """Plain one-hot features, ages in bands of four years."""
    values = columns_of(sample)
    age = (visitors["age"].fill_null(14).to_numpy() - 14) // 4
    parts = [np.eye(20)[age]]
    parts += [(visitors[name].to_numpy()[:, None] == np.array(values[name])) for name in ("region", "device")]
    topics = visitors["topics"].fill_null("").str.split("|")
    parts.append(np.column_stack([topics.list.contains(topic).to_numpy() for topic in values["topics"]]))
    return np.column_stack(parts).astype(float)


def write(folder: Path, people: int = PEOPLE, seeds: int = SEEDS, seed: int = 7) -> Sample:
    return generated.write(people, seeds, folder / "publisher", folder / "advertiser", folder / "truth", seed=seed)


def contents(sample: Sample) -> list[bytes]:
    return [path.read_bytes() for path in (sample.publisher, sample.advertiser, sample.truth)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write(tmp_path_factory.mktemp("generated"))


@pytest.fixture(scope="module")
def visitors(sample: Sample) -> pl.DataFrame:
    return pl.read_csv(sample.publisher)


@pytest.fixture(scope="module")
def buyers(sample: Sample) -> pl.DataFrame:
    return pl.read_csv(sample.advertiser)


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("telco")
    return telco.write(folder / "publisher", folder / "advertiser", folder / "truth")


def test_the_files_have_the_columns_and_sizes_that_were_asked_for(
    sample: Sample, visitors: pl.DataFrame, buyers: pl.DataFrame
) -> None:
    assert visitors.columns == ["visitor_id", "email", "age", "region", "device", "topics"]
    assert buyers.columns == ["email"]
    assert visitors.height == PEOPLE + 150
    assert buyers.height == sample.seeds == SEEDS
    assert sample.people == PEOPLE
    assert visitors["visitor_id"].is_unique().all()


def test_the_contract_columns_describe_every_value(sample: Sample, visitors: pl.DataFrame) -> None:
    columns = sample.contract_columns
    assert list(columns) == ["age", "region", "device", "topics"]
    assert visitors["age"].dtype == pl.Int64
    assert [visitors["age"].min(), visitors["age"].max()] == columns["age"]["bounds"] == [18, 90]
    assert 0.04 < visitors["age"].null_count() / visitors.height < 0.08
    for name in ("region", "device"):
        assert set(visitors[name]) == set(columns[name]["values"])
    topics = visitors["topics"].drop_nulls().str.split("|")
    assert set(topics.explode()) == set(columns["topics"]["values"])
    assert topics.list.len().max() == columns["topics"]["at_most"] == 8
    assert (topics.list.n_unique() == topics.list.len()).all()
    assert 3 < topics.list.len().mean() < 6


def test_about_88_percent_of_the_buyers_match_and_only_once_normalised(
    visitors: pl.DataFrame, buyers: pl.DataFrame
) -> None:
    seen = {normalised(email) for email in visitors["email"]} - {None}
    listed = [normalised(email) for email in buyers["email"]]
    assert None not in listed
    assert len(set(listed)) == SEEDS
    assert sum(email in seen for email in listed) == round(0.88 * SEEDS)
    as_written = buyers["email"].is_in(visitors["email"].drop_nulls().to_list()).mean()
    assert 0.1 < as_written < 0.5


def test_one_visitor_in_200_has_a_second_account_with_another_spelling(visitors: pl.DataFrame) -> None:
    emails = visitors.with_columns(person=pl.col("email").map_elements(normalised, pl.String)).drop_nulls("person")
    accounts = emails.group_by("person").agg(rows=pl.len(), spellings=pl.col("email").n_unique())
    assert accounts["rows"].max() == 2
    assert accounts.filter(rows=2).height == 150
    assert (accounts["rows"] == accounts["spellings"]).all()


def test_one_row_in_1000_has_an_email_of_no_use(visitors: pl.DataFrame) -> None:
    useless = [email for email in visitors["email"] if normalised(email) is None]
    assert len(useless) == 30
    assert None in useless
    assert "n/a" in useless


def test_addresses_are_synthetic_and_at_domains_that_are_nobodys(visitors: pl.DataFrame, buyers: pl.DataFrame) -> None:
    for email in [*visitors["email"], *buyers["email"]]:
        address = normalised(email)
        if address is not None:
            assert re.fullmatch(r"pbsample\d{6}@gmail\.com|[a-z]+\.[a-z]+\.\d{6}@example\.(com|org|net)", address)


def test_the_truth_lists_the_publishers_rows_and_every_known_seed_is_a_buyer(
    sample: Sample, visitors: pl.DataFrame, buyers: pl.DataFrame
) -> None:
    truth = pl.read_parquet(sample.truth)
    assert truth["visitor_id"].equals(visitors["visitor_id"])
    assert 0.03 < truth["is_buyer"].mean() < 0.06
    listed = {normalised(email) for email in buyers["email"]}
    known = [normalised(email) in listed for email in visitors["email"]]
    assert truth.filter(pl.Series(known))["is_buyer"].all()
    assert truth["is_buyer"].sum() > 1.2 * round(0.88 * SEEDS) - 1


def test_second_accounts_share_the_truth_of_their_person(sample: Sample, visitors: pl.DataFrame) -> None:
    person = visitors["email"].map_elements(normalised, pl.String).alias("person")
    truth = pl.read_parquet(sample.truth).with_columns(person).drop_nulls("person")
    assert truth.group_by("person").agg(pl.col("is_buyer").n_unique())["is_buyer"].max() == 1


def test_a_logistic_regression_on_all_buyers_finds_them(sample: Sample, visitors: pl.DataFrame) -> None:
    truth = pl.read_parquet(sample.truth)["is_buyer"].to_numpy()
    x = design(sample, visitors)
    learn, check, learn_y, check_y = train_test_split(x, truth, test_size=0.5, random_state=0, stratify=truth)
    model = LogisticRegression(C=0.3, max_iter=500).fit(learn, learn_y)
    assert 0.78 < roc_auc_score(check_y, model.decision_function(check)) < 0.88


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    first, second, other = (write(tmp_path / name, 2_000, 200, seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert contents(first) == contents(second)
    assert all(mine != theirs for mine, theirs in zip(contents(first), contents(other), strict=True))


def test_a_small_sample_has_more_buyers_than_its_list(tmp_path: Path) -> None:
    sample = write(tmp_path, 2_000, 200)
    assert pl.read_csv(sample.advertiser).height == 200
    assert pl.read_parquet(sample.truth).height == 2_010
    assert pl.read_parquet(sample.truth)["is_buyer"].sum() >= 220


@pytest.mark.parametrize(("people", "seeds"), [(999, 100), (10_000_001, 100), (2_000, 9), (2_000, 401)])
def test_a_size_that_cannot_be_made_is_refused_before_anything_is_written(
    tmp_path: Path, people: int, seeds: int
) -> None:
    with pytest.raises(generated.SampleSizeError) as refused:
        write(tmp_path, people, seeds)
    assert (refused.value.people, refused.value.seeds) == (people, seeds)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["publisher/visitors.csv", "advertiser/buyers.csv", "truth/truth.parquet"])
def test_an_existing_file_is_kept_and_nothing_is_written_beside_it(tmp_path: Path, taken: str) -> None:
    path = tmp_path / taken
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write(tmp_path, 2_000, 200)
    assert path.read_text() == "mine"
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_a_failure_while_writing_leaves_no_file(tmp_path: Path) -> None:
    def stop_half_way() -> None:
        with new_files(tmp_path / "a", tmp_path / "b") as (first, _):
            first.write(b"half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        stop_half_way()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", ["publisher", "advertiser/deeper"])
def test_a_truth_in_a_partys_folder_is_refused(tmp_path: Path, inside: str) -> None:
    with pytest.raises(ValueError, match="outside"):
        generated.write(2_000, 200, tmp_path / "publisher", tmp_path / "advertiser", tmp_path / inside)
    with pytest.raises(ValueError, match="outside"):
        telco.write(tmp_path / "publisher", tmp_path / "advertiser", tmp_path / inside)


def test_telco_has_7043_customers_of_whom_1869_left(phone: Sample) -> None:
    customers, truth = pl.read_csv(phone.publisher), pl.read_parquet(phone.truth)
    assert customers.columns == ["customer_id", "email", *phone.contract_columns]
    assert len(phone.contract_columns) == 19
    assert customers.height == truth.height == phone.people == 7_043
    assert truth["is_buyer"].sum() == phone.seeds == 1_869
    assert truth["customer_id"].equals(customers["customer_id"])
    assert customers["total_charges"].null_count() == 11


def test_telco_columns_describe_every_value(phone: Sample) -> None:
    customers = pl.read_csv(phone.publisher, schema_overrides={"senior_citizen": pl.String})
    for name, column in phone.contract_columns.items():
        if column["kind"] == "number":
            low, high = column["bounds"]
            assert customers[name].drop_nulls().is_between(low, high).all(), name
        else:
            assert set(customers[name]) == set(column["values"]), name


def test_the_telco_list_is_the_hashed_emails_of_those_who_left(phone: Sample) -> None:
    customers = pl.read_csv(phone.publisher)
    left = customers.filter(pl.read_parquet(phone.truth)["is_buyer"])["email"]
    expected = {hashlib.sha256(str(normalised(email)).encode()).hexdigest() for email in left}
    listed = pl.read_csv(phone.advertiser)
    assert listed.columns == [phone.advertiser_email_column]
    assert listed.height == len(expected)
    assert set(listed.to_series()) == expected


def test_telco_writes_the_same_bytes_each_time(phone: Sample, tmp_path: Path) -> None:
    again = telco.write(tmp_path / "p", tmp_path / "a", tmp_path / "t")
    assert contents(again) == contents(phone)
    places = {"publisher": phone.publisher, "advertiser": phone.advertiser, "truth": phone.truth}
    assert replace(again, **places) == phone


def test_the_telco_readme_states_licence_source_and_the_digest_of_what_ships() -> None:
    folder = resources.files("passbox.cleanroom.samples")
    text = (folder / "telco.README.md").read_text(encoding="utf-8")
    data = (folder / "telco.parquet").read_bytes()
    assert "Apache License 2.0" in text
    assert "IBM/telco-customer-churn-on-icp4d" in text
    assert hashlib.sha256(data).hexdigest() in text
    assert len(data) < 120_000


def test_what_is_invented_is_said(sample: Sample, phone: Sample) -> None:
    assert "invented" in sample.about
    assert "example.com" in phone.about
