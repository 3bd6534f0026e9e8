"""What `matching.py` measures on: files of e-mails, a room in which all have signed, and two lists in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from identifiers import emails

NOW = datetime(2027, 1, 10, 12, tzinfo=UTC)
PARTIES = {"publisher": "publisher", "advertiser": "advertiser", "host": "operator"}
CONTRACT = """
version = 1
name = "bench"
purpose = "measure"
expires = 2027-06-30
[room]
operator = "host"
name = "rooms.example/bench"
seal = "{seal}"
checkpoint = "{checkpoint}"
{parties}
[match]
keys = ["email"]
scheme.email = "uid2@1"
rule = "own-best"
[dataset.people]
owner = "publisher"
protects = "person"
identifiers.email = "raw"
budget = {{ epsilon = 3.0, delta = 1e-10 }}
[dataset.seeds]
owner = "advertiser"
protects = "membership"
identifiers.email = "raw"
budget = {{ epsilon = 3.0, delta = 1e-9 }}
[rules]
smallest_seed = 100
smallest_audience = 200
allow = [{{ job = "overlap", ask = ["publisher"], recipients = ["publisher"] }}]
"""


def write_csv(path: Path, start: int, rows: int) -> None:
    schema = pa.schema([("email", pa.large_string())])
    with pcsv.CSVWriter(path, schema) as file:
        for at in range(start, start + rows, 1_000_000):
            part = emails(at, min(at + 1_000_000, start + rows))
            file.write_table(pa.table({"email": part}, schema=schema))


def found(folder: Path) -> Path:
    """A room in which all have signed."""
    from passbox.cleanroom.cards import read_card
    from passbox.cleanroom.foundation import create_room
    from passbox.cleanroom.keys import open_keys
    from passbox.cleanroom.newkeys import make
    from passbox.policies.agreement import read_agreement, signature_path
    from passbox.policies.contract import parse
    from passbox.policies.share import new_share, share_path, signed_share
    from passbox.policies.sign import signer_of

    for name, role in PARTIES.items():
        make(folder, name, role, None, "rooms.example/bench" if role == "operator" else None)
    cards = {name: read_card(folder / f"{name}.party.toml", "party") for name in PARTIES}
    parties = "\n".join(
        f'[party.{name}]\nrole = "{PARTIES[name]}"\nsign = "{card["sign"]}"\nseal = "{card["seal"]}"'
        for name, card in cards.items()
    )
    room = read_card(folder / "host.room.toml", "room")
    path = folder / "contract.toml"
    path.write_text(CONTRACT.format(seal=room["seal"], checkpoint=room["checkpoint"], parties=parties))
    contract, data = parse(path.read_bytes()), path.read_bytes()
    for name in PARTIES:
        sign = signer_of(open_keys(folder / f"{name}.keys").signing(lambda: b""))
        signature_path(path, name).write_text(sign(data, "passbox-contract"))
        if name in contract.data_parties:
            share_path(path, name).write_text(signed_share(new_share(contract, data, name), sign))
    create_room(folder / "room", read_agreement(path), open_keys(folder / "host.keys"), lambda: NOW)
    return folder / "room"


def handles(rows: int, parts: int, seed: int) -> Iterator[np.ndarray]:
    """Random handles that ascend, part by part: (rows of the part, 2) u64."""
    rng = np.random.default_rng(seed)
    shift = np.uint64(parts.bit_length() - 1)
    for part in range(parts):
        count = rows // parts + (part < rows % parts)
        pairs = rng.integers(0, 2**64, (count, 2), dtype=np.uint64)
        if parts > 1:
            pairs[:, 0] = (pairs[:, 0] >> shift) | (np.uint64(part) << (np.uint64(64) - shift))
        yield pairs[np.argsort(pairs[:, 0])]


def both(people: int, seeds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The two sides, part by part; three in ten seeds are people."""
    parts = 1
    while people > parts * 2_000_000:
        parts *= 2
    rng = np.random.default_rng(5)
    for theirs, ours in zip(handles(people, parts, 1), handles(seeds, parts, 2), strict=True):
        shared = min(len(ours) * 3 // 10, len(theirs))
        ours[rng.choice(len(ours), shared, replace=False)] = theirs[rng.choice(len(theirs), shared, replace=False)]
        yield theirs, ours[np.argsort(ours[:, 0])]


def take_in(folder: Path, people: int, seeds: int) -> None:
    """Both lists in a room, as `submit` leaves them; and the plain columns that others join."""
    from passbox.cleanroom.bundle import Bundle, Manifest
    from passbox.cleanroom.flat import BATCH
    from passbox.cleanroom.intake import Intake
    from passbox.cleanroom.layout import layout_of
    from passbox.cleanroom.room import open_room

    room = open_room(found(folder), lambda: NOW)
    for at, (name, rows) in enumerate((("people", people), ("seeds", seeds))):
        owner = room.contract.dataset[name].owner
        facts = {"contract": room.agreement.digest, "room": "rooms.example/bench", "dataset": name, "owner": owner}
        manifest = Manifest(
            format="passbox bundle v1", **facts, made=NOW, expires=datetime(2027, 6, 30, tzinfo=UTC),
            shares="0" * 64, rows=rows, data_sha256="0" * 64,
        )  # fmt: skip
        schema = pa.schema([("k", pa.uint64()), ("k2", pa.uint64())])

        def fill(shelf: Any, at: int = at, name: str = name, rows: int = rows, schema: Any = schema) -> None:
            intake = Intake(shelf, layout_of(room.contract, name), schema, rows)
            with pq.ParquetWriter(folder / f"{name}.k.parquet", schema.remove(1)) as plain:
                for pair in both(people, seeds):
                    table = pa.table([pair[at][:, 0], pair[at][:, 1]], schema=schema)
                    plain.write_table(table.select(["k"]))
                    for batch in table.to_batches(BATCH):
                        intake.take(batch)
            intake.finish(lambda: None)

        room.keep(Bundle(folder / name, manifest, manifest.model_dump_json().encode(), ""), fill)
