"""An operator's pen: writes whole logs, honest or not, and signs them with the room's real key. All keys are known."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from passbox.cleanroom.measure.kinds import shape_of
from passbox.dp.budget import Rho
from passbox.dp.canonical import canonical, digest
from passbox.dp.carry import Carried
from passbox.dp.entry import Purchase
from passbox.dp.note import COSIGNER, NoteKey, add_line, cosign, sign_checkpoint
from passbox.dp.scale import price
from passbox.dp.tree import bundle_entries, hash_tiles, leaf_hash, root_of
from passbox.policies.accounts import caps
from passbox.policies.agreement import Agreement, agree
from passbox.policies.contract import parse
from passbox.policies.loss import Loss
from passbox.policies.price import context_of, purchases
from passbox.policies.request import Request, parse_job
from passbox.policies.sign import public_line, sign

Entry = dict[str, Any]
Files = dict[str, bytes]

PARTIES = {"publisher": "publisher", "advertiser": "advertiser", "officer": "officer", "host": "operator"}
SEALS = {
    "publisher": "age18yl0p6jfhjsjmvgwfqu4k7ux60yu5tp5p0ejn02tr4hz7kkg7p7seetnh2",
    "advertiser": "age1vwg8n0yqf7s4dc06rgwjfz3e4209h8lk7te73tt0n0xysm70453s2np49n",
    "officer": "age12mxn9hxt0w5du6qcm0y8zpz82wxu4vn9utmw4p79juw60t0l6eest9n3vg",
    "host": "age1uw2hf892pxtt7vygt3p63j744phta07jgrd6g246dy0nawe2yvmsfcslgj",
    "room": "age1w7rgu2009ec944udw874aqlsk4m7yhxnkxs3zss6zyqzkxr9jutqd4u6wm",
}

CONTRACT = """
version = 1{continues}
name = "{name}"
purpose = "find more people like the buyers, été 2027"
expires = 2027-06-30
[room]
operator = "{operator}"
name = "{room}"
seal = "{seal}"
checkpoint = "{checkpoint}"
{cosign}
{parties}
[match]
keys = ["email"]
scheme.email = "uid2@1"
rule = "own-best"
[dataset.visitors]
owner = "publisher"
protects = "person"
id = "visitor_id"
identifiers.email = "raw"
budget = {{ epsilon = {epsilon}, delta = 1e-8{together} }}
columns.age = {{ kind = "number", bounds = [18, 90] }}
columns.region = {{ kind = "category", values = ["north", "south"] }}
[dataset.buyers]
owner = "advertiser"
protects = "membership"
identifiers.email = "raw"
budget = {{ epsilon = {epsilon}, delta = 1e-6{together} }}
[rules]
smallest_seed = 100
smallest_audience = 200
allow = [
{lookalike}  {{ job = "overlap", ask = ["publisher", "advertiser"], recipients = {readers} }},
]
"""
READERS = '["publisher", "advertiser", "officer"]'
EVENTS = """\
[dataset.exposures]
owner = "publisher"
protects = "person"
rows = "events"
at_most = 40
identifiers.email = "raw"
budget = { epsilon = 3.0, delta = 1e-8 }
columns.campaign = { kind = "category", values = ["spring", "summer"] }
columns.cost = { kind = "number", bounds = [0, 0.02] }
columns.clicked = { kind = "flag" }
columns.day = { kind = "date", bounds = [2027-01-01, 2027-03-31] }
"""
PLAN = 'columns.plan = { kind = "category", values = ["basic", "plus", "none"] }\n'
ABOUT_PLANS = (
    '  { job = "completion", ask = ["publisher"], recipients = ["publisher"] },\n'
    '  { job = "model", ask = ["publisher"], recipients = ["publisher", "advertiser", "officer"] },\n'
)
ABOUT_EVENTS = '  { job = "reach", ask = ["advertiser"], recipients = ["advertiser"] },\n'
LOOKALIKE = '  { job = "lookalike", ask = ["publisher"], recipients = ["publisher"] },\n'


def key_of(name: str) -> Ed25519PrivateKey:
    """A party's key, or a room's: known to everybody, for vectors only."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"passbox vectors {name}".encode()).digest())


def party_blocks() -> str:
    return "\n".join(
        f'[party.{name}]\nrole = "{role}"\nsign = "{public_line(key_of(name))}"\nseal = "{SEALS[name]}"'
        for name, role in PARTIES.items()
    )


def _of_buyers(text: str) -> str:
    """What is said of events, where they are those of the other party: whoever has two data sets has one δ for both."""
    swapped = {"publisher": "advertiser", "advertiser": "publisher", "1e-8": "1e-6"}
    return re.sub("|".join(swapped), lambda found: swapped[found.group()], text)


@dataclass
class Pen:
    """A room of one's own: a signed contract, and a log that is written by hand.

    events: whether there is a data set of them, too: the publisher's, or with `of_buyers` the advertiser's. plans:
    whether the buyers have a column, which may be asked for. selection: δ that owners keep for keys nobody listed.
    responses: ε that the buyers' owner keeps for labels.
    honest writing: `caps`, `run`, `deny`, `submit`, `close`, `carry`, `lose`. `entries` may be altered at will before
    `export`. continues: earlier rooms, whose accounts this one goes on with.
    """

    name: str = "spring"
    operator: str = "host"
    epsilon: float = 3.0
    cosign: str = ""
    together: str = ""
    events: bool = False
    of_buyers: bool = False
    plans: bool = False
    selection: str = ""
    responses: str = ""
    match: str = ""
    continues: tuple[Pen, ...] = ()
    entries: list[Entry] = field(default_factory=list)
    requests: Files = field(default_factory=dict)
    manifests: Files = field(default_factory=dict)
    witnesses: Files = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    time: str = "2027-01-10T12:00Z"

    def __post_init__(self) -> None:
        self.room = NoteKey(f"rooms.example/{self.name}", key_of(f"room {self.name}"))
        names = [earlier.agreement.digest for earlier in self.continues]
        text = CONTRACT.format(
            continues=f"\ncontinues = {json.dumps(names)}" if names else "",
            together=self.together and f", together = {self.together}",
            name=self.name,
            operator=self.operator,
            room=self.room.name,
            seal=SEALS["room"],
            checkpoint=self.room.vkey,
            cosign=self.cosign and f"cosign = {self.cosign}",
            parties=party_blocks(),
            epsilon=self.epsilon,
            readers=READERS,
            lookalike="" if self.operator in ("publisher", "advertiser") else LOOKALIKE,
        )
        text = _on_two_keys(text, self.match) if self.match else text
        if self.events:
            events, about = (_of_buyers(EVENTS), _of_buyers(ABOUT_EVENTS)) if self.of_buyers else (EVENTS, ABOUT_EVENTS)
            text = text.replace("[rules]\n", f"{events}[rules]\n").replace("allow = [\n", f"allow = [\n{about}")
        if self.plans:
            text = text.replace("[rules]\n", f"{PLAN}[rules]\n").replace("allow = [\n", f"allow = [\n{ABOUT_PLANS}")
        text = _of_text(text, self.selection) if self.selection else text
        text = text.replace("delta = 1e-6", f"delta = 1e-6, responses = {self.responses}") if self.responses else text
        data = text.lstrip().encode()
        signatures = {party: sign(data, key_of(party), "passbox-contract") for party in PARTIES}
        self.agreement: Agreement = agree(parse(data), data, signatures)
        for dataset, rows in (("visitors", 3000), ("buyers", 300), *((("exposures", 9000),) if self.events else ())):
            self.submit(dataset, rows)
        for cap in caps(self.agreement):
            self.append("cap", **cap.as_json())

    # -- honest --------------------------------------------------------------------------------------------------

    def append(self, kind: str, **content: Any) -> Entry:
        head = {"v": 1, "seq": len(self.entries), "kind": kind, "time": self.time}
        self.entries.append({**head, **content})
        return self.entries[-1]

    def submit(self, dataset: str, rows: int, made: str = "2027-01-10T11:00:00Z", signer: str = "") -> str:
        owner = self.agreement.contract.dataset[dataset].owner
        manifest = {
            "format": "passbox bundle v1",
            "contract": self.agreement.digest,
            "room": self.room.name,
            "dataset": dataset,
            "owner": owner,
            "made": made,
            "expires": "2027-06-30T23:59:59Z",
            "shares": "0" * 64,
            "rows": rows,
            "data_sha256": hashlib.sha256(made.encode()).hexdigest(),
        }
        data = json.dumps(manifest, indent=2).encode() + b"\n"
        name = hashlib.sha256(data).hexdigest()
        self.manifests[f"{name}.json"] = data
        self.manifests[f"{name}.json.sig"] = sign(data, key_of(signer or owner), "passbox-bundle").encode()
        self.current[dataset] = name
        return name

    def request(
        self, kind: str, asker: str = "publisher", signer: str = "", spelled: str = "", **fields: Any
    ) -> Request:
        """A job, kept in the copy and signed by who asks, or by somebody else in its name. spelled: its TOML."""
        pair = {"people": "visitors", "seed": "buyers"} if kind in ("lookalike", "overlap", "model") else {}
        job = pair | {"recipients": ["publisher"], "epsilon": 1.0} | fields
        text = f'kind = "{kind}"\n' + "".join(f"{name} = {json.dumps(value)}\n" for name, value in job.items())
        text += '[measure]\npeople = { kind = "people" }\n' if kind == "aggregate" else ""
        text += "audience = { size = 300 }\n" if kind == "lookalike" else ""
        data = (spelled or text).encode()
        request = Request(parse_job(data), data, asker, sign(data, key_of(signer or asker), "passbox-job"))
        self.requests[f"{request.digest}.toml"] = data
        self.requests[f"{request.digest}.toml.{asker}.sig"] = request.signature.encode()
        return request

    def purchases(self, request: Request) -> tuple[Purchase, ...]:
        return purchases(self.agreement, request, self.current, shape_of)

    def run(self, kind: str, asker: str = "publisher", **fields: Any) -> list[Entry]:
        """The entries of an honest run of a job."""
        return [self.release(each) for each in self.purchases(self.request(kind, asker, **fields))]

    def release(self, purchase: Purchase, kind: str = "release", **spec: Any) -> Entry:
        """One draw, charged to whom it is due. spec: what its specification says instead, priced as that asks for."""
        specification = purchase.specification.as_json() | spec
        key = digest(specification)
        earlier = [entry for entry in self.entries if entry.get("key") == key]
        paid = {charge["account"] for entry in earlier for charge in entry["charges"]}
        other = next((entry for entry in self.entries if entry.get("key") == purchase.beside), None)
        noisy, l2_squared, scale = (
            not purchase.specification.flip,
            int(specification["l2_squared"]),
            specification["scale"],
        )
        dues = [(each, price(l2_squared, scale) if noisy else each.rho) for each in purchase.charges]
        dues += [(each, specification.get("selection", 0)) for each in purchase.selecting]
        charges = [
            {"account": each.account, "dataset": each.dataset, "rho": due, "before": self.spent(each.account)}
            for each, due in dues
            if each.account not in paid
        ]
        covering = other["charges"] if other else []
        known = [entry["commitment"] for entry in earlier if entry["kind"] != "open" or kind == "open"]
        return self.append(
            kind,
            **purchase.context.as_json(),
            key=key,
            specification=specification,
            charges=charges,
            covered=[{name: each[name] for name in ("account", "dataset", "rho")} for each in covering],
            beside=purchase.beside,
            library="opendp 0.16.0",
            commitment=known[-1] if known else digest(f"commitment {'opened ' if kind == 'open' else ''}{key}"),
        )

    def deny(self, clause: str, kind: str, asker: str = "publisher", **fields: Any) -> Entry:
        context = context_of(self.agreement, self.request(kind, asker, **fields))
        return self.append("denial", **context.as_json(), clause=clause)

    def close(self, following: Pen) -> Entry:
        """The end of this log: another contract goes on."""
        return self.append("closed", contract=self.agreement.digest, next=following.agreement.digest)

    def carry(self, earlier: Pen) -> Entry:
        """What an earlier room's log leaves to this one, which has the same parties."""
        spent = {cap.account: Rho(earlier.spent(cap.account)) for cap in caps(earlier.agreement)}
        return self._carry(Carried(self.agreement.digest, spent, *earlier.head()))

    def lose(self, by: Sequence[str] = ("publisher", "advertiser", "officer"), **changes: Any) -> Entry:
        """What may have been spent on a lost disk, after what stands here. changes: to what is stated and signed."""
        contract, size, root = self.head()
        lost = {"publisher/record": 10**9, "advertiser/record": 2 * 10**9}
        head = {"version": 1, "contract": contract, "size": size, "root": root, "charge": lost}
        loss = Loss.model_validate(head | changes)
        data = loss.to_toml().encode()
        name = hashlib.sha256(data).hexdigest()
        self.requests[f"{name}.toml"] = data
        for party in by:
            self.requests[f"{name}.toml.{party}.sig"] = sign(data, key_of(party), "passbox-loss").encode()
        return self._carry(loss.carried(name))

    def _carry(self, carried: Carried) -> Entry:
        before = {account: Rho(self.spent(account)) for account in carried.charges}
        return self.append("carry", **carried.as_json(before))

    def spent(self, account: str) -> int:
        charges = [charge for entry in self.entries for charge in entry.get("charges", [])]
        return sum(charge["rho"] for charge in charges if charge["account"] == account)

    def head(self) -> tuple[str, int, str]:
        """Contract, size and root of the log as it stands."""
        hashes = [leaf_hash(leaf) for leaf in self.leaves()]
        return self.agreement.digest, len(hashes), root_of(hashes).hex()

    def witness(self, party: str = "officer", time: int = 1_800_000_000) -> None:
        """A party cosigns the log as it stands."""
        name, note = f"{self.room.name}/{party}", self.checkpoint()
        line = cosign(note, NoteKey(name, key_of(party), COSIGNER), time)
        self.witnesses[party] = add_line(note, line).encode()

    # -- at will -------------------------------------------------------------------------------------------------

    def copy(self) -> Pen:
        """Another pen that goes on from here."""
        twin = copy(self)
        for name in ("entries", "requests", "manifests", "witnesses", "current"):
            setattr(twin, name, deepcopy(getattr(self, name)))
        return twin

    def renumber(self) -> None:
        """Make sequence numbers and running balances fit the entries as they stand now."""
        spent: dict[str, int] = {}
        for position, entry in enumerate(self.entries):
            entry["seq"] = position
            for charge in entry.get("charges", []):
                charge["before"] = spent.get(charge["account"], 0)
                spent[charge["account"]] = charge["before"] + charge["rho"]

    def rekey(self, entry: Entry) -> None:
        entry["key"] = digest(entry["specification"])

    # -- files ---------------------------------------------------------------------------------------------------

    def leaves(self) -> list[bytes]:
        return [canonical(entry) for entry in self.entries]

    def checkpoint(self, leaves: list[bytes] | None = None) -> str:
        hashes = [leaf_hash(leaf) for leaf in (self.leaves() if leaves is None else leaves)]
        return sign_checkpoint(self.room.name, len(hashes), root_of(hashes), self.room)

    def export(self, leaves: list[bytes] | None = None) -> Files:
        """A copy of the log, signed as it stands. leaves: written as they are, instead of the entries."""
        leaves = self.leaves() if leaves is None else leaves
        files = {"checkpoint": self.checkpoint(leaves).encode()}
        files |= bundle_entries(leaves) | hash_tiles([leaf_hash(leaf) for leaf in leaves])
        for folder, held in (("requests", self.requests), ("manifests", self.manifests), ("witnesses", self.witnesses)):
            files |= {f"{folder}/{name}": data for name, data in held.items()}
        for earlier in self.continues:
            held = earlier.export() | {f"contract/{name}": data for name, data in earlier.contract_files().items()}
            files |= {f"before/{earlier.agreement.digest}/{name}": data for name, data in held.items()}
        return files

    def contract_files(self) -> Files:
        """The officer's own contract, with every signature beside it."""
        signatures = {f"contract.toml.{name}.sig": each.encode() for name, each in self.agreement.signatures.items()}
        return {"contract.toml": self.agreement.data, **signatures}

    def terms(self) -> Mapping[str, object]:
        """What the contract says, for a verifier that reads no TOML."""
        contract = self.agreement.contract
        cosign = contract.room.cosign
        terms: dict[str, object] = {
            "vkey": self.room.vkey,
            "contract": self.agreement.digest,
            "operator": self.operator,
            "caps": {cap.account: cap.rho for cap in caps(self.agreement)},
            "owners": {name: rule.owner for name, rule in contract.dataset.items()},
            "parties": {name: party.sign for name, party in contract.party.items()},
        }
        terms["witnesses"] = cosign.by if cosign else []
        if cosign:
            terms |= {"need": cosign.need, "ahead": str(cosign.ahead)}
        if len(contract.match.keys) > 1:
            terms |= {"rule": contract.match.rule, "keys": len(contract.match.keys)}
        terms["continues"] = contract.continues
        terms |= {"purpose": contract.purpose, "expires": contract.expires.isoformat()}
        terms["delta"] = {name: float(rule.budget.budget().delta) for name, rule in contract.dataset.items()}
        if self.continues:
            terms["before"] = {earlier.agreement.digest: earlier.terms() for earlier in self.continues}
        return terms


def _on_two_keys(text: str, rule: str) -> str:
    """The same contract, but that people are matched on two keys."""
    text = text.replace('keys = ["email"]', 'keys = ["email", "phone"]').replace('"own-best"', f'"{rule}"')
    text = text.replace('scheme.email = "uid2@1"', 'scheme.email = "uid2@1"\nscheme.phone = "uid2@1"')
    return text.replace('identifiers.email = "raw"', 'identifiers = { email = "raw", phone = "raw" }\ncountry = "none"')


def _of_text(text: str, selection: str) -> str:
    """The same contract, but that exposures have a page, and every owner keeps δ for keys that nobody listed."""
    text = text.replace("columns.campaign", 'columns.page = { kind = "text" }\ncolumns.campaign')
    text = re.sub(r"(budget = .* delta = [0-9.e-]+)", rf"\1, selection = {selection}", text)
    return text.replace('job = "reach"', 'job = "aggregate"')


def as_text(files: Files) -> dict[str, str]:
    """Files for JSON: text as it is, anything else as base64 behind "base64:"."""
    return {name: _as_text(data) for name, data in sorted(files.items())}


def _as_text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    plain = all(char.isprintable() or char == "\n" for char in text) and not text.startswith("base64:")
    return text if plain else "base64:" + base64.b64encode(data).decode()


def as_bytes(text: str) -> bytes:
    """The other way."""
    return base64.b64decode(text[7:]) if text.startswith("base64:") else text.encode()
