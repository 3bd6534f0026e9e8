"""The stability of the match, replayed on all neighbours: each record of either side replaced by a dummy.

The same check is run over two matchers that are broken on purpose, and finds both.
"""

import sys
from collections.abc import Callable
from itertools import count
from types import FrameType

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from passbox.matching.hashing import Handles, merge
from passbox.matching.match import Match, RepeatedHandle, match
from passbox.matching.rules import Bounds

Row = tuple[int, int]
Matcher = Callable[[Handles, Handles], Match]
DUMMY = 2**63  # dummies count up from here: no real handle of these tests reaches it


def handles(rows: list[Row]) -> Handles:
    table = np.array(rows, dtype=np.uint64).reshape(-1, 2)
    return Handles(table[:, 0].copy(), table[:, 1].copy())


def unique(rows: list[Row]) -> list[Row]:
    kept = merge(handles(rows)).kept.tolist()
    return [rows[i] for i in kept]


def answer(matcher: Matcher, people: list[Row], seed: list[Row]) -> list[bool] | None:
    """None: refused."""
    try:
        return matcher(handles(people), handles(seed)).matched.tolist()
    except RepeatedHandle:
        return None


def neighbours(rows: list[Row]) -> list[tuple[int, list[Row]]]:
    fresh = count(DUMMY)
    return [(i, [*rows[:i], (next(fresh), DUMMY), *rows[i + 1 :]]) for i in range(len(rows))]


def is_stable(matcher: Matcher, people: list[Row], seed: list[Row]) -> bool:
    """One seed moves at most one row, one person at most its own. A refused data set has no neighbours."""
    before = answer(matcher, people, seed)
    if before is None:
        return True
    for _, other in neighbours(seed):
        after = answer(matcher, people, other)
        if after is None or sum(a != b for a, b in zip(before, after, strict=True)) > 1:
            return False
    for i, other in neighbours(people):
        after = answer(matcher, other, seed)
        if after is None or any(a != b for j, (a, b) in enumerate(zip(before, after, strict=True)) if j != i):
            return False
    return True


def first_k_only(people: Handles, seed: Handles) -> Match:
    """Broken: verifies k2 of whichever seed it finds first by k, and lets k repeat."""
    found = {}
    for k, k2 in zip(seed.k.tolist(), seed.k2.tolist(), strict=True):
        found.setdefault(k, k2)
    hits = [found.get(k) == k2 for k, k2 in zip(people.k.tolist(), people.k2.tolist(), strict=True)]
    return Match(np.array(hits, dtype=np.uint8), "own-best", Bounds(1, 1))


def one_to_one(people: Handles, seed: Handles) -> Match:
    """Broken: each seed takes the first free person that agrees in the second half, or the next one."""
    hits = [False] * len(people)
    for k2 in seed.k2.tolist():
        free = [i for i, other in enumerate(people.k2.tolist()) if other == k2 and not hits[i]]
        if free:
            hits[free[0]] = True
    return Match(np.array(hits, dtype=np.uint8), "own-best", Bounds(1, 1))


small = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=8)
edges = st.sampled_from([0, 1, 2**32 - 1, 2**32, DUMMY - 2, DUMMY - 1])
wide = st.lists(st.tuples(edges, edges), max_size=10)
lists = small | wide


@given(lists, lists)
@settings(max_examples=400)
def test_one_record_of_either_side_moves_at_most_one_row(people: list[Row], seed: list[Row]) -> None:
    people, seed = unique(people), unique(seed)
    assert answer(match, people, seed) is not None
    assert is_stable(match, people, seed)


@given(lists, lists)
@settings(max_examples=400)
def test_lists_that_repeat_a_handle_are_refused_or_stable(people: list[Row], seed: list[Row]) -> None:
    assert is_stable(match, people, seed)


@pytest.mark.parametrize("broken", [first_k_only, one_to_one])
def test_the_same_check_finds_a_broken_matcher(broken: Matcher) -> None:
    people, seed = find(st.tuples(small, small), lambda lists: not is_stable(broken, *lists))
    assert not is_stable(broken, people, seed)
    assert is_stable(match, people, seed)


def test_dealing_is_unstable_even_between_lists_without_repeats() -> None:
    people, seed = [(1, 0), (2, 0)], [(1, 0)]
    assert not is_stable(one_to_one, people, seed)
    assert is_stable(match, people, seed)


def test_a_hidden_handle_would_move_two_rows() -> None:
    """Why k is unique: seeds (1, a) and (1, b), people (1, a) and (1, b)."""
    people, seed = [(1, 7), (1, 8)], [(1, 7), (1, 8)]
    assert answer(first_k_only, people, seed) == [True, False]
    assert answer(first_k_only, people, [(DUMMY, 0), (1, 8)]) == [False, True]
    assert answer(match, people, seed) is None


@given(lists, lists)
def test_a_row_matches_when_its_whole_handle_is_a_seed(people: list[Row], seed: list[Row]) -> None:
    people, seed = unique(people), unique(seed)
    assert answer(match, people, seed) == [row in set(seed) for row in people]


@given(lists, lists, st.randoms(use_true_random=False))
def test_the_order_of_either_list_changes_no_row(people: list[Row], seed: list[Row], random: object) -> None:
    people, seed = unique(people), unique(seed)
    before = dict(zip(people, answer(match, people, seed) or [], strict=True))
    random.shuffle(people)  # type: ignore[attr-defined]
    random.shuffle(seed)  # type: ignore[attr-defined]
    assert dict(zip(people, answer(match, people, seed) or [], strict=True)) == before


def test_the_same_first_half_alone_is_no_match() -> None:
    assert answer(match, [(1, 7)], [(1, 8)]) == [False]


def test_the_ends_of_the_range_are_found() -> None:
    top = 2**64 - 1
    assert answer(match, [(0, 0), (top, top), (top - 1, 0)], [(top, top), (0, 0)]) == [True, True, False]


@pytest.mark.parametrize(
    ("people", "seed", "want"), [([], [], []), ([], [(1, 1)], []), ([(1, 1), (2, 2)], [], [False, False])]
)
def test_an_empty_side_matches_nobody(people: list[Row], seed: list[Row], want: list[bool]) -> None:
    found = match(handles(people), handles(seed))
    assert found.matched.tolist() == want
    assert found.matched.dtype == np.bool_


@pytest.mark.parametrize(
    ("people", "seed", "repeats"),
    [([(1, 1), (1, 1)], [], 1), ([], [(1, 1), (2, 1), (1, 2), (1, 3)], 2), ([(5, 0)], [(5, 0), (5, 0)], 1)],
)
def test_a_repeated_handle_is_refused_and_counted(people: list[Row], seed: list[Row], repeats: int) -> None:
    with pytest.raises(RepeatedHandle) as error:
        match(handles(people), handles(seed))
    assert error.value.count == repeats
    assert error.value.args == (repeats,)


@given(lists, lists, lists)
def test_nothing_that_shows_depends_on_the_overlap(people: list[Row], one: list[Row], two: list[Row]) -> None:
    people = unique(people)
    shown = {repr(match(handles(people), handles(unique(seed)))) for seed in (one, two, [])}
    assert shown == {f"Match(own-best, {len(people)} people)"}


def lines_run(people: list[Row], seed: list[Row]) -> list[tuple[str, int]]:
    """Every line of Python that `match` runs, in order."""
    sides, seen = (handles(people), handles(seed)), []

    def trace(frame: FrameType, event: str, arg: object) -> object:
        if "hypothesis" not in frame.f_code.co_filename:  # it listens to the collector of garbage
            seen.append((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        match(*sides)
    finally:
        sys.settrace(before)
    return seen


def test_the_same_lines_run_whatever_the_overlap() -> None:
    people = [(i, i) for i in range(50)]
    none, some, halves = ([(i + shift, i + other) for i in range(20)] for shift, other in ((100, 0), (0, 0), (0, 1)))
    assert lines_run(people, none) == lines_run(people, some) == lines_run(people, halves)
    assert len(lines_run(people, some)) > 10


def test_a_match_states_its_bounds_and_cannot_be_written_to() -> None:
    found = match(handles([(1, 1)]), handles([(1, 1)]))
    assert (found.rule, found.bounds) == ("own-best", Bounds(1, 1))
    with pytest.raises(ValueError, match="read-only"):
        found.tier[0] = 0


def test_the_inputs_are_left_as_they_were() -> None:
    people, seed = handles([(3, 0), (1, 0)]), handles([(2, 0), (1, 0)])
    match(people, seed)
    assert people.k.tolist() == [3, 1]
    assert seed.k.tolist() == [2, 1]
