"""A model says what each level adds, and its text gives back the same scores or is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from passbox.modelling.logistic import sigmoid
from passbox.modelling.lookalike import fit
from passbox.modelling.model import Model
from passbox.modelling.strategy import Strategy


def test_a_model_read_back_gives_identical_scores(crowd, draw) -> None:
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    model = fit(design, draw(Strategy.of(design).moments(crowd.label), 0.5, 3))
    again = Model.from_json(model.to_json())
    assert again.score(design).tobytes() == model.score(design).tobytes()
    assert again.to_json() == model.to_json()


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"ceiling": 0.0}, {"ceiling": 1.5}, {"columns": [{"name": "a", "levels": ["b"], "values": []}]}],
)
def test_a_model_that_was_tampered_with_is_refused(crowd, draw, change: dict[str, object]) -> None:
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    body = json.loads(fit(design, draw(Strategy.of(design).moments(crowd.label), 0.5, 3)).to_json())
    with pytest.raises(ValueError):
        Model.from_json(json.dumps(body | change))


def test_scores_are_the_log_odds_of_the_probability_under_a_ceiling_too(crowd, draw) -> None:
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    model = replace(fit(design, draw(Strategy.of(design).moments(crowd.label), 2.0, 3)), ceiling=0.3)
    p = 0.3 * sigmoid(model.intercept + design.scores([column.values for column in model.columns]))
    assert np.allclose(model.probability(design), p)
    assert np.allclose(model.score(design), np.log(p / (1 - p)))


def test_a_score_is_the_intercept_and_the_effects_of_ones_levels(crowd, draw) -> None:
    design = crowd.encoder(np.ones(3000, dtype=bool)).encode(crowd.table)
    model = fit(design, draw(Strategy.of(design).moments(crowd.label), 2.0, 3))
    effects = model.effects()
    row = next(i for i, region in enumerate(crowd.table["region"].to_pylist()) if region == "south")
    edges = design.columns[0].levels, design.columns[1].levels
    held = [effects["region"]["south"]]
    held += [
        effects[n][levels[design.codes[j].level[row]]]
        for j, (n, levels) in enumerate(zip(("age", "spend"), edges, strict=True))
    ]
    likes = crowd.table["likes"][row].as_py()
    known = [t for t in crowd.declared[3].values if t in (likes or [])][:3]
    held += [effects["likes"][t] for t in known] if likes is not None else [effects["likes"]["(missing)"]]
    assert model.score(design)[row] == pytest.approx(model.intercept + sum(held))
    assert effects["region"]["south"] > effects["region"]["north"]
