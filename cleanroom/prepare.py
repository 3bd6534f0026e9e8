"""What a party does at home: normalise, hash, key, check, seal and sign. Raw identifiers and own IDs stay there.

From a CSV or Parquet file come a bundle for the room and, where the contract names an ID column, `DATASET.ids`: a
Parquet file that turns the room's random tokens back into the owner's IDs. It never leaves.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..matching.hashing import MatchKey, derive_match_key, handles, merge
from ..matching.identifiers import MixedEncodings, NotText, digests
from ..policies.agreement import Agreement
from ..policies.contract import DatasetRule
from ..policies.share import open_shares
from .bundle import Label, write_bundle
from .columns import ColumnMissing, read_columns
from .files import FileInTheWay, replacing
from .keys import Keys
from .source import BadSource, read_source


class TooManyRejects(Exception):
    """More rows break a rule than the party allowed. Counts by reason; nothing was written."""

    def __init__(self, path: Path, rows: int, rejects: Mapping[str, int], allowed: int) -> None:
        super().__init__(path, rows, rejects, allowed)
        self.path, self.rows, self.rejects, self.allowed = path, rows, rejects, allowed


class NotTheOwner(Exception):
    """These keys are not those of the data set's owner."""

    def __init__(self, dataset: str, owner: str) -> None:
        super().__init__(dataset, owner)
        self.dataset, self.owner = dataset, owner


class NothingLeft(Exception):
    """No row of the file can be used."""

    def __init__(self, path: Path, rejects: Mapping[str, int]) -> None:
        super().__init__(path, rejects)
        self.path, self.rejects = path, rejects


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` did. Every count stays at the party, but for `rows`, which the room shows to all.

    read: rows in the file. rows: rows in the bundle. merged: records of a person who was there already.
    rejects: rows left out, by reason. cut: sets cut to their declared size. unused: columns of the file left at home.
    """

    read: int
    rows: int
    merged: int
    cut: int
    rejects: Mapping[str, int]
    unused: tuple[str, ...]
    bundle: Path | None = None
    ids: Path | None = None
    written: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be prepared, and where it goes.

    names: identifier kind to column of the file, where it is not named like the kind.
    most_rejects: how many rows may be left out before the file is refused, as a number or a share of the rows.
    """

    source: Path
    agreement: Agreement
    dataset: str
    out: Path
    ids: Path
    names: Mapping[str, str] = field(default_factory=dict)
    most_rejects: float = 0

    @property
    def rule(self) -> DatasetRule:
        return self.agreement.contract.dataset[self.dataset]

    @property
    def identifier(self) -> str:
        kind = self.agreement.contract.kind
        return self.names.get(kind, kind)


def prepare(task: Task, keys: Keys, signer: Ed25519PrivateKey, shares: Mapping[str, str], now: datetime) -> Prepared:
    """Make the bundle, and the `.ids` file that stays. Typed twice for the same file, it changes nothing.

    Errors: NotTheOwner, BadSource, ColumnMissing, ColumnUnreadable, TooManyRejects, NothingLeft, ShareUnusable,
    SignatureBroken, FileInTheWay. Nothing is written then.
    """
    _refuse_stranger(task, keys)
    key = derive_match_key(open_shares(task.agreement, shares, keys.seal_identity()), _contract_digest(task))
    fingerprint = _fingerprint(task)
    before = _already(task, fingerprint)
    table, ids, report = _table(task, key)
    if before:
        return _with_paths(report, task, written=False)
    _refuse_in_the_way(task)
    label = _label(task, now)
    if ids is not None:
        _write_ids(task, ids, fingerprint)
    write_bundle(task.out, table, label, task.agreement.contract.room.seal, signer)
    return _with_paths(report, task, written=True)


def examine(task: Task) -> Prepared:
    """What `prepare` would find, without keys, writing nothing. Errors: as `prepare`, but for keys and shares."""
    _, _, report = _table(task, MatchKey(bytes(31) + b"\1"))
    return report


def _table(task: Task, key: MatchKey) -> tuple[pa.Table, pa.Array | None, Prepared]:
    source = read_source(task.source)
    _refuse_missing(task, source)
    contract, rule = task.agreement.contract, task.rule
    try:
        hashed = digests(
            source.column(task.identifier), contract.scheme, contract.kind, rule.identifiers[contract.kind]
        )
    except MixedEncodings:
        raise BadSource(
            task.source, f"column {task.identifier} mixes hex and base64 hashes", "use one of them"
        ) from None
    except NotText:
        raise BadSource(task.source, f"column {task.identifier} is not text", "export it as text") from None
    read = read_columns(source, rule.columns, hashed.accepted)
    rejects = {f"{contract.kind}: {code.value}": count for code, count in hashed.rejects.items() if count}
    rejects |= read.rejects
    _refuse_rejects(task, source.num_rows, rejects)
    fine = np.flatnonzero(read.accepted[hashed.rows])
    made = handles(hashed, key, contract.kind, contract.scheme).take(fine)
    kept = merge(made)
    kept_k = kept.kept[np.argsort(made.k[kept.kept], kind="stable")]
    order = hashed.rows[fine][kept_k]
    if not len(order):
        raise NothingLeft(task.source, rejects)
    table = pa.table({"k": made.k[kept_k], "k2": made.k2[kept_k]})
    ids = None
    if rule.id:
        tokens = np.frombuffer(secrets.token_bytes(8 * len(order)), dtype=np.uint64)
        table = table.append_column("token", pa.array(tokens))
        ids = pa.table({"token": tokens, rule.id: source.column(rule.id).take(pa.array(order))})
    for name in rule.columns:
        table = table.append_column(name, read.table.column(name).take(pa.array(order)))
    report = Prepared(
        read=source.num_rows,
        rows=len(order),
        merged=kept.merged,
        cut=read.cut,
        rejects=rejects,
        unused=tuple(name for name in source.column_names if name not in _used(task)),
    )
    return table.combine_chunks(), ids, report


def _used(task: Task) -> set[str]:
    return {task.identifier, *task.rule.columns, *([task.rule.id] if task.rule.id else [])}


def _refuse_missing(task: Task, source: pa.Table) -> None:
    wanted = [task.identifier, *task.rule.columns, *([task.rule.id] if task.rule.id else [])]
    if missing := tuple(name for name in wanted if name not in source.column_names):
        raise ColumnMissing(missing, tuple(source.column_names))


def _refuse_rejects(task: Task, rows: int, rejects: Mapping[str, int]) -> None:
    allowed = int(task.most_rejects if task.most_rejects >= 1 else task.most_rejects * rows)
    if sum(rejects.values()) > allowed:
        raise TooManyRejects(task.source, rows, rejects, allowed)


def _refuse_stranger(task: Task, keys: Keys) -> None:
    owner = task.rule.owner
    if keys.sign_public() != " ".join(task.agreement.contract.party[owner].sign.split()[:2]):
        raise NotTheOwner(task.dataset, owner)


def _contract_digest(task: Task) -> bytes:
    return bytes.fromhex(task.agreement.digest)


def _label(task: Task, now: datetime) -> Label:
    contract = task.agreement.contract
    return Label(
        contract=task.agreement.digest,
        room=contract.room.name,
        dataset=task.dataset,
        owner=task.rule.owner,
        made=now.astimezone(UTC).replace(microsecond=0),
        expires=datetime.combine(contract.expires, time(23, 59, 59), UTC),
    )


# -- typed twice -----------------------------------------------------------------------------------------------------


def _fingerprint(task: Task) -> str:
    """Ties a bundle to the file and contract it came from. Kept at home: a digest of a list is a membership test."""
    with task.source.open("rb") as file:
        source = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{source} {task.agreement.digest} {task.dataset} {task.identifier}".encode()).hexdigest()


def _already(task: Task, fingerprint: str) -> bool:
    if not task.out.exists() or not task.ids.exists():
        return False
    return (pq.read_schema(task.ids).metadata or {}).get(b"passbox source") == fingerprint.encode()


def _refuse_in_the_way(task: Task) -> None:
    for path in (task.out, task.ids):
        if path.exists():
            raise FileInTheWay(path)


def _write_ids(task: Task, ids: pa.Table, fingerprint: str) -> None:
    marked = ids.replace_schema_metadata({b"passbox source": fingerprint.encode()})
    with replacing(task.ids, 0o600) as temporary:
        pq.write_table(marked, temporary, compression="zstd")


def _with_paths(report: Prepared, task: Task, *, written: bool) -> Prepared:
    ids = task.ids if task.rule.id else None
    return Prepared(
        report.read,
        report.rows,
        report.merged,
        report.cut,
        report.rejects,
        report.unused,
        task.out,
        ids,
        written,
    )
