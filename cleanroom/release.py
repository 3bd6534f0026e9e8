"""What leaves the room: one file a release, sealed to its readers.

`ID.release` is an age file; inside is a zip that ordinary tools open:

    release.json        values with intervals, who learns what, and the receipt
    audience.parquet    tokens of the chosen people, for a lookalike
    model.json          the fitted model, for a lookalike

The receipt lets a reader check, without the room, that the noisy integers it got are the ones the ledger committed to:
the entry as logged, its place in the log with an inclusion proof, the signed checkpoint, the nonce and the integers.
Beside the sealed file lies `ID.json`, which says in public terms what it is.

A release's ID is a digest of what was paid for and what was made of it, so the same job gives the same file.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pyrage

from ..dp.entry import Json, canonical, digest
from ..dp.ledger import Ledger
from ..dp.noisy import Noisy
from ..dp.note import BadNote, verify_checkpoint
from ..dp.tree import inclusion_proof, leaf_hash, verify_inclusion
from ..policies.agreement import read_contract
from ..policies.check import Allowed
from ..policies.request import LookalikeJob
from .files import write
from .room import Room

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula when a cell begins with it."""


class BadRelease(Exception):
    """A release cannot be opened or does not hold together. rule, remedy: plain words."""

    def __init__(self, path: Path, rule: str, remedy: str, *, tampered: bool = False) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy, self.tampered = path, rule, remedy, tampered


@dataclass(frozen=True, slots=True)
class Listed:
    """A release in the room, in public terms."""

    id: str
    kind: str
    recipients: tuple[str, ...]
    entries: tuple[int, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a release: JSON-able values, and files by name."""

    values: Mapping[str, object]
    files: Mapping[str, bytes]


def release_id(allowed: Allowed) -> str:
    """The name of what a job gives: the noisy statistics it rests on, and what is made of them."""
    job = allowed.request.job
    made: dict[str, Json] = {
        "keys": [purchase.key for purchase in allowed.purchases],
        "recipients": [*sorted(job.recipients)],
        "size": job.audience.size if isinstance(job, LookalikeJob) else 0,
    }
    return f"{job.kind}-{digest(made)[:12]}"


def published(room: Room, identity: str) -> Listed | None:
    """A release that is in the room already."""
    path = room.path / "releases" / f"{identity}.json"
    return _listed(path) if path.is_file() else None


def publish(room: Room, allowed: Allowed, ledger: Ledger, noisy: Sequence[Noisy], contents: Contents) -> Listed:
    """Seal a release to its readers and put it in the room; whole, and the same file when it is there already."""
    identity = release_id(allowed)
    job, contract = allowed.request.job, room.contract
    document = {
        "format": "passbox release v1",
        "id": identity,
        "kind": job.kind,
        "contract": {"name": contract.name, "sha256": room.agreement.digest},
        "purpose": contract.purpose,
        "recipients": list(job.recipients),
        "who_learns_what": list(allowed.learns),
        "warnings": list(allowed.warnings),
        **contents.values,
        "receipt": _receipt(ledger, noisy),
    }
    files = {"release.json": json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode()}
    sealed = _seal(room, sorted(job.recipients), files | dict(contents.files))
    write(room.path / "releases" / f"{identity}.release", sealed)
    about = {
        "id": identity,
        "kind": job.kind,
        "recipients": list(job.recipients),
        "entries": [item.receipt.sequence for item in noisy],
    }
    write(room.path / "releases" / f"{identity}.json", json.dumps(about, indent=2).encode())
    return _listed(room.path / "releases" / f"{identity}.json")


def _receipt(ledger: Ledger, noisy: Sequence[Noisy]) -> dict[str, object]:
    leaves = ledger.leaves()
    hashes = [leaf_hash(leaf) for leaf in leaves]
    return {
        "checkpoint": ledger.checkpoint(),
        "entries": [
            {
                "sequence": item.receipt.sequence,
                "entry": leaves[item.receipt.sequence].decode("ascii"),
                "proof": [node.hex() for node in inclusion_proof(hashes, item.receipt.sequence)],
                "nonce": item.receipt.nonce.hex(),
                "values": item.values.tolist(),
            }
            for item in noisy
        ],
    }


def _seal(room: Room, recipients: Sequence[str], files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in files.items():
            zipped.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    readers = [pyrage.x25519.Recipient.from_str(room.contract.party[name].seal) for name in recipients]
    return bytes(pyrage.encrypt(archive.getvalue(), readers))


def _listed(path: Path) -> Listed:
    about = json.loads(path.read_text())
    return Listed(
        about["id"], about["kind"], tuple(about["recipients"]), tuple(about["entries"]), path.with_suffix(".release")
    )


def releases(room: Room) -> list[Listed]:
    """Everything that has left the room, or may."""
    found = [_listed(path) for path in (room.path / "releases").glob("*.json")]
    return sorted(found, key=lambda listed: (listed.entries, listed.id))


def export(room: Room, identity: str | None, out: Path) -> list[Path]:
    """Copy sealed releases to a folder. identity: one of them, or all."""
    chosen = [listed for listed in releases(room) if identity in (None, listed.id)]
    if identity is not None and not chosen:
        raise BadRelease(room.path, f"there is no release {identity}", "`passbox release list` names them")
    out.mkdir(parents=True, exist_ok=True)
    for listed in chosen:
        write(out / listed.path.name, listed.path.read_bytes())
    return [out / listed.path.name for listed in chosen]


# -- at the reader ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """A release as its reader has it. document: release.json. audience: own IDs, or tokens without the `.ids` file."""

    document: dict[str, object]
    audience: pa.Table | None
    files: Mapping[str, bytes]


def open_release(path: Path, identity: str, ids: Path | None) -> Opened:
    """Unseal a release and check its receipt. Errors: BadRelease, OSError."""
    try:
        plain = pyrage.decrypt(path.read_bytes(), [pyrage.x25519.Identity.from_str(identity)])
        with zipfile.ZipFile(io.BytesIO(plain)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        document = json.loads(files["release.json"])
    except pyrage.DecryptError:
        raise BadRelease(path, "it is not sealed to this key", "use the key folder of one of its readers") from None
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise BadRelease(path, "it is not a whole release", "ask the operator for it again") from None
    check_receipt(path, document)
    audience = pq.read_table(io.BytesIO(files["audience.parquet"])) if "audience.parquet" in files else None
    if audience is not None and ids is not None:
        audience = _own_ids(path, audience, ids)
    return Opened(document, audience, files)


def check_receipt(path: Path, document: dict[str, object]) -> None:
    """The noisy integers are those the logged entry commits to, and the entry is in the signed log's tree.

    Whose log it is says the ledger's export: `passbox ledger verify` compares the checkpoint's key to the contract.
    """
    receipt = document.get("receipt")
    if not isinstance(receipt, dict):
        raise BadRelease(path, "it carries no receipt", "ask the operator for it again", tampered=True)
    _, size, root = str(receipt["checkpoint"]).split("\n")[:3]
    for item in receipt["entries"]:
        entry = json.loads(item["entry"])
        nonce = bytes.fromhex(item["nonce"])
        commitment = hashlib.sha256(nonce + canonical(item["values"])).hexdigest()
        proof = [bytes.fromhex(node) for node in item["proof"]]
        leaf = leaf_hash(item["entry"].encode())
        fits = verify_inclusion(leaf, item["sequence"], int(size), proof, base64.b64decode(root))
        if entry["commitment"] != commitment or not fits:
            raise BadRelease(path, "its receipt does not fit its numbers", "ask the operator", tampered=True)


def check_signer(path: Path, document: dict[str, object], contract: Path) -> None:
    """The receipt's checkpoint is signed by the room of the reader's own contract. Errors: BadRelease, OSError."""
    agreed, data = read_contract(contract)
    receipt, named = document["receipt"], document["contract"]
    assert isinstance(receipt, dict)  # noqa: S101 - `check_receipt` saw to it
    assert isinstance(named, dict)  # noqa: S101 - as above
    try:
        verify_checkpoint(receipt["checkpoint"], agreed.room.checkpoint)
    except BadNote:
        raise BadRelease(
            path, "its receipt is not signed by the contract's room", "ask the operator", tampered=True
        ) from None
    if named.get("sha256") != hashlib.sha256(data).hexdigest():
        raise BadRelease(path, "it was made under another contract", "use the contract it names", tampered=True)


def _own_ids(path: Path, audience: pa.Table, ids: Path) -> pa.Table:
    try:
        own = pq.read_table(ids)
    except (pa.ArrowException, OSError):
        raise BadRelease(ids, "it is not the .ids file that `passbox prepare` left", "use that file") from None
    name = next(column for column in own.column_names if column != "token")
    joined = audience.join(own, keys="token", join_type="left outer")
    if joined.column(name).null_count:
        raise BadRelease(path, "its tokens are not in this .ids file", "use the .ids file of the submitted bundle")
    return joined.select([name]).sort_by(name)


def write_audience(table: pa.Table, path: Path) -> None:
    """CSV or Parquet by the file's ending. In CSV a cell that a spreadsheet takes for a formula gets a leading `'`."""
    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        pq.write_table(table, buffer)
    else:
        pcsv.write_csv(pa.table({name: _harmless(table.column(name)) for name in table.column_names}), buffer)
    write(path, buffer.getvalue(), 0o600)


def _harmless(column: pa.ChunkedArray) -> pa.Array:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    cells = column.to_pylist()
    return pa.array(["'" + cell if cell and cell.startswith(FORMULA) else cell for cell in cells], pa.string())
