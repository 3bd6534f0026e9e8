"""The demo is the job: its figures hold together, and its folders keep working."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def typed(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "passbox"), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, "COLUMNS": "120"}
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A small demo's JSON and its folder."""
    home = tmp_path_factory.mktemp("demo")
    done = typed("demo", "--people", "20000", "--seeds", "2000", "--json", "--out", "all", cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found, home / "all"


def test_the_demo_as_json_says_what_it_found(played: tuple[dict[str, Any], Path]) -> None:
    found, _ = played
    for estimate in (found["match"], found["lookalike"]["auc"]):
        assert estimate["low"] <= estimate["estimate"] <= estimate["high"]
    assert {"people", "seeds", "seconds", "match", "lookalike", "audience", "ledger", "spent"} <= set(found)
    assert (found["asked"], found["seeds"]) == (20000, 2000)
    assert found["ledger"]["verified"] is True
    assert found["ledger"]["entries"] == 5
    assert found["audience"]["size"] == 2000
    assert set(found["spent"]) == {"visitors", "buyers"}
    assert 0.99 < found["spent"]["buyers"]["epsilon"] <= found["epsilon"] == 1.0
    assert 0 < found["spent"]["visitors"]["epsilon"] < 0.5


def test_the_lookalike_found_something_and_its_interval_is_honest(played: tuple[dict[str, Any], Path]) -> None:
    """The exact AUC differs by noise alone, of which one standard deviation is .43 of the half width (the interval
    covers sampling too): 2.5 half widths are 5.8 of them, fewer than 1 run of 10^7. Without a signal it would be .5."""
    found, _ = played
    auc = found["lookalike"]["auc"]
    half = (auc["high"] - auc["low"]) / 2
    assert abs(found["lookalike"]["exact_auc"] - auc["estimate"]) < 2.5 * half
    assert found["lookalike"]["truth_auc"] > 0.7


def test_the_audience_is_the_publishers_own_ids(played: tuple[dict[str, Any], Path]) -> None:
    found, folder = played
    lines = Path(found["audience"]["path"]).read_text().splitlines()
    own = {line.split(",")[0] for line in (folder / "publisher" / "visitors.csv").read_text().splitlines()[1:]}
    chosen = [line.strip('"') for line in lines[1:]]
    assert len(chosen) == len(set(chosen)) == 2000
    assert set(chosen) <= {name.strip('"') for name in own}
    assert chosen == sorted(chosen)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a demo of published data prints, and its folder."""
    home = tmp_path_factory.mktemp("real")
    done = typed("demo", "--real", "--out", "all", cwd=home)
    assert done.returncode == 0, done.stderr
    return done.stdout, home / "all"


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.long)])
def test_printed_commands_work_again(shown: tuple[str, Path], every: int) -> None:
    """Each sixth one, at length all of them."""
    printed, folder = shown
    lines = [line for line in printed.splitlines() if "$ passbox" in line or "$ cp" in line]
    assert len(lines) > 30
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for line in lines[::every]:
        person, _, command = line.partition("$ ")
        again = subprocess.run(
            ["bash", "-c", command], cwd=folder / person, env=environment, capture_output=True, check=False
        )
        assert again.returncode == 0, line + again.stderr.decode()


def test_the_demo_refuses_a_folder_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    done = typed("demo", "--out", "used", cwd=tmp_path)
    assert done.returncode == 3
    assert (tmp_path / "used" / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "words", ["--people 10", "--epsilon 0", "--epsilon 50", "--epsilon nan", "--real --people 2000", "--real --seeds 9"]
)
def test_the_demo_refuses_what_it_cannot_make_and_makes_nothing(words: str, tmp_path: Path) -> None:
    done = typed("demo", *words.split(), "--out", "x", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


def test_on_real_data_the_demo_says_what_its_truth_is(shown: tuple[str, Path]) -> None:
    """All who left are listed: there is no larger truth than the exact figure."""
    printed, _ = shown
    assert "All true buyers are on the seed list here" in printed
    assert "not on the seed list" not in printed


@pytest.mark.parametrize("blocks", [20, 60, 130])
def test_a_file_that_may_not_grow_ends_the_demo_in_one_line(blocks: int, tmp_path: Path) -> None:
    """As a full disk does, at whichever step it comes. blocks: of 1,024 bytes."""
    command = f"ulimit -f {blocks}; exec {Path(sys.executable).parent}/passbox demo --people 3000 --seeds 300 --out x"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 7
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def heeding_ctrl_c() -> None:
    """What runs in the background of a shell ignores it, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_the_demo_in_one_line(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "passbox"), "demo", "--people", "3000", "--seeds", "300", "--out", "x"]
    how: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": heeding_ctrl_c}
    with subprocess.Popen(command, text=True, cwd=tmp_path, **how) as running:
        assert running.stdout is not None
        assert any("prepare" in line for line in running.stdout)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=300)
    assert running.returncode == 130
    assert err == (
        "stopped; `x` is half done: remove it and type the same again, or choose another folder with `--out`\n"
    )
    assert typed(*command[1:], cwd=tmp_path).returncode == 3
