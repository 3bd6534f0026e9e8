"""How right a lookalike is by how much is known of a person: paid for like any evaluation, and told by its release."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.matched import read_match
from passbox.cleanroom.measure import crowds, fitted, lookalike
from passbox.cleanroom.opening import check_receipt
from passbox.cleanroom.release import BadRelease
from passbox.cleanroom.samples import generated
from passbox.cleanroom.submit import submit
from passbox.cli.reports.kinds import report
from passbox.cli.show import Table
from passbox.dp.accounting import rho_within
from passbox.dp.aggregate import Statistic
from passbox.dp.budget import Budget, Delta, Epsilon
from passbox.modelling.evaluate import bin_ends
from passbox.modelling.strata import MOST_CELLS, ZONES
from passbox.policies.check import Refused
from passbox.policies.document import InvalidContract
from passbox.policies.jobs import lookalike as asked

from .spying import Drawn, spying
from .verifiers import all_accept

if TYPE_CHECKING:
    from .world import Copier, World

PEOPLE, SEEDS = 3_000, 300
KEPT = "budget = { epsilon = 4.0, delta = 1e-4, responses = 2.0 }"


def few_known(world: World) -> World:
    """Everything submitted and matched, where of most people's four columns some are missing."""
    world.under(world.contract.read_text().replace("budget = { epsilon = 3.0, delta = 1e-4 }", KEPT))
    for left in (each for end in ("ids", "made", "bundle") for each in world.folder.glob(f"*.{end}")):
        left.unlink()
    sample = generated.write(PEOPLE, SEEDS, world.folder / "p", world.folder / "a", world.folder / "truth")
    rng, table = np.random.default_rng(3), pl.read_csv(sample.publisher, infer_schema=False)
    share = rng.choice([0.0, 0.5, 1.0], table.height, p=[0.4, 0.4, 0.2])
    for name in generated.contract_columns():
        missing = pl.Series(rng.random(table.height) < share)
        table = table.with_columns(pl.when(missing).then(None).otherwise(pl.col(name)).alias(name))
    table.write_csv(sample.publisher)
    for bundle in world.prepared({"visitors": sample.publisher, "buyers": sample.advertiser}).values():
        submit(world.room(), bundle)
    job.match(world.room())
    return world


@pytest.fixture(scope="module")
def sparse(signed: World, anew: Copier) -> World:
    """Not to be changed: copy it."""
    return few_known(anew(signed))


@pytest.fixture
def world(sparse: World, copied: Copier) -> World:
    return copied(sparse)


def document_of(world: World, **changes: Any) -> dict[str, Any]:
    return dict(world.open(world.run("lookalike", **{"strata": True, **changes}).release).document)


def crowd_of(world: World) -> crowds.Crowd:
    room = world.room()
    return crowds.crowd_of(room, world.request("lookalike").job, room.datasets()["visitors"])  # type: ignore[arg-type]


def labels_of(world: World) -> np.ndarray:
    room = world.room()
    held = room.datasets()
    return np.asarray(read_match(room, held["visitors"], held["buyers"]))


def relabel(world: World, labels: np.ndarray) -> None:
    room = world.room()
    held = room.datasets()
    room.keep_match(held["visitors"], held["buyers"], labels.astype(np.uint8))


# -- what it costs, and what it gives ----------------------------------------------------------------------------------


def test_strata_cost_what_an_evaluation_does_and_verify(world: World) -> None:
    ran = world.run("lookalike", strata=True)
    delta = world.agreement.contract.dataset["buyers"].budget.budget().delta
    spent = world.spent()
    assert 0 < spent["advertiser/record"] <= rho_within(Budget(Epsilon(1.0), Delta(delta)))
    assert spent["publisher/record"] == 0
    first, second = ran.plan.allowed.purchases
    assert (first.specification.statistic, second.specification.statistic) == (asked.MOMENTS, asked.STRATA)
    assert (second.specification.cells, second.specification.l2_squared, second.charges) == (MOST_CELLS, 2**20, ())
    assert second.beside == first.key
    world.verify()


def test_three_verifiers_accept_it(world: World) -> None:
    world.run("lookalike", strata=True, learners=["glm", "naive-bayes"])
    all_accept(world)


def test_the_release_tells_each_stratum_by_how_much_is_known(world: World) -> None:
    """Sizes and columns are the owner's own, and exact. Two quarters at least are filled, but once in 10^10 splits."""
    document, crowd = document_of(world), crowd_of(world)
    known, told = crowd.known[crowd.held_out], document["by_known"]
    assert len(told) >= 2
    for each in told:
        mine = (known >= each["fewest"]) & (known <= each["most"])
        assert each["people"] == mine.sum() == sum(cell["people"] for cell in each["cells"])
        assert each["auc"]["low"] <= each["auc"]["estimate"] <= each["auc"]["high"]
    assert sum(each["people"] for each in told) == document["held_out"] == crowd.held_out.sum()


def test_the_same_job_costs_nothing_more_and_another_audience_neither(world: World) -> None:
    first = world.run("lookalike", strata=True)
    spent = world.spent()
    assert world.run("lookalike", strata=True).release.id == first.release.id
    other = world.run("lookalike", strata=True, audience={"size": 400, "least_known": 2})
    assert (other.charged, world.spent()) == (False, spent)
    assert document_of(world)["by_known"] == dict(world.open(other.release).document)["by_known"]


def test_strata_after_an_evaluation_without_are_refused_before_anything_is_paid(world: World) -> None:
    """One charge pays for one look at those held out."""
    world.run("lookalike")
    spent = world.spent()
    with pytest.raises(Refused) as caught:
        world.run("lookalike", strata=True)
    assert (caught.value.clause, world.spent()) == ("strata", spent)
    world.run("lookalike", strata=True, epsilon=0.5)
    with pytest.raises(Refused) as caught:
        world.run("lookalike", epsilon=0.5)
    assert caught.value.clause == "strata"
    world.verify()


def test_the_plan_says_how_exact_the_auc_will_be_and_why_it_is_less(world: World) -> None:
    plain, strata = (job.plan(world.room(), world.request("lookalike", strata=each)) for each in (False, True))
    assert len(strata.precision) == len(plain.precision) > 0
    assert all("strata" in each.given for each in strata.precision)
    assert any("by how many columns are known" in text for text in strata.notes)
    assert not any("known" in text for text in plain.notes)


@pytest.mark.parametrize("strata", ["yes", 1])
def test_strata_are_asked_for_by_true_or_false(world: World, strata: Any) -> None:
    with pytest.raises(InvalidContract):
        world.request("lookalike", strata=strata)


# -- its reader --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["auc", "rate", "seeds"])
def test_a_reader_computes_every_figure_again(world: World, place: str) -> None:
    document = document_of(world)
    check_receipt(Path("x"), document)
    document["by_known"][0][place]["estimate"] += 0.01
    with pytest.raises(BadRelease, match="by_known does not follow"):
        check_receipt(Path("x"), document)


@pytest.mark.parametrize("change", [{"people": 10**9}, {"zone": 7}, {"predicted": 2.0}, {"below": 10**6}, {"below": 0}])
def test_cells_that_do_not_fit_are_refused(world: World, change: dict[str, Any]) -> None:
    document = document_of(world)
    document["by_known"][0]["cells"][0] |= change
    with pytest.raises(BadRelease):
        check_receipt(Path("x"), document)


def test_the_report_shows_each_stratum_and_says_where_chance_would_do(world: World) -> None:
    document = document_of(world)
    (table,) = (
        part
        for part in report(document)
        if isinstance(part, Table) and part.header[0] == "columns known" and "people" in part.header
    )
    assert [row[1] for row in table.rows] == [f"{each['people']:,}" for each in document["by_known"]]
    lost = {"estimate": 0.5, "low": 0.4, "high": 0.6, "covers": "noise and sampling"}
    sure = {"estimate": 0.8, "low": 0.7, "high": 0.9, "covers": "noise and sampling"}
    for auc, said in ((lost, 1), (sure, 0)):
        known = [each | {"auc": auc if at == 0 else sure} for at, each in enumerate(document["by_known"])]
        words = [part for part in report(document | {"by_known": known}) if "told from chance" in str(part)]
        assert len([part for part in words if "columns are known" in str(part)]) == said
        assert all(f"least_known = {known[1]['fewest']}" in str(part) for part in words if "columns are" in str(part))


# -- who is left out ---------------------------------------------------------------------------------------------------


def test_of_whom_too_little_is_known_is_not_chosen(world: World) -> None:
    """However high it scores; the others are the best there are."""
    opened = world.open(world.run("lookalike", audience={"size": 300, "least_known": 3}).release, ids=False)
    crowd, tokens = crowd_of(world), world.table("visitors").column("token").to_numpy()
    chosen = np.isin(tokens, opened.audience.column("token").to_numpy())
    assert chosen.sum() == 300
    assert crowd.known[chosen].min() >= 3
    audience: Any = opened.document["audience"]
    assert audience["left_out"] == (crowd.known < 3).sum()
    assert 300 / crowd.design.rows < audience["reach"] < 1
    usual = world.open(world.run("lookalike").release, ids=False)
    before = np.isin(tokens, usual.audience.column("token").to_numpy())
    assert (chosen | ~before | (crowd.known < 3)).all()


def test_where_fewer_are_left_than_asked_the_audience_is_smaller(world: World) -> None:
    enough = int((crowd_of(world).known >= 4).sum())
    opened = world.open(world.run("lookalike", audience={"size": enough + 1, "least_known": 4}).release)
    audience: Any = opened.document["audience"]
    assert (audience["size"], audience["asked"]) == (enough, enough + 1)
    assert f"of {enough + 1:,} asked" in str(report(dict(opened.document)))


def test_where_too_few_are_left_there_is_no_audience_and_no_word_of_it_but_in_the_release(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many are left follows from its reader's own rows: neither a refusal nor the log may tell."""
    honest = lookalike.chosen
    monkeypatch.setattr(lookalike, "chosen", lambda *given: honest(*given[:-1], PEOPLE))
    opened = world.open(world.run("lookalike", audience={"size": 300, "least_known": 4}).release)
    audience: Any = opened.document["audience"]
    assert (audience["size"], audience["reach"], opened.audience.num_rows) == (0, 0.0, 0)
    assert audience["left_out"] == (crowd_of(world).known < 4).sum()
    assert "nobody" in str(report(dict(opened.document)))
    assert not any(json.loads(leaf)["kind"] == "denial" for leaf in world.log().entries)


def test_more_columns_than_there_are_cannot_be_known(world: World) -> None:
    with pytest.raises(Refused) as caught:
        world.run("lookalike", audience={"size": 300, "least_known": 5})
    assert caught.value.clause == "audience"
    assert world.spent()["advertiser/record"] == 0
    with pytest.raises(Refused):
        world.run("lookalike", audience={"size": 300, "least_known": 2}, columns=["age"])
    with pytest.raises(InvalidContract):
        world.request("lookalike", audience={"size": 300, "least_known": 0})


# -- labels by randomised response -------------------------------------------------------------------------------------


def test_randomised_labels_tell_it_for_nothing(world: World) -> None:
    document = document_of(world, labels="randomised", strata=False, epsilon=1.5)
    crowd = crowd_of(world)
    assert sum(each["people"] for each in document["by_known"]) == crowd.held_out.sum()
    assert (np.array([*document["cells"]]) == ".").sum() == (~crowd.held_out).sum()
    check_receipt(Path("x"), document)
    letters = [*document["cells"]]
    one, other = (letters.index(letter) for letter in sorted({*letters} - {"."})[:2])
    letters[one], letters[other] = letters[other], letters[one]
    changed = document | {"cells": "".join(letters)}
    entry = document["receipt"]["entries"][0]
    word = [int(value) for value in entry["values"]]
    labels = [(word[at // 48] >> (at % 48)) & 1 for at in (one, other)]
    if labels[0] != labels[1]:
        with pytest.raises(BadRelease):
            check_receipt(Path("x"), changed)
    with pytest.raises(BadRelease):
        check_receipt(Path("x"), document | {"cells": document["cells"].replace(letters[one], ".", 1)})


def test_randomised_labels_without_their_cells_are_no_release(world: World) -> None:
    """Whoever leaves them out could say of strata what he likes."""
    document = document_of(world, labels="randomised", strata=False, epsilon=1.5)
    forged = {name: value for name, value in document.items() if name != "cells"}
    with pytest.raises(BadRelease):
        check_receipt(Path("x"), forged)
    places = document["places"]
    another = places.replace(".", "a", 1)
    for change in ({"cells": None}, {"by_known": []}, {"places": another}):
        with pytest.raises(ValueError, match="do not go together"):
            lookalike.Lookalike.model_validate(document | change)


def test_strata_that_overlap_are_no_strata(world: World) -> None:
    document = document_of(world)
    document["by_known"][0] |= {"fewest": 99, "most": 3}
    with pytest.raises(BadRelease):
        check_receipt(Path("x"), document)


# -- secrecy -----------------------------------------------------------------------------------------------------------


def given(world: World) -> tuple[str, bytes, bytes]:
    opened = world.open(
        world.run("lookalike", strata=True, audience={"size": 300, "least_known": 1}).release, ids=False
    )
    figures = {name: value for name, value in opened.document.items() if name != "receipt"}
    return json.dumps(figures), opened.files["audience.parquet"], opened.files["model.json"]


@pytest.mark.parametrize("change", [np.zeros_like, np.logical_not])
def test_with_the_noise_held_no_label_changes_a_byte(world: World, change: Any) -> None:
    before = given(world)
    relabel(world, change(labels_of(world)))
    shutil.rmtree(world.place / "releases")
    (world.place / "releases").mkdir()
    assert given(world) == before


def test_planted_strata_made_of_labels_are_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fitted.cells_of

    def peeking(design: Any, scores: np.ndarray, tiebreak: np.ndarray) -> Any:
        seeds = labels_of(world).astype(bool)[crowd_of(world).held_out]
        return honest(design, scores + seeds, tiebreak)

    monkeypatch.setattr(fitted, "cells_of", peeking)
    with pytest.raises(AssertionError):
        test_with_the_noise_held_no_label_changes_a_byte(world, np.logical_not)


def exact_of(world: World, gone: int | None, drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """What goes into the ledger, exact, with or without one seed."""
    labels = labels_of(world).copy()
    if gone is not None:
        changed = labels.copy()
        changed[gone] = 0
        relabel(world, changed)
    with spying(monkeypatch, drawn, anew=True):
        room = world.room()
        allowed = job.plan(room, world.request("lookalike", strata=True)).allowed
        with room.ledger() as ledger:
            lookalike.LookalikeMeasure().make(room, allowed, ledger)
    relabel(world, labels)
    return {name: found[-1][1].values for name, found in drawn.exact.items()}


@pytest.mark.parametrize("part", ["train", "held-out"])
def test_one_seed_moves_one_cell_by_one_and_its_part_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    crowd, drawn = crowd_of(world), Drawn()
    mine = crowd.held_out if part == "held-out" else ~crowd.held_out
    row = int(np.flatnonzero(labels_of(world).astype(bool) & mine)[2])
    before = exact_of(world, None, drawn, monkeypatch)
    after = exact_of(world, row, drawn, monkeypatch)
    apart = np.abs(before[asked.STRATA] - after[asked.STRATA])
    assert sorted(apart[apart > 0].tolist()) == ([2**10] if part == "held-out" else [])
    assert (before[asked.MOMENTS] != after[asked.MOMENTS]).any() == (part == "train")


def test_a_planted_count_of_a_person_in_two_strata_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fitted.positives

    def greedy(crowd: Any, cells: Any, matched: np.ndarray, many: int) -> Statistic:
        once = honest(crowd, cells, matched, many)
        return Statistic(once.values + np.roll(once.values, 5), once.bits, once.l2_squared)

    monkeypatch.setattr(fitted, "positives", greedy)
    with pytest.raises(AssertionError):
        test_one_seed_moves_one_cell_by_one_and_its_part_alone(world, monkeypatch, "held-out")


def test_the_sum_over_strata_is_what_the_scores_alone_would_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = Drawn()
    counts = exact_of(world, None, drawn, monkeypatch)[asked.STRATA] >> 10
    document, crowd = document_of(world), crowd_of(world)
    zone = np.array([cell["zone"] for each in document["by_known"] for cell in each["cells"]])
    held, seeds = crowd.design.take(crowd.held_out), labels_of(world).astype(bool)[crowd.held_out]
    opened = world.open(world.run("lookalike", strata=True).release)
    scorer = fitted.Scorer.from_json(opened.files["model.json"].decode())
    best = np.lexsort((crowd.tiebreak[crowd.held_out], -scorer.model.score(held)))
    plain = np.add.reduceat(seeds[best].astype(np.int64), np.r_[0, bin_ends(held.rows, ZONES)[:-1]])
    assert np.bincount(zone, counts[: len(zone)]).tolist() == plain.tolist()
    assert not counts[len(zone) :].any()
