"""A lookalike of a wide table: in a room too it is fitted by the learner for wide tables, at the price of any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from passbox.cleanroom.job import match
from passbox.cleanroom.measure import crowds, fitted
from passbox.cli.reports.kinds import report
from passbox.modelling.lookalike import SeedGLM
from passbox.modelling.scorer import Scorer
from passbox.modelling.wide import MOST_CELLS, WideGLM

if TYPE_CHECKING:
    from .world import World

VALUES = [f"v{i}" for i in range(150)]
COLUMNS = [f"c{i}" for i in range(18)]


@pytest.fixture
def wide(world: World) -> World:
    """18 columns of 150 values: 2,718 cells. Seeds are those with a low value in the first column, and some others."""
    visitors, rng = world.table("visitors"), np.random.default_rng(7)
    codes = {name: rng.integers(0, len(VALUES), visitors.num_rows) for name in COLUMNS}
    keys = visitors.select(["k", "k2"])
    seeds = keys.filter(pa.array((codes["c0"] < 25) & (rng.random(visitors.num_rows) < 0.6)))
    text = world.contract.read_text()
    kept = [line for line in text.splitlines() if not line.startswith("columns.")]
    at = next(i for i, line in enumerate(kept) if line.startswith("[dataset.buyers]"))
    declared = [f'columns.{name} = {{ kind = "category", values = {VALUES} }}' for name in COLUMNS]
    world = world.under("\n".join([*kept[:at], *declared, *kept[at:]]))
    table = visitors.select(["k", "k2", "token"])
    for name in COLUMNS:
        table = table.append_column(name, pa.array(np.array(VALUES)[codes[name]]))
    world.submit("visitors", table)
    world.submit("buyers", seeds)
    match(world.room())
    return world


@pytest.fixture
def never_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise AssertionError("a curvature of all cells at once was asked for")

    monkeypatch.setattr(SeedGLM, "fit_sums", refused)


@pytest.mark.usefixtures("never_narrow")
def test_a_wide_job_is_fitted_by_the_learner_for_wide_tables(wide: World) -> None:
    ran = wide.run("lookalike", epsilon=2.0)
    opened = wide.open(ran.release, ids=False)
    room = wide.room()
    crowd = crowds.crowd_of(room, wide.request("lookalike").job, room.datasets()["visitors"])
    assert crowd.training.cells > MOST_CELLS
    with room.ledger() as ledger:
        sums = ledger.paid(ran.plan.allowed.purchases[0])
    assert sums is not None
    again = WideGLM().fit_noisy(crowd.training, fitted.used(crowd.training, sums))
    scorer = Scorer.from_json(opened.files["model.json"].decode())
    assert scorer.model.to_json() == again.to_json()
    wide.verify()


@pytest.mark.usefixtures("never_narrow")
def test_learners_of_a_wide_job_are_compared_with_it_too(wide: World) -> None:
    opened = wide.open(wide.run("lookalike", learners=["glm", "naive-bayes"]).release, ids=False)
    assert [each["name"] for each in opened.document["learners"]] == ["glm", "naive-bayes"]  # type: ignore[attr-defined]


def test_a_wide_job_says_that_no_effects_are_told_and_one_of_fewer_columns_tells_them(wide: World) -> None:
    document: Any = wide.open(wide.run("lookalike", epsilon=1.0).release, ids=False).document
    assert (document["effects"], document["wide"]) == ([], True)
    assert any("which columns matter is not said" in part for part in report(document) if isinstance(part, str))
    fewer: Any = wide.open(wide.run("lookalike", epsilon=1.0, columns=["c0", "c1"]).release, ids=False).document
    assert ({each["column"] for each in fewer["effects"]}, fewer.get("wide")) == ({"c0", "c1"}, None)
    assert not any("is not said" in part for part in report(fewer) if isinstance(part, str))
