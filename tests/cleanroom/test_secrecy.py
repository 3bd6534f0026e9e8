"""What is promised about who is on the seed list, through the real path: bundles, match, ledger, release."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.joining import Join
from passbox.cleanroom.measure import crowds, fitted, lookalike
from passbox.cleanroom.room import Room, open_room
from passbox.cli.app import run as cli
from passbox.dp.aggregate import Statistic, count
from passbox.matching.match import Match

from .spying import Drawn, spying

if TYPE_CHECKING:
    from .world import Copier, World


# -- labels ----------------------------------------------------------------------------------------------------------


def relabel(room: Room, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Put other labels into the room's match file."""
    held = room.datasets()
    people, seed = held["visitors"], held["buyers"]
    labels = job.read_match(room, people, seed)
    room.keep_match(people, seed, change(labels).astype(np.uint8))


def contents(world: World, listed: job.Listed) -> dict[str, bytes]:
    """A release as its reader has it, but for the receipt's checkpoint, which is as old as the file."""
    opened = world.open(listed, ids=False)
    document = dict(opened.document)
    document["receipt"] = document["receipt"] | {"checkpoint": "", "entries": [
        {name: value for name, value in item.items() if name != "proof"} for item in document["receipt"]["entries"]
    ]}  # fmt: skip
    return dict(opened.files) | {"release.json": json.dumps(document).encode()}


@pytest.mark.parametrize(
    "change",
    [np.zeros_like, np.ones_like, np.logical_not, np.flip],
    ids=["nobody matched", "everybody matched", "the others matched", "somebody else matched"],
)
def test_with_the_noise_held_no_label_changes_a_byte(used: World, change: Callable[..., np.ndarray]) -> None:
    for kind, fields in (("lookalike", {}), ("overlap", {"recipients": ["publisher", "advertiser"], "epsilon": 0.25})):
        before = used.run(kind, **fields)
        assert not before.charged
        expected = contents(used, before.release)
        relabel(used.room(), change)
        for path in used.place.glob("releases/*"):
            path.unlink()
        after = used.run(kind, **fields)
        assert not after.charged
        assert contents(used, after.release) == expected


def test_the_planted_fault_that_peeks_at_labels_is_caught(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audience that breaks ties by the label is what the test above is for."""
    honest = fitted.fitted

    def peeking(*given: Any) -> fitted.Fitted:
        fit = honest(*given)
        return replace(fit, scores=fit.scores + given[-1])

    monkeypatch.setattr(lookalike, "fitted", peeking)
    with pytest.raises(AssertionError):
        test_with_the_noise_held_no_label_changes_a_byte(used, np.logical_not)


# -- an empty intersection looks like any other ------------------------------------------------------------------------


COMMANDS = (
    ("match", "spring"),
    ("plan", "spring", "lookalike.toml"),
    ("plan", "spring", "overlap.toml"),
    ("run", "spring", "lookalike.toml"),
    ("run", "spring", "overlap.toml"),
    ("run", "spring", "overlap.toml"),
    ("run", "spring", "refused.toml"),
    ("run", "spring", "dear.toml"),
    ("room", "show", "spring"),
    ("release", "list", "spring"),
    ("release", "export", "spring", "--out", "out"),
    ("ledger", "show", "spring"),
    ("ledger", "export", "spring"),
    ("ledger", "verify", "spring.ledger", "--contract", "contract.toml"),
)


@dataclass
class Seen:
    """Everything an operator, or whoever reads its terminal and its disk, sees."""

    screens: list[tuple[int, str, str]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)


def watch(world: World, table: pa.Table) -> Seen:
    """Submit these buyers and type everything."""
    world.submit("buyers", table)
    for name, text in (
        ("lookalike", world.job_text("lookalike")),
        ("overlap", world.job_text("overlap", epsilon=0.5, recipients=["publisher", "advertiser"])),
        ("refused", world.job_text("lookalike", recipients=["advertiser"])),
        ("dear", world.job_text("lookalike", epsilon=3.0)),
    ):
        world.sign_job(text, "publisher").rename(world.folder / f"{name}.toml")
        next(world.folder.glob("job-*.sig")).rename(world.folder / f"{name}.toml.publisher.sig")
    seen = Seen()
    with contextlib.chdir(world.folder):
        for words in COMMANDS:
            for flags in ([], ["--json"]):
                out, err = io.StringIO(), io.StringIO()
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    code = cli([*words, *flags])
                seen.screens.append((code, out.getvalue(), err.getvalue()))
    seen.sizes = {path.name: path.stat().st_size for path in world.place.glob("matches/*")}
    seen.entries = [json.loads(entry) for entry in world.log().entries]
    return seen


def masked(text: str) -> str:
    """Without digests, signatures and noise-free names made of them, which are random in every run."""
    import re

    return re.sub(r"[0-9a-f]{12,}|[A-Za-z0-9+/=]{40,}", "#", text)


def test_an_empty_and_a_full_intersection_look_the_same(
    world: World, copied: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row for row: screens, exit codes, charges, entries, sizes of match files; all that may differ is random."""
    later = world.at(world.now + timedelta(hours=1))
    monkeypatch.setattr(open_room, "__defaults__", (later.clock,))
    worlds = {"nobody": (0, 300), "everybody": (300, 0), "some": (150, 150)}
    seen = {name: watch(copied(later), later.seeds(known, strangers)) for name, (known, strangers) in worlds.items()}
    first = seen.pop("nobody")
    assert [code for code, _, _ in first.screens] == [0] * 12 + [5, 5, 6, 6] + [0] * 12
    for other in seen.values():
        assert sorted(other.sizes.values()) == sorted(first.sizes.values())
        assert [(c, masked(o), masked(e)) for c, o, e in other.screens] == [
            (c, masked(o), masked(e)) for c, o, e in first.screens
        ]
        assert [blank(entry) for entry in other.entries] == [blank(entry) for entry in first.entries]


def blank(entry: dict[str, Any]) -> str:
    return masked(json.dumps(entry))


def test_a_match_file_is_as_long_for_nobody_as_for_everybody(world: World) -> None:
    room = world.room()
    sizes = set()
    for change in (np.zeros_like, np.ones_like, np.logical_not, lambda m: np.arange(len(m)) % 2):
        relabel(room, change)
        held = room.datasets()
        sizes.add(room.match_path(held["visitors"], held["buyers"]).stat().st_size)
    assert len(sizes) == 1


# -- neighbours ------------------------------------------------------------------------------------------------------


def neighbours(world: World, copied: Copier, part: str, gone: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """How far one seed moves each statistic, as a share of what its specification says (squared L2).

    Two copies of one room, keys and all, take in two lists that differ in one seed, replaced by a dummy. part, gone:
    the seed that goes is the gone-th of those that match and lie in this part.
    """
    later = world.at(world.now + timedelta(hours=1))
    seeds = later.seeds(200, 50)
    k, k2 = (seeds.column(name).to_numpy().copy() for name in ("k", "k2"))
    held_out = crowds.held_out(k, later.room().store.derive("split"))
    known = np.isin(k, later.table("visitors").column("k").to_numpy())
    row = np.flatnonzero(known & (held_out if part == "held-out" else ~held_out))[gone]
    k[row], k2[row] = 7, 7
    order = np.argsort(k)
    drawn = Drawn()
    for table in (seeds, pa.table({"k": k[order], "k2": k2[order]})):
        room = copied(later)
        room.submit("buyers", table)
        job.match(room.room())
        with spying(monkeypatch, drawn):
            room.run("lookalike")
            room.run("overlap", epsilon=0.25)
    moved = {}
    for name, ((purchase, one), (_, other)) in drawn.exact.items():
        apart = [int(a) - int(b) for a, b in zip(one.values, other.values, strict=True)]
        moved[name] = sum(step * step for step in apart) / purchase.specification.l2_squared
    return moved


def keeps_its_promise(moved: dict[str, float], part: str) -> bool:
    """A count moves by its bound at most; and of a lookalike's two parts one alone moves, by its bound at most."""
    parts = {"train": moved["seed-moments@5"], "held-out": moved["score-histogram@1"]}
    return moved["matched-count@1"] <= 1 and 0 < parts.pop(part) <= 1 and set(parts.values()) == {0}


@pytest.mark.parametrize(("part", "gone"), [("train", 0), ("train", 51), ("held-out", 0), ("held-out", 13)])
def test_one_seed_moves_what_the_specification_says(
    world: World, copied: Copier, part: str, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keeps_its_promise(neighbours(world, copied, part, gone, monkeypatch), part)


def test_a_seed_counted_in_both_parts_is_caught(world: World, copied: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fitted.positives

    def greedy(crowd: crowds.Crowd, bins: Any, matched: np.ndarray, cells: int) -> Statistic:
        held_out = honest(crowd, bins, matched, cells)
        values = held_out.values.copy()
        values[0] += count(matched[~crowd.held_out]).values[0]
        return replace(held_out, values=values)

    monkeypatch.setattr(fitted, "positives", greedy)
    assert not keeps_its_promise(neighbours(world, copied, "train", 0, monkeypatch), "train")


def test_a_match_that_moves_two_rows_is_caught(world: World, copied: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Join.settle

    def generous(join: Join, ways: Any) -> list[Match]:
        return [replace(found, tier=found.tier | np.roll(found.tier, 1)) for found in honest(join, ways)]

    monkeypatch.setattr(Join, "settle", generous)
    assert not keeps_its_promise(neighbours(world, copied, "train", 0, monkeypatch), "train")


# -- the parts, the audience -------------------------------------------------------------------------------------------


def test_every_person_is_in_one_part_whoever_matched(world: World) -> None:
    room = world.room()
    request = world.request("lookalike")
    crowd = crowds.crowd_of(room, request.job, room.datasets()["visitors"])
    held = crowd.held_out
    assert crowd.training.rows + held.sum() == len(held)
    assert 0.15 < held.mean() < 0.25  # 7 standard deviations
    matched = job.read_match(room, room.datasets()["visitors"], room.datasets()["buyers"])
    design = crowd.design
    both = design.take(~held).moments(matched[~held]).values + design.take(held).moments(matched[held]).values
    assert np.array_equal(both, design.moments(matched).values)
    handles = world.table("visitors").column("k").to_numpy()
    shuffled = np.random.default_rng(1).permutation(len(handles))
    key = room.store.derive("split")
    assert np.array_equal(crowds.held_out(handles[shuffled], key), held[shuffled])
    assert np.array_equal(crowds.held_out(handles[:100], key), held[:100])


def test_the_audience_is_the_top_by_score_with_keyed_ties_and_sorted_ids(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[fitted.Fitted] = []
    honest = fitted.fitted

    def keeping(*arguments: Any) -> fitted.Fitted:
        kept.append(honest(*arguments))
        return kept[-1]

    monkeypatch.setattr(lookalike, "fitted", keeping)
    released = {size: world.run("lookalike", audience={"size": size}).release for size in (200, 777, 2990)}
    fit = kept[0]
    tokens = world.table("visitors").column("token").to_numpy()
    ranked = sorted(range(len(tokens)), key=lambda row: (-fit.scores[row], fit.tiebreak[row]))
    for size, listed in released.items():
        given = world.open(listed, ids=False).audience.column("token").to_pylist()
        assert given == sorted(tokens[ranked[:size]].tolist())
        own = world.open(listed).audience.column("visitor_id").to_pylist()
        assert own == sorted(own)
        assert len(set(own)) == size
    assert len(np.unique(fit.scores)) < len(tokens)  # there were ties to break


def test_a_release_holds_nothing_exact_about_the_intersection(world: World) -> None:
    """Every number in it is public, noisy, or the publisher's own: the exact counts are nowhere."""
    listed = world.run("lookalike").release
    opened = world.open(listed, ids=False)
    assert set(opened.files) == {"release.json", "audience.parquet", "model.json", "release.note"}
    assert set(opened.document) == {
        "format", "id", "kind", "contract", "purpose", "recipients", "who_learns_what", "warnings", "receipt",
        "people", "held_out", "audience", "learners", "positives", "auc", "cuts", "calibration", "effects", "strata",
    }  # fmt: skip
    room = world.room()
    held = room.datasets()
    crowd = crowds.crowd_of(room, world.request("lookalike").job, held["visitors"])
    assert opened.document["people"] == held["visitors"].manifest.rows
    assert opened.document["held_out"] == int(crowd.held_out.sum())
    assert opened.document["audience"] == {"size": 300}
