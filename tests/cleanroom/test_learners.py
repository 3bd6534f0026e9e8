"""Several learners in one lookalike: one price, every draw in the ledger, one look at the people held out."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import beta, norm

from passbox.cleanroom import job
from passbox.cleanroom.measure import crowds, fitted, lookalike
from passbox.cleanroom.measure.unsure import strata_of
from passbox.cleanroom.room import Room
from passbox.cli.reports.kinds import report
from passbox.cli.reports.lookalike import TREELESS
from passbox.cli.show import Bars, Curve, Table
from passbox.dp.accounting import rho_within
from passbox.dp.aggregate import Statistic
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon
from passbox.dp.entry import Purchase
from passbox.dp.ledger import Ledger
from passbox.dp.mechanisms import gaussian
from passbox.dp.noisy import Noisy
from passbox.dp.scale import SCALE_UNIT, Scale, price
from passbox.modelling.audience import choose
from passbox.modelling.scorer import Scorer
from passbox.modelling.trees import Boosted
from passbox.policies.check import Refused
from passbox.policies.document import InvalidContract
from passbox.policies.jobs import lookalike as asked

from .spying import Drawn, spying
from .verifiers import all_accept

if TYPE_CHECKING:
    from .world import World

ALL = ["glm", "naive-bayes", "boosting"]


def test_three_learners_cost_what_one_does_at_most(world: World) -> None:
    """Both draws on those who train are paid, and together they keep to the job's ε; the third is covered."""
    before = world.spent()
    ran = world.run("lookalike", learners=ALL)
    spent = world.spent()["advertiser/record"] - before["advertiser/record"]
    delta = world.agreement.contract.dataset["buyers"].budget.delta
    assert 0 < spent <= rho_within(Budget(Epsilon(1.0), Delta(delta)))
    assert world.spent()["publisher/record"] == before["publisher/record"]
    statistics = [purchase.specification.statistic for purchase in ran.plan.allowed.purchases]
    assert statistics == [asked.MOMENTS, asked.GROUPS, asked.SCORES]
    assert ran.plan.costs[0].rho == spent
    assert len(ran.plan.costs) == 1


def test_the_release_says_who_won_and_holds_that_model(world: World) -> None:
    opened = world.open(world.run("lookalike", learners=ALL).release)
    learners: Any = opened.document["learners"]
    assert [each["name"] for each in learners] == ALL
    assert [each["lead"] is None for each in learners] == [True, False, False]
    won = [each["name"] for each in learners if each["won"]]
    assert len(won) == 1
    text = opened.files["model.json"].decode()
    scorer = Scorer.from_json(text)
    assert isinstance(scorer.model, Boosted) is (won == ["boosting"])
    assert scorer.to_json() == text
    assert bool(opened.document["effects"]) is (won == ["glm"])
    assert (scorer.doubt is not None) is (won == ["glm"])


def test_boosting_alone_makes_the_audience_and_its_file_scores_alike(world: World) -> None:
    ran = world.run("lookalike", learners=["boosting"])
    opened = world.open(ran.release, ids=False)
    model = Scorer.from_json(opened.files["model.json"].decode()).model
    room = world.room()
    crowd = crowds.crowd_of(room, world.request("lookalike").job, room.datasets()["visitors"])
    tokens = world.table("visitors").column("token").to_numpy()
    best = choose(model.score(crowd.design), crowd.tiebreak, 300)
    assert opened.audience.column("token").to_pylist() == sorted(tokens[best].tolist())


def test_the_report_shows_each_learner_and_why_one_won(world: World) -> None:
    document = world.open(world.run("lookalike", learners=ALL).release).document
    tables = [part for part in report(document) if isinstance(part, Table) and part.header[0] == "learner"]
    assert [row[0].split()[0] for row in tables[0].rows] == ALL
    assert sum("won" in row[0] for row in tables[0].rows) == 1
    alone = world.open(world.run("lookalike").release).document
    assert not [part for part in report(alone) if isinstance(part, Table) and part.header[0] == "learner"]


def test_shares_of_people_are_percentages_in_a_lookalikes_report(world: World) -> None:
    parts = report(world.open(world.run("lookalike", strata=True).release).document)
    shares = ("best share", "gain: share", "rate", "model says", "came true")
    cells = {
        name: [row[at] for row in part.rows]
        for part in parts
        if isinstance(part, Table)
        for at, name in enumerate(part.header)
        if name.startswith(shares)
    }
    assert {name.split(":")[0] for name in cells} >= {
        "best share",
        "gain",
        "rate of seeds",
        "rate, shrunk",
        "model says",
    }
    assert all("%" in cell or cell == "not known" for column in cells.values() for cell in column)


def test_the_table_has_a_row_about_the_share_that_was_asked(world: World) -> None:
    """Cuts stand at some shares: the nearest."""
    document: Any = world.open(world.run("lookalike").release).document
    shares = sorted(cut["share"] for cut in document["cuts"])
    for size in (0.167 * document["people"], 0.4 * document["people"]):
        asked = document["audience"] | {"size": round(size)}
        table = next(
            part
            for part in report({**document, "audience": asked})
            if isinstance(part, Table) and part.header[0] == "best share" and "lift" in part.header
        )
        nearest = min(shares, key=lambda share: abs(share - asked["size"] / document["people"]))
        assert f"{100 * nearest:.1f}%" in [row[0] for row in table.rows]


@pytest.mark.parametrize(("high", "known"), [(1.0, False), (0.9, True)])
def test_a_lift_is_told_where_noise_does_not_leave_it_open(high: float, known: bool, world: World) -> None:
    document: Any = world.open(world.run("lookalike").release).document
    gain = {"estimate": 0.3, "low": 0.0, "high": high}
    parts = report({**document, "cuts": [{**cut, "gain": gain} for cut in document["cuts"]]})
    (table,) = (part for part in parts if isinstance(part, Table) and "lift" in part.header)
    assert {row[table.header.index("lift")] != "not known" for row in table.rows} == {known}
    assert any(isinstance(part, Bars) for part in parts) is known


def test_a_report_says_that_boosting_grew_no_tree_where_it_grew_none(world: World) -> None:
    opened = world.open(world.run("lookalike", learners=["glm", "boosting"]).release)
    document: Any = opened.document
    glm, boosting = document["learners"]
    without = {**document, "learners": [glm, {**boosting, "gain": glm["gain"]}]}
    with_trees = {
        **document,
        "learners": [glm, {**boosting, "gain": {**glm["gain"], "high": glm["gain"]["high"] + 1e-9}}],
    }
    unknown = {**document, "learners": [boosting]}
    assert [TREELESS in report(each) for each in (without, with_trees, unknown)] == [True, False, False]


def test_the_same_job_costs_nothing_more_and_gives_the_same_file(world: World) -> None:
    first = world.run("lookalike", learners=ALL)
    spent = world.spent()
    again = world.run("lookalike", learners=ALL)
    assert (again.release.id, again.charged, world.spent()) == (first.release.id, False, spent)


@pytest.mark.parametrize("draw", [1, 2])
def test_killed_between_two_draws_it_goes_on_from_what_was_stored(
    world: World, monkeypatch: pytest.MonkeyPatch, draw: int
) -> None:
    honest, paid = Ledger.pay, list[Noisy]()

    def dying(ledger: Ledger, purchase: Purchase, statistic: Statistic) -> Noisy:
        if len(paid) == draw:
            raise KeyboardInterrupt
        paid.append(honest(ledger, purchase, statistic))
        return paid[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "pay", dying)
        with pytest.raises(KeyboardInterrupt):
            world.run("lookalike", learners=ALL)
    world.run("lookalike", learners=ALL)
    entries = [entry for leaf in world.log().entries if (entry := json.loads(leaf))["kind"] == "release"]
    assert [entry["commitment"] for entry in entries[:draw]] == [noisy.receipt.commitment for noisy in paid]
    assert len(entries) == 3
    world.verify()


def test_other_learners_at_the_same_epsilon_are_refused_before_anything_is_paid(world: World) -> None:
    """The held-out histogram of the first winner would be taken for that of another."""
    world.run("lookalike", learners=ALL)
    spent = world.spent()
    with pytest.raises(Refused) as caught:
        world.run("lookalike", learners=["glm", "boosting"])
    assert (caught.value.clause, world.spent()) == ("learners", spent)
    world.run("lookalike", learners=["glm", "boosting"], epsilon=0.5)
    world.run("lookalike")
    world.verify()


def test_three_verifiers_accept_it(world: World) -> None:
    world.run("lookalike", learners=ALL)
    all_accept(world)


def test_boosting_of_too_many_columns_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "MOST_BOOSTED", 2)
    with pytest.raises(Refused) as caught:
        world.run("lookalike", learners=ALL)
    assert caught.value.clause == "learners"
    world.run("lookalike", learners=["glm", "naive-bayes"])


@pytest.mark.parametrize("learners", [[], ["glm", "glm"], ["dp-gam"]])
def test_a_learner_is_known_and_named_once(world: World, learners: list[str]) -> None:
    with pytest.raises(InvalidContract):
        world.request("lookalike", learners=learners)


# -- secrecy -----------------------------------------------------------------------------------------------------------


def relabel(room: Room, labels: np.ndarray) -> None:
    held = room.datasets()
    room.keep_match(held["visitors"], held["buyers"], labels.astype(np.uint8))


def labels_of(room: Room) -> np.ndarray:
    held = room.datasets()
    return np.asarray(job.read_match(room, held["visitors"], held["buyers"]))


@pytest.mark.parametrize("change", [np.zeros_like, np.logical_not])
def test_with_the_noise_held_no_label_changes_who_wins_or_who_is_chosen(world: World, change: Any) -> None:
    def given() -> tuple[object, bytes, bytes]:
        opened = world.open(world.run("lookalike", learners=ALL).release, ids=False)
        return opened.document["learners"], opened.files["audience.parquet"], opened.files["model.json"]

    before = given()
    relabel(world.room(), change(labels_of(world.room())))
    shutil.rmtree(world.place / "releases")
    (world.place / "releases").mkdir()
    assert given() == before


def moved(world: World, row: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """How far one matched person who leaves the seed moves each statistic, over what its specification says."""
    labels, drawn = labels_of(world.room()), Drawn()
    for gone in (False, True):
        changed = labels.copy()
        changed[row] &= not gone
        relabel(world.room(), changed)
        with spying(monkeypatch, drawn, anew=True):
            room = world.room()
            allowed = job.plan(room, world.request("lookalike", learners=ALL)).allowed
            with room.ledger() as ledger:
                lookalike.LookalikeMeasure().make(room, allowed, ledger)
    return {
        name: sum(int(a - b) ** 2 for a, b in zip(one.values, other.values, strict=True))
        / purchase.specification.l2_squared
        for name, ((purchase, one), (_, other)) in drawn.exact.items()
    }


@pytest.mark.parametrize("part", ["train", "held-out"])
def test_one_seed_moves_its_part_alone_and_no_farther_than_was_paid(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    room = world.room()
    crowd = crowds.crowd_of(room, world.request("lookalike").job, room.datasets()["visitors"])
    mine = crowd.held_out if part == "held-out" else ~crowd.held_out
    row = int(np.flatnonzero(labels_of(room).astype(bool) & mine)[3])
    found = moved(world, row, monkeypatch)
    training = [found[asked.MOMENTS], found[asked.GROUPS]]
    if part == "held-out":
        assert training == [0, 0]
        assert found[asked.SCORES] == 1
    else:
        assert 0 < training[0] <= 1
        assert training[1] == 1
        assert found[asked.SCORES] == 0


def test_a_planted_count_of_a_seed_in_two_groups_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fitted.in_groups

    def greedy(crowd: Any, dealt: np.ndarray, matched: np.ndarray) -> Statistic:
        once, again = honest(crowd, dealt, matched), honest(crowd, dealt[::-1].copy(), matched)
        return Statistic(once.values + again.values, once.bits, once.l2_squared)

    monkeypatch.setattr(fitted, "in_groups", greedy)
    with pytest.raises(AssertionError):
        test_one_seed_moves_its_part_alone_and_no_farther_than_was_paid(world, monkeypatch, "train")


def test_a_planted_choice_on_the_people_held_out_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts that take in the held-out, to choose better, let one of their seeds move two parts."""

    def peeking(crowd: Any, dealt: np.ndarray, matched: np.ndarray) -> Statistic:
        counts = fitted.histogram(dealt, matched[~crowd.held_out], fitted.MOST_GROUPS)
        counts.values[0] += int(matched[crowd.held_out].sum()) << counts.bits
        return counts

    monkeypatch.setattr(fitted, "in_groups", peeking)
    with pytest.raises(AssertionError):
        test_one_seed_moves_its_part_alone_and_no_farther_than_was_paid(world, monkeypatch, "held-out")


# -- what draws prove --------------------------------------------------------------------------------------------------

ALARM, DRAWS, LEAST = 1e-6, 16_000, 0.8
"""How often the bound may be too high; draws in either world; what it must reach of the μ that is paid for."""


def proven(purchases: Sequence[Purchase]) -> float:
    """A lower bound on μ of the draws that one training seed moves, all it may: the best test between two worlds.

    Each draw is laid along the difference that the seed makes, over its variance, and they are added up. The bound
    (Dong, Roth, Su 2022) follows from both error rates (Clopper-Pearson).
    """
    errors = []
    for guilty in (False, True):
        evidence = np.zeros(DRAWS)
        for purchase in purchases:
            spec = purchase.specification
            move, scale = math.isqrt(spec.l2_squared), spec.scale / SCALE_UNIT
            exact = np.full(DRAWS, move * guilty, dtype=np.int64)
            noisy = gaussian(exact, spec.l2_squared, spec.scale, price(spec.l2_squared, spec.scale))
            evidence += move * (noisy - move / 2) / scale**2
        errors.append(int((evidence <= 0).sum() if guilty else (evidence > 0).sum()))
    alpha, missed = (float(beta.ppf(1 - ALARM / 2, count + 1, DRAWS - count)) for count in errors)
    return float(norm.ppf(1 - alpha) - norm.ppf(missed))


def test_moments_and_counts_together_are_worth_what_the_job_pays(world: World) -> None:
    """Too much: once in a million runs. Too little: the bound lies at .90 μ on average, with a deviation of .013."""
    first, second, _ = job.plan(world.room(), world.request("lookalike", learners=ALL, epsilon=4.0)).allowed.purchases
    assert LEAST < proven([first, second]) / mu_of(world) <= 1


def test_counts_drawn_as_if_they_had_the_whole_price_are_caught(world: World) -> None:
    first, second, _ = job.plan(world.room(), world.request("lookalike", learners=ALL, epsilon=4.0)).allowed.purchases
    greedy = replace(second.specification, scale=Scale(second.specification.scale // 2))
    assert proven([first, replace(second, specification=greedy)]) / mu_of(world) > 1


def mu_of(world: World) -> float:
    delta = world.agreement.contract.dataset["buyers"].budget.delta
    return math.sqrt(2 * rho_within(Budget(Epsilon(4.0), Delta(delta))) / RHO_UNIT)


@pytest.mark.parametrize("learners", [["glm"], ALL])
def test_the_report_draws_the_curves_and_says_what_they_cost(world: World, learners: list[str]) -> None:
    before = world.spent()["advertiser/record"]
    document = world.open(world.run("lookalike", learners=learners).release).document
    rho = (world.spent()["advertiser/record"] - before) / RHO_UNIT
    parts = report(document)
    assert [part.title for part in parts if isinstance(part, Curve)] == ["ROC", "precision and recall"]
    (table,) = (part for part in parts if isinstance(part, Table) and "rate of seeds in it" in part.header)
    assert all("[" in row[2] or row[2] == "not known" for row in table.rows)  # the best 12 people: noise alone decides
    assert "[" in table.rows[-1][2]
    (said,) = (part for part in parts if isinstance(part, str) and part.startswith("cost: "))
    paid = [float(each) for each in re.findall(r"ρ (\S+) of advertiser/record", said)]
    assert len(paid) == (1 if learners == ["glm"] else 2)
    assert sum(paid) == pytest.approx(rho, rel=0.01)
    assert said.count("is covered by that") == 1


def test_the_release_says_how_sure_scores_are_by_how_much_is_known(world: World) -> None:
    """Without another draw: what the model's own file gives for the same people."""
    document: Any = world.open(world.run("lookalike").release).document
    scorer = Scorer.from_json(world.open(world.run("lookalike").release).files["model.json"].decode())
    crowd = crowds.crowd_of(world.room(), world.request("lookalike").job, world.room().datasets()["visitors"])
    held = crowd.design.take(crowd.held_out)
    assert sum(each["people"] for each in document["strata"]) == document["held_out"] == held.rows
    assert document["strata"] == strata_of(scorer, held)
    parts = report(document)
    (table,) = (part for part in parts if isinstance(part, Table) and part.header[0] == "known columns")
    assert [int(row[1].replace(",", "")) for row in table.rows] == [each["people"] for each in document["strata"]]


def test_where_scores_are_no_surer_than_chance_the_report_says_so(world: World) -> None:
    document: Any = world.open(world.run("lookalike").release).document
    known = {"fewest": 1, "most": 1, "people": 9}
    for spread, told in ((0.4, True), (0.5, False)):
        strata = [{**known, "spread": spread, "doubt": 0.45}]
        tables = [part for part in report(document | {"strata": strata}) if isinstance(part, Table)]
        (table,) = (each for each in tables if each.header[0] == "known columns")
        assert any("hardly" in cell for cell in table.rows[0]) is told


def test_trees_do_not_say_how_sure_they_are(world: World) -> None:
    assert world.open(world.run("lookalike", learners=["boosting"]).release).document["strata"] == []
