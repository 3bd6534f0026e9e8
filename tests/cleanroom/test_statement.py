"""What an officer reads and files: filtered entries, whole accounts, a burn-down, and a record of processing."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from passbox.cleanroom.cells import harmless
from passbox.cleanroom.processing import COLUMNS, processing_csv
from passbox.cleanroom.statement import Filter, statement


def cap(owner: str, rho: int) -> bytes:
    entry = {"kind": "cap", "seq": 0, "time": "2026-01-01T00:00Z", "account": f"{owner}/record", "owner": owner}
    return json.dumps({**entry, "epsilon": "3.0", "delta": "1e-06", "rho": rho}).encode()


def release(
    time: str, dataset: str, account: str, rho: int, purpose: str = "reach", reader: str = "publisher"
) -> bytes:
    charge = {"account": account, "dataset": dataset, "rho": rho, "before": 0}
    entry = {"kind": "release", "time": time, "asker": "publisher", "recipients": [reader], "purpose": purpose}
    return json.dumps({**entry, "specification": {"datasets": {dataset: "aa"}}, "charges": [charge]}).encode()


LEAVES = [
    cap("shop", 1000),
    cap("paper", 1000),
    release("2026-01-05T10:00Z", "buyers", "shop/record", 100),
    release("2026-02-01T10:00Z", "buyers", "shop/record", 150, purpose="Reach in spring"),
    release("2026-02-01T12:00Z", "visitors", "paper/record", 10, reader="shop"),
]


@pytest.mark.parametrize(
    ("chosen", "places"),
    [
        (Filter(), [0, 1, 2, 3, 4]),
        (Filter(dataset="buyers"), [2, 3]),
        (Filter(party="shop"), [0, 2, 3, 4]),
        (Filter(party="paper"), [1, 4]),
        (Filter(purpose="SPRING"), [3]),
        (Filter(since="2026-02"), [3, 4]),
        (Filter(until="2026-01"), [0, 1, 2]),
        (Filter(since="2026-02-01T11", until="2026-02"), [4]),
        (Filter(dataset="nothing"), []),
    ],
)
def test_a_filter_lists_what_it_says(chosen: Filter, places: list[int]) -> None:
    assert statement(LEAVES, chosen).entries == tuple(json.loads(LEAVES[place]) for place in places)


def test_accounts_are_over_the_whole_ledger_whatever_is_listed() -> None:
    shop, paper = statement(LEAVES, Filter(dataset="nothing")).accounts
    assert (shop.rho, paper.rho) == (250, 10)
    assert shop.share == 0.25


def test_a_burn_down_falls_day_by_day() -> None:
    burns = [(burn.day, burn.left) for burn in statement(LEAVES, Filter()).burns if burn.account == "shop/record"]
    assert burns == [("2026-01-05", 0.9), ("2026-02-01", 0.75)]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "＝1"])
def test_a_formula_becomes_text(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("plain") == "plain"


def test_the_record_of_processing_names_every_release(world: Any) -> None:
    world.run("overlap")
    world.run("lookalike")
    contract, entries = world.agreement.contract, world.log().entries
    rows = list(csv.DictReader(io.StringIO(processing_csv(entries, contract))))
    kinds = [json.loads(entry)["kind"] for entry in entries]
    assert len(rows) == kinds.count("release") == 3
    assert tuple(rows[0]) == COLUMNS
    for row in rows:
        assert row["purpose"] == contract.purpose
        assert row["controllers"] == "advertiser, publisher"
        assert "epsilon" in row["safeguards"] or "covered" in row["safeguards"]
