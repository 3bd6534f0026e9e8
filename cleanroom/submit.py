"""Taking a bundle in: every check before anything is stored, and then all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..matching.hashing import Handles
from ..matching.keyed import why_not_keyed
from ..policies.agreement import SignatureBroken
from ..policies.contract import DatasetRule
from ..policies.sign import BadSignature, verify
from .bundle import BadBundle, Bundle, open_bundle, read_data, sealed_data
from .columns import outside
from .room import Dataset, Room, public

CLOCKS_APART = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Taken:
    """A submission that is in the room. new: False where the very same bundle was there already. replaced: rows of the
    submission whose place it took; None where there was none."""

    dataset: Dataset
    new: bool
    replaced: int | None = None


def submit(room: Room, path: Path) -> Taken:
    """Verify a bundle and store its data, encrypted. Typed twice, it changes nothing.

    Errors: Refused after the contract's last day; BadBundle, SignatureBroken, OSError: nothing was stored.
    """
    room.refuse_expired()
    bundle = open_bundle(path)
    _refuse_foreign(room, bundle)
    _refuse_forged(room, bundle)
    _refuse_out_of_time(room, bundle)
    with room.changing():
        return _take(room, bundle)


def _take(room: Room, bundle: Bundle) -> Taken:
    current = room.dataset(bundle.manifest.dataset)
    if current is not None and current.digest == bundle.digest:
        sealed_data(bundle)  # "nothing changed" is said of the whole bundle, not of its manifest alone
        return Taken(current, new=False)
    _refuse_replayed(room, bundle, current)
    table = read_data(bundle, room.seal_identity)
    _refuse_table(bundle, table, room.contract.dataset[bundle.manifest.dataset])
    return Taken(room.keep(bundle, table), new=True, replaced=current.manifest.rows if current else None)


def _refuse_foreign(room: Room, bundle: Bundle) -> None:
    manifest, contract = bundle.manifest, room.contract
    if manifest.room != contract.room.name:
        raise BadBundle(bundle.path, "it was prepared for another room", "prepare it with this room's contract")
    if manifest.contract != room.agreement.digest:
        raise BadBundle(bundle.path, "it was prepared under another contract", "prepare it with this room's contract")
    rule = contract.dataset.get(manifest.dataset)
    if rule is None or rule.owner != manifest.owner:
        raise BadBundle(bundle.path, "the contract knows no such data set of this owner", "check `contract show`")


def _refuse_forged(room: Room, bundle: Bundle) -> None:
    owner = bundle.manifest.owner
    try:
        verify(bundle.manifest_bytes, bundle.signature, room.contract.party[owner].sign, "passbox-bundle")
    except BadSignature as error:
        raise SignatureBroken("bundle", owner, error.reason) from None


def _refuse_out_of_time(room: Room, bundle: Bundle) -> None:
    """What was made in the future would stand in the way of everything that comes before it."""
    if room.today() > public(bundle.digest, bundle.manifest).expires:
        raise BadBundle(bundle.path, "it has expired", "prepare it again")
    if bundle.manifest.made > room.clock() + CLOCKS_APART:
        raise BadBundle(bundle.path, "it was made in the future", "set the clock of the machine that prepares it")


def _refuse_replayed(room: Room, bundle: Bundle, current: Dataset | None) -> None:
    """Times are rounded, so that two may be of the same: then only what was in the room before is known to be older."""
    if current is None:
        return
    made, newest, name = bundle.manifest.made, current.manifest.made, current.name
    if made > newest or (made == newest and not room.was_replaced(bundle)):
        return
    after = "was submitted" if room.was_replaced(bundle) else "is in the room that was made"
    raise BadBundle(
        bundle.path,
        f"it is replayed: another bundle of {name} {after} after it",
        f"if these rows shall count again, their owner removes `{bundle.path.name}`, types `passbox prepare` once more "
        "and sends the new bundle",
    )


def _refuse_table(bundle: Bundle, table: pa.Table, rule: DatasetRule) -> None:
    wanted = ["k", "k2", *(["token"] if rule.id else []), *rule.columns]
    if table.column_names != wanted:
        raise BadBundle(bundle.path, "its columns are not those of the contract", "use `passbox prepare`")
    for name in wanted[: len(wanted) - len(rule.columns)]:
        column = table.column(name)
        if column.type != pa.uint64() or column.null_count:
            raise BadBundle(bundle.path, f"column {name} is not whole numbers", "use `passbox prepare`")
    _refuse_repeats(bundle, table)
    _refuse_unkeyed(bundle, table)
    if wrong := outside(table, rule.columns):
        raise BadBundle(bundle.path, f"{wrong[0]}", "use `passbox prepare`, which checks the same rules at home")


def _refuse_unkeyed(bundle: Bundle, table: pa.Table) -> None:
    """Nobody would match such a list, and a plain hash can be guessed."""
    if why := why_not_keyed(Handles(table.column("k").to_numpy(), table.column("k2").to_numpy())):
        raise BadBundle(bundle.path, why, "use `passbox prepare`, which normalises, hashes and keys")


def _refuse_repeats(bundle: Bundle, table: pa.Table) -> None:
    """A handle, and a token, stands once: every sensitivity rests on it."""
    for name in ("k", "token"):
        if name in table.column_names:
            values = np.sort(table.column(name).to_numpy())
            if (values[1:] == values[:-1]).any():
                raise BadBundle(bundle.path, f"a {name} stands twice in it", "use `passbox prepare`, which merges")
    k = table.column("k").to_numpy()
    if (k[1:] < k[:-1]).any():
        raise BadBundle(bundle.path, "its rows are not sorted", "use `passbox prepare`")
