"""An audit of what a contract's models give away: canaries through the room's own code, on invented people.

Submitted records are never looked at: an audit of those would be an unpaid release. People are made up from the
domains that the contract declares (`modelling.invented`), and go through the statistic, the noise and the choice of
the audience that a room would use. What is measured is a lower bound on the privacy loss, beside the one charged:

- `fit`: two worlds, with and without the record whose row is longest; the training part of the people.
- `scores`: the same for the histogram by which the model is evaluated, on the other part.
- `strata`: the same where those held out are counted by how much is known of them as well.
- `considered`: as `fit`, of a job that uses half of the columns and considers the others, and a pair of those used.
- `groups`: the same for the counts by which learners are compared, at the price they have where a job compares some.
- `one run`: thousands of canaries at once, each in or out by a coin; only where a model has enough coordinates.
- `audience`: with the noisy bytes held, other labels may change nothing of what is handed out, whether or not learners
  are compared, or columns considered, and with strata.
- `labels`: where the contract keeps ε for labels by randomised response, a lookalike of such labels at the same ε:
  how much likelier a record's labels are from a list that it is on; and its audience.

Not covered: that a room keys the split and the ties by its own secrets, of handles alone. Here both are made by the
room's functions, which are given no label; with what a room calls them is its own code's.

A bound that lies far below its charge proves nothing: another attack might do better. One above it proves a leak.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..dp.accounting import rho_within
from ..dp.aggregate import Statistic
from ..dp.budget import EPSILON_UNIT, RHO_UNIT, Budget, Epsilon
from ..dp.entry import Purchase
from ..dp.labels import Labels, unpacked
from ..dp.noisy import Noisy
from ..dp.rehearsal import rehearsed
from ..dp.scale import price
from ..modelling.canaries import (
    Audited,
    follows_from,
    moved,
    one_run,
    person_attack,
    rows_of,
    runs_for,
    two_answers,
    two_worlds,
)
from ..modelling.design import Float
from ..modelling.evaluate import ScoreBins
from ..modelling.features import Encoder, Kind
from ..modelling.grid import BINS
from ..modelling.groups import MOST_GROUPS
from ..modelling.invented import invented
from ..policies.agreement import Agreement
from ..policies.contract import Allowance, Contract, digest
from ..policies.jobs.considered import CROSS, MOST_CONSIDERED
from ..policies.jobs.lookalike import AudienceSize, Learner, LookalikeJob, refuse_digits
from ..policies.jobs.model import ModelJob
from ..policies.price import delta_of_job, purchases
from ..policies.refused import Refused
from ..policies.request import KINDS, Request, parse_job
from ..policies.template import job_text
from .measure import crowds, fitted, lookalike, model
from .measure.kinds import shape_of
from .measure.strata import cells_of
from .progress import Progress, quietly

BACKGROUND, PERSON_BACKGROUND = 2_000, 20_000
SEEDS = 0.01
"""Invented people beside the canaries, and the share of them on the list: few, so that a canary is a surprise."""
FEWEST_COORDINATES = 5_000
"""Below, one run is not tried: it has room for as many canaries as there are coordinates, and few say little."""
ANSWERS = 1_000_000
"""Invented records in either world whose labels are drawn: an ε of 8 then shows to a hundredth."""
GUESSED = 0.2
LABELS = 3
COMPARED: tuple[Learner, ...] = ("glm", "naive-bayes")
"""What a comparing job is audited with: what it draws is the same whichever they are."""
Priced = tuple[LookalikeJob, tuple[Purchase, ...]]
"""A job, and what it buys."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one test found. audited: None for a test that says yes or no. holds: nothing contradicts the promise."""

    test: str
    what: str
    holds: bool
    audited: Audited | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """findings, in order. left_out: tests that would say nothing here, and why."""

    kind: str
    epsilon: float
    delta: float
    mu: float
    cells: int
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return all(finding.holds for finding in self.findings)


def job_to_audit(contract: Contract, data: bytes, rule: Allowance, epsilon: float) -> LookalikeJob | ModelJob:
    """The job that `rule` allows, as `passbox job new` drafts it, whatever caps say. rule: of a kind that learns."""
    lines = KINDS[rule.job].draft(contract, None)
    job = parse_job(job_text(rule.job, digest(data), lines, rule.recipients, epsilon).encode())
    assert isinstance(job, LookalikeJob | ModelJob)  # noqa: S101 - the caller ensures it
    return job


def audit(
    contract: Contract,
    data: bytes,
    job: LookalikeJob | ModelJob,
    runs: int | None = None,
    progress: Progress = quietly,
) -> Audit:
    """What canaries show of one job. data: the contract's bytes. runs: in each world; None for as many as it takes.

    Errors: Refused where labels would be drawn at an ε that is not charged in whole units, before anything is drawn.
    """
    labels = isinstance(job, LookalikeJob) and contract.dataset[job.seed].budget.responses is not None
    if labels:
        refuse_digits(job.epsilon)
    delta = delta_of_job(contract, job)
    mu = math.sqrt(2 * rho_within(Budget(Epsilon(job.epsilon), delta)) / RHO_UNIT)
    bought = _bought(contract, data, job)
    times = runs_for(mu) if runs is None else runs
    if isinstance(job, ModelJob):
        findings, left_out = _of_model(contract, job, bought, times, progress)
    else:
        others = [job.model_copy(update=change) for change in ({"learners": [*COMPARED]}, {"strata": True})]
        jobs = [job, *others, *_considering(contract, job)]
        priced = [(each, _bought(contract, data, each)) for each in jobs]
        findings, left_out = _of_lookalike(contract, priced, times, progress)
        findings += _of_labels(contract, data, job) if labels else []
    return Audit(job.kind, job.epsilon, delta, mu, bought[0].specification.cells, tuple(findings), left_out)


def _bought(contract: Contract, data: bytes, job: LookalikeJob | ModelJob) -> tuple[Purchase, ...]:
    request, manifests = Request(job, b"", "", ""), dict.fromkeys(job.datasets(), "0" * 64)
    return purchases(Agreement(contract, data, {}), request, manifests, shape_of)


# -- a lookalike -----------------------------------------------------------------------------------------------------


def _considering(contract: Contract, job: LookalikeJob) -> list[LookalikeJob]:
    """The job with half of its columns considered, and a pair of those it uses; none where it has too few for that, or
    too many cells to rank beside."""
    columns = job.columns_of(contract)
    used, others = columns[: (len(columns) + 1) // 2], columns[(len(columns) + 1) // 2 :][:MOST_CONSIDERED]
    pair = [CROSS.join(used[:2])] if len(used) > 1 else []
    for consider in ([*others, *pair], [*others]):
        asked = job.model_copy(update={"columns": [*used], "consider": consider})
        with suppress(Refused):
            asked.refuse_considered(contract)
            return [asked] if consider else []
    return []


def _of_lookalike(
    contract: Contract, priced: Sequence[Priced], runs: int, progress: Progress
) -> tuple[list[Finding], tuple[str, ...]]:
    """priced: the job as it is, as one that compares learners, as one with strata, and as one that considers columns,
    if there is one."""
    (job, (first, second)), (_, (_, between, _)), (_, (_, by_known)), *considering = priced
    kinds = crowds.declared_kinds(contract, job)
    crowd, canaries = _crowd(contract, job, first)
    listed = _coins(len(canaries), SEEDS) & ~canaries
    steps = _Steps(progress, 4 + len(considering))
    fit = two_worlds(_on_fit(crowd, listed, canaries, first), _mu(first), runs, steps.next())
    scores = two_worlds(_on_scores(crowd, listed, canaries, second), _mu(second), runs, steps.next())
    strata = two_worlds(_on_strata(crowd, listed, canaries, by_known), _mu(by_known), runs, steps.next())
    groups = two_worlds(_on_groups(crowd, listed, canaries, between), _mu(between), runs, steps.next())
    considered = [_considered(contract, *each, runs, steps.next()) for each in considering]
    follows = all(_follows(_crowd(contract, each)[0], each, bought) for each, bought in priced)
    findings = [
        Finding("fit", "the longest row of many people, on the list or not", not fit.leaks, fit),
        Finding("scores", "one seed more in a score bin", not scores.leaks, scores),
        Finding("strata", "one seed more among those of whom as much is known", not strata.leaks, strata),
        Finding("groups", "one seed more in a group, where learners are compared", not groups.leaks, groups),
        *considered,
        Finding("audience", "it follows from the noisy numbers, whoever is on the list", follows),
    ]
    cells = first.specification.cells
    if cells < FEWEST_COORDINATES:
        said = f"one run with many canaries: {cells:,} coordinates are too few, it takes {FEWEST_COORDINATES:,} or more"
        return findings, (said,)
    many = _many(kinds, first, cells, job.epsilon, delta_of_job(contract, job))
    findings.append(Finding("one run", f"{cells:,} canaries, each on the list by a coin", not many.leaks, many))
    return findings, ()


def _considered(
    contract: Contract, job: LookalikeJob, bought: tuple[Purchase, ...], runs: int, progress: Progress
) -> Finding:
    crowd, canaries = _crowd(contract, job, bought[0])
    listed = _coins(len(canaries), SEEDS) & ~canaries
    found = two_worlds(_on_fit(crowd, listed, canaries, bought[0]), _mu(bought[0]), runs, progress)
    return Finding("considered", "the longest row of many people, where columns are considered", not found.leaks, found)


def _of_labels(contract: Contract, data: bytes, asked: LookalikeJob) -> list[Finding]:
    """The same lookalike, of randomised labels, at the same ε."""
    job = asked.model_copy(update={"labels": "randomised"})
    (purchase,) = _bought(contract, data, job)
    moves = job.rows_moved(contract)
    crowd, _ = _crowd(contract, job)

    def drawn(labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return unpacked(rehearsed(purchase, Labels(labels, moves)).values, len(labels))

    charged = min(each.rho for each in purchase.charges) / EPSILON_UNIT
    told = two_answers(drawn, moves, charged, ANSWERS)
    what = "a record's labels all say that it is on the list"
    follows = _labels_follow(crowd, moves, purchase)
    return [
        Finding("labels", what, not told.leaks, told),
        Finding("labels: audience", "it follows from the labels as they were drawn", follows),
    ]


def _labels_follow(crowd: crowds.Crowd, moves: int, purchase: Purchase) -> bool:
    """The audience and every other file of labels that are held, from other lists."""
    rows, held = crowd.design.rows, dict[str, Noisy]()
    tokens = np.arange(rows, dtype=np.uint64)

    def pay(purchase: Purchase, exact: Callable[[], Labels]) -> Noisy:
        labels = exact()
        return held.setdefault(purchase.key, rehearsed(purchase, labels))

    def given(_noisy: Noisy, label: NDArray[np.bool_]) -> NDArray[np.int64]:
        fit = fitted.responded_to(crowd, Labels(label, moves), purchase, pay)
        made = lookalike.contents(fit, tokens, AudienceSize(size=rows // 10), 0)
        return np.frombuffer(b"".join([repr(made.values).encode(), *made.files.values()]), dtype=np.uint8).astype("i8")

    listed = [_coins(rows, 0.2) for _ in range(LABELS)]
    return follows_from(given, pay(purchase, lambda: Labels(listed[0], moves)), listed)


def _crowd(
    contract: Contract, job: LookalikeJob, sums: Purchase | None = None
) -> tuple[crowds.Crowd, NDArray[np.bool_]]:
    """Invented people, canaries first and all in training: as many as one record moves rows.

    They have nothing in common with others; or, where another's row is longer in these sums, they are like that one.
    """
    canaries = job.rows_moved(contract)
    rows = BACKGROUND + canaries
    chosen = np.arange(rows) < canaries
    table = invented(list(crowds.all_kinds(contract, job).values()), rows, chosen, _uniform)
    handles = np.frombuffer(secrets.token_bytes(8 * rows), dtype="<u8").astype(np.uint64)
    out = crowds.held_out(handles, secrets.token_bytes(32)) & ~chosen
    ties = crowds.keyed_hash(handles, secrets.token_bytes(32))
    seeds = crowds.trained_on(round(SEEDS * rows))
    crowd = crowds.crowd_in(table, contract, job, out, ties, seeds)
    longest = _longest(crowd, sums) if sums else 0
    if longest < canaries:
        return crowd, chosen
    copied = table.take(np.where(chosen, longest, np.arange(rows)))
    return crowds.crowd_in(copied, contract, job, out, ties, seeds), chosen


def _longest(crowd: crowds.Crowd, sums: Purchase) -> int:
    """Whose row is longest, of those who train: the first whose is, to a hundredth."""
    rows = rows_of(crowd.measured(sums.specification))
    lengths = np.concatenate([np.sqrt((each**2).sum(axis=1)) for each in rows])
    return int(np.flatnonzero(~crowd.held_out)[np.argmax(lengths > 0.99 * lengths.max())])


def _on_fit(
    crowd: crowds.Crowd, listed: NDArray[np.bool_], canaries: NDArray[np.bool_], purchase: Purchase
) -> Callable[[bool], float]:
    cells = purchase.specification.cells
    people = crowd.measured(purchase.specification)
    outside, inside = (fitted.moments(crowd, people, label, cells) for label in (listed, listed | canaries))
    return moved(lambda statistic: rehearsed(purchase, statistic), outside, inside)


def _on_scores(
    crowd: crowds.Crowd, listed: NDArray[np.bool_], canaries: NDArray[np.bool_], purchase: Purchase
) -> Callable[[bool], float]:
    """Scores are worth what the first value says: which model made them does not matter to the histogram."""
    held = replace(crowd, held_out=np.ones_like(canaries))
    bins = ScoreBins.of(_uniform(len(canaries)), crowd.tiebreak)
    cells = purchase.specification.cells
    outside, inside = (fitted.positives(held, bins, label, cells) for label in (listed, listed | canaries))
    return moved(lambda statistic: rehearsed(purchase, statistic), outside, inside)


def _on_strata(
    crowd: crowds.Crowd, listed: NDArray[np.bool_], canaries: NDArray[np.bool_], purchase: Purchase
) -> Callable[[bool], float]:
    """What is known of people is what their invented rows hold; scores are as in `_on_scores`."""
    held = replace(crowd, held_out=np.ones_like(canaries))
    cells = cells_of(crowd.design, _uniform(len(canaries)), crowd.tiebreak)
    many = purchase.specification.cells
    outside, inside = (fitted.positives(held, cells, label, many) for label in (listed, listed | canaries))
    return moved(lambda statistic: rehearsed(purchase, statistic), outside, inside)


def _on_groups(
    crowd: crowds.Crowd, listed: NDArray[np.bool_], canaries: NDArray[np.bool_], purchase: Purchase
) -> Callable[[bool], float]:
    """How people were dealt into groups does not matter to the counts."""
    dealt = (_uniform(crowd.training.rows) * MOST_GROUPS).astype(np.int64)
    outside, inside = (fitted.in_groups(crowd, dealt, label) for label in (listed, listed | canaries))
    return moved(lambda statistic: rehearsed(purchase, statistic), outside, inside)


def _follows(crowd: crowds.Crowd, job: LookalikeJob, bought: tuple[Purchase, ...]) -> bool:
    """The audience and every other file, from held noisy bytes and other labels."""
    rows = crowd.design.rows
    tokens, held = np.arange(rows, dtype=np.uint64), dict[str, Noisy]()

    def pay(purchase: Purchase, exact: Callable[[], Statistic]) -> Noisy:
        statistic = exact()
        return held.setdefault(purchase.key, rehearsed(purchase, statistic))

    def given(_noisy: Noisy, label: NDArray[np.bool_]) -> NDArray[np.int64]:
        made = lookalike.contents(
            fitted.fitted_to(crowd, label, job, bought, pay), tokens, AudienceSize(size=rows // 10), 0
        )
        return np.frombuffer(b"".join([repr(made.values).encode(), *made.files.values()]), dtype=np.uint8).astype("i8")

    labels = [_coins(rows, 0.2) for _ in range(LABELS)]
    people, cells = crowd.measured(bought[0].specification), bought[0].specification.cells
    first = pay(bought[0], lambda: fitted.moments(crowd, people, labels[0], cells))
    return follows_from(given, first, labels)


def _many(kinds: list[Kind], purchase: Purchase, canaries: int, epsilon: float, delta: float) -> Audited:
    """One release of the sums of many canaries, each guessed by how far the sums lie along its own row."""
    table = invented(kinds, canaries, np.zeros(canaries, dtype=np.bool_), _uniform)
    encoder = Encoder.from_owner(table, kinds)
    design = encoder.encode(table)
    none = np.zeros(canaries, dtype=np.bool_)
    crowd = crowds.Crowd(encoder, design, none, np.zeros(canaries, dtype=np.uint64), canaries / 2)
    people, included = crowd.measured(purchase.specification), _coins(canaries, 0.5)
    sums = fitted.moments(crowd, people, included, purchase.specification.cells)
    away = rehearsed(purchase, sums).real[: design.cells] - sum(rows.sum(axis=0) for rows in rows_of(people)) / 2
    scores = np.concatenate([rows @ away for rows in rows_of(people)])
    return one_run(scores, included, round(GUESSED * canaries), epsilon, delta)


# -- a model ---------------------------------------------------------------------------------------------------------


def _of_model(
    contract: Contract, job: ModelJob, bought: tuple[Purchase, ...], runs: int, progress: Progress
) -> tuple[list[Finding], tuple[str, ...]]:
    first, second = bought
    moves = job.rows_moved(contract)
    rows = PERSON_BACKGROUND + moves
    canaries = np.arange(rows) < moves
    encoder = model.encoder_of(contract, job)
    kinds = [column.kind for column in encoder.columns]
    design = encoder.encode(invented(kinds, rows, canaries, _uniform))
    listed = _coins(rows, SEEDS) & ~canaries
    steps = _Steps(progress, 2)
    attack = person_attack(design, listed, canaries, lambda statistic: rehearsed(first, statistic))
    fit = two_worlds(attack, _mu(first), runs, steps.next())
    binned = (_uniform(rows) * BINS).astype(np.int64)
    outside, inside = (model.histograms(binned, label) for label in (listed, listed | canaries))
    shown = moved(lambda statistic: rehearsed(second, statistic), outside, inside)
    scores = two_worlds(shown, _mu(second), runs, steps.next())
    findings = [
        Finding("fit", "a seed with the longest row there can be, there or not: all steps", not fit.leaks, fit),
        Finding("scores", "one person more on the list, and one fewer of the others", not scores.leaks, scores),
    ]
    return findings, ("one run with many canaries: only for lookalikes",)


# -- what both need --------------------------------------------------------------------------------------------------


def _mu(purchase: Purchase) -> float:
    """What a draw costs, as the ledger counts it."""
    spec = purchase.specification
    return math.sqrt(2 * price(spec.l2_squared, spec.scale) / RHO_UNIT)


def _uniform(count: int) -> Float:
    """Numbers in [0, 1) from the operating system."""
    words = np.frombuffer(secrets.token_bytes(8 * count), dtype="<u8")
    return np.asarray((words >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def _coins(count: int, share: float) -> NDArray[np.bool_]:
    return np.asarray(_uniform(count) < share, dtype=np.bool_)


class _Steps:
    """One bar over several tests of the same length."""

    def __init__(self, progress: Progress, tests: int) -> None:
        self._progress, self._tests, self._begun = progress, tests, -1

    def next(self) -> Progress:
        self._begun += 1
        before = self._begun
        return lambda done, of: self._progress(before * of + done, self._tests * of)
