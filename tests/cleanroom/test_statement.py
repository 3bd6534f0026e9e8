"""What an officer reads and files: filtered entries, whole accounts, a burn-down, and a record of processing."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from typing import Any

import pytest

from passbox.cleanroom.cells import harmless
from passbox.cleanroom.processing import COLUMNS, processing_csv
from passbox.cleanroom.statement import Filter, NotAnEntry, statement
from passbox.dp.canonical import canonical


def cap(owner: str, rho: int) -> bytes:
    entry = {"kind": "cap", "seq": 0, "time": "2026-01-01T00:00Z", "account": f"{owner}/record", "owner": owner}
    return canonical({**entry, "epsilon": "3.0", "delta": "1e-06", "rho": rho})


def release(
    time: str, dataset: str, account: str, rho: int, purpose: str = "reach", reader: str = "publisher"
) -> bytes:
    charge = {"account": account, "dataset": dataset, "rho": rho, "before": 0}
    entry = {"kind": "release", "seq": 2, "time": time, "asker": "publisher", "recipients": [reader]}
    spec = {"statistic": "matched-count@1", "datasets": {dataset: "aa"}}
    return canonical({**entry, "purpose": purpose, "specification": spec, "charges": [charge], "covered": []})


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


def test_a_party_finds_what_its_charge_covers_as_well() -> None:
    """The evaluation of a lookalike is about the people who paid for its fit, though it is charged to nobody."""
    entry = json.loads(LEAVES[2])
    covered = canonical({**entry, "charges": [], "covered": entry["charges"]})
    assert len(statement([*LEAVES[:3], covered], Filter(party="shop")).entries) == 3


def test_accounts_are_over_the_whole_ledger_whatever_is_listed() -> None:
    shop, paper = statement(LEAVES, Filter(dataset="nothing")).accounts
    assert (shop.rho, paper.rho) == (250, 10)
    assert shop.share == 0.25


def test_a_burn_down_falls_day_by_day() -> None:
    burns = [(burn.day, burn.left) for burn in statement(LEAVES, Filter()).burns if burn.account == "shop/record"]
    assert burns == [("2026-01-05", 0.9), ("2026-02-01", 0.75)]


def denial() -> bytes:
    entry = {"kind": "denial", "seq": 5, "time": "2026-02-02T10:00Z", "asker": "publisher", "purpose": "reach"}
    return canonical({**entry, "clause": "epsilon"})


SHAPED = [LEAVES[0], LEAVES[2], denial()]
NO_VALUES: list[Any] = [None, True, -1, 10**40, 1.5, "", "x", [], {}, [None], {"x": None}]


@pytest.mark.parametrize("leaf", SHAPED, ids=["cap", "release", "denial"])
def test_an_entry_without_its_shape_is_named(leaf: bytes) -> None:
    """Every field dropped, and given every other type: shown as it is where it may be so, or named."""
    assert statement([LEAVES[0], leaf][-2:], Filter()).entries
    for name in json.loads(leaf):
        if name not in ("purpose", "before"):
            entry = json.loads(leaf)
            del entry[name]
            with pytest.raises(NotAnEntry) as named:
                statement([LEAVES[0], canonical(entry)], Filter())
            assert named.value.entry == 1
        for value in NO_VALUES:
            with suppress(NotAnEntry):
                statement([LEAVES[0], json.dumps({**json.loads(leaf), name: value}).encode()], Filter(party="shop"))


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"\xff",
        b"[]",
        b"7",
        b"[" * 100_000,
        b"9" * 5_000,
        LEAVES[0] + b" ",
        cap("shop", 0),
        LEAVES[2].replace(b"shop/record", b"nobody"),
        LEAVES[0].replace(b"3.0", b"nan"),
        LEAVES[0].replace(b"3.0", b"1e999"),
        LEAVES[0].replace(b'"seq":0', b'"seq":0,"x":' + b"[" * 200 + b"]" * 200),
    ],
)
def test_what_is_no_entry_is_named(leaf: bytes) -> None:
    with pytest.raises(NotAnEntry) as named:
        statement([LEAVES[0], leaf], Filter())
    assert named.value.entry == 1


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "＝1"])
def test_a_formula_becomes_text(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("plain") == "plain"


def test_the_record_of_processing_names_every_release(world: Any) -> None:
    world.run("overlap")
    world.run("lookalike")
    contract, entries = world.agreement.contract, world.log().entries
    rows = list(csv.DictReader(io.StringIO(processing_csv(entries, contract, world.log().manifests))))
    kinds = [json.loads(entry)["kind"] for entry in entries]
    assert len(rows) == kinds.count("release") == 3
    assert tuple(rows[0]) == COLUMNS
    for row in rows:
        assert row["purpose"] == contract.purpose
        assert row["words_privatised_before"] == ""
        assert row["controllers"] == "advertiser, publisher"
        assert "epsilon" in row["safeguards"] or "covered" in row["safeguards"]
