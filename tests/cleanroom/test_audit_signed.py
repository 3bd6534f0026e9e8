"""What was signed: an operator who leaves out, adds or replaces a job, a manifest or a contract is found out."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from passbox.cleanroom.audit import LedgerBroken, verify_log
from passbox.policies import check
from passbox.policies.agreement import signature_path
from passbox.policies.sign import sign

from .forger import OVERLAP, Operator, priced

if TYPE_CHECKING:
    from .world import Copier, World


def test_a_job_must_be_there_whole_and_signed_by_its_asker(operator: Operator, ran: World) -> None:
    name = f"{operator.entries[OVERLAP]['job']}.toml"
    whole = dict(operator.requests)
    other = sign(whole[name], ran.signing_key("officer"), "passbox-job").encode()
    wrong = sign(whole[name], ran.signing_key("publisher"), "passbox-bundle").encode()
    for change in (
        {name: None},
        {name: whole[name] + b"\n"},
        {f"{name}.publisher.sig": None},
        {f"{name}.publisher.sig": other},
        {f"{name}.publisher.sig": wrong},
        {f"{name}.publisher.sig": b"\xff\x00"},
    ):
        operator.requests = {key: data for key, data in {**whole, **change}.items() if data is not None}
        assert operator.broken().entry == OVERLAP


DISALLOWED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a lookalike for somebody else": ("lookalike", {"recipients": ["advertiser"]}, "rules.allow"),
    "too small an audience": ("lookalike", {"audience": {"size": 10}}, "rules.smallest_audience"),
    "an audience of more than there are": ("lookalike", {"audience": {"size": 9_999}}, "audience"),
    "a job for another contract": ("lookalike", {"contract": "autumn"}, "name"),
}


@pytest.mark.parametrize("name", DISALLOWED)
def test_a_signed_job_that_the_contract_does_not_allow_is_named(operator: Operator, name: str) -> None:
    kind, fields, clause = DISALLOWED[name]
    operator.entries.append(operator.release(operator.world.request(kind, epsilon=0.5, **fields)))
    broken = operator.broken()
    assert broken.entry == 5
    assert f"does not allow it: {clause}:" in broken.rule


def test_a_job_signed_by_somebody_who_may_not_ask_is_named(operator: Operator) -> None:
    operator.entries.append(operator.release(operator.world.request("lookalike", "officer", epsilon=0.5)))
    assert operator.broken().entry == 5


def test_a_release_after_the_contracts_end_is_named(operator: Operator) -> None:
    request = operator.world.request("overlap", epsilon=0.5)
    operator.entries.append(operator.release(request, time="2027-07-01T01:00Z"))
    broken = operator.broken()
    assert (broken.entry, "expires" in broken.rule) == (5, True)


def test_a_manifest_must_be_its_owners_for_this_room_and_contract(operator: Operator, ran: World) -> None:
    digest_of = operator.entries[OVERLAP]["specification"]["datasets"]["buyers"]
    whole = dict(operator.manifests)
    manifest = whole[f"{digest_of}.json"]
    for signer, namespace in (
        ("host", "passbox-bundle"),
        ("publisher", "passbox-bundle"),
        ("advertiser", "passbox-job"),
    ):
        forged = sign(manifest, ran.signing_key(signer), namespace).encode()
        operator.manifests = whole | {f"{digest_of}.json.sig": forged}
        assert operator.broken().entry == OVERLAP
    operator.manifests = {name: data for name, data in whole.items() if name != f"{digest_of}.json"}
    assert operator.broken().entry == OVERLAP


CERTIFICATE = {
    "format": "passbox text certificate v1",
    "mechanism": "euclidean",
    **dict.fromkeys(("vocabulary", "table"), "0" * 64),
    **dict.fromkeys(("words", "dimensions", "size"), 100),
    **dict.fromkeys(("epsilon", "worst"), "3"),
}


@pytest.mark.parametrize(
    "change",
    [
        {"contract": "0" * 64},
        {"room": "rooms.example/other"},
        {"dataset": "visitors"},
        {"owner": "publisher"},
        {"rows": 99},
        {"expires": "2027-01-09T00:00:00Z"},
        {"made": "2026-01-01T00:00:00Z"},
        {"surprise": 1},
        {"private": [{"column": "topics", "tokens": 8, "certificate": CERTIFICATE}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_signed_manifest_for_other_use_is_named(operator: Operator, ran: World, change: dict[str, Any]) -> None:
    """Signed by the right owner, but for another contract or room, another data set, too short, late, or older."""
    digest_of = operator.entries[OVERLAP]["specification"]["datasets"]["buyers"]
    manifest = json.dumps(json.loads(operator.manifests[f"{digest_of}.json"]) | change).encode()
    other = hashlib.sha256(manifest).hexdigest()
    operator.manifests[f"{other}.json"] = manifest
    operator.manifests[f"{other}.json.sig"] = sign(manifest, ran.signing_key("advertiser"), "passbox-bundle").encode()
    entry = operator.release(ran.request("overlap", epsilon=0.5))
    entry["specification"]["datasets"]["buyers"] = other
    operator.entries.append(priced(entry))
    assert operator.broken().entry == 5


def test_a_data_set_that_was_replaced_is_not_used_again(operator: Operator, ran: World) -> None:
    """Of two that were made within one hour, times do not say which is older; the order in the log does."""
    digest_of = operator.entries[OVERLAP]["specification"]["datasets"]["buyers"]
    manifest = json.dumps(json.loads(operator.manifests[f"{digest_of}.json"]) | {"shares": "0" * 64}).encode()
    other = hashlib.sha256(manifest).hexdigest()
    operator.manifests[f"{other}.json"] = manifest
    operator.manifests[f"{other}.json.sig"] = sign(manifest, ran.signing_key("advertiser"), "passbox-bundle").encode()
    entry = operator.release(ran.request("overlap", epsilon=0.5))
    entry["specification"]["datasets"]["buyers"] = other
    operator.entries.append(priced(entry))
    verify_log(operator.signed(), ran.agreement)
    operator.entries.append(operator.release(ran.request("overlap", epsilon=0.4)))
    broken = operator.broken()
    assert (broken.entry, "replaced" in broken.rule) == (6, True)


def test_a_denial_is_of_a_signed_job_and_costs_nothing(used: World) -> None:
    with pytest.raises(check.Refused):
        used.run("lookalike", recipients=["advertiser"])
    for change in (
        lambda e: e.update(charges=[{"account": "advertiser/record", "rho": 1, "before": 0, "dataset": "buyers"}]),
        lambda e: e.update(asker="advertiser"),
        lambda e: e.update(recipients=["publisher"]),
        lambda e: e.update(job="0" * 64),
        lambda e: e.update(clause=7),
        lambda e: e.update(clause="alice@example.com"),
    ):
        operator = Operator(used)
        change(operator.entries[5])
        assert operator.broken().entry == 5


def test_the_officers_own_contract_decides(used: World, copied: Copier) -> None:
    """The operator sends along a contract that everybody signed, but it is not the one the officer holds."""
    log = used.log()
    other = copied(used)
    text = other.contract.read_text().replace('buyers"\nexpires', 'buyer"\nexpires')
    assert text != other.contract.read_text()
    other.contract.write_text(text)
    for name in ("publisher", "advertiser", "officer", "host"):
        signature_path(other.contract, name).write_text(
            sign(other.contract.read_bytes(), other.signing_key(name), "passbox-contract")
        )
    with pytest.raises(LedgerBroken) as broken:
        verify_log(log, other.agreement)
    assert broken.value.entry == 0
