"""A list's size is held against its contract at home, by what every room would say of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from passbox.cleanroom.doubts import doubts, idle_doubts, refuse_large_delta
from passbox.cleanroom.prepare import Brought, Task, examine, prepare
from passbox.policies.check import Refused
from passbox.policies.contract import Contract, parse

if TYPE_CHECKING:
    from .world import World


@pytest.fixture
def contract(signed: World) -> Contract:
    """Seeds from 100; δ 1e-5 of visitors, 1e-4 of buyers."""
    return signed.agreement.contract


def test_a_list_that_is_long_enough_is_not_doubted(contract: Contract) -> None:
    assert doubts(contract, "buyers", 100) == ()
    assert doubts(contract, "visitors", 3000) == ()


def test_a_seed_list_below_the_contracts_smallest_is_doubted(contract: Contract) -> None:
    assert doubts(contract, "buyers", 99) == (
        "99 rows are fewer than smallest_seed = 100: lookalike and overlap will be refused",
    )
    assert "1 row are" not in doubts(contract, "buyers", 1)[0]
    assert doubts(contract, "buyers", 0) == ()


def test_a_seed_list_with_columns_of_its_own_is_doubted_for_a_lookalike_too(contract: Contract) -> None:
    """It has no own IDs, so a lookalike cannot hand out its people: it is the seed, whatever its columns are."""
    columns = contract.dataset["visitors"].columns
    buyers = contract.dataset["buyers"].model_copy(update={"columns": columns})
    known = contract.model_copy(update={"dataset": contract.dataset | {"buyers": buyers}})
    assert doubts(known, "buyers", 99)[0].endswith("= 100: lookalike and overlap will be refused")
    assert doubts(known, "visitors", 199) == doubts(contract, "visitors", 199)


def test_too_few_people_for_a_lookalike_are_doubted(contract: Contract) -> None:
    assert doubts(contract, "visitors", 199) == (
        "199 rows are fewer than the 200 that a lookalike needs: it will be refused",
    )


def test_a_delta_above_a_tenth_of_1_n_is_doubted(contract: Contract) -> None:
    assert doubts(contract, "buyers", 1000) == ()
    assert doubts(contract, "buyers", 1001) == ("δ 0.0001 is above 1/(10 n) for 1001 rows: agree on a smaller one",)


def test_a_delta_above_1_n_is_refused_where_whatever_is_allowed_would_be(contract: Contract) -> None:
    refuse_large_delta(contract, "buyers", 10_000)
    with pytest.raises(Refused) as refused:
        refuse_large_delta(contract, "buyers", 10_001)
    assert refused.value.clause == "dataset.buyers.budget.delta"


def test_visitors_whom_a_lookalike_does_not_charge_are_doubted_alone(contract: Contract, signed: World) -> None:
    """Their owner may still have lookalikes, which nobody else reads; with the overlap alone nothing would be left."""
    refuse_large_delta(contract, "visitors", 100_001)
    assert "jobs that visitors pays for will be refused" in doubts(contract, "visitors", 100_001)[0]
    lines = signed.contract.read_text().splitlines()
    alone = parse("\n".join(line for line in lines if 'job = "lookalike"' not in line).encode())
    with pytest.raises(Refused):
        refuse_large_delta(alone, "visitors", 100_001)


SETS = pa.list_(pa.string())
TOLD = {
    "nothing is idle": ([30.0, None], ["a", "b"], [["cars"], ["cars", "food"]], ()),
    "a number nobody has": ([None, None], ["a", "b"], [["cars"], []], ("age is empty in every row",)),
    "a category everybody has": ([1.0, 2.0], ["a", "a"], [["cars"], []], ("region is the same in every row",)),
    "some have it and some do not": ([1.0, 2.0], ["a", None], [["cars"], None], ()),
    "sets that hold nothing": ([1.0, 2.0], ["a", "b"], [[], None], ("topics is empty in every row",)),
    "one set for all": ([1.0, 2.0], ["a", "b"], [["x", "y"], ["x", "y"]], ("topics is the same in every row",)),
    "sets of one size": ([1.0, 2.0], ["a", "b"], [["x", "y"], ["x", "z"]], ()),
    "several": (
        [None, None],
        [None, None],
        [["x"], ["x"]],
        ("age, region are empty in every row", "topics is the same in every row"),
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_columns_that_tell_a_model_nothing_are_named_at_home(contract: Contract, case: str) -> None:
    ages, regions, topics, told = TOLD[case]
    columns = {"age": pa.array(ages, pa.float64()), "region": pa.array(regions), "topics": pa.array(topics, SETS)}
    if regions == [None, None]:
        columns["region"] = pa.array(regions, pa.string())
    said = idle_doubts(contract, "visitors", pa.table(columns))
    assert [each.partition(":")[0] for each in said] == list(told)
    assert all("takes its share of every row" in each for each in said)


def test_where_no_model_is_allowed_idle_columns_are_nobodys_business(contract: Contract) -> None:
    counts = [rule for rule in contract.rules.allow if rule.job == "overlap"]
    rules = contract.rules.model_copy(update={"allow": counts})
    idle = pa.table({"age": pa.array([None, None], pa.float64())})
    assert idle_doubts(contract.model_copy(update={"rules": rules}), "visitors", idle) == ()
    assert idle_doubts(contract, "visitors", idle) != ()


def test_prepare_names_them_whichever_way_it_is_asked(signed: World, tmp_path: Path) -> None:
    rows = "".join(f"v{i},p{i}@example.com,,north\n" for i in range(20))
    source = tmp_path / "visitors.csv"
    region = next(iter(signed.agreement.contract.dataset["visitors"].columns["region"].values))  # type: ignore[union-attr]
    source.write_text("visitor_id,email,age,region,device,topics\n" + rows.replace("north\n", f"{region},,\n"))
    brought = Brought(source, signed.agreement.contract, "visitors")
    said = [each for each in examine(brought).doubts if "takes its share" in each]
    assert [each.partition(":")[0] for each in said] == [
        "age, device, topics are empty in every row",
        "region is the same in every row",
    ]
    task = Task(source, signed.agreement, "visitors", tmp_path / "visitors.bundle")
    made = prepare(task, signed.keys("publisher"), signed.signer("publisher"), signed.shares(), signed.now)
    assert [each for each in made.doubts if "takes its share" in each] == said
