"""A first draft of a contract, from the parties' cards, a few wishes and, if wanted, the owner's own file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ..matching.schemes import load
from ..policies.contract import parse
from ..policies.document import InvalidContract
from ..policies.template import Draft, draft
from .arrival import Arrival
from .cards import read_card
from .propose import Proposal, propose


class RoleMissing(Exception):
    """None of the cards is of a role that every contract needs."""

    def __init__(self, role: str) -> None:
        super().__init__(role)
        self.role = role


class WishesUnfit(InvalidContract):
    """What the drafter wants makes no contract; nothing was written."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the drafter wants. people, seed: names of the two data sets. kind, scheme: what people are matched on.
    people_arrives, seed_arrives: "raw", or "sha256" or "sha1" where the scheme makes such hashes. epsilon: budget of
    each data set."""

    name: str
    purpose: str
    expires: date
    people: str
    seed: str
    kind: str
    scheme: str
    people_arrives: str
    seed_arrives: str
    epsilon: float
    smallest_seed: int
    smallest_audience: int


@dataclass(frozen=True, slots=True)
class Drafted:
    """The text, which parses. columns: those proposed. left_out: columns nothing was proposed for, with the reason.
    missing: what the drafter's file says this contract could not do, in sentences."""

    text: str
    columns: tuple[str, ...]
    left_out: dict[str, str]
    missing: tuple[str, ...]


def draft_contract(parties: list[Path], room: Path, wishes: Wishes, source: Path | None, today: date) -> Drafted:
    """Errors: KeysUnusable for a card, RoleMissing, BadSource, WishesUnfit."""
    cards = [read_card(path, "party") for path in parties]
    for role in ("publisher", "advertiser"):
        if role not in {card["role"] for card in cards}:
            raise RoleMissing(role)
    proposal = Proposal(10**6, "visitor_id", (), {})
    if source:
        proposal = propose(source, wishes.kind, wishes.scheme, wishes.people_arrives)
    text = draft(_facts(cards, read_card(room, "room"), wishes, proposal))
    try:
        parse(text.encode(), today)
    except InvalidContract as error:
        raise WishesUnfit(error.what, error.problems) from None
    missing = tuple(_missing(proposal, wishes)) if source else ()
    return Drafted(text, tuple(column.name for column in proposal.columns), proposal.left_out, missing)


def _missing(proposal: Proposal, wishes: Wishes) -> Iterator[str]:
    """What stands in the way of an audience: found out here, it costs no signature."""
    if not proposal.id:
        yield (
            "no column is named like your own IDs, such as visitor_id, and an audience comes back as these: write "
            f'`id = "COLUMN"` under [dataset.{wishes.people}]'
        )
    if (found := proposal.arrival) and found.form != wishes.people_arrives:
        yield _otherwise(found, wishes)
    if proposal.people < wishes.smallest_audience:
        yield (
            f"the file is of {proposal.people:,} people and rules.smallest_audience is {wishes.smallest_audience:,}: "
            "lower it, or no audience is large enough"
        )


def _otherwise(found: Arrival, wishes: Wishes) -> str:
    """That identifiers arrive in another form than the draft says, and what to write there."""
    if found.form is None:
        made = _HOLDS[load(wishes.scheme).rule(wishes.kind).hash]
        return (
            f"column {found.column} holds what looks like hashes, and none that {wishes.scheme} takes: "
            f"bring raw values, or the {made} of each one as {wishes.scheme} normalises it, all written alike"
        )
    named = "" if found.column == wishes.kind else f"; `prepare` takes it by `--column {wishes.kind}={found.column}`"
    return (
        f"column {found.column} holds {_HOLDS[found.form]}, and the draft says "
        f'`identifiers.{wishes.kind} = "{wishes.people_arrives}"`: '
        f'write "{found.form}" there, or draft it anew with `--people-identifier {found.form}`{named}'
    )


_HOLDS = {"raw": "raw values", "sha256": "SHA-256", "sha1": "SHA-1"}


def _facts(cards: list[dict[str, str]], room: dict[str, str], wishes: Wishes, proposal: Proposal) -> Draft:
    return Draft(
        name=wishes.name,
        purpose=wishes.purpose,
        expires=wishes.expires,
        parties=cards,
        room=room,
        kind=wishes.kind,
        scheme=wishes.scheme,
        people=wishes.people,
        seed=wishes.seed,
        people_arrives=wishes.people_arrives,
        seed_arrives=wishes.seed_arrives,
        people_id=proposal.id,
        columns=proposal.columns,
        epsilon=wishes.epsilon,
        people_delta=_delta(proposal.people),
        seed_delta=1e-6,
        smallest_seed=wishes.smallest_seed,
        smallest_audience=wishes.smallest_audience,
    )


def _delta(rows: int) -> float:
    """The power of ten below 1/(10 n), at most 1e-6."""
    return min(1e-6, float(f"1e{math.floor(-math.log10(10 * rows))}"))
