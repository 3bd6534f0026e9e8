"""What is wrong with a contract between its keys: names of nobody, keys held twice, promises that cannot be kept.

Works on unparsed TOML of any shape, so that these come together with the mistakes of shape; what has the wrong type
or is missing is passed over here, since that was said already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import combinations

from pyrage import RecipientError, x25519

from ..dp.accounting import rho_within
from ..dp.budget import Budget, Delta, Epsilon
from ..dp.note import BadNote, parse_vkey
from ..matching.rules import HOUSEHOLD
from ..matching.schemes import UnknownScheme, known, load
from ..matching.schemes.phones import is_region
from .document import Problem, place
from .sign import BadKey, parse_public_key

RESERVED = ("k", "k2", "token")
"""Columns that every bundle has."""
MOST_BOUND = 1e15
MOST_RESPONSES = 0.99
"""Of an ε, how much labels by randomised response may have: noise has the rest, and its cap is computed from that."""

Raw = Mapping[str, object]


def mistakes(raw: Raw, today: date | None = None) -> list[Problem]:
    """Every mistake that shows only between keys, in the order of the file."""
    found: list[Problem] = []
    for look in (_continues, _room, _parties, _references, _cosigners, _match, _owners, _datasets, _allowances):
        found.extend(look(raw))
    return [*_expiry(raw, today), *found]


# -- reading what may have any shape ---------------------------------------------------------------------------------


def _table(raw: object, name: str) -> Raw:
    value = raw.get(name) if isinstance(raw, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _tables(raw: object, name: str) -> dict[str, Raw]:
    return {key: value for key, value in _table(raw, name).items() if isinstance(value, Mapping)}


def _texts(raw: object, name: str) -> list[str]:
    value = raw.get(name) if isinstance(raw, Mapping) else None
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(raw: object, name: str) -> str | None:
    value = raw.get(name) if isinstance(raw, Mapping) else None
    return value if isinstance(value, str) else None


def _allow(raw: Raw) -> list[tuple[str, Raw]]:
    value = _table(raw, "rules").get("allow")
    items = value if isinstance(value, list) else []
    return [(place("rules.allow", at), item) for at, item in enumerate(items) if isinstance(item, Mapping)]


def _data_owners(raw: Raw) -> set[str]:
    return {owner for rule in _tables(raw, "dataset").values() if (owner := _text(rule, "owner")) is not None}


# -- what is looked for ----------------------------------------------------------------------------------------------


def _expiry(raw: Raw, today: date | None) -> Iterator[Problem]:
    expires = raw.get("expires")
    if today and isinstance(expires, date) and not isinstance(expires, datetime) and expires < today:
        yield Problem("expires", "this day has passed: nothing would run", "agree on a later day")


def _continues(raw: Raw) -> Iterator[Problem]:
    if len(set(before := _texts(raw, "continues"))) < len(before):
        yield Problem("continues", "a contract stands twice", "name each once")
    for name, rule in _tables(raw, "dataset").items():
        budget = _table(rule, "budget")
        epsilon, together = budget.get("epsilon"), budget.get("together")
        if isinstance(epsilon, float | int) and isinstance(together, float | int) and together < epsilon:
            where = f"dataset.{name}.budget.together"
            yield Problem(where, "it is less than this budget alone", "state what all contracts allow together")


def _room(raw: Raw) -> Iterator[Problem]:
    room = _table(raw, "room")
    yield from _seal_problems("room.seal", room)
    vkey = _text(room, "checkpoint")
    if vkey is None:
        return
    try:
        named = parse_vkey(vkey).name
    except BadNote:
        yield Problem("room.checkpoint", "it is not a note verifier key", "copy it from NAME.room.toml")
        return
    if named != room.get("name"):
        yield Problem("room.checkpoint", "its name is not room.name", "copy both from NAME.room.toml")


def _parties(raw: Raw) -> Iterator[Problem]:
    """Keys that are none, and keys that stand for two: whoever holds such a key is both."""
    holders: dict[str, str] = {}
    if seal := _text(_table(raw, "room"), "seal"):
        holders[seal] = "the room"
    for name, party in _tables(raw, "party").items():
        where = place("party", name)
        yield from _seal_problems(f"{where}.seal", party)
        yield from _sign_problems(f"{where}.sign", party)
        for key, value in (("sign", _public(party)), ("seal", _text(party, "seal"))):
            if value and holders.setdefault(value, name) != name:
                who = place(holders[value])
                yield Problem(f"{where}.{key}", f"it is the key of {who} too", "every party makes keys of its own")


def _public(party: Raw) -> str | None:
    try:
        return parse_public_key(_text(party, "sign") or "")
    except BadKey:
        return None


def _sign_problems(where: str, party: Raw) -> Iterator[Problem]:
    if _text(party, "sign") is not None and _public(party) is None:
        yield Problem(where, "it is not an Ed25519 SSH public key", "copy it from NAME.party.toml")


def _seal_problems(where: str, holder: Raw) -> Iterator[Problem]:
    value = _text(holder, "seal")
    try:
        same = value is None or str(x25519.Recipient.from_str(value)) == value
    except RecipientError:
        same = False
    if not same:
        yield Problem(where, "it is not an age recipient", "copy it from the card: it begins with age1")


def _references(raw: Raw) -> Iterator[Problem]:
    parties = _table(raw, "party")
    for where, name in _named(raw):
        if name not in parties:
            yield Problem(where, "no party has this name", "use a name under [party]")


def _named(raw: Raw) -> Iterator[tuple[str, str]]:
    room = _table(raw, "room")
    if (operator := _text(room, "operator")) is not None:
        yield "room.operator", operator
    yield from (("room.cosign.by", name) for name in _texts(room.get("cosign"), "by"))
    for name, rule in _tables(raw, "dataset").items():
        if (owner := _text(rule, "owner")) is not None:
            yield place("dataset", name, "owner"), owner
    for where, item in _allow(raw):
        yield from ((f"{where}.{key}", name) for key in ("ask", "recipients") for name in _texts(item, key))


def _cosigners(raw: Raw) -> Iterator[Problem]:
    room = _table(raw, "room")
    cosign = _table(room, "cosign")
    by, need = _texts(cosign, "by"), cosign.get("need")
    if _repeats(by):
        yield Problem("room.cosign.by", "a name stands twice", "name each once")
    if _text(room, "operator") in by:
        yield Problem("room.cosign.by", "the operator cannot witness its own ledger", "name other parties")
    if by and isinstance(need, int) and need > len(set(by)):
        yield Problem("room.cosign.need", "it is more than there are names in by", "lower it, or name more parties")


def _match(raw: Raw) -> Iterator[Problem]:
    match = _table(raw, "match")
    kinds, schemes = _texts(match, "keys"), _table(match, "scheme")
    for kind in schemes:
        if kind not in kinds:
            yield Problem(place("match.scheme", kind), "match.keys does not name it", "remove it, or add it there")
    for kind in kinds:
        where = place("match.scheme", kind)
        if kind not in schemes:
            yield Problem(where, "this key has no scheme", 'name one, such as "uid2@1"')
        elif isinstance(schemes[kind], str) and not _is_scheme(str(schemes[kind]), kind):
            yield Problem(where, "no such scheme for this kind", f"use one of {', '.join(known())}")
    yield from _window_problems(match, kinds)
    yield from _rank_problems(kinds)
    for name, rule in _tables(raw, "dataset").items():
        yield from _identifier_problems(place("dataset", name, "identifiers"), _table(rule, "identifiers"), kinds)
        yield from _hash_problems(place("dataset", name, "identifiers"), _table(rule, "identifiers"), schemes)
        yield from _country_problems(place("dataset", name, "country"), rule)
    yield from _nothing_shared(raw)


def _rank_problems(kinds: list[str]) -> Iterator[Problem]:
    """Best first: an identifier of one person says more than one of its household."""
    if _repeats(kinds):
        yield Problem("match.keys", "a key stands twice", "name each once")
    shared = [kind in HOUSEHOLD for kind in kinds]
    if shared != sorted(shared):
        households = " and ".join(kind for kind in kinds if kind in HOUSEHOLD)
        yield Problem("match.keys", f"{households} is a household's, not one person's", "name it last")


def _nothing_shared(raw: Raw) -> Iterator[Problem]:
    """Two lists that hold no key in common would match nobody, which would look like any other result."""
    for (name, rule), (other, its_rule) in combinations(_tables(raw, "dataset").items(), 2):
        kinds, others = (set(_table(each, "identifiers")) for each in (rule, its_rule))
        if _text(rule, "owner") != _text(its_rule, "owner") and kinds and others and not kinds & others:
            said = f"{place(name)} and {place(other)} carry no key in common"
            yield Problem("dataset", said, "let both carry one of match.keys")


def _window_problems(match: Raw, kinds: list[str]) -> Iterator[Problem]:
    if "ip" in kinds and "window" not in match:
        rule = "an IP address is a household's for a while only"
        yield Problem("match.window", rule, "say for how many hours, such as window = 24")
    if "window" in match and "ip" not in kinds:
        yield Problem("match.window", "people are not matched on IP addresses", "remove it")


def _hash_problems(where: str, identifiers: Raw, schemes: Raw) -> Iterator[Problem]:
    """A scheme hashes with one hash: a column of another matches nobody."""
    for kind, arrives in identifiers.items():
        scheme = str(schemes.get(kind))
        if arrives not in ("sha256", "sha1") or not _is_scheme(scheme, kind):
            continue
        if arrives != (makes := load(scheme).rule(kind).hash):
            rule = f"{scheme} hashes {kind} with {makes}"
            yield Problem(place(where, kind), rule, f'say "{makes}", or "raw" where the file holds raw values')


def _country_problems(where: str, rule: Raw) -> Iterator[Problem]:
    country, arrives = rule.get("country"), _table(rule, "identifiers").get("phone")
    if arrives == "raw" and country is None:
        missing = "a phone number may be written without its country code"
        yield Problem(
            where, missing, 'say whose they are, such as country = "US", or "none" where each carries its own'
        )
    if isinstance(country, str) and country != "none" and not is_region(country):
        yield Problem(where, "no numbers of such a country are known", "use its two letters of ISO 3166")


def _is_scheme(name: str, kind: str) -> bool:
    try:
        return kind in load(name).rules
    except UnknownScheme:
        return False


def _identifier_problems(where: str, identifiers: Raw, kinds: list[str]) -> Iterator[Problem]:
    if kinds and not set(kinds) & set(identifiers):
        named = " or ".join(place(kind) for kind in kinds)
        yield Problem(where, f"it does not carry {named}", f'add identifiers.{place(kinds[0])} = "raw"')
    for kind in identifiers:
        if kinds and kind not in kinds:
            yield Problem(place(where, kind), "people are not matched on it", "remove it, or name it in match.keys")


def _owners(raw: Raw) -> Iterator[Problem]:
    owners, datasets = _data_owners(raw), _tables(raw, "dataset")
    for owner in sorted(owners):
        budgets = [_table(rule, "budget") for rule in datasets.values() if _text(rule, "owner") == owner]
        for kept in ("selection", "responses"):
            if len({str(budget.get(kept)) for budget in budgets}) > 1:
                said = {"selection": "selections"}.get(kept, kept)
                rule = f"the data sets of {owner} share one account, and name different {said}"
                yield Problem("dataset", rule, f"write the same budget.{kept} for each, or for none")
    if datasets and len(owners) == 1 and all("owner" in rule for rule in datasets.values()):
        yield Problem("dataset", "all data are of one party", "a match needs data sets of two parties")


def _datasets(raw: Raw) -> Iterator[Problem]:
    for name, rule in _tables(raw, "dataset").items():
        where = place("dataset", name)
        yield from _budget_problems(f"{where}.budget", _table(rule, "budget"))
        delta, fewest = _table(rule, "budget").get("delta"), _smallest(raw, rule)
        if isinstance(delta, float) and 1 / fewest < delta < 1:
            remedy = f"agree on at most 1 / (10 n), such as {1 / (10 * fewest):.0e}"
            yield Problem(
                f"{where}.budget.delta", f"it is above 1/n for the {fewest} rows that the rules allow", remedy
            )
        yield from _event_problems(where, rule)
        kept = {_text(rule, "id"), *_table(rule, "identifiers")}
        for column, declared in _tables(rule, "columns").items():
            at = place(where, "columns", column)
            if column in RESERVED:
                yield Problem(at, "every bundle has a column of this name", "rename it in the file and here")
            if column in kept:
                yield Problem(at, "IDs and identifiers stay at home: they are no columns", "remove it")
            yield from _column_problems(at, declared)


def _event_problems(where: str, rule: Raw) -> Iterator[Problem]:
    """What a data set of events needs, and what it has no use for."""
    events = rule.get("rows") == "events"
    if events and "at_most" not in rule:
        yield Problem(f"{where}.at_most", "nothing bounds how many rows one person has", "such as at_most = 50")
    if events and "id" in rule:
        yield Problem(f"{where}.id", "events hand out no audience, so they need no IDs", "remove it")
    if events and len(_table(rule, "identifiers")) > 1:
        yield Problem(f"{where}.identifiers", "a person in events is known by one identifier", "name the best one only")
    if not events and "at_most" in rule:
        yield Problem(f"{where}.at_most", "among people everybody stands once", 'remove it, or write rows = "events"')
    kinds = [_text(column, "kind") for column in _tables(rule, "columns").values()]
    if kinds.count("household") > 1:
        yield Problem(f"{where}.columns", "two columns name the household", "declare one of them")


def _smallest(raw: Raw, rule: Raw) -> int:
    """How few rows a data set may have for any job to be allowed."""
    name = "smallest_seed" if _text(rule, "protects") == "membership" else "smallest_audience"
    fewest = _table(raw, "rules").get(name)
    return fewest if isinstance(fewest, int) and fewest > 0 else 1


def _budget_problems(where: str, budget: Raw) -> Iterator[Problem]:
    epsilon, delta = budget.get("epsilon"), budget.get("delta")
    if not isinstance(epsilon, int | float) or not isinstance(delta, float):
        return
    selection = budget.get("selection")
    if isinstance(selection, float) and selection > delta / 2:
        yield Problem(
            f"{where}.selection", "it is more than half of delta, and noise needs the rest", "such as a tenth"
        )
    responses = budget.get("responses", 0.0)  # 3 is taken for 3.0
    if isinstance(responses, bool) or not isinstance(responses, int | float):
        return
    if not (0 < epsilon <= 64 and 1e-100 <= delta < 1 and 0 <= responses <= 64):
        return
    if responses > epsilon * MOST_RESPONSES:
        rule = "it leaves noise less than a hundredth of epsilon"
        yield Problem(f"{where}.responses", rule, f"at most {MOST_RESPONSES:g} of epsilon")
    elif rho_within(Budget(Epsilon(epsilon - responses), Delta(delta))) < 1:
        yield Problem(where, "it is too small for any release", "raise epsilon")


def _column_problems(where: str, column: Raw) -> Iterator[Problem]:
    bounds, values, at_most = column.get("bounds"), column.get("values"), column.get("at_most")
    if isinstance(bounds, list) and len(bounds) == 2 and not _rising(*bounds):
        such, far = "[18, 99]", f", within ±{MOST_BOUND:g}"
        if column.get("kind") == "date":
            such, far = "[2027-01-01, 2027-03-31]", ""
        yield Problem(f"{where}.bounds", f"they must be two finite values, the smaller first{far}", f"such as {such}")
    if not isinstance(values, list):
        return
    if _repeats(_texts(column, "values")):
        yield Problem(f"{where}.values", "a value stands twice", "name each once")
    if isinstance(at_most, int) and at_most > len(values):
        yield Problem(f"{where}.at_most", "it is more than there are values", "lower it")
    if column.get("kind") == "set" and any("|" in value for value in _texts(column, "values")):
        yield Problem(f"{where}.values", "a value holds `|`, which separates values", "rename it")


def _rising(low: object, high: object) -> bool:
    if isinstance(low, date) and isinstance(high, date) and type(low) is type(high):
        return low < high
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return True  # its type is wrong, which is said elsewhere
    return -MOST_BOUND <= low < high <= MOST_BOUND


def _allowances(raw: Raw) -> Iterator[Problem]:
    for where, item in _allow(raw):
        for key in ("ask", "recipients"):
            if _repeats(_texts(item, key)):
                yield Problem(f"{where}.{key}", "a name stands twice", "name each once")
        if item.get("job") in ("lookalike", "completion"):
            yield from _exact_problems(where, raw, str(item["job"]), _texts(item, "recipients"))
        if item.get("job") == "lookalike":
            yield from _seed_problems(where, raw, _texts(item, "recipients"))
        if item.get("job") == "completion":
            yield from _target_problems(where, raw, _texts(item, "recipients"))


def _exact_problems(where: str, raw: Raw, kind: str, recipients: list[str]) -> Iterator[Problem]:
    """What a lookalike or a completion gives rests on exact features of people: only their owner may read it."""
    owners, operator = _data_owners(raw), _text(_table(raw, "room"), "operator")
    people = [rule for rule in _tables(raw, "dataset").values() if rule.get("rows") != "events"]
    featured = {_text(rule, "owner") for rule in people if _table(rule, "columns")}
    if len(set(recipients)) > 1 or not set(recipients) <= (featured or owners):
        rule = f"a {kind} may be read only by the one party whose people's columns it is made from"
        others = '; for other readers allow `job = "model"`, which hands out no people' if kind == "lookalike" else ""
        yield Problem(f"{where}.recipients", rule, f"name that party only{others}")
    elif recipients and operator in owners and operator not in recipients:
        rule = f"{operator} operates the room and owns data, so it would read this {kind} too"
        yield Problem(f"{where}.recipients", rule, "let the reader, or a party without data, operate the room")


def _seed_problems(where: str, raw: Raw, recipients: list[str]) -> Iterator[Problem]:
    """A lookalike keeps secret who is on the seed list, and no more: it needs a list that asks no more."""
    people = {name: rule for name, rule in _tables(raw, "dataset").items() if rule.get("rows") != "events"}
    seeds = {name: rule for name, rule in people.items() if _text(rule, "owner") not in (None, *recipients)}
    if seeds and all(_text(rule, "protects") == "person" for rule in seeds.values()):
        asks = f"{' and '.join(place(name) for name in seeds)} ask{'s' if len(seeds) == 1 else ''}"
        rule = f"a lookalike protects who is on the seed list, and {asks} that all about a person be protected"
        yield Problem(f"{where}.job", rule, 'allow `job = "model"` in its place: it protects all of that')


def _target_problems(where: str, raw: Raw, recipients: list[str]) -> Iterator[Problem]:
    """A completion tells its reader attributes that another owner knows."""
    others = [rule for rule in _tables(raw, "dataset").values() if _text(rule, "owner") not in (None, *recipients)]
    people = [rule for rule in others if rule.get("rows") != "events"]
    columns = [column for rule in people for column in _tables(rule, "columns").values()]
    if others and not any(_may_be_target(column) for column in columns):
        rule = "no people of another owner have a category or ordinal of two values, a flag or a set to complete"
        yield Problem(f"{where}.job", rule, "declare such a column for them, or leave this rule out")


def _may_be_target(column: Raw) -> bool:
    """As `policies.jobs.completion` takes targets; so may what has the wrong shape, which is said elsewhere."""
    kind, values = column.get("kind"), column.get("values")
    one = kind in ("category", "ordinal") and isinstance(values, list) and len(values) < 2
    return not one and kind not in ("number", "date", "household", "text")


def _repeats(names: list[str]) -> bool:
    return any(count > 1 for count in Counter(names).values())
