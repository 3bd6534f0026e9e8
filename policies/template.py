"""The first draft of a contract, with a comment on every line: people edit it, they do not write it.

What is proposed for columns was looked up in the owner's own file and is the owner's to widen: bounds and values are
promises about what may come, and everybody who signs will read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class ProposedColumn:
    """One `columns.*` line. note: why it looks as it does, for the owner."""

    name: str
    kind: str
    bounds: tuple[float, float] | None = None
    values: tuple[str, ...] = ()
    at_most: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """What `contract new` knows. parties, room: fields of the cards. arrives: "raw" or "sha256" for each data set."""

    name: str
    purpose: str
    expires: date
    parties: Sequence[Mapping[str, str]]
    room: Mapping[str, str]
    kind: str
    scheme: str
    people: str
    seed: str
    people_arrives: str
    seed_arrives: str
    people_id: str
    columns: Sequence[ProposedColumn]
    epsilon: float
    people_delta: float
    seed_delta: float
    smallest_seed: int
    smallest_audience: int

    def owner(self, role: str) -> str:
        """The party with a role. Errors: LookupError where there is none."""
        return next(card["name"] for card in self.parties if card["role"] == role)


def draft(facts: Draft) -> str:
    """The contract as commented TOML."""
    sections = (_head, _room, _parties, _match, _people, _seed, _rules)
    return "\n".join(line for section in sections for line in section(facts)) + "\n"


def _head(facts: Draft) -> list[str]:
    return [
        "# A Passbox contract. Every party signs these bytes: change one character and every signature breaks.",
        "# Edit it, then: passbox contract check contract.toml",
        "version = 1",
        f"name = {_text(facts.name)}",
        f"purpose = {_text(facts.purpose)}  # shown to everybody, kept with every release",
        f"expires = {facts.expires.isoformat()}  # after this day nothing runs",
        "",
    ]


def _room(facts: Draft) -> list[str]:
    return [
        "[room]",
        f"operator = {_text(facts.room['operator'])}  # runs the room; `contract check` says what follows from it",
        f"name = {_text(facts.room['name'])}  # origin of the ledger's checkpoints",
        f"seal = {_text(facts.room['seal'])}  # bundles are sealed to this age key",
        f"checkpoint = {_text(facts.room['checkpoint'])}  # the ledger is signed with this key",
        *_witnesses(facts),
        "",
    ]


def _witnesses(facts: Draft) -> list[str]:
    """The officers cosign the ledger, where there are any beside the operator."""
    officers = [card["name"] for card in facts.parties if card["role"] == "officer"]
    by = [name for name in officers if name != facts.room["operator"]]
    if not by:
        return []
    return [
        "# who cosigns the ledger, and which share of a cap may be spent ahead of the last cosigned entry",
        f"cosign = {{ by = [{', '.join(map(_text, by))}], ahead = 0.25 }}",
    ]


def _parties(facts: Draft) -> list[str]:
    lines = [
        "# role: publisher, advertiser, officer or operator. Compare fingerprints by voice: `passbox contract show`."
    ]
    for card in facts.parties:
        lines += [
            f"[party.{card['name']}]",
            f"role = {_text(card['role'])}",
            f"sign = {_text(card['sign'])}",
            f"seal = {_text(card['seal'])}",
        ]
    return [*lines, ""]


def _match(facts: Draft) -> list[str]:
    return [
        "[match]",
        f"keys = [{_text(facts.kind)}]  # people are matched on this identifier; of several name the best first",
        f"scheme.{facts.kind} = {_text(facts.scheme)}  # how it is normalised before it is hashed; both sides the same",
        'rule = "own-best"  # one record moves at most one matched row',
        *(["window = 24  # hours for which an IP address counts as one household's"] if facts.kind == "ip" else []),
        "",
    ]


def _people(facts: Draft) -> list[str]:
    lines = [
        f"[dataset.{facts.people}]",
        f"owner = {_text(facts.owner('publisher'))}",
        'protects = "person"  # whatever a release shows about these people is paid for',
    ]
    if facts.people_id:
        lines.append(f"id = {_text(facts.people_id)}  # stays at home, in {facts.people}.ids")
    lines += [
        f"identifiers.{facts.kind} = {_text(facts.people_arrives)}  # raw, or sha256 where the file holds hashes",
        *_country(facts),
        _budget(facts.epsilon, facts.people_delta) + "  # spent by releases to others; keep delta below 1/(10 n)",
        "# Columns. bounds and values are promises: `prepare` leaves rows outside out, cuts longer sets. Widen them.",
    ]
    return [*lines, *(_column(column) for column in facts.columns), ""]


def _country(facts: Draft) -> list[str]:
    if facts.kind != "phone":
        return []
    return ['country = "none"  # each number carries its country code; or whose come without, such as "US"']


def _seed(facts: Draft) -> list[str]:
    return [
        f"[dataset.{facts.seed}]",
        f"owner = {_text(facts.owner('advertiser'))}",
        'protects = "membership"  # that somebody is on this list is the secret',
        f"identifiers.{facts.kind} = {_text(facts.seed_arrives)}",
        *_country(facts),
        _budget(facts.epsilon, facts.seed_delta),
        "",
    ]


def _rules(facts: Draft) -> list[str]:
    publisher, advertiser = _text(facts.owner("publisher")), _text(facts.owner("advertiser"))
    return [
        "[rules]",
        f"smallest_seed = {facts.smallest_seed}  # looks at submitted rows, which are public",
        f"smallest_audience = {facts.smallest_audience}",
        "allow = [  # who may ask, and who may read; a lookalike only the owner of the features",
        f'  {{ job = "lookalike", ask = [{publisher}], recipients = [{publisher}] }},',
        f'  {{ job = "overlap", ask = [{publisher}, {advertiser}], recipients = [{publisher}, {advertiser}] }},',
        "]",
    ]


def _budget(epsilon: float, delta: float) -> str:
    return f"budget = {{ epsilon = {epsilon!r}, delta = {delta!r} }}"


def _column(column: ProposedColumn) -> str:
    parts = [f"kind = {_text(column.kind)}"]
    if column.bounds:
        parts.append(f"bounds = [{', '.join(_number(bound) for bound in column.bounds)}]")
    if column.values:
        parts.append(f"values = [{', '.join(_text(value) for value in column.values)}]")
    if column.at_most:
        parts.append(f"at_most = {column.at_most}")
    note = f"  # {column.note}" if column.note else ""
    return f"columns.{column.name} = {{ {', '.join(parts)} }}{note}"


def _number(value: float) -> str:
    """A TOML number, all its digits kept."""
    return str(int(value)) if value.is_integer() else repr(value)


def _text(value: str) -> str:
    """A TOML basic string."""
    plain = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in plain) + '"'


def job_text(kind: str, contract: str, own: Sequence[str], readers: Sequence[str], epsilon: float) -> str:
    """A first draft of a job, with a comment on every line.

    contract: SHA-256 of the bytes it is bound to. own: the lines that only this kind has (`Job.draft`).
    """
    lines = [
        f"kind = {_text(kind)}",
        "# SHA-256 of contract.toml: under no other contract can this job be run",
        f"contract = {_text(contract)}",
        "serial = 1  # the next number asks the same again after a data set was submitted anew",
        f"recipients = [{', '.join(_text(reader) for reader in readers)}]  # who can open the release",
        f"epsilon = {epsilon!r}  # everything this job draws is within it",
        *own,
    ]
    return "\n".join([*lines, ""])
