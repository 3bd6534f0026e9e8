"""The room is blind: whoever runs it holds no hash of an identifier, on disk or in memory, and can plant no key."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyrage
import pytest

from passbox.cleanroom.job import match
from passbox.cleanroom.prepare import Task, prepare
from passbox.cleanroom.room import Dataset, RoomUnusable
from passbox.cleanroom.submit import submit
from passbox.matching.hashing import derive_match_key
from passbox.policies.agreement import SignatureBroken
from passbox.policies.share import ShareUnusable, new_share, open_shares, share_path, signed_share

if TYPE_CHECKING:
    from .world import Copier, World

KNOWN = [f"known{number}@mail.example" for number in range(2)]
"""People whom whoever looks knows already."""

SUBMIT = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from passbox.cleanroom.room import open_room
from passbox.cleanroom.submit import submit
room, bundle, now, planted = sys.argv[1:]
planted = bytes.fromhex(planted)
def stop(done, steps):
    if done == steps:
        os.kill(os.getpid(), signal.SIGSTOP)
submit(open_room(Path(room), lambda: datetime.fromisoformat(now)), Path(bundle), stop)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def source(folder: Path) -> Path:
    """Some known people on a longer list."""
    others = [f"other{number}@mail.example" for number in range(300)]
    path = folder / "list.csv"
    path.write_text("\n".join(["email", *KNOWN, *others]) + "\n")
    return path


def bundle_of(world: World) -> Path:
    task = Task(source(world.folder), world.agreement, "buyers", world.folder / "blind.bundle")
    made = prepare(task, world.keys("advertiser"), world.signer("advertiser"), world.shares(), world.now).bundle
    assert made is not None
    return made


def spellings(email: str) -> dict[str, bytes]:
    """How the hash of an e-mail may be written."""
    digest = hashlib.sha256(email.encode()).digest()
    hexed, text = digest.hex().encode(), base64.b64encode(digest)
    return {
        "raw": digest,
        "hex": hexed,
        "HEX": hexed.upper(),
        "base64": text,
        "half": digest[:16],
        "mail": email.encode(),
    }


def found(memory: bytes) -> set[str]:
    return {name for email in KNOWN for name, written in spellings(email).items() if written in memory}


def memory_of(pid: int) -> Iterator[bytes]:
    """What a process has written to its memory, region by region; pages that none was written to are left out."""
    page = os.sysconf("SC_PAGE_SIZE")
    with (
        Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory,
        Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pages,
    ):
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            if not line.split()[1].startswith("rw") or "[v" in line:
                continue
            pages.seek(begin // page * 8)
            there = np.frombuffer(pages.read((end - begin) // page * 8), dtype=np.uint64) >> np.uint64(62) != 0
            edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
            for first, last in edges.reshape(-1, 2).tolist():  # runs of pages that are in memory, or swapped out
                memory.seek(begin + first * page)
                yield memory.read((last - first) * page)


def stopped(child: subprocess.Popen[bytes]) -> bool:
    """Waits until the process has stopped itself, or ended."""
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    return os.WIFSTOPPED(status)


def looked_through(world: World, bundle: Path, planted: bytes, handles: list[bytes]) -> tuple[set[str], int]:
    """Submits in a process of its own, and reads its memory while it works and when it is done: which spellings of
    hashes were found, and how many of the handles."""
    script = [sys.executable, "-c", SUBMIT, str(world.place), str(bundle), world.now.isoformat(), planted.hex()]
    child = subprocess.Popen(script)
    seen: set[str] = set()
    held: set[bytes] = set()
    try:
        while stopped(child):
            for region in memory_of(child.pid):
                seen |= found(region)
                held |= {handle for handle in handles if handle in region}
            os.kill(child.pid, signal.SIGCONT)
    finally:
        child.kill()
    return seen, len(held)


def handles_of(world: World, bundle: Path) -> list[bytes]:
    """The first halves that the bundle holds of some people."""
    from passbox.cleanroom.bundle import open_bundle, read_data

    table = read_data(open_bundle(bundle), world.room().seal_identity)
    return [int(k).to_bytes(8, "little") for k in table.column("k").to_numpy()[:4]]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc/PID/mem")
def test_submit_holds_no_hash_of_an_identifier_in_memory(empty_room: World, copied: Copier) -> None:
    bundle = bundle_of(empty_room)
    handles = handles_of(empty_room, bundle)
    seen, held = looked_through(copied(empty_room), bundle, b"", handles)
    assert (seen, held) == (set(), len(handles))  # what it does hold is found: the search has teeth
    digest = spellings(KNOWN[1])["raw"]
    assert looked_through(copied(empty_room), bundle, digest, handles)[0] >= {"raw", "hex", "half"}


def test_the_operator_s_files_hold_no_hash_of_an_identifier(empty_room: World) -> None:
    world = empty_room
    submit(world.room(), bundle_of(world))
    submit(world.room(), world.folder / "visitors.bundle")
    match(world.room())
    files = [path for path in world.place.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert found(b"\n".join(path.read_bytes() for path in files)) == set()
    room = world.room()
    for dataset in room.datasets().values():
        assert found(plain(world, dataset)) == set()


def plain(world: World, dataset: Dataset) -> bytes:
    """What lies encrypted, in the clear: row by row, so that halves that belong together stand together."""
    table = world.room().read(dataset)
    pairs = np.stack([table.column(name).to_numpy() for name in ("k", "k2")], axis=1)
    rest = [table.column(name).to_pylist() for name in table.column_names if name not in ("k", "k2")]
    return pairs.astype("<u8").tobytes() + repr(rest).encode()


# -- keys --------------------------------------------------------------------------------------------------------------


def match_key(world: World) -> bytes:
    opened = open_shares(world.agreement, world.shares(), world.keys("advertiser").seal_identity())
    return derive_match_key(opened, bytes.fromhex(world.agreement.digest)).reveal()


def test_an_operator_who_drafts_the_contract_can_plant_no_match_key(empty_room: World) -> None:
    """Whatever it writes in the place of a share is refused; one that it knows does not give it the key."""
    world = empty_room
    contract, data = world.agreement.contract, world.contract.read_bytes()
    forged = new_share(contract, data, "advertiser")
    for signer in ("host", "publisher"):
        share_path(world.contract, "advertiser").write_text(signed_share(forged, world.signer(signer)))
        with pytest.raises(SignatureBroken):
            match_key(world)
    share_path(world.contract, "advertiser").write_text(forged)
    with pytest.raises(SignatureBroken):
        match_key(world)
    own = new_share(contract, data, "publisher")
    share_path(world.contract, "advertiser").write_text(signed_share(own, world.signer("advertiser")))
    with pytest.raises(ShareUnusable):
        match_key(world)
    share_path(world.contract, "advertiser").unlink()
    with pytest.raises(FileNotFoundError):
        match_key(world)


def test_the_operator_opens_no_share(empty_room: World) -> None:
    for key in ("host", "officer"):
        with pytest.raises(ShareUnusable):
            open_shares(empty_room.agreement, empty_room.shares(), empty_room.keys(key).seal_identity())
    for text in empty_room.shares().values():
        sealed = text.partition("\n")[2].partition("-----BEGIN SSH SIGNATURE-----")[0].rstrip()
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(sealed.encode(), [pyrage.x25519.Identity.from_str(empty_room.room().seal_identity)])


def test_another_version_of_a_contract_has_another_match_key_and_takes_no_list_of_the_old_one(
    empty_room: World, copied: Copier
) -> None:
    """Rotation: the parties agree on another version; what was keyed for the old one is of no use in its room."""
    old, key = copied(empty_room), match_key(empty_room)
    text = empty_room.contract.read_text().replace('purpose = "find more', 'purpose = "again: find more')
    new = empty_room.under(text)
    assert match_key(new) != key
    from passbox.cleanroom.bundle import BadBundle

    with pytest.raises(BadBundle, match="another contract"):
        submit(new.room(), old.folder / "buyers.bundle")


def test_lists_keyed_with_other_shares_are_not_matched(empty_room: World) -> None:
    world = empty_room
    submit(world.room(), world.folder / "visitors.bundle")
    contract, data = world.agreement.contract, world.contract.read_bytes()
    again = signed_share(new_share(contract, data, "advertiser"), world.signer("advertiser"))
    share_path(world.contract, "advertiser").write_text(again)
    submit(world.room(), bundle_of(world))
    with pytest.raises(RoomUnusable, match="other shares"):
        match(world.room())
