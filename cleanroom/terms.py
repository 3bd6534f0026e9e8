"""What a contract says, as JSON: for a verifier that reads no TOML (docs/verify_ledger.mjs, docs/ledger.md)."""

from __future__ import annotations

from collections.abc import Sequence

from ..policies.accounts import caps_of
from ..policies.contract import digest, parse


def terms_of(data: bytes, earlier: Sequence[bytes] = ()) -> dict[str, object]:
    """The terms of a contract. data: its bytes. earlier: those of contracts that it continues, or that these do.

    Errors: InvalidContract.
    """
    contract, name = parse(data), digest(data)
    cosign, before = contract.room.cosign, {digest(each): each for each in earlier}
    terms: dict[str, object] = {
        "vkey": contract.room.checkpoint,
        "contract": name,
        "operator": contract.room.operator,
        "caps": {cap.account: int(cap.rho) for cap in caps_of(contract, name)},
        "owners": {dataset: rule.owner for dataset, rule in contract.dataset.items()},
        "parties": {party: each.sign for party, each in contract.party.items()},
        "witnesses": list(cosign.by) if cosign else [],
    }
    if cosign:
        terms |= {"need": cosign.need, "ahead": str(cosign.ahead)}
    if len(contract.match.keys) > 1:
        terms |= {"rule": contract.match.rule, "keys": len(contract.match.keys)}
    terms["continues"] = list(contract.continues)
    terms |= {"purpose": contract.purpose, "expires": contract.expires.isoformat()}
    terms["delta"] = {dataset: float(rule.budget.budget().delta) for dataset, rule in contract.dataset.items()}
    known = [each for each in contract.continues if each in before]
    if known:
        terms["before"] = {each: terms_of(before[each], earlier) for each in known}
    return terms
