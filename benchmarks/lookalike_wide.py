"""What a lookalike of a large table costs: CPU seconds and peak memory, each learner in a process of its own.

    python benchmarks/lookalike_wide.py [--people 1000000] [--columns 500] [--epsilon 1] [--only NAME,...] [--json]

Columns are categories of 15 values. They are made part by part and packed as they come, as a room reads its files.
DP-EBM (`interpret`), where it is installed, is given the same columns as small integers. Seeds: 5 %, by ten columns.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import numpy as np
from lookalike import drawing
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from passbox.modelling.design import Codes, Design
from passbox.modelling.features import Category, Encoder
from passbox.modelling.packed import Packed
from passbox.modelling.person import DPGAM
from passbox.modelling.wide import WideGLM

VALUES, PART = 15, 50_000


def parts(people: int, columns: int) -> Iterator[NDArray[np.uint8]]:
    """Level codes, (columns, up to PART), and the same for the same numbers."""
    for start in range(0, people, PART):
        rng = np.random.default_rng(start)
        yield rng.integers(0, VALUES, (columns, min(PART, people - start)), dtype=np.uint8)


def labels(people: int, columns: int) -> NDArray[np.bool_]:
    """5 % positives, likelier the larger the first ten columns' codes are."""
    rng = np.random.default_rng(1)
    found = []
    for codes in parts(people, columns):
        z = (codes[:10].astype(float) - 7).sum(axis=0) / 8
        found.append(rng.random(codes.shape[1]) < 1 / (1 + np.exp(4.2 - z)))
    return np.concatenate(found)


def packed(people: int, columns: int) -> Packed:
    encoder = Encoder.from_declared([Category(f"c{i}", tuple(f"v{v}" for v in range(VALUES))) for i in range(columns)])
    blocks = tuple(column.block for column in encoder.columns)
    return Packed.of_parts(
        Design(codes.shape[1], blocks, tuple(Codes(code) for code in codes), encoder.digest)
        for codes in parts(people, columns)
    )


def ours(learner: DPGAM | WideGLM, people: int, columns: int, epsilon: float) -> NDArray[np.float64]:
    rows = packed(people, columns)
    model = learner.fit_drawn(rows, labels(people, columns), drawing(epsilon))
    return rows.scores(model.intercept, [effects.values for effects in model.columns])


def dp_ebm(people: int, columns: int, epsilon: float) -> NDArray[np.float64]:
    from interpret.privacy import DPExplainableBoostingClassifier

    rows = np.concatenate([codes.T for codes in parts(people, columns)])
    model = DPExplainableBoostingClassifier(
        feature_types=["nominal"] * columns,
        epsilon=epsilon,
        delta=1e-6,
        n_jobs=1,
        random_state=1,
        privacy_bounds=np.array([[0, VALUES]] * columns),
    )
    model.fit(rows, labels(people, columns))
    return np.asarray(model.predict_proba(rows)[:, 1])


LEARNERS = {
    "passbox membership": lambda *sizes: ours(WideGLM(), *sizes),
    "passbox person": lambda *sizes: ours(DPGAM(), *sizes),
    "DP-EBM": dp_ebm,
}


def measure(name: str, people: int, columns: int, epsilon: float, to: Connection) -> None:
    start = time.process_time()
    scores = LEARNERS[name](people, columns, epsilon)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    auc = float(roc_auc_score(labels(people, columns), scores))
    to.send({"method": name, "cpu_seconds": seconds, "peak_gib": peak, "auc": auc})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=500)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = []
    spawn = multiprocessing.get_context("spawn")
    for name in LEARNERS:
        if not any(part in name.lower() for part in asked.only.lower().split(",")):
            continue
        if name == "DP-EBM" and importlib.util.find_spec("interpret") is None:
            print("DP-EBM: interpret is not installed", file=sys.stderr)
            continue
        here, there = spawn.Pipe(duplex=False)
        child = spawn.Process(target=measure, args=(name, asked.people, asked.columns, asked.epsilon, there))
        child.start()
        there.close()
        try:
            rows.append(here.recv())
        except EOFError:
            rows.append({"method": name, "failed": True})
        child.join()
        if not asked.json:
            print(rows[-1], flush=True)
    if asked.json:
        json.dump({"people": asked.people, "columns": asked.columns, "rows": rows}, sys.stdout)


if __name__ == "__main__":
    main()
