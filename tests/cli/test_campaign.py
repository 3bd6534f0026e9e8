"""A campaign from the terminal: the demo's files, typed at again, and two verifiers that know nothing of Passbox."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from passbox.cli.app import run

PASSBOX = Path(sys.executable).parent / "passbox"
NODE = Path(__file__).resolve().parents[2] / "docs/verify_ledger.mjs"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    home = tmp_path_factory.mktemp("campaign") / "all"
    command = [str(PASSBOX), "demo", "--campaign", "--people", "2000", "--epsilon", "1", "--out", str(home), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return home, json.loads(done.stdout)


def typed(folder: Path, *words: str, code: int = 0) -> str:
    """What a command says, typed in a folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert run(words) == code, err.getvalue()
    return out.getvalue() + err.getvalue()


def test_the_demo_asks_every_kind_and_the_officer_verifies(played: tuple[Path, dict[str, Any]]) -> None:
    home, found = played
    assert found["ledger"] == {"entries": 6, "verified": True, "cosigned": 6}
    assert [found["reach"][0]["keys"], len(found["frequency"][0]["keys"])] == [[["spring"], ["summer"], ["brand"]], 8]
    names = [column["name"] for column in found["campaign"][0]["columns"]]
    assert {"cpm", "cpc", "cpa", "ctr", "cvr", "completion_rate", "scroll_rate"} < set(names)
    for kind in ("reach", "frequency", "campaign", "topics"):
        table = pl.read_parquet(home / "advertiser" / f"{kind}.parquet")
        assert table.height == sum(len(each["keys"]) * len(each["columns"]) for each in found[kind])
        assert table.columns[0] == "table"
        assert table.columns[-5:] == ["number", "estimate", "low", "high", "covers"]


def test_a_room_of_one_list_and_events_has_nothing_left_to_match(played: tuple[Path, dict[str, Any]]) -> None:
    operator = played[0] / "operator"
    assert json.loads(typed(operator, "room", "show", "spring", "--json"))["matched"] is True
    shown = typed(operator, "room", "show", "spring")
    assert "not matched yet" not in shown
    assert "next: `passbox plan spring JOB`" in shown
    said = typed(operator, "match", "spring")
    assert "events are joined when a job asks for them" in said
    assert "next: `passbox plan spring JOB`" in said


def test_both_verifiers_take_a_log_of_tables(played: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    export, contract = played[0] / "officer" / "spring.ledger", played[0] / "officer" / "contract.toml"
    page = subprocess.run(
        [sys.executable, str(export / "verify_ledger.py"), str(export), str(contract)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert page.stdout.startswith("OK"), page.stdout
    if shutil.which("node") is None or not NODE.is_file():
        pytest.skip("Node is not on this machine")
    told = tomllib.loads(contract.read_text())
    terms = tmp_path / "terms.json"
    owners = {name: rule["owner"] for name, rule in told["dataset"].items()}
    terms.write_text(json.dumps({"vkey": told["room"]["checkpoint"], "owners": owners, "operator": "host"}))
    node = subprocess.run(["node", str(NODE), str(export), str(terms)], capture_output=True, text=True, check=False)
    assert node.stdout.startswith("OK"), node.stdout


def test_a_plan_says_which_epsilon_an_accuracy_needs(played: tuple[Path, dict[str, Any]]) -> None:
    operator = played[0] / "operator"
    said = typed(operator, "plan", "spring", "campaign.toml", "--target", "clicks=40", "--explain")
    assert "clicks within ±40 needs epsilon = " in said
    assert said == typed(operator, "plan", "spring", "campaign.toml", "--target", "clicks=±40", "--explain")
    assert "what nobody can learn from it" in said
    assert "impressions: one person adds at most 10" in said
    data = json.loads(typed(operator, "plan", "spring", "campaign.toml", "--target", "clicks=40", "--json"))
    assert data["target"]["half_width"] <= 40
    assert data["notes"]
    for wrong in ("cpm=1", "x", "nothing=3", "clicks=nan"):
        typed(operator, "plan", "spring", "campaign.toml", "--target", wrong, code=2)


def test_a_target_is_answered_of_a_job_that_was_paid_before(played: tuple[Path, dict[str, Any]]) -> None:
    """What it gives as it is, and what would be enough; or that it is enough."""
    operator = played[0] / "operator"
    said = typed(operator, "plan", "spring", "campaign.toml", "--target", "clicks=40")
    assert "all of it was paid before" in said
    assert re.search(
        r"paid before gives ±[0-9.]+; clicks within ±40 needs epsilon = [0-9.]+, .* paid for by itself", said
    )
    said = typed(operator, "plan", "spring", "campaign.toml", "--target", "clicks=400")
    assert re.search(r"clicks is within ±[0-9.]+ by what was paid before: nothing more is needed", said)
    data = json.loads(typed(operator, "plan", "spring", "campaign.toml", "--target", "clicks=400", "--json"))
    assert data["paid"] is True
    assert data["target"]["planned"] < 400


def test_tables_are_written_as_csv_and_shown_with_their_intervals(played: tuple[Path, dict[str, Any]]) -> None:
    advertiser = played[0] / "advertiser"
    (file,) = advertiser.glob("reach-*.release")
    words = ("release", "open", file.name, "--key", "advertiser.keys", "--contract", "contract.toml")
    said = typed(advertiser, *words, "--out", "reach.csv")
    assert "95 % interval: noise" in said
    assert "households" in said
    assert pl.read_csv(advertiser / "reach.csv").height == 8
    typed(advertiser, *words, "--out", "reach.xlsx", code=2)


def test_a_job_of_each_kind_is_drafted(played: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    contract = str(played[0] / "advertiser" / "contract.toml")
    for kind in ("reach", "frequency", "campaign", "topics", "aggregate"):
        typed(tmp_path, "job", "new", kind, "--contract", contract)
        assert tomllib.loads((tmp_path / f"{kind}.toml").read_text())["kind"] == kind
    typed(tmp_path, "job", "new", "reach", "--contract", contract, "--size", "5", code=2)


def test_a_denial_from_the_terminal_names_clause_and_change(played: tuple[Path, dict[str, Any]]) -> None:
    home = played[0]
    text = (home / "advertiser" / "reach.toml").read_text().replace('by = ["campaign"]', 'by = ["colour"]')
    (home / "advertiser" / "wrong.toml").write_text(text)
    said = typed(
        home / "advertiser", "job", "sign", "wrong.toml", "--contract", "contract.toml", "--key", "advertiser.keys"
    )
    assert "this job will be refused: columns: colour is not declared for exposures; use some of campaign" in said
    for name in ("wrong.toml", "wrong.toml.advertiser.sig"):
        shutil.copy(home / "advertiser" / name, home / "operator")
    refused = typed(home / "operator", "plan", "spring", "wrong.toml", code=5)
    assert "colour is not declared for exposures" in refused


@pytest.mark.parametrize("words", [("--seeds", "50"), ("--real",), ("--data-only",), ("--people", "10")])
def test_a_campaign_has_data_of_its_own(tmp_path: Path, words: tuple[str, ...]) -> None:
    typed(tmp_path, "demo", "--campaign", *words, code=2)
