"""The benchmark of completions, on a file of a few people."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCHEMA = """names = ["region", "garden"]
label = { column = "garden", positive = "yes" }
hidden = ["garden"]
[columns]
region = { kind = "category", values = ["north", "south"] }
"""


def test_where_nobody_is_answered_there_is_no_share_of_right_answers(root: Path, tmp_path: Path) -> None:
    """Half have a garden, so that noisy shares are sure of nothing. Of one column none or all is known: two groups."""
    rows = [f"{('north', 'south')[at % 2]},{('no', 'yes')[at // 2 % 2]}" for at in range(400)]
    (tmp_path / "people.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "schema.toml").write_text(SCHEMA)
    command = [sys.executable, "-W", "error::RuntimeWarning", str(root / "benchmarks" / "completion.py")]
    command += [str(tmp_path / "people.csv"), "--schema", str(tmp_path / "schema.toml"), "--epsilon", "8"]
    command += ["--splits", "2", "--missing", "--only", "marginals", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["target"] for row in found] == ["garden 1/4", "garden 3/4"]
    assert [(row["answered"], "right" in row, "accuracy" in row) for row in found] == [(0, False, True)] * 2
