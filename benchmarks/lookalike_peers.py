"""The learners a lookalike is held against. Each says its settings, and learns from the same public metadata.

A learner is a function (people, train, epsilon, seed, settings) -> scores of everybody, and a list of settings, of
which the best on the tuning splits is kept: without paying for the choice, which is in the peers' favour.
Noise is numpy's where a peer lets us choose, at its own accounting. delta is 1e-6 throughout.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from lookalike_data import Mask, People, plain
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.sparse import csr_array
from scipy.special import expit
from scipy.stats import norm

from passbox.dp.accounting import rho_within
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon
from passbox.modelling.design import Design
from passbox.modelling.features import Category, Encoder, Number, Ordinal

DELTA = 1e-6
Scores = NDArray[np.float64]
Settings = dict[str, object]
Learner = Callable[[People, Mask, float, int, Settings], Scores]


@dataclass(frozen=True)
class Peer:
    """unit: whose secret it keeps, or `none` for a ceiling. needs: the package that must be installed."""

    name: str
    unit: str
    needs: str
    learn: Learner
    settings: tuple[Settings, ...]

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.needs) is not None


def unit_rows(people: People, bins: int) -> csr_array:
    """One-hot rows of length 1 over public bins (bins of the person learner, merged to about `bins`)."""
    design = Encoder.from_declared(people.declared).encode(people.table)
    levels, sizes = [], []
    for kind, codes, block in zip(people.declared, design.codes, design.columns, strict=True):
        size = len(block.table)
        merge = max(1, math.ceil((size - 1) / bins)) if isinstance(kind, Number) else 1
        levels.append(codes.level.astype(np.int64) // merge)
        sizes.append((size - 1) // merge + 1)
    return one_hot(design, levels, sizes)


def one_hot(design: Design, levels: list[NDArray[np.int64]], sizes: list[int]) -> csr_array:
    """Rows of length 1: an entry for each level that a person has."""
    parts, start = [], 0
    for codes, block, level, size in zip(design.codes, design.columns, levels, sizes, strict=True):
        row = np.arange(design.rows) if codes.row is None else codes.row
        parts.append((row, level.astype(np.int64) + start, np.full(len(row), block.at_most**-0.5)))
        start += size
    row, column, value = (np.concatenate(each) for each in zip(*parts, strict=True))
    return csr_array((value / math.sqrt(len(parts)), (row, column)), shape=(design.rows, start))


def logistic(people: People, train: Mask, _epsilon: float, _seed: int, settings: Settings) -> Scores:
    from sklearn.linear_model import LogisticRegression

    rows = unit_rows(people, settings["bins"])
    model = LogisticRegression(C=settings["C"], max_iter=300).fit(rows[train], people.label[train])
    return model.decision_function(rows)


def logistic_own(people: People, train: Mask, _epsilon: float, _seed: int, settings: Settings) -> Scores:
    """The same on the bins that `membership` has, which fit the owner's rows."""
    from sklearn.linear_model import LogisticRegression

    design = Encoder.from_owner(people.table.filter(train), people.declared).encode(people.table)
    rows = one_hot(design, [codes.level for codes in design.codes], [len(block.table) for block in design.columns])
    model = LogisticRegression(C=settings["C"], max_iter=300).fit(rows[train], people.label[train])
    return model.decision_function(rows)


def boosted(people: People, train: Mask, _epsilon: float, _seed: int, settings: Settings) -> Scores:
    return _lightgbm(people, train, people.label[train], settings)


def _lightgbm(people: People, train: Mask, label: Mask, settings: Settings) -> Scores:
    import lightgbm

    rows, coded = plain(people)
    data = lightgbm.Dataset(rows[train], label.astype(float), categorical_feature=coded)
    fixed = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 1, "deterministic": True}
    rounds = settings["rounds"]
    tuned = {key: value for key, value in settings.items() if key != "rounds"}
    return lightgbm.train({**fixed, **tuned}, data, rounds).predict(rows, raw_score=True)


def randomised_response(people: People, train: Mask, epsilon: float, seed: int, settings: Settings) -> Scores:
    """Labels flipped with probability 1 / (1 + e^eps), then boosting."""
    return _lightgbm(people, train, flipped_labels(people.label[train], epsilon, seed)[0], settings)


def flipped_labels(label: Mask, epsilon: float, seed: int) -> tuple[Mask, float]:
    """The same for every learner on a split, and with what probability they were flipped."""
    rate = 1 / (1 + math.exp(epsilon))
    return label ^ (np.random.default_rng(500 + seed).random(len(label)) < rate), rate


def randomised_at_price(people: People, train: Mask, epsilon: float, seed: int, settings: Settings) -> Scores:
    """Labels flipped as often as a release on the Gaussian curve must that costs what a job of this epsilon does."""
    mu = math.sqrt(2 * rho_within(Budget(Epsilon(epsilon), Delta(DELTA))) / RHO_UNIT)
    flip = np.random.default_rng(500 + seed).random(int(train.sum())) < norm.cdf(-mu / 2)
    return _lightgbm(people, train, people.label[train] ^ flip, settings)


def dp_ebm(people: People, train: Mask, epsilon: float, seed: int, settings: Settings) -> Scores:
    from interpret.privacy import DPExplainableBoostingClassifier

    rows, _ = plain(people)
    types = ["nominal" if isinstance(kind, Category) else "continuous" for kind in people.declared]
    bounds = np.array([_bounds(kind) for kind in people.declared])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = DPExplainableBoostingClassifier(
            feature_types=types,
            privacy_bounds=bounds,
            epsilon=epsilon,
            delta=DELTA,
            random_state=seed,
            n_jobs=1,
            **settings,
        )
        model.fit(rows[train], people.label[train])
        return model.predict_proba(rows)[:, 1]


def _bounds(kind: object) -> tuple[float, float]:
    if isinstance(kind, Number):
        return kind.low, kind.high
    assert isinstance(kind, Category | Ordinal)
    return 0.0, float(len(kind.values))


def opacus_sgd(people: People, train: Mask, epsilon: float, seed: int, settings: Settings) -> Scores:
    """DP-SGD on a logistic layer, Poisson sampling, PRV accounting: Opacus as its tutorial uses it.

    Its neighbours are people who are there or not; a label that turns is two of its steps away.
    settings: `step` is the learning rate times the clipping bound; `mean`, of the later half of the weights.
    """
    import torch
    from opacus import PrivacyEngine

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rows = torch.tensor(opacus_rows(people, settings["bins"], settings["scaled"]), dtype=torch.float32)
    label = torch.tensor(people.label, dtype=torch.float32)
    chosen = torch.tensor(np.flatnonzero(train))
    data = torch.utils.data.TensorDataset(rows[chosen], label[chosen])
    model = torch.nn.Linear(rows.shape[1], 1)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=settings["step"] / settings["clip"], momentum=settings.get("momentum", 0.0)
    )
    loader = torch.utils.data.DataLoader(data, batch_size=min(settings["batch"], len(chosen) // 2))
    kept: list[Scores] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = PrivacyEngine(accountant="prv")
        model, optimizer, loader = engine.make_private_with_epsilon(
            module=model,
            optimizer=optimizer,
            data_loader=loader,
            target_epsilon=epsilon,
            target_delta=DELTA,
            epochs=settings["epochs"],
            max_grad_norm=settings["clip"],
        )
        for _ in range(settings["epochs"]):
            for x, y in loader:
                if len(x):
                    optimizer.zero_grad()
                    torch.nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y).backward()
                    optimizer.step()
                kept.append(model._module.weight.detach().numpy()[0].astype(float))
    late = kept[len(kept) // 2 :] if settings["mean"] else kept[-1:]
    return rows.numpy().astype(float) @ np.mean(late, axis=0)


def opacus_rows(people: People, bins: int, scaled: bool) -> Scores:
    """One-hot entries of 1 over public bins and, if asked, numbers from -1 to 1 by their declared bounds, long ranges
    in log too."""
    parts = [unit_rows(people, bins).toarray() * math.sqrt(len(people.declared))]
    for kind in people.declared if scaled else []:
        if isinstance(kind, Number):
            values = np.asarray(people.table.column(kind.name).to_numpy(zero_copy_only=False), dtype=float)
            up, length = np.clip(values, kind.low, kind.high) - kind.low, max(kind.high - kind.low, 1e-9)
            parts.append(np.nan_to_num(2 * up[:, None] / length - 1))
            if kind.low >= 0 and length > 1_000:
                parts.append(np.nan_to_num(2 * np.log1p(up[:, None]) / math.log1p(length) - 1))
    return np.hstack(parts)


def objective(people: People, train: Mask, epsilon: float, seed: int, settings: Settings) -> Scores:
    """Objective perturbation with the tight Gaussian analysis (Redberg, Koskela, Wang 2023, theorem 3.1)."""
    rows = unit_rows(people, settings["bins"])
    x, y = rows[train], people.label[train].astype(float)
    ridge = settings["ridge"] * max(1.0, 0.5 / epsilon)
    sigma = objective_sigma(epsilon, ridge)
    noise = np.random.default_rng(700 + seed).normal(0, sigma, x.shape[1])

    def loss(w: Scores) -> tuple[float, Scores]:
        z = x @ w
        value = np.logaddexp(0, z).sum() - y @ z + noise @ w + ridge / 2 * w @ w
        return value, x.T @ (expit(z) - y) + noise + ridge * w

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-4})
    return rows @ found.x


def objective_sigma(epsilon: float, ridge: float) -> float:
    """Noise of objective perturbation for rows of length 1 and logistic loss (smoothness 1/4, gradient at most 1)."""
    left = epsilon - abs(math.log(1 - 0.25 / ridge))

    def hockey(e: float, sigma: float) -> float:
        return norm.cdf(0.5 / sigma - e * sigma) - math.exp(min(e + norm.logcdf(-0.5 / sigma - e * sigma), 0.0))

    def excess(sigma: float) -> float:
        spare = left - 0.5 / sigma**2
        if spare >= 0:
            return 2 * hockey(left, sigma) - DELTA
        return 1 - math.exp(spare) + math.exp(spare) * 2 * hockey(0.5 / sigma**2, sigma) - DELTA

    return float(brentq(excess, 1e-2, 1e4))


def diffprivlib_logistic(people: People, train: Mask, epsilon: float, seed: int, settings: Settings) -> Scores:
    from diffprivlib.models import LogisticRegression

    rows = unit_rows(people, settings["bins"]).toarray()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(epsilon=epsilon, data_norm=1.0, C=settings["C"], random_state=seed, max_iter=300)
        model.fit(rows[train], people.label[train])
    return model.decision_function(rows)


def _grid(**choices: tuple[object, ...]) -> tuple[Settings, ...]:
    grid: list[Settings] = [{}]
    for name, values in choices.items():
        grid = [{**settings, name: value} for settings in grid for value in values]
    return tuple(grid)


TREES = (
    {"rounds": 60, "num_leaves": 4, "learning_rate": 0.1, "min_data_in_leaf": 200},
    {"rounds": 100, "num_leaves": 8, "learning_rate": 0.05, "min_data_in_leaf": 200},
    {"rounds": 150, "num_leaves": 15, "learning_rate": 0.05, "min_data_in_leaf": 50},
    {"rounds": 300, "num_leaves": 15, "learning_rate": 0.05, "min_data_in_leaf": 20},
    {"rounds": 400, "num_leaves": 4, "learning_rate": 0.05, "min_data_in_leaf": 100, "lambda_l2": 10.0},
)

PEERS = (
    Peer("logistic regression", "none", "sklearn", logistic, _grid(bins=(32, 128), C=(1.0, 10.0, 100.0))),
    Peer("logistic regression, owner's bins", "none", "sklearn", logistic_own, _grid(C=(1.0, 10.0, 100.0))),
    Peer("LightGBM", "none", "lightgbm", boosted, TREES),
    Peer("RR + LightGBM", "membership", "lightgbm", randomised_response, TREES),
    Peer("RR at the ledger's price + LightGBM", "membership", "lightgbm", randomised_at_price, TREES),
    Peer(
        "DP-EBM",
        "person",
        "interpret",
        dp_ebm,
        ({}, {"max_bins": 16}, {"max_rounds": 100}, {"max_rounds": 100, "max_bins": 64, "bin_budget_frac": 0.2}),
    ),
    Peer(
        "Opacus",
        "person",
        "opacus",
        opacus_sgd,
        (
            *_grid(
                bins=(16,),
                scaled=(False, True),
                clip=(0.1, 1.0),
                step=(1.0, 4.0),
                epochs=(10,),
                batch=(512,),
                mean=(True,),
            ),
            *_grid(
                bins=(16,),
                scaled=(False, True),
                clip=(0.1, 1.0),
                step=(1.0, 4.0),
                epochs=(30,),
                batch=(2048,),
                mean=(True,),
            ),
            *_grid(bins=(16,), scaled=(True,), clip=(0.1,), step=(2.0,), epochs=(10,), batch=(512,), mean=(False,)),
            *_grid(bins=(16,), scaled=(True,), clip=(1.0,), step=(8.0,), epochs=(90,), batch=(2048,), mean=(True,)),
            *_grid(
                bins=(64,),
                scaled=(False,),
                clip=(1.0,),
                step=(0.4,),
                epochs=(30,),
                batch=(2048,),
                mean=(True,),
                momentum=(0.9,),
            ),
        ),
    ),
    Peer("objective perturbation", "person", "scipy", objective, _grid(bins=(16, 64), ridge=(1.0, 3.0, 10.0))),
    Peer("diffprivlib", "person", "diffprivlib", diffprivlib_logistic, _grid(bins=(8,), C=(0.01, 0.1, 1.0))),
)
