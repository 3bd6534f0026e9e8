"""Two data sets of one owner have one account: whoever tells of it, tells the same cap at the same δ."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from passbox.cleanroom import job
from passbox.cleanroom.processing import processing_csv
from passbox.cleanroom.statement import Filter, ahead_of, statement
from passbox.cli.app import run
from passbox.policies.accounts import binding

if TYPE_CHECKING:
    from .world import World

BOTH = ["publisher", "advertiser"]
EVENTS = """[dataset.exposures]
owner = "publisher"
protects = "person"
identifiers.email = "raw"
rows = "events"
at_most = 5
budget = { epsilon = 1.5, delta = 1e-7 }
[rules]"""


@pytest.fixture
def shared(world: World) -> World:
    """The visitors' budget is larger than that of the exposures, which nobody submits."""
    tables = {name: world.table(name) for name in ("visitors", "buyers")}
    world = world.under(world.contract.read_text().replace("[rules]", EVENTS, 1))
    for name, table in tables.items():
        world.submit(name, table)
    job.match(world.room())
    return world


def test_the_budget_that_lets_least_be_spent_holds_for_all(shared: World) -> None:
    contract = shared.agreement.contract
    assert contract.dataset["visitors"].budget.epsilon == 3
    assert binding(contract, "publisher").epsilon == 1.5
    assert binding(contract, "advertiser").epsilon == 3


def test_plan_ledger_and_record_tell_one_cap_at_one_delta(shared: World) -> None:
    shared.run("overlap", recipients=BOTH, epsilon=0.5)
    log = shared.log()
    line = next(each for each in statement(log.entries, Filter(), ahead_of(log)).accounts if each.owner == "publisher")
    planned = job.plan(shared.room(), shared.request("overlap", recipients=BOTH, epsilon=0.4))
    cost = next(each for each in planned.costs if each.owner == "publisher")
    assert (cost.cap, cost.spent) == (line.cap, line.spent) == (1.5, line.spent)
    contract = shared.agreement.contract
    rows = list(csv.DictReader(io.StringIO(processing_csv(log.entries, contract, log.manifests))))
    assert "at delta 1e-07 of 1.5 for publisher/record" in rows[0]["safeguards"]


def test_a_contract_tells_the_cap_that_binds(shared: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["contract", "show", str(shared.contract)]) == 0
    said = capsys.readouterr().out
    assert "publisher lets at most ε 1.5 (δ 1e-07) of visitors be spent in all" in said
    assert (
        "together at most ε 1.5 is spent, and what is spent on one is spent of all; of ε 1.5 (δ 1e-07) and ε 3" in said
    )
    assert run(["contract", "show", str(shared.contract), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["dataset"]
    assert [written[name]["budget"]["epsilon"] for name in ("visitors", "exposures")] == [3, 1.5]
