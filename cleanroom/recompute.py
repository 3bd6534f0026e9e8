"""One entry of a log, made once more out of what the parties signed: every kind, and what it must be.

The rules are those that a room is bound by (`policies.check`, `policies.price`); what comes out must be what was
logged, to the last byte. What an entry says freely is its hour, the version of the noise library, and the commitment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from ..dp.budget import Rho
from ..dp.canonical import Json, canonical
from ..dp.carry import Carried
from ..dp.entry import Purchase
from ..policies.accounts import caps
from ..policies.agreement import Agreement
from ..policies.check import Allowed, Refused, Submitted, check
from ..policies.contract import Contract
from ..policies.price import context_of
from ..policies.request import Request
from .books import Books, Entry, LedgerBroken, require, require_same
from .evidence import loss_stated, signed_request, submission
from .measure.kinds import shape_of

COMMITMENT = re.compile("[0-9a-f]{64}")
LIBRARY = re.compile(r"opendp \d{1,3}(\.\d{1,3}){1,3}")
HOUR = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):00Z", re.ASCII)
_PARTS = ("protects", "columns", "budget.delta", "budget.selection", "budget.responses", "id")
NOT_CARRIED = "what was spent under a contract that it continues was not carried over"

CLAUSES = frozenset(
    {
        "at_most",
        "audience",
        "bins",
        "budget",
        "by",
        "columns",
        "consider",
        "dataset",
        "epsilon",
        "expires",
        "known",
        "learners",
        "membership",
        "name",
        "people",
        "query",
        "recipients",
        "report",
        "rules.allow",
        "rules.at_least",
        "rules.smallest_audience",
        "rules.smallest_seed",
        "selection",
        "serial",
        "strata",
        "targets",
        "tiers",
        "top",
        "where",
        "windows",
    }
)
"""What a refusal names (`policies.check`, `policies.jobs`), beside the parts of a data set."""


def read_entry(books: Books, position: int, data: bytes) -> None:
    try:
        entry = _parsed(data)
        kinds = {
            "cap": _cap,
            "release": _release,
            "open": _release,
            "outcome": _release,
            "denial": _denial,
            "carry": _carry,
            "closed": _closed,
        }
        require(entry.get("kind") in kinds, "its kind is not known")
        require(not books.closed, "it stands below the end of a closed ledger")
        _require_hour(books, entry)
        expected = kinds[entry["kind"]](books, entry)
        head = {"v": 1, "seq": position, "kind": entry["kind"], "time": entry["time"]}
        require_same(entry, {**head, **expected})
    except LedgerBroken as broken:
        raise LedgerBroken(position, broken.rule) from None
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        raise LedgerBroken(position, "it does not have the shape of an entry") from None


def _parsed(data: bytes) -> Entry:
    try:
        entry = json.loads(data)
        spelled = canonical(entry)
    except (ValueError, TypeError, RecursionError):
        raise LedgerBroken(None, "it is not canonical JSON") from None
    require(spelled == data and isinstance(entry, dict), "it is not canonical JSON")
    parsed: Entry = entry
    return parsed


def _require_hour(books: Books, entry: Entry) -> None:
    hour = entry["time"]
    require(bool(HOUR.fullmatch(hour)), "its time is no hour")
    require(hour >= books.hour, "its time runs backwards")
    books.hour = hour


def _cap(books: Books, entry: Entry) -> dict[str, Json]:
    """What an owner allows: once, before anything is charged, as the contract says."""
    wanted = next((cap for cap in caps(books.agreement) if cap.account == entry["account"]), None)
    require(wanted is not None, "it caps somebody who owns no data set")
    assert wanted is not None  # noqa: S101 - said again for the type checker
    require(wanted.account not in books.caps, "the account has a cap already")
    books.caps[wanted.account] = wanted
    books.spent[wanted.account] = 0
    return wanted.as_json()


def _carry(books: Books, entry: Entry) -> dict[str, Json]:
    """What was spent elsewhere: under a contract that this one continues, or on a disk that was lost."""
    due = loss_stated(books, entry) if entry["statement"] else _left(books)
    before = {name: Rho(spent) for name, spent in books.spent.items()}
    for name, rho in due.charges.items():
        require(name in books.caps, "it charges an account that has no cap")
        books.spent[name] += rho
        require(books.spent[name] <= books.caps[name].rho, "the account is overspent")
    return due.as_json(before)


def _left(books: Books) -> Carried:
    require(bool(books.to_carry), "it carries over what no contract names")
    return books.to_carry.pop(0)


def _closed(books: Books, entry: Entry) -> dict[str, Json]:
    """The end: another contract goes on with the accounts."""
    require(bool(COMMITMENT.fullmatch(entry["next"])), "it does not say which contract goes on")
    require(not books.to_carry, NOT_CARRIED)
    books.closed = entry["next"]
    return {"contract": books.agreement.digest, "next": entry["next"]}


def _denial(books: Books, entry: Entry) -> dict[str, Json]:
    """A signed job that was refused; it costs nothing."""
    require(not books.to_carry, NOT_CARRIED)
    request = signed_request(books, entry)
    require(entry["clause"] in _clauses(books.agreement.contract), "it names no clause")
    books.denials += 1
    return {**context_of(books.agreement, request).as_json(), "clause": entry["clause"]}


def _clauses(contract: Contract) -> set[str]:
    """Every clause that can refuse: a closed list, so that a refusal carries no message of its own."""
    each = {f"dataset.{name}.{part}" for name in contract.dataset for part in _PARTS}
    return each | CLAUSES


# -- releases ------------------------------------------------------------------------------------------------------


def _release(books: Books, entry: Entry) -> dict[str, Json]:
    """What the entry must be, made from what was signed: noise that is released, opened, or settled."""
    require(not books.to_carry, NOT_CARRIED)
    purchase = _purchase(books, entry)
    require_same(entry["specification"], purchase.specification.as_json(), "its specification's")
    key, commitment = purchase.key, entry["commitment"]
    require(bool(COMMITMENT.fullmatch(commitment)), "it commits to nothing")
    require(bool(LIBRARY.fullmatch(entry["library"])), "it does not say what drew the noise")
    first, settles = books.first.get(key), entry["kind"] == "outcome"
    require(purchase.opened or entry["kind"] == "release", "its statistic is drawn at once, and not opened")
    if purchase.opened:
        _require_opened(books, entry, key)
    if first is not None and not settles:
        require(commitment == books.settled.get(key, first["commitment"]), "the same statistic was drawn twice")
    charges = _charges(books, purchase)
    readers, new = books.readers.setdefault(key, set()), set(purchase.context.recipients)
    if settles:
        require(not charges and new <= readers, "it settles noise that was not opened for its readers")
        books.settled[key] = commitment
    else:
        is_new = bool(charges) or first is None or bool(new - readers)
        require(is_new, "the same statistic stands twice, for nobody new")
    readers |= new
    covered = _covered(books, purchase) if purchase.beside and first is None else []
    books.first.setdefault(key, entry)
    return {
        **purchase.context.as_json(),
        "key": key,
        "specification": purchase.specification.as_json(),
        "charges": charges,
        "covered": covered,
        "beside": purchase.beside,
        "library": entry["library"],
        "commitment": commitment,
    }


def _require_opened(books: Books, entry: Entry, key: str) -> None:
    """Opened noise is opened, settled once, and only then released to more readers."""
    opened, settled = key in books.first, key in books.settled
    if entry["kind"] == "open":
        require(not settled, "it opens noise that was settled")
    elif entry["kind"] == "outcome":
        require(opened and not settled, "it settles noise that was not opened, or was settled before")
    else:
        require(settled, "it releases noise that was not settled")


def _purchase(books: Books, entry: Entry) -> Purchase:
    """The draw that the signed job, contract and manifests allow for this entry's statistic."""
    request = signed_request(books, entry)
    job, spec = request.job, entry["specification"]
    require(set(spec["datasets"]) == set(job.datasets()), "its data sets are not the job's")
    require(books.jobs.setdefault(request.digest, spec["datasets"]) == spec["datasets"], "its job was for other data")
    submitted = {name: submission(books, name, manifest) for name, manifest in spec["datasets"].items()}
    allowed = _allowed(books.agreement, request, submitted, _begun(entry["time"]))
    for purchase in allowed.purchases:
        if purchase.specification.statistic == spec["statistic"]:
            return purchase
    raise LedgerBroken(None, "its statistic is not one of the job's")


def _begun(hour: str) -> date:
    """The day by which a job is judged: one that begins before midnight may draw its noise after it."""
    return (datetime.strptime(hour, "%Y-%m-%dT%H:00Z").replace(tzinfo=UTC) - timedelta(hours=1)).date()


def _allowed(agreement: Agreement, request: Request, submitted: Mapping[str, Submitted], day: date) -> Allowed:
    try:
        return check(agreement, request, submitted, shape_of, day)
    except Refused as refused:
        raise LedgerBroken(None, f"the contract does not allow it: {refused.clause}: {refused.rule}") from None


def _charges(books: Books, purchase: Purchase) -> list[Json]:
    """What is charged now: whoever has not paid for this draw yet. Moves the balances on."""
    paid = books.paid.setdefault(purchase.key, set())
    due: list[Json] = []
    for charge in purchase.dues:
        if charge.account not in paid:
            require(charge.account in books.caps, "it charges an account that has no cap")
            before = books.spent[charge.account]
            due.append({"account": charge.account, "dataset": charge.dataset, "rho": charge.rho, "before": before})
            books.spent[charge.account] += charge.rho
            require(books.spent[charge.account] <= books.caps[charge.account].rho, "the account is overspent")
            paid.add(charge.account)
    return due


def _covered(books: Books, purchase: Purchase) -> list[Json]:
    """The charge that pays for this release as well, made for the other part of the people, for the same readers."""
    other = books.first.get(purchase.beside)
    require(other is not None, "what should have paid for it is not here")
    assert other is not None  # noqa: S101 - said again for the type checker
    require(purchase.beside not in books.beside, "one charge covers more than one pair of parts")
    require(canonical(other["recipients"]) == canonical(list(purchase.context.recipients)), "its readers did not pay")
    books.beside.add(purchase.beside)
    return [{name: charge[name] for name in ("account", "dataset", "rho")} for charge in other["charges"]]
