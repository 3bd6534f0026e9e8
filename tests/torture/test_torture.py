"""The short form of the torture; `make torture` runs the full one. docs/reliability.md says what it showed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import conditions
import faults
import kills
import orders
import power
import pytest
import races
import script

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fork, /proc and strace are Linux's")
traced = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def test_killed_before_any_statement_nothing_is_lost_or_drawn_again() -> None:
    assert kills.at_every_statement() == []


def test_killed_at_random_nothing_is_lost_or_drawn_again() -> None:
    tally = kills.torture(60, seed=1)
    assert (tally.kills, tally.wrong, tally.failed) == (60, [], 0)
    assert tally.seen > 0


@traced
def test_a_power_cut_loses_nothing_that_was_seen() -> None:
    tally = power.torture(60, spends=24, seed=1)
    assert (tally.images, tally.wrong) == (60, [])


@traced
def test_with_synchronous_normal_the_same_power_cuts_lose_releases() -> None:
    assert len(power.torture(60, spends=24, seed=1, plant="synchronous = normal").wrong) > 10


def test_of_64_processes_racing_for_a_budget_of_five_exactly_five_win() -> None:
    assert races.for_a_budget(64) == []


def test_64_processes_asking_the_same_see_one_noise() -> None:
    assert races.for_one_statistic(64) == []


def test_a_naive_ledger_overspends_in_the_same_race() -> None:
    assert races.naive(64) > races.FITS


def test_in_any_order_with_crashes_and_restored_copies_the_ledger_is_its_model() -> None:
    orders.torture(600, fixed=True)


def test_clocks_ten_years_wrong_change_no_sum() -> None:
    assert conditions.clocks() == []


def test_what_nobody_cosigns_spends_its_window_and_no_more() -> None:
    assert conditions.unwitnessed() == []


Stage = tuple[faults.Helper, list[faults.Step]]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Everybody's folder before each command, and somebody to type."""
    with faults.scratch() as home:
        operator, reader = faults.demo(home)
        with faults.helper(home / "worker", reader) as one:
            yield one, faults.steps_of(one, operator, home)


@traced
def test_a_call_that_fails_leaves_everybody_able_to_go_on(stage: Stage) -> None:
    tally = faults.Tally()
    faults.strike(tally, *stage, every=1000, in_turn=True)
    assert tally.wrong == []
    assert set(tally.points) == {typed.name for typed in script.SCRIPT}
    assert tally.struck > 0.95 * tally.tried  # threads do not make the same calls each time


AT_HOME = {"keys new", "keys new, of a room", "prepare people", "contract sign", "contract sign, taking"}


@traced
def test_what_a_party_makes_is_remembered_before_it_is_out_and_nothing_half_written_stays(stage: Stage) -> None:
    one, steps = stage
    tally = faults.Tally()
    faults.strike(tally, one, [step for step in steps if step.name in AT_HOME], calls={"rename"})
    assert tally.wrong == []
    assert tally.struck == tally.tried > 30


@traced
def test_a_new_room_is_synced_under_its_name(stage: Stage) -> None:
    """A power cut must not turn it back into a temporary, which the next `room new` sweeps with all that it spent."""
    one, steps = stage
    assert any((point.call, point.path) == ("fsync", ".") for point in faults.points_of(one, steps[0]))


def test_commands_under_bad_conditions_work_or_refuse(stage: Stage) -> None:
    one, steps = stage
    short = [step for at, step in enumerate(steps) if at < 12 or at % 3 == 0]
    assert conditions.torture(one, short, kills=8, sizes=(0,), say=lambda *_, **__: None, in_turn=True) == []


@traced
def test_every_planted_fault_is_caught() -> None:
    """In a process of its own: it forks, and a worker of pytest has threads."""
    done = subprocess.run(
        [sys.executable, str(HERE / "planted.py"), "--short"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of" in done.stdout.splitlines()[-1]
