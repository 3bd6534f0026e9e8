"""The README's terminal session and its Python lines are run as they stand.

The session is read by a shell and run in one process (`terminal.py`), and then typed again as commands of their own.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from .terminal import environment, typed

PROMPT = re.compile(r"^(publisher|advertiser|officer|operator)?\$ (.*)$")


def fenced(root: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)


def session(root: Path) -> list[tuple[str, str]]:
    """(person or "", command) of every line that is typed, after the set-up commands."""
    lines = [line for block in fenced(root, "console") for line in block.splitlines()]
    typed = [match.groups() for line in lines if (match := PROMPT.match(line))]
    commands = [(person or "", command.split("  #")[0].strip()) for person, command in typed]
    return [(person, command) for person, command in commands if not command.startswith(("make ", ". "))]


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
        printed[f"{person}$ {command}"] = typed(command, where, environment(home))
    return home / "spring", printed


def test_the_session_of_the_readme_runs_as_typed(played: tuple[Path, dict[str, str]]) -> None:
    folder, printed = played
    assert any("verified: 5 entries, 3 noisy statistics, 0 refusals" in text for text in printed.values())
    assert len((folder / "publisher" / "audience.csv").read_text().splitlines()) == 2001


def test_a_plan_calls_an_auc_an_auc_and_readers_learn_in_the_plural(played: tuple[Path, dict[str, str]]) -> None:
    _, printed = played
    explained = next(text for command, text in printed.items() if "--explain" in command)
    assert "AUC: of one person who is on it and one who is not" in explained
    assert "how often the best test is right" not in explained
    meaning = printed["publisher$ passbox contract check contract.toml"]
    assert "the best test has an AUC of" in meaning
    opened = next(text for command, text in printed.items() if "release open overlap" in command)
    assert "advertiser, publisher learn how many" in opened


LEARNING = {"sklearn", "scipy", "scipy.stats", "scipy.optimize", "opendp", "numba", "polars"}
TABLES = {*LEARNING, "pyarrow", "numpy"}


@pytest.mark.parametrize(
    ("person", "words", "unused"),
    [
        ("publisher", "keys show publisher.keys", TABLES),
        ("officer", "contract show contract.toml", TABLES),
        ("officer", "contract check contract.toml", TABLES),
        ("officer", "contract verify contract.toml", TABLES),
        ("officer", "ledger verify spring.ledger --contract contract.toml", LEARNING),
        ("operator", "room show spring", LEARNING),
        ("operator", "release list spring", LEARNING),
        ("operator", "match spring", LEARNING),
        ("operator", "run spring overlap.toml", LEARNING),
        ("operator", "plan spring lookalike.toml", LEARNING - {"scipy"}),
    ],
)
def test_a_command_imports_only_what_it_uses(
    person: str, words: str, unused: set[str], played: tuple[Path, dict[str, str]]
) -> None:
    """Where nothing is left to learn or to draw, nothing that learns or draws is loaded: it takes two seconds."""
    folder, _ = played
    code = f"import sys; from passbox.cli.app import run; print(run({words.split()!r}), *sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder / person,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    exited, *loaded = done.stderr.splitlines()[-1].split()
    assert exited == "0"
    assert "passbox.cli.show" in loaded
    assert not unused & set(loaded)


def test_the_officer_never_had_the_room(played: tuple[Path, dict[str, str]]) -> None:
    folder, _ = played
    names = {path.name for path in (folder / "officer").rglob("*")}
    assert not names & {"ledger.sqlite", "storage", "visitors.ids", "visitors.bundle", "part-000.parquet"}


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.long)])
def test_typing_the_session_again_changes_nothing(played: tuple[Path, dict[str, str]], root: Path, every: int) -> None:
    """Each sixth command, at length all of them."""
    folder, _ = played
    before = {path: path.read_bytes() for path in (folder / "operator" / "spring" / "releases").iterdir()}
    lines = [(person, command) for person, command in session(root) if person and command.startswith("passbox")]
    for person, command in lines[::every]:
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
    assert "publisher/record: 1.0% of a cap of ε 3\n" in done.stdout


def test_ordinary_tools_open_a_bundle_as_the_readme_says(played: tuple[Path, dict[str, str]], root: Path) -> None:
    if missing := [tool for tool in ("unzip", "ssh-keygen", "age") if shutil.which(tool) is None]:
        pytest.skip(f"{', '.join(missing)} is not on this machine")
    operator = played[0] / "operator"
    (lines,) = fenced(root, "sh")
    done = subprocess.run(["bash", "-e", "-c", lines], cwd=operator, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'Good "passbox-bundle" signature for publisher' in done.stdout
    with pa.ipc.open_file(operator / "opened" / "data.arrow") as file:
        names = file.schema.names
    assert names[:3] == ["k", "k2", "token"]
    assert not {"email", "visitor_id"} & set(names)
    manifest = operator / "opened" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("19980", "19981"))
    assert subprocess.run(["bash", "-e", "-c", lines.splitlines()[2]], cwd=operator, check=False).returncode != 0


def test_a_release_is_an_age_file(played: tuple[Path, dict[str, str]]) -> None:
    if shutil.which("age") is None:
        pytest.skip("age is not on this machine")
    publisher = played[0] / "publisher"
    (release,) = publisher.glob("lookalike-*.release")
    done = subprocess.run(
        ["age", "-d", "-i", "publisher.keys/seal", release.name], cwd=publisher, capture_output=True, check=True
    )
    assert "release.json" in zipfile.ZipFile(io.BytesIO(done.stdout)).namelist()


def test_what_stays_at_home_is_named_as_never_sent(played: tuple[Path, dict[str, str]], root: Path) -> None:
    """What `prepare` and `cosign` leave behind is in the list, and went to nobody."""
    never = (root / "README.md").read_text().split("**Never sent:**")[1].split("\n\n")[0]
    for person, kept in (("publisher", "visitors.ids"), ("advertiser", "buyers.made"), ("officer", "spring.seen")):
        assert f"`{kept}`" in never
        assert [path.parent.name for path in played[0].rglob(kept)] == [person]


def test_every_command_is_in_the_readme_or_named_by_help(root: Path) -> None:
    from typer.main import get_command

    from passbox.cli.app import app

    text = (root / "README.md").read_text() + "".join(path.read_text() for path in (root / "docs").rglob("*.md"))
    missing = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        names = [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]
        missing += [full for full in names if f"passbox {full}" not in text]
    assert not missing


def test_a_party_looks_at_its_own_list_with_what_it_was_given_and_nothing_is_charged(
    played: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = played
    room = folder / "operator" / "spring"
    before = {path: path.read_bytes() for path in room.rglob("*") if path.is_file()}
    words = "--contract contract.toml --dataset visitors --bundle visitors.bundle --json"
    command = f"passbox doctor match visitors.csv {words} --overlap overlap-*.release --key publisher.keys"
    where = folder / "publisher"
    found = json.loads(typed(command, where, environment(folder)))
    assert {"form", "gmail", "scheme"} <= {cause["name"] for cause in found["causes"]}
    assert "key" not in {cause["name"] for cause in found["causes"]}
    assert 0 < found["observed"]["low"] < found["observed"]["high"] < 1
    command = "passbox release open overlap-*.release --key publisher.keys --json"
    told = json.loads(typed(command, where, environment(folder)))
    assert found["observed"]["rate"] == pytest.approx(told["matched"]["estimate"] / found["rows"]), "of this list"
    assert all(cause["gain"]["high"] <= cause["share"] + 1e-6 for cause in found["causes"] if cause["gain"])
    assert {path: path.read_bytes() for path in room.rglob("*") if path.is_file()} == before


def test_a_bundle_keyed_for_another_contract_is_named_a_key_mismatch(
    played: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, _ = played
    publisher = folder / "publisher"
    for path in publisher.glob("contract.toml*"):
        shutil.copy(path, tmp_path)
    share = tmp_path / "contract.toml.advertiser.share"
    share.write_text(share.read_text().replace("-----BEGIN", " -----BEGIN", 1))
    words = f"--contract {tmp_path}/contract.toml --dataset visitors --bundle visitors.bundle"
    command = f"passbox doctor match visitors.csv {words} --json"
    found = json.loads(typed(command, publisher, environment(folder)))
    (cause,) = (each for each in found["causes"] if each["name"] == "key")
    assert (cause["share"], cause["certain"]) == (1, True)
