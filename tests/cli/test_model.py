"""`passbox model` and `passbox audit model`, as a person types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from passbox.cli.reports import effects
from passbox.dp.noisy import Noisy, Receipt
from passbox.modelling import canaries
from passbox.modelling.features import Category, Encoder, Kind, Number, Topics
from passbox.modelling.lookalike import SeedGLM
from passbox.modelling.model import Effects, Model
from passbox.modelling.person import DPGAM
from passbox.modelling.scorer import Scorer
from passbox.modelling.strategy import Strategy

KINDS: list[Kind] = [Number("age", 18, 90), Category("region", ("north", "south")), Topics("likes", ("a", "b", "c"), 2)]
PEOPLE = "id,age,region,likes\nP1,20,north,a|b\nP2,,south,\nP3,500,west,c\nP4,40,north,a|zzz\n"


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    """Written beside people, in a folder of one's own."""
    encoder, rng = Encoder.from_declared(KINDS), np.random.default_rng(1)
    columns = tuple(
        Effects(c.kind.name, c.block.levels, rng.normal(0, 1, len(c.block.levels))) for c in encoder.columns
    )
    made = Scorer(encoder, Model(encoder.digest, 1.0, -2.0, columns))
    (tmp_path / "m.model.json").write_text(made.to_json())
    (tmp_path / "people.csv").write_text(PEOPLE)
    return made


def test_new_people_are_scored_from_the_file(passbox, scorer: Scorer, tmp_path: Path) -> None:
    code, out, _ = passbox(
        "model", "score", f"{tmp_path}/m.model.json", f"{tmp_path}/people.csv", "--id", "id", "--json"
    )
    assert code == 0
    said = json.loads(out)
    odd = said["not_as_declared"]
    assert odd["age: out of bounds"] == 1
    assert odd["likes: value not declared"] == 1
    scored = pl.read_csv(said["out"])
    table = {
        "age": [20.0, None, 90.0, 40.0],
        "region": ["north", "south", None, "north"],
        "likes": [["a", "b"], None, ["c"], ["a"]],
    }
    wanted = scorer.score(pl.DataFrame(table).to_arrow())
    assert scored["id"].to_list() == ["P1", "P2", "P3", "P4"]
    assert np.abs(scored["log_odds"].to_numpy() - wanted).max() < 1e-12


def test_a_model_that_knows_its_doubt_gives_ends_of_each_probability(passbox, scorer: Scorer, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = {"age": rng.uniform(18, 90, 500), "region": rng.choice(["north", "south"], 500), "likes": [["a"]] * 500}
    design = scorer.encoder.encode(pl.DataFrame(rows).to_arrow())
    exact, learner = Strategy.of(design).moments(rng.random(500) < 0.3), SeedGLM()
    model = learner.fit_noisy(design, Noisy(exact.values, 2.0**20, exact.bits, Receipt("", 0, b"", "")))
    (tmp_path / "known.model.json").write_text(Scorer.of(scorer.encoder, model, learner.doubt).to_json())
    for name, known in (("known", True), ("m", False)):
        paths = (f"{tmp_path}/{name}.model.json", f"{tmp_path}/people.csv", "--out", f"{tmp_path}/{name}.csv")
        code, out, _ = passbox("model", "score", *paths, "--json")
        assert (code, json.loads(out)["intervals"]) == (0, known)
    scored = pl.read_csv(tmp_path / "known.csv")
    assert scored.columns == ["row", "log_odds", "probability", "low", "high"]
    assert (scored["low"] < scored["probability"]).all()
    assert (scored["probability"] < scored["high"]).all()
    assert pl.read_csv(tmp_path / "m.csv").columns == ["row", "log_odds", "probability"]


def test_intervals_of_a_persons_model_say_what_they_rest_on(passbox, scorer: Scorer, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = {"age": rng.uniform(18, 90, 500), "region": rng.choice(["north", "south"], 500), "likes": [["a"]] * 500}
    design, learner = scorer.encoder.encode(pl.DataFrame(rows).to_arrow()), DPGAM()
    model = learner.fit_drawn(
        design, rng.random(500) < 0.3, lambda zeros: Noisy(zeros.values, 2.0**20, zeros.bits, Receipt("", 0, b"", ""))
    )
    (tmp_path / "p.model.json").write_text(Scorer.of_apart(scorer.encoder, model, learner.doubt).to_json())
    paths = (f"{tmp_path}/p.model.json", f"{tmp_path}/people.csv", "--out", f"{tmp_path}/p.csv")
    code, out, _ = passbox("model", "score", *paths)
    assert (code, "as if columns were independent" in " ".join(out.split())) == (0, True)
    scored = pl.read_csv(tmp_path / "p.csv")
    assert ((scored["low"] < scored["probability"]) & (scored["probability"] < scored["high"])).all()
    (tmp_path / "p.csv").unlink()
    said = json.loads(passbox("model", "score", *paths, "--json")[1])
    assert (said["intervals"], said["columns_apart"]) == (True, True)


def test_each_column_of_a_row_that_was_not_foreseen_is_counted(passbox, scorer: Scorer, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("age,region,likes\n500,west,a\n500,south,zzz\n20,west,a|b|zzz\n")
    _, out, _ = passbox("model", "score", f"{tmp_path}/m.model.json", f"{tmp_path}/people.csv", "--json")
    odd = {"age: out of bounds": 2, "region: value not declared": 2, "likes: value not declared": 2}
    assert json.loads(out)["not_as_declared"] == odd


def test_a_model_is_exported_and_scores_alike_elsewhere(passbox, scorer: Scorer, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    code, out, _ = passbox("model", "export", f"{tmp_path}/m.model.json", "--json")
    assert (code, json.loads(out)["written"]) == (0, True)
    session = runtime.InferenceSession(f"{tmp_path}/m.model.onnx", providers=["CPUExecutionProvider"])
    inputs = {
        "age": np.array([[33.0]]),
        "region": np.array([["south"]], dtype=object),
        "likes": np.array([[0.0, 1.0, 1.0]]),
    }
    (found,) = session.run(["log_odds"], inputs)
    wanted = scorer.score(pl.DataFrame({"age": [33.0], "region": ["south"], "likes": [["b", "c"]]}).to_arrow())
    assert abs(found[0, 0] - wanted[0]) < 1e-6


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("score", "people.csv", "people.csv"), "bad-model"),
        (("export", "people.csv"), "bad-model"),
        (("score", "m.model.json", "people.csv", "--id", "nobody"), "columns"),
        (("score", "m.model.json", "people.csv", "--id", "low"), "id-taken"),
        (("score", "m.model.json", "nothing.csv"), None),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(passbox, scorer: Scorer, tmp_path: Path, words, rule) -> None:
    before = set(tmp_path.iterdir())
    paths = [str(tmp_path / word) if "." in word else word for word in words]
    code, out, _ = passbox("model", *paths, "--json")
    assert code not in (0, 1)
    error = json.loads(out)["error"]
    assert rule is None or error["rule"] == rule
    assert "P1" not in out
    assert set(tmp_path.iterdir()) == before


def test_a_column_that_is_not_there_is_told_by_what_asked_for_it(passbox, scorer: Scorer, tmp_path: Path) -> None:
    words = ("model", "score", f"{tmp_path}/m.model.json", f"{tmp_path}/people.csv")
    _, _, err = passbox(*words, "--id", "nosuch")
    assert "no column nosuch among its 4" in err
    assert "with `--id`" in err
    (tmp_path / "people.csv").write_text("email\na@b.c\n")
    _, _, err = passbox(*words)
    told, hint = err.splitlines()
    assert "no column age, region, likes among its 1" in told
    assert "has age, region, likes" in hint
    assert "contract" not in hint


def test_an_audit_is_typed_against_a_contract(passbox, agreed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Surer than the product, which finds a leak where none is once in 10,000 audits: here once in 10^7."""
    monkeypatch.setattr(canaries, "SURE", 1 - 1e-7)
    code, out, _ = passbox(
        "audit", "model", "--contract", "contract.toml", "--epsilon", "16", "--runs", "100", "--json"
    )
    said = json.loads(out)
    assert (code, said["holds"], said["kind"]) == (0, True, "lookalike")
    tests = [finding["test"] for finding in said["findings"]]
    assert tests == ["fit", "scores", "strata", "groups", "considered", "parts", "audience"]
    assert all(f["lower"] > 0 and f["lower_sure"] <= f["charged"] for f in said["findings"] if "lower" in f)
    code, out, _ = passbox("audit", "model", "--contract", "contract.toml", "--kind", "overlap", "--json")
    assert code == 2
    assert "no audit of such a job" in json.loads(out)["error"]["message"]


def test_an_audit_of_labels_at_an_epsilon_of_too_many_digits_is_refused(passbox, drafted: Path) -> None:
    """It is charged in whole units of 10^-12; where the contract keeps nothing for labels there is none to charge."""
    words = ("audit", "model", "--contract", "contract.toml", "--epsilon", "0.1234567890123", "--runs", "100")
    path = drafted / "contract.toml"
    head, dataset, tail = path.read_text().partition("[dataset.buyers]")
    kept = re.sub(r"(?m)^(budget = .*?) }", r"\1, responses = 1.0 }", tail, count=1)
    assert kept != tail
    path.write_text(head + dataset + kept)
    code, out, err = passbox(*words)
    assert (code, out) == (5, "")
    told, hint = err.splitlines()
    assert "ε 0.1234567890123 has more than 12 digits after the point" in told
    assert "round it" in hint


def test_an_audit_of_a_job_that_the_contract_does_not_allow_says_what_it_allows(passbox, agreed: Path) -> None:
    code, _, err = passbox("audit", "model", "--contract", "contract.toml", "--kind", "completion")
    assert code == 2
    assert "the contract allows no such job" in err
    assert "it allows lookalike" in err
    code, _, err = passbox("audit", "model", "--contract", "contract.toml", "--kind", "aggregate")
    assert code == 2
    assert "an audit covers completion, lookalike and model" in err


def figure(low: float, estimate: float, high: float) -> dict[str, object]:
    return {"low": low, "estimate": estimate, "high": high, "covers": "noise and sampling"}


def test_effects_show_what_matters_and_why() -> None:
    values = [("north", 0.6, figure(-0.4, -0.2, 0.0)), ("south", 0.4, figure(0.1, 0.3, 0.5))]
    levels = [{"level": level, "share": share, "effect": effect} for level, share, effect in values]
    region = {"column": "region", "ordered": False, "matters": figure(0.1, 0.3, 0.5), "levels": levels}
    matter, one, *words = effects.parts({"kind": "lookalike", "effects": [region]})
    assert matter.rows[0][:2] == ("region", "0.30  [0.10, 0.50]")
    assert [row[0] for row in one.rows] == ["south", "north"]
    assert any("say nothing" in text for text in words)
    assert effects.parts({"kind": "model", "effects": []}) == []


@pytest.mark.parametrize(
    ("low", "estimate", "high", "said"),
    [
        (0.43, 0.44, 0.87, True),
        (-0.9, -0.3, -0.3, True),
        (-0.1, -0.1, 0.4, True),
        (0.4, 0.5, 0.8, False),
        (-2e-12, -2e-12, 2e-12, False),
    ],
)
@pytest.mark.parametrize("kind", ["lookalike", "model"])
def test_that_an_effect_is_shrunk_is_said_where_it_lies_at_the_edge(
    kind: str, low: float, estimate: float, high: float, said: bool
) -> None:
    levels = [
        {"level": "north", "share": 0.6, "effect": figure(-0.4, -0.2, 0.0)},
        {"level": "south", "share": 0.4, "effect": figure(low, estimate, high)},
    ]
    region = {"column": "region", "ordered": False, "matters": figure(0.1, 0.3, 0.5), "levels": levels}
    assert (effects.SHRUNK in effects.parts({"kind": kind, "effects": [region]})) is said


def test_of_values_that_are_not_shown_no_edge_is_said() -> None:
    loud = [{"level": str(n), "share": 0.1, "effect": figure(0.5, 1.0, 1.5)} for n in range(effects.MOST_LEVELS)]
    quiet = {"level": "quiet", "share": 0.1, "effect": figure(0.1, 0.1, 0.9)}
    region = {"column": "region", "ordered": False, "matters": figure(0.1, 0.3, 0.5), "levels": [*loud, quiet]}
    assert effects.SHRUNK not in effects.parts({"kind": "model", "effects": [region]})


@pytest.mark.parametrize(
    ("low", "estimate", "high", "drawn"),
    [
        (-1.0, 0.0, 1.0, "────────────●────────────"),
        (0.5, 0.75, 1.0, "            │     ───●───"),
        (-1.0, -1.0, -1.0, "●           │            "),
    ],
)
def test_an_interval_is_drawn_where_it_lies(low: float, estimate: float, high: float, drawn: str) -> None:
    assert effects.whisker(figure(low, estimate, high), (-1.0, 1.0)) == drawn


def test_of_many_ordered_values_those_are_shown_that_as_many_people_lie_between() -> None:
    levels = [{"level": str(n), "share": 0.9 if n == 0 else 0.1 / 29, "effect": figure(-1, 0, 1)} for n in range(30)]
    shown = effects._spaced(levels)
    assert shown[0]["level"] == "0"
    assert len(shown) <= effects.MOST_LEVELS


def test_a_column_of_one_value_has_an_axis_that_can_be_read() -> None:
    """What it adds is 0 but for rounding, and so are its intervals."""
    rounding = figure(-2e-12, 0.0, 2e-12)
    levels = [{"level": "north", "share": 1.0, "effect": rounding}]
    effect = {"column": "region", "ordered": False, "matters": figure(0.0, 1e-13, 2e-12), "levels": levels}
    matter, level, *_ = effects.parts({"kind": "lookalike", "effects": [effect]})
    assert matter.header[-1] == "0 to 0.01"
    assert level.header[-1] == "-0.01 to 0.01"
