"""Opening a release at its reader, away from the room: unseal it, and hold it against what the ledger committed to.

The code ensures: the noisy integers are the ones the logged entries commit to; the entries are in the tree of the
receipt's checkpoint; the figures that `figures` of its kind names follow from those integers and public sizes. With a
contract at hand (`check_signer`): the checkpoint is signed by that contract's room, and the entries were written under
it; the room signed every file of the release.
Not made once more here, and so the room's word, which it signed:
- of a lookalike, `learners`, `effects`, `considered`, `strata`, sizes and predictions in `calibration` and `by_known`,
  of the latter `fewest`, `most`, `zone` and `below` as well; the audience and the model; of randomised labels, `places`
  and `cells`, and whose label is which in labels.parquet;
- of a model, `effects`, `ends` of its score bins and the model itself;
- of a completion, `questions` with their strata and how many were answered, and the answers in completed.parquet.
The caller ensures: the contract is its own copy, and the ledger was verified (`passbox ledger verify`).

Anybody can seal a file to a public key: without the contract a release proves nothing about who made it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pyrage

from ..dp.canonical import digest
from ..dp.entry import commitment_to
from ..dp.flip import FLIP_UNIT
from ..dp.labels import words_of
from ..dp.noisy import Noisy, Receipt
from ..dp.note import BadNote, parse_note, verify_checkpoint, verify_note
from ..dp.scale import SCALE_UNIT
from ..dp.tree import leaf_hash, verify_inclusion
from ..policies.agreement import read_contract
from .cells import harmless
from .files import write_new
from .measure.completed import schema as completed
from .measure.kinds import measure_of
from .measure.responses import LABELS
from .release import NOTE, BadRelease, note_text, read_document

PEOPLE = ("audience.parquet", "completed.parquet")
"""Files with a row a person, by token."""
LARGEST = {"release.json": 2**28, **dict.fromkeys((*PEOPLE, LABELS), 2**32), "model.json": 2**28, NOTE: 2**16}
"""Members of a release and their bytes, unpacked, above which it is refused. No job makes a `release.json` so large:
`policies.jobs.query` bounds its numbers and the text of its keys."""

_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises on bytes that are no archive, or lie about one."""
_AGE = b"age-encryption.org/v1\n"
AUDIENCE = pa.schema([("token", pa.uint64())])
LABELLED = pa.schema([("token", pa.uint64()), ("label", pa.bool_())])


@dataclass(frozen=True, slots=True)
class Opened:
    """A release as its reader has it. document: release.json. audience: people by own IDs, or by tokens without the
    `.ids` file; what is said of each stands beside. labels: everybody's, of a lookalike of randomised labels."""

    document: dict[str, object]
    audience: pa.Table | None
    files: Mapping[str, bytes]
    labels: pa.Table | None = None


def open_release(path: Path, identity: str, ids: Path | None) -> Opened:
    """Unseal a release and check its receipt. Errors: BadRelease, OSError."""
    files = _unsealed(path, identity)
    if "release.json" not in files:
        raise _not_whole(path)
    document = read_document(path, files["release.json"])
    check_receipt(path, document)
    beside = {LABELS} if document.get("places") is not None else set[str]()
    if set(files) - {NOTE, "release.json"} != measure_of(str(document["kind"])).files | beside:
        raise _not_whole(path)
    labels = _labels(path, document, files[LABELS]) if beside else None
    audience = next((_audience(path, document, name, files[name]) for name in PEOPLE if name in files), None)
    if ids is not None:
        audience, labels = (each if each is None else _own_ids(path, each, ids) for each in (audience, labels))
    return Opened(document, audience, files, labels)


def _audience(path: Path, document: Mapping[str, Any], name: str, data: bytes) -> pa.Table:
    """As many tokens as the release says."""
    chosen = name == PEOPLE[0]
    schema, size = (AUDIENCE, document["audience"]["size"]) if chosen else (completed(document), document["people"])
    return _of_people(path, schema, size, data)


def _labels(path: Path, document: Mapping[str, Any], data: bytes) -> pa.Table:
    """A label of everybody, as many of them yes as of those that the ledger committed to."""
    table = _of_people(path, LABELLED, document["people"], data)
    words = document["receipt"]["entries"][0]["values"]
    if int(np.count_nonzero(table.column("label").to_numpy())) != sum(int(word).bit_count() for word in words):
        raise _not_whole(path)
    return table


def _of_people(path: Path, schema: pa.Schema, size: int, data: bytes) -> pa.Table:
    """So many rows. How many there are is looked up before any is read, and random tokens do not compress: a small file
    that holds many unpacks without end."""
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        rows = file.metadata.num_rows
        doubled = len(set(schema.names)) < len(schema.names)
        if doubled or rows != size or rows > len(data) or file.schema_arrow != schema:
            raise _not_whole(path)
        audience = file.read()
    except (pa.ArrowException, OSError, KeyError, TypeError):
        raise _not_whole(path) from None
    if audience.num_rows != size:
        raise _not_whole(path)
    return audience


def _not_whole(path: Path) -> BadRelease:
    """It opened under our key, so no byte was lost on the way: whoever sealed it sealed something else."""
    return BadRelease(path, "it is not a whole release", "ask the operator for it again", tampered=True)


def _unsealed(path: Path, identity: str) -> dict[str, bytes]:
    sealed = path.read_bytes()
    if not sealed.startswith(_AGE[: max(1, len(sealed))]):
        raise BadRelease(path, "it is no release, which is an age file", "name a file such as `overlap-ID.release`")
    try:
        plain = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
    except (pyrage.DecryptError, pyrage.IdentityError) as error:
        if isinstance(error, pyrage.IdentityError) or "No matching keys" in str(error):
            raise BadRelease(path, "it is not sealed to this key", "use the key folder of one of its readers") from None
        rule = "it is cut off, or was damaged on its way"
        raise BadRelease(path, rule, "ask the operator for `passbox release export` again") from None
    try:
        with zipfile.ZipFile(io.BytesIO(plain)) as archive:
            if any(item.file_size > LARGEST.get(item.filename, -1) for item in archive.infolist()):
                raise _not_whole(path)
            return {name: archive.read(name) for name in archive.namelist()}
    except _ZIP_FAULTS:
        raise _not_whole(path) from None


# -- the receipt -----------------------------------------------------------------------------------------------------


class _Unfit(Exception):
    """What of a receipt does not fit."""


def check_receipt(path: Path, document: dict[str, Any]) -> None:
    """What `figures` of its kind makes of integers that logged entries commit to is what it says. Errors: BadRelease.

    document: as `release.read_document` gives it. Whose log it is says `check_signer`.
    """
    try:
        noisy = list(_noisy(document, document["receipt"]))
        _refuse_unlike(measure_of(document["kind"]).figures(document, noisy), document)
    except _Unfit as unfit:
        raise BadRelease(path, str(unfit), "ask the operator", tampered=True) from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RecursionError):
        raise BadRelease(path, "its receipt is damaged", "ask the operator for it again", tampered=True) from None


def _noisy(document: Mapping[str, Any], receipt: Mapping[str, Any]) -> Iterator[Noisy]:
    """The noisy integers, each as its entry commits to it."""
    size, root = _head(receipt["checkpoint"])
    found = [json.loads(item["entry"])["specification"]["statistic"] for item in receipt["entries"]]
    if found != list(measure_of(document["kind"]).statistics(document)):
        raise _Unfit("its receipt is for other numbers")
    for item in receipt["entries"]:
        entry, leaf = json.loads(item["entry"]), leaf_hash(item["entry"].encode())
        spec, values = entry["specification"], np.array(item["values"], dtype=np.int64)
        nonce, proof = bytes.fromhex(item["nonce"]), [bytes.fromhex(node) for node in item["proof"]]
        keys = None if item.get("keys") is None else tuple(item["keys"])
        fits = (
            verify_inclusion(leaf, item["sequence"], size, proof, root)
            and entry["seq"] == item["sequence"]
            and entry["commitment"] == commitment_to(nonce, values, keys)
            and entry["key"] == digest(spec)
            and entry["contract"] == document["contract"]["sha256"]
            and values.tolist() == item["values"]
            and values.shape == (_many(document, spec, keys),)
            and (keys is None) is ("selection" not in spec)
        )
        if not fits:
            raise _Unfit("its receipt does not fit its numbers")
        bits = int(spec["lattice"].removeprefix("2^-"))
        made = Receipt(entry["key"], entry["seq"], nonce, entry["commitment"])
        scale, flip = (0.0, spec["scale"] / FLIP_UNIT) if _flips(spec) else (spec["scale"] / SCALE_UNIT, 0.0)
        yield Noisy(values, scale, bits, made, keys, flip)


def _many(document: Mapping[str, Any], spec: Mapping[str, Any], keys: tuple[str, ...] | None) -> int:
    """How many integers a statistic has: of labels, what those of everybody are packed into."""
    if _flips(spec):
        return words_of(document["people"])
    return int(spec["cells"] * (1 if keys is None else len(keys)))


def _flips(spec: Mapping[str, Any]) -> bool:
    return bool(spec["mechanism"] == "randomised-response")


def _head(checkpoint: str) -> tuple[int, bytes]:
    """Size and root that a checkpoint states; its signature is `check_signer`'s."""
    try:
        _, size, root = parse_note(checkpoint).text.split("\n")[:3]
    except BadNote:
        raise _Unfit("its receipt is damaged") from None
    return int(size), base64.b64decode(root)


def _refuse_unlike(computed: Mapping[str, object], stated: Mapping[str, object]) -> None:
    for name, value in computed.items():
        if not _alike(value, stated[name]):
            raise _Unfit(f"{name} does not follow from the noisy numbers in its receipt")


def _alike(one: object, other: object) -> bool:
    """Equal, but for the last digits of a float: machines add in different orders."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_alike(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    return one == other


def check_signer(path: Path, opened: Opened, contract: Path) -> None:
    """The release, every file in it and its receipt are signed by the room of the reader's own contract.

    Errors: BadRelease, OSError.
    """
    agreed, data = read_contract(contract)
    document, files = opened.document, {name: data for name, data in opened.files.items() if name != NOTE}
    try:
        verify_checkpoint(str(document["receipt"]["checkpoint"]), agreed.room.checkpoint)  # type: ignore[index]
        said = verify_note(opened.files.get(NOTE, b""), agreed.room.checkpoint)
    except BadNote:
        raise BadRelease(path, "it is not signed by the contract's room", "ask the operator", tampered=True) from None
    if said != note_text(str(document["id"]), files):
        raise BadRelease(path, "it is not as the room signed it", "ask the operator", tampered=True)
    if document["contract"]["sha256"] != hashlib.sha256(data).hexdigest():  # type: ignore[index]
        raise BadRelease(path, "it was made under another contract", "use the contract it names", tampered=True)


# -- the audience ----------------------------------------------------------------------------------------------------


def _own_ids(path: Path, audience: pa.Table, ids: Path) -> pa.Table:
    """The owner's IDs for the tokens, sorted. Errors: BadRelease, OSError."""
    try:
        with ids.open("rb") as file:
            own = pq.read_table(file)
        name = next(column for column in own.column_names if column != "token")
        place = pc.index_in(audience.column("token"), value_set=own.column("token").combine_chunks())
    except (pa.ArrowException, StopIteration, KeyError):
        raise BadRelease(ids, "it is not the .ids file that `passbox prepare` left", "use that file") from None
    if place.null_count:
        raise BadRelease(path, "its tokens are not in this .ids file", "use the .ids file of the submitted bundle")
    said = {each: audience.column(each) for each in audience.column_names if each != "token"}
    spelled = name if name not in said else f"{name} (own ID)"
    return pa.table({spelled: own.column(name).take(place), **said}).sort_by(spelled)


def write_audience(table: pa.Table, path: Path) -> None:
    """As `spelled`.

    Errors: FileInTheWay where something else is there: the name may come from whoever sent the release.
    """
    write_new(path, spelled(table, path), mode=0o600, same_is_fine=True)


def spelled(table: pa.Table, path: Path) -> bytes:
    """CSV or Parquet by the file's ending. In CSV a cell that a spreadsheet takes for a formula gets a leading `'`."""
    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        pq.write_table(table, buffer)
    else:
        pcsv.write_csv(pa.table({harmless(name): _harmless(table.column(name)) for name in table.column_names}), buffer)
    return buffer.getvalue()


def _harmless(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column
    cells = column.cast(pa.large_string()).to_pylist()
    return pa.array([cell if cell is None else harmless(cell) for cell in cells], pa.large_string())
