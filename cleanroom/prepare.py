"""What a party does at home: normalise, hash, key, check, seal and sign. Raw identifiers and own IDs stay there.

From a CSV or Parquet file come a bundle for the room and the file that stays (`cleanroom.home`): with it the room's
random tokens turn back into the owner's IDs, and typing the same again changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from pathlib import Path

import pyarrow as pa

from ..dp.text.statement import PrivateColumn
from ..matching.fingerprint import keyer
from ..matching.hashing import MatchKey, derive_match_key
from ..matching.rejects import RejectCode
from ..policies.agreement import Agreement
from ..policies.check import refuse_expired
from ..policies.share import open_shares, shares_digest
from ..policies.sign import Signer, parse_public_key
from .bundle import BadBundle, Label, Packed, open_bundle, packed
from .certified import privatised
from .doubts import doubts, idle_doubts, odd_doubts, personal_doubts, refuse_large_delta
from .dummies import refuse_padding
from .files import FileInTheWay, flush, refuse_no_place, replacing, sweep_of
from .home import Home, home_path, read_home, write_home
from .keys import Keys
from .memory import same_accounts
from .records import Brought as Brought
from .records import Prepared as Prepared
from .records import Records, new_tokens, padded, records
from .sketch import Marker, Sketch, keep, returned
from .source import BadSource


class TooManyRejects(Exception):
    """More rows break a rule than the party allowed. Counts by reason; nothing was written.

    hashes: what the contract's schemes hash each kind with.
    """

    def __init__(
        self, path: Path, rows: int, rejects: Mapping[str, int], allowed: int, hashes: Mapping[str, str]
    ) -> None:
        super().__init__(path, rows, rejects, allowed, hashes)
        self.path, self.rows, self.rejects, self.allowed, self.hashes = path, rows, rejects, allowed, hashes


class SpoiledColumn(Exception):
    """Most values of a key were refused, or one shows that all were hashed twice: rows would match by other keys alone,
    and nobody would see why. there: values in it; refused: how many of them, by reason; hashes: as in `TooManyRejects`.
    Nothing was written."""

    def __init__(self, path: Path, key: str, there: int, refused: Mapping[str, int], hashes: Mapping[str, str]) -> None:
        super().__init__(path, key, there, refused, hashes)
        self.path, self.key, self.there, self.refused, self.hashes = path, key, there, refused, hashes


class NotTheOwner(Exception):
    """These keys are not those of the data set's owner."""

    def __init__(self, dataset: str, owner: str) -> None:
        super().__init__(dataset, owner)
        self.dataset, self.owner = dataset, owner


class NothingLeft(Exception):
    """No row of the file can be used. hashes: as above."""

    def __init__(self, path: Path, rejects: Mapping[str, int], hashes: Mapping[str, str]) -> None:
        super().__init__(path, rejects, hashes)
        self.path, self.rejects, self.hashes = path, rejects, hashes


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be prepared, and where it goes.

    names: as in `Brought`. most_rejects: how many rows may be left out before the file is refused, as a number or,
    below 1, as a share of the rows; where it is more than half, so many values of one key too. pad_to: rows in the
    bundle, filled up with dummies; 0 for as many as there are.
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
    BadSource, ColumnMissing, ColumnUnreadable, TooManyRejects, SpoiledColumn, NothingLeft, ShareUnusable,
    SignatureBroken, BadCertificate, FileInTheWay, OSError, those of `sign`. Nothing is written then.
    """
    refuse_expired(task.agreement.contract, now.astimezone(UTC).date())
    _refuse_stranger(task, keys)
    refuse_no_place(task.out)
    key = derive_match_key(open_shares(task.agreement, shares, keys.seal_identity()), _contract_digest(task))
    private = privatised(task.source, task.brought.rule)
    made_from = _made_from(task, key)
    keyed = keyer(task.agreement.contract.match.fingerprint, key, _contract_digest(task))
    marker = Marker(keys)
    laid = records(task.brought, keyed, key.reveal(), marker)
    _refuse_rejects(task, laid.report)
    _refuse_padding(task.brought, laid.report, task.pad_to)
    marker.remember()
    sketch = _sketch(task, laid)
    laid = laid.known_from(returned(keys, sketch, same_accounts(keys, task.agreement.contract)))
    if task.pad_to:
        laid = laid.padded(task.pad_to, _dummy_secret(task, keys))
    refuse_large_delta(task.agreement.contract, task.dataset, laid.report.rows)
    kept = _kept(task, made_from)
    if kept and task.out.exists():
        return _done(laid, task, written=False)
    digest = shares_digest({party: shares[party] for party in task.agreement.contract.data_parties})
    label = _label(task, digest, now, private)
    tokens = _tokens(task, kept, laid)
    seal, table = task.agreement.contract.room.seal, laid.with_tokens(tokens)
    with packed(table, label, seal, sign, task.out.parent) as bundle:
        keep(keys, sketch)  # before the bundle: a list that is out is remembered
        _write(task, bundle, Home(_stays(task, laid, tokens), made_from, bundle.digest))
    return _done(laid, task, written=True)


def _sketch(task: Task, laid: Records) -> Sketch:
    contract = task.agreement.contract
    return Sketch(
        contract=task.agreement.digest,
        contract_name=contract.name,
        dataset=task.dataset,
        kind=contract.kind,
        people=laid.people,
        smallest=laid.sketch,
    )


def examine(brought: Brought, pad_to: int = 0) -> Prepared:
    """What `prepare` would find, without keys, writing nothing.

    Errors: BadSource, ColumnMissing, ColumnUnreadable, BadCertificate; Refused where it cannot be padded or δ is above
    1/n.
    """
    privatised(brought.source, brought.rule)
    laid = records(brought, keyer("passbox@1", MatchKey(bytes(31) + b"\1"), bytes(32)), bytes(32))
    _refuse_padding(brought, laid.report, pad_to)
    report = padded(laid.report, pad_to)
    refuse_large_delta(brought.contract, brought.dataset, report.rows)
    return replace(report, doubts=_doubts(brought, report, laid))


# -- tokens ----------------------------------------------------------------------------------------------------------


def _tokens(task: Task, kept: Home | None, laid: Records) -> pa.Array | pa.ChunkedArray | None:
    """A token for each record whose owner keeps an ID; those that were handed out for these very rows, where another
    bundle with them may be on its way. Errors: FileInTheWay where what is kept does not fit."""
    if laid.own is None:
        return None
    if kept is None:
        return new_tokens(len(laid.own))
    name = str(task.brought.rule.id)
    if kept.table.column_names != ["token", name] or not kept.table.column(name).equals(laid.own):
        raise _in_the_way(task, task.home)
    return kept.table.column("token")


def _stays(task: Task, laid: Records, tokens: pa.Array | pa.ChunkedArray | None) -> pa.Table:
    """The table that stays."""
    return pa.table({}) if tokens is None else pa.table({"token": tokens, str(task.brought.rule.id): laid.own})


# -- refusals --------------------------------------------------------------------------------------------------------


def _refuse_rejects(task: Task, report: Prepared) -> None:
    if (fault := unfit(task.brought, report, task.most_rejects)) is not None:
        raise fault


def unfit(
    brought: Brought, report: Prepared, most_rejects: float
) -> NothingLeft | SpoiledColumn | TooManyRejects | None:
    """Why `prepare` refuses a file for its rows; None where it does not. most_rejects: as in `Task`."""
    hashes = brought.contract.match.hashes
    if report.rows == report.dummies:
        return NothingLeft(brought.source, report.rejects, hashes)
    if (key := spoiled(report, most_rejects)) is not None:
        held = report.keys[key]
        refused = {f"{key}: {code}": n for code, n in held.refused.items()}
        return SpoiledColumn(brought.source, key, held.there, refused, hashes)
    allowed = _allowed(most_rejects, report.read)
    if sum(report.rejects.values()) > allowed:
        return TooManyRejects(brought.source, report.read, report.rejects, allowed, hashes)
    return None


def spoiled(report: Prepared, most_rejects: float) -> str | None:
    """The first of several keys whose column is of no use; None where there is none, or one key alone."""
    for key, held in report.keys.items() if len(report.keys) > 1 else ():
        allowed = _allowed(most_rejects, held.there)
        if sum(held.refused.values()) > max(allowed, held.there // 2):
            return key
        if held.refused.get(RejectCode.HASHED_TWICE, 0) > allowed:
            return key
    return None


def _allowed(most_rejects: float, rows: int) -> int:
    return int(most_rejects if most_rejects >= 1 else most_rejects * rows)


def _refuse_padding(brought: Brought, report: Prepared, rows: int) -> None:
    """Errors: Refused, BadSource."""
    if not rows:
        return
    refuse_padding(brought.dataset, brought.rule, several=brought.layout.several)
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


def _label(task: Task, shares: str, now: datetime, private: tuple[PrivateColumn, ...]) -> Label:
    contract = task.agreement.contract
    return Label(
        contract=task.agreement.digest,
        room=contract.room.name,
        dataset=task.dataset,
        owner=task.brought.rule.owner,
        made=now.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
        expires=datetime.combine(contract.expires, time(23, 59, 59), UTC),
        shares=shares,
        private=private,
    )


# -- typed twice, or after a crash -----------------------------------------------------------------------------------


def _made_from(task: Task, key: MatchKey) -> str:
    """Ties a bundle to the file, contract and match key it came from. It stays at home: a digest of a list is a
    membership test."""
    with task.source.open("rb") as file:
        source = hashlib.file_digest(file, "sha256").hexdigest()
    columns = "\0".join(task.brought.identifiers.values())
    text = f"passbox source\0{source}\0{task.agreement.digest}\0{task.dataset}\0{columns}"
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


def _done(laid: Records, task: Task, *, written: bool) -> Prepared:
    ids = task.home if task.brought.rule.id else None
    said = _doubts(task.brought, laid.report, laid)
    return replace(laid.report, bundle=task.out, home=task.home, ids=ids, written=written, doubts=said)


def _doubts(brought: Brought, report: Prepared, laid: Records) -> tuple[str, ...]:
    idle = idle_doubts(brought.contract, brought.dataset, laid.columns)
    sizes = doubts(brought.contract, brought.dataset, report.rows)
    return (*sizes, *odd_doubts(report.suspects), *personal_doubts(report.personal), *idle)
