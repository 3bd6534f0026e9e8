"""Model files: new people get the same scores from JSON, to the last bit, and from ONNX to 1e-6."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from passbox.modelling.features import Category, Encoder, Kind, Number, Ordinal, Topics
from passbox.modelling.model import Effects, Model
from passbox.modelling.onnx_graph import NameTaken, graph
from passbox.modelling.person import DPGAM
from passbox.modelling.scorer import NotAModel, Scorer

KINDS: list[Kind] = [
    Number("age", 18, 90),
    Number("constant", 3, 3),
    Number("spend", 0, 5_000),
    Category("region", ("north", "south", "ä|β")),
    Ordinal("size", ("S", "M", "L", "XL")),
    Topics("likes", ("cars", "travel", "food", "sport"), 2),
]


def people(rows: int, seed: int) -> pa.Table:
    """Within domains and beyond, with holes everywhere."""
    rng = np.random.default_rng(seed)

    def some(values: list[str]) -> pa.Array:
        return pa.array(rng.choice(np.array([*values, None, "undeclared"], dtype=object), rows), pa.string())

    numbers = {name: rng.uniform(low, high, rows) for name, low, high in (("age", 0, 120), ("spend", -9, 6_000))}
    for values in numbers.values():
        values[rng.random(rows) < 0.1] = np.nan
    numbers["age"][:200] = np.rint(numbers["age"][:200])
    likes = [
        None if rng.random() < 0.1 else list(rng.choice(["cars", "travel", "food", "sport", "?"], rng.integers(0, 6)))
        for _ in range(rows)
    ]
    return pa.table(
        {
            **{name: pa.array(values, from_pandas=True) for name, values in numbers.items()},
            "constant": pa.array([3.0] * (rows - 1) + [None], pa.float64()),
            "region": some(["north", "south", "ä|β"]),
            "size": some(["S", "M", "L", "XL"]),
            "likes": pa.array(likes, pa.list_(pa.string())),
        }
    )


def scorer(ceiling: float, owner: bool) -> Scorer:
    """Effects by chance, as large as they get."""
    rng = np.random.default_rng(1)
    encoder = Encoder.from_owner(people(2_000, 2), KINDS) if owner else Encoder.from_declared(KINDS)
    columns = tuple(
        Effects(c.kind.name, c.block.levels, rng.normal(0, 2, len(c.block.levels))) for c in encoder.columns
    )
    return Scorer(encoder, Model(encoder.digest, ceiling, -1.25, columns))


@pytest.fixture(params=[(1.0, False), (0.3, True)], ids=["person", "membership, with a ceiling"])
def made(request) -> Scorer:
    return scorer(*request.param)


def test_a_file_gives_new_people_the_same_scores_to_the_last_bit(made) -> None:
    again = Scorer.from_json(made.to_json())
    new = people(3_000, 3)
    assert again.score(new).tobytes() == made.score(new).tobytes()
    assert again.probability(new).tobytes() == made.probability(new).tobytes()
    assert again.to_json() == made.to_json()


def test_a_fitted_model_is_read_back(crowd, draw) -> None:
    encoder = Encoder.from_declared(crowd.declared)
    design = encoder.encode(crowd.table)
    model = DPGAM().fit_drawn(design, crowd.label, lambda statistic: draw(statistic, 1.0, 2))
    again = Scorer.from_json(Scorer(encoder, model).to_json())
    assert again.score(crowd.table).tobytes() == model.score(design).tobytes()


def test_onnx_agrees_to_a_millionth(made) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    session = runtime.InferenceSession(graph(made).SerializeToString(), providers=["CPUExecutionProvider"])
    new = people(3_000, 4)
    log_odds, probability = session.run(["log_odds", "probability"], fed(made, new))
    assert np.abs(log_odds[:, 0] - made.score(new)).max() < 1e-6
    assert np.abs(probability[:, 0] - made.probability(new)).max() < 1e-6


def fed(made: Scorer, new: pa.Table) -> dict[str, np.ndarray]:
    """A table as the graph's inputs."""
    inputs: dict[str, np.ndarray] = {}
    for column in made.encoder.columns:
        kind, values = column.kind, new.column(column.kind.name)
        if isinstance(kind, Number):
            inputs[kind.name] = np.array(values.to_numpy(), dtype=np.float64)[:, None]
        elif isinstance(kind, Topics):
            rows = [
                [np.nan] * 4 if has is None else [float(v in has) for v in kind.values] for has in values.to_pylist()
            ]
            inputs[kind.name] = np.array(rows)
        else:
            inputs[kind.name] = np.array([text or "" for text in values.to_pylist()], dtype=object)[:, None]
    return inputs


def test_a_column_may_not_be_called_like_an_output() -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    encoder = Encoder.from_declared([Category("log_odds", ("a", "b"))])
    levels = encoder.columns[0].block.levels
    with pytest.raises(NameTaken):
        graph(Scorer(encoder, Model(encoder.digest, 1.0, 0.0, (Effects("log_odds", levels, np.zeros(3)),))))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(version=1),
        lambda body: body.pop("encoder"),
        lambda body: body["model"].update(encoder="0" * 64),
        lambda body: body["model"]["columns"].pop(),
        lambda body: body["model"]["columns"].reverse(),
        lambda body: body["encoder"]["columns"][0].update(high=91),
        lambda body: body["encoder"]["columns"][0].update(kind="pickle"),
        lambda body: body["model"].update(intercept="0"),
        lambda body: body["model"]["columns"][0].update(values=[1e999]),
    ],
)
def test_what_is_no_model_is_refused(change) -> None:
    body = json.loads(scorer(1.0, False).to_json())
    change(body)
    with pytest.raises(NotAModel):
        Scorer.from_json(json.dumps(body))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"version": 2}', "[" * 100_000, '{"version": NaN}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(NotAModel):
        Scorer.from_json(text)
