"""What a party does at home: normalise, hash, key, check, seal and sign. Raw identifiers and own IDs stay there.

From a CSV or Parquet file come a bundle for the room and the file that stays (`cleanroom.home`): with it the room's
random tokens turn back into the owner's IDs, and typing the same again changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ..matching.hashing import Handles, MatchKey, derive_match_key, handles, merge
from ..matching.identifiers import Digests, MixedEncodings, NotText, digests
from ..policies.agreement import Agreement
from ..policies.check import refuse_expired
from ..policies.contract import Contract, DatasetRule
from ..policies.share import open_shares, shares_digest
from ..policies.sign import Signer, parse_public_key
from .bundle import BadBundle, Label, Packed, open_bundle, pack
from .columns import ColumnUnreadable, read_columns, refuse_missing
from .doubts import doubts, refuse_large_delta
from .dummies import refuse_padding, with_dummies
from .files import FileInTheWay, flush, replacing, sweep_of
from .home import Home, home_path, read_home, write_home
from .keys import Keys
from .memory import same_accounts
from .sketch import Returned, Sketch, keep, returned, smallest_of
from .source import BadSource, header, read_source


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

    read: rows in the file. rows: rows in the bundle, of which `dummies` are nobody's. merged: records of a person who
    was there already. rejects: rows left out, by reason. suspects: rows kept that are odd
    (`matching.suspects`), by reason. cut: sets cut to their declared size. unused: columns of the
    file left at home. home: the file that stays; ids: the same, where it turns tokens into own IDs. returned: lists of
    other contracts that hold the same people (`cleanroom.sketch`). doubts: what its size means (`cleanroom.doubts`).
    """

    read: int
    rows: int
    merged: int
    cut: int
    rejects: Mapping[str, int]
    unused: tuple[str, ...]
    dummies: int = 0
    bundle: Path | None = None
    home: Path | None = None
    ids: Path | None = None
    written: bool = False
    returned: tuple[Returned, ...] = ()
    doubts: tuple[str, ...] = ()
    suspects: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Brought:
    """A party's file, and what the contract says of it.

    names: identifier kind to column of the file, where it is not named like the kind.
    """

    source: Path
    contract: Contract
    dataset: str
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def rule(self) -> DatasetRule:
        return self.contract.dataset[self.dataset]

    @property
    def identifier(self) -> str:
        """The column that holds the identifier people are matched on."""
        return self.names.get(self.contract.kind, self.contract.kind)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read."""
        own = (self.rule.id,) if self.rule.id else ()
        return (self.identifier, *own, *self.rule.columns)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be prepared, and where it goes.

    names: as in `Brought`. most_rejects: how many rows may be left out before the file is refused, as a number or,
    below 1, as a share of the rows. pad_to: rows in the bundle, filled up with dummies; 0 for as many as there are.
    """

    source: Path
    agreement: Agreement
    dataset: str
    out: Path
    names: Mapping[str, str] = field(default_factory=dict)
    most_rejects: float = 0
    pad_to: int = 0

    @property
    def brought(self) -> Brought:
        return Brought(self.source, self.agreement.contract, self.dataset, self.names)

    @property
    def home(self) -> Path:
        return home_path(self.out, self.brought.rule.id is not None)


def prepare(task: Task, keys: Keys, sign: Signer, shares: Mapping[str, str], now: datetime) -> Prepared:
    """Make the bundle, and the file that stays. Typed twice for the same file, it changes nothing.

    Errors: Refused where the contract has expired, the data set cannot be padded or δ is above 1/n, NotTheOwner,
    BadSource, ColumnMissing, ColumnUnreadable, TooManyRejects, NothingLeft, ShareUnusable, SignatureBroken,
    FileInTheWay, those of `sign`. Nothing is written then.
    """
    refuse_expired(task.agreement.contract, now.astimezone(UTC).date())
    _refuse_stranger(task, keys)
    key = derive_match_key(open_shares(task.agreement, shares, keys.seal_identity()), _contract_digest(task))
    made_from = _made_from(task, key)
    laid = _lay(task.brought, key)
    _refuse_rejects(task, laid.report)
    _refuse_padding(task.brought, laid.report, task.pad_to)
    sketch = _sketch(task, keys, laid)
    laid = laid.known_from(returned(keys, sketch, same_accounts(keys, task.agreement.contract)))
    if task.pad_to:
        laid = laid.padded(task.pad_to, _dummy_secret(task, keys))
    refuse_large_delta(task.agreement.contract, task.dataset, laid.report.rows)
    kept = _kept(task, made_from)
    if kept and task.out.exists():
        return _done(laid.report, task, written=False)
    label = _label(task, shares_digest({party: shares[party] for party in task.agreement.contract.data_parties}), now)
    table, stays = laid.with_tokens(task, kept)
    packed = pack(table, label, task.agreement.contract.room.seal, sign)
    keep(keys, sketch)  # before the bundle: a list that is out is remembered
    _write(task, packed, Home(stays, made_from, packed.digest))
    return _done(laid.report, task, written=True)


def _sketch(task: Task, keys: Keys, laid: _Laid) -> Sketch:
    contract = task.agreement.contract
    smallest = smallest_of(keys, laid.digests)
    return Sketch(
        contract=task.agreement.digest,
        contract_name=contract.name,
        dataset=task.dataset,
        kind=contract.kind,
        people=len(laid.digests),
        smallest=smallest,
    )


def examine(brought: Brought, pad_to: int = 0) -> Prepared:
    """What `prepare` would find, without keys, writing nothing.

    Errors: BadSource, ColumnMissing, ColumnUnreadable; Refused where it cannot be padded or δ is above 1/n.
    """
    report = _lay(brought, MatchKey(bytes(31) + b"\1")).report
    _refuse_padding(brought, report, pad_to)
    padded = _padded(report, pad_to)
    refuse_large_delta(brought.contract, brought.dataset, padded.rows)
    return replace(padded, doubts=doubts(brought.contract, brought.dataset, padded.rows))


# -- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class _Laid:
    """Rows as they go into a bundle, sorted by handle. own: the owner's IDs in the same order, if it has any.

    digests: (people, 32) uint8, of their identifiers, which stay at home.
    """

    handles: pa.Table
    own: pa.ChunkedArray | None
    columns: pa.Table
    digests: NDArray[np.uint8]
    report: Prepared

    def known_from(self, lists: Sequence[Returned]) -> _Laid:
        """The same, and the lists of other contracts that it returns."""
        return replace(self, report=replace(self.report, returned=tuple(lists)))

    def padded(self, rows: int, secret: bytes) -> _Laid:
        """With dummies, so that there are so many rows. The caller ensures: it has neither IDs nor columns."""
        people = Handles(self.handles.column("k").to_numpy(), self.handles.column("k2").to_numpy())
        made = with_dummies(people, rows, secret)
        return _Laid(
            pa.table({"k": made.k, "k2": made.k2}), None, pa.table({}), self.digests, _padded(self.report, rows)
        )

    def with_tokens(self, task: Task, kept: Home | None) -> tuple[pa.Table, pa.Table]:
        """The bundle's table, and the table that stays. Errors: FileInTheWay where what is kept does not fit."""
        stays = pa.table({})
        table = self.handles
        if self.own is not None:
            tokens = _new_tokens(len(self.own)) if kept is None else _same_tokens(task, kept, self.own)
            table = table.append_column("token", tokens)
            stays = pa.table({"token": tokens, str(task.brought.rule.id): self.own})
        for name in self.columns.column_names:
            table = table.append_column(name, self.columns.column(name))
        return table.combine_chunks(), stays


def _padded(report: Prepared, rows: int) -> Prepared:
    return replace(report, rows=max(rows, report.rows), dummies=max(rows - report.rows, 0))


def _new_tokens(count: int) -> pa.Array:
    while True:
        tokens = np.frombuffer(secrets.token_bytes(8 * count), dtype=np.uint64)
        if len(np.unique(tokens)) == count:
            return pa.array(tokens)


def _same_tokens(task: Task, kept: Home, own: pa.ChunkedArray) -> pa.ChunkedArray:
    """The tokens that were handed out for these very rows: another bundle with them may be on its way."""
    name = str(task.brought.rule.id)
    if kept.table.column_names != ["token", name] or not kept.table.column(name).equals(own):
        raise _in_the_way(task, task.home)
    return kept.table.column("token")


def _lay(brought: Brought, key: MatchKey) -> _Laid:
    """Everything a bundle holds but its tokens, and the report. Errors: as `examine`."""
    names = header(brought.source)
    refuse_missing(brought.columns, names, brought.source)
    source = read_source(brought.source, brought.columns)
    contract, rule = brought.contract, brought.rule
    hashed = _digests(brought, source)
    own, nameless = _own_ids(rule, source)
    read = read_columns(source, rule.columns, hashed.accepted & ~nameless)
    fine = np.flatnonzero(read.accepted[hashed.rows])
    made = handles(hashed, key, contract.kind, contract.scheme).take(fine)
    people = merge(made)
    rows = hashed.rows[fine][people.kept]
    first = _first_of_each(own, rows)
    at = people.kept[first]
    at = at[np.argsort(made.k[at], kind="stable")]
    order = pa.array(hashed.rows[fine][at])
    rejects = {f"{contract.kind}: {code.value}": count for code, count in hashed.rejects.items()}
    rejects |= {f"{rule.id}: empty": int((nameless & hashed.accepted).sum())}
    rejects |= read.rejects
    rejects |= {f"{rule.id}: an ID of another person": len(first) - int(first.sum())}
    report = Prepared(
        read=source.num_rows,
        rows=len(at),
        merged=people.merged,
        cut=read.cut,
        rejects={reason: count for reason, count in rejects.items() if count},
        unused=tuple(name for name in names if name not in brought.columns),
        suspects={f"{contract.kind}: {code.value}": count for code, count in hashed.suspects.items()},
    )
    keyed = pa.table({"k": made.k[at], "k2": made.k2[at]})
    digests_of = hashed.values[hashed.rows[fine][at]]
    return _Laid(keyed, None if own is None else own.take(order), read.table.take(order), digests_of, report)


def _digests(brought: Brought, source: pa.Table) -> Digests:
    contract, name = brought.contract, brought.identifier
    try:
        return digests(
            source.column(name),
            contract.scheme,
            contract.kind,
            brought.rule.identifiers[contract.kind],
            contract.setting(brought.dataset),
            brought.rule.suspicious,
        )
    except MixedEncodings as error:
        written = " and ".join(_WRITTEN[encoding] for encoding in sorted(error.found) if encoding in _WRITTEN)
        rule = f"column {name} mixes encodings of hashes: {written}"
        raise BadSource(brought.source, rule, "they come from different programs: hash every row with one") from None
    except NotText:
        raise BadSource(brought.source, f"column {name} is not text", "export it as text") from None


_WRITTEN = {"base64": "base64", "hex-lower": "small hex letters", "hex-upper": "capital hex letters"}
"""Hex digits without a letter are of either case, and say nothing."""


def _own_ids(rule: DatasetRule, source: pa.Table) -> tuple[pa.ChunkedArray | None, NDArray[np.bool_]]:
    """The owner's IDs, and which rows have none. Errors: ColumnUnreadable."""
    if rule.id is None:
        return None, np.zeros(source.num_rows, dtype=np.bool_)
    own = source.column(rule.id)
    if pa.types.is_dictionary(own.type):
        own = own.cast(own.type.value_type)
    if pa.types.is_integer(own.type):
        return own, own.is_null().to_numpy()
    if not (pa.types.is_string(own.type) or pa.types.is_large_string(own.type)):
        raise ColumnUnreadable(rule.id, "IDs, as text or whole numbers")
    blank = pl.Series(own).str.strip_chars().fill_null("") == ""
    return own, blank.to_numpy()


def _first_of_each(own: pa.ChunkedArray | None, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these rows are the first with their ID: an ID that stands for two people would name either."""
    if own is None:
        return np.ones(len(rows), dtype=np.bool_)
    return pl.Series(own.take(pa.array(rows))).is_first_distinct().to_numpy()


# -- refusals --------------------------------------------------------------------------------------------------------


def _refuse_rejects(task: Task, report: Prepared) -> None:
    if report.rows == 0:
        raise NothingLeft(task.source, report.rejects)
    allowed = int(task.most_rejects if task.most_rejects >= 1 else task.most_rejects * report.read)
    if sum(report.rejects.values()) > allowed:
        raise TooManyRejects(task.source, report.read, report.rejects, allowed)


def _refuse_padding(brought: Brought, report: Prepared, rows: int) -> None:
    """Errors: Refused, BadSource."""
    if not rows:
        return
    refuse_padding(brought.dataset, brought.rule)
    if rows < report.rows:
        rule = f"{report.rows} people are in it, more than it is to be padded to"
        raise BadSource(brought.source, rule, "pad to a round number that the list will not outgrow")


def _refuse_stranger(task: Task, keys: Keys) -> None:
    owner = task.brought.rule.owner
    if keys.sign_public() != parse_public_key(task.agreement.contract.party[owner].sign):
        raise NotTheOwner(task.dataset, owner)


def _contract_digest(task: Task) -> bytes:
    return bytes.fromhex(task.agreement.digest)


def _dummy_secret(task: Task, keys: Keys) -> bytes:
    """Of the owner's sealing key, which nobody else has, for one data set of one contract."""
    text = f"passbox dummies\0{task.agreement.digest}\0{task.dataset}"
    return hmac.digest(keys.seal_identity().encode(), text.encode(), "sha256")


def _label(task: Task, shares: str, now: datetime) -> Label:
    contract = task.agreement.contract
    return Label(
        contract=task.agreement.digest,
        room=contract.room.name,
        dataset=task.dataset,
        owner=task.brought.rule.owner,
        made=now.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
        expires=datetime.combine(contract.expires, time(23, 59, 59), UTC),
        shares=shares,
    )


# -- typed twice, or after a crash -----------------------------------------------------------------------------------


def _made_from(task: Task, key: MatchKey) -> str:
    """Ties a bundle to the file, contract and match key it came from. It stays at home: a digest of a list is a
    membership test."""
    with task.source.open("rb") as file:
        source = hashlib.file_digest(file, "sha256").hexdigest()
    text = f"passbox source\0{source}\0{task.agreement.digest}\0{task.dataset}\0{task.brought.identifier}"
    text += f"\0{task.pad_to}" if task.pad_to else ""
    return hmac.digest(key.reveal(), text.encode(), "sha256").hex()


def _kept(task: Task, made_from: str) -> Home | None:
    """What an earlier run left for this very source, its bundle with it or lost. Errors: FileInTheWay."""
    try:
        kept = read_home(task.home)
    except FileInTheWay:
        raise _in_the_way(task, task.home) from None
    if kept is not None and kept.source != made_from:
        raise _in_the_way(task, task.home)
    if task.out.exists() and (kept is None or _digest(task.out) != kept.bundle):
        raise _in_the_way(task, task.out)
    return kept


def _in_the_way(task: Task, path: Path) -> FileInTheWay:
    """Whichever of the two is in the way, both get another name."""
    another = task.out.with_name(f"{task.out.stem}-2{task.out.suffix}")
    both = f"move `{task.out.name}` and `{task.home.name}` away"
    return FileInTheWay(path, f"{both}, or choose other names, such as `--out {another}`")


def _digest(bundle: Path) -> str:
    try:
        return open_bundle(bundle).digest
    except BadBundle:
        return ""


def _write(task: Task, packed: Packed, home: Home) -> None:
    """The bundle is whole on disk before the home file takes its place, and takes its own place after it."""
    sweep_of(task.home)
    sweep_of(task.out)
    with replacing(task.out) as bundle:
        packed.write(bundle)
        flush(bundle)
        write_home(task.home, home)


def _done(report: Prepared, task: Task, *, written: bool) -> Prepared:
    ids = task.home if task.brought.rule.id else None
    said = doubts(task.agreement.contract, task.dataset, report.rows)
    return replace(report, bundle=task.out, home=task.home, ids=ids, written=written, doubts=said)
