"""E-mails to digests and to keyed handles, against the engines people use for it today, in one run.

    python benchmarks/identifiers.py [--rows 10000000] [--rounds 3] [--json]

Each contender works in a process of its own over the same Arrow column of e-mails of 32 bytes (a third of them at
gmail.com, with dots, suffix, capitals and a space), and its CPU seconds and peak memory are its own. All follow one
rule (uid2@1: trim, small letters, one @, gmail.com without dots and suffix), all end in bytes, and all are checked to
give the same ones. `openssl` is the limit: SHA-256 of messages of 27 bytes in OpenSSL's own loop (`openssl speed`).
Machines are noisy: quote ratios. A contender that is not installed is named.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import importlib.util
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SLOW = 10
"""The standard library's path is measured on that part of the rows, and scaled."""
KEY = bytes(range(32)).hex()[:32].encode()  # text: one of the engines takes no other key
PREFIX = b"passbox\0email\0uid2@1\0"


def emails(start: int, stop: int) -> pa.Array:
    """Deterministic, and of the length that lists have."""
    numbers = np.arange(start, stop)
    at_gmail = numbers % 3 == 0
    local = np.char.zfill(numbers.astype("U8"), 8)
    gmail = np.char.add(np.char.add(" User.", local), "+news1@GMail.com")
    other = np.char.add(np.char.add("someone.", local), "@MAIL.example.io")
    return pa.array(np.where(at_gmail, gmail, other), pa.large_string())


def write_emails(rows: int, path: Path) -> None:
    schema = pa.schema([("email", pa.large_string())])
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, rows, 1_000_000):
            part = emails(start, min(start + 1_000_000, rows))
            file.write_table(pa.table({"email": part}, schema=schema))


# -- contenders: each takes the column to a function that does the work and one that shows the first rows --------------

Work = Callable[[], Any]


def ours(column: pa.ChunkedArray, keyed: str, compiled: bool) -> tuple[Work, Callable[[Any], list[bytes]]]:
    from passbox.matching import fast
    from passbox.matching.hashing import MatchKey, handles
    from passbox.matching.identifiers import digests

    if not compiled:
        fast.compiled = lambda: None  # type: ignore[assignment]
    key = MatchKey(KEY)

    def work() -> Any:
        made = digests(column, "uid2@1", "email", "raw", secret=KEY if keyed == "hmac" else None)
        return handles(made, key, "email", "uid2@1") if keyed == "handles" else made.values

    def first(result: Any) -> list[bytes]:
        if keyed != "handles":
            return [row.tobytes() for row in result[:9]]
        halves = zip(result.k[:9].tolist(), result.k2[:9].tolist(), strict=True)
        return [k.to_bytes(8, "little") + k2.to_bytes(8, "little") for k, k2 in halves]

    return work, first


RULE = """
CASE WHEN split_part(e, '@', 2) = 'gmail.com'
     THEN replace(split_part(split_part(e, '@', 1), '+', 1), '.', '') || '@gmail.com' ELSE e END
"""


def duckdb(column: pa.ChunkedArray) -> tuple[Work, Callable[[Any], list[bytes]]]:
    import duckdb as engine

    table = pa.table({"email": column})
    link = engine.connect()
    link.execute(f"SET threads = {os.cpu_count()}")
    link.register("people", table)
    query = f"SELECT unhex(sha256({RULE})) AS h FROM (SELECT lower(trim(email)) AS e FROM people)"
    return lambda: link.execute(query).to_arrow_table(), lambda result: result.column("h")[:9].to_pylist()


def polars_hash(column: pa.ChunkedArray, keyed: bool) -> tuple[Work, Callable[[Any], list[bytes]]]:
    import polars as pl
    import polars_hash as plh

    frame = pl.DataFrame({"email": pl.Series(pl.from_arrow(column))})
    email = pl.col("email").str.strip_chars(" ").str.to_lowercase()
    parts = email.str.split_exact("@", 1)
    mailbox, domain = parts.struct.field("field_0"), parts.struct.field("field_1")
    bare = mailbox.str.split_exact("+", 1).struct.field("field_0").str.replace_all(".", "", literal=True)
    clean = pl.when(domain == "gmail.com").then(bare + "@gmail.com").otherwise(email).alias("clean")

    def work() -> Any:
        text = plh.col("clean").chash
        hashed = text.hmac_sha256(key=KEY.decode()) if keyed else text.sha2_256()
        return frame.lazy().select(clean).select(hashed.str.decode("hex").alias("h")).collect()

    return work, lambda result: result.get_column("h").head(9).to_list()


CONTENDERS: dict[str, tuple[str, Callable[[pa.ChunkedArray], tuple[Work, Callable[[Any], list[bytes]]]]]] = {
    "sha256: passbox": ("numba", lambda column: ours(column, "", compiled=True)),
    "sha256: passbox, standard library": ("", lambda column: ours(column, "", compiled=False)),
    "sha256: duckdb": ("duckdb", duckdb),
    "sha256: polars-hash": ("polars_hash", lambda column: polars_hash(column, keyed=False)),
    "hmac: passbox": ("numba", lambda column: ours(column, "hmac", compiled=True)),
    "hmac: passbox, standard library": ("", lambda column: ours(column, "hmac", compiled=False)),
    "hmac: polars-hash": ("polars_hash", lambda column: polars_hash(column, keyed=True)),
    "handles: passbox": ("numba", lambda column: ours(column, "handles", compiled=True)),
}
RATIOS = {
    "sha256, of duckdb": ("sha256: passbox", "sha256: duckdb", 0.30),
    "sha256, of polars-hash": ("sha256: passbox", "sha256: polars-hash", 0.20),
    "hmac, of polars-hash": ("hmac: passbox", "hmac: polars-hash", 0.30),
    "handles (sha256, then hmac), of its hmac": ("handles: passbox", "hmac: polars-hash", math.nan),
}


def one(name: str, path: Path) -> dict[str, float]:
    """What the child process measures: the work alone, after everything was read and loaded once."""
    table = pq.read_table(path)
    part = table.num_rows // SLOW if "standard library" in name else table.num_rows
    table = table.slice(0, part)
    column = table.column("email").combine_chunks()
    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    _warm(name, column.slice(0, 50_000))
    work, first = CONTENDERS[name][1](column)
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if first(result) != expected(column, name):
        raise SystemExit(f"{name} gives other bytes")
    times = SLOW if "standard library" in name else 1
    return {"cpu": cpu * times, "wall": wall * times, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """The most memory this process ever held: Linux only (rusage would count who started it too)."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else math.nan


def _warm(name: str, column: pa.ChunkedArray) -> None:
    """Compiles, or reads what was compiled: a cost of some tenths of a second, once a process."""
    work, _ = CONTENDERS[name][1](column)
    work()


def expected(column: pa.ChunkedArray, name: str) -> list[bytes]:
    out = []
    for text in column[:9].to_pylist():
        mailbox, _, domain = text.strip(" ").lower().partition("@")
        if domain == "gmail.com":
            mailbox = mailbox.partition("+")[0].replace(".", "")
        clean = f"{mailbox}@{domain}".encode()
        if name.startswith("sha256"):
            out.append(hashlib.sha256(clean).digest())
        elif name.startswith("hmac"):
            out.append(hmac.digest(KEY, clean, "sha256"))
        else:
            out.append(hmac.digest(KEY, PREFIX + hashlib.sha256(clean).digest(), "sha256")[:16])
    return out


def child(name: str, path: Path, cores: int) -> dict[str, float]:
    words = [sys.executable, __file__, "--one", name, "--path", str(path)]
    if cores and shutil.which("taskset"):
        words = ["taskset", "-c", ",".join(map(str, range(cores))), *words]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-800:]}")
    return dict(json.loads(done.stdout))


def openssl_limit(rows: int) -> float | None:
    """CPU seconds that OpenSSL's own loop takes for so many messages of 27 bytes."""
    if not shutil.which("openssl"):
        return None
    done = subprocess.run(
        ["openssl", "speed", "-bytes", "27", "-seconds", "2", "-evp", "sha256"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"(\d+) (?:sha256|SHA256) ops in ([\d.]+)s|: (\d+).* in ([\d.]+)s", done.stderr + done.stdout)
    numbers = [text for text in found.groups() if text] if found else []
    return rows * float(numbers[1]) / float(numbers[0]) if len(numbers) == 2 else None


def measure(rows: int, rounds: int) -> dict[str, Any]:
    figures: dict[str, list[dict[str, float]]] = {}
    missing = [name for name, (needs, _) in CONTENDERS.items() if needs and importlib.util.find_spec(needs) is None]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "emails.parquet")
        write_emails(rows, path)
        for _ in range(rounds):
            for name in CONTENDERS:
                if name not in missing:
                    figures.setdefault(name, []).append(child(name, path, 0))
        cores = {} if "sha256: passbox" in missing else {n: child("sha256: passbox", path, n)["wall"] for n in (1, 2)}
    middle = {name: {key: statistics.median(r[key] for r in runs) for key in runs[0]} for name, runs in figures.items()}
    ratios = {
        label: {
            "ratio": statistics.median(a["cpu"] / b["cpu"] for a, b in zip(figures[us], figures[them], strict=True)),
            "most": most,
        }
        for label, (us, them, most) in RATIOS.items()
        if us in figures and them in figures
    }
    limit = openssl_limit(rows)
    return {
        "rows": rows,
        "contenders": middle,
        "ratios": ratios,
        "wall_by_cores": cores,
        "openssl_cpu": limit,
        "missing": missing,
    }


def show(found: dict[str, Any]) -> None:
    print(f"{found['rows']:,} e-mails; CPU seconds, wall seconds, peak memory of the process")
    for name, figures in found["contenders"].items():
        print(f"  {name:<38}{figures['cpu']:8.2f}{figures['wall']:8.2f}{figures['peak_mib']:9.0f} MiB")
    for label, each in found["ratios"].items():
        most = f"  (at most {each['most']:.2f})" if each["most"] == each["most"] else ""
        print(f"  {label:<40}{each['ratio']:6.2f}x{most}")
    if found["openssl_cpu"]:
        us = found["contenders"].get("sha256: passbox", {}).get("cpu")
        note = f"; passbox takes {us / found['openssl_cpu']:.1f} times that, normalising included" if us else ""
        print(f"  {'openssl speed, one message after another':<38}{found['openssl_cpu']:8.2f}{note}")
    if found["wall_by_cores"]:
        one_core, two = found["wall_by_cores"][1], found["wall_by_cores"][2]
        print(f"  sha256 on one core {one_core:.2f} s, on two {two:.2f} s of wall time: {one_core / two:.2f} times")
    for name in found["missing"]:
        print(f"  {name}: {CONTENDERS[name][0]} is not installed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.one, asked.path)))
        return
    found = measure(asked.rows, asked.rounds)
    print(json.dumps(found, indent=2)) if asked.json else show(found)


if __name__ == "__main__":
    main()
