"""Labels by randomised response, from contract to release."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.matched import read_match
from passbox.cleanroom.opening import check_signer
from passbox.cleanroom.samples import generated
from passbox.cleanroom.submit import submit
from passbox.dp.budget import EPSILON_UNIT
from passbox.dp.flip import FLIP_UNIT
from passbox.dp.labels import unpacked

if TYPE_CHECKING:
    from conftest import Copier, World

PEOPLE, SEEDS = 3_000, 300
KEPT, ASKED = 2.0, 1.5
BUYERS = "budget = { epsilon = 3.0, delta = 1e-4 }"


def under(world: World, budget: str, seeds: int = SEEDS) -> World:
    """The world under a contract whose buyers have such a budget, everything submitted and matched."""
    text = world.contract.read_text()
    assert BUYERS in text
    world.under(text.replace(BUYERS, budget))
    for left in (each for end in ("ids", "made", "bundle") for each in world.folder.glob(f"*.{end}")):
        left.unlink()
    sample = generated.write(PEOPLE, seeds, world.folder / "p", world.folder / "a", world.folder / "truth")
    for bundle in world.prepared({"visitors": sample.publisher, "buyers": sample.advertiser}).values():
        submit(world.room(), bundle)
    job.match(world.room())
    return world


@pytest.fixture(scope="module")
def keeping(signed: World, anew: Copier) -> World:
    """Not to be changed: copy it. The buyers' owner keeps ε 2 of 4 for labels."""
    return under(anew(signed), f"budget = {{ epsilon = 4.0, delta = 1e-4, responses = {KEPT} }}")


@pytest.fixture
def world(keeping: World, copied: Copier) -> World:
    return copied(keeping)


def ask(world: World, **changes: Any) -> job.Ran:
    return world.run("lookalike", **{"labels": "randomised", "epsilon": ASKED, **changes})


def labels_of(world: World, document: dict[str, Any]) -> np.ndarray:
    (entry,) = document["receipt"]["entries"]
    return unpacked(np.array(entry["values"], dtype=np.int64), document["people"])


def test_a_job_of_randomised_labels_is_charged_in_epsilon_alone_and_verifies(world: World) -> None:
    ran = ask(world)
    spent = world.spent()
    assert spent["advertiser/responses"] == round(ASKED * EPSILON_UNIT)
    assert spent["advertiser/record"] == spent["publisher/record"] == 0
    (purchase,) = ran.plan.allowed.purchases
    assert purchase.specification.flip / FLIP_UNIT == pytest.approx(1 / (1 + np.exp(ASKED)), rel=1e-10)
    assert world.verify().entries == 4  # three caps, one release
    opened = world.open(ran.release)
    check_signer(ran.release.path, opened, world.contract)
    assert opened.audience is not None
    assert opened.audience.num_rows == opened.document["audience"]["size"]  # type: ignore[index]


def test_a_replay_costs_nothing_and_gives_the_same_bytes_and_other_columns_the_same_labels(world: World) -> None:
    first = ask(world)
    before, sealed = world.spent(), first.release.path.read_bytes()
    again = ask(world)
    assert not again.charged
    assert again.release.path.read_bytes() == sealed
    other = ask(world, columns=["age", "region"])
    assert other.release.id != first.release.id
    assert world.spent() == before
    documents = [world.open(each.release).document for each in (first, other)]
    one, two = (labels_of(world, each) for each in documents)
    assert (one == two).all()
    assert len(world.log().entries) == 4


def test_labels_are_flipped_as_often_as_is_paid_for(world: World) -> None:
    """3,000 labels at ε 1.5: the share of wrong ones is within 5.2 standard deviations, but once in 5 million runs."""
    document = world.open(ask(world).release).document
    room = world.room()
    held = room.datasets()
    wrong = labels_of(world, document) != read_match(room, held["visitors"], held["buyers"])
    flip = 1 / (1 + np.exp(ASKED))
    assert abs(wrong.mean() - flip) < 5.2 * np.sqrt(flip * (1 - flip) / len(wrong))


def test_the_log_says_what_was_flipped(world: World) -> None:
    ask(world)
    entry = json.loads(world.log().entries[-1])
    spec = entry["specification"]
    assert (spec["statistic"], spec["mechanism"], spec["part"]) == ("responses@1", "randomised-response", "all")
    assert entry["charges"] == [
        {"account": "advertiser/responses", "before": 0, "dataset": "buyers", "rho": round(ASKED * EPSILON_UNIT)}
    ]
