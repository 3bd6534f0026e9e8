"""The README's terminal session and its Python lines are run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROMPT = re.compile(r"^(publisher|advertiser|officer|operator)?\$ (.*)$")


def fenced(root: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)


def session(root: Path) -> list[tuple[str, str]]:
    """(person or "", command) of every line that is typed, after the two set-up commands."""
    lines = [line for block in fenced(root, "console") for line in block.splitlines()]
    typed = [match.groups() for line in lines if (match := PROMPT.match(line))]
    return [(person or "", command.split("  #")[0].strip()) for person, command in typed if "make " not in command]


def environment(home: Path) -> dict[str, str]:
    here = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{here}:{os.environ['PATH']}", "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "120"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder after the whole session, and what each command printed."""
    root = Path(__file__).resolve().parents[2]
    home = tmp_path_factory.mktemp("session")
    printed: dict[str, str] = {}
    for person, command in session(root):
        if command == "cd spring":
            continue
        where = home / "spring" / person if person else home
        done = subprocess.run(
            ["bash", "-c", command], cwd=where, env=environment(home), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{person}$ {command}\n{done.stdout}\n{done.stderr}"
        printed[f"{person}$ {command}"] = done.stdout
    return home / "spring", printed


def test_the_session_of_the_readme_runs_as_typed(played: tuple[Path, dict[str, str]]) -> None:
    folder, printed = played
    assert any("verified: 5 entries, 3 releases" in text for text in printed.values())
    assert len((folder / "publisher" / "audience.csv").read_text().splitlines()) == 2001


def test_the_officer_never_had_the_room(played: tuple[Path, dict[str, str]]) -> None:
    folder, _ = played
    names = {path.name for path in (folder / "officer").rglob("*")}
    assert not names & {"ledger.sqlite", "storage", "visitors.ids", "visitors.bundle", "part-000.parquet"}


def test_typing_the_session_again_changes_nothing(played: tuple[Path, dict[str, str]], root: Path) -> None:
    folder, _ = played
    before = {path: path.read_bytes() for path in (folder / "operator" / "spring" / "releases").iterdir()}
    for person, command in session(root):
        if person and command.startswith("passbox"):
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder / person, env=environment(folder), capture_output=True, check=False
            )
            assert done.returncode == 0, f"{person}$ {command}\n{done.stderr.decode()}"
    assert before == {path: path.read_bytes() for path in (folder / "operator" / "spring" / "releases").iterdir()}


def test_the_python_lines_of_the_readme_run(played: tuple[Path, dict[str, str]], root: Path) -> None:
    folder, _ = played
    (lines,) = fenced(root, "python")
    assert len([line for line in lines.splitlines() if line.strip()]) <= 16
    done = subprocess.run([sys.executable, "-c", lines], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "'covers': 'noise and sampling'" in done.stdout


def test_every_command_is_in_the_readme_or_named_by_help(root: Path) -> None:
    from typer.main import get_command

    from passbox.cli.app import app

    text = (root / "README.md").read_text() + "".join(path.read_text() for path in (root / "docs").rglob("*.md"))
    missing = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        names = [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]
        missing += [full for full in names if f"passbox {full}" not in text]
    assert not missing
