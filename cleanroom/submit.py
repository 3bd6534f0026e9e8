"""Taking a bundle in: every check before anything is stored, and then all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ..policies.agreement import SignatureBroken
from ..policies.sign import BadSignature, verify
from .bundle import BadBundle, Bundle, open_bundle, read_rows, refuse_changed
from .intake import Intake, Unfit
from .layout import layout_of
from .partition import ROWS as MERGE_STEP
from .partition import partitions
from .private import faults
from .progress import Progress, quietly
from .room import Dataset, Room, public
from .shelf import Shelf

CLOCKS_APART = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Taken:
    """A submission that is in the room. new: False where the very same bundle was there already. replaced: rows of the
    submission whose place it took; None where there was none. outdated: whether a job was paid for on that one.
    """

    dataset: Dataset
    new: bool
    replaced: int | None = None
    outdated: bool = False


def submit(room: Room, path: Path, progress: Progress = quietly) -> Taken:
    """Verify a bundle and store its data, encrypted, a piece in memory at a time. Typed twice, it changes nothing.

    Errors: Refused after the contract's last day; BadBundle, SignatureBroken, OSError: nothing was stored.
    """
    room.refuse_expired()
    bundle = open_bundle(path)
    _refuse_foreign(room, bundle)
    _refuse_forged(room, bundle)
    _refuse_out_of_time(room, bundle)
    with room.changing():
        return _take(room, bundle, progress)


def _take(room: Room, bundle: Bundle, progress: Progress) -> Taken:
    current = room.dataset(bundle.manifest.dataset)
    if current is not None and current.digest == bundle.digest:
        refuse_changed(bundle)  # "nothing changed" is said of the whole bundle, not of its manifest alone
        return Taken(current, new=False)
    _refuse_replayed(room, bundle, current)
    held = room.keep(bundle, lambda shelf: _fill(room, bundle, shelf, progress))
    if current is None:
        return Taken(held, new=True)
    with room.ledger() as ledger:
        return Taken(held, new=True, replaced=current.manifest.rows, outdated=ledger.used(current.digest))


def _fill(room: Room, bundle: Bundle, shelf: Shelf, progress: Progress) -> None:
    """Every row, checked and written as it is opened. Errors: BadBundle."""
    layout, rows = layout_of(room.contract, bundle.manifest.dataset), bundle.manifest.rows
    steps = rows + (len(layout.keys) * partitions(rows) * MERGE_STEP if layout.several else 0)
    done = 0

    def step(by: int) -> None:
        nonlocal done
        done += by
        progress(done, steps)

    try:
        with read_rows(bundle, room.seal_identity) as batches:
            intake = Intake(shelf, layout, next(batches).schema, rows)
            for batch in batches:
                intake.take(batch)
                step(batch.num_rows)
            intake.finish(lambda: step(MERGE_STEP))
    except Unfit as fault:
        raise BadBundle(bundle.path, fault.rule, fault.remedy) from None


def _refuse_foreign(room: Room, bundle: Bundle) -> None:
    manifest, contract = bundle.manifest, room.contract
    if manifest.room != contract.room.name:
        raise BadBundle(bundle.path, "it was prepared for another room", "prepare it with this room's contract")
    if manifest.contract != room.agreement.digest:
        raise BadBundle(bundle.path, "it was prepared under another contract", "prepare it with this room's contract")
    rule = contract.dataset.get(manifest.dataset)
    if rule is None or rule.owner != manifest.owner:
        raise BadBundle(bundle.path, "the contract knows no such data set of this owner", "check `contract show`")
    if wrong := faults(manifest.private, rule):
        raise BadBundle(bundle.path, wrong[0], "its owner privatises again, with this contract")


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
