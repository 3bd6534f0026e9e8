"""How fast a table of noisy numbers is, beside the raw group-by of the same rows, and how noisy beside the best noise.

    python benchmarks/release.py [--rows 1000000] [--json]
        [--peer opendp-bounded=PYTHON ...]    other libraries, each in an environment of its own (benchmarks/peers.py)

CPU seconds of one process, the median of some rounds, each round raw and ours in turn: quote ratios. "Ours" is the
whole path: rows to exact integers, then the real draw of noise. The last part draws 10,000 releases and holds their
errors against the Gaussian that (ε, δ) asks for at the least. Large: 10 M rows x 100,000 keys, in a process of its own,
so that its memory can be told. Plans: check and plan of the campaign demo's jobs in its room, each time at another ε,
so that nothing of a plan before it is of use but how its tables are laid out; the first is told apart.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from passbox.dp.accounting import rho_within
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon
from passbox.dp.grouped import aggregate
from passbox.dp.keys import Category
from passbox.dp.layout import GroupBy, Layout
from passbox.dp.measures import Count, People, Sum
from passbox.dp.mechanisms import gaussian
from passbox.dp.scale import smallest_scale

RHO = rho_within(Budget(Epsilon(1.0), Delta(1e-6)))
KEYS, LARGE_KEYS, LIMIT, ROUNDS = 1_000, 100_000, 4, 7
NOISE_A_KEY = 12e-6
"""CPU seconds that are allowed for each key's draw beyond three times the raw group-by."""


def names(many: int) -> list[str]:
    return [f"key{at:06d}" for at in range(many)]


def rows_of(rows: int, people: int, keys: int) -> pl.DataFrame:
    """Invented rows: few keys have most of them. One row a person where there are as many people as rows."""
    g = np.random.default_rng(0)
    ids = np.sort(g.choice(2**62, people, replace=False)) if people < 10**6 else np.arange(people)
    person = ids if people == rows else ids[g.integers(0, people, rows)]
    key = np.array(names(keys))[g.zipf(1.3, rows) % keys]
    return pl.DataFrame({"person": person.astype(np.uint64), "key": key, "v": g.integers(0, 500, rows)})


def plan(keys: int, limit: int, at_most: int) -> Layout:
    declared = Category("key", tuple(names(keys)))
    return Layout.of([GroupBy("t", (declared,), limit, (Sum("total", "v", 0, 500, at_most=at_most),))])


def released(layout: Layout, rows: pl.DataFrame) -> object:
    exact = aggregate(layout, [rows], bytes(16))
    return gaussian(exact.values, layout.l2_squared, smallest_scale(layout.l2_squared, RHO), RHO)


def raw(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("key").agg(pl.col("v").sum())


def in_turn(*runs: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Median CPU seconds of each, in turn."""
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, times in zip(runs, taken, strict=True):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
    return [statistics.median(times) for times in taken]


def large() -> dict[str, float]:
    """10 M rows of one person each, 100,000 keys; run in a process of its own."""
    rows, layout = rows_of(10_000_000, 10_000_000, LARGE_KEYS), plan(LARGE_KEYS, 1, 500)
    ours, bare = in_turn(lambda: released(layout, rows), lambda: raw(rows), rounds=3)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    limit = 3 * bare + NOISE_A_KEY * LARGE_KEYS
    return {"cpu": ours, "raw": bare, "allowed": limit, "of_allowed": ours / limit, "rss_gib": memory}


def planned(rounds: int = 20) -> dict[str, float]:
    """CPU milliseconds of check and plan together, for each job of the demo."""
    from passbox.cleanroom.job import plan, read_request
    from passbox.cleanroom.room import open_room
    from passbox.policies.request import Request

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        demo = [sys.executable, "-m", "passbox", "demo", "--campaign", "--json", "--out", f"{folder}/demo"]
        subprocess.run(demo, check=True, capture_output=True)
        room = open_room(Path(folder, "demo", "operator", "spring"))
        for kind in ("reach", "frequency", "campaign", "topics"):
            asked = read_request(room, Path(folder, "demo", "operator", f"{kind}.toml"))
            taken = []
            for at in range(rounds):
                job = asked.job.model_copy(update={"epsilon": 0.1 + at / 1000})
                start = time.process_time()
                plan(room, Request(job, asked.data, asked.asker, asked.signature))
                taken.append(1000 * (time.process_time() - start))
            found |= {kind: statistics.median(taken), f"{kind} first": taken[0]}
    return found


def errors(releases: int = 10_000) -> dict[str, float]:
    """Noise of three measures of one request against the least that a Gaussian may have at this (ε, δ)."""
    measures = (People(), Count("views", 20), Sum("spend", "v", 0, 500, parts=100, at_most=800))
    layout = Layout.of([GroupBy("t", (), 1, measures)])
    scale = smallest_scale(layout.l2_squared, RHO)
    noise = gaussian(np.zeros(3 * releases, dtype=np.int64), layout.l2_squared, scale, RHO).reshape(-1, 3)
    best = math.sqrt(len(measures) * RHO_UNIT / (2 * RHO))
    found = {}
    for at, (measure, bound) in enumerate(zip(measures, (1, 20, 800), strict=True)):
        seen = float(np.sqrt(np.mean((noise[:, at] / layout.blocks[at].steps) ** 2)))
        found[measure.name] = seen / (best * bound)
    return found


def peer(name: str, python: str, path: Path) -> float | None:
    command = [python, Path(__file__).with_name("peers.py"), name, path, str(KEYS), str(LIMIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    return json.loads(done.stdout.splitlines()[-1])["cpu"] if done.returncode == 0 else None


def measured(rows: int, peers: dict[str, str]) -> dict[str, object]:
    one_each, many_each = rows_of(rows, rows, KEYS), rows_of(rows, rows // 10, KEYS)
    flat, bounded = plan(KEYS, 1, 500), plan(KEYS, LIMIT, 2000)
    ours, bare = in_turn(lambda: released(flat, one_each), lambda: raw(one_each))
    ours_bounded, bare_bounded = in_turn(lambda: released(bounded, many_each), lambda: raw(many_each))
    result: dict[str, object] = {
        "rows": rows,
        "keys": KEYS,
        "one row a person": {"cpu": ours, "raw": bare, "ratio": ours / bare},
        f"each person to {LIMIT} keys": {
            "cpu": ours_bounded,
            "raw": bare_bounded,
            "ratio": ours_bounded / bare_bounded,
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.parquet")
        many_each.with_columns(pl.col("person").cast(pl.Int64)).write_parquet(path)
        for name, python in peers.items():
            cpu = peer(name, python, path)
            result[f"peer {name}"] = {"cpu": cpu, "times ours": cpu / ours_bounded} if cpu else "did not run"
    done = subprocess.run([sys.executable, __file__, "--large"], capture_output=True, text=True, check=True)
    result["10 M rows, 100,000 keys"] = json.loads(done.stdout)
    result["plan and check, CPU ms"] = planned()
    result["error against the best Gaussian, 10,000 draws"] = errors()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--large", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.large:
        print(json.dumps(large()))
        return
    result = measured(asked.rows, dict(each.split("=", 1) for each in asked.peer))
    if asked.json:
        print(json.dumps(result, indent=2))
        return
    for name, figures in result.items():
        shown = {k: f"{v:.4g}" for k, v in figures.items()} if isinstance(figures, dict) else figures
        print(f"{name:48} {', '.join(f'{k} {v}' for k, v in shown.items()) if isinstance(shown, dict) else shown}")


if __name__ == "__main__":
    main()
