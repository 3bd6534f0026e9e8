"""How good lookalikes are, beside every peer that is installed, on any CSV file.

    python benchmarks/lookalike.py adult.data --schema benchmarks/lookalike_schemas/adult.toml
        [--epsilon .5,1,4] [--unit membership|person|both] [--splits 20] [--first 3] [--tune 3] [--only NAME,...]
        [--json]

Figures are the AUROC on the fifth of people that is held out, mean over splits and its standard error. Our learners'
settings are those they come with; peers' settings are chosen for each epsilon on splits 0 to `tune` - 1, which the
figures leave out (`--first`). Our noise is OpenDP's, at the price the ledger charges, delta 1e-6. `whole job` fits on
four fifths of those who train and would evaluate on the fifth that it holds out, at the same price: one person lies in
one part. Same splits for everybody. CPU is of the fit and the scores of everybody.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lookalike_data import Mask, People, read
from lookalike_peers import DELTA, PEERS, Scores, Settings, flipped_labels
from sklearn.metrics import roc_auc_score

from passbox.dp import mechanisms
from passbox.dp.accounting import rho_within
from passbox.dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED, Statistic, histogram
from passbox.dp.budget import Budget, Delta, Epsilon, Rho
from passbox.dp.noisy import Noisy, Receipt
from passbox.dp.scale import SCALE_UNIT, smallest_scale
from passbox.modelling import responses as flipped
from passbox.modelling.boosting import Counts
from passbox.modelling.contest import LEARNERS, contest
from passbox.modelling.design import BITS, MOMENTS_L2_SQUARED
from passbox.modelling.draw import Draw
from passbox.modelling.features import Encoder, Number, Ordinal
from passbox.modelling.groups import MOST_GROUPS, group, how_many
from passbox.modelling.lookalike import SeedGLM, fit
from passbox.modelling.outlook import Outlook
from passbox.modelling.person import DPGAM
from passbox.modelling.strategy import Strategy
from passbox.policies.jobs.lookalike import GROUPS_SHARE


def price(epsilon: float, parts: int, of: int) -> Rho:
    """So many parts of a job of this epsilon."""
    return Rho(rho_within(Budget(Epsilon(epsilon), Delta(DELTA))) * parts // of)


def drawing(epsilon: float, parts: int = 1, of: int = 1) -> Draw:
    """The product's noise at so many parts of the price of a job of this epsilon, without a ledger."""
    rho = price(epsilon, parts, of)

    def draw(statistic: Statistic) -> Noisy:
        scale = smallest_scale(statistic.l2_squared, rho)
        values = mechanisms.gaussian(statistic.values, statistic.l2_squared, scale, rho)
        return Noisy(values, scale / SCALE_UNIT, statistic.bits, Receipt("", 0, b"", ""))

    return draw


def outlook(seeds: float, epsilon: float, parts: int = 1, of: int = 1) -> Outlook:
    """What a room knows of a job: how many seeds its list has for those who train, and its noise."""
    sigma = smallest_scale(MOMENTS_L2_SQUARED, price(epsilon, parts, of)) / SCALE_UNIT / 2**BITS
    return Outlook(seeds, sigma)


def listed(people: People, train: Mask) -> float:
    """Of a list of all positives, the share that trains."""
    return float(people.label.sum() * train.mean())


def membership(people: People, train: Mask, epsilon: float, _seed: int, _settings: Settings) -> Scores:
    design = Encoder.from_owner(people.table.filter(train), people.declared).encode(people.table)
    known = outlook(listed(people, train), epsilon)
    model = SeedGLM().fit_drawn(design.take(train), people.label[train], drawing(epsilon), known)
    return model.score(design)


def responses(people: People, train: Mask, epsilon: float, seed: int, _settings: Settings) -> Scores:
    """From labels flipped with probability 1 / (1 + e^eps): additive, and trees beside it."""
    design = Encoder.from_owner(people.table.filter(train), people.declared).encode(people.table)
    labels, rate = flipped_labels(people.label[train], epsilon, seed)
    ordered = [isinstance(kind, Number | Ordinal) for kind in people.declared]
    return flipped.learn(design.take(train), ordered, labels, rate).score(design)


def compared(people: People, train: Mask, epsilon: float, _seed: int, _settings: Settings) -> Scores:
    """As a job that names all learners: three quarters of the price for moments, one for counts by group."""
    design = Encoder.from_owner(people.table.filter(train), people.declared).encode(people.table)
    seen, matched = design.take(train), people.label[train]
    ordered = [isinstance(kind, Number | Ordinal) for kind in people.declared]
    rows = Strategy.of(seen, outlook=outlook(listed(people, train), epsilon, GROUPS_SHARE - 1, GROUPS_SHARE))
    sums = drawing(epsilon, GROUPS_SHARE - 1, GROUPS_SHARE)(rows.moments(matched))
    rho = price(epsilon, 1, GROUPS_SHARE)
    sigma = smallest_scale(COUNT_L2_SQUARED, rho) / SCALE_UNIT / 2**COUNT_BITS
    glm = fit(rows, sums)
    dealt = group(seen, glm, ordered, how_many(seen.rows, sigma**2))
    counts = drawing(epsilon, 1, GROUPS_SHARE)(histogram(dealt, matched, MOST_GROUPS))
    kept = Counts(dealt, counts.real[: int(dealt.max()) + 1], sigma**2)
    standings = contest(rows, glm, sums, ordered, kept, LEARNERS)
    return next(each.model for each in standings if each.won).score(design)


def person(people: People, train: Mask, epsilon: float, _seed: int, _settings: Settings) -> Scores:
    design = Encoder.from_declared(people.declared, epsilon).encode(people.table)
    return DPGAM().fit_drawn(design.take(train), people.label[train], drawing(epsilon)).score(design)


def whole(learn: Callable[..., Scores]) -> Callable[..., Scores]:
    """The same on four fifths of those who train: the fifth would be paid for in parallel, to evaluate."""

    def learned(people: People, train: Mask, epsilon: float, seed: int, settings: Settings) -> Scores:
        kept = train & (np.random.default_rng(90_000 + seed).random(len(train)) < 0.8)
        return learn(people, kept, epsilon, seed, settings)

    return learned


OURS = (
    ("passbox membership", "membership", membership),
    ("passbox membership, whole job", "membership", whole(membership)),
    ("passbox membership, learners compared", "membership", compared),
    ("passbox on randomised responses", "membership", responses),
    ("passbox person", "person", person),
    ("passbox person, whole job", "person", whole(person)),
)


@dataclass
class Row:
    """One learner at one epsilon. error: calibration error in ten equal bins. chance: what it would be on average, were
    what the learner says of the same people just what their labels are drawn with."""

    method: str
    unit: str
    epsilon: float | None
    settings: Settings = field(default_factory=dict)
    auc: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    chance: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        spread = float(np.std(self.auc, ddof=1)) / math.sqrt(len(self.auc)) if len(self.auc) > 1 else None
        return {
            "method": self.method,
            "unit": self.unit,
            "epsilon": self.epsilon,
            "auc": float(np.mean(self.auc)),
            "standard_error": spread,
            "calibration_error": float(np.mean(self.error)),
            "calibration_by_chance": float(np.mean(self.chance)),
            "cpu_seconds": float(np.mean(self.seconds)),
            "splits": len(self.auc),
            "settings": self.settings,
            "each": self.auc,
        }


def measured(row: Row, people: People, learn: Callable[..., Scores], splits: range) -> Row:
    for number in splits:
        train, start = people.split(number), time.process_time()
        scores = learn(people, train, row.epsilon or 0.0, number, row.settings)
        row.seconds.append(time.process_time() - start)
        row.auc.append(float(roc_auc_score(people.label[~train], scores[~train])))
        said = probabilities(scores[~train])
        row.error.append(calibration_error(said, people.label[~train]))
        coins = np.random.default_rng(number).random((20, len(said)))
        row.chance.append(float(np.mean([calibration_error(said, each < said) for each in coins])))
    return row


def probabilities(scores: Scores) -> Scores:
    """Scores in [0, 1] are probabilities; others log-odds."""
    return scores if scores.min() >= 0 and scores.max() <= 1 else 1 / (1 + np.exp(-np.clip(scores, -35, 35)))


def calibration_error(p: Scores, label: Mask) -> float:
    """Mean distance of said from true rates over ten bins of equal width."""
    bins = np.minimum((p * 10).astype(int), 9)
    counts = np.bincount(bins, minlength=10)
    gap = np.abs(np.bincount(bins, p, 10) - np.bincount(bins, label, 10))
    return float(gap.sum() / counts.sum())


def tuned(people: People, peer: object, epsilon: float | None, splits: range) -> Settings:
    """The settings with the best mean AUROC on the tuning splits."""
    if len(peer.settings) == 1 or not splits:
        return peer.settings[0]
    tries = [measured(Row(peer.name, peer.unit, epsilon, dict(s)), people, peer.learn, splits) for s in peer.settings]
    return max(tries, key=lambda row: np.mean(row.auc)).settings


def show(row: Row, people: People) -> None:
    said = row.as_json()
    at = "" if row.epsilon is None else f"{row.epsilon:g}"
    error = said["standard_error"] or 0.0
    print(
        f"{people.name:9s} {row.unit:11s} {at:>4s}  {row.method:30s} {said['auc']:.4f} ± {error:.4f}"
        f"  calibration {said['calibration_error']:.3f} (by chance {said['calibration_by_chance']:.3f})"
        f"  {said['cpu_seconds']:6.2f} CPU s",
        flush=True,
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--schema", type=Path, required=True)
    parser.add_argument("--epsilon", default=".5,1,4")
    parser.add_argument("--unit", choices=["membership", "person", "none", "both"], default="both")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--first", type=int, default=3)
    parser.add_argument("--tune", type=int, default=3)
    parser.add_argument("--only", default="", help="learners whose name holds one of these, after commas")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    people = read(asked.data, asked.schema)
    wanted = [name.strip().lower() for name in asked.only.split(",")]
    splits, tune = range(asked.first, asked.first + asked.splits), range(asked.tune)
    epsilons = [float(part) for part in asked.epsilon.split(",")]
    rows: list[Row] = []

    def keep(row: Row) -> None:
        rows.append(row)
        if not asked.json:
            show(row, people)

    def asked_for(name: str, unit: str) -> bool:
        return asked.unit in ("both", unit) and any(w in name.lower() for w in wanted)

    for peer in PEERS:
        if asked_for(peer.name, peer.unit) and not peer.installed:
            print(f"{peer.name}: {peer.needs} is not installed", file=sys.stderr)
    for epsilon in [None, *epsilons]:
        for name, unit, learn in OURS:
            if epsilon is not None and asked_for(name, unit):
                keep(measured(Row(name, unit, epsilon), people, learn, splits))
        for peer in PEERS:
            if peer.installed and (peer.unit == "none") == (epsilon is None) and asked_for(peer.name, peer.unit):
                try:
                    settings = tuned(people, peer, epsilon, tune)
                    keep(measured(Row(peer.name, peer.unit, epsilon, settings), people, peer.learn, splits))
                except ImportError as error:  # installed, but not for the versions of others that are here
                    print(f"{peer.name}: {peer.needs} cannot be imported: {error}", file=sys.stderr)
    if asked.json:
        said = {"data": people.name, "people": len(people.label), "positives": int(people.label.sum())}
        json.dump({**said, "rows": [row.as_json() for row in rows]}, sys.stdout)


if __name__ == "__main__":
    main()
