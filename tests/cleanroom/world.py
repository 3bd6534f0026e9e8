"""A small signed world: four parties under a contract, everybody's files in one folder, and what a test does there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from passbox.cleanroom import audit, job, log, opening, release
from passbox.cleanroom.bundle import Label, write_bundle
from passbox.cleanroom.cards import read_card
from passbox.cleanroom.foundation import create_room
from passbox.cleanroom.keys import Keys, open_keys
from passbox.cleanroom.prepare import Task, prepare
from passbox.cleanroom.room import Room, open_room
from passbox.cleanroom.samples import generated
from passbox.cleanroom.submit import Taken, submit
from passbox.policies.agreement import Agreement, read_agreement, signature_path
from passbox.policies.contract import parse
from passbox.policies.request import Request, parse_job
from passbox.policies.share import new_share, share_path, shares_digest, signed_share
from passbox.policies.sign import Signer, sign, signer_of

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
            [f'kind = "{kind}"', *(f"{name} = {toml_of(value)}" for name, value in (fields | changes).items())]
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


def toml_of(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{name}" = {toml_of(item)}' for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
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
    lists = {name: toml_of(list(columns[name]["values"])) for name in ("region", "device", "topics")}
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


def copy(world: World, folder: Path) -> World:
    shutil.copytree(world.folder, folder, dirs_exist_ok=True, symlinks=True)
    return replace(world, folder=folder)


Copier = Callable[[World], World]
