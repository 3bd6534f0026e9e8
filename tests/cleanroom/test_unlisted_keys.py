"""Keys that nobody listed, through the whole room: what shows and costs, what neighbours change, what is refused."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.asking import refusal
from passbox.cleanroom.measure.kinds import measure_of
from passbox.cleanroom.measure.rows import tables
from passbox.cleanroom.measure.shown import SHOWN
from passbox.cleanroom.measure.table import TableMeasure
from passbox.cleanroom.opening import LARGEST, BadRelease, check_receipt
from passbox.cleanroom.prepare import Brought, examine
from passbox.cleanroom.room import Dataset, Room
from passbox.cleanroom.submit import submit
from passbox.dp.aggregate import Statistic
from passbox.dp.budget import delta_units
from passbox.dp.grouped import candidates
from passbox.dp.intervals import at_once
from passbox.dp.noisy import Z95, Noisy, Receipt
from passbox.dp.scale import SCALE_UNIT, Scale
from passbox.dp.selection import Candidates
from passbox.dp.selection import shown as selected
from passbox.policies.check import Refused
from passbox.policies.contract import InvalidContract, parse
from passbox.policies.jobs.query import Query, Terms
from passbox.policies.jobs.table import TableJob

from .campaign_world import campaign_contract

if TYPE_CHECKING:
    from pathlib import Path

    from .campaign_world import CampaignWorld
    from .world import Copier

DEVICES: dict[str, Any] = {
    "dataset": "exposures",
    "by": ["device"],
    "keys_per_person": 2,
    "epsilon": 4.0,
    "measure": {
        "people": {"kind": "people"},
        "ads": {"kind": "count", "at_most": 10},
        "cost": {"kind": "sum", "of": "cost", "at_most": 0.1},
        "depth": {"kind": "mean", "of": "depth", "rows_per_key": 5},
    },
}
HOMES = DEVICES | {"by": ["home"], "measure": {"people": {"kind": "people"}}}
CAMPAIGN: dict[str, Any] = {
    "dataset": "exposures",
    "by": ["device"],
    "clicks": "clicked",
    "spend": "cost",
    "conversions": "purchases",
    "at_most": {"impressions": 10, "clicks": 2, "spend": 0.1, "conversions": 2},
    "epsilon": 4.0,
    "recipients": ["publisher", "advertiser"],
}
SELECTION = 1e-9


def contract_of(folder: Path, rules: str = "", selection: str = ", selection = 1e-9") -> str:
    """Devices and homes are text; every owner keeps δ for keys, or none does."""
    text = campaign_contract(folder, rules)
    lines = [line for line in text.splitlines() if not line.startswith("columns.device")]
    text = "\n".join(lines).replace('columns.household = { kind = "household" }', 'columns.home = { kind = "text" }')
    text = text.replace("columns.campaign", 'columns.device = { kind = "text" }\ncolumns.campaign')
    return re.sub(r"(budget = .* delta = [0-9.e-]+) }", rf"\1{selection} }}", text) + "\n"


def made(world: CampaignWorld, **how: str) -> CampaignWorld:
    """The campaign's room under such a contract, everything submitted."""
    world.under(contract_of(world.folder, **how))
    for left in (each for end in ("ids", "made", "bundle") for each in world.folder.glob(f"*.{end}")):
        left.unlink()
    exposures = pl.read_csv(world.folder / "p" / "exposures.csv", infer_schema=False).rename({"household": "home"})
    exposures.write_csv(world.folder / "p" / "exposures.csv")
    sources = {name: world.folder / "p" / f"{name}.csv" for name in ("visitors", "exposures")}
    for bundle in world.prepared(sources | {"purchases": world.folder / "a" / "purchases.csv"}).values():
        submit(world.room(), bundle)
    return world


@pytest.fixture(scope="module")
def texts(campaign_room: CampaignWorld, anew: Copier) -> CampaignWorld:
    """Not to be changed: copy it."""
    return made(anew(campaign_room))  # type: ignore[arg-type]


@pytest.fixture
def world(texts: CampaignWorld, copied: Copier) -> CampaignWorld:
    return copied(texts)  # type: ignore[return-value]


def shown(document: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Key to what the first table says of it."""
    table = document["tables"][0]
    names = [column["name"] for column in table["columns"]]
    columns = zip(*(column["estimate"] for column in table["columns"]), strict=True)
    found = [dict(zip(names, numbers, strict=True)) for numbers in columns]
    return {key: numbers for (key,), numbers in zip(table["keys"], found, strict=True)}


def truth(world: CampaignWorld, column: str) -> dict[str, int]:
    """People of each value, by the file."""
    rows = pl.read_csv(world.folder / "p" / "exposures.csv")
    found = rows.group_by(column).agg(pl.col("email").n_unique().alias("people"))
    return dict(found.iter_rows())


def certain(world: CampaignWorld, ran: job.Ran) -> set[str]:
    """Devices of so many people that noise hides them once in 10^9; there are some."""
    (purchase,) = ran.plan.allowed.purchases
    assert purchase.selection
    scale, steps = purchase.specification.scale, purchase.selection.steps
    least = (purchase.selection.threshold(scale) + 6 * scale / SCALE_UNIT) / steps
    found = {device for device, people in truth(world, "device").items() if people > least}
    assert found
    return found


def test_what_many_share_shows_with_its_numbers_and_what_few_have_does_not(world: CampaignWorld) -> None:
    ran = world.run("aggregate", "advertiser", **DEVICES)
    world.verify()
    document = dict(world.open(ran.release).document)
    check_receipt(ran.release.path, document)
    people = {key: numbers["people"] for key, numbers in shown(document).items()}
    assert certain(world, ran) <= people.keys() <= truth(world, "device").keys()
    table = document["tables"][0]
    column = next(each for each in table["columns"] if each["name"] == "people")
    half = (column["high"][0] - column["low"][0]) / 2
    planned = {row.number: row.half for row in ran.plan.precision if row.given == "whatever it is"}
    assert half == pytest.approx(planned["people"], rel=1e-9)
    real = truth(world, "device")
    assert all(abs(people[key] - real[key]) < 3 * half for key in people)  # 6 sigma: once in 10^9
    homes = world.open(world.run("aggregate", "advertiser", **HOMES, selection=1e-12).release).document
    assert homes["tables"][0]["keys"] == []  # two people each, of 963 homes: one shows in less than 10^6 runs
    assert "10.0." not in json.dumps(homes, default=str)
    world.verify()


@pytest.mark.parametrize("by", ["people", "ads"])
def test_the_largest_by_people_hold_for_the_keys_that_do_not_show_too(world: CampaignWorld, by: str) -> None:
    """The noise that ranks them is the noise that shows them: intervals reckon with every key that there may be."""
    ran = world.run("aggregate", "advertiser", **DEVICES, top={"by": by, "keys": 2})
    document = dict(world.open(ran.release).document)
    table, rows = document["tables"][0], document["rows"]["exposures"]  # type: ignore[index]
    many = rows if by == "people" else len(table["keys"]) + table["hidden"]
    column = next(each for each in table["columns"] if each["name"] == by)
    plain = job.plan(world.room(), world.request("aggregate", "advertiser", **DEVICES)).precision
    alone = next(row.half for row in plain if row.number == by)
    assert (column["high"][0] - column["low"][0]) / 2 == pytest.approx(alone * at_once(many) / Z95)
    assert (
        column["covers"]
        == f"noise, of all {'keys at once, shown or not' if by == 'people' else f'{many} keys at once'}"
    )
    given = [row.given for row in ran.plan.precision if row.number == by]
    assert given == (["whatever it is"] if by == "people" else [f"{size:,} keys show" for size in SHOWN])


def test_it_costs_both_and_a_replay_neither(world: CampaignWorld) -> None:
    first = world.run("aggregate", "advertiser", **DEVICES)
    spent = world.spent()
    assert spent["publisher/selection"] == delta_units(SELECTION) // 10
    assert spent["publisher/record"] == first.plan.costs[0].rho
    assert spent["advertiser/selection"] == spent["advertiser/record"] == 0
    before = world.open(first.release).document
    first.release.path.unlink()
    again = world.run("aggregate", "advertiser", **DEVICES)
    assert not again.charged
    assert world.open(again.release).document["tables"] == before["tables"]
    assert world.spent() == spent


def test_another_reader_gets_the_same_keys_and_whoever_is_newly_exposed_pays(world: CampaignWorld) -> None:
    first = world.open(world.run("campaign", "advertiser", **CAMPAIGN | {"recipients": ["advertiser"]}).release)
    assert world.spent()["advertiser/selection"] == 0
    both = world.open(world.run("campaign", "advertiser", **CAMPAIGN).release)
    assert both.document["tables"] == first.document["tables"]
    assert world.spent()["advertiser/selection"] == world.spent()["publisher/selection"] == delta_units(SELECTION) // 10
    world.verify()


def test_a_campaign_by_text_gives_rates_of_what_shows(world: CampaignWorld) -> None:
    """Of some 300 impressions and few clicks a rate may be below 0 by noise: in 2 of 40 runs one was, at -.07 the
    lowest."""
    ran = world.run("campaign", "advertiser", **CAMPAIGN)
    document = world.open(ran.release).document
    numbers = shown(dict(document))
    assert certain(world, ran) <= numbers.keys() <= truth(world, "device").keys()
    assert all(-0.3 < each["ctr"] <= 1 for each in numbers.values())
    assert {"impressions", "clicks", "spend", "conversions", "ctr", "cpm"} <= set(next(iter(numbers.values())))


def test_the_delta_that_is_kept_is_spent_to_the_last_unit_and_no_further(world: CampaignWorld) -> None:
    asked = DEVICES | {"epsilon": 0.5, "selection": 4e-10}
    world.run("aggregate", "advertiser", **asked)
    world.run("aggregate", "advertiser", **asked | {"epsilon": 0.51})
    with pytest.raises(job.SelectionSpent) as short:
        world.run("aggregate", "advertiser", **asked | {"epsilon": 0.52})
    assert short.value.largest == 2e-10
    world.run("aggregate", "advertiser", **asked | {"epsilon": 0.52, "selection": short.value.largest})
    assert world.spent()["publisher/selection"] == delta_units(SELECTION)
    found = world.verify()
    assert found.denials == 1


def test_the_delta_that_a_refusal_names_fits_however_many_digits_are_left(world: CampaignWorld) -> None:
    """8.765468e-10 is left, which is not written as 8.76547e-10."""
    world.run("aggregate", "advertiser", **DEVICES | {"epsilon": 0.5, "selection": 1.234532e-10})
    with pytest.raises(job.SelectionSpent) as short:
        world.run("aggregate", "advertiser", **DEVICES | {"epsilon": 0.52, "selection": 9e-10})
    (named,) = re.findall(r"write selection = (\S+) in", short.value.hint)
    assert named == "8.76546e-10"
    world.run("aggregate", "advertiser", **DEVICES | {"epsilon": 0.52, "selection": float(named)})


def test_a_release_that_names_another_key_is_caught(world: CampaignWorld) -> None:
    ran = world.run("aggregate", "advertiser", **DEVICES)
    document = dict(world.open(ran.release).document)
    entry = document["receipt"]["entries"][0]
    entry["keys"] = [*entry["keys"][:-1], "another"]
    with pytest.raises(BadRelease):
        check_receipt(ran.release.path, document)


def test_a_release_without_a_key_opens(world: CampaignWorld) -> None:
    """Nobody has a device."""
    table = world.table("exposures")
    at = table.column_names.index("device")
    world.submit("exposures", table.set_column(at, "device", pa.nulls(table.num_rows, pa.string())))
    document = world.open(world.run("aggregate", "advertiser", **DEVICES).release).document
    assert document["tables"][0]["keys"] == []
    world.verify()


# -- neighbours ------------------------------------------------------------------------------------------------------


def query_of(world: CampaignWorld, kind: str, fields: dict[str, Any]) -> Query:
    asking = world.request(kind, "advertiser", **fields).job
    assert isinstance(asking, TableJob)
    return asking.query(Terms.of(world.agreement.contract, asking.datasets()))


def exact_of(world: CampaignWorld, query: Query, without: tuple[str, int], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every key's exact numbers, with nobody of a data set left out, or one."""
    honest = Room.read

    def read(room: Room, held: Dataset, columns: list[str] | None = None) -> pa.Table:
        table = honest(room, held, columns)
        stays = pc.not_equal(table.column("k"), pa.scalar(without[1], pa.uint64()))
        return table.filter(stays) if held.name == without[0] else table

    layout = query.layout()
    chosen = query.selects(layout, 1.0, None)
    assert chosen is not None
    with patch.context() as patched:
        patched.setattr(Room, "read", read)
        secret = bytes(range(32))
        found = candidates(layout, chosen.judge, tables(world.room(), query, secret), secret)
    numbers = found.statistic.values.reshape(found.cells, len(found.keys)).T
    return dict(zip(found.keys, numbers.tolist(), strict=True))


def apart(query: Query, before: dict[str, Any], after: dict[str, Any]) -> tuple[int, int]:
    """How far keys that both have moved, squared; and how many keys only one of them has."""
    both = before.keys() & after.keys()
    squares = sum((a - b) ** 2 for key in both for a, b in zip(before[key], after[key], strict=True))
    return squares, len(before.keys() ^ after.keys())


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("aggregate", DEVICES), ("aggregate", HOMES), ("campaign", CAMPAIGN)],
    ids=["devices", "homes", "campaign"],
)
def test_one_person_moves_what_others_have_no_more_than_is_charged_and_adds_few_keys(
    texts: CampaignWorld, kind: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    query = query_of(texts, kind, fields)
    k = texts.table("exposures").column("k").to_numpy()
    people, rows = np.unique(k, return_counts=True)
    before = exact_of(texts, query, ("", 0), monkeypatch)
    for person in (int(people[rows.argmax()]), *map(int, people[:3])):
        squares, added = apart(query, before, exact_of(texts, query, ("exposures", person), monkeypatch))
        assert squares <= query.l2_squared(query.layout())
        assert added <= fields.get("keys_per_person", 40)


def test_a_person_with_ten_thousand_homes_counts_in_two(texts: CampaignWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its keys are called, and whoever else has them."""
    query, table = query_of(texts, "aggregate", HOMES), texts.table("exposures")
    person = int(table.column("k")[0].as_py())
    homes = [f"home {at}" for at in range(10_000)]
    many = pl.from_arrow(table.slice(0, 1))
    assert isinstance(many, pl.DataFrame)
    crowd = pl.concat([many] * 10_000).with_columns(pl.Series("home", homes))
    honest = Room.read

    def read(room: Room, held: Dataset, columns: list[str] | None = None) -> pa.Table:
        mine = crowd.to_arrow() if columns is None else crowd.select(columns).to_arrow()
        return pa.concat_tables([honest(room, held, columns), mine], promote_options="permissive")

    before = exact_of(texts, query, ("exposures", person), monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(Room, "read", read)
        after = exact_of(texts, query, ("", 0), patch)
    assert sum(key.startswith("home ") for key in after) <= 2
    assert apart(query, before, after)[1] <= 2


def test_plans_and_refusals_say_the_same_of_neighbours(world: CampaignWorld, copied: Copier) -> None:
    """Also where half of all keys are gone."""
    other: CampaignWorld = copied(world)  # type: ignore[assignment]
    table = world.table("exposures")
    at = table.column_names.index("device")
    half = np.where(np.arange(table.num_rows) % 2, table.column("device").to_pylist(), "the same")
    other.submit("exposures", table.set_column(at, "device", pa.array(half, pa.string())))

    def said(one: CampaignWorld) -> str:
        planned = job.plan(one.room(), one.request("aggregate", "advertiser", **DEVICES))
        return str((planned.costs, planned.selections, planned.precision, planned.notes, planned.largest))

    assert said(world) == said(other)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes", "clause"),
    [
        ("aggregate", {"totals": True}, "by"),
        ("aggregate", {"by": ["device", "campaign"]}, "by"),
        ("aggregate", {"measure": {"q": {"kind": "quantiles", "of": "depth"}}}, "by"),
        ("aggregate", {"where": {"device": ["phone"]}}, "where"),
        ("aggregate", {"bins": {"device": [0, 1]}}, "bins"),
        ("aggregate", {"by": ["campaign"], "selection": 1e-10}, "selection"),
        ("aggregate", {"selection": 1.2345e-16}, "selection"),
        ("aggregate", {"selection": 2e-9}, "selection"),
        ("reach", {"measure": None}, "by"),
    ],
)
def test_what_selected_keys_do_not_go_with_is_refused(
    world: CampaignWorld, kind: str, changes: dict[str, Any], clause: str
) -> None:
    fields = {name: value for name, value in (DEVICES | changes).items() if value is not None}
    with pytest.raises(Refused) as refused:
        world.run(kind, "advertiser", **fields)
    assert refused.value.clause == clause
    world.verify()


def test_a_contract_that_keeps_no_delta_for_keys_shows_none(campaign_room: CampaignWorld, copied: Copier) -> None:
    world = made(copied(campaign_room), selection="")  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        world.run("aggregate", "advertiser", **DEVICES)
    assert refused.value.clause == "dataset.exposures.budget.selection"
    assert world.verify().denials == 1
    asking = world.request("aggregate", "advertiser", **DEVICES)
    assert refusal(world.agreement, asking.job, "advertiser", world.now.date()) is not None
    assert set(world.spent()) == {"publisher/record", "advertiser/record"}


def test_a_contract_may_ask_for_many_people_beside(campaign_room: CampaignWorld, copied: Copier) -> None:
    """Then the larger threshold counts: 428 here, 7 deviations from what 398 and 458 people have."""
    rules = "at_least = { people = 410, delta = 1e-6 }\n"
    world = made(copied(campaign_room), rules=rules)  # type: ignore[arg-type]
    found = shown(dict(world.open(world.run("aggregate", "advertiser", **DEVICES).release).document))
    real = truth(world, "device")
    assert {key for key, many in real.items() if many > 428} == found.keys()
    assert any(26 < many < 410 for many in real.values())
    with pytest.raises(Refused):
        world.run("campaign", "advertiser", **CAMPAIGN)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("selection = 1e-9", "selection = 6e-8"), "budget.selection"),
        (("selection = 1e-9", "selection = 1e-19"), "budget.selection"),
        (("selection = 1e-9", "selection = 1.23456789e-12"), "budget.selection"),
        (("1e-7, selection = 1e-9", "1e-7"), "dataset"),
    ],
)
def test_a_contract_that_splits_its_delta_badly_is_refused(
    texts: CampaignWorld, change: tuple[str, str], where: str
) -> None:
    text = contract_of(texts.folder)
    assert change[0] in text
    with pytest.raises(InvalidContract) as bad:
        parse(text.replace(*change, 1).encode())
    assert any(where in problem.where for problem in bad.value.problems)


def test_prepare_counts_texts_that_look_like_an_identifier_and_tells_none(texts: CampaignWorld, tmp_path: Path) -> None:
    file = pl.read_csv(texts.folder / "p" / "exposures.csv", infer_schema=False)
    device = pl.Series("device", ["ann@example.com", "+44 20 7946 0958", *file["device"][2:]])
    file.with_columns(device).write_csv(tmp_path / "exposures.csv")
    looked = examine(Brought(tmp_path / "exposures.csv", texts.agreement.contract, "exposures"))
    assert looked.personal == {"device": 2}
    assert any(said.startswith("device: 2 rows look like an e-mail") for said in looked.doubts)
    assert "ann@" not in str(looked)
    assert "7946" not in str(looked)


PEOPLE = DEVICES | {"measure": {"people": {"kind": "people"}}}


@pytest.mark.parametrize(
    ("kind", "fields", "letter", "long", "some_stay_away"),
    [
        ("aggregate", PEOPLE, "\U0001d11e", 190, True),
        ("aggregate", PEOPLE, '"', 190, True),
        ("aggregate", PEOPLE, "x", 1, False),
        ("campaign", CAMPAIGN, "x", 190, False),
    ],
    ids=["four bytes a character", "escaped", "most keys", "most numbers"],
)
def test_the_largest_release_that_can_be_paid_for_opens(
    texts: CampaignWorld, kind: str, fields: dict[str, Any], letter: str, long: int, some_stay_away: bool
) -> None:
    """As many keys as may show, of the longest text; what the receipt and the tables say of them fits."""
    asking = texts.request(kind, "advertiser", **fields).job
    assert isinstance(asking, TableJob)
    terms = Terms.of(texts.agreement.contract, asking.datasets())
    query, scale = asking.query(terms), Scale(SCALE_UNIT * 10**6)
    layout = query.layout()
    selection = query.selects(layout, scale / SCALE_UNIT, None)
    assert selection is not None
    keys = tuple(f"{at:06}" + letter * long for at in range(min(selection.most, 90_000 if some_stay_away else 10**6)))
    counts = np.full(len(keys) * layout.cells, 10**9, dtype=np.int64) * 1_234_567
    names, values = selected(selection, Candidates(keys, layout.cells, Statistic(counts, 0, 1)), scale, lambda v: v)
    assert (len(names) < len(keys)) is some_stay_away
    noisy = Noisy(values, scale / SCALE_UNIT, 0, Receipt("", 0, b"", ""), names)
    measure = measure_of(kind)
    assert isinstance(measure, TableMeasure)
    said = measure.values(asking, terms, {"exposures": 1}, noisy)
    document = {**said, "receipt": {"entries": [{"values": values.tolist(), "keys": [*names]}]}}
    assert len(json.dumps(document, indent=2, ensure_ascii=False).encode()) < LARGEST["release.json"] * 0.9


@pytest.mark.parametrize(
    "value", ["a\u202eb", "a\tb", "x" * 201, "a\n", " tablet", "\u2028a", "\x0b\x0ca", "a" + " " * 10**6]
)
def test_text_that_hides_or_runs_on_is_left_at_home(texts: CampaignWorld, copied: Copier, value: str) -> None:
    world: CampaignWorld = copied(texts)  # type: ignore[assignment]
    table = world.table("exposures")
    values = [value, *table.column("device").to_pylist()[1:]]
    at = table.column_names.index("device")
    with pytest.raises(Exception) as refused:
        world.submit("exposures", table.set_column(at, "device", pa.array(values, pa.string())))
    assert "device" in str(refused.value.args)
    assert value not in str(refused.value.args)
