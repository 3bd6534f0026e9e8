"""`passbox audit model`: canaries through the room's own code, and every planted leak is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from passbox.cleanroom.canary import crowd as crowded
from passbox.cleanroom.canary import labels as labelled
from passbox.cleanroom.canary import lookalike as lookalikes
from passbox.cleanroom.canary import model as models
from passbox.cleanroom.canary.audit import Audit, audit, job_to_audit
from passbox.cleanroom.canary.buying import bought
from passbox.cleanroom.canary.finding import Finding, Trial
from passbox.cleanroom.measure import considered, crowds, fitted, lookalike, model
from passbox.dp import mechanisms, rehearsal
from passbox.dp.flip import Flip, price_of
from passbox.dp.promised import SpecificationMismatch
from passbox.modelling import canaries, features, strategy, tables, wide
from passbox.modelling.design import ONE, Design
from passbox.modelling.outlook import Outlook
from passbox.modelling.strategy import Strategy
from passbox.policies import price
from passbox.policies.contract import Contract, parse
from passbox.policies.jobs.lookalike import LookalikeJob
from passbox.policies.jobs.model import ModelJob

from ..noise import by_numpy

if TYPE_CHECKING:
    from .world import World

EPSILON = 16.0
"""The code is the same at every epsilon; here 300 runs a world show what takes 50,000 at 1."""


@pytest.fixture(scope="module")
def agreed(signed: World) -> tuple[Contract, bytes]:
    allow = '{ job = "model", ask = ["publisher"], recipients = ["publisher", "advertiser"] },\n]'
    text = signed.contract.read_text()
    data = (text[: text.rindex("]")] + "  " + allow + text[text.rindex("]") + 1 :]).encode()
    return parse(data), data


@pytest.fixture(autouse=True)
def surer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no leak is called one once in 10^7, where the product allows one in 10,000. Fewer people than it invents:
    bounds are looser, and sooner here."""
    monkeypatch.setattr(canaries, "SURE", 1 - 1e-7)
    monkeypatch.setattr(models, "BACKGROUND", 6_000)


@pytest.fixture
def worlds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked for is found in two worlds: audiences of other labels, a dozen fits, are left out."""
    monkeypatch.setattr(lookalikes, "_follows", lambda *_: True)
    monkeypatch.setattr(lookalikes, "_parts", lambda *_: True)
    monkeypatch.setattr(models, "_handed_out", lambda *_: (True, True))


@pytest.fixture
def drawn_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leak is planted, or runs are many: noise of the same law does."""
    monkeypatch.setattr(mechanisms, "_drawn", by_numpy)


@pytest.fixture
def measured_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are summed as they are, as those of wide tables: what the tables promise is all there is."""
    monkeypatch.setattr(wide, "MOST_CELLS", 0)


def audited(agreed: tuple[Contract, bytes], kind: str, runs: int = 300) -> Audit:
    contract, data = agreed
    rule = next(rule for rule in contract.rules.allow if rule.job == kind)
    return audit(contract, data, job_to_audit(contract, data, rule, EPSILON), runs)


def failing(found: Audit) -> set[str]:
    return {finding.test for finding in found.findings if not finding.holds}


@pytest.mark.parametrize(
    ("quick", "runs", "most", "of_groups"),
    [(False, 80, 0.45, 0.1), pytest.param(False, 300, 0.65, 0.5, marks=pytest.mark.long), (True, 900, 0.8, 0.7)],
)
def test_a_lookalike_loses_about_what_is_charged_and_no_more(
    agreed, request: pytest.FixtureRequest, quick: bool, runs: int, most: float, of_groups: float
) -> None:
    """160 guesses by the room's own noise prove .82 of it on average, and less than .45 in one of 10^7 runs; 600 .91,
    and less than .65; 1,800, less than .8. Of counts by group, which cost half as much, less than .1, .5 and .7 of
    theirs."""
    if quick:
        request.getfixturevalue("drawn_quickly")
    found = audited(agreed, "lookalike", runs)
    assert found.holds
    shown = {finding.test: finding.audited for finding in found.findings if finding.audited}
    least = {"fit": most, "scores": most, "strata": most, "groups": of_groups, "considered": most}
    assert all(each.lower >= least[test] * each.charged for test, each in shown.items())
    # a quarter of the job's ρ is half of its μ
    parts = {"fit": 1.0, "scores": 1.0, "strata": 1.0, "groups": 0.5, "considered": 1.0}
    assert all(each.charged == pytest.approx(found.mu * parts[test], rel=1e-6) for test, each in shown.items())
    assert [finding.test for finding in found.findings] == [*parts, "parts", "audience"]
    assert found.left_out


@pytest.mark.long
def test_a_model_loses_about_what_is_charged_and_no_more(agreed) -> None:
    """240 guesses prove less than half of it in one of 10^7 runs."""
    found = audited(agreed, "model", 120)
    assert found.holds
    assert [each.test for each in found.findings] == ["fit", "scores", "strata", "parts", "release"]
    shown = [each.audited for each in found.findings if each.audited]
    assert all(each.lower >= 0.5 * each.charged for each in shown)


def test_one_run_speaks_where_there_are_coordinates_enough(agreed) -> None:
    """40 numbers have more than 6,000 cells."""
    contract, data = agreed
    column = next(c for c in contract.dataset["visitors"].columns.values() if c.kind == "number")
    wide = {f"n{i}": column for i in range(40)}
    held = contract.dataset["visitors"].model_copy(update={"columns": wide})
    wider = contract.model_copy(update={"dataset": {**contract.dataset, "visitors": held}})
    rule = next(rule for rule in wider.rules.allow if rule.job == "lookalike")
    job = job_to_audit(wider, data, rule, EPSILON)
    many = lookalikes._many(crowds.declared_kinds(wider, job), bought(wider, data, job)[0], 6_000, EPSILON, 1e-6)
    assert 0.6 < many.lower < EPSILON
    assert not many.leaks


@pytest.mark.parametrize(
    ("kind", "runs", "part", "sure"), [("lookalike", 300, 2, 1 - 1e-7), ("model", 66, 4, canaries.SURE)]
)
@pytest.mark.usefixtures("worlds_alone", "drawn_quickly")
def test_planted_leak_a_part_of_the_noise(
    agreed, monkeypatch: pytest.MonkeyPatch, kind: str, runs: int, part: int, sure: float
) -> None:
    """Half of it in 300 runs; a quarter in 66, by an audit as sure as the product's: missed once in 10^6."""
    honest = mechanisms._drawn
    monkeypatch.setattr(canaries, "SURE", sure)
    monkeypatch.setattr(models, "BACKGROUND", 1_500)
    monkeypatch.setattr(mechanisms, "_drawn", lambda v, l2, scale, rho: honest(v, l2, scale // part, 5 * part * rho))
    others = {"strata", *({"groups", "considered"} if kind == "lookalike" else ())}
    assert failing(audited(agreed, kind, runs)) == {"fit", "scores"} | others


@pytest.mark.usefixtures("worlds_alone", "drawn_quickly")
def test_planted_leak_a_row_that_is_not_cut(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody's row made longer by twice what only short ones are, and nobody checks."""
    honest = Strategy.of

    def uncut(design: Design, reach: int = ONE, outlook: Outlook | None = None) -> Strategy:
        made = honest(design, reach, outlook)
        return replace(made, short=np.full(design.rows, 2 * made.short.max()))

    monkeypatch.setattr(Strategy, "of", uncut)
    monkeypatch.setattr(strategy, "refuse_longer", lambda *_: None)
    assert {"fit"} <= failing(audited(agreed, "lookalike")) <= {"fit", "considered"}


@pytest.mark.usefixtures("worlds_alone", "drawn_quickly")
def test_planted_leak_a_table_that_is_too_long(agreed, measured_plainly, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row whose value is missing is twice as long as it may be, and nobody checks."""
    honest = tables.towards_zero

    def longer(real: Any) -> Any:
        lattice = honest(real)
        lattice[-1] *= 2
        return lattice

    monkeypatch.setattr(tables, "towards_zero", longer)
    monkeypatch.setattr("passbox.modelling.features.verify", lambda _blocks: None)
    monkeypatch.setattr("passbox.modelling.considered.verify", lambda *_: None)
    assert failing(audited(agreed, "lookalike")) == {"fit", "considered"}


@pytest.mark.usefixtures("worlds_alone", "drawn_quickly")
def test_planted_leak_considered_blocks_beside_a_row_that_is_full_already(
    agreed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And twice as long as the row, so that 300 runs see it."""
    honest = considered.lengths
    monkeypatch.setattr(considered, "lengths", lambda used, others: (honest(used, others)[0], 2.0))
    monkeypatch.setattr("passbox.modelling.features.verify", lambda _blocks: None)
    monkeypatch.setattr("passbox.modelling.considered.verify", lambda *_: None)
    assert failing(audited(agreed, "lookalike")) == {"considered"}


@pytest.mark.usefixtures("worlds_alone", "drawn_quickly")
def test_planted_leak_a_set_that_is_not_cut(agreed, measured_plainly, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has all topics counts with all of them, where a contract says two at most. The honest cut holds."""

    def uncut(row: Any, code: Any, levels: int, _at_most: int) -> tuple[Any, Any]:
        pairs = np.unique(row * levels + code)
        return pairs // levels, pairs % levels

    data = agreed[1].replace(b"at_most = 8", b"at_most = 2")
    two = parse(data), data
    assert audited(two, "lookalike").holds
    monkeypatch.setattr(features, "at_most_a_row", uncut)
    assert {"fit"} <= failing(audited(two, "lookalike")) <= {"fit", "considered"}


@pytest.mark.usefixtures("worlds_alone", "drawn_quickly")
def test_planted_leak_a_set_that_counts_a_value_twice(
    agreed, measured_plainly, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repeated(row: Any, code: Any, _levels: int, at_most: int) -> tuple[Any, Any]:
        place = np.arange(len(row)) - np.searchsorted(row, row, side="left")
        return row[place < at_most], np.zeros_like(code[place < at_most])

    monkeypatch.setattr(features, "at_most_a_row", repeated)
    assert {"fit"} <= failing(audited(agreed, "lookalike")) <= {"fit", "considered"}


@pytest.mark.usefixtures("worlds_alone", "drawn_quickly")
def test_planted_leak_a_seed_counted_twice_in_its_group(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fitted.in_groups

    def twice(*given: Any) -> Any:
        once = honest(*given)
        return replace(once, values=2 * once.values)

    monkeypatch.setattr(fitted, "in_groups", twice)
    assert failing(audited(agreed, "lookalike")) == {"groups"}


@pytest.mark.usefixtures("drawn_quickly")
def test_planted_leak_seeds_first_in_the_audience(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fitted.fitted_to

    def seeds_first(crowd: Any, matched: Any, *others: Any) -> Any:
        fit = honest(crowd, matched, *others)
        return replace(fit, scores=np.where(matched, 99.0, fit.scores))

    monkeypatch.setattr(fitted, "fitted_to", seeds_first)
    assert failing(audited(agreed, "lookalike", 100)) == {"audience"}


@pytest.mark.usefixtures("drawn_quickly")
def test_planted_leak_seeds_win_ties(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fitted.fitted_to

    def ties(crowd: Any, matched: Any, *others: Any) -> Any:
        fit = honest(crowd, matched, *others)
        tiebreak = np.where(matched, np.uint64(0), fit.tiebreak)
        return replace(fit, scores=np.round(fit.scores), tiebreak=tiebreak)

    monkeypatch.setattr(fitted, "fitted_to", ties)
    assert failing(audited(agreed, "lookalike", 100)) == {"audience"}


@pytest.mark.usefixtures("drawn_quickly")
def test_planted_leak_seeds_added_to_the_audience(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, label = lookalike.contents, []

    def noted(crowd: Any, matched: Any, *others: Any) -> Any:
        label[:] = [matched]
        return fit_honestly(crowd, matched, *others)

    def added(fit: Any, tokens: Any, *asked: Any) -> Any:
        made = honest(fit, tokens, *asked)
        audience = made.files["audience.parquet"] + tokens[label[0]].tobytes()
        return replace(made, files={**made.files, "audience.parquet": audience})

    fit_honestly = fitted.fitted_to
    monkeypatch.setattr(fitted, "fitted_to", noted)
    monkeypatch.setattr(lookalike, "contents", added)
    assert failing(audited(agreed, "lookalike", 100)) == {"audience"}


@pytest.mark.parametrize("part", ["moments", "positives", "in_groups"])
def test_planted_leak_a_record_in_both_parts(agreed, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Who trains is counted among those held out as well, in the first bin; or the other way round."""
    contract, data = agreed
    rule = next(rule for rule in contract.rules.allow if rule.job == "lookalike")
    job = job_to_audit(contract, data, rule, EPSILON).model_copy(update={"learners": [*lookalikes.COMPARED]})
    assert isinstance(job, LookalikeJob)
    buys = bought(contract, data, job)
    assert lookalikes._parts(contract, job, buys)
    honest = getattr(fitted, part)

    def of_both(crowd: Any, people: Any, matched: Any, *cells: Any) -> Any:
        once = honest(crowd, people, matched, *cells)
        others = matched[~crowd.held_out if part == "positives" else crowd.held_out]
        values = once.values.copy()
        values[0] += int(others.sum())
        return replace(once, values=values)

    monkeypatch.setattr(fitted, part, of_both)
    assert not lookalikes._parts(contract, job, buys)


@pytest.mark.long
def test_planted_leak_a_person_counted_twice_in_a_models_scores(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = model.histograms

    def twice(*given: Any) -> Any:
        once = honest(*given)
        return replace(once, values=2 * once.values)

    monkeypatch.setattr(model, "histograms", twice)
    assert failing(audited(agreed, "model", 300)) == {"scores", "strata"}


def of_model(agreed: tuple[Contract, bytes], *, strata: bool) -> tuple[bool, bool]:
    """Whether a person is in one part, and the release follows."""
    contract, data = agreed
    rule = next(rule for rule in contract.rules.allow if rule.job == "model")
    job = job_to_audit(contract, data, rule, EPSILON).model_copy(update={"strata": strata})
    assert isinstance(job, ModelJob)
    return models._handed_out(contract, job, *bought(contract, data, job))


@pytest.mark.parametrize("strata", [False, True])
@pytest.mark.usefixtures("drawn_quickly")
def test_planted_leak_a_person_in_both_parts_of_a_model(agreed, monkeypatch: pytest.MonkeyPatch, strata: bool) -> None:
    assert of_model(agreed, strata=strata) == (True, True)
    honest = model.made

    def on_everybody(crowd: Any, job: Any, matched: Any, fitted: Any, pay: Any) -> Any:
        return honest(crowd, job, matched, lambda *_: fitted(crowd.design, matched), pay)

    monkeypatch.setattr(model, "made", on_everybody)
    assert of_model(agreed, strata=strata) == (False, True)


@pytest.mark.usefixtures("drawn_quickly")
def test_planted_leak_a_count_of_seeds_in_a_models_release(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = model.made

    def counting(crowd: Any, job: Any, matched: Any, *others: Any) -> Any:
        made = honest(crowd, job, matched, *others)
        values = {**made.contents.values, "positives": int(matched.sum())}
        return replace(made, contents=replace(made.contents, values=values))

    monkeypatch.setattr(model, "made", counting)
    assert of_model(agreed, strata=False) == (True, False)


@pytest.mark.usefixtures("drawn_quickly")
def test_planted_leak_a_seed_in_all_four_strata(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cells by one are twice the move: 900 runs find some five errors, and it takes 47 to miss that."""
    contract, data = agreed
    rule = next(rule for rule in contract.rules.allow if rule.job == "lookalike")
    job = job_to_audit(contract, data, rule, EPSILON).model_copy(update={"strata": True})
    assert isinstance(job, LookalikeJob)
    _, purchase = bought(contract, data, job)
    crowd, longest = crowded.crowd_of(contract, job)
    listed = np.zeros_like(longest)
    honest = fitted.positives

    def four_times(crowd: Any, cells: Any, matched: Any, many: int) -> Any:
        once = honest(crowd, cells, matched, many)
        return replace(once, values=sum(np.roll(once.values, 8 * at) for at in range(4)))

    for planted in (False, True):
        monkeypatch.setattr(fitted, "positives", four_times if planted else honest)
        attack = lookalikes.on_strata(crowd, listed, longest, purchase)
        found = Trial(900, lambda *_: None, 1).between("strata", "", attack, purchase)
        assert found.holds is not planted


# -- labels ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answering(agreed: tuple[Contract, bytes]) -> tuple[Contract, bytes]:
    """A contract whose buyers' owner keeps ε for labels."""
    text = agreed[1].decode()
    assert text.count("epsilon = 3.0, delta = 1e-4 }") == 1
    data = text.replace("epsilon = 3.0, delta = 1e-4 }", "epsilon = 3.0, delta = 1e-4, responses = 2.0 }").encode()
    return parse(data), data


def of_labels(answering: tuple[Contract, bytes]) -> dict[str, Finding]:
    contract, data = answering
    rule = next(rule for rule in contract.rules.allow if rule.job == "lookalike")
    job = job_to_audit(contract, data, rule, 8.0)
    assert isinstance(job, LookalikeJob)
    return {each.test: each for each in labelled.of_labels(contract, data, job)}


def test_labels_lose_about_what_is_charged_and_no_more(answering) -> None:
    """2,000,000 labels prove .987 of it on average, with a deviation of .007: less than .95 once in 10^7 runs."""
    found = of_labels(answering)
    assert set(found) == {"labels", "labels: audience"}
    assert all(each.holds for each in found.values())
    shown = found["labels"].audited
    assert shown is not None
    assert (shown.unit, shown.charged) == ("epsilon", 8.0)
    assert 0.95 * shown.charged <= shown.lower


@pytest.mark.usefixtures("worlds_alone", "drawn_quickly")
def test_a_contract_that_keeps_nothing_for_labels_has_none_audited(agreed) -> None:
    assert not any(each.test.startswith("labels") for each in audited(agreed, "lookalike", 1).findings)


def test_planted_leak_labels_flipped_half_as_often(answering, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(labels: np.ndarray, moved: int, flip: Flip, charged: int) -> np.ndarray:
        del charged
        less = Flip(flip // 2)
        return mechanisms.randomised(labels, moved, less, price_of(less, moved))

    monkeypatch.setattr(rehearsal, "randomised", half)
    found = of_labels(answering)
    assert not found["labels"].holds
    assert found["labels: audience"].holds


def test_planted_leak_a_model_of_labels_that_were_not_flipped(answering, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fitted.responded_to

    def peeking(crowd: Any, exact: Any, purchase: Any, pay: Any) -> Any:
        fit = real(crowd, exact, purchase, pay)
        return replace(fit, scores=fit.scores + exact.values)

    monkeypatch.setattr(fitted, "responded_to", peeking)
    found = of_labels(answering)
    assert found["labels"].holds
    assert not found["labels: audience"].holds


def test_planted_fault_a_label_that_has_all_of_a_records_epsilon(answering, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a rule by which one record moves two people, a plan that prices one of them: nothing is drawn."""
    data = answering[1].decode().replace('keys = ["email"]', 'keys = ["email", "phone"]').replace("own-best", "any")
    data = data.replace('"uid2@1"', '"uid2@1"\nscheme.phone = "plain@1"')
    kinds = 'identifiers = { email = "raw", phone = "raw" }\ncountry = "none"'
    data = data.replace('identifiers.email = "raw"', kinds)
    assert of_labels((parse(data.encode()), data.encode()))["labels"].holds
    monkeypatch.setattr(price, "_of_a_record", lambda shape_of, moved: shape_of)
    with pytest.raises(SpecificationMismatch):
        of_labels((parse(data.encode()), data.encode()))
