"""How well hidden attributes are completed, beside noisy marginals, naive Bayes on noisy counts, and no privacy at all.

    python benchmarks/completion.py adult.data --schema benchmarks/lookalike_schemas/adult.toml
        [--epsilon .5,1,4] [--splits 5] [--first 0] [--missing] [--only NAME,...] [--json]

The schema's `hidden` names columns, or its label, that half of the people keep to another party: those train, the
other half is asked, and what is said of them is held against the truth. Everybody gets one release for all hidden
columns at the same ε (δ 1e-6), with OpenDP's noise at the price the ledger charges. Numbers are hidden as above or
below the middle of their bounds. `--missing` takes known columns away from everybody, each person a number of them
between none and all, and tells figures by how many are left.

accuracy: of the likeliest value. log loss: of everybody's probabilities. auc: of columns of two values. answered:
share whose answer is at least .8 sure; right: of those, left out where there are none. off: mean distance of
probability and truth in ten bins.
"""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from lookalike import drawing
from lookalike_data import Mask, People, plain, read
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from passbox.dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED, Statistic
from passbox.modelling.attributes import Known, Target, moments
from passbox.modelling.completion import complete_drawn, known_columns, learn
from passbox.modelling.features import Encoder, Number

Float, Int = NDArray[np.float64], NDArray[np.int64]
CONFIDENT = 0.8


@dataclass(frozen=True)
class Hidden:
    """People without the hidden columns; truths: those columns, as positions in the targets' values."""

    people: People
    targets: list[Target]
    truths: list[Int]


def hide(people: People, names: list[str], label: str) -> Hidden:
    targets, truths = [], []
    for name in names:
        if name == label:
            values, truth = ("no", "yes"), people.label.astype(np.int64)
        else:
            kind = next(kind for kind in people.declared if kind.name == name)
            column = people.table.column(name).to_pylist()
            if isinstance(kind, Number):
                middle = (kind.low + kind.high) / 2
                values, truth = (
                    ("low", "high"),
                    np.array([x is not None and x > middle for x in column], dtype=np.int64),
                )
            else:
                values, place = kind.values, {value: at for at, value in enumerate(kind.values)}
                truth = np.array([place.get(x, 0) for x in column], dtype=np.int64)
        targets.append(Target(name, values))
        truths.append(truth)
    rest = [kind for kind in people.declared if kind.name not in names]
    table = people.table.select([kind.name for kind in rest])
    return Hidden(replace(people, table=table, declared=rest), targets, truths)


def thinned(hidden: Hidden, number: int) -> Hidden:
    """Every person keeps a number of columns between none and all, drawn evenly."""
    rng = np.random.default_rng(2000 + number)
    rows, names = hidden.people.table.num_rows, hidden.people.table.column_names
    rank = rng.permuted(np.tile(np.arange(len(names)), (rows, 1)), axis=1)
    gone = rank >= rng.integers(0, len(names) + 1, rows)[:, None]
    columns = {}
    for at, name in enumerate(names):
        values = hidden.people.table.column(name).to_pylist()
        left = [None if out else value for value, out in zip(values, gone[:, at], strict=True)]
        columns[name] = pa.array(left, hidden.people.table.schema.field(name).type)
    return replace(hidden, people=replace(hidden.people, table=pa.table(columns)))


# -- learners: probabilities of every value, for everybody, a target each -------------------------------------------

Learner = Callable[[Hidden, Mask, float], list[tuple[Float, Mask | None]]]
"""Beside probabilities, who is answered; None where the learner knows no intervals."""


def passbox(hidden: Hidden, train: Mask, epsilon: float) -> list[tuple[Float, Mask | None]]:
    design = Encoder.from_owner(hidden.people.table, hidden.people.declared).encode(hidden.people.table)
    pairs = zip(hidden.targets, hidden.truths, strict=True)
    known = [Known.one(target, np.where(train, truth, -1)) for target, truth in pairs]
    done = complete_drawn(design, known, drawing(epsilon))
    return [(each.probability, each.answered(CONFIDENT)) for each in done]


def person(hidden: Hidden, train: Mask, epsilon: float) -> list[tuple[Float, Mask | None]]:
    """Whoever trains is not among the reader's people, and its columns are secret too: the others stand in for it."""
    encoder = Encoder.from_owner(hidden.people.table.filter(~train), hidden.people.declared)
    design = encoder.encode(hidden.people.table)
    pairs = zip(hidden.targets, hidden.truths, strict=True)
    known = [Known.one(target, truth[train]) for target, truth in pairs]
    sums = drawing(epsilon)(moments(design.take(train), known))
    learnt = learn(design.take(~train), sums, hidden.targets, trainees=int(train.sum()))
    done = [each.answer(design) for each in learnt]
    return [(each.probability, each.answered(CONFIDENT)) for each in done]


def marginals(hidden: Hidden, train: Mask, epsilon: float) -> list[tuple[Float, Mask | None]]:
    """The noisy share of each value, for everybody alike."""
    parts = [
        np.bincount(truth[train], minlength=len(t.values))
        for t, truth in zip(hidden.targets, hidden.truths, strict=True)
    ]
    counts = np.concatenate(parts).astype(np.int64) << COUNT_BITS
    noisy = drawing(epsilon)(Statistic(counts, COUNT_BITS, len(parts) * COUNT_L2_SQUARED)).real
    found = []
    for part in np.split(noisy, np.cumsum([len(part) for part in parts])[:-1]):
        share = np.maximum(part, 1.0) / np.maximum(part, 1.0).sum()
        found.append((np.tile(share, (len(train), 1)), None))
    return found


def naive_bayes(hidden: Hidden, train: Mask, epsilon: float) -> list[tuple[Float, Mask | None]]:
    """One noisy table a known and a hidden column, all in one draw; numbers in eight declared bins."""
    codes, levels = [], []
    for kind in hidden.people.declared:
        code, many = _coded(hidden.people, kind)
        codes.append(code)
        levels.append(many)
    tables = []
    for target, truth in zip(hidden.targets, hidden.truths, strict=True):
        for code, many in zip(codes, levels, strict=True):
            cell = code[train] * len(target.values) + truth[train]
            tables.append(np.bincount(cell, minlength=many * len(target.values)))
    counts = np.concatenate(tables).astype(np.int64) << COUNT_BITS
    noisy = iter(
        np.split(
            drawing(epsilon)(Statistic(counts, COUNT_BITS, len(tables) * COUNT_L2_SQUARED)).real,
            np.cumsum([len(t) for t in tables])[:-1],
        )
    )
    found = []
    for target in hidden.targets:
        each = [np.maximum(next(noisy).reshape(many, len(target.values)), 0.5) for many in levels]
        share = np.mean([table.sum(axis=0) / table.sum() for table in each], axis=0)
        score = np.tile(np.log(share), (len(train), 1))
        for table, code in zip(each, codes, strict=True):
            score += np.log(table / table.sum(axis=0))[code]
        score -= score.max(axis=1, keepdims=True)
        found.append((np.exp(score) / np.exp(score).sum(axis=1, keepdims=True), None))
    return found


def _coded(people: People, kind: object) -> tuple[Int, int]:
    column = people.table.column(kind.name).to_pylist()
    if isinstance(kind, Number):
        edges = np.linspace(kind.low, kind.high, 9)[1:-1]
        values = np.array([np.nan if x is None else x for x in column])
        return np.where(np.isnan(values), 8, np.searchsorted(edges, values)), 9
    place = {value: at for at, value in enumerate(kind.values)}
    return np.array([place.get(x, len(place)) for x in column]), len(place) + 1


def logistic(hidden: Hidden, train: Mask, _: float) -> list[tuple[Float, Mask | None]]:
    design = Encoder.from_owner(hidden.people.table, hidden.people.declared).encode(hidden.people.table)
    rows = np.vstack(list(design.blocks())) * np.sqrt(len(design.columns))
    return [
        _fitted(LogisticRegression(C=10.0, max_iter=300), rows, t, truth, train)
        for t, truth in zip(hidden.targets, hidden.truths, strict=True)
    ]


def boosting(hidden: Hidden, train: Mask, _: float) -> list[tuple[Float, Mask | None]]:
    columns, coded = plain(hidden.people)
    return [
        _fitted(
            HistGradientBoostingClassifier(
                categorical_features=coded, max_iter=100, learning_rate=0.06, random_state=0
            ),
            columns,
            t,
            truth,
            train,
        )
        for t, truth in zip(hidden.targets, hidden.truths, strict=True)
    ]


def _fitted(learner: object, rows: Float, target: Target, truth: Int, train: Mask) -> tuple[Float, Mask | None]:
    learner.fit(rows[train], truth[train])
    whole = np.full((len(truth), len(target.values)), 1e-9)
    whole[:, learner.classes_] = learner.predict_proba(rows)
    return whole / whole.sum(axis=1, keepdims=True), None


LEARNERS: dict[str, tuple[Learner, bool]] = {
    "passbox": (passbox, True),
    "passbox-person": (person, True),
    "marginals": (marginals, True),
    "naive-bayes": (naive_bayes, True),
    "logistic": (logistic, False),
    "boosting": (boosting, False),
}
"""Whether it spends ε."""


# -- figures ---------------------------------------------------------------------------------------------------------


def figures(probability: Float, answered: Mask | None, truth: Int) -> dict[str, float]:
    row = np.arange(len(truth))
    said, most = probability.argmax(axis=1), probability.max(axis=1)
    sure = most >= CONFIDENT if answered is None else answered
    right = said == truth
    found = {
        "accuracy": float(right.mean()),
        "log loss": float(-np.log(np.maximum(probability[row, truth], 1e-12)).mean()),
        "answered": float(sure.mean()),
        "off": _off(most, right),
    }
    if sure.any():
        found["right"] = float(right[sure].mean())
    if probability.shape[1] == 2 and 0 < truth.sum() < len(truth):
        found["auc"] = float(roc_auc_score(truth, probability[:, 1]))
    return found


def _off(said: Float, right: Mask) -> float:
    cell = np.minimum((said * 10).astype(int), 9)
    return float(
        sum(abs(said[cell == at].mean() - right[cell == at].mean()) * (cell == at).mean() for at in np.unique(cell))
    )


def mean(found: list[dict[str, float]]) -> dict[str, float]:
    """Of each figure, over the splits that have it."""
    names = dict.fromkeys(name for each in found for name in each)
    return {name: float(np.mean([each[name] for each in found if name in each])) for name in names}


def strata(hidden: Hidden) -> Int:
    """Which quarter of the known columns each person has: 0 to 3."""
    design = Encoder.from_owner(hidden.people.table, hidden.people.declared).encode(hidden.people.table)
    return known_columns(design) * 4 // (len(design.columns) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--schema", type=Path, required=True)
    parser.add_argument("--epsilon", default=".5,1,4")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    people = read(asked.file, asked.schema)
    schema = tomllib.loads(asked.schema.read_text())
    if not schema.get("hidden"):
        parser.error(f'{asked.schema.name} needs a line such as hidden = ["garden"]: columns to hide on purpose')
    whole = hide(people, schema["hidden"], schema["label"]["column"])
    only = asked.only.split(",") if asked.only else list(LEARNERS)
    rows: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for number in range(asked.first, asked.first + asked.splits):
        hidden = thinned(whole, number) if asked.missing else whole
        order = np.random.default_rng(1000 + number).permutation(len(hidden.truths[0]))
        train = np.zeros(len(order), dtype=bool)
        train[order[: len(order) // 2]] = True
        groups = {"": ~train}
        if asked.missing:
            stratum = strata(hidden)
            groups = {f"{at + 1}/4": ~train & (stratum == at) for at in range(4)}
        for name in only:
            learner, private = LEARNERS[name]
            for epsilon in [float(part) for part in asked.epsilon.split(",")] if private else [0.0]:
                began = time.process_time()
                answers = learner(hidden, train, epsilon)
                took = time.process_time() - began
                for target, truth, (p, sure) in zip(hidden.targets, hidden.truths, answers, strict=True):
                    for group, who in groups.items():
                        if not who.any():
                            continue
                        key = (f"{target.name} {group}".strip(), name, f"{epsilon:g}" if private else "-")
                        found = figures(p[who], None if sure is None else sure[who], truth[who])
                        rows.setdefault(key, []).append(found | {"cpu": took})
    means = {key: mean(each) for key, each in rows.items()}
    if asked.json:
        print(
            json.dumps(
                [dict(zip(("target", "learner", "epsilon"), key, strict=True)) | row for key, row in means.items()]
            )
        )
        return
    names = ["accuracy", "log loss", "auc", "answered", "right", "off", "cpu"]
    print(f"{'hidden':26}{'learner':14}{'ε':>5}", *(f"{name:>9}" for name in names))
    for key in sorted(means):
        row = means[key]
        print(f"{key[0]:26}{key[1]:14}{key[2]:>5}", *(f"{row[n]:9.4f}" if n in row else " " * 9 for n in names))


if __name__ == "__main__":
    main()
