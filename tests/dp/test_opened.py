"""Noise that is paid for ahead and used step by step: opened once, settled once, and never drawn again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from passbox.dp import mechanisms
from passbox.dp.account import BudgetExceeded
from passbox.dp.aggregate import Statistic
from passbox.dp.carry import Carried, Closed
from passbox.dp.cover import UnpaidPart
from passbox.dp.entry import Purchase
from passbox.dp.ledger import Ledger
from passbox.dp.noisy import Noise, Noisy
from passbox.dp.promised import SpecificationMismatch
from passbox.dp.releases import NoiseLost

BLANK = Statistic(np.zeros(3, dtype=np.int64), bits=0, l2_squared=1)
EXACT = np.array([100, 200, 300], dtype=np.int64)


def steps(desk: Any, **changes: Any) -> Purchase:
    return replace(desk.purchase(cells=3, **changes), opened=True)


def opened(ledger: Ledger, purchase: Purchase) -> Noise:
    noise = ledger.open(purchase, BLANK)
    assert isinstance(noise, Noise)
    return noise


def settled(ledger: Ledger, purchase: Purchase) -> Noisy:
    return ledger.settle(purchase, opened(ledger, purchase).values + EXACT)


def kinds(ledger: Ledger) -> list[str]:
    return [json.loads(leaf)["kind"] for leaf in ledger.leaves() if json.loads(leaf)["kind"] != "cap"]


def test_opened_again_it_is_the_same_noise_for_one_charge(desk: Any) -> None:
    with desk.create() as ledger:
        first = opened(ledger, steps(desk))
    with desk.open() as ledger:
        again = opened(ledger, steps(desk, job="ee" * 32))
        assert first.values.tolist() == again.values.tolist() != [0, 0, 0]
        assert (ledger.accounts()["advertiser/record"].spent, kinds(ledger)) == (desk.cost, ["open"])


def test_what_is_only_opened_is_not_paid_out(desk: Any) -> None:
    with desk.create() as ledger:
        opened(ledger, steps(desk))
        assert ledger.paid(steps(desk)) is None


def test_settled_it_is_a_release_like_any_other(desk: Any) -> None:
    with desk.create() as ledger:
        noise = opened(ledger, steps(desk))
        noisy = ledger.settle(steps(desk), noise.values + EXACT)
    with desk.open() as ledger:
        kept = ledger.paid(steps(desk))
        assert kept is not None
        assert kept.values.tolist() == noisy.values.tolist() == (noise.values + EXACT).tolist()
        assert kept.receipt == noisy.receipt
        entry = json.loads(ledger.leaves()[kept.receipt.sequence])
        assert (entry["kind"], entry["commitment"], entry["charges"]) == ("outcome", kept.receipt.commitment, [])
        assert (ledger.accounts()["advertiser/record"].spent, kinds(ledger)) == (desk.cost, ["open", "outcome"])


def test_it_is_settled_once(desk: Any) -> None:
    """Other integers, that somebody would like better, are not looked at."""
    with desk.create() as ledger:
        first = settled(ledger, steps(desk))
        again = ledger.settle(steps(desk), np.array([7, 7, 7], dtype=np.int64))
        assert first.values.tolist() == again.values.tolist()
        assert kinds(ledger) == ["open", "outcome"]


def test_the_noise_is_forgotten_when_it_is_settled(desk: Any) -> None:
    with desk.create() as ledger:
        settled(ledger, steps(desk))
        assert ledger._storage.rows("select body from release") == [(b"",)]
        assert isinstance(ledger.open(steps(desk), BLANK), Noisy)


def test_later_readers_pay_for_what_came_of_it(desk: Any) -> None:
    with desk.create() as ledger:
        first = settled(ledger, steps(desk))
        theirs = steps(desk, recipients=("shop",), accounts=("advertiser", "shop"))
        assert ledger.paid(theirs) is None
        shared = ledger.open(theirs, BLANK)
        assert isinstance(shared, Noisy)
        assert shared.values.tolist() == first.values.tolist()
        assert kinds(ledger) == ["open", "outcome", "release"]
        assert json.loads(ledger.leaves()[-1])["commitment"] == first.receipt.commitment
        assert ledger.accounts()["shop/record"].spent == desk.cost


def test_readers_who_join_before_it_is_settled_get_the_same_noise(desk: Any) -> None:
    with desk.create() as ledger:
        noise = opened(ledger, steps(desk))
        theirs = steps(desk, recipients=("shop",), accounts=("advertiser", "shop"))
        with pytest.raises(UnpaidPart):
            ledger.settle(theirs, noise.values + EXACT)
        assert opened(ledger, theirs).values.tolist() == noise.values.tolist()
        assert ledger.settle(theirs, noise.values + EXACT).values.tolist() == (noise.values + EXACT).tolist()
        assert kinds(ledger) == ["open", "open", "outcome"]


def test_it_covers_the_other_part_of_the_people(desk: Any) -> None:
    with desk.create() as ledger:
        fit = steps(desk, part="train")
        settled(ledger, fit)
        beside = replace(desk.purchase("b", part="held-out", beside=fit.key), charges=())
        ledger.pay(beside, desk.count())
        assert ledger.accounts()["advertiser/record"].spent == desk.cost


def test_nothing_is_settled_that_was_not_opened(desk: Any) -> None:
    with desk.create() as ledger:
        with pytest.raises(UnpaidPart):
            ledger.settle(steps(desk), EXACT)
        assert kinds(ledger) == []


def test_noise_is_opened_on_zeros_only_and_not_bought_as_a_release(desk: Any) -> None:
    with desk.create() as ledger:
        with pytest.raises(SpecificationMismatch):
            ledger.open(steps(desk), replace(BLANK, values=EXACT))
        with pytest.raises(SpecificationMismatch):
            ledger.pay(steps(desk), BLANK)
        with pytest.raises(SpecificationMismatch):
            ledger.open(desk.purchase(), desk.count(0))
        with pytest.raises(SpecificationMismatch):
            ledger.settle(steps(desk), EXACT[:2])
        assert kinds(ledger) == []


def test_opened_noise_never_comes_back_as_a_release(desk: Any) -> None:
    """Before it is settled it would be the noise itself; after, a way to the exact numbers."""
    with desk.create() as ledger:
        opened(ledger, steps(desk))
        plain = replace(steps(desk), opened=False)
        for ask in (ledger.paid, lambda purchase: ledger.pay(purchase, BLANK)):
            with pytest.raises(SpecificationMismatch):
                ask(plain)


def test_a_release_is_not_opened_and_settled_afterwards(desk: Any) -> None:
    with desk.create() as ledger:
        plain = replace(steps(desk), opened=False)
        ledger.pay(plain, replace(BLANK, values=EXACT))
        with pytest.raises(SpecificationMismatch):
            ledger.open(steps(desk), BLANK)
        with pytest.raises(SpecificationMismatch):
            ledger.settle(steps(desk), EXACT)
        assert kinds(ledger) == ["release"]


def test_settled_noise_is_overwritten_in_the_file(desk: Any) -> None:
    with desk.create() as ledger:
        opened(ledger, steps(desk))
        ((body,),) = ledger._storage.rows("select body from release")
        settled(ledger, steps(desk))
        assert ledger._storage.row("pragma secure_delete") == (1,)
    assert body not in desk.path.read_bytes()


def test_it_is_refused_like_any_charge(desk: Any) -> None:
    with desk.create() as ledger:
        for name in "xyz":
            ledger.pay(desk.purchase(name), desk.count())
        with pytest.raises(BudgetExceeded):
            ledger.open(steps(desk), BLANK)
        assert "open" not in kinds(ledger)


def test_a_closed_ledger_settles_nothing(desk: Any) -> None:
    with desk.create() as ledger:
        noise = opened(ledger, steps(desk))
        ledger.close_for("cc" * 32, "ff" * 32)
        with pytest.raises(Closed):
            ledger.settle(steps(desk), noise.values + EXACT)


@pytest.mark.parametrize("settle", [False, True])
def test_after_a_lost_disk_it_is_not_drawn_again(desk: Any, tmp_path: Any, settle: bool) -> None:
    with desk.create() as ledger:
        (settled if settle else opened)(ledger, steps(desk))
        leaves = ledger.leaves()
    lost = Carried("cc" * 32, {}, "cc" * 32, len(leaves), "00" * 32, "11" * 32)
    with Ledger.restore(tmp_path / "new.sqlite", desk.key, desk.vault, lambda: desk.now, leaves, lost) as anew:
        with pytest.raises(NoiseLost):
            anew.open(steps(desk), BLANK)
        assert anew.accounts()["advertiser/record"].spent == desk.cost


def test_killed_before_it_settles_it_goes_on_with_the_same_answers(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing draw of a fresh nonce stands for any death between the charge and the end."""
    with desk.create() as ledger:
        noise = opened(ledger, steps(desk))
        with monkeypatch.context() as patch:
            patch.setattr("passbox.dp.ledger.secrets.token_bytes", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                ledger.settle(steps(desk), noise.values + EXACT)
        assert kinds(ledger) == ["open"]
    with desk.open() as ledger:
        assert settled(ledger, steps(desk)).values.tolist() == (noise.values + EXACT).tolist()


def test_a_planted_ledger_that_draws_anew_each_time_is_caught(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first test is for: noise that is opened again must not be drawn again."""
    real = mechanisms.gaussian

    def forgetful(ledger: Ledger, purchase: Purchase, blank: Statistic) -> Noise:
        spec = purchase.specification
        values = real(blank.values, spec.l2_squared, spec.scale, desk.cost)
        return Noise(values, 1.0, 0)

    monkeypatch.setattr(Ledger, "open", forgetful)
    with pytest.raises(AssertionError):
        test_opened_again_it_is_the_same_noise_for_one_charge(desk)
