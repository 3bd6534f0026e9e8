from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from passbox.cleanroom import job
from passbox.cleanroom.release import export, releases
from passbox.cli.app import run as cli
from passbox.dp.ledger import Ledger
from passbox.policies.agreement import SignatureBroken, SignatureMissing, signature_path
from passbox.policies.check import Refused
from passbox.policies.document import InvalidContract
from passbox.policies.sign import sign

if TYPE_CHECKING:
    from .desk import Desk
    from .world import Copier, World


def entries(world: World) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in world.log().entries]


# -- asking ------------------------------------------------------------------------------------------------------------


def test_a_job_is_read_with_its_signature(world: World) -> None:
    path = world.sign_job(world.job_text("overlap"), "advertiser")
    request = job.read_request(world.room(), path)
    assert (request.asker, request.job.kind) == ("advertiser", "overlap")
    assert list(world.place.glob("requests/*")) == []


def test_a_job_without_a_signature_names_who_may_ask(world: World) -> None:
    with pytest.raises(SignatureMissing) as missing:
        job.read_request(world.room(), world.sign_job(world.job_text("lookalike")))
    assert missing.value.parties == ("publisher",)


def test_a_job_changed_after_it_was_signed_is_refused(world: World) -> None:
    path = world.sign_job(world.job_text("overlap"), "publisher", "advertiser")
    path.write_text(path.read_text().replace("1.0", "1.1"))
    with pytest.raises(SignatureBroken) as broken:
        job.read_request(world.room(), path)
    assert (broken.value.what, broken.value.party) == ("job", "publisher")


@pytest.mark.parametrize("signature", [b"", b"\xff\xfe\x00", b"-----BEGIN SSH SIGNATURE-----\n"])
def test_a_signature_that_is_none_is_refused(world: World, signature: bytes) -> None:
    path = world.sign_job(world.job_text("overlap"), "publisher")
    signature_path(path, "publisher").write_bytes(signature)
    with pytest.raises(SignatureBroken):
        job.read_request(world.room(), path)


def test_a_signature_for_another_purpose_is_refused(world: World) -> None:
    path = world.sign_job(world.job_text("overlap"), "publisher")
    forged = sign(path.read_bytes(), world.signing_key("publisher"), "passbox-contract")
    signature_path(path, "publisher").write_text(forged)
    with pytest.raises(SignatureBroken):
        job.read_request(world.room(), path)


def test_of_several_signers_the_one_who_may_ask_asks(world: World) -> None:
    path = world.sign_job(world.job_text("lookalike"), "officer", "advertiser", "publisher")
    assert job.read_request(world.room(), path).asker == "publisher"


def test_a_file_that_is_no_job_is_refused(world: World) -> None:
    for text in ("", "kind = 1", "kind = 'lookalike'", "x" * 2_000_000, world.job_text("overlap", surprise=1)):
        with pytest.raises(InvalidContract):
            job.read_request(world.room(), world.sign_job(text, "publisher"))


# -- planning ----------------------------------------------------------------------------------------------------------


def test_a_plan_touches_no_data_and_changes_nothing(world: World) -> None:
    """It is the same when every table and every match is gone."""
    requests = [world.request("lookalike"), world.request("overlap")]
    before = [job.plan(world.room(), request) for request in requests]
    for path in [*world.place.glob("datasets/*/*/*.parquet"), *world.place.glob("matches/*")]:
        path.unlink()
    files = {path: path.read_bytes() for path in world.place.rglob("*") if path.is_file()}
    assert [job.plan(world.room(), request) for request in requests] == before
    assert {path: path.read_bytes() for path in world.place.rglob("*") if path.is_file()} == files
    assert world.spent() == {"advertiser/record": 0, "publisher/record": 0}


def test_a_plan_is_the_same_on_neighbouring_data(world: World, copied: Copier) -> None:
    """Public is how many rows there are; the digest of the manifest is random anyway."""
    later = world.at(world.now + timedelta(hours=1))
    plans = []
    for known in (100, 99, 0):
        room = copied(later)
        room.submit("buyers", room.seeds(known, 200 - known))
        planned = job.plan(room.room(), room.request("lookalike"))
        plans.append((planned.costs, planned.precision, planned.worst_case, planned.largest, planned.allowed.learns))
    assert plans[0] == plans[1] == plans[2]


def test_a_plan_says_what_it_will_cost(world: World) -> None:
    request = world.request("overlap", recipients=["publisher", "advertiser"])
    costs = {cost.dataset: cost for cost in job.plan(world.room(), request).costs}
    assert set(costs) == {"visitors", "buyers"}
    job.run(world.room(), request)
    spent = world.spent()
    assert {cost.owner: cost.rho for cost in costs.values()} == {
        name.removesuffix("/record"): rho for name, rho in spent.items()
    }
    after = job.plan(world.room(), request)
    assert after.paid
    assert [(cost.rho, cost.spent) for cost in after.costs] == [(0, cost.spent_after) for cost in costs.values()]


def test_a_plan_that_foresees_no_interval_says_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one seed nobody can say how many would be held out."""
    visitors, seed = world.table("visitors"), world.seeds(1, 0)
    world = world.under(world.contract.read_text().replace("smallest_seed = 100", "smallest_seed = 1"))
    world.submit("visitors", visitors)
    world.submit("buyers", seed)
    path = world.sign_job(world.job_text("lookalike"), "publisher")
    assert cli(["plan", str(world.place), str(path)]) == 0
    out = capsys.readouterr().out
    assert "at these sizes it cannot be foreseen how exact it would be" in out
    assert "95 % interval" not in out
    assert cli(["plan", str(world.place), str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == []


@pytest.mark.parametrize(
    ("kind", "number", "epsilon", "known"),
    [
        ("lookalike", "auc", 0.05, False),
        ("lookalike", "auc", 4.0, True),
        ("overlap", "match rate", 0.005, False),
        ("overlap", "match rate", 1.0, True),
    ],
)
def test_a_plan_says_in_words_where_nothing_can_be_told(
    kind: str, number: str, epsilon: float, known: bool, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """200 seeds. --json says the figure all the same."""
    path = world.sign_job(world.job_text(kind, epsilon=epsilon), "publisher")
    assert cli(["plan", str(world.place), str(path), "--json"]) == 0
    rows = [row for row in json.loads(capsys.readouterr().out)["precision"] if row["number"] == number]
    assert {row["half_width"] < (0.5 if number == "auc" else 1.0) for row in rows} == {known}
    assert cli(["plan", str(world.place), str(path)]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith(number)]
    assert [("±" in line, "not known" in line) for line in shown] == [(known, not known)] * len(rows)


def test_a_plan_says_what_fits_now_and_what_would_after_a_cosigning(desk: Desk) -> None:
    assert desk.job(1.2, "first")[0] == 0
    code, error = desk.job(1.3, "second")
    assert (code, "let a witness cosign, then it fits" in str(error)) == (6, True)
    code, before = desk.type("operator", "plan", "spring", "second.toml")
    assert (code, before["fits"]) == (0, False)
    assert 0 < before["largest"] < 1.3 < before["largest_cosigned"]
    desk.export()
    assert (desk.cosign()[0], desk.accept()[0]) == (0, 0)
    _, after = desk.type("operator", "plan", "spring", "second.toml")
    assert after["fits"] is True
    assert after["largest"] == after["largest_cosigned"] == before["largest_cosigned"]


def test_cosigning_is_offered_only_where_the_job_would_then_fit(desk: Desk) -> None:
    for epsilon in (1.2, 1.3, 1.31):
        assert desk.job(epsilon, f"job{epsilon}")[0] == 0
        desk.export()
        assert (desk.cosign()[0], desk.accept()[0]) == (0, 0)
    _, planned = desk.type("operator", "plan", "spring", "job1.2.toml")
    assert planned["largest"] < 1.39
    code, error = desk.job(1.39, "more")
    assert code == 6
    assert "cosign" not in str(error)
    assert "agree on a larger budget" in str(error)


def test_a_job_that_no_window_holds_is_told_what_cosigning_would_allow(desk: Desk) -> None:
    assert desk.job(1.2, "first")[0] == 0
    code, error = desk.job(2.0, "second")
    assert code == 6
    assert "then it fits" not in str(error)
    most = float(str(error).split("at most ")[1].split(" ")[0])
    desk.export()
    assert (desk.cosign()[0], desk.accept()[0]) == (0, 0)
    assert desk.job(most, "third")[0] == 0


# -- paying once -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["overlap", "lookalike"])
def test_the_same_job_again_is_the_same_file_and_no_entry(world: World, kind: str) -> None:
    first = world.run(kind)
    data, count = first.release.path.read_bytes(), len(entries(world))
    again = world.run(kind)
    assert (first.charged, again.charged) == (True, False)
    assert again.release == first.release
    assert again.release.path.read_bytes() == data
    assert len(entries(world)) == count


def test_a_signed_job_is_for_the_submissions_it_was_run_on(world: World) -> None:
    """Who runs the room could otherwise ask it again of whatever is submitted later."""
    world.run("overlap")
    later = world.at(world.now + timedelta(days=1))
    later.submit("buyers", later.seeds(90, 110))
    job.match(later.room())
    spent = later.spent()
    with pytest.raises(Refused) as refused:
        later.run("overlap")
    assert refused.value.clause == "serial"
    assert later.spent() == spent
    assert later.run("overlap", serial=2).charged
    later.verify()


def test_a_job_bound_to_other_contract_bytes_is_refused(world: World) -> None:
    assert job.plan(world.room(), world.request("overlap", contract=world.agreement.digest)).costs
    with pytest.raises(Refused) as refused:
        job.plan(world.room(), world.request("overlap", contract="0" * 64))
    assert refused.value.clause == "name"


def test_another_audience_size_costs_nothing(world: World) -> None:
    first, spent = world.run("lookalike"), world.spent()
    again = world.run("lookalike", audience={"size": 500})
    assert again.release.id != first.release.id
    assert not again.charged
    assert world.spent() == spent
    small, large = (set(world.open(ran.release).audience.column(0).to_pylist()) for ran in (first, again))
    assert small < large
    assert world.open(again.release).document["auc"] == world.open(first.release).document["auc"]


SAME: dict[str, Callable[[World], dict[str, Any]]] = {
    "columns in another order": lambda w: {"columns": ["topics", "region", "age", "device"]},
    "columns left out": lambda w: {"columns": ["age", "region", "device", "topics"]},
    "with the contract's name": lambda w: {"contract": "spring"},
    "ε written otherwise": lambda w: {"epsilon": 1},
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_statistic_is_drawn_once_however_it_is_asked(world: World, name: str) -> None:
    """Otherwise noise would average out for those who know how to spell one question in many ways."""
    world.run("lookalike")
    spent, count = world.spent(), len(entries(world))
    again = world.run("lookalike", **SAME[name](world))
    assert not again.charged
    assert (world.spent(), len(entries(world))) == (spent, count)


def test_a_count_is_drawn_once_whichever_way_round(world: World) -> None:
    one = world.open(world.run("overlap").release)
    spent = world.spent()
    ran = world.run("overlap", people="buyers", seed="visitors")
    other = world.open(ran.release)
    assert not ran.charged
    assert world.spent() == spent
    assert other.document["matched"] == one.document["matched"]
    rows = {name: held.rows for name, held in world.room().submitted().items()}
    assert (one.document["seed_rows"], other.document["seed_rows"]) == (rows["buyers"], rows["visitors"])
    world.verify()


def test_the_order_of_readers_is_nothing(world: World) -> None:
    first = world.run("overlap", recipients=["publisher", "advertiser"])
    again = world.run("overlap", recipients=["advertiser", "publisher"])
    assert not again.charged
    assert again.release == first.release


def test_a_new_reader_gets_the_same_bytes_and_pays_for_what_is_newly_exposed(world: World) -> None:
    first = world.run("overlap")
    assert [cost.dataset for cost in first.plan.costs] == ["buyers"]
    assert world.spent()["publisher/record"] == 0
    planned = job.plan(world.room(), world.request("overlap", recipients=["publisher", "advertiser"]))
    assert {cost.dataset: cost.rho > 0 for cost in planned.costs} == {"visitors": True, "buyers": False}
    second = world.run("overlap", recipients=["publisher", "advertiser"])
    spent = world.spent()
    assert spent["publisher/record"] == spent["advertiser/record"] > 0
    documents = [world.open(ran.release).document for ran in (first, second)]
    assert documents[0]["matched"] == documents[1]["matched"]
    assert world.open(second.release, "advertiser").document == documents[1]
    world.verify()


def test_a_second_reader_needs_only_what_is_left_for_it(world: World) -> None:
    """The advertiser has nothing left; what it paid for before may still be shown to it."""
    world.run("overlap", epsilon=2.5)
    with pytest.raises(job.Unaffordable):
        world.run("overlap", epsilon=2.4)
    world.run("overlap", epsilon=2.5, recipients=["publisher", "advertiser"])
    world.verify()


def test_killed_between_its_two_draws_a_job_goes_on_from_the_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Ledger.pay

    def dies(ledger: Ledger, purchase: Any, statistic: Any) -> Any:
        if purchase.beside:
            raise KeyboardInterrupt
        return honest(ledger, purchase, statistic)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "pay", dies)
        with pytest.raises(KeyboardInterrupt):
            world.run("lookalike")
    spent, moments = world.spent(), entries(world)[2]
    assert spent["advertiser/record"] > 0
    assert releases(world.room()) == []
    ran = world.run("lookalike", audience={"size": 400})  # another job on the same statistics may finish it
    assert world.spent() == spent
    assert entries(world)[2] == moments
    assert world.open(ran.release).document["receipt"]["entries"][0]["entry"].encode() == world.log().entries[2]
    assert world.verify().releases == 2


def test_a_listed_release_whose_file_is_gone_is_made_again(world: World) -> None:
    first = world.run("overlap")
    before = world.open(first.release).document["matched"]
    first.release.path.unlink()
    again = world.run("overlap")
    assert not again.charged
    assert world.open(again.release).document["matched"] == before


def test_without_a_match_nothing_is_paid(world: World) -> None:
    shutil.rmtree(world.place / "matches")
    (world.place / "matches").mkdir()
    with pytest.raises(job.NotMatched):
        world.run("lookalike")
    assert world.spent() == {"advertiser/record": 0, "publisher/record": 0}
    assert len(entries(world)) == 2


# -- refusing ----------------------------------------------------------------------------------------------------------


def test_a_refused_job_is_logged_and_costs_nothing(world: World) -> None:
    request = world.request("lookalike", recipients=["advertiser"])
    with pytest.raises(Refused):
        job.plan(world.room(), request)
    assert len(entries(world)) == 2  # planning keeps nothing
    with pytest.raises(Refused):
        job.run(world.room(), request)
    denial = entries(world)[2]
    assert (denial["kind"], denial["clause"], denial["asker"]) == ("denial", "rules.allow", "publisher")
    assert denial["job"] == request.digest
    assert world.spent() == {"advertiser/record": 0, "publisher/record": 0}
    assert world.verify().denials == 1


def test_a_clock_ten_years_ahead_leaves_nothing_in_the_way_of_what_follows(world: World) -> None:
    """An entry of that hour would make every later one look as if it came after the contract's last day."""
    before = entries(world)
    with pytest.raises(Refused, match="expired"):
        world.at(world.now + timedelta(days=3653)).run("overlap")
    assert entries(world) == before
    world.run("overlap")
    world.verify()


@pytest.mark.parametrize("kind", ["overlap", "lookalike"])
def test_the_budget_message_names_the_largest_job_that_fits_and_it_fits(world: World, kind: str) -> None:
    """spent, cap and the largest ε; a job of exactly that ε passes, and one a hair larger does not."""
    both = {"recipients": ["publisher", "advertiser"]} if kind == "overlap" else {}
    world.run(kind, epsilon=2.0, **both)
    spent = world.spent()
    with pytest.raises(job.Unaffordable) as refused:
        world.run(kind, epsilon=2.9, **both)
    assert world.spent() == spent
    error = refused.value
    assert entries(world)[-1]["clause"] == "budget"
    assert f"{error.dataset} has spent ε 2" in error.message
    assert "of 3; this job asks ε 2.9" in error.message
    assert f"the largest that still fits is ε {error.largest:g}" in error.message
    assert 1 < error.largest < 2.9
    with pytest.raises(job.Unaffordable):
        world.run(kind, epsilon=error.largest + 0.0001, **both)
    assert job.plan(world.room(), world.request(kind, epsilon=0.5, **both)).largest == error.largest
    world.run(kind, epsilon=error.largest, **both)
    with pytest.raises(job.Unaffordable) as nothing:
        world.run(kind, epsilon=0.5, **both)
    if nothing.value.largest:
        world.run(kind, epsilon=nothing.value.largest, **both)
    world.verify()


def test_more_jobs_fit_than_their_epsilons_add_up_to(world: World) -> None:
    """Seven jobs of ε 1 and more fit into ε 3: ε does not add, ρ does."""
    with world.room().ledger() as ledger:
        cap = ledger.accounts()["advertiser/record"].cap
    fit = cap // job.plan(world.room(), world.request("overlap")).costs[0].rho
    assert fit >= 7
    for step in range(fit):
        world.run("overlap", epsilon=1 - step * 1e-6)
    with pytest.raises(job.Unaffordable):
        world.run("overlap", epsilon=0.9)


def test_exporting_copies_sealed_files(used: World) -> None:
    out = used.folder / "out"
    listed = releases(used.room())
    assert [one.kind for one in listed] == ["overlap", "lookalike"]
    for _ in range(2):
        assert sorted(export(used.room(), None, out)) == sorted(out / one.path.name for one in listed)
    assert {path.read_bytes() for path in out.iterdir()} == {one.path.read_bytes() for one in listed}
    with pytest.raises(Exception, match="no release"):
        export(used.room(), "../../keys/storage", out)


def test_plan_and_ledger_name_the_threat_model(desk: Desk) -> None:
    """A demo's ledger holds a lookalike and counts."""
    code, planned = desk.type("operator", "plan", "spring", "lookalike.toml")
    assert (code, planned["threat_model"]) == (0, "membership")
    assert desk.type("operator", "plan", "spring", "overlap.toml")[1]["threat_model"] is None
    code, shown = desk.type("operator", "ledger", "show", "spring")
    entries, models = shown["entries"], shown["threat_models"]
    assert isinstance(entries, list)
    statistics = {str(each["seq"]): each["specification"]["statistic"] for each in entries if "specification" in each}
    learnt = {at for at, name in statistics.items() if name in ("seed-moments@5", "score-histogram@1")}
    assert learnt
    assert models == dict.fromkeys(learnt, "membership")


def test_people_read_the_threat_model_in_plan_and_ledger(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk.home / "operator")
    capsys.readouterr()
    assert cli(["plan", "spring", "lookalike.toml"]) == 0
    assert "threat model `membership`: who is on the other list is secret" in capsys.readouterr().out
    assert cli(["ledger", "show", "spring"]) == 0
    assert "lookalike fit (membership)" in capsys.readouterr().out
