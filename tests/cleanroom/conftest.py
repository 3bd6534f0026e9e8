"""A small signed world: four parties, 3,000 invented visitors, 300 buyers, and a room where both are matched.

It is made once, by the functions that the commands call; every test gets a copy of its own.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from passbox.cleanroom import audit, job, log, opening, release
from passbox.cleanroom.bundle import Label, write_bundle
from passbox.cleanroom.cards import read_card
from passbox.cleanroom.foundation import create_room
from passbox.cleanroom.keys import Keys, open_keys
from passbox.cleanroom.newkeys import make
from passbox.cleanroom.prepare import Task, prepare
from passbox.cleanroom.room import Room, open_room
from passbox.cleanroom.samples import campaign, generated
from passbox.cleanroom.submit import Taken, submit
from passbox.cli.app import run
from passbox.policies.agreement import Agreement, read_agreement, signature_path
from passbox.policies.contract import parse
from passbox.policies.request import Request, parse_job
from passbox.policies.share import new_share, share_path, shares_digest, signed_share
from passbox.policies.sign import Signer, sign, signer_of

sys.path.insert(0, str(Path(__file__).parent))  # what tests share lies beside them
PEOPLE, SEEDS, AUDIENCE = 3_000, 300, 300
NOW = datetime(2027, 1, 10, 12, 30, tzinfo=UTC)
PARTIES = {"publisher": "publisher", "advertiser": "advertiser", "officer": "officer", "host": "operator"}

CONTRACT = """
version = 1
name = "spring"
purpose = "find more people like the buyers"
expires = {expires}
[room]
operator = "{operator}"
name = "rooms.example/spring"
seal = "{room[seal]}"
checkpoint = "{room[checkpoint]}"
{parties}
[match]
keys = ["email"]
scheme.email = "uid2@1"
rule = "own-best"
[dataset.visitors]
owner = "publisher"
protects = "person"
id = "visitor_id"
identifiers.email = "raw"
budget = {{ epsilon = 3.0, delta = 1e-5 }}
columns.age = {{ kind = "number", bounds = [18, 90] }}
columns.region = {{ kind = "category", values = {regions} }}
columns.device = {{ kind = "category", values = {devices} }}
columns.topics = {{ kind = "set", values = {topics}, at_most = 8 }}
[dataset.buyers]
owner = "advertiser"
protects = "membership"
identifiers.email = "raw"
budget = {{ epsilon = 3.0, delta = 1e-4 }}
[rules]
smallest_seed = 100
smallest_audience = 200
allow = [
  {{ job = "lookalike", ask = ["publisher"], recipients = ["publisher"] }},
  {{ job = "overlap", ask = ["publisher", "advertiser"], recipients = ["publisher", "advertiser", "officer"] }},
]
"""


def sign_contract(path: Path, folder: Path) -> Agreement:
    """Every party signs; who owns data gives a share of the match key."""
    data = path.read_bytes()
    contract = parse(data)
    for name in PARTIES:
        key = signing_key(folder, name)
        signature_path(path, name).write_text(sign(data, key, "passbox-contract"))
        if name in contract.data_parties:
            share_path(path, name).write_text(signed_share(new_share(contract, data, name), signer_of(key)))
    return read_agreement(path)


def signing_key(folder: Path, name: str) -> Ed25519PrivateKey:
    return open_keys(folder / f"{name}.keys").signing(lambda: b"")


@dataclass(frozen=True)
class World:
    """A folder with everybody's files. now: what all clocks say."""

    folder: Path
    now: datetime = NOW

    @property
    def contract(self) -> Path:
        return self.folder / "contract.toml"

    @property
    def agreement(self) -> Agreement:
        return read_agreement(self.contract)

    @property
    def place(self) -> Path:
        """The room's folder."""
        return self.folder / "spring"

    def clock(self) -> datetime:
        return self.now

    def at(self, now: datetime) -> World:
        return replace(self, now=now)

    def keys(self, name: str) -> Keys:
        return open_keys(self.folder / f"{name}.keys")

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        return signing_key(self.folder, name)

    def signer(self, name: str) -> Signer:
        return signer_of(self.signing_key(name))

    def shares(self) -> dict[str, str]:
        """The sealed shares of the match key, by party."""
        return {name: share_path(self.contract, name).read_text() for name in self.agreement.contract.data_parties}

    def room(self) -> Room:
        return open_room(self.place, self.clock)

    def under(self, text: str) -> World:
        """The same parties under another contract, and a new room for it."""
        for left in self.folder.glob("contract.toml.*"):
            left.unlink()
        self.contract.write_text(text)
        agreement = sign_contract(self.contract, self.folder)
        shutil.rmtree(self.place)
        (self.folder / "host.keys" / "room.made").unlink()
        create_room(self.place, agreement, self.keys("host"), self.clock)
        return self

    # -- data

    def prepared(self, sources: dict[str, Path]) -> dict[str, Path]:
        """Every owner's bundle, by `prepare`."""
        return prepare_all(self, sources)

    def bundle(self, dataset: str, table: pa.Table, name: str = "", **label: Any) -> Path:
        """A bundle of a hand-made table, signed by its owner."""
        owner = self.agreement.contract.dataset[dataset].owner
        facts = {
            "contract": self.agreement.digest,
            "room": "rooms.example/spring",
            "dataset": dataset,
            "owner": owner,
            "made": self.now,
            "expires": datetime(2027, 6, 30, 23, 59, 59, tzinfo=UTC),
            "shares": shares_digest(self.shares()),
        }
        path = self.folder / f"{name or dataset}.made.bundle"
        signer = label.pop("signer", owner)
        write_bundle(path, table, Label(**(facts | label)), self.agreement.contract.room.seal, self.signer(signer))
        return path

    def submit(self, dataset: str, table: pa.Table, **label: Any) -> Taken:
        return submit(self.room(), self.bundle(dataset, table, **label))

    def table(self, dataset: str) -> pa.Table:
        room = self.room()
        held = room.dataset(dataset)
        assert held is not None
        return room.read(held)

    def seeds(self, matching: int, strangers: int) -> pa.Table:
        """Handles of some visitors, here and there, and of some people nobody knows."""
        visitors = self.table("visitors")
        rows = np.linspace(0, visitors.num_rows - 2, matching).astype(np.int64)
        known = [visitors.column(name).to_numpy()[rows] for name in ("k", "k2")]
        rng = np.random.default_rng(5)
        unknown = [rng.integers(1, 2**64 - 1, strangers, dtype=np.uint64) for _ in range(2)]
        k, k2 = (np.concatenate(pair) for pair in zip(known, unknown, strict=True))
        order = np.argsort(k)
        return pa.table({"k": k[order], "k2": k2[order]})

    # -- jobs

    def job_text(self, kind: str, /, **changes: Any) -> str:
        fields = {"people": "visitors", "seed": "buyers", "recipients": ["publisher"], "epsilon": 1.0}
        fields |= {"audience": {"size": AUDIENCE}} if kind == "lookalike" else {}
        return "\n".join(
            [f'kind = "{kind}"', *(f"{name} = {_toml(value)}" for name, value in (fields | changes).items())]
        )

    def sign_job(self, text: str, *askers: str) -> Path:
        """A job file with signatures beside it."""
        path = self.folder / f"job-{len(list(self.folder.glob('job-*.toml')))}.toml"
        path.write_text(text)
        for asker in askers:
            signature_path(path, asker).write_text(sign(path.read_bytes(), self.signing_key(asker), "passbox-job"))
        return path

    def request(self, kind: str, asker: str = "publisher", /, **changes: Any) -> Request:
        """What `read_request` gives for such a file."""
        data = self.job_text(kind, **changes).encode()
        return Request(parse_job(data), data, asker, sign(data, self.signing_key(asker), "passbox-job"))

    def run(self, kind: str, asker: str = "publisher", /, **changes: Any) -> job.Ran:
        return job.run(self.room(), self.request(kind, asker, **changes))

    def spent(self) -> dict[str, int]:
        with self.room().ledger() as ledger:
            return {name: account.spent for name, account in ledger.accounts().items()}

    # -- what leaves

    def open(self, listed: release.Listed, reader: str = "publisher", *, ids: bool = True) -> opening.Opened:
        own = self.folder / "visitors.ids" if ids and listed.kind == "lookalike" else None
        return opening.open_release(listed.path, self.keys(reader).seal_identity(), own)

    def log(self) -> log.Log:
        """What the officer gets: an export, written and read."""
        log.write_log(log.log_of(self.room()), self.folder / "export")
        return log.read_log(self.folder / "export")

    def verify(self, seen: Sequence[str] = ()) -> audit.Verified:
        return audit.verify_log(self.log(), self.agreement, seen)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{name}" = {_toml(item)}' for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool | date):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def contract_text(folder: Path, operator: str = "host", expires: str = "2027-06-30") -> str:
    cards = {name: read_card(folder / f"{name}.party.toml", "party") for name in PARTIES}
    parties = "\n".join(
        f'[party.{name}]\nrole = "{PARTIES[name]}"\nsign = "{card["sign"]}"\nseal = "{card["seal"]}"'
        for name, card in cards.items()
    )
    columns = generated.contract_columns()
    lists = {name: _toml(list(columns[name]["values"])) for name in ("region", "device", "topics")}
    return CONTRACT.format(
        expires=expires,
        operator=operator,
        room=read_card(folder / "host.room.toml", "room"),
        parties=parties,
        regions=lists["region"],
        devices=lists["device"],
        topics=lists["topics"],
    )


def prepare_all(world: World, sources: dict[str, Path]) -> dict[str, Path]:
    """Every owner's bundle, by `prepare`."""
    made = {}
    for dataset, source in sources.items():
        owner = world.agreement.contract.dataset[dataset].owner
        made[dataset] = world.folder / f"{dataset}.bundle"
        task = Task(source, world.agreement, dataset, made[dataset], most_rejects=0.01)
        prepare(task, world.keys(owner), world.signer(owner), world.shares(), world.now - timedelta(hours=1))
    return made


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


def copy(world: World, folder: Path) -> World:
    shutil.copytree(world.folder, folder, dirs_exist_ok=True, symlinks=True)
    return replace(world, folder=folder)


Copier = Callable[[World], World]


@pytest.fixture
def copied(tmp_path_factory: pytest.TempPathFactory) -> Copier:
    """Copies a world, as often as it is called."""
    return lambda world: copy(world, tmp_path_factory.mktemp("world"))


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


# -- a campaign ------------------------------------------------------------------------------------------------------


CAMPAIGN_PEOPLE = 2_000
TABLE_KINDS = ("aggregate", "reach", "frequency", "campaign", "topics")
"""Kinds of jobs about a campaign."""


@dataclass(frozen=True)
class CampaignWorld(World):
    def job_text(self, kind: str, /, **changes: Any) -> str:
        fields: dict[str, Any] = {"recipients": ["advertiser"], "epsilon": 1.0}
        return "\n".join(
            [f'kind = "{kind}"', *(f"{name} = {_toml(value)}" for name, value in (fields | changes).items())]
        )

    def open(self, listed: release.Listed, reader: str = "advertiser", *, ids: bool = False) -> opening.Opened:
        return super().open(listed, reader, ids=ids)


def campaign_contract(folder: Path, rules: str = "") -> str:
    cards = {name: read_card(folder / f"{name}.party.toml", "party") for name in PARTIES}
    parties = "\n".join(
        f'[party.{name}]\nrole = "{PARTIES[name]}"\nsign = "{card["sign"]}"\nseal = "{card["seal"]}"'
        for name, card in cards.items()
    )
    head, _, _ = CONTRACT.partition("[dataset.visitors]")
    head = head.format(
        expires="2027-06-30", operator="host", room=read_card(folder / "host.room.toml", "room"), parties=parties
    )
    both = 'ask = ["publisher", "advertiser"], recipients = ["publisher", "advertiser", "officer"]'
    allow = "\n".join(f'  {{ job = "{kind}", {both} }},' for kind in (*TABLE_KINDS, "overlap"))
    return (
        f"{head}{campaign.contract_blocks()}[rules]\nsmallest_seed = 100\nsmallest_audience = 200\n{rules}"
        f"allow = [\n{allow}\n]\n"
    )


def made_campaign(folder: Path, people: int = CAMPAIGN_PEOPLE, rules: str = "") -> CampaignWorld:
    """A room where everything was submitted."""
    for name, role in PARTIES.items():
        make(folder, name, role, None, "rooms.example/spring" if name == "host" else None)
    world = CampaignWorld(folder)
    world.contract.write_text(campaign_contract(folder, rules))
    agreement = sign_contract(world.contract, folder)
    sample = campaign.write(people, folder / "p", folder / "a")
    sources = {"visitors": sample.visitors, "exposures": sample.exposures, "purchases": sample.purchases}
    bundles = prepare_all(world, sources)
    create_room(world.place, agreement, world.keys("host"), world.clock)
    for bundle in bundles.values():
        submit(world.room(), bundle)
    return world


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


# -- typing commands -------------------------------------------------------------------------------------------------


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


class Desk:
    """Types commands in the folders of a demo."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self._capsys, self._monkeypatch = home, capsys, monkeypatch

    def type(self, person: str, *words: str) -> tuple[int, dict[str, object]]:
        self._monkeypatch.chdir(self.home / person)
        self._capsys.readouterr()
        code = run([*words, "--json"])
        return code, json.loads(self._capsys.readouterr().out)

    def job(self, epsilon: float, name: str = "more") -> tuple[int, dict[str, object]]:
        """The publisher asks for another overlap, and the operator runs it."""
        publisher, operator = self.home / "publisher", self.home / "operator"
        text = (publisher / "overlap.toml").read_text()
        (publisher / f"{name}.toml").write_text(re.sub(r"(?m)^epsilon = \S+", f"epsilon = {epsilon}", text))
        self.type("publisher", "job", "sign", f"{name}.toml", "--contract", "contract.toml", "--key", "publisher.keys")
        for left in (f"{name}.toml", f"{name}.toml.publisher.sig"):
            shutil.copy(publisher / left, operator / left)
        return self.type("operator", "run", "spring", f"{name}.toml")

    def export(self) -> None:
        self.type("operator", "ledger", "export", "spring")
        shutil.rmtree(self.home / "officer" / "spring.ledger", ignore_errors=True)
        shutil.copytree(self.home / "operator" / "spring.ledger", self.home / "officer" / "spring.ledger")

    def cosign(self, *more: str) -> tuple[int, dict[str, object]]:
        words = ("--contract", "contract.toml", "--key", "officer.keys", "--seen", "spring.seen")
        return self.type("officer", "ledger", "cosign", "spring.ledger", *words, *more)

    def accept(self) -> tuple[int, dict[str, object]]:
        return self.type("operator", "ledger", "accept", "spring", "../officer/spring.officer.cosigned")


@pytest.fixture
def desk(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(home, capsys, monkeypatch)
