"""A job's numbers become a release in the room: its document, the receipt, the seal."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

import pyrage

from ..dp.canonical import Json, digest
from ..dp.ledger import Ledger
from ..dp.noisy import Noisy
from ..dp.tree import inclusion_proof, leaf_hash
from ..policies.check import Allowed
from .ahead import paid_ahead
from .document import FORMAT
from .few import warned
from .files import write
from .measure.kinds import measure_of
from .measure.measure import Made
from .release import NOTE, Listed, listed_at, note_text
from .room import Room


def release_id(allowed: Allowed) -> str:
    """The name of what a job gives: the noisy statistics it rests on, and what is made of them."""
    job = allowed.request.job
    made: dict[str, Json] = {
        "keys": [purchase.key for purchase in allowed.purchases],
        "recipients": [*sorted(job.recipients)],
        "made": job.made(),
    }
    return f"{job.kind}-{digest(made)[:12]}"


def publish(room: Room, allowed: Allowed, ledger: Ledger, made: Made) -> Listed:
    """Seal a release to its readers and put it in the room; whole, and the same file when it is there already."""
    identity = release_id(allowed)
    job, contract = allowed.request.job, room.contract
    readers = sorted(set(job.recipients))
    document = {
        "format": FORMAT,
        "id": identity,
        "kind": job.kind,
        "contract": {"name": contract.name, "sha256": room.agreement.digest},
        "purpose": contract.purpose,
        "recipients": readers,
        "who_learns_what": list(allowed.learns),
        "warnings": list(warned(room, allowed)),
        **made.contents.values,
        "receipt": _receipt(ledger, made.noisy),
    }
    data = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode()
    measure_of(job.kind).document.model_validate_json(data)  # what has another shape no reader would open
    files = {"release.json": data}
    files |= dict(made.contents.files)
    note = room.sign(note_text(identity, files))
    sealed = _seal(room, readers, {**files, NOTE: note.encode()})
    write(room.path / "releases" / f"{identity}.release", sealed)
    about = {
        "id": identity,
        "kind": job.kind,
        "recipients": readers,
        "entries": [item.receipt.sequence for item in made.noisy],
        "job": allowed.request.digest,
        "epsilon": job.epsilon,
        "asked": job.brief(),
    }
    write(room.path / "releases" / f"{identity}.json", json.dumps(about, indent=2).encode())
    return listed_at(room.path / "releases" / f"{identity}.json")


def _receipt(ledger: Ledger, noisy: Sequence[Noisy]) -> dict[str, object]:
    leaves, checkpoint = ledger.log()
    hashes, ahead = [leaf_hash(leaf) for leaf in leaves], paid_ahead(leaves)
    return {
        "checkpoint": checkpoint,
        "entries": [
            {
                "sequence": item.receipt.sequence,
                "entry": leaves[item.receipt.sequence].decode("ascii"),
                "proof": [node.hex() for node in inclusion_proof(hashes, item.receipt.sequence)],
                "nonce": item.receipt.nonce.hex(),
                "values": item.values.tolist(),
                **({} if item.keys is None else {"keys": [*item.keys]}),
                **({"ahead": ahead[item.receipt.sequence]} if item.receipt.sequence in ahead else {}),
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
