"""`passbox job`, as typed: what every room would refuse is said when it is signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

Typed = Callable[..., tuple[int, str, str]]

NEW = ["job", "new", "overlap", "--contract=contract.toml", "--epsilon=0.25"]
SIGN = ["job", "sign", "overlap.toml", "--contract=contract.toml", "--key=publisher.keys"]


@pytest.fixture
def drafted_job(passbox: Typed, agreed: Path) -> Path:
    assert passbox(*NEW)[0] == 0
    return agreed / "overlap.toml"


def test_a_job_that_may_run_is_signed_without_a_warning(passbox: Typed, drafted_job: Path) -> None:
    code, out, err = passbox(*SIGN)
    assert code == 0
    assert "signed as publisher" in out
    assert err == "next: send `overlap.toml` and `overlap.toml.publisher.sig` to host\n"


def test_a_draft_that_no_room_would_run_says_so_before_anybody_edits_it(
    passbox: Typed, agreed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del agreed
    assert "warning" not in passbox(*NEW)[2]
    monkeypatch.setattr("passbox.cli.words.today", lambda: date(2100, 1, 1))
    code, _, err = passbox(*NEW)
    assert code == 0
    assert err.startswith("warning: as it stands, this job will be refused: expires: the contract expired on")


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("epsilon = 0.25", "epsilon = 9.0", "budget: ε 9 is asked"),
        ('"publisher", "advertiser"', '"host"', "rules.allow"),
        ('people = "visitors"', 'people = "cats"', "dataset"),
    ],
)
def test_a_job_that_would_be_refused_is_signed_with_a_warning(
    written: str, instead: str, said: str, passbox: Typed, drafted_job: Path
) -> None:
    text = drafted_job.read_text()
    assert written in text
    drafted_job.write_text(text.replace(written, instead))
    code, _, err = passbox(*SIGN)
    assert code == 0
    assert drafted_job.with_name("overlap.toml.publisher.sig").exists()
    assert err.startswith(f"warning: this job will be refused: {said}")
    assert "running it as it is puts a refusal into the ledger" in err
    assert "next: mend the job" in err
    assert "this job will be refused" in json.loads(passbox(*SIGN, "--json")[1])["warnings"][0]


def test_before_all_have_signed_a_job_is_signed_without_a_word(passbox: Typed, drafted_job: Path) -> None:
    drafted_job.with_name("contract.toml.officer.sig").unlink()
    drafted_job.write_text(drafted_job.read_text().replace("epsilon = 0.25", "epsilon = 9.0"))
    code, _, err = passbox(*SIGN)
    assert (code, "warning" in err) == (0, False)


def test_a_job_named_where_the_room_belongs_is_no_reason_to_make_a_room(passbox: Typed, drafted_job: Path) -> None:
    code, _, err = passbox("plan", str(drafted_job), "spring")
    assert code == 3
    assert "this is a file, and a room is a folder" in err
    assert "room new" not in err
