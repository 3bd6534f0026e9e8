"""Attributes that another party knows of some people, told for a reader's own people: one release for all of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from passbox.cleanroom import job, opening
from passbox.cleanroom.log import log_of, write_log
from passbox.cleanroom.submit import submit
from passbox.policies.jobs.completion import ANSWERS, SUMS

if TYPE_CHECKING:
    from conftest import World

ROOT = Path(__file__).resolve().parents[2]
PEOPLE, CUSTOMERS = 3_000, 2_000
CUSTOMERS_TOML = """[dataset.customers]
owner = "advertiser"
protects = "{protects}"
identifiers.email = "raw"
budget = {{ epsilon = 8.0, delta = 1e-5 }}
columns.garden = {{ kind = "flag" }}
columns.plan = {{ kind = "category", values = ["small", "middle", "large"] }}
columns.likes = {{ kind = "set", values = ["cars", "travel", "food"], at_most = 2 }}
columns.street = {{ kind = "number", bounds = [0, 10] }}
"""
BOTH_KNOW = """columns.age = { kind = "number", bounds = [18, 90] }
columns.region = { kind = "category", values = ["north", "south"] }
columns.device = { kind = "category", values = ["phone", "tablet"] }
"""
ASKED: dict[str, Any] = {
    "people": "visitors",
    "attributes": "customers",
    "targets": ["garden", "plan", "likes"],
    "recipients": ["publisher"],
    "epsilon": 4.0,
}


def files(folder: Path) -> dict[str, Path]:
    """Visitors of whom age, region and device are known, some not; customers, two thirds of them visitors. Who is over
    50 has a garden, northerners have large plans, phones go with cars."""
    rng = np.random.default_rng(11)
    count = PEOPLE + CUSTOMERS // 3
    age, north, phone = rng.integers(18, 90, count), rng.random(count) < 0.5, rng.random(count) < 0.5
    garden = np.where(age > 50, rng.random(count) < 0.95, rng.random(count) < 0.1)
    plan = np.where(north & (rng.random(count) < 0.9), "large", np.where(rng.random(count) < 0.5, "middle", "small"))
    likes = [
        ("cars|food" if rng.random() < 0.8 else "travel") if p else ("travel" if rng.random() < 0.5 else "")
        for p in phone
    ]
    frame = pl.DataFrame(
        {
            "email": [f"person{at}@example.com" for at in range(count)],
            "age": age,
            "region": np.where(north, "north", "south"),
            "device": np.where(phone, "phone", "tablet"),
            "garden": np.where(garden, "yes", "no"),
            "plan": plan,
            "likes": likes,
            "street": rng.integers(0, 10, count),
        }
    )
    untold = frame.with_columns(
        [
            pl.when(pl.Series(rng.random(count) < 0.4)).then(None).otherwise(pl.col(name)).alias(name)
            for name in ("age", "region", "device")
        ]
    )
    folder.mkdir()
    visitors, customers = folder / "visitors.csv", folder / "customers.csv"
    ids = pl.Series("visitor_id", [f"v{at:05}" for at in range(PEOPLE)])
    untold[:PEOPLE].select("email", "age", "region", "device").with_columns(ids).write_csv(visitors)
    chosen = np.concatenate([rng.choice(PEOPLE, CUSTOMERS - CUSTOMERS // 3, replace=False), np.arange(PEOPLE, count)])
    held = frame[rng.permutation(chosen)].with_columns(
        plan=pl.when(pl.Series(rng.random(len(chosen)) < 0.2)).then(None).otherwise(pl.col("plan"))
    )
    held.write_csv(customers)
    return {"visitors": visitors, "customers": customers}


def made(signed: World, folder: Path, protects: str) -> World:
    shutil.copytree(signed.folder, folder, dirs_exist_ok=True, symlinks=True)
    world = replace(signed, folder=folder)
    text = world.contract.read_text()
    head, rest = text[: text.index("[dataset.buyers]")], text[text.index("[rules]") :]
    head = re.sub(r"columns\.region = .*", 'columns.region = { kind = "category", values = ["north", "south"] }', head)
    head = re.sub(r"columns\.device = .*", 'columns.device = { kind = "category", values = ["phone", "tablet"] }', head)
    head = re.sub(r"columns\.topics = .*\n", "", head)
    allow = '{ job = "completion", ask = ["publisher", "advertiser"], recipients = ["publisher", "advertiser"] },\n]'
    own = CUSTOMERS_TOML.format(protects=protects) + (BOTH_KNOW if protects == "person" else "")
    rest = rest[: rest.rindex("]")] + "  " + allow + rest[rest.rindex("]") + 1 :]
    world = world.under(head + own + rest)
    for path in (*world.folder.glob("*.bundle"), *world.folder.glob("*.ids"), *world.folder.glob("*.made")):
        path.unlink()
    for bundle in world.prepared(files(world.folder / "files")).values():
        submit(world.room(), bundle)
    return world


@pytest.fixture(scope="module", params=["membership", "person"])
def agreed(signed: World, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> World:
    """Under a contract that allows completions. Not to be changed: copy it."""
    return made(signed, tmp_path_factory.mktemp("completion"), request.param)


@pytest.fixture
def world(agreed: World, copied: Callable[[World], World]) -> World:
    return copied(agreed)


def ask(world: World, asker: str = "publisher", /, **changes: Any) -> job.Ran:
    return job.run(world.room(), request(world, asker, **changes))


def request(world: World, asker: str = "publisher", /, **changes: Any) -> Any:
    from conftest import _toml  # type: ignore[import-not-found]

    from passbox.policies.request import Request, parse_job
    from passbox.policies.sign import sign

    fields = {name: value for name, value in (ASKED | changes).items() if value is not None}
    data = "\n".join(['kind = "completion"', *(f"{name} = {_toml(value)}" for name, value in fields.items())]).encode()
    return Request(parse_job(data), data, asker, sign(data, world.signing_key(asker), "passbox-job"))


def opened(world: World, ran: job.Ran) -> opening.Opened:
    return opening.open_release(
        ran.release.path, world.keys("publisher").seal_identity(), world.folder / "visitors.ids"
    )


def test_every_visitor_gets_an_answer_or_an_abstention_under_its_own_id(world: World) -> None:
    found = opened(world, ask(world))
    assert found.audience is not None
    table = pl.from_arrow(found.audience)
    assert isinstance(table, pl.DataFrame)
    assert table.height == PEOPLE
    assert table["visitor_id"].is_sorted()
    assert table["visitor_id"].n_unique() == PEOPLE
    for name in ("garden", "plan", "likes: cars"):
        left = table[f"{name}.abstained"]
        assert (table[name].is_null() == left).all()
        assert (table[f"{name}.low"] <= table[f"{name}.probability"]).all()
        assert (table[f"{name}.probability"] <= table[f"{name}.high"]).all()
        assert (table.filter(~left)[f"{name}.probability"] >= 0.8).all()
    said = pl.read_csv(world.folder / "files" / "visitors.csv").join(table, on="visitor_id")
    old = said.filter((pl.col("age") > 60) & ~pl.col("garden.abstained"))
    assert old.height > 100
    assert (old["garden"] == "yes").mean() > 0.95  # type: ignore[operator]


def test_only_the_attributes_pay_once_for_all_of_them(world: World) -> None:
    ran = ask(world)
    with world.room().ledger() as ledger:
        entries = [json.loads(leaf) for leaf in ledger.leaves()]
    paid = [entry for entry in entries if entry.get("charges")]
    assert [entry["specification"]["statistic"] for entry in paid] == [SUMS]
    assert [charge["account"] for charge in paid[0]["charges"]] == ["advertiser/record"]
    assert [entry["specification"]["statistic"] for entry in entries if entry.get("covered")] == [ANSWERS]
    assert ran.charged


def test_another_confident_costs_nothing_and_tells_the_same_quality(world: World) -> None:
    first = opened(world, ask(world)).document
    spent = world.spent()
    again = ask(world, confident=0.6)
    assert not again.charged
    assert world.spent() == spent
    second = opened(world, again).document
    assert [each["levels"] for each in first["quality"]] == [each["levels"] for each in second["quality"]]  # type: ignore[index]
    pairs = zip(first["questions"], second["questions"], strict=True)  # type: ignore[arg-type]
    assert all(one["answered"] <= other["answered"] for one, other in pairs)


def test_three_verifiers_accept_it(world: World) -> None:
    ask(world)
    world.verify()
    export = world.folder / "out"
    write_log(log_of(world.room()), export)
    page = ROOT / "cleanroom/verifier/verify_ledger.py"
    done = subprocess.run([sys.executable, page, export, world.contract], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("OK"), done.stdout
