"""What is left to noise: a `membership` lookalike beside the same, were sizes of effects known, on any CSV file.

    python benchmarks/lookalike_oracle.py email.csv --schema benchmarks/lookalike_schemas/email.toml
        [--epsilon 1] [--splits 5] [--first 3] [--draws 4] [--json]

Nobody can know how large the effects of each column are before anything is paid for. Here two oracles are told, by the
sums without noise, as the product finds sizes: one fits with these, the other has people's rows turned for them as
well. Noise, rows and fit are the product's. It is no bound: sizes that rank people better still may exist, and averages
over draws are as exact as they say. But who falls short although told has hardly sizes to blame. AUROC on the fifth
that is held out, mean over splits and draws; noise is OpenDP's.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from lookalike import drawing, listed, outlook
from lookalike_data import Mask, People, read
from sklearn.metrics import roc_auc_score

from passbox.dp.aggregate import Statistic
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling import problem, strategy
from passbox.modelling.design import Design, Float, Int
from passbox.modelling.features import Encoder
from passbox.modelling.lookalike import SeedGLM
from passbox.modelling.prior import Prior
from passbox.modelling.problem import Measured
from passbox.modelling.strategy import Strategy

NOTHING = 1e-3
"""Noise of the fit without noise, in units of a row's length."""


@dataclass(frozen=True, slots=True, eq=False)
class Known(Prior):
    """Sizes that an oracle told: nothing is found from sums."""

    def variances(self, *_: object) -> Float:
        return self.usual


@contextmanager
def told(sizes: Float, *modules: object) -> Iterator[None]:
    """Within it, these modules of the product take the sizes, squared, for known."""

    class Oracle:
        @staticmethod
        def of(design: Design, used: Int, column: Int) -> Known:
            found = Prior.of(design, used, column)
            return Known(found.trends, found.part, sizes)

    old = [patch.object(module, "Prior", Oracle) for module in modules]
    for each in old:
        each.start()
    try:
        yield
    finally:
        for each in old:
            each.stop()


def exactly(statistic: Statistic) -> Noisy:
    return Noisy(statistic.values, NOTHING * 2**statistic.bits, statistic.bits, Receipt("", 0, b"", ""))


def sizes_of(rows: Strategy, matched: Mask) -> Float:
    """Of effects, squared, as sums without noise tell them."""
    noisy = exactly(rows.moments(matched))
    posed = Measured.by(rows, noisy.real, noisy.sigma, ())[0]
    view = posed.view(np.zeros(len(rows.used)))
    return Prior.of(rows.design, rows.used, posed.column).variances(view.precision, view.pull, SeedGLM().rounds)


def compared(people: People, number: int, epsilon: float, draws: int) -> dict[str, list[float]]:
    """AUROC by who learns, one a draw."""
    train = people.split(number)
    design = Encoder.from_owner(people.table.filter(train), people.declared).encode(people.table)
    seen, matched, draw = design.take(train), people.label[train], drawing(epsilon)
    rows = Strategy.of(seen, outlook=outlook(listed(people, train), epsilon))
    sizes = sizes_of(rows, matched)
    with told(sizes, strategy):
        turned = Strategy.of(seen, outlook=outlook(listed(people, train), epsilon))

    def auc(people_measured: Strategy, noisy: Noisy, *modules: object) -> float:
        with told(sizes, *modules):
            model = SeedGLM().fit_noisy(people_measured, noisy)
        return float(roc_auc_score(people.label[~train], model.score(design)[~train]))

    found: dict[str, list[float]] = {"without noise": [auc(rows, exactly(rows.moments(matched)))]}
    for _ in range(draws):
        noisy = draw(rows.moments(matched))
        found.setdefault("passbox membership", []).append(auc(rows, noisy))
        found.setdefault("sizes known", []).append(auc(rows, noisy, problem))
        found.setdefault("rows turned for them", []).append(auc(turned, draw(turned.moments(matched)), problem))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--schema", type=Path, required=True)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first", type=int, default=3)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    people, means = read(asked.data, asked.schema), {}
    for number in range(asked.first, asked.first + asked.splits):
        for name, each in compared(people, number, asked.epsilon, asked.draws).items():
            means.setdefault(name, []).append(float(np.mean(each)))
    spread = {name: float(np.std(each, ddof=1)) / math.sqrt(len(each)) for name, each in means.items()}
    if asked.json:
        rows = [{"method": n, "auc": float(np.mean(m)), "standard_error": spread[n]} for n, m in means.items()]
        json.dump({"data": people.name, "epsilon": asked.epsilon, "rows": rows}, sys.stdout)
        return
    for name, each in means.items():
        print(f"{people.name:16s} {asked.epsilon:4g}  {name:22s} {np.mean(each):.4f} ± {spread[name]:.4f}")


if __name__ == "__main__":
    main()
