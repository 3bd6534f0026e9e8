"""Worlds to test in (`world.py`, `campaign_world.py`), and a demo to type in (`desk.py`).

Each is made once, by the functions that the commands call; every test gets a copy of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from passbox.cleanroom import job
from passbox.cleanroom.foundation import create_room
from passbox.cleanroom.log import Log, log_of
from passbox.cleanroom.newkeys import make
from passbox.cleanroom.samples import generated
from passbox.cleanroom.submit import submit

from .campaign_world import CampaignWorld, made_campaign
from .desk import Desk
from .forger import Operator
from .party import Party
from .world import PARTIES, PEOPLE, SEEDS, Copier, World, contract_text, copy, prepare_all, sign_contract

sys.path.insert(0, str(Path(__file__).parent))  # what tests share lies beside them


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Keys, contract, bundles and an empty room. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("signed")
    for name, role in PARTIES.items():
        make(folder, name, role, None, "rooms.example/spring" if name == "host" else None)
    world = World(folder)
    world.contract.write_text(contract_text(folder))
    agreement = sign_contract(world.contract, folder)
    sample = generated.write(PEOPLE, SEEDS, folder / "p", folder / "a", folder / "truth")
    prepare_all(world, {"visitors": sample.publisher, "buyers": sample.advertiser})
    create_room(world.place, agreement, world.keys("host"), world.clock)
    for name in ("p", "a", "truth"):
        shutil.rmtree(folder / name)
    return world


@pytest.fixture(scope="session")
def matched(signed: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same, submitted and matched. Not to be changed: copy it."""
    world = copy(signed, tmp_path_factory.mktemp("matched"))
    for dataset in ("visitors", "buyers"):
        submit(world.room(), world.folder / f"{dataset}.bundle")
    job.match(world.room())
    return world


@pytest.fixture(scope="session")
def ran(matched: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same after an overlap of ε 0.25, read by publisher and advertiser, and a lookalike of ε 1."""
    world = copy(matched, tmp_path_factory.mktemp("ran"))
    world.run("overlap", recipients=["publisher", "advertiser"], epsilon=0.25)
    world.run("lookalike")
    return world


@pytest.fixture
def copied(tmp_path_factory: pytest.TempPathFactory) -> Copier:
    """Copies a world, as often as it is called."""
    return lambda world: copy(world, tmp_path_factory.mktemp("world"))


@pytest.fixture
def party(signed: World, tmp_path: Path) -> Party:
    for path in signed.folder.glob("contract.toml*"):
        shutil.copy(path, tmp_path)
    for path in signed.folder.glob("*.keys"):
        shutil.copytree(path, tmp_path / path.name)
    return Party(replace(signed, folder=tmp_path))


@pytest.fixture
def empty_room(signed: World, copied: Copier) -> World:
    return copied(signed)


@pytest.fixture
def world(matched: World, copied: Copier) -> World:
    """A copy of one's own, matched, nothing spent."""
    return copied(matched)


@pytest.fixture
def used(ran: World, copied: Copier) -> World:
    """A copy of one's own, with two jobs in its ledger."""
    return copied(ran)


@pytest.fixture(scope="session")
def log(ran: World) -> Log:
    return log_of(ran.room())


@pytest.fixture
def operator(ran: World, log: Log) -> Operator:
    """At a room that it only reads."""
    return Operator(ran, log)


@pytest.fixture(scope="session")
def campaign_room(tmp_path_factory: pytest.TempPathFactory) -> CampaignWorld:
    """Visitors, exposures and purchases, submitted. Not to be changed: copy it."""
    return made_campaign(tmp_path_factory.mktemp("campaign"))


@pytest.fixture(scope="session")
def make_campaign(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CampaignWorld]:
    """A room of its own, with so many people and under such rules."""
    return lambda *arguments: made_campaign(tmp_path_factory.mktemp("campaign"), *arguments)


@pytest.fixture(scope="session")
def anew(tmp_path_factory: pytest.TempPathFactory) -> Copier:
    """As `copied`, for what lasts as long as the tests."""
    return lambda world: copy(world, tmp_path_factory.mktemp("anew"))


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo's folders, up to and with the first cosignature."""
    home = tmp_path_factory.mktemp("played") / "all"
    command = [str(Path(sys.executable).parent / "passbox"), "demo", "--people", "3000", "--seeds", "300"]
    subprocess.run([*command, "--json", "--out", str(home)], check=True, capture_output=True)
    return home


@pytest.fixture
def home(played: Path, tmp_path: Path) -> Path:
    shutil.copytree(played, tmp_path / "all", symlinks=True)
    return tmp_path / "all"


@pytest.fixture
def desk(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(home, capsys, monkeypatch)
