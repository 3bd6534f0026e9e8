"""The contract of the design, with real keys, as text to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from passbox.dp.note import NoteKey
from passbox.policies.agreement import Agreement, agree, signature_path
from passbox.policies.contract import Contract, parse
from passbox.policies.sign import new_private_key, public_line, sign

ROLES = {"publisher": "publisher", "advertiser": "advertiser", "officer": "officer", "host": "operator"}

DESIGN = """\
# contract.toml; beside it contract.toml.NAME.sig and, for data parties, contract.toml.NAME.share
version = 1
name = "spring-lookalike"
purpose = "find more people like the buyers"
expires = 2099-03-31
[room]
operator = "host"                                  # a party below; neutral here
name = "rooms.example/spring"                      # origin of the checkpoints
seal = "{seal[room]}"                                   # bundles are sealed to it
checkpoint = "{checkpoint}" # note verifier key
cosign = {{ by = ["officer"], ahead = 0.25 }}        # share of a cap that may run ahead of the last cosigned checkpoint
[party]                                            # role: publisher | advertiser | officer | operator
publisher  = {{ role = "publisher",  sign = "{sign[publisher]}", seal = "{seal[publisher]}" }}
advertiser = {{ role = "advertiser", sign = "{sign[advertiser]}", seal = "{seal[advertiser]}" }}
officer    = {{ role = "officer",    sign = "{sign[officer]}", seal = "{seal[officer]}" }}
host       = {{ role = "operator",   sign = "{sign[host]}", seal = "{seal[host]}" }}
[match]
keys = ["email"]
scheme.email = "uid2@1"                            # one scheme per kind, both sides
rule = "own-best"
[dataset.visitors]
owner = "publisher"
protects = "person"
id = "visitor_id"                                  # stays in prepare's .ids file
identifiers.email = "raw"                          # raw | sha256
budget = {{ epsilon = 3.0, delta = 1e-8 }}           # below 1 / (10 n)
columns.age = {{ kind = "number", bounds = [18, 99] }}
columns.region = {{ kind = "category", values = ["north", "south"] }}
columns.topics = {{ kind = "set", values = ["cars", "travel"], at_most = 2 }}
[dataset.buyers]
owner = "advertiser"
protects = "membership"
identifiers.email = "sha256"
budget = {{ epsilon = 3.0, delta = 1e-6 }}
[rules]
smallest_seed = 1000                               # on public sizes
smallest_audience = 5000
allow = [
  {{ job = "lookalike", ask = ["publisher"], recipients = ["publisher"] }},
  {{ job = "overlap", ask = ["publisher", "advertiser"], recipients = ["publisher", "advertiser"] }},
]
"""


@dataclass(frozen=True)
class People:
    """Everybody's secret keys, and the contract between them."""

    sign: dict[str, Ed25519PrivateKey]
    seal: dict[str, str]
    text: str

    @property
    def contract(self) -> Contract:
        return parse(self.text.encode())

    def signatures(self, text: str | None = None) -> dict[str, str]:
        data = (text or self.text).encode()
        return {name: sign(data, key, "passbox-contract") for name, key in self.sign.items()}

    def agreement(self) -> Agreement:
        return agree(self.contract, self.text.encode(), self.signatures())

    def lay(self, folder: Path) -> Path:
        """The contract and all signatures as files."""
        path = folder / "contract.toml"
        path.write_text(self.text)
        for name, signature in self.signatures().items():
            signature_path(path, name).write_text(signature)
        return path


@pytest.fixture(scope="session")
def people() -> People:
    signers = {name: new_private_key() for name in ROLES}
    identities = {name: pyrage.x25519.Identity.generate() for name in [*ROLES, "room"]}
    text = DESIGN.format(
        sign={name: public_line(key) for name, key in signers.items()},
        seal={name: str(identity.to_public()) for name, identity in identities.items()},
        checkpoint=NoteKey.new("rooms.example/spring").vkey,
    )
    return People(signers, {name: str(identity) for name, identity in identities.items()}, text)


@pytest.fixture
def changed(people: People) -> Callable[..., str]:
    """The contract with some text replaced, each of it there before."""

    def change(*pairs: tuple[str, str]) -> str:
        text = people.text
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new, 1)
        return text

    return change
