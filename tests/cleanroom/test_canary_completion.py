"""`passbox audit model --kind completion`: what is known of people, through the room's own code, and planted leaks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from passbox.cleanroom.canary import completion as completions
from passbox.cleanroom.canary.audit import Audit, audit, job_to_audit
from passbox.cleanroom.measure import case
from passbox.cleanroom.measure import completion as measure
from passbox.dp import mechanisms
from passbox.modelling import attributes, canaries
from passbox.policies.contract import Contract, parse

from ..noise import by_numpy
from .test_completion import BOTH_KNOW, CUSTOMERS_TOML

if TYPE_CHECKING:
    from .world import World

EPSILON = 16.0
"""The code is the same at every epsilon; here 300 runs a world show what takes 50,000 at 1."""


@pytest.fixture(scope="module", params=["membership", "person"])
def agreed(signed: World, request: pytest.FixtureRequest) -> tuple[Contract, bytes]:
    """Under either threat model: a flag, a category, and a set of two out of three are wanted."""
    text = signed.contract.read_text()
    head, rest = text[: text.index("[dataset.buyers]")], text[text.index("[rules]") :]
    own = CUSTOMERS_TOML.format(protects=request.param)
    if request.param == "person":
        lines = [
            line for line in BOTH_KNOW.splitlines() if line.split(" ")[0] not in ("columns.region", "columns.device")
        ]
        shared = [line for line in head.splitlines() if line.startswith(("columns.region", "columns.device"))]
        own += "\n".join([*lines, *shared]) + "\n"
    allow = '  { job = "completion", ask = ["publisher"], recipients = ["publisher"] },\n]'
    kept = [line for line in rest[: rest.rindex("]")].splitlines() if "lookalike" not in line]
    data = (head + own + "\n".join(kept) + "\n" + allow + rest[rest.rindex("]") + 1 :]).encode()
    return parse(data), data


@pytest.fixture(autouse=True)
def surer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no leak is called one once in 10^7, where the product allows one in 10,000; noise of the same law."""
    monkeypatch.setattr(canaries, "SURE", 1 - 1e-7)
    monkeypatch.setattr(mechanisms, "_drawn", by_numpy)


@pytest.fixture
def worlds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked for is found in two worlds: files of other records are left out."""
    monkeypatch.setattr(completions, "follows", lambda *_: True)


def audited(agreed: tuple[Contract, bytes], runs: int = 300) -> Audit:
    contract, data = agreed
    rule = next(rule for rule in contract.rules.allow if rule.job == "completion")
    return audit(contract, data, job_to_audit(contract, data, rule, EPSILON), runs)


def failing(found: Audit) -> set[str]:
    return {finding.test for finding in found.findings if not finding.holds}


def test_a_completion_loses_about_what_is_charged_and_no_more(agreed) -> None:
    """1,800 guesses prove less than .8 of it in one of 10^7 runs."""
    found = audited(agreed, 900)
    assert found.holds
    assert [finding.test for finding in found.findings] == ["fit", "answers", "parts", "file"]
    shown = [finding.audited for finding in found.findings if finding.audited]
    assert all(each.charged == pytest.approx(found.mu, rel=1e-6) for each in shown)
    assert all(each.lower >= 0.8 * each.charged for each in shown)


@pytest.mark.usefixtures("worlds_alone")
def test_planted_leak_half_of_the_noise(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanisms, "_drawn", lambda v, l2, scale, rho: by_numpy(v, l2, scale // 2, 5 * rho))
    assert failing(audited(agreed)) == {"fit", "answers"}


@pytest.mark.usefixtures("worlds_alone")
def test_planted_leak_a_wanted_set_that_is_not_cut(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record has all of twelve values where a contract says two at most. The honest cut holds."""
    many = ", ".join(f'"v{at}"' for at in range(12)).encode()
    data = agreed[1].replace(
        b'values = ["cars", "travel", "food"], at_most = 2', b"values = [" + many + b"], at_most = 2"
    )
    assert data != agreed[1]
    wide = parse(data), data
    assert audited(wide).holds

    def uncut(row: Any, code: Any, levels: int, _at_most: int) -> tuple[Any, Any]:
        pairs = np.unique(row * levels + code)
        return pairs // levels, pairs % levels

    monkeypatch.setattr(attributes, "at_most_a_row", uncut)
    assert "fit" in failing(audited(wide))


@pytest.mark.usefixtures("worlds_alone")
def test_planted_leak_a_record_counted_twice_in_its_cells(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = case.counted

    def twice(*given: Any) -> Any:
        once = honest(*given)
        return replace(once, values=2 * once.values)

    monkeypatch.setattr(case, "counted", twice)
    assert failing(audited(agreed)) == {"answers"}


def test_planted_leak_what_is_known_is_looked_up(agreed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is known gets the truth for an answer."""
    honest = measure.contents

    def peeking(of: Any, *given: Any) -> Any:
        made = honest(*given)
        truth = np.concatenate([each.value for each in of.known])
        return replace(made, files={name: file + truth.tobytes() for name, file in made.files.items()})

    real = measure.completed

    def completed(of: Any, *given: Any) -> Any:
        monkeypatch.setattr(measure, "contents", lambda *rest: peeking(of, *rest))
        return real(of, *given)

    monkeypatch.setattr(completions, "completed", completed)
    assert failing(audited(agreed, 100)) == {"file"}


@pytest.mark.parametrize(
    "leak", ["how many are known", "how many have something known", "how many of them are held out"]
)
def test_planted_leak_a_count_of_people(agreed, monkeypatch: pytest.MonkeyPatch, leak: str) -> None:
    real = completions.completed

    def completed(of: case.Case, *given: Any) -> Any:
        made = real(of, *given)
        there = np.stack([each.there for each in of.known])
        many = {"how many are known": there.sum(), "how many have something known": there.any(axis=0).sum()}
        count = int(many.get(leak, (there & of.out).sum()))
        return replace(made, contents=replace(made.contents, values={**made.contents.values, "people": count}))

    monkeypatch.setattr(completions, "completed", completed)
    assert failing(audited(agreed, 100)) == {"file"}


@pytest.mark.parametrize("part", ["sums", "counts"])
@pytest.mark.usefixtures("worlds_alone")
def test_planted_leak_a_record_in_both_parts(agreed, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    honest = getattr(case.Case, part)
    nobody = {"sums": False, "counts": True}[part]

    def of_everybody(of: case.Case, *given: Any) -> Any:
        return honest(replace(of, out=np.full_like(of.out, nobody)), *given)

    monkeypatch.setattr(case.Case, part, of_everybody)
    assert "parts" in failing(audited(agreed, 100))
