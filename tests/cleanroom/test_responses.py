"""Labels by randomised response: of a lookalike, from contract to release."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.asking import largest_ever, refusal
from passbox.cleanroom.audit import verify_log
from passbox.cleanroom.log import read_log, write_log
from passbox.cleanroom.matched import read_match
from passbox.cleanroom.measure import fitted, lookalike, responses
from passbox.cleanroom.opening import check_signer
from passbox.cleanroom.plan import Unaffordable, plan
from passbox.cleanroom.processing import processing_csv
from passbox.cleanroom.recovery import recover, state_loss
from passbox.cleanroom.release import BadRelease
from passbox.cleanroom.samples import generated
from passbox.cleanroom.statement import Filter, NotAnEntry, shown, statement
from passbox.cleanroom.submit import submit
from passbox.cli.app import run as cli
from passbox.dp.budget import EPSILON_UNIT
from passbox.dp.canonical import canonical
from passbox.dp.flip import FLIP_UNIT, Flip, least_flip
from passbox.dp.labels import unpacked
from passbox.dp.ledger import Ledger
from passbox.policies.agreement import Agreement, signature_path
from passbox.policies.check import Refused
from passbox.policies.contract import parse
from passbox.policies.jobs.lookalike import LookalikeJob
from passbox.policies.sign import sign

if TYPE_CHECKING:
    from .world import Copier, World

PEOPLE, SEEDS = 3_000, 300
KEPT, ASKED = 2.0, 1.5
UNITS = round(ASKED * EPSILON_UNIT)
BUYERS = "budget = { epsilon = 3.0, delta = 1e-4 }"
KEEPING = f"budget = {{ epsilon = 4.0, delta = 1e-4, responses = {KEPT} }}"
ACCOUNT = "advertiser/responses"


def under(world: World, *changes: tuple[str, str]) -> World:
    """The world under a contract with such changes, everything submitted and matched."""
    text = world.contract.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    world.under(text)
    for left in (each for end in ("ids", "made", "bundle") for each in world.folder.glob(f"*.{end}")):
        left.unlink()
    sample = generated.write(PEOPLE, SEEDS, world.folder / "p", world.folder / "a", world.folder / "truth")
    for bundle in world.prepared({"visitors": sample.publisher, "buyers": sample.advertiser}).values():
        submit(world.room(), bundle)
    job.match(world.room())
    return world


@pytest.fixture(scope="module")
def keeping(signed: World, anew: Copier) -> World:
    """Not to be changed: copy it. The buyers' owner keeps ε 2 of 4 for labels."""
    return under(anew(signed), (BUYERS, KEEPING))


@pytest.fixture
def world(keeping: World, copied: Copier) -> World:
    return copied(keeping)


@pytest.fixture(scope="module")
def asked(keeping: World, anew: Copier) -> World:
    """Not to be changed: copy it. The same after a job of labels."""
    world = anew(keeping)
    ask(world)
    return world


@pytest.fixture
def used(asked: World, copied: Copier) -> World:
    return copied(asked)


def ask(world: World, **changes: Any) -> job.Ran:
    return world.run("lookalike", **{"labels": "randomised", "epsilon": ASKED, **changes})


def labels_of(document: dict[str, Any]) -> np.ndarray:
    (entry,) = document["receipt"]["entries"]
    return unpacked(np.array(entry["values"], dtype=np.int64), document["people"])


def exact_of(world: World) -> np.ndarray:
    room = world.room()
    held = room.datasets()
    return read_match(room, held["visitors"], held["buyers"])


def test_a_job_of_randomised_labels_is_charged_in_epsilon_alone_and_verifies(world: World) -> None:
    ran = ask(world)
    assert world.spent() == {ACCOUNT: UNITS, "advertiser/record": 0, "publisher/record": 0}
    (purchase,) = ran.plan.allowed.purchases
    assert purchase.specification.flip / FLIP_UNIT == pytest.approx(1 / (1 + np.exp(ASKED)), rel=1e-10)
    assert world.verify().entries == 4  # three caps, one release
    opened = world.open(ran.release)
    check_signer(ran.release.path, opened, world.contract)
    assert opened.audience is not None
    assert opened.audience.num_rows == opened.document["audience"]["size"]  # type: ignore[index]


def test_what_is_printed_of_a_release_is_no_longer_for_more_people(
    used: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The letters of each person are in release.json, where whoever recomputes figures finds them."""
    release = ask(used).release
    document = used.open(release).document
    words = ["--key", str(used.folder / "publisher.keys"), "--out", str(tmp_path / "audience.csv")]
    assert cli(["release", "open", str(release.path), *words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert document.keys() - printed.keys() == {"places", "cells"}
    assert not [name for name, value in printed.items() if isinstance(value, str) and len(value) >= PEOPLE]


def test_a_run_says_how_far_it_has_come_by_stages(world: World) -> None:
    told: list[tuple[int, int]] = []
    room = replace(world.room(), progress=lambda done, of: told.append((done, of)))
    job.run(room, world.request("lookalike", labels="randomised", epsilon=ASKED))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_replay_costs_nothing_and_gives_the_same_bytes_and_other_columns_the_same_labels(used: World) -> None:
    first, before = ask(used), used.spent()
    assert not first.charged
    sealed = first.release.path.read_bytes()
    first.release.path.unlink()
    document = used.open(ask(used).release).document
    assert {name: each for name, each in document.items() if name != "receipt"} == {
        name: each for name, each in used.open(ask(used).release).document.items() if name != "receipt"
    }
    other = ask(used, columns=["age", "region"], audience={"size": 400})
    assert other.release.id != first.release.id
    assert used.spent() == before
    assert (labels_of(used.open(other.release).document) == labels_of(document)).all()
    assert len(used.log().entries) == 4
    assert sealed


def test_another_epsilon_is_another_draw(used: World) -> None:
    first = used.open(ask(used).release).document
    second = used.open(ask(used, epsilon=0.5).release).document
    assert used.spent()[ACCOUNT] == 2 * EPSILON_UNIT
    apart = (labels_of(first) != exact_of(used)) & (labels_of(second) != exact_of(used))
    both = 1 / (1 + math.exp(1.5)) / (1 + math.exp(0.5))
    assert abs(apart.mean() - both) < 5.2 * math.sqrt(both * (1 - both) / len(apart))  # once in 5 million runs


def test_labels_are_flipped_as_often_as_is_paid_for(used: World) -> None:
    """3,000 labels at ε 1.5: the share of wrong ones is within 5.2 standard deviations, but once in 5 million runs."""
    wrong = labels_of(used.open(ask(used).release).document) != exact_of(used)
    flip = 1 / (1 + np.exp(ASKED))
    assert abs(wrong.mean() - flip) < 5.2 * np.sqrt(flip * (1 - flip) / len(wrong))


def test_the_log_says_what_was_flipped(used: World) -> None:
    entry = json.loads(used.log().entries[-1])
    spec = entry["specification"]
    assert (spec["statistic"], spec["mechanism"], spec["part"]) == ("responses@1", "randomised-response", "all")
    assert (spec["scale"], spec["scale_unit"]) == (least_flip(UNITS, 1), f"1/{2**52}")
    assert entry["charges"] == [{"account": ACCOUNT, "before": 0, "dataset": "buyers", "rho": UNITS}]


def test_under_a_rule_that_moves_two_people_each_label_has_half_of_epsilon(signed: World, copied: Copier) -> None:
    kinds = ('identifiers.email = "raw"', 'identifiers = { email = "raw", phone = "raw" }\ncountry = "none"')
    keys = ('keys = ["email"]', 'keys = ["email", "phone"]'), ('"uid2@1"', '"uid2@1"\nscheme.phone = "plain@1"')
    world = copied(signed)
    text = world.contract.read_text()
    for old, new in (*keys, ('rule = "own-best"', 'rule = "any"'), kinds, (BUYERS, KEEPING)):
        assert old in text
        text = text.replace(old, new)
    world.under(text)
    request = world.request("lookalike", labels="randomised", epsilon=ASKED)
    moved = request.job.rows_moved(world.agreement.contract)
    assert moved == 2
    manifests = dict.fromkeys(("visitors", "buyers"), "ab" * 32)
    (purchase,) = lookalike_purchases(world, request, manifests)
    assert purchase.specification.flip / FLIP_UNIT == pytest.approx(1 / (1 + math.exp(ASKED / 2)), rel=1e-10)
    assert purchase.charges[0].rho == UNITS


def lookalike_purchases(world: World, request: Any, manifests: dict[str, str]) -> Any:
    from passbox.cleanroom.measure.kinds import shape_of
    from passbox.policies.price import purchases

    return purchases(world.agreement, request, manifests, shape_of)


# -- what is made of labels ------------------------------------------------------------------------------------------


def test_with_the_labels_held_no_match_changes_a_byte(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model, the audience and the evaluation follow from what was paid for: in a room where nobody, or everybody
    matches, a job that was paid for before makes the same of it."""
    made, people = [], len(exact_of(used))
    for fill in (None, False, True):
        if fill is not None:
            monkeypatch.setattr(lookalike, "read_match", lambda *_, fill=fill: np.full(people, fill))
        room = used.room()
        allowed = plan(room, used.request("lookalike", labels="randomised", epsilon=ASKED)).allowed
        with room.ledger() as ledger:
            made.append(lookalike.LookalikeMeasure().make(room, allowed, ledger).contents)
    assert made[0].values == made[1].values == made[2].values
    assert made[0].files == made[1].files == made[2].files


def test_the_planted_fault_that_learns_from_exact_labels_is_caught(
    used: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above fails where a model is fitted to labels before they were flipped."""
    exact, real = exact_of(used), fitted.learn

    def peeking(design: Any, ordered: Any, flipped: np.ndarray, flip: float) -> Any:
        seen = lookalike.read_match(used.room(), *(used.room().datasets()[n] for n in ("visitors", "buyers")))
        crowd_size = len(flipped)
        return real(design, ordered, seen[:crowd_size], flip)

    monkeypatch.setattr(fitted, "learn", peeking)
    made = []
    for match in (exact, np.zeros_like(exact)):
        monkeypatch.setattr(lookalike, "read_match", lambda *_, match=match: match)
        room = used.room()
        allowed = plan(room, used.request("lookalike", labels="randomised", epsilon=ASKED)).allowed
        with room.ledger() as ledger:
            made.append(lookalike.LookalikeMeasure().make(room, allowed, ledger).contents)
    assert made[0].files != made[1].files


def test_whoever_owns_the_people_has_their_labels_by_own_id(used: World) -> None:
    """The same labels that the ledger committed to, for learners of its own."""
    opened = used.open(ask(used).release)
    assert opened.labels is not None
    assert set(opened.labels.column_names) == {"visitor_id", "label"}
    room = used.room()
    tokens = room.read(room.datasets()["visitors"], ["token"]).column("token").to_numpy()
    by_token = used.open(ask(used).release, ids=False).labels
    assert by_token is not None
    order = np.argsort(tokens)
    assert (by_token.column("token").to_numpy() == tokens[order]).all()
    assert (by_token.column("label").to_numpy() == labels_of(dict(opened.document))[order]).all()
    assert opened.labels.num_rows == opened.document["people"] == len(tokens)


def test_labels_that_are_not_those_of_the_receipt_are_refused(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room that hands out other labels than it paid for: one more yes shows; which is whose is the room's word."""
    real = lookalike.labelled

    def one_more(tokens: np.ndarray, labels: np.ndarray) -> bytes:
        other = labels.copy()
        other[np.flatnonzero(~labels)[0]] = True
        return real(tokens, other)

    monkeypatch.setattr(lookalike, "labelled", one_more)
    ran = ask(used, columns=["age"])
    with pytest.raises(BadRelease, match="not a whole release"):
        used.open(ran.release)


TAMPERED: dict[str, Callable[[dict[str, Any]], object]] = {
    "a better AUC": lambda d: d["auc"].update(estimate=0.99),
    "more seeds": lambda d: d["positives"].update(estimate=d["positives"]["estimate"] + 1),
    "a person moved to the best bin": lambda d: d.update(places="a" + d["places"][1:].replace("a", "b", 1)),
    "a person less": lambda d: d.update(places=d["places"][:-1]),
    "nobody held out": lambda d: d.update(places="." * len(d["places"])),
    "no places": lambda d: d.pop("places"),
    "more people": lambda d: d.update(people=d["people"] + 1),
    "another label": lambda d: d["receipt"]["entries"][0]["values"].__setitem__(
        0, d["receipt"]["entries"][0]["values"][0] ^ 1
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_release_that_does_not_follow_from_its_labels_is_caught(used: World, what: str) -> None:
    from passbox.cleanroom.opening import check_receipt

    ran = ask(used)
    document: dict[str, Any] = json.loads(json.dumps(used.open(ran.release).document))
    check_receipt(ran.release.path, document)
    TAMPERED[what](document)
    with pytest.raises(BadRelease):
        check_receipt(ran.release.path, document)


def test_the_interval_of_an_auc_holds_what_exact_labels_give(used: World) -> None:
    """Within three half widths: 5.9 standard deviations, a false alarm once in 10^8."""
    document = used.open(ask(used).release).document
    held = np.frombuffer(document["places"].encode(), dtype=np.uint8)  # type: ignore[attr-defined]
    seen, cell = exact_of(used), held.astype(np.int64) - ord("a")
    totals = np.bincount(cell[held != ord(".")])
    from passbox.modelling.evaluate import exact

    truth = exact(np.bincount(cell[(held != ord(".")) & seen], minlength=len(totals)), totals).auc.estimate
    auc: Any = document["auc"]
    assert abs(truth - auc["estimate"]) < 1.5 * (auc["high"] - auc["low"])


# -- plan, refusals, books -------------------------------------------------------------------------------------------


def test_a_plan_says_what_labels_cost_and_the_largest_that_fits(used: World) -> None:
    planned = plan(used.room(), used.request("lookalike", labels="randomised", epsilon=0.25))
    (cost,) = planned.costs
    assert (cost.spent, cost.spent_after, cost.cap, cost.largest_after) == (1.5, 1.75, 2.0, 0.25)
    assert planned.largest == 0.5
    assert planned.worst_case[0] == (0.25, pytest.approx(1 / (1 + math.exp(-0.25))))
    assert any("every label is wrong with probability 0.4378" in said for said in planned.notes)
    assert all(row.half > 0 for row in planned.precision)
    with pytest.raises(Unaffordable) as short:
        ask(used, epsilon=0.6)
    assert "has spent ε 1.5 of 2 for labels" in short.value.message
    assert used.verify().denials == 1
    ask(used, epsilon=0.5)
    assert used.spent()[ACCOUNT] == 2 * EPSILON_UNIT


def test_the_epsilon_that_a_refusal_names_fits_however_many_digits_are_left(world: World) -> None:
    """1.8765468 is left, which is not written as 1.87655."""
    ask(world, epsilon=0.1234532)
    with pytest.raises(Unaffordable) as short:
        ask(world, epsilon=2.0)
    (named,) = re.findall(r"ask epsilon = (\S+),", short.value.hint)
    assert named == "1.87654"
    assert f"is ε {named}" in short.value.message
    ask(world, epsilon=float(named))


def test_a_plan_says_which_should_teach_more_where_there_is_a_choice(world: World, matched: World) -> None:
    """From public sizes alone, for labels and for sums; where the contract keeps no ε for labels there is none."""
    said = [
        [
            note
            for note in plan(world.room(), world.request("lookalike", **changes)).notes
            if "should teach more" in note
        ]
        for changes in ({}, {"labels": "randomised"})
    ]
    assert said[0] == said[1]
    assert len(said[0]) == 1
    assert not any("should teach" in note for note in plan(matched.room(), matched.request("lookalike")).notes)


@pytest.mark.parametrize(
    ("epsilon", "people", "seeds", "better", "trees"),
    [
        (1.0, 1_000_000, 300_000, "randomised labels", True),
        (0.001, 1_000_000, 1_000, "noisy sums", False),
        (16.0, 1_000, 300, "randomised labels", False),
    ],
)
def test_why_labels_are_better_though_they_are_noisier_is_said(
    world: World, epsilon: float, people: int, seeds: int, better: str, trees: bool
) -> None:
    asked: Any = world.request("lookalike", epsilon=epsilon).job
    rows = {"visitors": people, "buyers": seeds}
    (said,) = responses.better_said(world.agreement.contract, asked, rows)
    assert f"{better} should teach more" in said
    assert ("trees learn from them too" in said) is trees


def test_labels_at_an_epsilon_that_buys_no_sums_are_planned_and_said_to_tell_hardly_anything(world: World) -> None:
    found = plan(world.room(), world.request("lookalike", labels="randomised", epsilon=1e-7))
    assert any("buys no noisy sums" in note for note in found.notes)


def test_a_plan_warns_of_few_seeds_for_labels_too(world: World) -> None:
    small = plan(world.room(), world.request("lookalike", labels="randomised", epsilon=0.05))
    assert [text for text in small.warnings if "noise outweighs" in text]
    large = plan(world.room(), world.request("lookalike", labels="randomised", epsilon=2.0))
    assert not [text for text in large.warnings if "outweighs" in text]


@pytest.mark.parametrize(
    ("changes", "clause"),
    [
        ({"learners": ["glm", "boosting"]}, "learners"),
        ({"epsilon": 0.1234567890123}, "epsilon"),
        ({"epsilon": 1e-12}, "epsilon"),
        ({"recipients": ["advertiser"]}, "rules.allow"),
    ],
)
def test_what_labels_do_not_go_with_is_refused(world: World, changes: dict[str, Any], clause: str) -> None:
    with pytest.raises(Refused) as refused:
        ask(world, **changes)
    assert refused.value.clause == clause
    assert world.verify().denials == 1


def test_a_contract_that_keeps_no_epsilon_for_labels_gives_none(signed: World, copied: Copier) -> None:
    world = under(copied(signed))
    with pytest.raises(Refused) as refused:
        ask(world)
    assert refused.value.clause == "dataset.buyers.budget.responses"
    assert world.verify().denials == 1
    assert set(world.spent()) == {"publisher/record", "advertiser/record"}


def test_before_it_is_signed_a_job_is_told_what_labels_may_take(world: World, matched: World) -> None:
    asked_, today = world.request("lookalike", labels="randomised", epsilon=ASKED).job, world.now.date()
    assert largest_ever(world.agreement.contract, asked_, world.agreement.digest) == KEPT
    assert refusal(world.agreement, asked_, "publisher", today) is None
    dear = refusal(world.agreement, asked_.model_copy(update={"epsilon": 2.1}), "publisher", today)
    assert dear is not None
    assert "one such job may take at most ε 2" in dear.rule
    without = refusal(matched.agreement, asked_, "publisher", today)
    assert without is not None
    assert without.clause == "dataset.buyers.budget.responses"


def test_the_epsilon_that_is_named_before_it_is_signed_fits_however_many_digits_the_cap_has(world: World) -> None:
    """All of a cap may be asked, and what is named rounds down."""
    data = world.contract.read_text().replace(f"responses = {KEPT}", "responses = 1.2345678").encode()
    under, today = Agreement(parse(data), data, {}), world.now.date()
    drafted = world.request("lookalike", labels="randomised", epsilon=1.5).job

    def refused(epsilon: float) -> Refused | None:
        asked = drafted.model_copy(update={"contract": under.digest, "epsilon": epsilon})
        return refusal(under, asked, "publisher", today)

    dear = refused(1.5)
    assert dear is not None
    assert dear.remedy == "write epsilon = 1.23456 or less"
    assert refused(1.23456) is None
    assert refused(1.2345678) is None
    assert refused(1.2345679) is not None


def test_a_draft_names_labels_where_the_contract_keeps_some(world: World, matched: World) -> None:
    kept, none = (LookalikeJob.draft(each.agreement.contract, None) for each in (world, matched))
    assert [line for line in kept if line not in none] == [
        '# labels = "randomised"  # charged to what is kept for labels'
    ]


def test_labels_and_noise_are_paid_from_accounts_of_their_own(used: World) -> None:
    used.run("lookalike")
    spent = used.spent()
    assert spent[ACCOUNT] == UNITS
    assert spent["advertiser/record"] > 0
    used.verify()


def test_a_plan_says_the_same_whoever_matches(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request = used.request("lookalike", labels="randomised", epsilon=0.25)
    before = plan(used.room(), request)
    for at in used.place.glob("matches/**/*"):
        if at.is_file():
            at.unlink()
    after = plan(used.room(), request)
    assert (before.costs, before.precision, before.notes) == (after.costs, after.precision, after.notes)


def test_a_flip_that_the_code_makes_too_seldom_is_not_drawn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault in the plan: the ledger draws nothing, and charges nothing."""
    from passbox.dp.promised import SpecificationMismatch
    from passbox.policies.jobs import draw

    monkeypatch.setattr(draw, "least_flip", lambda units, moved: Flip(least_flip(units, moved) // 2))
    with pytest.raises(SpecificationMismatch):
        ask(world)
    assert world.spent()[ACCOUNT] == 0


def test_a_statement_shows_what_was_spent_on_labels(used: World) -> None:
    said = statement(used.log().entries, Filter())
    (line,) = said.responses
    assert (line.account, line.spent, line.cap, line.largest_job) == (ACCOUNT, 1.5, 2.0, 0.5)
    assert {each.account for each in said.accounts} == {"publisher/record", "advertiser/record"}
    assert [burn.left for burn in said.burns if burn.account == ACCOUNT] == [0.25]
    assert "epsilon 1.5, without a delta, of 2 for labels" in _processing(used)


def _processing(world: World) -> str:
    log = world.log()
    return processing_csv(log.entries, world.agreement.contract, log.manifests)


def test_a_cap_without_a_delta_is_one_of_labels(used: World) -> None:
    leaf = next(leaf for leaf in used.log().entries if b"advertiser/responses" in leaf)
    assert shown(leaf, 0)
    with pytest.raises(NotAnEntry):
        shown(canonical({**json.loads(leaf), "account": "advertiser/record"}), 0)


def test_a_lost_disk_may_have_spent_labels_too(signed: World, copied: Copier) -> None:
    """What the window allowed after the copy is charged to the account of labels as to that of noise."""
    cosign = ("[room]\n", '[room]\ncosign = { by = ["officer"], ahead = 0.5 }\n')
    world = under(copied(signed), (BUYERS, KEEPING), cosign)
    ask(world, epsilon=0.25)
    log = world.log()
    loss = state_loss(log, world.agreement)
    assert loss.charge[ACCOUNT] == round(0.75 * EPSILON_UNIT)  # half of 2, less what the copy has
    path = world.folder / "loss.toml"
    path.write_bytes(loss.to_toml().encode())
    for name in ("publisher", "advertiser", "officer"):
        signature_path(path, name).write_text(sign(path.read_bytes(), world.signing_key(name), "passbox-loss"))
    shutil.rmtree(world.place)
    recover(world.place, log, world.agreement, world.keys("host"), path, world.clock)
    assert world.spent()[ACCOUNT] == EPSILON_UNIT
    write_log(job_log(world), world.folder / "again")
    assert verify_log(read_log(world.folder / "again"), world.agreement).entries == len(log.entries) + 1


def job_log(world: World) -> Any:
    from passbox.cleanroom.log import log_of

    return log_of(world.room())


def test_as_few_bytes_are_stored_as_the_packing_says(used: World) -> None:
    with used.room().ledger() as ledger:
        assert isinstance(ledger, Ledger)
        ((sealed,),) = ledger._storage.rows("select body from release")
    assert len(sealed) < 8 * math.ceil(PEOPLE / 48) + 200


# -- as it is typed --------------------------------------------------------------------------------------------------


def test_labels_are_told_apart_on_the_command_line(
    used: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from passbox.cli.app import run

    def typed(*words: str) -> str:
        capsys.readouterr()
        assert run([*words]) == 0
        return " ".join(capsys.readouterr().out.split())

    write_log(job_log(used), tmp_path / "export")
    shown_ = typed("ledger", "show", str(tmp_path / "export"))
    for words in ("ε 2 for labels by randomised response", "labels by randomised response", "1.5 of 2", "75.0%"):
        assert words in shown_
    assert "ε 1.5 of 2, of labels" in typed(
        "ledger", "verify", str(tmp_path / "export"), "--contract", str(used.contract)
    )
    assert "keeps 2 for saying of each person whether it is in buyers" in typed("contract", "check", str(used.contract))
    assert "1.5 of 2" in typed("room", "show", str(used.place))
    (release,) = used.place.glob("releases/*.release")
    shutil.copy(release, tmp_path)
    keys, ids = str(used.folder / "publisher.keys"), str(used.folder / "visitors.ids")
    typed("release", "open", str(tmp_path / release.name), "--key", keys, "--ids", ids)
    head, *rows = (tmp_path / f"{release.stem}.labels.csv").read_text().splitlines()
    assert (head, len(rows)) == ('"visitor_id","label"', len(exact_of(used)))
    assert {row.rpartition(",")[2].strip('"') for row in rows} == {"true", "false"}
