"""Noisy sums or randomised responses: which lookalike is better, beside boosting, and what the public rule says.

    python benchmarks/lookalike_responses.py adult.data --schema benchmarks/lookalike_schemas/adult.toml
        [--epsilon .5,1,2,4,8] [--splits 5] [--first 3] [--tune 2] [--json]

Each method at its own epsilon: sums with the product's noise at delta 1e-6, labels flipped with probability
1 / (1 + e^eps) without a delta. Flips are the same for us and for LightGBM, whose settings are the best of five on
splits 0 to `tune` - 1, for nothing. Figures are the AUROC on the fifth that is held out, as in `lookalike.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from lookalike import Row, measured, membership, responses, tuned
from lookalike_data import People, read
from lookalike_peers import DELTA, PEERS, Scores

from passbox.dp.budget import Budget, Delta, Epsilon
from passbox.modelling.recommend import Noise, recommended

BOOSTED = next(peer for peer in PEERS if peer.name == "RR + LightGBM")


def compared(people: People, epsilon: float, splits: range, tune: range) -> dict[str, Row]:
    rows = {"sums": Row("sums", "membership", epsilon), "responses": Row("responses", "membership", epsilon)}
    for row, learn in zip(rows.values(), (membership, responses), strict=True):
        measured(row, people, learn, splits)
    if BOOSTED.installed:
        settings = tuned(people, BOOSTED, epsilon, tune)
        row = Row(BOOSTED.name, "membership", epsilon, settings)
        rows[BOOSTED.name] = measured(row, people, BOOSTED.learn, splits)
    return rows


def advice(people: People, epsilon: float) -> Noise:
    """From the sizes of what trains: all who are positive are seeds."""
    train = people.split(0)
    seeds = int(people.label.sum() * train.sum() / len(train))
    return recommended(int(train.sum()), len(people.declared), seeds, Budget(Epsilon(epsilon), Delta(DELTA)))


def said(people: People, epsilon: float, rows: dict[str, Row]) -> dict[str, object]:
    """Means, how far each is from the sums on the same splits, and what the rule chooses."""
    sums, noise = np.array(rows["sums"].auc), advice(people, epsilon)
    means = {name: float(np.mean(row.auc)) for name, row in rows.items()}
    return {
        "data": people.name,
        "people": len(people.label),
        "positives": int(people.label.sum()),
        "epsilon": epsilon,
        "auc": means,
        "rule": noise.better,
        "predicted_noise": {"sums": noise.sums, "responses": noise.responses},
        "below_best": max(means.values()) - means[noise.better],
        "beside_sums": {name: [float(np.mean(row.auc - sums)), _error(row.auc - sums)] for name, row in rows.items()},
        "rows": [row.as_json() for row in rows.values()],
    }


def _error(each: Scores) -> float | None:
    """Standard error of the mean."""
    return float(np.std(each, ddof=1)) / len(each) ** 0.5 if len(each) > 1 else None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--schema", type=Path, required=True)
    parser.add_argument("--epsilon", default=".5,1,2,4,8")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first", type=int, default=3)
    parser.add_argument("--tune", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    people, found = read(asked.data, asked.schema), []
    for epsilon in [float(part) for part in asked.epsilon.split(",")]:
        rows = compared(people, epsilon, range(asked.first, asked.first + asked.splits), range(asked.tune))
        found.append(said(people, epsilon, rows))
        if not asked.json:
            line = "  ".join(f"{name} {auc:.4f}" for name, auc in found[-1]["auc"].items())
            chosen = f"rule: {found[-1]['rule']}, {found[-1]['below_best']:.4f} below the best"
            print(f"{people.name:16s} ε {epsilon:<4g} {line}  {chosen}", flush=True)
    if asked.json:
        json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
