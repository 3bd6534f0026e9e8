"""How good a lookalike of few seeds among very many people is, on any CSV file with a schema.

    python benchmarks/lookalike_seeds.py adult.data --schema benchmarks/lookalike_schemas/adult.toml
        [--people 1000000] [--seeds 500,5000] [--epsilon 1] [--draws 5] [--first 3] [--json]

The people are drawn with replacement from the four fifths of a split that train (`lookalike_data`), and the seeds at
random, each person once at most, from those who are positive. All other positives are unlabelled, as they are where a
seed is a sample of those who are like it. The figure is the AUROC of true positives on the fifth that nobody was drawn
from. Noise is OpenDP's at the price of the ledger, delta 1e-6; split, people, seeds and noise are new in every draw.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
from lookalike import drawing, outlook
from lookalike_data import Mask, People, read
from sklearn.metrics import roc_auc_score

from passbox.modelling.features import Encoder
from passbox.modelling.lookalike import SeedGLM


def drawn(people: People, number: int, size: int, seeds: int, epsilon: float) -> float:
    """AUROC of one draw."""
    rng, train = np.random.default_rng(80_000 + number), people.split(number)
    rows = rng.choice(np.flatnonzero(train), size)
    crowd, held_out = people.table.take(rows), people.table.filter(~train)
    encoder = Encoder.from_owner(crowd, people.declared)
    matched, known = chosen(people.label[rows], seeds, rng), outlook(seeds, epsilon)
    model = SeedGLM().fit_drawn(encoder.encode(crowd), matched, drawing(epsilon), known)
    return float(roc_auc_score(people.label[~train], model.score(encoder.encode(held_out))))


def chosen(positive: Mask, seeds: int, rng: np.random.Generator) -> Mask:
    """So many of the positives."""
    matched = np.zeros(len(positive), dtype=bool)
    matched[rng.choice(np.flatnonzero(positive), seeds, replace=False)] = True
    return matched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--schema", type=Path, required=True)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--seeds", default="500,5000")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--first", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    people, said = read(asked.data, asked.schema), []
    for seeds in [int(part) for part in asked.seeds.split(",")]:
        start, numbers = time.process_time(), range(asked.first, asked.first + asked.draws)
        auc = [drawn(people, number, asked.people, seeds, asked.epsilon) for number in numbers]
        spread = float(np.std(auc, ddof=1)) / math.sqrt(len(auc)) if len(auc) > 1 else 0.0
        seconds = (time.process_time() - start) / len(auc)
        row = {"seeds": seeds, "people": asked.people, "epsilon": asked.epsilon, "auc": float(np.mean(auc))}
        said.append({**row, "standard_error": spread, "cpu_seconds": seconds, "each": auc})
        if not asked.json:
            print(
                f"{seeds:7,} of {asked.people:,}  ε {asked.epsilon:g}  {np.mean(auc):.4f} ± {spread:.4f}"
                f"  {seconds:.1f} CPU s",
                flush=True,
            )
    if asked.json:
        json.dump({"data": people.name, "rows": said}, sys.stdout)


if __name__ == "__main__":
    main()
