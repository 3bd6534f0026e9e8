"""How right a model is by how much is known of a person: sizes are secret, and all of it is paid for as before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.matched import read_match
from passbox.cleanroom.measure import model as measure
from passbox.cleanroom.opening import check_receipt
from passbox.cleanroom.release import BadRelease
from passbox.cli.reports.kinds import report
from passbox.cli.show import Table
from passbox.dp.aggregate import Statistic
from passbox.modelling.grid import BINS, FEW_BINS
from passbox.modelling.strata_noisy import places
from passbox.policies.check import Refused
from passbox.policies.jobs.model import FIT, SCORES

from .test_strata import few_known
from .verifiers import all_accept

if TYPE_CHECKING:
    from .world import Copier, World

BOTH = ["publisher", "advertiser"]
COLUMNS = 4


@pytest.fixture(scope="module")
def sparse(signed: World, anew: Copier) -> World:
    """People of whom some columns are missing, under a contract that allows models. Not to be changed: copy it."""
    world = anew(signed)
    allow = '{ job = "model", ask = ["publisher", "advertiser"], recipients = ["publisher", "advertiser"] },\n]'
    text = world.contract.read_text()
    world.contract.write_text(text[: text.rindex("]")] + "  " + allow + text[text.rindex("]") + 1 :])
    return few_known(world)


@pytest.fixture
def world(sparse: World, copied: Copier) -> World:
    return copied(sparse)


def document_of(world: World, **changes: Any) -> dict[str, Any]:
    asked = {"recipients": BOTH, "strata": True, **changes}
    return dict(world.open(world.run("model", **asked).release).document)


def planned(world: World, strata: bool) -> job.Plan:
    return job.plan(world.room(), world.request("model", recipients=BOTH, strata=strata))


def test_strata_cost_what_an_evaluation_does_and_three_verifiers_accept_them(world: World) -> None:
    without = planned(world, strata=False).allowed.purchases
    ran = world.run("model", recipients=BOTH, strata=True)
    first, second = ran.plan.allowed.purchases
    assert (first.specification.statistic, second.specification.statistic) == (FIT, SCORES)
    assert second.specification.cells == 2 * places(COLUMNS) == 2 * 4 * FEW_BINS
    assert (second.specification.l2_squared, second.charges, second.beside) == (2**21, (), first.key)
    assert without[0].key == first.key
    assert without[1].key != second.key
    all_accept(world)


def test_the_release_tells_each_stratum_and_the_report_shows_it(world: World) -> None:
    document = document_of(world)
    told = document["by_known"]
    assert told[0]["fewest"] == 0
    assert told[-1]["most"] == COLUMNS
    assert [a["most"] + 1 for a in told[:-1]] == [b["fewest"] for b in told[1:]]
    assert len(document["ends"]) == FEW_BINS - 1
    tables = [part for part in report(document) if isinstance(part, Table)]
    (aucs,) = [each for each in tables if each.title.startswith("how right, by how much is known")]
    assert [str(row[0])[-1] for row in aucs.rows] == [str(each["most"]) for each in told]
    (calibrated,) = [each for each in tables if each.title.startswith("calibration")]
    assert len(calibrated.rows) == FEW_BINS
    assert calibrated.rows[0][0] == f"above {document['ends'][0]:.1%}"


def test_without_strata_calibration_is_told_of_all_bins(world: World) -> None:
    document = document_of(world, strata=False)
    assert len(document["ends"]) == BINS - 1
    assert "by_known" not in document


def test_the_same_job_costs_nothing_more_and_one_without_strata_is_refused(world: World) -> None:
    """One charge pays for one look at those held out."""
    document_of(world)
    spent = world.spent()
    document_of(world)
    assert world.spent() == spent
    with pytest.raises(Refused) as caught:
        world.run("model", recipients=BOTH)
    assert (caught.value.clause, world.spent()) == ("strata", spent)


def test_the_plan_says_that_figures_of_all_people_are_less_exact(world: World) -> None:
    allowed = [planned(world, strata).allowed for strata in (False, True)]
    wide = [[one.half for one in measure.ModelMeasure().precision(world.room(), each)] for each in allowed]
    assert wide[1][-1] > wide[0][-1]
    said = measure.ModelMeasure().said(world.room(), allowed[1])
    assert any("counted in 4 groups by how many columns are known" in each for each in said)


@pytest.mark.parametrize("place", ["auc", "by_known"])
def test_a_reader_computes_every_figure_again(world: World, place: str) -> None:
    ran = world.run("model", recipients=BOTH, strata=True)
    document = dict(world.open(ran.release).document)
    check_receipt(ran.release.path, document)
    figure: Any = document[place] if place == "auc" else document[place][0]["auc"]
    figure["estimate"] += 0.01
    with pytest.raises(BadRelease, match=f"{place} does not follow"):
        check_receipt(ran.release.path, document)


@pytest.mark.parametrize("change", [{"ends": [0.5]}, {"ends": []}, {"by_known": []}])
def test_strata_that_do_not_fit_are_refused(world: World, change: dict[str, Any]) -> None:
    ran = world.run("model", recipients=BOTH, strata=True)
    with pytest.raises(BadRelease):
        check_receipt(ran.release.path, {**world.open(ran.release).document, **change})


def test_a_number_of_columns_that_is_none_is_no_reason_to_count_so_far(world: World) -> None:
    """How many columns there are says the entry, not who sent the release."""
    ran = world.run("model", recipients=BOTH, strata=True)
    document = dict(world.open(ran.release).document)
    known: Any = document["by_known"]
    known[-1]["most"] = 2**53 - 1
    with pytest.raises(BadRelease, match="by_known does not follow"):
        check_receipt(ran.release.path, document)


@pytest.mark.parametrize("ends", [[1.0, 0.5], [0.5, 0.0], [0.4, 0.5]])
def test_ends_that_are_none_are_no_release(world: World, ends: list[float]) -> None:
    document = document_of(world)
    with pytest.raises(ValueError, match="rates and ends"):
        measure.ModelRelease.model_validate({**document, "ends": [*ends, *document["ends"][2:]]})


def test_one_column_has_no_strata(world: World) -> None:
    """Two groups of eight bins would be as many counts as sixteen bins of everybody."""
    with pytest.raises(Refused, match="one column") as caught:
        world.run("model", recipients=BOTH, strata=True, columns=["region"])
    assert caught.value.clause == "strata"


# -- what one record moves ---------------------------------------------------------------------------------------------


def test_histograms_are_of_each_stratum_and_one_record_is_in_one_count(world: World) -> None:
    """Real rows, exact counts: a person is counted by its own columns and label alone."""
    room = world.room()
    asked: Any = world.request("model", recipients=BOTH, strata=True).job
    crowd = measure.crowd_of(room, asked, room.datasets()["visitors"])
    held, known = crowd.held_out, crowd.known[crowd.held_out]
    matched = np.asarray(read_match(room, room.datasets()["visitors"], room.datasets()["buyers"]))[held]
    cells = measure.placed(np.zeros(len(known), dtype=np.int64), known, COLUMNS)
    made = measure.histograms(cells, matched, places(COLUMNS))
    assert isinstance(made, Statistic)
    assert made.l2_squared == 2**21
    counts = (made.values >> 10).reshape(2, 4, FEW_BINS)
    assert counts.sum() == held.sum()
    assert (counts[:, :, 0].sum(axis=0) == np.bincount(known * 4 // (COLUMNS + 1), minlength=4)).all()
    turned = matched.copy()
    turned[5] = ~turned[5]
    moved = measure.histograms(cells, turned, places(COLUMNS)).values - made.values
    assert (moved**2).sum() == made.l2_squared
    gone = np.arange(len(known)) != 7
    moved = measure.histograms(cells[gone], matched[gone], places(COLUMNS)).values - made.values
    assert (moved**2).sum() == 2**20
