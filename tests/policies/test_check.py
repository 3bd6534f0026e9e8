from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, get_args

import pytest

from passbox.dp.accounting import rho_within
from passbox.dp.budget import Budget, Delta, Epsilon
from passbox.dp.scale import price
from passbox.policies.accounts import caps
from passbox.policies.agreement import Agreement
from passbox.policies.check import Allowed, Refused, Submitted, askers, check
from passbox.policies.contract import JobKind, parse
from passbox.policies.document import InvalidContract
from passbox.policies.jobs.draw import Shape
from passbox.policies.jobs.job import MOST_COLUMNS, MOST_READERS
from passbox.policies.jobs.lookalike import FEWEST_PEOPLE, SCORES, LookalikeJob
from passbox.policies.request import KINDS, Request, parse_job

if TYPE_CHECKING:
    from conftest import People

    Changed = Callable[..., str]

TODAY = date(2027, 1, 10)
HERE = {
    "visitors": Submitted("a" * 64, 100_000, date(2099, 3, 31)),
    "buyers": Submitted("b" * 64, 5_000, date(2099, 3, 31)),
}

MORE = """\
[dataset.more]
owner = "advertiser"
protects = "membership"
identifiers.email = "raw"
budget = { epsilon = 3.0, delta = 1e-6 }
[rules]"""


def shape_of(contract: object, job: object, statistic: str) -> Shape:
    return Shape(15, 10, 2**20) if statistic == SCORES else Shape(40, 20, 2**40)


def request(kind: str, asker: str = "publisher", **fields: Any) -> Request:
    """A job as `read_request` gives it; the signature is not this module's business."""
    plain = {"people": "visitors", "seed": "buyers", "recipients": ["publisher"], "epsilon": 1.0}
    plain |= {"audience.size": 5_000} if kind == "lookalike" else {}
    lines = [f'kind = "{kind}"', *(f"{name} = {value!r}" for name, value in (plain | fields).items())]
    data = "\n".join(lines).encode()
    return Request(parse_job(data), data, asker, "")


def agreed(text: str) -> Agreement:
    return Agreement(parse(text.encode()), text.encode(), {})


def judged(text: str, asked: Request, submitted: dict[str, Submitted] = HERE, today: date = TODAY) -> Allowed:
    return check(agreed(text), asked, submitted, shape_of, today)


def sized(**rows: int) -> dict[str, Submitted]:
    return {name: replace(held, rows=rows.get(name, held.rows)) for name, held in HERE.items()}


# -- what passes -----------------------------------------------------------------------------------------------------


def test_a_lookalike_is_charged_to_the_seed_once_for_both_its_draws(people: People) -> None:
    allowed = judged(people.text, request("lookalike"))
    moments, histogram = allowed.purchases
    assert allowed.protected == ("buyers",)
    assert [(charge.account, charge.dataset) for charge in moments.charges] == [("advertiser/record", "buyers")]
    assert (histogram.charges, histogram.beside) == ((), moments.key)
    assert histogram.specification.follows == moments.key
    assert (moments.specification.part, histogram.specification.part) == ("train", "held-out")
    costs = [price(bought.specification.l2_squared, bought.specification.scale) for bought in allowed.purchases]
    assert costs[1] <= costs[0] == moments.charges[0].rho <= rho_within(Budget(Epsilon(1.0), Delta(1e-6)))


def test_an_overlap_is_charged_to_every_owner_who_is_not_its_only_reader(people: People) -> None:
    for readers, paying in (
        (["publisher"], ["buyers"]),
        (["advertiser"], ["visitors"]),
        (["publisher", "advertiser"], ["visitors", "buyers"]),
    ):
        allowed = judged(people.text, request("overlap", recipients=readers))
        assert [charge.dataset for charge in allowed.purchases[0].charges] == paying
        assert allowed.purchases[0].key == judged(people.text, request("overlap")).purchases[0].key


def test_an_operator_who_owns_data_reads_everything_and_is_paid_for(people: People) -> None:
    """The contract's own parser refuses a lookalike here; the check does not rely on it."""
    contract = people.contract
    room = contract.room.model_copy(update={"operator": "advertiser"})
    agreement = Agreement(contract.model_copy(update={"room": room}), people.text.encode(), {})
    allowed = check(agreement, request("overlap"), HERE, shape_of, TODAY)
    assert allowed.protected == ("visitors", "buyers")
    assert "advertiser operates this room and owns data in it" in allowed.learns[-1]
    with pytest.raises(Refused, match="advertiser would read it too"):
        check(agreement, request("lookalike"), HERE, shape_of, TODAY)


def test_the_last_day_is_still_a_day(people: People) -> None:
    judged(people.text, request("overlap"), today=date(2099, 3, 31))


def test_warnings_speak_of_weak_promises(changed: Changed) -> None:
    text = changed(
        ("delta = 1e-6", "delta = 0.0001"), ("epsilon = 3.0, delta = 0.0001", "epsilon = 9.0, delta = 0.0001")
    )
    said = judged(text, request("lookalike", epsilon=5.0)).warnings
    assert any("1/(10 n)" in warning for warning in said)
    assert any("weak protection" in warning for warning in said)


# -- what is refused -------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, Request]] = {
    "another contract": ("name", request("overlap", contract="autumn")),
    "an unknown data set": ("dataset", request("overlap", seed="clicks")),
    "people who are the seed": ("dataset", request("overlap", seed="visitors")),
    "an asker who may not ask": ("rules.allow", request("lookalike", "advertiser")),
    "an officer who asks": ("rules.allow", request("overlap", "officer")),
    "a reader who may not read": ("rules.allow", request("overlap", recipients=["officer"])),
    "a reader more": ("rules.allow", request("lookalike", recipients=["publisher", "advertiser"])),
    "a reader who is no party": ("rules.allow", request("overlap", recipients=["nobody"])),
    "too small an audience": ("rules.smallest_audience", request("lookalike", **{"audience.size": 4_999})),
    "too large an audience": ("audience", request("lookalike", **{"audience.size": 100_001})),
    "a column nobody declared": ("columns", request("lookalike", columns=["age", "income"])),
    "the other way round": ("dataset.visitors.protects", request("lookalike", people="buyers", seed="visitors")),
    "an ε too small for noise": ("epsilon", request("lookalike", epsilon=1e-6)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_its_clause(people: People, name: str) -> None:
    clause, asked = REFUSED[name]
    if name == "the other way round":
        asked = replace(asked, asker="publisher")
        clause = "membership"
    with pytest.raises(Refused) as refused:
        judged(people.text, asked, sized(buyers=6_000))
    assert refused.value.clause == clause
    assert refused.value.remedy


def test_a_day_after_the_last_nothing_runs(people: People) -> None:
    with pytest.raises(Refused) as refused:
        judged(people.text, request("overlap"), today=date(2099, 4, 1))
    assert refused.value.clause == "expires"


def test_a_data_set_is_used_no_longer_than_its_owner_lets_it(people: People) -> None:
    here = HERE | {"buyers": replace(HERE["buyers"], expires=TODAY)}
    judged(people.text, request("overlap"), here)
    with pytest.raises(Refused, match="advertiser let buyers be used until"):
        judged(people.text, request("overlap"), here, TODAY + timedelta(days=1))


def test_what_was_not_submitted_is_asked_for(people: People) -> None:
    with pytest.raises(Refused, match="buyers was not submitted yet"):
        judged(people.text, request("overlap"), {"visitors": HERE["visitors"]})


def test_two_data_sets_of_one_owner_are_no_job(changed: Changed) -> None:
    text = changed(('owner = "advertiser"', 'owner = "publisher"'))
    text = text.replace("[rules]", MORE)
    with pytest.raises(Refused, match="same owner"):
        judged(text, request("overlap"))


def test_minimums_look_at_public_sizes_both_ways_round(people: People) -> None:
    """A count is the same with people and seed swapped: a short list does not get by as people."""
    for asked in (
        request("lookalike"),
        request("overlap"),
        request("overlap", people="buyers", seed="visitors"),
    ):
        judged(people.text, asked, sized(buyers=1_000))
        with pytest.raises(Refused) as refused:
            judged(people.text, asked, sized(buyers=999))
        assert refused.value.clause == "rules.smallest_seed"
        assert "buyers has 999 rows" in refused.value.rule


def test_with_few_people_nobody_might_be_held_out(changed: Changed) -> None:
    text = changed(("smallest_audience = 5000", "smallest_audience = 1"))
    asked = request("lookalike", **{"audience.size": 10})
    judged(text, asked, sized(visitors=FEWEST_PEOPLE))
    with pytest.raises(Refused) as refused:
        judged(text, asked, sized(visitors=FEWEST_PEOPLE - 1))
    assert refused.value.clause == "people"


def test_a_delta_above_one_in_n_is_refused(changed: Changed) -> None:
    text = changed(("delta = 1e-6", "delta = 0.0002"))
    judged(text, request("lookalike"), sized(buyers=5_000))
    with pytest.raises(Refused) as refused:
        judged(text, request("lookalike"), sized(buyers=5_001))
    assert refused.value.clause == "dataset.buyers.budget.delta"


def test_without_own_ids_or_columns_there_is_no_audience(changed: Changed) -> None:
    no_id = changed(('id = "visitor_id"                                  # stays in prepare\'s .ids file\n', ""))
    with pytest.raises(Refused) as refused:
        judged(no_id, request("lookalike"))
    assert refused.value.clause == "dataset.visitors.id"
    judged(no_id, request("overlap"))
    no_columns = "\n".join(line for line in changed().split("\n") if not line.startswith("columns."))
    with pytest.raises(Refused) as refused:
        judged(no_columns, request("lookalike"))
    assert refused.value.clause == "dataset.visitors.columns"


def test_a_seed_that_protects_persons_makes_no_lookalike(changed: Changed) -> None:
    """Another list of the contract may make one; and the remedy is never the weaker promise."""
    text = changed(('protects = "membership"', 'protects = "person"'), ("[rules]", MORE))
    with pytest.raises(Refused) as refused:
        judged(text, request("lookalike"))
    assert refused.value.clause == "dataset.buyers.protects"
    assert 'agree on a contract that allows `job = "model"`' in refused.value.remedy
    assert "membership" not in refused.value.remedy
    allowed = 'allow = [\n  { job = "model", ask = ["publisher"], recipients = ["publisher"] },'
    with pytest.raises(Refused) as refused:
        judged(text.replace("allow = [", allowed), request("lookalike"))
    assert refused.value.remedy.startswith("ask a job of kind model")


def test_a_lookalike_for_other_readers_is_told_of_the_job_that_is_for_them(changed: Changed) -> None:
    contract = parse(changed().encode())
    anybody = [rule.model_copy(update={"recipients": ["publisher", "officer"]}) for rule in contract.rules.allow]
    rules = contract.rules.model_copy(update={"allow": anybody})
    agreement = Agreement(contract.model_copy(update={"rules": rules}), b"", {})
    with pytest.raises(Refused) as refused:
        check(agreement, request("lookalike", recipients=["publisher", "officer"]), HERE, shape_of, TODAY)
    assert refused.value.clause == "membership"
    assert 'job = "model"' in refused.value.remedy


def test_a_kind_nobody_allowed_is_refused(people: People) -> None:
    text = "\n".join(line for line in people.text.split("\n") if 'job = "overlap"' not in line)
    with pytest.raises(Refused, match="no job of kind overlap is allowed"):
        judged(text, request("overlap"))
    assert askers(parse(text.encode()), request("overlap").job) == ()


# -- one way to say a thing ------------------------------------------------------------------------------------------


def test_a_specification_is_the_same_however_the_job_is_written(people: People) -> None:
    plain = judged(people.text, request("lookalike")).purchases
    for other in (
        request("lookalike", columns=["topics", "region", "age"]),
        request("lookalike", contract="spring-lookalike"),
        request("lookalike", epsilon=1),
        request("lookalike", **{"audience.size": 9_999}),
    ):
        assert [bought.key for bought in judged(people.text, other).purchases] == [bought.key for bought in plain]
    assert plain[0].specification.columns == ("visitors.age", "visitors.region", "visitors.topics")
    fewer = judged(people.text, request("lookalike", columns=["region", "age"])).purchases[0]
    assert fewer.specification.columns == ("visitors.age", "visitors.region")


def test_a_count_has_one_specification_both_ways_round(people: People) -> None:
    one = judged(people.text, request("overlap")).purchases[0]
    other = judged(people.text, request("overlap", people="buyers", seed="visitors")).purchases[0]
    assert one.key == other.key


def test_whose_columns_they_are_is_part_of_the_specification(people: People) -> None:
    """Two data sets with a column of one name, each a seed for the other: two statistics, not one."""
    contract = people.contract
    visitors = contract.dataset["visitors"].model_copy(update={"protects": "membership"})
    buyers = contract.dataset["buyers"].model_copy(update={"columns": visitors.columns, "id": "buyer_id"})
    anybody = [rule.model_copy(update={"recipients": ["publisher", "advertiser"]}) for rule in contract.rules.allow]
    changes = {
        "dataset": {"visitors": visitors, "buyers": buyers},
        "rules": contract.rules.model_copy(update={"allow": anybody}),
    }
    agreement = Agreement(contract.model_copy(update=changes), people.text.encode(), {})
    one = request("lookalike", columns=["age"])
    other = request("lookalike", columns=["age"], people="buyers", seed="visitors", recipients=["advertiser"])
    here = sized(visitors=6_000, buyers=6_000)
    keys = {check(agreement, asked, here, shape_of, TODAY).purchases[0].key for asked in (one, other)}
    specs = [check(agreement, asked, here, shape_of, TODAY).purchases[0].specification for asked in (one, other)]
    assert len(keys) == 2
    assert [spec.columns for spec in specs] == [("visitors.age",), ("buyers.age",)]


def test_one_owner_has_one_cap_the_smallest(people: People) -> None:
    text = people.text.replace("[rules]", MORE.replace("3.0", "0.5"))
    found = {cap.account: cap for cap in caps(agreed(text))}
    assert set(found) == {"advertiser/record", "publisher/record"}
    assert (found["advertiser/record"].epsilon, found["advertiser/record"].delta) == ("0.5", "1e-06")
    assert found["advertiser/record"].rho == rho_within(Budget(Epsilon(0.5), Delta(1e-6)))


def test_columns_keep_the_contracts_order(people: People) -> None:
    job = request("lookalike", columns=["topics", "age"]).job
    assert isinstance(job, LookalikeJob)
    assert job.columns_of(people.contract) == ("age", "topics")


def test_a_contract_can_allow_every_kind_of_job_that_there_is() -> None:
    assert set(KINDS) == set(get_args(JobKind))


# -- the job's own shape ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"recipients": []},
        {"recipients": ["publisher", "publisher"]},
        {"recipients": [f"p{n}" for n in range(MOST_READERS + 1)]},
        {"columns": []},
        {"columns": ["age", "age"]},
        {"epsilon": 0.0},
        {"epsilon": -1.0},
        {"epsilon": 65.0},
        {"audience.size": 0},
        {"surprise": 1},
        {"people": "../visitors"},
    ],
    ids=str,
)
def test_a_job_of_another_shape_is_no_job(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidContract):
        request("lookalike", **fields)


@pytest.mark.parametrize("epsilon", ["nan", "inf", "1e309", "true", '"1"'])
def test_an_epsilon_that_is_no_number_is_no_job(epsilon: str) -> None:
    text = request("overlap").data.decode().replace("epsilon = 1.0", f"epsilon = {epsilon}")
    with pytest.raises(InvalidContract):
        parse_job(text.encode())


def test_more_columns_than_an_entry_holds_are_refused(changed: Changed) -> None:
    many = "\n".join(f'columns.c{n} = {{ kind = "number", bounds = [0, 1] }}' for n in range(MOST_COLUMNS))
    text = changed(("columns.age", f"{many}\ncolumns.age"))
    with pytest.raises(Refused, match="at most 500 columns"):
        judged(text, request("lookalike"))
