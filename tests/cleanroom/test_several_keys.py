"""Matching on several keys through the real path: files, bundles, a room in partitions, a paid count for each key."""

from __future__ import annotations

import csv
import hashlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.cleanroom import intake, joining, matched, partition
from passbox.cleanroom.bundle import BadBundle
from passbox.cleanroom.layout import layout_of
from passbox.cleanroom.matched import match as match_all
from passbox.cleanroom.prepare import Brought, Prepared, SpoiledColumn, Task, TooManyRejects, examine, prepare, spoiled
from passbox.cleanroom.room import Room
from passbox.cleanroom.submit import submit
from passbox.cli.explain import explain
from passbox.dp.aggregate import COUNT_L2_SQUARED
from passbox.matching.hashing import Handles
from passbox.matching.match import RepeatedHandle, match_keys, ranked
from passbox.matching.rules import Rule, bounds, tiers_l2_squared
from passbox.policies.check import Refused
from passbox.policies.contract import InvalidContract, parse

if TYPE_CHECKING:
    from .world import Copier, World

RULES: tuple[Rule, ...] = get_args(Rule)
PEOPLE = 400
KEYS = ("email", "phone")


def email(number: int) -> str:
    return f"someone{number}@mail{number % 7}.example"


def phone(number: int) -> str:
    return f"+4930{number:07d}"


def buyers() -> list[tuple[str, str]]:
    """Some by e-mail, whose phone is another visitor's; some by phone alone; some by phone after an e-mail that
    nobody has; and strangers."""
    crossed = [(email(at), phone(at + 200)) for at in range(60)]
    by_phone = [("", phone(at)) for at in range(100, 150)]
    after = [(email(at + 5000), phone(at)) for at in range(150, 190)]
    strangers = [(email(at), phone(at)) for at in range(9000, 9040)]
    return [*crossed, *by_phone, *after, *strangers]


def expected(rule: Rule) -> list[int]:
    """Rows by tier, as the rule reads."""
    return {"own-best": [60, 50], "fall-through": [60, 90], "any": [60, 150]}[rule]


def write_sources(folder: Path) -> dict[str, Path]:
    rng = np.random.default_rng(3)
    people = [
        [f"v{at}", email(at), phone(at), str(18 + at % 70), ("north", "south")[at % 2], "phone", "cars"]
        for at in rng.permutation(PEOPLE)
    ]
    named = ["visitor_id", "email", "phone", "age", "region", "device", "topics"]
    made = {"visitors": [named, *people], "buyers": [["email", "phone"], *map(list, buyers())]}
    for name, rows in made.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return {name: folder / f"{name}.csv" for name in made}


def agree_on(world: World, rule: Rule, **more: str) -> World:
    """The same parties under a contract with two keys, and a new room."""
    text = world.contract.read_text()
    match = "\n".join([f'rule = "{rule}"', *(f"{name} = {value}" for name, value in more.items())])
    text = text.replace('keys = ["email"]', 'keys = ["email", "phone"]').replace('rule = "own-best"', match)
    text = text.replace('scheme.email = "uid2@1"', 'scheme.email = "uid2@1"\nscheme.phone = "plain@1"')
    text = text.replace(
        'identifiers.email = "raw"', 'identifiers.email = "raw"\nidentifiers.phone = "raw"\ncountry = "none"'
    )
    for name in ("region", "device", "topics"):
        start = text.index(f"columns.{name} = ")
        end = text.index("\n", start)
        kind = "at_most = 8" if name == "topics" else ""
        values = {"region": '["north", "south"]', "device": '["phone", "tv"]', "topics": '["cars", "pets"]'}[name]
        said = "set" if name == "topics" else "category"
        column = f'columns.{name} = {{ kind = "{said}", values = {values}{", at_most = 2" if kind else ""} }}'
        text = text[:start] + column + text[end:]
    return world.under(text)


def made(world: World, dataset: str, source: Path, **task: Any) -> Prepared:
    owner = world.agreement.contract.dataset[dataset].owner
    out = world.folder / f"{dataset}.several.bundle"
    job = Task(source, world.agreement, dataset, out, **task)
    return prepare(job, world.keys(owner), world.signer(owner), world.shares(), world.now)


def taken_in(world: World) -> World:
    for dataset, source in write_sources(world.folder).items():
        bundle = made(world, dataset, source).bundle
        assert bundle is not None
        submit(world.room(), bundle)
    return world


def tiers(world: World, people: str = "visitors", seed: str = "buyers") -> np.ndarray:
    room = world.room()
    return matched.read_tiers(room, room.datasets()[people], room.datasets()[seed])


@pytest.mark.parametrize("rule", RULES)
def test_from_files_to_a_paid_count_for_each_key(empty_room: World, rule: Rule) -> None:
    world = taken_in(agree_on(empty_room, rule))
    assert all(pair.new for pair in matched.match(world.room()))
    found = tiers(world)
    assert np.bincount(found, minlength=3)[1:].tolist() == expected(rule)
    own = {name: at for at, name in enumerate(pa_ids(world))}
    assert found[own["v0"]] == 1
    assert found[own["v100"]] == 2
    both = world.run("overlap", recipients=["publisher", "advertiser"], tiers=True)
    spec = both.plan.allowed.purchases[0].specification
    sides = [tiers_l2_squared(rule, 2, side) for side in ("seed", "people")]
    assert (spec.cells, spec.l2_squared) == (2, COUNT_L2_SQUARED * max(sides))
    opened = world.open(both.release, ids=False).document
    sigma = spec.scale / 2**20 / 2**spec.bits
    assert [tier["key"] for tier in opened["tiers"]] == list(KEYS)
    for tier, exact in zip(opened["tiers"], expected(rule), strict=True):
        assert abs(tier["matched"]["estimate"] - exact) < 7 * sigma  # 3e-12
    assert abs(opened["matched"]["estimate"] - sum(expected(rule))) < 10 * sigma
    planned = {row.number: row.half for row in both.plan.precision}
    seeds, most = opened["seed_rows"], opened.get("rows_a_seed") or 1
    for said, number in ((opened, ""), (opened["tiers"][0], " by one key")):
        count, rate = said["matched"], said["match_rate"]
        assert (count["high"] - count["low"]) / 2 == pytest.approx(planned[f"matched{number}"])
        assert planned[f"match rate{number}"] == pytest.approx(planned[f"matched{number}"] / seeds)
        for end in ("low", "high"):  # a rate ends where rates can end, however large the noise was
            assert rate[end] == pytest.approx(min(most, max(0.0, count[end] / seeds)))
    one = world.run("overlap", "advertiser", recipients=["advertiser"], epsilon=0.5)
    moved = bounds(rule, 2).person  # the people alone are protected from who owns the seed
    assert one.plan.allowed.purchases[0].specification.l2_squared == COUNT_L2_SQUARED * moved**2
    look = world.run("lookalike", epsilon=0.5)
    l2 = [bought.specification.l2_squared for bought in look.plan.allowed.purchases]
    assert l2[1] == COUNT_L2_SQUARED * bounds(rule, 2).seed ** 2
    assert world.verify().releases == 4


def pa_ids(world: World) -> list[str]:
    """The owner's IDs in the room's order."""
    from passbox.cleanroom.home import read_home

    kept = read_home(world.folder / "visitors.several.ids")
    assert kept is not None
    tokens = dict(zip(*(column.to_pylist() for column in kept.table.columns), strict=True))
    return [tokens[token] for token in world.table("visitors").column("token").to_pylist()]


def in_small_pieces(patch: pytest.MonkeyPatch) -> None:
    """Partitions of 64 rows, sorted runs of 50 handles."""
    patch.setattr(partition, "ROWS", 64)
    patch.setattr(intake, "RUN", 50)
    patch.setattr(intake, "PIECE", 16)


@pytest.mark.parametrize("rule", RULES)
def test_partitions_and_sorted_runs_change_no_answer(
    empty_room: World, monkeypatch: pytest.MonkeyPatch, rule: Rule
) -> None:
    from passbox.cleanroom import flat

    monkeypatch.setattr(flat, "BATCH", 37)
    in_small_pieces(monkeypatch)
    world = taken_in(agree_on(empty_room, rule))
    room = world.room()
    held = room.datasets()
    assert {name: len(each.parts("part")) for name, each in held.items()} == {"visitors": 8, "buyers": 4}
    matched.match(room)
    sides = {name: in_memory(world, name) for name in held}
    for people, seed in (("visitors", "buyers"), ("buyers", "visitors")):
        rows = [held[name].manifest.rows for name in (people, seed)]
        whole = match_keys(sides[people], sides[seed], rule, *rows)
        assert tiers(world, people, seed).tolist() == whole.tier.tolist()
        assert whole.matched.sum() > 50
    assert not list(world.place.glob("matches/*.[0-9].[0-9]*"))
    assert not list(world.place.glob("datasets/*/*/*run*"))


def test_pieces_of_a_list_with_one_key_change_no_answer(
    empty_room: World, matched: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in as many pieces as were written, and settled a few at a time."""
    for module, name, rows in ((partition, "ROWS", 500), (intake, "PIECE", 100), (joining, "AT_ONCE", 64)):
        monkeypatch.setattr(module, name, rows)
    for dataset in ("visitors", "buyers"):
        submit(empty_room.room(), empty_room.folder / f"{dataset}.bundle")
    room = empty_room.room()
    held = room.datasets()["visitors"]
    assert len(held.parts("part")) > 1
    assert all(sum(1 for _ in room.read_pieces(part, ["k"])) > 1 for part in held.parts("part"))
    match_all(room)
    for way in (("visitors", "buyers"), ("buyers", "visitors")):
        assert tiers(empty_room, *way).tolist() == tiers(matched, *way).tolist()
        assert tiers(empty_room, *way).any()


def test_a_list_whose_pieces_do_not_ascend_is_not_joined(empty_room: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece ascends, and the next one begins with the handle that the last one ended with."""
    for dataset in ("visitors", "buyers"):
        submit(empty_room.room(), empty_room.folder / f"{dataset}.bundle")
    room = empty_room.room()
    honest = Room.read_pieces

    def again(self: Room, part: Path, columns: list[str]) -> Iterator[pa.Table]:
        for table in honest(self, part, columns):
            yield table
            if part.parent.parent.name == "visitors":
                yield table.slice(table.num_rows - 1)

    monkeypatch.setattr(Room, "read_pieces", again)
    with pytest.raises(RepeatedHandle):
        match_all(room)


def in_memory(world: World, dataset: str) -> list[Any]:
    """A data set's keys as they were stored, all at once."""
    room = world.room()
    held = room.datasets()[dataset]
    handles, rows = [], []
    for key in layout_of(room.contract, dataset).keys:
        table = pa.concat_tables(room.read_part(part) for part in held.parts(key))
        handles.append(Handles(table.column("k").to_numpy(), table.column("k2").to_numpy()))
        rows.append((table.column("record").to_numpy() // 256).astype(np.int64))
    return ranked(handles, rows, held.manifest.rows)


# -- killed -----------------------------------------------------------------------------------------------------------


def killed(work: Callable[[Callable[[int, int], None]], object], after: int) -> None:
    """Work in a process that kills itself for good after so many steps."""

    def progress(done: int, steps: int) -> None:
        if done >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    child = multiprocessing.get_context("fork").Process(target=work, args=(progress,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def test_a_match_that_was_killed_goes_on_where_it_was(
    empty_room: World, copied: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_pieces(monkeypatch)
    world = taken_in(agree_on(empty_room, "any"))
    whole = copied(world)
    matched.match(whole.room())
    killed(lambda progress: matched.match(world.room(), progress), after=5)
    assert not list(world.place.glob("matches/*.parquet"))
    looked_up = []
    honest = joining.look_up
    monkeypatch.setattr(joining, "look_up", lambda a, b: looked_up.append(1) or honest(a, b))
    steps = []
    matched.match(world.room(), lambda done, of: steps.append((done, of)))
    assert steps == [(done, 8) for done in range(1, 9)]  # two keys, four partitions of the shorter list
    assert len(looked_up) == 2 * 3  # three of eight were left; two partitions of the longer list lie within each
    assert tiers(world).tolist() == tiers(whole).tolist()
    assert not list(world.place.glob("matches/*.[0-9].[0-9]*"))


def test_what_a_match_left_that_was_killed_once_it_was_kept_goes_with_the_next(
    empty_room: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = taken_in(agree_on(empty_room, "any"))
    with monkeypatch.context() as patched:
        patched.setattr(joining.Join, "forget", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        killed(lambda progress: matched.match(world.room(), progress), after=sys.maxsize)
    assert list(world.place.glob("matches/*.[0-9].[0-9]*"))
    assert [each.new for each in matched.match(world.room())] == [False, False]
    assert not list(world.place.glob("matches/*.[0-9].[0-9]*"))


def test_a_submission_that_was_killed_is_typed_again(empty_room: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from passbox.cleanroom import flat

    world = agree_on(empty_room, "own-best")
    monkeypatch.setattr(flat, "BATCH", 37)
    in_small_pieces(monkeypatch)
    source = write_sources(world.folder)["visitors"]
    bundle = made(world, "visitors", source).bundle
    assert bundle is not None
    for after in (1, 150, 500):
        killed(lambda progress, after=after: submit(world.room(), bundle, progress), after)  # type: ignore[misc]
        assert world.room().datasets() == {}
        with world.room().changing():
            assert not list(world.place.glob("datasets/visitors/.*"))
    assert submit(world.room(), bundle).new
    assert world.table("visitors").num_rows == PEOPLE


# -- persons ----------------------------------------------------------------------------------------------------------


def write(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def some(count: int, begin: int = 5000) -> list[list[str]]:
    return [[email(at), phone(at)] for at in range(begin, begin + count)]


def test_records_of_one_person_are_merged_through_any_key_and_missing_values_are_no_fault(empty_room: World) -> None:
    world = agree_on(empty_room, "own-best")
    rows = [[email(1), phone(1)], [email(2), phone(1)], [email(2), ""], ["", phone(3)], *some(100)]
    report = made(world, "buyers", write(world.folder / "b.csv", [["email", "phone"], *rows]))
    assert (report.read, report.rows, report.merged, dict(report.rejects)) == (104, 102, 2, {})


def test_a_shared_telephone_leaves_its_rows_out_and_is_counted(empty_room: World) -> None:
    world = agree_on(empty_room, "own-best", largest_person="5")
    crowd = [[email(at), phone(7)] for at in range(30)]
    source = write(world.folder / "b.csv", [["email", "phone"], *crowd, *some(100)])
    with pytest.raises(TooManyRejects) as refused:
        made(world, "buyers", source)
    assert dict(refused.value.rejects) == {"more than 5 identifiers of one person": 30}
    report = made(world, "buyers", source, most_rejects=30)
    assert (report.rows, report.merged) == (100, 0)
    found = report.first["more than 5 identifiers of one person"]
    assert (found.unit, found.numbers) == ("line", (2, 3, 4))


def test_every_reason_names_where_its_first_rows_stand(empty_room: World) -> None:
    """Also what only shows once all rows are read: their numbers are of the file, and not of the rows that count."""
    world = agree_on(empty_room, "own-best", repeats='"drop"')
    rows = [["nobody", ""], [email(1), phone(1)], [email(1), phone(2)], [email(1), ""], ["", phone(2)]]
    source = write(world.folder / "b.csv", [["email", "phone"], *rows])
    report = examine(Brought(source, world.agreement.contract, "buyers"))
    assert {reason: found.numbers for reason, found in report.first.items()} == {
        "email: not-an-email": (2,),
        "email: test-value": (3, 4, 5),
        "every identifier is another person's": (5, 6),
    }


@pytest.mark.parametrize("typed", ["+10000000000", "+491234567890"])
def test_a_telephone_that_people_type_who_have_none_makes_no_person_of_them(empty_room: World, typed: str) -> None:
    world = agree_on(empty_room, "own-best")
    rows = [*([email(at), typed] for at in range(15)), *some(100)]
    report = made(world, "buyers", write(world.folder / "b.csv", [["email", "phone"], *rows]))
    assert (report.read, report.rows, report.merged, dict(report.rejects)) == (115, 115, 0, {})
    assert report.suspects["phone: test-value"] == 15
    assert report.shared == {"phone": 14}


@pytest.mark.parametrize("layout", ["raw", "sha256"])
def test_an_address_that_many_lists_hold_joins_nobody_hashed_or_not(empty_room: World, layout: str) -> None:
    world = agree_on(empty_room, "own-best")
    text = world.contract.read_text()
    seed = text.index("[dataset.buyers]")
    world = world.under(text[:seed] + text[seed:].replace('email = "raw"', f'email = "{layout}"'))
    addresses = ["test@test.com"] * 15 + [email(at) for at in range(100)]
    if layout == "sha256":
        addresses = [hashlib.sha256(address.encode()).hexdigest() for address in addresses]
    rows = [[address, phone(at)] for at, address in enumerate(addresses)]
    report = made(world, "buyers", write(world.folder / "b.csv", [["email", "phone"], *rows]))
    assert (report.rows, report.merged, report.shared) == (115, 0, {"email": 14})


def test_rows_are_counted_and_not_cells(empty_room: World) -> None:
    """Seven rows of which three go: two hold nothing, one holds nothing that is any good."""
    world = agree_on(empty_room, "own-best")
    kept = [[email(1), phone(1)], *([email(at), "call me"] for at in (2, 3, 4))]
    rows = [*kept, ["", ""], [" ", ""], ["bad", "call me"], *some(100)]
    source = write(world.folder / "b.csv", [["email", "phone"], *rows])
    report = made(world, "buyers", source, most_rejects=3)
    assert (report.read, report.rows) == (107, 104)
    assert dict(report.rejects) == {"no identifier: empty": 2, "email: not-an-email": 1}
    assert dict(report.without) == {"phone: letters-in-number": 3}
    with pytest.raises(TooManyRejects) as refused:
        made(world, "buyers", source, most_rejects=2)
    assert (refused.value.rows, sum(refused.value.rejects.values())) == (107, 3)


def test_a_column_that_is_mostly_bad_is_refused_by_its_key(empty_room: World) -> None:
    world = agree_on(empty_room, "own-best")
    rows = [*([email(at), "call me"] for at in range(60)), *([email(at), ""] for at in range(60, 100)), *some(59)]
    source = write(world.folder / "b.csv", [["email", "phone"], *rows])
    with pytest.raises(SpoiledColumn) as refused:
        made(world, "buyers", source, most_rejects=0.4)
    assert (refused.value.key, refused.value.there) == ("phone", 119)
    assert dict(refused.value.refused) == {"phone: letters-in-number": 60}
    words = explain(refused.value)
    assert "60 of 119 values of phone" in words.message
    assert "call me" not in words.message + words.hint
    assert made(world, "buyers", source, most_rejects=60).rows == 159
    half = write(world.folder / "half.csv", [["email", "phone"], *rows, [email(900), phone(900)]])
    report = examine(Brought(half, world.agreement.contract, "buyers"))
    assert (dict(report.without), spoiled(report, 0)) == ({"phone: letters-in-number": 60}, None)


def test_one_hash_that_was_hashed_twice_is_enough(empty_room: World) -> None:
    world = agree_on(empty_room, "own-best")
    text = world.contract.read_text()
    seed = text.index("[dataset.buyers]")
    world = world.under(text[:seed] + text[seed:].replace('phone = "raw"', 'phone = "sha256"'))
    once = [hashlib.sha256(number.encode()).hexdigest() for number in ("+10000000000", *map(phone, range(100)))]
    twice = [hashlib.sha256(digest.encode()).hexdigest() for digest in once]
    rows = [[email(at), digest] for at, digest in enumerate(twice)]
    with pytest.raises(SpoiledColumn) as refused:
        made(world, "buyers", write(world.folder / "b.csv", [["email", "phone"], *rows]))
    assert dict(refused.value.refused) == {"phone: hashed-twice": 1}
    assert "hashed twice" in explain(refused.value).hint


CELLS = {
    "visitor_id": ["v1", "v2", "v3", "v4", "v5", ""],
    "email": ["", " ", "nobody", "test@test.com", *map(email, range(4))],
    "phone": ["", "call me", "1-800-FLOWERS", "12", "+10000000000", *map(phone, range(3))],
    "age": ["40", "40", "40", "17", "old"],
    "region": ["north", "north", "south", "moon"],
    "device": ["tv"],
    "topics": ["cars"],
}


@pytest.mark.parametrize("lists", [60, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("repeats", ["merge", "drop"])
def test_every_row_that_is_read_is_there_merged_or_left_out_once(empty_room: World, repeats: str, lists: int) -> None:
    world = agree_on(empty_room, "own-best", largest_person="3", repeats=f'"{repeats}"')
    contract, source = world.agreement.contract, world.folder / "any.csv"

    @settings(max_examples=lists, deadline=None)
    @given(st.lists(st.tuples(*map(st.sampled_from, CELLS.values())), min_size=1, max_size=12))
    def counted(rows: list[tuple[str, ...]]) -> None:
        write(source, [list(CELLS), *map(list, rows)])
        for dataset in ("visitors", "buyers"):
            report = examine(Brought(source, contract, dataset))
            assert report.read == len(rows) == report.rows + report.merged + sum(report.rejects.values())
            keyless = [row for row in rows if not has_identifier(row)]
            said = [n for reason, n in report.rejects.items() if reason.startswith(("email: ", "phone: ", "no iden"))]
            assert sum(said) == len(keyless)
            assert report.rejects.get("no identifier: empty", 0) == sum(not (r[1] + r[2]).strip() for r in keyless)

    counted()


def has_identifier(row: tuple[str, ...]) -> bool:
    return "@" in row[1] or row[2].startswith("+")


def test_the_attack_prepared_at_home_is_one_record_or_none(empty_room: World, copied: Copier) -> None:
    """A hundred seeds with the target's e-mail, each with another known person's phone."""
    attack = [["email", "phone"], *([email(0), phone(at + 200)] for at in range(100)), *some(100)]
    for repeats, rows in (("merge", 100), ("drop", 200)):
        world = agree_on(copied(empty_room), "fall-through", repeats=f'"{repeats}"')
        sources = write_sources(world.folder)
        report = made(world, "buyers", write(world.folder / "b.csv", attack), most_rejects=100)
        assert report.rows == rows
        for bundle in (made(world, "visitors", sources["visitors"]).bundle, report.bundle):
            submit(world.room(), bundle)  # type: ignore[arg-type]
        matched.match(world.room())
        there = int((tiers(world) > 0).sum())
        gone = [line for line in sources["visitors"].read_text().splitlines() if not line.startswith("v0,")]
        sources["visitors"].write_text("\n".join([*gone, f"v0,{email(8888)},{phone(8888)},20,north,tv,cars"]) + "\n")
        for left in world.folder.glob("visitors.several.*"):
            left.unlink()
        later = world.at(world.now.replace(hour=20))
        submit(later.room(), made(later, "visitors", sources["visitors"]).bundle)  # type: ignore[arg-type]
        matched.match(later.room())
        assert abs(int((tiers(later) > 0).sum()) - there) <= bounds("fall-through", 2).person - 1


# -- what is refused --------------------------------------------------------------------------------------------------


def keyed(world: World, rows: int, **columns: pa.Array) -> pa.Table:
    rng = np.random.default_rng(9)
    halves = {f"{key}.{half}": rng.integers(0, 2**64, rows, dtype=np.uint64) for key in KEYS for half in ("k", "k2")}
    halves["email.k"].sort()
    return pa.table({**{name: pa.array(values) for name, values in halves.items()}, **columns})


LIES: dict[str, tuple[str, Callable[[dict[str, list[Any]]], None]]] = {
    "a phone twice": ("a handle of phone stands twice", lambda c: c["phone.k"].__setitem__(1, c["phone.k"][0])),
    "an e-mail twice": ("stands twice", lambda c: c["email.k"].__setitem__(1, c["email.k"][0])),
    "half a handle": ("half a handle of phone", lambda c: c["phone.k2"].__setitem__(3, None)),
    "nobody's row": (
        "has no handle",
        lambda c: [c[name].__setitem__(3, None) for name in list(c)] and None,
    ),
    "out of order": ("not sorted", lambda c: c["email.k"].reverse()),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_bundle_that_lies_about_its_keys_is_refused(empty_room: World, lie: str) -> None:
    world = agree_on(empty_room, "own-best")
    rule, change = LIES[lie]
    columns = keyed(world, 200).to_pydict()
    change(columns)
    table = pa.table({name: pa.array(values, pa.uint64()) for name, values in columns.items()})
    with pytest.raises(BadBundle) as refused:
        world.submit("buyers", table)
    assert rule in refused.value.rule
    assert world.room().datasets() == {}


def test_a_list_of_one_and_one_that_meets_nobody_run_like_any_other(empty_room: World) -> None:
    world = agree_on(empty_room, "any")
    submit(world.room(), made(world, "visitors", write_sources(world.folder)["visitors"]).bundle)  # type: ignore[arg-type]
    world.submit("buyers", keyed(world, 1))
    assert [pair.seed_rows for pair in matched.match(world.room())] == [1, PEOPLE]
    assert tiers(world).sum() == 0
    later = world.at(world.now.replace(hour=20))
    later.submit("buyers", keyed(later, 150))
    matched.match(later.room())
    ran = later.run("overlap")
    assert later.open(ran.release, ids=False).document["kind"] == "overlap"


def test_padding_is_refused_where_keys_would_tell_dummies_from_people(empty_room: World) -> None:
    world = agree_on(empty_room, "own-best")
    with pytest.raises(Refused, match="dummy"):
        made(world, "buyers", write(world.folder / "b.csv", [["email", "phone"], *some(100)]), pad_to=500)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('keys = ["email", "phone"]', 'keys = ["email", "email"]', "match.keys"),
        ('keys = ["email", "phone"]', 'keys = ["ip", "email"]', "match.keys"),
        ('rule = "any"', 'rule = "best-effort"', "match.rule"),
        ('rule = "any"', 'rule = "any"\nrepeats = "guess"', "match.repeats"),
        ('rule = "any"', 'rule = "any"\nlargest_person = 1', "match.largest_person"),
    ],
)
def test_a_contract_whose_keys_make_no_sense_is_refused(empty_room: World, old: str, new: str, where: str) -> None:
    world = agree_on(empty_room, "any")
    with pytest.raises(InvalidContract) as refused:
        parse(world.contract.read_text().replace(old, new).encode())
    assert where in {problem.where for problem in refused.value.problems}


def test_lists_without_a_key_in_common_are_a_mistake(empty_room: World) -> None:
    world = agree_on(empty_room, "any")
    first, second = world.contract.read_text().split("[dataset.buyers]")
    text = (
        first.replace('identifiers.phone = "raw"\n', "")
        + "[dataset.buyers]"
        + second.replace('identifiers.email = "raw"\n', "")
    )
    with pytest.raises(InvalidContract) as refused:
        parse(text.encode())
    assert "no key in common" in refused.value.problems[0].rule


def test_tiers_of_one_key_are_refused(world: World) -> None:
    with pytest.raises(Refused) as refused:
        world.run("overlap", tiers=True)
    assert refused.value.clause == "tiers"
