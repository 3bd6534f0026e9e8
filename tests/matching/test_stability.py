"""The bounds that each rule declares, replayed exactly on all neighbours of adversarial key graphs.

A record is a tuple of handles, one a key, None where it has none. Neighbours replace one record by a dummy that matches
nobody. Every graph of two people and two seeds over three keys is replayed, and larger ones as they are drawn. The same
check is run over matchers that are broken on purpose, and finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st

from passbox.matching.hashing import Handles
from passbox.matching.match import Claims, Key, Settling, match_keys, ranked
from passbox.matching.rules import Bounds, Rule, Side, bounds, tiers_l2_squared

Record = tuple[int | None, ...]
Matcher = Callable[[list[Record], list[Record]], list[int]]
RULES: tuple[Rule, ...] = get_args(Rule)
DUMMY = 10**6


def ours(rule: Rule) -> Matcher:
    """The tier of every row, by the product."""

    def tiers(people: list[Record], seed: list[Record]) -> list[int]:
        keys = len(people[0] if people else seed[0])
        a, b = (keys_of((*side,), keys) for side in (people, seed))
        return match_keys(a, b, rule, len(people), len(seed)).tier.tolist()

    return tiers


@cache
def keys_of(side: tuple[Record, ...], keys: int) -> list[Key]:
    """Made once: many graphs share a side, and so do all rules."""
    return ranked(*columns([*side], keys), len(side))


def remembered(matcher: Matcher) -> Matcher:
    """Asked once of each graph: many have the same neighbours."""

    @cache
    def tiers(people: tuple[Record, ...], seed: tuple[Record, ...]) -> list[int]:
        return matcher([*people], [*seed])

    return lambda people, seed: tiers((*people,), (*seed,))


def columns(side: list[Record], keys: int) -> tuple[list[Handles], list[np.ndarray]]:
    handles, rows = [], []
    for key in range(keys):
        held = [(at, record[key]) for at, record in enumerate(side) if record[key] is not None]
        values = np.array([value for _, value in held], dtype=np.uint64)
        handles.append(Handles(values, values + np.uint64(7)))
        rows.append(np.array([at for at, _ in held], dtype=np.int64))
    return handles, rows


def written_out(rule: Rule) -> Matcher:
    """The same as a loop over seeds, as the rule reads."""

    def tiers(people: list[Record], seed: list[Record]) -> list[int]:
        at = {(key, value): row for row, record in enumerate(people) for key, value in enumerate(record)}
        found = [0] * len(people)
        for record in seed:
            mine = [(key, value) for key, value in enumerate(record) if value is not None]
            hits = [(key, at[key, value]) for key, value in mine if (key, value) in at]
            if rule == "own-best":
                hits = [hit for hit in hits if hit[0] == mine[0][0]]
            for key, row in hits[:1] if rule == "fall-through" else hits:
                found[row] = min(found[row] or 9, key + 1)
        return found

    return tiers


def dealt(people: list[Record], seed: list[Record]) -> list[int]:
    """Broken: a person is dealt to one seed, and a seed whose person is taken goes on to its next key."""
    at = {(key, value): row for row, record in enumerate(people) for key, value in enumerate(record)}
    found = [0] * len(people)
    for record in seed:
        for key, value in enumerate(record):
            row = at.get((key, value)) if value is not None else None
            if row is not None and not found[row]:
                found[row] = key + 1
                break
    return found


def goes_on(people: list[Record], seed: list[Record]) -> list[int]:
    """Broken: key by key, and a seed whose person is held by another goes on to its next key."""
    at = {(key, value): row for row, record in enumerate(people) for key, value in enumerate(record)}
    found, claimed = [0] * len(people), set[int]()
    for key in range(len((people or seed)[0])):
        for number, record in enumerate(seed):
            row = at.get((key, record[key])) if record[key] is not None and number not in claimed else None
            if row is not None and not found[row]:
                found[row] = key + 1
                claimed.add(number)
    return found


def dummy(keys: int) -> Record:
    return tuple(DUMMY + key for key in range(keys))


def without(side: list[Record], row: int) -> list[Record]:
    return [*side[:row], dummy(len(side[row])), *side[row + 1 :]]


def moved(before: list[int], after: list[int]) -> tuple[int, int]:
    """How many rows changed their answer, and the squared L2 move of the rows a tier."""
    rows = sum(a != b for a, b in zip(before, after, strict=True))
    tiers = max([0, *before, *after])
    move = [after.count(tier) - before.count(tier) for tier in range(1, tiers + 1)]
    return rows, sum(each * each for each in move)


def farthest(matcher: Matcher, people: list[Record], seed: list[Record]) -> dict[Side, tuple[int, int]]:
    """The most that one record of each side moves: rows, and squared L2 of the tiers."""
    before = matcher(people, seed)
    by_seed = [moved(before, matcher(people, without(seed, row))) for row in range(len(seed))]
    by_people = [moved(before, matcher(without(people, row), seed)) for row in range(len(people))]
    return {
        side: (max([0, *(rows for rows, _ in each)]), max([0, *(l2 for _, l2 in each)]))
        for side, each in (("seed", by_seed), ("people", by_people))
    }


def keeps(matcher: Matcher, declared: Bounds, people: list[Record], seed: list[Record]) -> bool:
    far = farthest(matcher, people, seed)
    return far["seed"][0] <= declared.seed and far["people"][0] <= declared.person


def distinct(records: list[Record]) -> list[Record]:
    """Each handle once under its key: the first record keeps it, as in a submitted data set."""
    seen: set[tuple[int, int]] = set()
    kept = []
    for record in records:
        mine = tuple(None if value is None or (key, value) in seen else value for key, value in enumerate(record))
        seen |= {(key, value) for key, value in enumerate(mine) if value is not None}
        if any(value is not None for value in mine):
            kept.append(mine)
    return kept


@cache
def side(keys: int, handles: int = 6) -> st.SearchStrategy[list[Record]]:
    """Records of so many handles a key, of which few are missing."""
    value = st.sampled_from([*range(handles), *range(handles), None])
    return st.lists(st.tuples(*[value] * keys), max_size=8).map(distinct)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Record], list[Record]]:
    """Two sides whose handles are few, so that they meet in every way."""
    keys, handles = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    people, seed = draw(side(keys, handles)), draw(side(keys, handles))
    assume(people or seed)
    return people, seed


def small_graphs() -> Iterator[tuple[list[Record], list[Record]]]:
    """Every graph of two people and two seeds over three keys. A seed has under each key no handle, one that nobody
    has, or that of one of the people; what a person has that no seed has changes nothing."""
    people: list[Record] = [(0, 0, 0), (1, 1, 1)]
    each_key = [
        pair for pair in product((None, "nobody's", 0, 1), repeat=2) if pair[0] != pair[1] or pair[0] not in (0, 1)
    ]
    for columns in product(each_key, repeat=3):
        yield people, [tuple(_handle(column[row], row) for column in columns) for row in range(2)]


def _handle(value: object, row: int) -> int | None:
    return 100 + row if isinstance(value, str) else value  # type: ignore[return-value]


SMALL = list(small_graphs())


def test_no_small_graph_is_left_out() -> None:
    """Two seeds have 16 pairs of handles under a key, but for the two in which both have one person's."""
    assert len(SMALL) == len({tuple(seed) for _, seed in SMALL}) == 14**3


@pytest.mark.parametrize("rule", RULES)
def test_one_record_of_any_small_graph_moves_no_more_rows_than_the_rule_declares(rule: Rule) -> None:
    declared, matcher = bounds(rule, 3), remembered(ours(rule))
    for people, seed in SMALL:
        assert matcher(people, seed) == written_out(rule)(people, seed)
        far = farthest(matcher, people, seed)
        assert all(far[each][0] <= declared.of(each) for each in ("seed", "people"))
        assert all(far[each][1] <= tiers_l2_squared(rule, 3, each) for each in ("seed", "people"))


@pytest.mark.parametrize("broken", [dealt, goes_on], ids=["dealt", "goes on"])
@pytest.mark.parametrize("rule", RULES)
def test_the_small_graphs_find_a_matcher_that_deals(broken: Matcher, rule: Rule) -> None:
    assert any(not keeps(broken, bounds(rule, 3), *graph) for graph in SMALL)


def test_the_small_graphs_find_dealing_that_is_planted_in_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waterfall in which a seed has claimed only where its row was free."""

    def take(self: Settling, number: int, claims: Claims) -> None:
        free = self._tier[claims.people] == 0
        rows = np.where(self._counting(claims) & free, claims.people, self._people)
        self._tier[rows] = np.uint8(number)
        self._tier[self._people] = 0
        self._claimed[np.where(rows < self._people, claims.seed, self._seed)] = True
        self._claimed[self._seed] = False

    people, seed = [(1, 2, None), (None, None, 3)], [(1, None, None), (None, 2, 3)]
    assert keeps(ours("fall-through"), bounds("fall-through", 3), people, seed)  # type: ignore[arg-type]
    monkeypatch.setattr(Settling, "take", take)
    assert not keeps(ours("fall-through"), bounds("fall-through", 3), people, seed)  # type: ignore[arg-type]
    assert any(not keeps(ours("fall-through"), bounds("fall-through", 3), *graph) for graph in SMALL)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=250, deadline=None)
@given(graphs())
def test_one_record_moves_no_more_rows_than_the_rule_declares(rule: Rule, graph: tuple[list[Record], ...]) -> None:
    people, seed = graph
    keys = len((people or seed)[0])
    declared = bounds(rule, keys)
    far = farthest(ours(rule), people, seed)
    for each in ("seed", "people"):
        rows, l2 = far[each]
        assert rows <= declared.of(each)
        assert l2 <= tiers_l2_squared(rule, keys, each)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=250, deadline=None)
@given(graphs())
def test_a_rule_settles_as_it_reads(rule: Rule, graph: tuple[list[Record], ...]) -> None:
    assert ours(rule)(*graph) == written_out(rule)(*graph)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=100, deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_records_changes_no_answer(rule: Rule, graph: tuple[list[Record], ...], random: object) -> None:
    people, seed = graph
    before = dict(zip(people, ours(rule)(people, seed), strict=True))
    for each in (people, seed):
        random.shuffle(each)  # type: ignore[attr-defined]
    assert dict(zip(people, ours(rule)(people, seed), strict=True)) == before


@pytest.mark.parametrize("keys", [2, 3, 4])
def test_no_bound_is_larger_than_it_must_be(keys: int) -> None:
    """Worst cases by hand: a seed that claims K people, and a person whom K seeds claim by its K handles."""
    people = [tuple(row if key == row else None for key in range(keys)) for row in range(keys)]
    assert farthest(ours("any"), people, [tuple(range(keys))])["seed"][0] == bounds("any", keys).seed == keys
    target = tuple(range(keys))
    others = [tuple(100 + row if key == row + 1 else None for key in range(keys)) for row in range(keys - 1)]
    seeds = [
        tuple(row if key == row else 100 + row if key == row + 1 else None for key in range(keys))
        for row in range(keys)
    ]
    far = farthest(ours("fall-through"), [target, *others], seeds)
    assert far["people"][0] == bounds("fall-through", keys).person == keys


@pytest.mark.parametrize(
    ("broken", "declared"),
    [
        (dealt, bounds("own-best", 2)),
        (dealt, bounds("fall-through", 2)),
        (dealt, bounds("any", 2)),
        (goes_on, bounds("own-best", 2)),
        (written_out("fall-through"), bounds("own-best", 2)),
        (written_out("any"), bounds("own-best", 2)),
        (written_out("any"), bounds("fall-through", 2)),
    ],
)
def test_the_same_check_finds_a_matcher_that_deals_and_a_bound_of_another_rule(
    broken: Matcher, declared: Bounds
) -> None:
    pairs = st.tuples(side(2), side(2)).filter(lambda graph: graph[0] and graph[1])
    people, seed = find(
        pairs,
        lambda graph: not keeps(broken, declared, *graph),
        settings=settings(max_examples=20_000, phases=[Phase.generate]),
    )
    assert not keeps(broken, declared, people, seed)


def attack(size: int) -> tuple[list[Record], list[Record]]:
    """So many seeds that all carry the target's e-mail (0), and each another known person's phone."""
    people = [(0, 0), *((100 + row, 100 + row) for row in range(size))]
    return people, [(0, 100 + row) for row in range(size)]


def repeating(people: list[Record], seed: list[Record]) -> list[int]:
    """Broken: a waterfall over lists that repeat a handle."""
    return written_out("fall-through")(people, seed)


def test_a_hundred_seeds_with_the_target_s_e_mail_move_a_hundred_rows_of_a_waterfall_that_lets_handles_repeat() -> None:
    people, seed = attack(100)
    assert farthest(repeating, people, seed)["people"][0] == 101


@pytest.mark.parametrize("rule", RULES)
def test_a_handle_that_stands_once_takes_the_attack_its_teeth(rule: Rule) -> None:
    people, seed = attack(100)
    far = farthest(ours(rule), people, distinct(seed))
    assert far["people"][0] <= bounds(rule, 2).person <= 2
    assert far["seed"][0] <= bounds(rule, 2).seed <= 2


def test_the_bounds_of_one_key_are_one_whatever_the_rule() -> None:
    for rule, each in product(RULES, ("seed", "people")):
        assert bounds(rule, 1).of(each) == tiers_l2_squared(rule, 1, each) == 1
    with pytest.raises(ValueError, match="one key"):
        bounds("any", 0)
