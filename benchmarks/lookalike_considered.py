"""Whether columns taken out of a lookalike's model and considered are ranked as they would gain, on any CSV file.

    python benchmarks/lookalike_considered.py adult.data --schema benchmarks/lookalike_schemas/adult.toml
        --consider gain,marital,fnlwgt,race,education_num [--epsilon 1,4] [--splits 12] [--first 23] [--json]

Each split is fitted on its four fifths, with continuous Gaussian noise of the price's μ, δ 1e-6. For each considered
column: what it adds, in how many splits it is told from nothing, and the AUC that the model gains where the column is
used, without noise. For the model: the AUC it has beside them less that which it has without considering. An entry may
be a pair, such as "age x sex": what that would gain is not measured.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lookalike import listed
from lookalike_data import Mask, People, read
from sklearn.metrics import roc_auc_score

from passbox.dp.accounting import rho_within
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon
from passbox.modelling.considered import Adds, considered_of, ranked, reach_beside, summed
from passbox.modelling.crosses import Cross
from passbox.modelling.design import BITS, MOMENTS_L2_SQUARED, ONE
from passbox.modelling.features import Encoder, Kind
from passbox.modelling.length import lengths
from passbox.modelling.lookalike import SeedGLM
from passbox.modelling.outlook import Outlook
from passbox.modelling.strategy import Strategy

DELTA, QUIET = 1e-6, 1e-6
"""QUIET: noise in units of a row that is none."""


def auc(people: People, train: Mask, kinds: Sequence[Kind], sigma: float, rng: np.random.Generator) -> float:
    """Of the model of these columns and no others."""
    design = Encoder.from_owner(people.table.filter(train), kinds).encode(people.table)
    rows = Strategy.of(design.take(train), outlook=Outlook(listed(people, train), sigma))
    exact = np.ldexp(rows.moments(people.label[train]).values.astype(np.float64), -BITS)
    model = SeedGLM().fit_sums(rows, exact + rng.normal(0, sigma, len(exact)), sigma)
    return float(roc_auc_score(people.label[~train], model.score(design.take(~train))))


def considering(
    people: People,
    train: Mask,
    used: Sequence[Kind],
    others: tuple[Sequence[Kind], Sequence[Cross]],
    sigma: float,
    rng: np.random.Generator,
) -> tuple[float, list[Adds]]:
    own, rest = lengths(len(used), sum(map(len, others)))
    design = Encoder.from_owner(people.table.filter(train), used, own).encode(people.table)
    beside = considered_of(people.table, *others, rest).take(train)
    reach = reach_beside(beside)
    trained = Strategy.of(design.take(train), reach, Outlook(listed(people, train), sigma * ONE / reach))
    exact = np.ldexp(summed(trained, beside, people.label[train]).values.astype(np.float64), -BITS)
    sums, learner = exact + rng.normal(0, sigma, len(exact)), SeedGLM()
    model = learner.fit_sums(trained, np.append(sums[: design.cells], sums[-1]), sigma)
    found = [each for each in ranked(learner, beside, sums[design.cells : -1]) if not each.used]
    return float(roc_auc_score(people.label[~train], model.score(design.take(~train)))), found


def measured(people: People, names: Sequence[str], epsilon: float, splits: range) -> dict[str, object]:
    by_name = {kind.name: kind for kind in people.declared}
    columns = [by_name[name] for name in names if name in by_name]
    crosses = [Cross(*(by_name[part] for part in name.split(" x "))) for name in names if name not in by_name]
    used = [kind for kind in people.declared if kind not in columns]
    sigma = math.sqrt(MOMENTS_L2_SQUARED / (2 * rho_within(Budget(Epsilon(epsilon), Delta(DELTA))) / RHO_UNIT)) / ONE
    lost, gains = [], {kind.name: [] for kind in columns}
    found: dict[str, list[Adds]] = {}
    for split in splits:
        rng, train = np.random.default_rng(split), people.split(split)
        with_others, each = considering(people, train, used, (columns, crosses), sigma, rng)
        lost.append(with_others - auc(people, train, used, sigma, rng))
        plain = auc(people, train, used, QUIET, rng)
        for adds in each:
            found.setdefault(adds.name, []).append(adds)
        for kind in columns:
            gains[kind.name].append(auc(people, train, [*used, kind], QUIET, rng) - plain)
    rows = [
        {
            "column": name,
            "adds": float(np.mean([one.adds.estimate for one in each])),
            "told": sum(one.told for one in each),
            "gain": float(np.mean(gains[name])) if name in gains else None,
        }
        for name, each in found.items()
    ]
    change = {"mean": float(np.mean(lost)), "error": float(np.std(lost, ddof=1) / math.sqrt(len(lost)))}
    return {"epsilon": epsilon, "splits": len(splits), "model": change, "considered": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--schema", type=Path, required=True)
    parser.add_argument("--consider", required=True)
    parser.add_argument("--epsilon", default="1,4")
    parser.add_argument("--splits", type=int, default=12)
    parser.add_argument("--first", type=int, default=23)
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    people, splits = read(said.file, said.schema), range(said.first, said.first + said.splits)
    for epsilon in map(float, said.epsilon.split(",")):
        made = measured(people, said.consider.split(","), epsilon, splits)
        if said.json:
            print(json.dumps(made))
            continue
        model = made["model"]
        print(f"ε {epsilon:g}: the model's auc changes by {model['mean']:+.4f} ± {model['error']:.4f}")
        for row in sorted(made["considered"], key=lambda row: -row["adds"]):
            gain = "" if row["gain"] is None else f"; used, it would gain {row['gain']:+.4f}"
            print(f"  {row['column']:24} adds {row['adds']:.2f}, told in {row['told']} of {len(splits)}{gain}")


if __name__ == "__main__":
    main()
