"""What is in a folder, for a judge: without the room's own code where a file lies there as SQLite left it.

A ledger's file is copied away before it is opened, so that looking changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passbox.cleanroom.keys import Keys

CONTRACTS = {"contract.toml", "summer.toml"}
RENEWED = {".seen", ".cosigned"}
"""Files of these kinds hold the time, and are another each time."""
KEPT_AT_HOME = {".ids", ".made"}


def look(folder: Path, reader: Path) -> dict[str, Any]:
    """Of everybody's folder: the files by name, each room's books, what copies of logs hold, what each release shows
    its reader, what must stay as it is, and what is wrong with it already."""
    rooms = {at.parent.name: books(at) for at in sorted(folder.glob("[!.]*/ledger.sqlite"))}
    return {
        "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()),
        "rooms": rooms,
        "copies": copies(folder),
        "seen": seen(folder, reader),
        "kept": kept(folder, set(rooms)),
        "wrong": [*unwitnessed(folder), *unsigned(folder), *unfit(folder)],
    }


def books(database: Path) -> dict[str, Any]:
    """A ledger as SQLite has it: the leaves of its log and their kinds; what each account spent, and lost with a disk;
    the keys that are taken; what each witness cosigned."""
    with tempfile.TemporaryDirectory() as copy:
        for name in (database.name, f"{database.name}-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(database.with_name(name), copy)
        with contextlib.closing(sqlite3.connect(Path(copy) / database.name)) as db:
            leaves = [str(leaf, "ascii") for (leaf,) in db.execute("select leaf from entry order by seq")]
            return {
                "log": leaves,
                "kinds": [json.loads(leaf)["kind"] for leaf in leaves],
                "spent": dict(db.execute("select id, spent from account")),
                "lost": dict(db.execute("select account, sum(rho) from lost group by account")),
                "keys": sorted(key for (key,) in db.execute("select key from release")),
                "witnessed": dict(db.execute("select name, max(size) from witness group by name")),
            }


def copies(folder: Path) -> dict[str, list[str]]:
    """The entries of every copy of a log; one that cannot be read is shown as one entry that is nowhere."""
    from passbox.cleanroom.log import read_log

    found = {}
    for path in sorted(folder.glob("[!.]*.ledger")):
        try:
            found[path.name] = [str(entry, "ascii") for entry in read_log(path).entries]
        except Exception as error:  # noqa: BLE001 - torn in whatever way
            found[path.name] = [type(error).__name__]
    return found


def seen(folder: Path, reader: Path) -> dict[str, list[list[Any]]]:
    """For each release file that lies open to its reader: position and bytes of every entry it stands on.

    A file that does not open is shown as one entry that is nowhere.
    """
    from passbox.cleanroom.keys import open_keys
    from passbox.cleanroom.opening import open_release

    identity, found = open_keys(reader).seal_identity(), dict[str, list[list[Any]]]()
    for path in sorted([*folder.glob("spring/releases/*.release"), *folder.glob("out/*.release")]):
        try:
            receipt: Any = open_release(path, identity, None).document["receipt"]
            found[str(path.relative_to(folder))] = [[item["sequence"], item["entry"]] for item in receipt["entries"]]
        except Exception as error:  # noqa: BLE001 - torn in whatever way
            found[str(path.relative_to(folder))] = [[-1, type(error).__name__]]
    return found


def kept(folder: Path, rooms: set[str]) -> dict[str, str]:
    """Digests of what somebody may have sent or relied on: once it is there, it is never another.

    Of what stays at home of a bundle, the tokens and IDs alone: the bundle that it names may be lost, and made anew.
    """
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if name.parts[0] in rooms or any(part.endswith((".ledger", ".tmp")) for part in name.parts):
            continue
        half = path.name == "room.checkpoint" and not path.with_name("room.seal").exists()
        if path.suffix not in RENEWED and not half:
            at_home = path.suffix in KEPT_AT_HOME and path.name != "room.made"
            data = _tokens(path) if at_home else path.read_bytes()
            found[str(name)] = hashlib.sha256(data).hexdigest()
    return found


def _tokens(path: Path) -> bytes:
    from passbox.cleanroom.home import read_home

    home = read_home(path)
    assert home is not None
    return json.dumps([home.source, home.table.to_pydict()]).encode()


# -- what is wrong -----------------------------------------------------------------------------------------------------


def unwitnessed(folder: Path) -> Iterator[str]:
    if (folder / "spring.officer.cosigned").exists() and not (folder / "spring.seen").exists():
        yield "a cosignature is out that its witness does not remember"


def unsigned(folder: Path) -> Iterator[str]:
    """Signatures and shares that do not hold, and contracts that their signers do not remember."""
    from passbox.policies.contract import parse
    from passbox.policies.share import check_share
    from passbox.policies.sign import parse_public_key, verify

    contracts = {name: parse((folder / name).read_bytes()) for name in CONTRACTS if (folder / name).exists()}
    owners = [(keys.sign_public(), keys) for keys in _keys(folder)]
    for path in sorted([*folder.glob("[!.]*.toml.*.sig"), *folder.glob("[!.]*.toml.*.share")]):
        base, party = path.stem.rsplit(".", 1)
        data, contract = (folder / base).read_bytes(), contracts.get(base, contracts["contract.toml"])
        signer = parse_public_key(contract.party[party].sign)
        try:
            if path.suffix == ".share":
                check_share(contract, data, party, path.read_text())
            else:
                verify(data, path.read_text(), signer, _namespace(base))
        except Exception as error:  # noqa: BLE001 - torn in whatever way
            yield f"{path.name} does not hold: {type(error).__name__}"
        if base in CONTRACTS and not any(_remembers(keys, data) for public, keys in owners if public == signer):
            yield f"{path.name} is out, and its signer does not remember it"


def _keys(folder: Path) -> list[Keys]:
    from passbox.cleanroom.keys import open_keys

    return [open_keys(path) for path in sorted(folder.rglob("[!.]*.keys"))]


def _namespace(signed: str) -> Any:
    if signed in CONTRACTS:
        return "passbox-contract"
    return "passbox-loss" if signed == "loss.toml" else "passbox-job"


def _remembers(keys: Keys, data: bytes) -> bool:
    at = keys.folder / "signed" / f"{hashlib.sha256(data).hexdigest()}.toml"
    return at.is_file() and at.read_bytes() == data


def unfit(folder: Path) -> Iterator[str]:
    """Bundles that are torn, or fit nothing at home, or whose people their owner does not remember."""
    from passbox.cleanroom.bundle import open_bundle, refuse_changed
    from passbox.cleanroom.home import read_home

    for path in sorted(folder.glob("*/[!.]*.bundle")):
        try:
            bundle = open_bundle(path)
            refuse_changed(bundle)
            homes = [read_home(path.with_suffix(suffix)) for suffix in sorted(KEPT_AT_HOME)]
        except Exception as error:  # noqa: BLE001 - torn in whatever way
            yield f"{path.name} is torn: {type(error).__name__}"
            continue
        if not any(home is not None and home.bundle == bundle.digest for home in homes):
            yield f"{path.name} is out, and nothing at home fits it"
        sketch = f"{bundle.manifest.contract}-{bundle.manifest.dataset}.json"
        if not any((keys.folder / "sketches" / sketch).is_file() for keys in _keys(path.parent)):
            yield f"{path.name} is out, and its owner has no sketch of it"
