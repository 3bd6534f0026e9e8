"""The benchmark of lookalikes, as a newcomer types it: any CSV file with a small schema."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCHEMA = """label = { column = "bought", positive = "yes" }
[columns]
age = { kind = "number", bounds = [0, 100] }
colour = { kind = "category", values = ["red", "blue"] }
"""


def asked(folder: Path, schema: str) -> list[str]:
    """400 people and their schema, as arguments; of each fifth the age is missing, and older ones buy."""
    rows = [f"{at % 90 if at % 5 else ''},{('red', 'blue')[at % 2]},{('no', 'yes')[at % 90 > 50]}" for at in range(400)]
    (folder / "people.csv").write_text("\n".join(["age,colour,bought", *rows]) + "\n")
    (folder / "schema.toml").write_text(schema)
    return [str(folder / "people.csv"), "--schema", str(folder / "schema.toml")]


def run_here(root: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """The script in this process: one of its own would import all learners first."""
    script = root / "benchmarks" / "lookalike.py"
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    runpy.run_path(str(script), run_name="__main__")


ONE = ["--epsilon", "4", "--unit", "membership", "--splits", "1", "--only", "passbox membership", "--json"]


def test_any_file_with_a_small_schema_is_measured(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(root / "benchmarks" / "lookalike.py"), *asked(tmp_path, SCHEMA), *ONE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["people"], said["rows"][0]["method"]) == (400, "passbox membership")
    assert said["rows"][0]["auc"] > 0.6


def test_values_that_the_schema_does_not_list_are_counted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same figures on stdout, and a line on stderr for each column that has some."""
    run_here(root, monkeypatch, [*asked(tmp_path, SCHEMA.replace('["red", "blue"]', '["red"]')), *ONE])
    said = capsys.readouterr()
    assert json.loads(said.out)["people"] == 400
    assert said.err.splitlines() == ["colour: 200 of 400 values are not in the schema, and taken for missing"]


@pytest.mark.parametrize(("sets", "becomes"), [(False, "taken for missing"), (True, "left out of their sets")])
def test_a_missing_value_is_not_one_that_is_not_listed(
    sets: bool, becomes: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    from lookalike_data import read, undeclared

    (tmp_path / "people.csv").write_text("likes,bought\ncars,yes\n,no\nNA,no\n" + ("cars|tea,yes\n" if sets else ""))
    kind = 'kind = "set", at_most = 2' if sets else 'kind = "category"'
    column = f'likes = {{ {kind}, values = ["cars", "food"] }}'
    (tmp_path / "schema.toml").write_text(f'label = {{ column = "bought", positive = "yes" }}\n[columns]\n{column}\n')
    many = "2 of 4" if sets else "1 of 2"
    found = undeclared(read(tmp_path / "people.csv", tmp_path / "schema.toml"))
    assert found == [f"likes: {many} values are not in the schema, and {becomes}"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('{ column = "bought", positive = "yes" }', '"bought"', "it needs a line such as label ="),
        ("[columns]", "[colunms]", "it needs [columns]"),
        ("[columns]", "[columns", "it is no TOML"),
        ('"bought"', '"purchased"', "purchased"),
        ('"yes"', '"Yes"', "bought is nowhere 'Yes'"),
        ("age =", "Age =", "Age"),
        ('"category"', '"text"', "columns.colour: its kind is one of number,"),
        (', values = ["red", "blue"]', "", 'columns.colour: write { kind = "category", values = '),
        ("[0, 100]", "[100, 0]", "bounds must be finite and in order"),
        (
            '{ kind = "category", values = ["red", "blue"] }',
            '{ kind = "number", bounds = [0, 1] }',
            "that is no number",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    assert old in SCHEMA
    with pytest.raises(SystemExit) as stopped:
        run_here(root, monkeypatch, asked(tmp_path, SCHEMA.replace(old, new)))
    told = stopped.value.code
    assert isinstance(told, str), "Python prints it on stderr, and leaves with 1"
    assert told.startswith("error: ")
    assert "\n" not in told
    assert said in told
