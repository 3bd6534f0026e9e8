"""What to type next, with the names of whoever stands here.

A party works in a folder of its own: where just one NAME.keys lies in it, that is whose folder it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..policies.contract import Contract


NAMELESS = "NAME.keys"


def own_keys() -> str:
    """The key folder of whoever stands here, as it is typed; `NAME.keys` where that is not plain to see."""
    found = [path.name for path in Path().glob("*.keys") if (path / "seal").is_file()]
    return found[0] if len(found) == 1 else NAMELESS


def own_party(contract: Contract) -> str:
    """Which party of a contract stands here, by the name of its key folder; "" where none."""
    name = own_keys().removesuffix(".keys")
    return name if name in contract.party else ""


def after_signatures(contract: Contract, path: Path) -> list[str]:
    """What each party does once all have signed; only its own part where it is plain who stands here."""
    me = own_party(contract)
    if me:
        return [text for name, text in _parts(contract, path) if name == me]
    return [f"{name}: {text}" for name, text in _parts(contract, path)]


def _parts(contract: Contract, path: Path) -> list[tuple[str, str]]:
    parts = [
        (rule.owner, f"`passbox prepare FILE --contract {path} --dataset {name} --key {rule.owner}.keys`")
        for name, rule in contract.dataset.items()
    ]
    operator = contract.room.operator
    parts.append((operator, f"`passbox room new FOLDER --contract {path} --key {operator}.keys`"))
    waits = "keep the contract and its signatures: `passbox ledger verify` needs them"
    return parts + [(name, waits) for name in contract.party if name not in {who for who, _ in parts}]
