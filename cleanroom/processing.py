"""The ledger as a record of processing that an officer can file: one row an entry, the columns of GDPR Article 30.

What the ledger does not know is not invented: contact details of the parties are theirs to add.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..dp.accounting import epsilon_of
from ..dp.budget import DELTA_UNIT, EPSILON_UNIT, Rho
from ..policies.accounts import account, binding, counts_delta, counts_epsilon
from ..policies.contract import Contract
from .cells import harmless
from .private import Words, words_of

COLUMNS = (
    "entry",
    "hour_utc",
    "activity",
    "controllers",
    "processor",
    "purpose",
    "categories_of_data_subjects",
    "categories_of_personal_data",
    "asked_by",
    "recipients",
    "third_country_transfers",
    "erasure_by",
    "safeguards",
    "words_privatised_before",
    "signed_request_sha256",
    "contract_sha256",
)
ACTIVITIES = {
    "matched-count@1": "count of records in both data sets, with noise",
    "matched-by-tier@1": "counts of records in both data sets by the key they match by, with noise",
    "table@1": "counts and sums by the keys that a signed job declares, with noise",
    "keys@1": "counts and sums by values that nobody listed, of those that many people share, with noise",
    "seed-moments@5": "sums of features over the seed, with noise (lookalike)",
    "seed-groups@1": "counts of the seed by groups of like people, with noise (lookalike)",
    "person-fit@2": "sums over people, one step after another, with noise (model)",
    "person-scores@1": "histograms of scores over seeds and over others, with noise (model)",
    "attribute-moments@1": "sums of features over people by attribute, with noise (completion)",
    "answer-counts@1": "counts of right and wrong guesses, with noise (completion)",
    "responses@1": "a label of each person by randomised response: on the seed or not (lookalike)",
    "score-histogram@1": "histogram of scores over the seed, with noise (lookalike)",
    "score-strata@1": "histogram of scores over the seed by how much is known, with noise (lookalike)",
}


def processing_csv(entries: tuple[bytes, ...], contract: Contract, manifests: Mapping[str, bytes]) -> str:
    """The record as CSV, oldest first. manifests: what the copy of the log holds of them, by file name."""
    words = words_of(entries, manifests)
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for data in entries:
        entry = json.loads(data)
        if entry["kind"] in ("release", "open", "outcome", "denial"):
            writer.writerow({name: harmless(text) for name, text in _row(entry, contract, words).items()})
    return out.getvalue()


def _row(entry: Mapping[str, Any], contract: Contract, words: Sequence[Words]) -> dict[str, str]:
    spec = entry.get("specification")
    names = sorted(spec["datasets"]) if spec else []
    return {
        "entry": str(entry["seq"]),
        "hour_utc": entry["time"],
        "activity": ACTIVITIES.get(spec["statistic"], spec["statistic"]) if spec else f"refused: {entry['clause']}",
        "controllers": ", ".join(sorted({contract.dataset[name].owner for name in names})),
        "processor": contract.room.operator,
        "purpose": entry["purpose"],
        "categories_of_data_subjects": ", ".join(f"{name} of {contract.dataset[name].owner}" for name in names),
        "categories_of_personal_data": _categories(spec, contract),
        "asked_by": entry["asker"],
        "recipients": ", ".join(entry["recipients"]) if spec else "nobody",
        "third_country_transfers": "not recorded here",
        "erasure_by": contract.expires.isoformat(),
        "safeguards": _safeguards(entry, contract) if spec else "nothing was released",
        "words_privatised_before": "; ".join(each.in_a_line() for each in words if entry["seq"] in each.entries),
        "signed_request_sha256": entry["job"],
        "contract_sha256": entry["contract"],
    }


def _categories(spec: Mapping[str, Any] | None, contract: Contract) -> str:
    if spec is None:
        return ""
    columns = [name.rpartition(".")[2] for name in spec["columns"]]
    return ", ".join([*(f"keyed hash of {key}" for key in contract.match.keys), *columns])


def _safeguards(entry: Mapping[str, Any], contract: Contract) -> str:
    """What each charge was worth, at the δ of its owner's account; and what protects the rest."""
    said = []
    for charge in entry["charges"]:
        owner = contract.dataset[charge["dataset"]].owner
        if counts_delta(charge["account"]):
            said.append(f"{charge['dataset']}: delta {charge['rho'] / DELTA_UNIT:g} for values that nobody listed")
            continue
        if counts_epsilon(charge["account"]):
            labels = f"{charge['dataset']}: epsilon {charge['rho'] / EPSILON_UNIT:g}, without a delta"
            said.append(f"{labels}, of {_kept(contract, owner):g} for labels by randomised response")
            continue
        allowed = binding(contract, owner).budget()
        epsilon = epsilon_of(Rho(charge["rho"]), allowed.delta)
        worth = f"{charge['dataset']}: epsilon {epsilon:.4g} at delta {allowed.delta:g}"
        said.append(f"{worth} of {allowed.epsilon:g} for {account(owner)}")
    for cover in entry["covered"]:
        said.append(f"{cover['dataset']}: covered by the charge of the other part of the people")
    return "; ".join([*said, "sealed to its recipients"])


def _kept(contract: Contract, owner: str) -> float:
    """What an owner keeps for labels: the least that any of its data sets says."""
    return min(rule.budget.responses or 0.0 for rule in contract.dataset.values() if rule.owner == owner)
