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


def test_any_file_with_a_small_schema_is_measured(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(root / "benchmarks" / "lookalike.py"), *asked(tmp_path, SCHEMA), "--epsilon", "4"]
    command += ["--unit", "membership", "--splits", "1", "--only", "passbox membership", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["people"], said["rows"][0]["method"]) == (400, "passbox membership")
    assert said["rows"][0]["auc"] > 0.6


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
    """In this process: each of its own would import all learners first."""
    assert old in SCHEMA
    script = root / "benchmarks" / "lookalike.py"
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.setattr(sys, "argv", [str(script), *asked(tmp_path, SCHEMA.replace(old, new))])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(script), run_name="__main__")
    told = stopped.value.code
    assert isinstance(told, str), "Python prints it on stderr, and leaves with 1"
    assert told.startswith("error: ")
    assert "\n" not in told
    assert said in told
