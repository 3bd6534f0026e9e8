"""Attributes that another party knows of some people, told for a reader's own people: one release for all of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import beta, norm

from passbox.cleanroom import job, opening
from passbox.cleanroom.measure import case
from passbox.cleanroom.measure import completion as measure
from passbox.cleanroom.submit import submit
from passbox.dp.aggregate import Statistic
from passbox.dp.budget import RHO_UNIT
from passbox.dp.entry import Purchase
from passbox.dp.ledger import Ledger
from passbox.dp.mechanisms import gaussian
from passbox.dp.noisy import Noisy, Receipt
from passbox.dp.scale import SCALE_UNIT, Scale, price
from passbox.modelling import answers, attributes
from passbox.policies.check import Refused
from passbox.policies.jobs.completion import ANSWERS, LEVELS, SUMS
from passbox.policies.threat import threat_model_of

from .verifiers import all_accept

if TYPE_CHECKING:
    from .world import World

PEOPLE, CUSTOMERS = 3_000, 2_000
ALARM = 1e-6
CUSTOMERS_TOML = """[dataset.customers]
owner = "advertiser"
protects = "{protects}"
identifiers.email = "raw"
budget = {{ epsilon = 8.0, delta = 1e-5 }}
columns.garden = {{ kind = "flag" }}
columns.plan = {{ kind = "category", values = ["small", "middle", "large"] }}
columns.likes = {{ kind = "set", values = ["cars", "travel", "food"], at_most = 2 }}
columns.street = {{ kind = "number", bounds = [0, 10] }}
"""
BOTH_KNOW = """columns.age = { kind = "number", bounds = [18, 90] }
columns.region = { kind = "category", values = ["north", "south"] }
columns.device = { kind = "category", values = ["phone", "tablet"] }
"""
ASKED: dict[str, Any] = {
    "people": "visitors",
    "attributes": "customers",
    "targets": ["garden", "plan", "likes"],
    "recipients": ["publisher"],
    "epsilon": 4.0,
}


def files(folder: Path) -> dict[str, Path]:
    """Visitors of whom age, region and device are known, some not; customers, two thirds of them visitors. Who is over
    50 has a garden, northerners have large plans, phones go with cars."""
    rng = np.random.default_rng(11)
    count = PEOPLE + CUSTOMERS // 3
    age, north, phone = rng.integers(18, 90, count), rng.random(count) < 0.5, rng.random(count) < 0.5
    garden = np.where(age > 50, rng.random(count) < 0.95, rng.random(count) < 0.1)
    plan = np.where(north & (rng.random(count) < 0.9), "large", np.where(rng.random(count) < 0.5, "middle", "small"))
    likes = [
        ("cars|food" if rng.random() < 0.8 else "travel") if p else ("travel" if rng.random() < 0.5 else "")
        for p in phone
    ]
    frame = pl.DataFrame(
        {
            "email": [f"person{at}@example.com" for at in range(count)],
            "phone": [f"+4930{at:07d}" for at in range(count)],
            "age": age,
            "region": np.where(north, "north", "south"),
            "device": np.where(phone, "phone", "tablet"),
            "garden": np.where(garden, "yes", "no"),
            "plan": plan,
            "likes": likes,
            "street": rng.integers(0, 10, count),
        }
    )
    untold = frame.with_columns(
        [
            pl.when(pl.Series(rng.random(count) < 0.4)).then(None).otherwise(pl.col(name)).alias(name)
            for name in ("age", "region", "device")
        ]
    )
    folder.mkdir()
    visitors, customers = folder / "visitors.csv", folder / "customers.csv"
    ids = pl.Series("visitor_id", [f"v{at:05}" for at in range(PEOPLE)])
    untold[:PEOPLE].select("email", "phone", "age", "region", "device").with_columns(ids).write_csv(visitors)
    chosen = np.concatenate([rng.choice(PEOPLE, CUSTOMERS - CUSTOMERS // 3, replace=False), np.arange(PEOPLE, count)])
    held = frame[rng.permutation(chosen)].with_columns(
        phone=pl.col("phone").shuffle(seed=1),
        plan=pl.when(pl.Series(rng.random(len(chosen)) < 0.2)).then(None).otherwise(pl.col("plan")),
    )
    held.write_csv(customers)
    return {"visitors": visitors, "customers": customers}


def made(signed: World, folder: Path, protects: str, *, alike: bool = True, keys: int = 1) -> World:
    """alike: whether what protects everything declares the columns that the visitors have."""
    shutil.copytree(signed.folder, folder, dirs_exist_ok=True, symlinks=True)
    world = replace(signed, folder=folder)
    text = world.contract.read_text()
    head, rest = text[: text.index("[dataset.buyers]")], text[text.index("[rules]") :]
    head = re.sub(r"columns\.region = .*", 'columns.region = { kind = "category", values = ["north", "south"] }', head)
    head = re.sub(r"columns\.device = .*", 'columns.device = { kind = "category", values = ["phone", "tablet"] }', head)
    head = re.sub(r"columns\.topics = .*\n", "", head)
    allow = '{ job = "completion", ask = ["publisher"], recipients = ["publisher"] },\n  '
    allow += '{ job = "completion", ask = ["publisher"], recipients = ["advertiser"] },\n]'
    own = CUSTOMERS_TOML.format(protects=protects) + (BOTH_KNOW if protects == "person" and alike else "")
    rest = rest[: rest.rindex("]")] + "  " + allow + rest[rest.rindex("]") + 1 :]
    if protects == "person":  # which no lookalike keeps
        rest = re.sub(r" *\{ job = .lookalike.*\n", "", rest)
    text = head + own + rest
    if keys == 2:
        text = text.replace('keys = ["email"]', 'keys = ["email", "phone"]').replace(
            'scheme.email = "uid2@1"', 'scheme.email = "uid2@1"\nscheme.phone = "plain@1"'
        )
        text = text.replace(
            'identifiers.email = "raw"', 'identifiers.email = "raw"\nidentifiers.phone = "raw"\ncountry = "DE"'
        )
    world = world.under(text)
    for path in (*world.folder.glob("*.bundle"), *world.folder.glob("*.ids"), *world.folder.glob("*.made")):
        path.unlink()
    for bundle in world.prepared(files(world.folder / "files")).values():
        submit(world.room(), bundle)
    return world


@pytest.fixture(scope="module", params=["membership", "person"])
def agreed(signed: World, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> World:
    """Under a contract that allows completions. Not to be changed: copy it."""
    return made(signed, tmp_path_factory.mktemp("completion"), request.param)


@pytest.fixture
def world(agreed: World, copied: Callable[[World], World]) -> World:
    return copied(agreed)


def ask(world: World, asker: str = "publisher", /, **changes: Any) -> job.Ran:
    return job.run(world.room(), request(world, asker, **changes))


def request(world: World, asker: str = "publisher", /, **changes: Any) -> Any:
    from passbox.policies.request import Request, parse_job
    from passbox.policies.sign import sign

    fields = {name: value for name, value in (ASKED | changes).items() if value is not None}
    lines = ['kind = "completion"', *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    data = "\n".join(lines).encode()
    return Request(parse_job(data), data, asker, sign(data, world.signing_key(asker), "passbox-job"))


def opened(world: World, ran: job.Ran) -> opening.Opened:
    return opening.open_release(
        ran.release.path, world.keys("publisher").seal_identity(), world.folder / "visitors.ids"
    )


def test_the_threat_model_is_the_one_that_the_contract_asks_for_in_the_job_as_in_the_log(world: World) -> None:
    contract = world.agreement.contract
    planned = job.plan(world.room(), request(world))
    model = planned.allowed.request.job.threat_model(contract)
    assert model == contract.dataset["customers"].protects
    specs = [purchase.specification for purchase in planned.allowed.purchases]
    assert [threat_model_of(spec.statistic, spec.columns) for spec in specs] == [model, model]


def test_every_visitor_gets_an_answer_or_an_abstention_under_its_own_id(world: World) -> None:
    """Of 699 who are old 670 or more were answered in 12 runs."""
    found = opened(world, ask(world, epsilon=8.0))
    assert found.audience is not None
    table = pl.from_arrow(found.audience)
    assert isinstance(table, pl.DataFrame)
    assert table.height == PEOPLE
    assert table["visitor_id"].is_sorted()
    assert table["visitor_id"].n_unique() == PEOPLE
    for name in ("garden", "plan", "likes: cars"):
        target, colon, value = name.partition(": ")
        left = table[f"{target}.abstained{colon}{value}"]
        assert (table[name].is_null() == left).all()
        low, chance, high = (table[f"{target}.{each}{colon}{value}"] for each in ("low", "probability", "high"))
        assert (low <= chance).all()
        assert (chance <= high).all()
        assert (chance.filter(~left) >= 0.8).all()
    said = pl.read_csv(world.folder / "files" / "visitors.csv").join(table, on="visitor_id")
    old = said.filter((pl.col("age") > 60) & ~pl.col("garden.abstained"))
    assert old.height > 100
    assert (old["garden"] == "yes").mean() > 0.95  # type: ignore[operator]


def test_only_the_attributes_pay_once_for_all_of_them(world: World) -> None:
    ran = ask(world)
    with world.room().ledger() as ledger:
        entries = [json.loads(leaf) for leaf in ledger.leaves()]
    paid = [entry for entry in entries if entry.get("charges")]
    assert [entry["specification"]["statistic"] for entry in paid] == [SUMS]
    assert [charge["account"] for charge in paid[0]["charges"]] == ["advertiser/record"]
    assert [entry["specification"]["statistic"] for entry in entries if entry.get("covered")] == [ANSWERS]
    assert ran.charged


def test_another_confident_costs_nothing_and_tells_the_same_quality(world: World) -> None:
    first = opened(world, ask(world)).document
    spent = world.spent()
    again = ask(world, confident=0.6)
    assert not again.charged
    assert world.spent() == spent
    second = opened(world, again).document
    assert [each["levels"] for each in first["quality"]] == [each["levels"] for each in second["quality"]]  # type: ignore[index]
    pairs = zip(first["questions"], second["questions"], strict=True)  # type: ignore[arg-type]
    assert all(one["answered"] <= other["answered"] for one, other in pairs)


def test_three_verifiers_accept_it(world: World) -> None:
    ask(world)
    all_accept(world)


# -- what one record moves, and what no label changes ----------------------------------------------------------------


@pytest.mark.parametrize("part", ["train", "held-out"])
def test_one_record_moves_no_more_than_the_specification_says(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Exact replay: the noise held at nothing, first with everybody, then without one record of the other party: it
    moves the statistic of its own part, and the other one by nothing."""
    moves = replayed(world, monkeypatch, part)
    mine, other = (SUMS, ANSWERS) if part == "train" else (ANSWERS, SUMS)
    assert 0 < moves[mine] <= 1
    assert moves[other] == 0


def test_planted_fault_a_record_whose_attributes_count_twice_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = attributes.moments
    monkeypatch.setattr(attributes, "moments", lambda *given: replace(sums := honest(*given), values=2 * sums.values))
    with pytest.raises(AssertionError):
        test_one_record_moves_no_more_than_the_specification_says(world, monkeypatch, "train")


def test_planted_fault_people_who_train_and_are_held_out_are_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everybody(of: case.Case) -> Statistic:
        return attributes.moments(of.taught, of.known, of.width)

    monkeypatch.setattr(case.Case, "sums", everybody)
    with pytest.raises(AssertionError):
        test_one_record_moves_no_more_than_the_specification_says(world, monkeypatch, "held-out")


def replayed(world: World, monkeypatch: pytest.MonkeyPatch, part: str) -> dict[str, float]:
    """The squared move of each statistic, over what its specification says one record moves at most."""
    found = differences(world, monkeypatch, part)
    return {name: sum(int(step) ** 2 for step in apart) / spec.l2_squared for name, (apart, spec) in found.items()}


def differences(world: World, monkeypatch: pytest.MonkeyPatch, part: str) -> dict[str, tuple[np.ndarray, Any]]:
    """How far each statistic moves as a record of that part becomes a dummy, and its specification. The second world
    is told what the first was: what is asked next may follow from what came back."""
    found: dict[str, list[np.ndarray]] = {SUMS: [], ANSWERS: []}
    specs: dict[str, Any] = {}

    def pay(_: Ledger, purchase: Purchase, statistic: Statistic) -> Noisy:
        spec = specs[purchase.specification.statistic] = purchase.specification
        found[spec.statistic].append(statistic.values)
        return Noisy(found[spec.statistic][0], spec.scale / 2**20, spec.bits, Receipt("", 0, b"", ""))

    room, asked = world.room(), request(world)
    monkeypatch.setattr(Ledger, "pay", pay)
    monkeypatch.setattr(Ledger, "paid", lambda *_: None)
    allowed = job.plan(room, asked).allowed
    row = record_of(world, part)
    with room.ledger() as ledger:
        measure.CompletionMeasure().make(room, allowed, ledger)
        without(monkeypatch, world, row)
        measure.CompletionMeasure().make(room, allowed, ledger)
    return {name: (one - other, specs[name]) for name, (one, other) in found.items()}


def record_of(world: World, part: str) -> int:
    """A record of the other party that is in a part, with all its attributes known."""
    room = world.room()
    held = room.datasets()
    asked = measure._asked(request(world).job)
    found = case.case_of(room, asked, held["visitors"], held["customers"])
    full = np.all([each.there for each in found.known], axis=0) & (found.out == (part == "held-out"))
    at = int(np.flatnonzero(full)[5])
    if asked.own_columns(room.contract):
        return at
    ours, theirs = case.paired(room, held["visitors"], held["customers"])
    return int(theirs[ours == at][0])


def without(monkeypatch: pytest.MonkeyPatch, world: World, row: int) -> None:
    """The record is a dummy now: it matches nobody and says nothing."""
    room = world.room()
    honest, honest_pairs = type(room).read, case.paired

    def read(room: Any, held: Any, columns: Any = None) -> pa.Table:
        table = honest(room, held, columns)
        return table.filter(np.arange(table.num_rows) != row) if held.name == "customers" else table

    def pairs(*given: Any) -> Any:
        ours, theirs = honest_pairs(*given)
        stays = theirs != row
        return ours[stays], theirs[stays] - (theirs[stays] > row)

    monkeypatch.setattr(type(room), "read", read)
    monkeypatch.setattr(case, "paired", pairs)


def contents(world: World, ran: job.Ran) -> dict[str, bytes]:
    """A release as its reader has it, but for the receipt's checkpoint and proofs, which are as old as the file."""
    found = opening.open_release(ran.release.path, world.keys("publisher").seal_identity(), None)
    document = dict(found.document)
    document["receipt"] = document["receipt"] | {"checkpoint": "", "entries": [  # type: ignore[operator]
        {name: value for name, value in item.items() if name != "proof"} for item in document["receipt"]["entries"]  # type: ignore[index]
    ]}  # fmt: skip
    return {name: data for name, data in found.files.items() if name != "release.note"} | {
        "release.json": json.dumps(document).encode()
    }


@pytest.mark.parametrize("change", ["nobody is known", "others are known", "other values"])
def test_with_the_noise_held_no_attribute_changes_a_byte(
    world: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = contents(world, first := ask(world))
    known_of = case.known_of

    def otherwise(target: Any, table: pa.Table) -> attributes.Known:
        known = known_of(target, table)
        if change == "nobody is known":
            return (
                attributes.Known.several(target, known.value[:0], known.row[:0], known.there & False)
                if (target.at_most)
                else attributes.Known.one(target, np.full_like(known.value, -1))
            )
        if change == "others are known":
            return replace(known, value=known.value[::-1].copy(), row=known.row)
        return replace(known, value=np.where(known.value >= 0, (known.value + 1) % len(target.values), -1))

    first.release.path.unlink()
    monkeypatch.setattr(case, "known_of", otherwise)
    assert contents(world, ask(world)) == before


def test_a_plan_is_the_same_word_by_word_whoever_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from passbox.cli import job as shown

    def said() -> list[Any]:
        planned = job.plan(world.room(), request(world))
        return [
            shown._plan_json(planned),
            [vars(part) if hasattr(part, "__dict__") else str(part) for part in shown._verdict(planned)],
        ]

    before = said()
    monkeypatch.setattr(type(world.room()), "read", lambda *_: 1 / 0)
    monkeypatch.setattr(type(world.room()), "read_part", lambda *_: 1 / 0)
    assert said() == before


def test_draws_prove_what_one_person_moves_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's difference, as far as the cells hold it that it moves most, is drawn 1,200 times in either world, with
    the noise that the job pays for, and laid along itself: all but the best test there is. The lower bound on mu is
    above what this person is worth once in 10^6 runs at most. It lies .4 below the .92 of a whole record, give or take
    .05: .75 below would come once in 10^9 runs. Half the noise proves 1.2 to 1.4: seven deviations above or more.
    """
    proven, worth, paid = audited(world, monkeypatch, 1)
    assert worth - 0.75 < proven <= worth <= paid


def test_planted_fault_half_the_noise_fails_the_audit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    proven, worth, _ = audited(world, monkeypatch, 2)
    assert proven > worth


def audited(world: World, monkeypatch: pytest.MonkeyPatch, weaker: int) -> tuple[float, float, float]:
    """What draws prove of mu, what a person that moves so far is worth under the paid noise, and what was paid.

    weaker: by how much the noise is too small.
    """
    with monkeypatch.context() as patch:
        apart, spec = differences(world, patch, "train")[SUMS]
    moved, times = most_of(apart), 1_200
    scale = Scale(spec.scale // weaker)
    many = np.tile(np.zeros_like(moved), 2 * times)
    drawn = gaussian(many, spec.l2_squared, scale, price(spec.l2_squared, scale)).reshape(2 * times, -1)
    along = drawn.astype(float) @ (moved / np.linalg.norm(moved))
    far = float(np.linalg.norm(moved))
    missed, wrong = int((along[:times] + far <= far / 2).sum()), int((along[times:] > far / 2).sum())
    worst = [float(beta.ppf(1 - ALARM / 2, errors + 1, times - errors)) for errors in (missed, wrong)]
    paid = (2 * price(spec.l2_squared, spec.scale) / RHO_UNIT) ** 0.5
    return float(sum(norm.isf(worst))), float(np.linalg.norm(apart)) / (spec.scale / SCALE_UNIT), paid


def most_of(apart: np.ndarray) -> np.ndarray:
    """The largest moves, until they hold 95 % of the squared length: they are worth 97.5 % of mu, in a fourth of the
    cells."""
    largest = apart[np.argsort(-np.abs(apart))]
    held = np.cumsum(largest.astype(float) ** 2)
    return largest[: 1 + int(np.searchsorted(held, 0.95 * held[-1]))]


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "clause", "word"),
    [
        ({"targets": ["street"]}, "targets", "no category, flag or set"),
        ({"targets": ["shoe"]}, "targets", "no category, flag or set"),
        ({"known": ["shoe"]}, "columns", "not declared"),
        ({"recipients": ["advertiser"]}, "membership", "only publisher"),
        ({"recipients": ["publisher", "advertiser"]}, "rules.allow", "may not be read by all"),
        ({"attributes": "visitors"}, "dataset", "the same data set, visitors"),
        ({"attributes": "nobody"}, "dataset", "knows no data set"),
        ({"people": "customers", "attributes": "visitors", "targets": ["region"]}, "dataset.customers.id", "own IDs"),
        ({"epsilon": 1e-9}, "epsilon", "too small"),
    ],
)
def test_what_a_completion_is_refused_for(world: World, changes: dict[str, Any], clause: str, word: str) -> None:
    spent = world.spent()
    with pytest.raises(Refused) as caught:
        ask(world, **changes)
    assert caught.value.clause == clause
    assert word in f"{caught.value.rule} {caught.value.remedy}"
    assert world.spent() == spent
    world.verify()


def test_attributes_that_protect_everything_are_learnt_from_their_own_columns_or_not_at_all(
    signed: World, tmp_path: Path
) -> None:
    world = made(signed, tmp_path / "person", "person")
    with pytest.raises(Refused) as caught:
        ask(world, known=["age", "region"], targets=["region"])
    assert caught.value.clause == "known"
    world = made(signed, tmp_path / "other", "person", alike=False)
    with pytest.raises(Refused) as caught:
        ask(world)
    assert caught.value.clause == "dataset.customers.protects"
    assert "membership" in caught.value.remedy


def test_a_plan_warns_of_too_little_to_learn_from_before_anything_is_paid(world: World) -> None:
    enough, some, few = (job.plan(world.room(), request(world, epsilon=e)).warnings for e in (8.0, 0.3, 0.05))
    assert [said for said in few if "too little to learn from" in said]
    assert [said for said in some if "nearly all will be abstentions" in said]
    assert not [said for said in enough if "usual" in said]


def test_a_plan_warns_where_a_release_will_hardly_say_how_right_answers_are(world: World) -> None:
    """From public sizes alone, of attributes of one value and of sets apart: who is asked is dealt among a set's."""
    sure, hardly, never = (job.plan(world.room(), request(world, epsilon=e)).warnings for e in (8.0, 1.5, 0.05))
    said = [[each for each in warnings if "how right answers" in each] for warnings in (sure, hardly, never)]
    assert list(map(len, said)) == [0, 1, 2]
    assert "answers of a set of 3 values are" in said[1][0]
    assert "at best" in said[1][0]
    assert all("even if all" in each for each in said[2])


def test_the_release_of_too_little_to_learn_from_says_so_to_its_reader(world: World) -> None:
    ran = ask(world, epsilon=0.05)
    document: Any = opened(world, ran).document
    assert document["warnings"] == list(ran.plan.warnings)
    assert [said for said in document["warnings"] if "too little to learn from" in said]


def test_under_several_keys_people_are_joined_by_the_first_that_both_carry(signed: World, tmp_path: Path) -> None:
    """One row of the other side at most, whatever rule matches elsewhere: another person's phone changes nothing."""
    world = made(signed, tmp_path / "several", "membership", keys=2)
    room = world.room()
    held = room.datasets()
    ours, theirs = case.paired(room, held["visitors"], held["customers"])
    assert len(set(ours.tolist())) == len(set(theirs.tolist())) == len(ours) == CUSTOMERS - CUSTOMERS // 3
    own = pl.read_parquet(world.folder / "visitors.ids")
    name = next(column for column in own.columns if column != "token")
    tokens = pl.DataFrame({"token": room.read(held["visitors"]).column("token").to_numpy()[ours]})
    email = pl.read_csv(world.folder / "files" / "visitors.csv").select(name, "email")
    people = tokens.join(own, on="token", how="left", maintain_order="left").join(
        email, on=name, how="left", maintain_order="left"
    )
    street = room.read(held["customers"]).column("street").to_numpy()[theirs]
    listed = pl.read_csv(world.folder / "files" / "customers.csv").select("email", "street")
    joined = people.join(listed, on="email", how="left", maintain_order="left")
    assert (joined["street"].to_numpy() == street).all()
    ask(world)
    world.verify()


def test_levels_are_those_that_the_counts_tell() -> None:
    assert LEVELS == answers.GRID
