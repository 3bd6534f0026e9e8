"""A folder in which four parties typed everything up to their signatures."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import pytest

from passbox.cli.app import run

PARTIES = ("publisher", "advertiser", "officer", "host")
REGIONS = ("north", "south")


def visitors(count: int = 60) -> str:
    """A publisher's file."""
    rows = [f"V-{n},person.{n}@example.com,{20 + n % 50},{REGIONS[n % 2]}" for n in range(count)]
    return "\n".join(["visitor_id,email,age,region", *rows, ""])


def type_all(*commands: str) -> None:
    for command in commands:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run(command.split())
        assert code == 0, (command, said.getvalue())


@pytest.fixture(scope="session")
def _signed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("typed")
    (folder / "visitors.csv").write_text(visitors())
    (folder / "buyers.csv").write_text("email\n" + "".join(f"person.{n}@example.com\n" for n in range(20)))
    with contextlib.chdir(folder):
        type_all(
            "keys new publisher",
            "keys new advertiser",
            "keys new officer",
            "keys new host --room rooms.example/spring",
            "contract new --party publisher.party.toml --party advertiser.party.toml --party officer.party.toml "
            "--party host.party.toml --room host.room.toml --from visitors.csv --expires 2099-03-31",
            *(f"contract sign contract.toml --key {name}.keys" for name in PARTIES),
        )
    return folder


@pytest.fixture
def agreed(_signed_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, and one stands in it."""
    folder = tmp_path / "typed"
    shutil.copytree(_signed_folder, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def drafted(agreed: Path) -> Path:
    """The same before anybody signed."""
    for path in [*agreed.glob("contract.toml.*.sig"), *agreed.glob("contract.toml.*.share")]:
        path.unlink()
    for memory in agreed.glob("*.keys/signed"):
        shutil.rmtree(memory)
    return agreed
