"""Matching, from files and from what was submitted, against the engines people use for it today, in one run.

    python benchmarks/matching.py [--people 10000000] [--seeds 1000000] [--rounds 3] [--large] [--json]

Three in ten seeds are among the people. Each contender works in a process of its own: its CPU seconds and peak memory
are its own, without what it takes to load libraries.

    csv        two CSV files of e-mails to the number of matches, all by one rule (uid2@1). passbox reads, checks,
               normalises, hashes, keys, merges and matches in one process, with nothing sealed and nothing stored; the
               engines read, normalise, hash without a key, and join.
    whole way  the same files through `prepare` (sealed, signed, with what stays at home), `submit`, `match`: all that
               two parties and a room do.
    submitted  two lists at rest to a match at rest. passbox reads encrypted 128-bit handles, verifies both halves and
               writes an encrypted answer both ways round; duckdb joins one plain column of u64 and counts.
    disk       bytes a handle at rest, beside hex strings in Parquet (duckdb's and pyarrow's default, and zstd).
    at rest    writing and reading the table of handles, beside plain Parquet with zstd.
    submit     a bundle verified, opened, checked and stored.
    --large    `submitted` for ten times as many of both, made in place; duckdb has the same cap of memory.

Machines are noisy: quote ratios of one run. A contender that is not installed is named.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import math
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from identifiers import RULE, emails
from matching_data import NOW, found, handles, take_in, write_csv

CAP = "2GB"


# -- contenders: each gives what is timed, and what it must give ------------------------------------------------------

Work = Callable[[], Any]


def ours_csv(folder: Path) -> Work:
    from passbox.cleanroom.records import Brought, records
    from passbox.matching.fingerprint import keyer
    from passbox.matching.hashing import Handles, MatchKey
    from passbox.matching.match import look_up
    from passbox.policies.agreement import read_agreement

    contract = read_agreement(folder / "contract.toml").contract
    key = keyer("passbox@1", MatchKey(bytes(range(32))), bytes(32))

    def side(name: str) -> Handles:
        made = records(Brought(folder / f"{name}.csv", contract, name), key, bytes(32)).handles
        return Handles(made.column("k").to_numpy(), made.column("k2").to_numpy())

    return lambda: int((look_up(side("seeds"), side("people")) >= 0).sum())  # both ascend, as they are submitted


def ours_whole_way(folder: Path) -> Work:
    from passbox.cleanroom.keys import open_keys
    from passbox.cleanroom.matched import match, read_match
    from passbox.cleanroom.prepare import Task, prepare
    from passbox.cleanroom.room import open_room
    from passbox.cleanroom.signing import read_shares
    from passbox.cleanroom.submit import submit
    from passbox.policies.sign import signer_of

    place = folder / "whole way"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    room = open_room(found(place), lambda: NOW)
    shares = read_shares(place / "contract.toml", room.contract)

    def work() -> Callable[[], int]:
        for name, owner in (("people", "publisher"), ("seeds", "advertiser")):
            keys = open_keys(place / f"{owner}.keys")
            task = Task(folder / f"{name}.csv", room.agreement, name, place / f"{name}.bundle")
            prepare(task, keys, signer_of(keys.signing(lambda: b"")), shares, NOW)
            submit(room, task.out)
        match(room)
        held = room.datasets()
        return lambda: int(read_match(room, held["people"], held["seeds"]).sum())

    return work


def duckdb_csv(folder: Path) -> Work:
    link = _duckdb(folder)
    clean = "SELECT lower(trim(email)) AS e FROM read_csv('{}', header = true)"
    people, seeds = (
        f"SELECT sha256({RULE}) AS h FROM ({clean.format(folder / f'{name}.csv')})" for name in ("people", "seeds")
    )
    return lambda: link.execute(f"SELECT count(*) FROM ({people}) SEMI JOIN ({seeds}) USING (h)").fetchone()[0]


def polars_csv(folder: Path) -> Work:
    import polars as pl
    import polars_hash as plh

    def side(name: str) -> Any:
        email = pl.col("email").str.strip_chars(" ").str.to_lowercase()
        parts = email.str.split_exact("@", 1)
        mailbox, domain = parts.struct.field("field_0"), parts.struct.field("field_1")
        bare = mailbox.str.split_exact("+", 1).struct.field("field_0").str.replace_all(".", "", literal=True)
        clean = pl.when(domain == "gmail.com").then(bare + "@gmail.com").otherwise(email).alias("clean")
        hashed = plh.col("clean").chash.sha2_256().alias("h")
        return pl.scan_csv(folder / f"{name}.csv").select(clean).select(hashed)

    return lambda: side("people").join(side("seeds"), on="h", how="semi").select(pl.len()).collect().item()


def ours_submitted(folder: Path) -> Work:
    from passbox.cleanroom.matched import match, read_match
    from passbox.cleanroom.room import open_room

    room = open_room(folder / "room", lambda: NOW)
    for path in (folder / "room" / "matches").iterdir():
        path.unlink()

    def work() -> Callable[[], int]:
        match(room)
        held = room.datasets()
        return lambda: int(read_match(room, held["people"], held["seeds"]).sum())  # to be compared, not timed

    return work


def duckdb_submitted(folder: Path) -> Work:
    link = _duckdb(folder)
    people, seeds = (f"'{folder / name}.k.parquet'" for name in ("people", "seeds"))
    return lambda: link.execute(f"SELECT count(*) FROM {people} SEMI JOIN {seeds} USING (k)").fetchone()[0]


def _duckdb(folder: Path) -> Any:
    import duckdb

    link = duckdb.connect()
    link.execute(f"SET memory_limit = '{CAP}'; SET temp_directory = '{folder / 'spilled'}'; SET threads = 2")
    return link


def ours_at_rest(folder: Path) -> Work:
    from passbox.cleanroom.store import Store

    table, store = _at_rest(), Store(bytes(32))

    def work() -> int:
        store.write_table(folder / "rest", table, "rest")
        return int(store.read_table(folder / "rest", "rest").num_rows)

    return work


def plain_at_rest(folder: Path) -> Work:
    table = _at_rest()

    def work() -> int:
        pq.write_table(table, folder / "plain", compression="zstd")
        return int(pq.read_table(folder / "plain").num_rows)

    return work


def _at_rest() -> pa.Table:
    pairs = next(handles(2_000_000, 1, 1))
    return pa.table({"k": pairs[:, 0].copy(), "k2": pairs[:, 1].copy()})


def ours_submit(folder: Path) -> Work:
    from passbox.cleanroom.bundle import Label, write_bundle
    from passbox.cleanroom.keys import open_keys
    from passbox.cleanroom.room import open_room
    from passbox.policies.sign import signer_of

    place = folder / "submit"
    place.mkdir()
    room = open_room(found(place), lambda: NOW)
    rows = pq.ParquetFile(folder / "people.k.parquet").metadata.num_rows
    pairs = next(handles(rows, 1, 3))
    label = Label(
        room.agreement.digest, "rooms.example/bench", "people", "publisher", NOW,
        datetime(2027, 6, 30, tzinfo=UTC), "0" * 64,
    )  # fmt: skip
    sign = signer_of(open_keys(place / "publisher.keys").signing(lambda: b""))
    write_bundle(
        place / "bundle", pa.table({"k": pairs[:, 0], "k2": pairs[:, 1]}), label, room.contract.room.seal, sign
    )
    script = f"""
import json, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import matching
from passbox.cleanroom.room import open_room
from passbox.cleanroom.submit import submit
room = open_room(Path({str(place / "room")!r}), lambda: matching.NOW)
cpu, wall = time.process_time(), time.perf_counter()
submit(room, Path({str(place / "bundle")!r}))
took = {{"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}}
print(json.dumps({{**took, "peak_mib": matching.peak_mib()}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    shutil.rmtree(place)
    return lambda: json.loads(done.stdout)


CONTENDERS: dict[str, tuple[str, Callable[[Path], Work]]] = {
    "csv: passbox": ("", ours_csv),
    "csv: passbox, whole way": ("", ours_whole_way),
    "csv: duckdb": ("duckdb", duckdb_csv),
    "csv: polars": ("polars_hash", polars_csv),
    "submitted: passbox": ("", ours_submitted),
    "submitted: duckdb": ("duckdb", duckdb_submitted),
    "at rest: passbox": ("", ours_at_rest),
    "at rest: plain zstd": ("", plain_at_rest),
}
RATIOS = {
    "csv, of duckdb": ("csv: passbox", "csv: duckdb", 0.6),
    "csv, of polars": ("csv: passbox", "csv: polars", 0.45),
    "whole way, of duckdb's csv": ("csv: passbox, whole way", "csv: duckdb", math.nan),
    "whole way, of polars' csv": ("csv: passbox, whole way", "csv: polars", math.nan),
    "submitted, of duckdb": ("submitted: passbox", "submitted: duckdb", 1.3),
    "at rest, of plain zstd": ("at rest: passbox", "at rest: plain zstd", 1.3),
}
LARGE = {"submitted, of duckdb": ("submitted: passbox", "submitted: duckdb", 2.0)}


# -- running it --------------------------------------------------------------------------------------------------------


def one(name: str, folder: Path) -> dict[str, Any]:
    """What the child process measures: the work alone."""
    if name == "submit":
        return dict(ours_submit(folder)())
    work = CONTENDERS[name][1](folder)
    if name.startswith("csv: passbox"):
        _compile()
    cpu, wall = time.process_time(), time.perf_counter()
    given = work()
    took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "peak_mib": peak_mib()}
    return {**took, "given": given() if callable(given) else given}


def _compile() -> None:
    """Reads what was compiled: a cost of some tenths of a second, once a process."""
    from passbox.matching.hashing import MatchKey, handles
    from passbox.matching.identifiers import digests

    made = digests(pa.chunked_array([emails(0, 50_000)]), "uid2@1", "email", "raw")
    handles(made, MatchKey(bytes(range(32))), "email", "uid2@1")


def peak_mib() -> float:
    """The most memory this process ever held: Linux only (rusage would count who started it too)."""
    status = Path("/proc/self/status")
    held = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(held[1]) / 1024 if held else math.nan


def child(name: str, folder: Path) -> dict[str, Any]:
    words = [sys.executable, __file__, "--one", name, "--folder", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-1500:]}")
    return dict(json.loads(done.stdout))


def prepare(folder: Path, people: int, seeds: int) -> None:
    words = [sys.executable, __file__, "--take-in", "--folder", str(folder)]
    subprocess.run([*words, "--people", str(people), "--seeds", str(seeds)], check=True)


def disk(folder: Path, rows: int) -> dict[str, float]:
    """Bytes a row."""
    stored = sum(path.stat().st_size for path in (folder / "room" / "datasets" / "people").rglob("*.parquet")) / rows
    hexed = pa.table({"h": [hashlib.sha256(number.to_bytes(8)).hexdigest() for number in range(500_000)]})
    sizes = {"passbox": stored}
    for coding in ("snappy", "zstd"):
        pq.write_table(hexed, folder / "hex", compression=coding)
        sizes[f"hex, {coding}"] = (folder / "hex").stat().st_size / hexed.num_rows
    return sizes


def measure(people: int, seeds: int, rounds: int, names: list[str], ratios: dict[str, Any]) -> dict[str, Any]:
    figures: dict[str, list[dict[str, Any]]] = {}
    missing = [name for name in names if (need := CONTENDERS[name][0]) and importlib.util.find_spec(need) is None]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        prepare(folder, people, seeds)
        if "csv: passbox" in names:
            write_csv(folder / "people.csv", 0, people)
            write_csv(folder / "seeds.csv", people - seeds * 3 // 10, seeds)
        for _ in range(rounds):
            for name in names:
                if name not in missing:
                    figures.setdefault(name, []).append(child(name, folder))
        sizes = disk(folder, people)
        submitted = child("submit", folder) if "csv: passbox" in names else None
    _refuse_differing(figures)
    middle = {
        name: {key: statistics.median(run[key] for run in runs) for key in ("cpu", "wall", "peak_mib")}
        for name, runs in figures.items()
    }
    return {
        "people": people,
        "seeds": seeds,
        "contenders": middle,
        "ratios": {
            label: {
                "ratio": statistics.median(
                    a["cpu"] / b["cpu"] for a, b in zip(figures[us], figures[them], strict=True)
                ),
                "most": most,
            }
            for label, (us, them, most) in ratios.items()
            if us in figures and them in figures
        },
        "bytes_a_row": sizes,
        "submit": submitted,
        "missing": missing,
    }


def _refuse_differing(figures: dict[str, list[dict[str, Any]]]) -> None:
    """All must find the same matches, or what they took says nothing."""
    for work in ("csv", "submitted"):
        given = {run["given"] for name, runs in figures.items() if name.startswith(work) for run in runs}
        if len(given) > 1:
            raise SystemExit(f"{work}: the contenders give different numbers of matches: {sorted(given)}")


def show(measured: dict[str, Any]) -> None:
    print(f"{measured['people']:,} people, {measured['seeds']:,} seeds; CPU seconds, wall seconds, peak of the process")
    for name, each in measured["contenders"].items():
        print(f"  {name:<26}{each['cpu']:9.2f}{each['wall']:9.2f}{each['peak_mib']:9.0f} MiB")
    if each := measured["submit"]:
        print(f"  {'submit a bundle of people':<26}{each['cpu']:9.2f}{each['wall']:9.2f}{each['peak_mib']:9.0f} MiB")
    for label, each in measured["ratios"].items():
        most = f"  (at most {each['most']:g})" if each["most"] == each["most"] else ""
        print(f"  {label:<26}{each['ratio']:9.2f}x{most}")
    sizes = measured["bytes_a_row"]
    print("  bytes a row: " + ", ".join(f"{name} {size:.1f}" for name, size in sizes.items()))
    print("  of hex: " + ", ".join(f"{n} {sizes['passbox'] / s:.2f}x" for n, s in sizes.items() if n.startswith("hex")))
    for name in measured["missing"]:
        print(f"  {name}: {CONTENDERS[name][0]} is not installed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=10_000_000)
    parser.add_argument("--seeds", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="ten times as many, and `submitted` alone")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--take-in", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.one, asked.folder)))
    elif asked.take_in:
        take_in(asked.folder, asked.people, asked.seeds)
    else:
        names = [name for name in CONTENDERS if name.startswith("submitted")] if asked.large else list(CONTENDERS)
        times = 10 if asked.large else 1
        ratios = LARGE if asked.large else RATIOS
        measured = measure(asked.people * times, asked.seeds * times, asked.rounds, names, ratios)
        print(json.dumps(measured, indent=2)) if asked.json else show(measured)


if __name__ == "__main__":
    main()
