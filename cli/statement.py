"""What a ledger says (`cleanroom.statement`), as values for programs and as tables for people: what was spent, on what
and why. Nothing of it was checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .room import largest
from .show import Bars, Part, Table
from .words import clause_said

if TYPE_CHECKING:
    from ..cleanroom.log import Log
    from ..cleanroom.private import Words
    from ..cleanroom.statement import Statement


def as_values(said: Statement, private: Sequence[Words]) -> dict[str, object]:
    """For `--json`. private: what parties privatised word by word."""
    return {
        "accounts": [asdict(line) for line in said.accounts],
        "selections": [asdict(line) for line in said.selections],
        "responses": [asdict(line) for line in said.responses],
        "entries": list(said.entries),
        "threat_models": {str(entry["seq"]): model for entry in said.entries if (model := _threat(entry))},
        "words": [each.as_json() for each in private],
    }


def parts(said: Statement, private: Sequence[Words], log: Log) -> list[Part]:
    """The same for people. log: where caps, and what each job asked, stand."""
    from ..cleanroom.statement import caps_of_log

    caps, asked = caps_of_log(log.entries), _asked(log.requests)
    columns = ("#", "hour (UTC)", "what", "asked by", "read by", "charged, of the cap")
    return [
        Table(columns, [_row(entry, caps, asked) for entry in said.entries], right=(0,), whole=(0, 1)),
        _accounts(said),
        *_selections(said),
        *_responses(said),
        Bars("left of each cap, day by day", _burn_down(said)),
        "ε does not add up: two jobs of ε 1 spend less than ε 2. Shares of the cap do.",
        *_words(private),
    ]


# -- an entry --------------------------------------------------------------------------------------------------------


def _asked(requests: Mapping[str, bytes]) -> dict[str, str]:
    """What each signed job asks, by its digest; nothing where its file cannot be read."""
    found = {}
    for name, data in requests.items():
        if name.endswith(".toml") and (kind := re.search(rb'^kind = "([a-z]{3,20})"', data, re.MULTILINE)):
            found[name.removesuffix(".toml")] = kind[1].decode()
    return found


STATISTICS = {
    "matched-count@1": "overlap count",
    "responses@1": "labels by randomised response",
    "matched-by-tier@1": "overlap by key",
    "table@1": "table of numbers",
    "keys@1": "numbers of keys that nobody listed",
    "seed-moments@5": "lookalike fit",
    "score-histogram@1": "lookalike evaluation",
    "score-strata@1": "lookalike evaluation by known columns",
    "attribute-moments@1": "completion",
    "answer-counts@1": "completion evaluation",
    "seed-groups@1": "comparison of learners",
    "person-fit@2": "model fit",
    "person-scores@1": "model evaluation",
}


def _row(entry: dict[str, Any], caps: Mapping[str, int], asked: Mapping[str, str]) -> tuple[str, ...]:
    head = (str(entry["seq"]), entry["time"].replace("T", " ").removesuffix(":00Z") + "h")
    if entry["kind"] == "cap" and entry["account"].endswith("/selection"):
        what = f"cap of {entry['owner']}, δ {float(entry['delta']):g} for keys that nobody listed"
        return (*head, what, "", "", "nothing")
    if entry["kind"] == "cap" and entry["account"].endswith("/responses"):
        what = f"cap of {entry['owner']}, ε {float(entry['epsilon']):g} for labels by randomised response"
        return (*head, what, "", "", "nothing")
    if entry["kind"] == "cap":
        return (*head, f"cap of {entry['owner']}, ε {float(entry['epsilon']):g}", "", "", "nothing")
    if entry["kind"] == "closed":
        return (*head, "closed: goes on under another contract", "", "", "nothing")
    if entry["kind"] == "carry":
        what = "lost with a disk" if entry["statement"] else "spent under an earlier contract"
        charges = [f"{item['account']} {item['rho'] / caps[item['account']]:.1%}" for item in entry["charges"]]
        return (*head, what, "", "", ", ".join(charges) or "nothing")
    if entry["kind"] == "denial":
        return (*head, f"refused: {clause_said(entry['clause'])}", entry["asker"], "", "nothing")
    statistic = entry["specification"]["statistic"]
    charged = [_charged(item, caps) for item in entry["charges"]]
    covered = ", ".join(item["dataset"] for item in entry["covered"])
    what, readers = STATISTICS.get(statistic, statistic), ", ".join(entry["recipients"])
    if statistic in ("table@1", "keys@1") and entry["job"] in asked:
        what = f"{asked[entry['job']]} of {', '.join(entry['specification']['columns']) or 'people'}"
    what += f" ({model})" if (model := _threat(entry)) else ""
    what += {"open": ", noise paid ahead", "outcome": ", settled"}.get(entry["kind"], "")
    return (
        *head,
        what,
        entry["asker"],
        readers,
        ", ".join(charged) or (f"covered: {covered}" if covered else "nothing"),
    )


def _threat(entry: Mapping[str, Any]) -> str | None:
    """The threat model's name, where an entry is of a job that learns from people."""
    from ..policies.threat import threat_model_of

    spec = entry.get("specification")
    return threat_model_of(spec["statistic"], spec.get("columns", ())) if spec else None


def _charged(item: Mapping[str, Any], caps: Mapping[str, int]) -> str:
    """One charge: whose, and which part of its cap."""
    unit = item["account"].rpartition("/")[2]
    of = {"selection": " of δ", "responses": " of ε for labels"}.get(unit, "")
    return f"{item['dataset']} {item['rho'] / caps[item['account']]:.1%}{of}"


# -- accounts --------------------------------------------------------------------------------------------------------


def _accounts(said: Statement) -> Table:
    rows = [
        (
            line.account,
            f"{line.spent:.3f} of {line.cap:g}",
            f"{line.share:.1%}",
            f"{line.delta:g}",
            largest(line),
        )
        for line in said.accounts
    ]
    return Table(
        ("account", "ε spent", "of the cap", "δ", "largest job that fits, ε"), rows, right=(1, 2, 3, 4), whole=(0, 1)
    )


def _selections(said: Statement) -> list[Part]:
    """What was spent on showing keys that nobody listed; nothing where no contract keeps δ for it."""
    rows = [
        (line.account, f"{line.spent:g} of {line.cap:g}", f"{line.spent / line.cap:.1%}") for line in said.selections
    ]
    return [Table(("account", "δ spent", "of the cap"), rows, right=(1, 2))] if rows else []


def _responses(said: Statement) -> list[Part]:
    """What was spent on labels by randomised response; nothing where no contract keeps ε for them."""
    rows = [
        (line.account, f"{line.spent:g} of {line.cap:g}", f"{line.spent / line.cap:.1%}", f"{line.largest_job:g}")
        for line in said.responses
    ]
    header = ("account", "ε spent on labels", "of the cap", "largest job that fits, ε")
    return [Table(header, rows, right=(1, 2, 3))] if rows else []


def _burn_down(said: Statement) -> list[tuple[str, float, str]]:
    """The last days of each account; one that was never charged is whole."""
    bars = []
    for account in [line.account for lines in (said.accounts, said.selections, said.responses) for line in lines]:
        burns = [burn for burn in said.burns if burn.account == account][-10:]
        bars += [(f"{account} {burn.day}", burn.left, f"{burn.left:.1%}") for burn in burns]
        bars += [] if burns else [(account, 1.0, "100.0%")]
    return bars


# -- words -----------------------------------------------------------------------------------------------------------


def _words(private: Sequence[Words]) -> list[Part]:
    """Metric differential privacy has a table of its own, and is in no account."""
    if not private:
        return []
    from ..dp.text.certificate import rounded

    rows = [
        (
            f"{each.dataset}.{each.column.column}",
            each.as_json()["metric"].removesuffix(" distance"),
            each.column.certificate.vocabulary[:12],
            each.column.certificate.epsilon,
            "differs" if each.column.tokens is None else str(each.column.tokens),
            "no bound" if each.column.any_two_texts is None else rounded(each.column.any_two_texts),
            "none" if each.charged is None else f"#{each.charged}",
        )
        for each in private
    ]
    header = ("words", "metric", "vocabulary", "ε a unit", "words each", "any two people", "charged by")
    return [
        Table(header, rows, right=(3, 4, 5, 6), whole=(0, 1, 2), keys=1),
        "ε of words is their owners' own noise, by the metric; no account pays for it, and it is added to none",
    ]
