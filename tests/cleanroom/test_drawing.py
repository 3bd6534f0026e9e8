"""Learners in Python whose receipt is a room's: what may be drawn so, by whom, and what it costs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import passbox
from passbox.cleanroom import job
from passbox.cleanroom.room import Dataset
from passbox.cleanroom.samples import generated
from passbox.cleanroom.submit import submit
from passbox.dp.entry import commitment_to
from passbox.dp.ledger import Ledger
from passbox.modelling.estimators import LookalikeClassifier
from passbox.modelling.lookalike import SeedGLM
from passbox.modelling.scorer import Scorer
from passbox.policies.check import Refused

if TYPE_CHECKING:
    from .world import World

MODEL = '{ job = "model", ask = ["publisher"], recipients = ["publisher", "advertiser"] },\n]'


@pytest.fixture(scope="module")
def operated(signed: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The publisher operates the room, and models are allowed too; submitted and matched. Not to be changed."""
    folder = tmp_path_factory.mktemp("operated")
    shutil.copytree(signed.folder, folder, dirs_exist_ok=True, symlinks=True)
    world = replace(signed, folder=folder)
    text = world.contract.read_text().replace('operator = "host"', 'operator = "publisher"')
    world = world.under(text[: text.rindex("]")] + "  " + MODEL)
    sample = generated.write(3_000, 300, folder / "p", folder / "a", folder / "truth")
    for left in (*folder.glob("*.bundle"), *folder.glob("*.ids"), *folder.glob("*.made")):
        left.unlink()
    for bundle in world.prepared({"visitors": sample.publisher, "buyers": sample.advertiser}).values():
        submit(world.room(), bundle)
    job.match(world.room())
    return world


@pytest.fixture
def world(operated: World, copied: Callable[[World], World]) -> World:
    return copied(operated)


def test_a_classifiers_receipt_stands_in_the_verified_log(world: World) -> None:
    drawn = passbox.draw_from(world.room(), world.request("lookalike"))
    learner = LookalikeClassifier(unit="membership").fit_drawn(drawn)
    verified, log = world.verify(), world.log()
    entry = json.loads(log.entries[learner.receipt_.sequence])
    assert entry["key"] == learner.receipt_.key
    assert entry["commitment"] == learner.receipt_.commitment
    (paid,) = entry["charges"]
    assert paid["account"] == "advertiser/record"
    assert {each.account: each.rho for each in verified.accounts}["advertiser/record"] == paid["rho"]
    with world.room().ledger() as ledger:
        stored = ledger.paid(job.payable(world.room(), world.request("lookalike")).allowed.purchases[0])
    assert stored is not None
    assert commitment_to(learner.receipt_.nonce, stored.values) == entry["commitment"]


def test_a_second_call_draws_the_same_bytes_and_costs_nothing(world: World) -> None:
    first = passbox.draw_from(world.room(), world.request("lookalike"))
    spent, entries = world.spent(), len(world.log().entries)
    again = passbox.draw_from(world.room(), world.request("lookalike"))
    assert np.array_equal(first.sums.values, again.sums.values)
    assert first.sums.receipt == again.sums.receipt
    assert (world.spent(), len(world.log().entries)) == (spent, entries)


@pytest.mark.parametrize("drawn_first", [True, False])
def test_a_run_of_the_same_job_makes_the_same_model_of_the_same_draw(world: World, drawn_first: bool) -> None:
    request, drawn = world.request("lookalike"), None
    if drawn_first:
        drawn = passbox.draw_from(world.room(), request)
    spent = world.spent()
    ran = world.run("lookalike")
    if drawn is None:
        spent, drawn = world.spent(), passbox.draw_from(world.room(), request)
    assert world.spent() == spent
    assert drawn.people is not None
    released = Scorer.from_json(world.open(ran.release).files["model.json"].decode())
    assert SeedGLM().fit_noisy(drawn.people, drawn.sums).to_json() == released.model.to_json()
    learner = LookalikeClassifier(unit="membership").fit_drawn(drawn)
    people = world.table("visitors")
    assert np.array_equal(learner.decision_function(people), released.score(people))


def test_a_model_is_drawn_the_same_way_and_hands_out_nobody(world: World) -> None:
    drawn = passbox.draw_from(world.room(), world.request("model"))
    assert drawn.people is None
    learner = LookalikeClassifier(unit="person").fit_drawn(drawn)
    spent = world.spent()
    ran = world.run("model")
    assert world.spent() == spent
    released = Scorer.from_json(world.open(ran.release).files["model.json"].decode())
    assert learner.model_.to_json() == released.model.to_json()
    assert json.loads(world.log().entries[learner.receipt_.sequence])["kind"] == "outcome"


def test_sums_of_one_threat_model_are_not_fitted_as_the_other(world: World) -> None:
    drawn = passbox.draw_from(world.room(), world.request("lookalike"))
    with pytest.raises(ValueError, match="membership"):
        LookalikeClassifier(unit="person").fit_drawn(drawn)


def test_it_is_refused_where_the_operator_is_no_reader(matched: World, copied: Callable[[World], World]) -> None:
    """A neutral host runs the room: what is drawn would lie unsealed before somebody whom the job does not name."""
    world = copied(matched)
    spent, entries = world.spent(), len(world.log().entries)
    with pytest.raises(Refused, match="host operates the room"):
        passbox.draw_from(world.room(), world.request("lookalike"))
    assert (world.spent(), len(world.log().entries)) == (spent, entries)


def test_what_the_contract_refuses_is_refused_and_logged(world: World) -> None:
    with pytest.raises(Refused):
        passbox.draw_from(world.room(), world.request("lookalike", "advertiser"))
    assert json.loads(world.log().entries[-1])["kind"] == "denial"


def test_a_job_that_nothing_is_learnt_from_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="not learnt from"):
        passbox.draw_from(world.room(), world.request("overlap", recipients=["publisher", "advertiser"]))


def test_other_labels_change_no_byte_once_it_is_drawn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the sums of other labels are handed to the ledger as if nothing had been paid."""
    drawn = passbox.draw_from(world.room(), world.request("lookalike"))

    def other(_room: object, people: Dataset, _seed: object) -> np.ndarray:
        return np.random.default_rng(1).random(people.manifest.rows) < 0.5

    monkeypatch.setattr("passbox.cleanroom.drawing.read_match", other)
    monkeypatch.setattr(Ledger, "paid", lambda _ledger, _purchase: None)
    again = passbox.draw_from(world.room(), world.request("lookalike"))
    models = []
    for each in (drawn, again):
        assert each.people is not None
        models.append(SeedGLM().fit_noisy(each.people, each.sums).to_json())
    assert models[0] == models[1]
    assert again.encoder.to_json() == drawn.encoder.to_json()
    assert again.sums.receipt == drawn.sums.receipt
