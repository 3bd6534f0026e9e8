"""Makes the golden vectors beside this file: python tests/vectors/ledger/make.py

Each is one JSON file, the same at every run:

    about     what happened, in a sentence
    contract  the officer's own contract and the signatures beside it, by file name
    terms     what that contract says, for a verifier that reads no TOML
    export    the copy of the log, by path; what is no plain text stands as "base64:..."
    seen      checkpoints the officer kept, by file name
    accept    the verdict
    entry     where it breaks, or null where it is the whole that does not fit
    rule      which rule is broken, in the words of the page and of Node; "" where any words will do
    beyond    verifiers that by design do not look at this: "page" is cleanroom/verifier/verify_ledger.py,
              "node" is docs/verify_ledger.mjs. `passbox ledger verify` looks at all of it.

Everything an operator could sign with the room's key is signed with it: only what was recomputed tells these apart.
"""

from __future__ import annotations

import copy
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from pen import Entry, Files, Pen, as_text, key_of  # noqa: E402

from passbox.dp.entry import Purchase  # noqa: E402
from passbox.dp.flip import Flip, least_flip, price_of  # noqa: E402
from passbox.dp.note import NoteKey, sign_checkpoint  # noqa: E402
from passbox.dp.scale import Scale  # noqa: E402
from passbox.dp.tree import leaf_hash, root_of  # noqa: E402

Vector = dict[str, Any]
CAP_ADVERTISER, CAP_PUBLISHER, OVERLAP, MOMENTS, HISTOGRAM = range(5)
"""Where the entries of `played` stand."""
EPSILON = "the noise is not what its job's ε gives"
COSIGN = '{ by = ["officer"], ahead = 0.25 }'


def vector(name: str, about: str, pen: Pen, export: Files | None = None, **more: Any) -> tuple[str, Vector]:
    made = {
        "about": about,
        "accept": True,
        "entry": None,
        "rule": "",
        "beyond": [],
        **{key: value for key, value in more.items() if key != "seen"},
        "terms": pen.terms(),
        "contract": as_text(pen.contract_files()),
        "seen": as_text({key: value.encode() for key, value in more.get("seen", {}).items()}),
        "export": as_text(pen.export() if export is None else export),
    }
    return name, made


def played(**room: Any) -> Pen:
    """Both caps, an overlap that both sides read, a lookalike pair."""
    pen = Pen(**room)
    pen.run("overlap", recipients=["publisher", "advertiser"], epsilon=0.25)
    pen.run("lookalike")
    return pen


def tiered(**room: Any) -> Pen:
    """Both caps, a count for each key that both sides read, one that the seed's owner reads, a lookalike pair."""
    pen = Pen(**room)
    pen.run("overlap", recipients=["publisher", "advertiser"], epsilon=0.25, tiers=True)
    pen.run("overlap", "advertiser", recipients=["advertiser"], epsilon=0.25)
    pen.run("lookalike")
    return pen


# -- honest logs -----------------------------------------------------------------------------------------------------


def honest() -> Iterator[tuple[str, Vector]]:
    yield vector("caps", "a new room: only caps", Pen())
    pen = Pen()
    pen.run("overlap", epsilon=0.5)
    yield vector("overlap", "a count for one side: the other pays", pen)
    yield vector("lookalike", "an overlap for both, and a lookalike whose histogram its moments cover", played())
    pen = Pen()
    pen.run("overlap", epsilon=0.5)
    before = pen.checkpoint()
    pen.time = "2027-01-10T13:00Z"
    pen.run("overlap", "advertiser", epsilon=0.5, recipients=["advertiser"])
    about = "the same count for a second reader: the same draw, paid by who is newly exposed"
    yield vector("shared-reader", about, pen, seen={"kept": before})
    pen = played()
    pen.run("overlap", epsilon=0.5, recipients=["publisher", "advertiser"])
    pen.run("overlap", epsilon=0.5, recipients=["officer"])
    about = "a reader to whom nobody is newly exposed: nothing is charged"
    yield vector("free-reader", about, pen)
    pen = Pen()
    pen.run("overlap", spelled=SPELLED)
    yield vector("job-spelled-otherwise", "a job that says the same in other letters", pen)
    pen = played()
    pen.deny("rules.allow", "lookalike", recipients=["advertiser"])
    pen.deny("budget", "overlap", epsilon=3.0, recipients=["publisher", "advertiser"])
    yield vector("denials", "jobs that were refused cost nothing", pen)
    yield vector("strata", "seeds held out by how much is known of a person, which the moments cover", by_known())
    yield vector("comparison", "learners compared on counts by group, which pay for themselves", compared())
    yield vector(
        "considered", "columns and pairs that are considered beside those used, in the same draw", considered()
    )
    yield vector("up-to-the-cap", "as many jobs of about ε 1 as fit into a cap of ε 3, and one that did not", full())
    yield vector("operator-reads", "the publisher operates: it reads what the advertiser asks for", operator_reads())
    for rule in ("own-best", "fall-through", "any"):
        about = f"people are matched on two keys, {rule}: a count for each key, and a lookalike of what a seed can move"
        yield vector(f"two-keys-{rule}", about, tiered(match=rule))
    pen = played(name="autumn", epsilon=5.5)
    yield vector("another-room", "the same parties in another room, with other caps", pen)
    pen = played()
    pen.time = "2027-01-13T09:00Z"
    pen.submit("buyers", 350, "2027-01-13T08:00:00Z")
    pen.run("overlap", recipients=["publisher", "advertiser"], epsilon=0.25, serial=2)
    yield vector("resubmitted", "a newer list: another statistic, paid anew", pen)
    yield vector("cosigned", "within the window ahead of a head that the officer cosigned", cosigned())
    about = "two of three witnesses make a head count: the newest that two have cosigned"
    yield vector("two-of-three", about, two_of_three())
    yield vector("table", "a table that a job words itself, over one data set", tabled())
    yield vector("keys", "pages that nobody listed, paid for in ρ and in δ", paged())
    yield vector("completion", "two attributes in one charge", completed())
    yield vector("model", "noise that is drawn ahead, what came of it, and histograms beside it", modelled())
    pen = paged()
    pen.run("aggregate", "advertiser", **PAGES | {"selection": 9e-10, "epsilon": 0.51})
    yield vector("keys-to-the-last", "all of the δ that is kept for keys", pen)
    earlier, pen = succession_of_keys()
    pen.carry(earlier)
    yield vector("keys-carried", "δ that was spent on keys under an earlier contract counts", pen)
    yield vector("labels", "labels by randomised response, paid for in ε alone", labelled())
    pen = labelled(match="any")
    yield vector("labels-of-two-keys", "one record moves two labels, which are wrong the more often", pen)
    pen = labelled()
    pen.run("lookalike", **LABELS | {"epsilon": 0.5}, columns=["age"])
    yield vector("labels-to-the-last", "all of the ε that is kept for labels", pen)
    pen = labelled()
    pen.run("lookalike")
    yield vector("labels-and-sums", "labels, and a lookalike of noisy sums, each from its own account", pen)
    earlier, pen = succession_of_labels()
    pen.carry(earlier)
    yield vector("labels-carried", "ε that was spent on labels under an earlier contract counts", pen)
    pen = Pen(epsilon=40.0, responses="30.0")
    pen.run("lookalike", **LABELS | {"epsilon": 25.0})
    yield vector("labels-hardly-wrong", "labels for more than the seldomest flip costs", pen)
    earlier, pen = succession_of_all()
    pen.carry(earlier)
    yield vector("all-carried", "one owner's ρ, δ and ε that were spent under an earlier contract", pen)
    yield vector("together", "budgets that state what the owners allow over all contracts", played(together="6.0"))
    earlier, _ = succession()
    yield vector("closed", "a log that ended: another contract goes on", earlier)
    pen = gone_on()
    pen.run("overlap", epsilon=0.25)
    about = "what was spent under an earlier contract counts, and does not run ahead of the witnesses"
    yield vector("carried", about, pen)
    pen = cosigned()
    pen.lose()
    pen.witness()
    pen.run("overlap", epsilon=0.4)
    yield vector("loss", "goes on after a lost disk, as owners and witness stated", pen)


SPELLED = """\
# epsilon = 9\r
\t'people'='visitors'   # a comment, with "quotes" and [ brackets
"seed" = "buyers"\r
"kin\\u0064" = \"""overlap\"""

recipients = [
  '''
publisher''', # epsilon = 9
]
epsilon = +5_0.0e-2
"""


def tabled() -> Pen:
    """A table of people by campaign, for the advertiser."""
    pen = Pen(events=True)
    pen.run("reach", "advertiser", recipients=["advertiser"], dataset="exposures", by=["campaign"], epsilon=0.5)
    return pen


PLANS: dict[str, Any] = {"people": "visitors", "attributes": "buyers", "targets": ["plan"]}


def completed(**change: Any) -> Pen:
    """Answers for the publisher's people, of what the advertiser knows. change: what its sums say instead."""
    pen = Pen(plans=True)
    sums, answers = pen.purchases(pen.request("completion", **PLANS))
    pen.release(sums, **change)
    if not change:
        pen.release(answers)
    return pen


def modelled() -> Pen:
    """A model that the officer reads: noise is opened, settled, and covers two histograms."""
    pen = Pen(plans=True)
    fit, scores = pen.purchases(pen.request("model", recipients=["officer"]))
    pen.release(fit, kind="open")
    pen.release(replace(fit, charges=()), kind="outcome")
    pen.release(scores)
    return pen


PAGES: dict[str, Any] = {"recipients": ["advertiser"], "dataset": "exposures", "by": ["page"], "epsilon": 0.5}


def paged(**room: Any) -> Pen:
    """People by page, for the advertiser."""
    pen = Pen(events=True, selection="1e-9", **room)
    pen.run("aggregate", "advertiser", **PAGES)
    return pen


def succession_of_keys() -> tuple[Pen, Pen]:
    """As `succession`, of a room that spent δ on keys."""
    earlier = paged()
    later = Pen(name="summer", events=True, selection="1e-9", continues=(earlier,))
    earlier.close(later)
    return earlier, later


LABELS: dict[str, Any] = {"labels": "randomised", "epsilon": 1.5}


def labelled(**room: Any) -> Pen:
    """Labels of the publisher's people, for the publisher."""
    pen = Pen(responses="2.0", **room)
    pen.run("lookalike", **LABELS)
    return pen


def succession_of_labels() -> tuple[Pen, Pen]:
    """As `succession`, of a room that spent ε on labels."""
    earlier = labelled()
    later = Pen(name="summer", responses="2.0", continues=(earlier,))
    earlier.close(later)
    return earlier, later


def succession_of_all() -> tuple[Pen, Pen]:
    """As `succession`, of a room in which one owner spent of all three accounts."""
    room: dict[str, Any] = {"events": True, "of_buyers": True, "selection": "1e-9", "responses": "2.0"}
    earlier = Pen(**room)
    earlier.run("aggregate", "publisher", **PAGES | {"recipients": ["publisher"]})
    earlier.run("lookalike", **LABELS)
    later = Pen(name="summer", continues=(earlier,), **room)
    earlier.close(later)
    return earlier, later


def full() -> Pen:
    pen = Pen()
    for step in range(20):
        pen.run("overlap", epsilon=round(1 - step / 1000, 3))
        if pen.spent("advertiser/record") > pen.terms()["caps"]["advertiser/record"]:  # type: ignore[index]
            pen.entries.pop()
            pen.deny("budget", "overlap", epsilon=round(1 - step / 1000, 3))
            return pen
    raise AssertionError("the cap was never reached")


def operator_reads() -> Pen:
    pen = Pen(operator="publisher")
    pen.run("overlap", "advertiser", recipients=["advertiser"], epsilon=0.5)
    return pen


def cosigned() -> Pen:
    pen = played(cosign=COSIGN)
    pen.witness()
    pen.run("overlap", epsilon=0.5)
    return pen


def two_of_three() -> Pen:
    """The advertiser has cosigned nothing, the officer more than the publisher."""
    pen = played(cosign='{ by = ["officer", "publisher", "advertiser"], ahead = 0.25, need = 2 }')
    pen.witness("publisher")
    pen.run("overlap", epsilon=0.5)
    pen.witness("officer")
    return pen


def succession(**room: Any) -> tuple[Pen, Pen]:
    """A room that was closed, and the next one of the same parties, with no entry but its caps."""
    earlier = played()
    earlier.run("overlap", recipients=["publisher", "advertiser"], epsilon=1.5)
    later = Pen(name="summer", cosign=COSIGN, continues=(earlier,), **room)
    earlier.close(later)
    return earlier, later


def gone_on(**room: Any) -> Pen:
    earlier, later = succession(**room)
    later.carry(earlier)
    return later


# -- what an operator could sign -------------------------------------------------------------------------------------


def forged() -> Iterator[tuple[str, Vector]]:
    yield from money()
    yield from history()
    yield from malformed()
    yield from signatures()
    yield from carries()
    yield from losses()
    yield from what_was_asked()
    yield from tables()
    yield from comparisons()
    yield from considerations()
    yield from relabelled()
    yield from stratified()
    yield from keys()
    yield from labels()
    yield from opened()


def changed(
    name: str, about: str, at: int, rule: str, change: Callable[[Entry], object], **more: Any
) -> tuple[str, Vector]:
    """The honest log with one entry changed, and signed anew."""
    pen = played(**more.pop("room", {}))
    change(pen.entries[at])
    return vector(name, about, pen, accept=False, entry=at, rule=rule, **more)


def money() -> Iterator[tuple[str, Vector]]:
    pen = full()
    pen.entries.pop()
    pen.run("overlap", epsilon=1.0005)
    at = len(pen.entries) - 1
    yield vector("overspend", "one job too many", pen, accept=False, entry=at, rule="the account is overspent")
    pen = played()
    twice = pen.copy().entries[OVERLAP]
    pen.entries.append(twice)
    pen.renumber()
    rule = "an account is charged twice"
    yield vector("double-charge", "the same draw charged again", pen, accept=False, entry=5, rule=rule)
    pen = played()
    pen.entries[OVERLAP]["charges"].append(dict(pen.entries[OVERLAP]["charges"][0]))
    pen.renumber()
    yield vector("doubled-charge", "one account twice in an entry", pen, accept=False, entry=OVERLAP, rule=rule)
    yield changed(
        "balance",
        "a running balance forgets",
        MOMENTS,
        "the running balance is broken",
        lambda entry: entry["charges"][0].update(before=0),
    )
    yield cheaper()
    yield changed(
        "nobody-pays",
        "a release without a charge",
        MOMENTS,
        "it is not paid for by all who must",
        lambda entry: entry.update(charges=[]),
    )
    pen = played()
    del pen.entries[OVERLAP]["charges"][0]
    pen.renumber()
    rule = "it is not paid for by all who must"
    yield vector("one-side-pays", "both read, one pays", pen, accept=False, entry=OVERLAP, rule=rule)
    pen = operator_reads()
    pen.entries[-1]["charges"] = [each for each in pen.entries[-1]["charges"] if each["account"] == "publisher/record"]
    about = "an operator who owns data reads along, and the other side is not charged"
    yield vector("operator-reads-free", about, pen, accept=False, entry=2, rule=rule)
    yield from caps()
    yield from draws()
    yield from several_keys()
    yield from covers()


def cheaper() -> tuple[str, Vector]:
    pen = played()
    pen.entries[OVERLAP]["charges"][0]["rho"] -= 1
    pen.renumber()
    rule = "it is not paid for by all who must"
    return vector("price", "a charge one unit too small", pen, accept=False, entry=OVERLAP, rule=rule)


def caps() -> Iterator[tuple[str, Vector]]:
    rule = "the contract gives another cap, or gave it before"
    about = "a cap a thousandth higher than the contract's"
    yield changed("cap-raised", about, CAP_PUBLISHER, rule, lambda entry: entry.update(rho=entry["rho"] * 1001 // 1000))
    yield changed(
        "cap-of-another-epsilon",
        "a cap that is right for an ε the contract does not give",
        CAP_PUBLISHER,
        rule,
        lambda entry: entry.update(epsilon="4.0", rho=played(epsilon=4.0).entries[CAP_PUBLISHER]["rho"]),
    )
    pen = played()
    pen.entries.append(dict(pen.entries[CAP_ADVERTISER]))
    pen.renumber()
    yield vector("cap-again", "a cap is set again: a refill", pen, accept=False, entry=5, rule=rule)
    for name, more in (("cap-one-more", 1), ("cap-one-less", -1)):
        pen = Pen()
        pen.entries[CAP_PUBLISHER]["rho"] += more
        about = "a cap that differs from the largest that keeps the contract's promise by one unit of 10^-12"
        yield vector(name, about, pen, accept=False, entry=CAP_PUBLISHER, rule=rule)
    pen = Pen()
    pen.entries.pop()
    yield vector("cap-missing", "an owner's cap was never set", pen, accept=False)
    pen = Pen()
    pen.entries.append({**pen.entries[0], "account": "officer/record", "owner": "officer", "seq": 2})
    yield vector("cap-of-nobody", "a cap for who owns no data", pen, accept=False, entry=2, rule=rule)


def draws() -> Iterator[tuple[str, Vector]]:
    for name, value in (("lattice", "2^-30"), ("scale_unit", "1/1"), ("mechanism", "none"), ("unit", "visit")):
        pen = Pen()
        pen.release(pen.purchases(pen.request("overlap", epsilon=0.5))[0], **{name: value})
        about = f"a specification whose {name} gives its noise another meaning"
        yield vector(f"other-{name.replace('_', '-')}", about, pen, accept=False, entry=2)
    pen = Pen()
    purchase = pen.purchases(pen.request("overlap", "officer", epsilon=0.5, recipients=["officer"]))[0]
    entry = pen.release(purchase)
    del entry["specification"]["datasets"]["buyers"], entry["charges"][1]
    pen.rekey(entry)
    about = "a count that does not say whose other records it looked at, so that they need not pay"
    yield vector("one-data-set", about, pen, accept=False, entry=2)
    yield changed(
        "key",
        "a key that is not the digest of its specification",
        OVERLAP,
        "its key is not that of its specification",
        lambda entry: entry.update(key="0" * 64),
    )
    pen = Pen()
    pen.run("overlap", epsilon=0.5)
    pen.run("overlap", "advertiser", epsilon=0.5, recipients=["advertiser"])[0]["commitment"] = "1" * 64
    rule = "the same statistic was drawn twice"
    yield vector("drawn-twice", "one key, two noises", pen, accept=False, entry=3, rule=rule)
    pen = Pen()
    purchase = pen.purchases(pen.request("overlap", epsilon=0.5))[0]
    pen.release(purchase, l2_squared=2**18)
    about = "a sensitivity four times too small makes a price four times too small"
    yield vector("sensitivity", about, pen, accept=False, entry=2, rule="its noise is none")
    pen = Pen()
    purchase = pen.purchases(pen.request("overlap", epsilon=0.5))[0]
    pen.release(purchase)["specification"]["scale"] = 1
    pen.rekey(pen.entries[-1])
    yield vector("no-noise", "noise narrower than the lattice", pen, accept=False, entry=2, rule="its noise is none")

    pen = Pen()
    entry = pen.run("overlap", epsilon=0.5)[0]
    entry["charges"][0] |= {"specification": {}}
    between = pen.leaves()[-1].partition(b'"specification":')[2].rpartition(b',"time":')[0]
    entry["key"] = hashlib.sha256(between).hexdigest()
    about = "another specification within a charge, so that the key may be that of anything"
    yield vector("hidden-specification", about, pen, accept=False, entry=2)


def tables() -> Iterator[tuple[str, Vector]]:
    """Statistics that a job words itself: how far one record moves them follows from it, and the product reads it. Node
    reads the ε of the job, and with it what they cost; both know below what no statistic of a name moves."""
    none = "its noise is none"
    pen = tabled()
    del pen.entries[2]["specification"]["query"]
    pen.rekey(pen.entries[2])
    yield vector(
        "table-without-words", "a table that does not say what is counted", pen, accept=False, entry=2, rule=none
    )
    pen = tabled()
    pen.entries[2]["charges"][0]["rho"] -= 1
    rule = "it is not paid for by all who must"
    yield vector("table-for-less", "a table charged one unit below its price", pen, accept=False, entry=2, rule=rule)
    more: dict[str, Any] = {"accept": False, "entry": 2}
    other = "its specification is the job's"
    for name, about, change, rule, beyond in (
        (
            "table-of-others",
            "a table of something else than the job asks",
            {"query": "0" * 64},
            other,
            ["page", "node"],
        ),
        ("table-moved-less", "a table that one record is said to move less", {"l2_squared": 2**26}, none, []),
        (
            "table-moved-a-little-less",
            "one step less, and charged for that",
            {"l2_squared": 2**28 - 1},
            EPSILON,
            ["page"],
        ),
        ("table-of-fewer-cells", "a table of fewer numbers than the job asks", {"cells": 1}, other, ["page", "node"]),
    ):
        pen = Pen(events=True)
        asked = {"recipients": ["advertiser"], "dataset": "exposures", "by": ["campaign"], "epsilon": 0.5}
        wanted = pen.purchases(pen.request("reach", "advertiser", **asked))[0]
        assert wanted.specification.l2_squared >= 2**28, "the vectors above say less than it"
        pen.release(wanted, **change)
        yield vector(name, about, pen, rule=rule, beyond=beyond, **more)
    pen = Pen()
    pen.release(pen.purchases(pen.request("overlap", epsilon=0.5))[0], query="0" * 64)
    yield vector("words-on-a-count", "a count that is said to be worded by a job", pen, rule=none, **more)
    pen = Pen()
    moments = pen.purchases(pen.request("lookalike"))[0]
    pen.release(moments, query="0" * 64, lattice="2^-0", l2_squared=1)
    about = "sums of a name that is known, on a lattice that is not theirs, with a sensitivity of its own"
    yield vector("moments-on-another-lattice", about, pen, rule=none, **more)
    pen = Pen()
    pen.release(
        pen.purchases(pen.request("overlap", epsilon=0.5))[0], statistic="overlap@7", query="0" * 64, l2_squared=1
    )
    yield vector("statistic-of-nobody", "a statistic of a name that nobody knows", pen, rule=none, **more)
    pen = completed(l2_squared=2**39)
    yield vector("completion-moved-less", "sums that one record is said to move less", pen, rule=none, **more)
    pen = completed(l2_squared=2 * 1_198_467_170_960)
    about = "sums that are said to be of an attribute more, with the noise of one"
    yield vector("completion-moved-more", about, pen, rule=EPSILON, beyond=["page"], **more)
    pen = Pen(plans=True)
    fit, _ = pen.purchases(pen.request("model", recipients=["officer"]))
    pen.release(fit, kind="open", l2_squared=25 * 1_198_467_170_960)
    yield vector("model-moved-less", "a fit without what rounding moves", pen, rule=none, **more)


COMPARED = 3
"""Where the counts by group of `compared` stand, between moments and histogram."""


def compared(**change: Any) -> Pen:
    """A lookalike that compares learners. change: what its counts by group say instead."""
    pen = Pen()
    moments, groups, scores = pen.purchases(pen.request("lookalike", learners=["glm", "boosting"]))
    pen.release(moments)
    pen.release(groups, **change)
    pen.release(scores)
    return pen


def considered(**change: Any) -> Pen:
    """Lookalikes that consider a column, and a pair. change: what the moments of the first say instead."""
    pen = Pen()
    moments, scores = pen.purchases(pen.request("lookalike", columns=["age"], consider=["region"]))
    pen.release(moments, **change)
    if change:
        return pen
    pen.release(scores)
    pen.run("lookalike", consider=["region x age"], epsilon=0.5)
    return pen


def considerations() -> Iterator[tuple[str, Vector]]:
    """What is measured is named, whether the model uses it or not."""
    more: dict[str, Any] = {"accept": False, "entry": 2}
    pen, about = considered(columns=["visitors.age"]), "a column that is considered, and not named"
    rule = "its specification is the job's"
    yield vector("considered-in-silence", about, pen, rule=rule, beyond=["page", "node"], **more)
    pen, about = considered(columns=["visitors.age", "visitors.region ignored"]), "a column that is nothing known"
    yield vector("considered-otherwise", about, pen, rule="", beyond=["page"], **more)


def comparisons() -> Iterator[tuple[str, Vector]]:
    """Counts by group look at the people of the moments once more: they pay for themselves."""
    more: dict[str, Any] = {"accept": False, "entry": COMPARED}
    pen, unpaid = compared(), "it is not paid for by all who must"
    pen.entries[COMPARED]["charges"] = []
    pen.renumber()
    yield vector("comparison-unpaid", "counts by group that nobody paid for", pen, rule=unpaid, **more)
    pen = compared()
    pen.entries[COMPARED]["charges"][0]["rho"] -= 1
    pen.renumber()
    yield vector("comparison-for-less", "counts by group charged one unit too little", pen, rule=unpaid, **more)
    pen = compared()
    covered = [{name: each[name] for name in ("account", "dataset", "rho")} for each in pen.entries[2]["charges"]]
    pen.entries[COMPARED] |= {"beside": pen.entries[2]["key"], "covered": covered, "charges": []}
    pen.renumber()
    about, rule = "counts by group for the price of the moments, of the same people", "its cover does not fit"
    yield vector("comparison-for-nothing", about, pen, rule=rule, **more)
    pen = compared()
    del pen.entries[COMPARED]["specification"]["query"]
    pen.rekey(pen.entries[COMPARED])
    about, rule = "counts by group that do not say how people are dealt", "its noise is none"
    yield vector("comparison-without-words", about, pen, rule=rule, **more)
    about, rule = "counts by group of other learners than the job names", "its specification is the job's"
    pen = compared(query="0" * 64)
    yield vector("comparison-of-others", about, pen, rule=rule, beyond=["page", "node"], **more)


STRATA = 3
"""Where the seeds by stratum of `by_known` stand, below the moments that cover them."""


def by_known(**change: Any) -> Pen:
    """A lookalike that counts those held out by how much is known of them. change: what these counts say instead."""
    pen = Pen()
    moments, strata = pen.purchases(pen.request("lookalike", strata=True))
    pen.release(moments)
    pen.release(strata, **change)
    return pen


def stratified() -> Iterator[tuple[str, Vector]]:
    """Seeds by stratum and score stand in the place of seeds by score, at the same price, once."""
    more: dict[str, Any] = {"accept": False, "entry": STRATA}
    dearer = int(by_known().entries[STRATA]["specification"]["scale"]) // 2
    pen, about = by_known(scale=Scale(dearer)), "seeds by stratum with half the noise that was paid for"
    yield vector("strata-dearer", about, pen, rule="it is not paid for by all who must", **more)
    pen, about = by_known(l2_squared=1), "seeds by stratum that one record is said to move less"
    yield vector("strata-moved-less", about, pen, rule="", **more)
    pen, about = by_known(l2_squared=2**21), "seeds by stratum that one record is said to move more than it can"
    yield vector("strata-moved-more", about, pen, rule="its noise is none", **more)
    pen, about = by_known(cells=31), "seeds by stratum in fewer cells than there are"
    yield vector("strata-cells", about, pen, rule="its specification is the job's", beyond=["page", "node"], **more)
    more |= {"rule": "its job asks for another evaluation", "beyond": ["page"]}
    pen, about = by_known(statistic="score-histogram@1", cells=15), "seeds by score, where the job asks for strata"
    yield vector("strata-not-given", about, pen, **more)
    pen, about = Pen(), "seeds by stratum, which the job does not ask for"
    moments, scores = pen.purchases(pen.request("lookalike"))
    pen.release(moments)
    pen.release(scores, statistic="score-strata@1", cells=32)
    yield vector("strata-not-asked", about, pen, **more)
    pen = by_known()
    pen.entries.append(copy.deepcopy(pen.entries[STRATA]))
    pen.entries[STRATA + 1]["specification"] |= {"statistic": "score-histogram@1", "cells": 15}
    pen.rekey(pen.entries[STRATA + 1])
    pen.renumber()
    about = "seeds by stratum and by score as well, for one charge"
    yield vector("strata-and-histogram", about, pen, accept=False, entry=STRATA + 1, rule="its cover does not fit")


def relabelled() -> Iterator[tuple[str, Vector]]:
    """One statistic drawn twice for one charge, as if of two halves of the people: only certain pairs are."""
    yield twice("table-for-nothing", "a table", tabled, 2)
    yield twice("keys-for-nothing", "keys", paged, KEYS)
    yield twice("count-for-nothing", "a count", counted, 2)
    pen = compared(part="held-out")
    pen.entries[COMPARED]["charges"] = []
    cover(pen, COMPARED, pen.entries[2])
    about = "counts by group, of the people who train, said to be of those held out"
    yield vector("comparison-relabelled", about, pen, accept=False, entry=COMPARED, rule="")
    pen, about = compared(l2_squared=1), "counts by group that one record is said to move less"
    yield vector("comparison-moved-less", about, pen, accept=False, entry=COMPARED, rule="")
    pen, about = compared(l2_squared=2**20 + 1), "counts by group that one record is said to move more than it can"
    yield vector("comparison-moved-more", about, pen, accept=False, entry=COMPARED, rule="its noise is none")


def twice(name: str, what: str, played: Callable[[], Pen], at: int) -> tuple[str, Vector]:
    """The entry of a log that has one release, and again beside itself."""
    pen = played()
    pen.entries[at]["specification"]["part"] = "train"
    pen.rekey(pen.entries[at])
    again = copy.deepcopy(pen.entries[at])
    again["specification"]["part"], again["charges"] = "held-out", []
    pen.entries.append(again)
    cover(pen, at + 1, pen.entries[at])
    about = f"{what} drawn twice for one charge, as of two halves of the people"
    return vector(name, about, pen, accept=False, entry=None, rule="")


def cover(pen: Pen, at: int, lender: Entry) -> None:
    """Say that what another entry was charged pays for this one as well."""
    covered = [{name: each[name] for name in ("account", "dataset", "rho")} for each in lender["charges"]]
    pen.entries[at] |= {"beside": lender["key"], "covered": covered}
    pen.rekey(pen.entries[at])
    pen.renumber()


def counted() -> Pen:
    pen = Pen()
    pen.run("overlap", epsilon=0.5)
    return pen


KEYS, OF_RHO, OF_DELTA = 4, 0, 1
"""Where the release of `paged` stands, and its two charges."""


def keys() -> Iterator[tuple[str, Vector]]:
    """Keys that nobody listed: not paid for in δ, for too little, or with a cap that the contract does not give."""
    unpaid, none = "it is not paid for by all who must", "its noise is none"
    more: dict[str, Any] = {"accept": False, "entry": KEYS}
    pen = paged()
    del pen.entries[KEYS]["charges"][OF_DELTA]
    yield vector("keys-without-delta", "keys that are paid for in ρ alone", pen, rule=unpaid, **more)
    pen = paged()
    pen.entries[KEYS]["charges"][OF_DELTA]["rho"] -= 1
    yield vector("keys-for-less", "keys charged one unit of δ too little", pen, rule=unpaid, **more)
    pen = paged()
    pen.entries[KEYS]["charges"][OF_RHO]["rho"] -= 1
    yield vector("keys-for-less-noise", "keys charged one unit of ρ too little", pen, rule=unpaid, **more)
    pen = paged()
    del pen.entries[KEYS]["specification"]["selection"], pen.entries[KEYS]["charges"][OF_DELTA]
    pen.rekey(pen.entries[KEYS])
    yield vector("keys-as-listed", "keys that do not say with which δ they were selected", pen, rule=none, **more)
    pen = paged()
    pen.entries[KEYS]["specification"]["statistic"] = "table@1"
    pen.rekey(pen.entries[KEYS])
    yield vector("table-of-keys", "a table with a δ of its own", pen, rule=none, **more)
    pen = paged()
    pen.entries[KEYS]["charges"][OF_DELTA]["before"] = 1
    yield vector(
        "keys-balance", "a balance of δ that does not begin at 0", pen, rule="the running balance is broken", **more
    )
    pen = paged()
    pen.run("aggregate", "advertiser", **PAGES | {"selection": 9.00000001e-10, "epsilon": 0.51})
    about, rule = "one unit more of δ than is kept for keys", "the account is overspent"
    yield vector("keys-overspend", about, pen, rule=rule, **more | {"entry": KEYS + 1})
    rule = "the contract gives another cap, or gave it before"
    for name, change in (("keys-cap-raised", 1), ("keys-cap-lowered", -1)):
        pen = paged()
        pen.entries[KEYS - 1]["rho"] += change
        about = "a cap of δ that differs from what the contract keeps for keys by one unit of 10^-18"
        yield vector(name, about, pen, rule=rule, **more | {"entry": KEYS - 1})
    pen = Pen()
    pen.entries.append({**pen.entries[1], "account": "publisher/selection", "seq": 2})
    about = "a cap of δ under a contract that keeps none for keys"
    yield vector("keys-cap-of-nobody", about, pen, rule=rule, **more | {"entry": 2})
    earlier, pen = succession_of_keys()
    carry = pen.carry(earlier)
    carry["charges"] = [each for each in carry["charges"] if each["account"] == "publisher/record"]
    about, rule = "the δ that was spent on keys is not carried over", "an earlier log left something else"
    yield vector("keys-not-carried", about, pen, rule=rule, beyond=["page"], **more)
    pen = Pen(events=True, selection="1e-9")
    wanted = pen.purchases(pen.request("aggregate", "advertiser", **PAGES))[0]
    pen.release(wanted, selection=wanted.specification.selection // 2)
    about, rule = "keys selected with another δ than the job asks", "its specification is the job's"
    yield vector("keys-of-another-delta", about, pen, rule=rule, beyond=["page", "node"], **more)


RESPONSES = 3
"""Where the release of `labelled` stands, below three caps."""


def labels() -> Iterator[tuple[str, Vector]]:
    """Labels by randomised response: paid for too little or elsewhere, flipped too seldom, or by another mechanism."""
    unpaid, none = "it is not paid for by all who must", "its noise is none"
    more: dict[str, Any] = {"accept": False, "entry": RESPONSES}

    def told(name: str, about: str, rule: str, beyond: Sequence[str] = (), **spec: Any) -> tuple[str, Vector]:
        pen = Pen(responses="2.0")
        (wanted,) = pen.purchases(pen.request("lookalike", **LABELS))
        pen.release(wanted, **spec)
        return vector(f"labels-{name}", about, pen, rule=rule, beyond=[*beyond], **more)

    flip = least_flip(15 * 10**11, 1)
    yield told("flipped-less", "labels that are wrong half as often as is paid for", unpaid, scale=flip // 2)
    yield told("flipped-once-less", "labels that cost one unit more than is paid", unpaid, scale=_dearer(flip))
    about = "labels that are wrong more often than not, and say as much"
    yield told("inverted", about, none, ["page"], scale=2**52 - flip)
    yield told(
        "of-gaussian", "labels that say they were drawn with Gaussian noise", none, mechanism="discrete-gaussian"
    )
    yield told("in-other-units", "a flip in units of a scale", none, scale_unit="1/1048576")
    about = "labels that are wrong more often than the job's ε asks"
    yield told("of-another-epsilon", about, EPSILON, ["page"], scale=2 * flip)
    pen = Pen(responses="2.0")
    (wanted,) = pen.purchases(pen.request("overlap", epsilon=0.5))
    pen.release(wanted, mechanism="randomised-response", scale=flip, scale_unit=f"1/{2**52}")
    yield vector("labels-of-a-count", "a count by randomised response", pen, rule=none, **more)
    pen = labelled()
    pen.entries[RESPONSES]["charges"][0] |= {"account": "advertiser/record", "rho": 10**9}
    yield vector("labels-for-noise", "labels that are charged to the account of noise", pen, rule=unpaid, **more)
    pen = labelled()
    pen.entries[RESPONSES]["charges"][0]["rho"] -= 2
    yield vector("labels-for-less", "labels charged two units of ε too little", pen, rule=unpaid, **more)
    pen = labelled()
    pen.entries[RESPONSES]["charges"][0]["before"] = 1
    rule = "the running balance is broken"
    yield vector("labels-balance", "a balance of ε that does not begin at 0", pen, rule=rule, **more)
    pen = labelled()
    pen.run("lookalike", **LABELS | {"epsilon": 0.500000000001})
    about, rule = "one unit more of ε than is kept for labels", "the account is overspent"
    yield vector("labels-overspend", about, pen, rule=rule, **more | {"entry": RESPONSES + 1})
    rule = "the contract gives another cap, or gave it before"
    for name, change in (("labels-cap-raised", 1), ("labels-cap-lowered", -1)):
        pen = labelled()
        pen.entries[1]["rho"] += change
        about = "a cap of ε that differs from what the contract keeps for labels by one unit of 10^-12"
        yield vector(name, about, pen, rule=rule, **more | {"entry": 1})
    pen = Pen()
    pen.entries.append({**pen.entries[1], "account": "advertiser/responses", "seq": 2})
    about = "a cap of ε under a contract that keeps none for labels"
    yield vector("labels-cap-of-nobody", about, pen, rule=rule, **more | {"entry": 2})
    yield sums_of_labels()
    earlier, pen = succession_of_labels()
    carry = pen.carry(earlier)
    carry["charges"] = []
    about, rule = "the ε that was spent on labels is not carried over", "an earlier log left something else"
    yield vector("labels-not-carried", about, pen, rule=rule, beyond=["page"], **more)
    pen = Pen(responses="2.0", match="any")
    (wanted,) = pen.purchases(pen.request("lookalike", **LABELS))
    pen.release(wanted, l2_squared=1, scale=flip)
    about, rule = "labels that are flipped as if one record moved one of them", "its specification is the job's"
    yield vector("labels-of-one-row", about, pen, rule=rule, beyond=["page", "node"], **more)


def _dearer(flip: int) -> int:
    """The next flip below, whose price is above what buys this one."""
    below = flip
    while price_of(Flip(below), 1) <= 15 * 10**11:
        below -= 1
    return below - 1_000


def sums_of_labels() -> tuple[str, Vector]:
    """Labels, by a job that asks for noisy sums."""
    pen = Pen(responses="2.0")
    (wanted,) = pen.purchases(pen.request("lookalike", **LABELS))
    request = pen.request("lookalike", epsilon=1.5)
    pen.release(replace(wanted, context=replace(wanted.context, job=request.digest)))
    about = "labels, by a job that asks for noisy sums"
    return vector("labels-of-sums", about, pen, rule=EPSILON, beyond=["page"], accept=False, entry=RESPONSES)


def several_keys() -> Iterator[tuple[str, Vector]]:
    """Noise for fewer rows than one record moves, or under another rule than the contract's."""
    for name, match, spec, beyond in (
        ("rule-of-another-contract", "", {"rule": "any"}, []),
        ("rule-of-another", "any", {"rule": "own-best"}, []),
        ("rows-of-three-keys", "any", {"l2_squared": 9 * 2**20}, []),
        ("tiers-without-tiers", "any", {"l2_squared": 2 * 2**20}, []),
        ("rows-of-the-other-side", "any", {"l2_squared": 2**20}, ["page"]),
    ):
        pen = Pen(match=match)
        wanted = pen.purchases(pen.request("overlap", epsilon=0.5))[0]
        pen.release(wanted, **{"l2_squared": wanted.specification.l2_squared, **spec})
        about = "noise that does not fit what one record of the side that pays can move under the contract's rule"
        rule = EPSILON if beyond else "its noise is none"
        yield vector(name, about, pen, accept=False, entry=2, rule=rule, beyond=beyond)


def opened() -> Iterator[tuple[str, Vector]]:
    """Noise that is drawn ahead: by jobs of kind model, in this order."""
    none = "its noise is not open"
    pen, wanted = overlap_wanted()
    pen.release(wanted, kind="open")
    pen.release(wanted, kind="outcome")
    about, more = "a count whose noise was drawn ahead, as no count is", {"accept": False, "entry": 2}
    yield vector("opened-count", about, pen, rule=none, **more)
    pen = Pen(plans=True)
    pen.release(pen.purchases(pen.request("model", recipients=["officer"]))[0])
    yield vector("model-at-once", "a fit whose noise was never opened", pen, rule=none, **more)
    pen, wanted = overlap_wanted()
    pen.release(wanted, kind="outcome")
    yield vector("outcome-of-nothing", "an outcome of noise that nobody opened", pen, rule=none, **more)
    for kind in ("open", "outcome"):
        pen, wanted = overlap_wanted()
        pen.release(wanted)
        pen.release(wanted, kind=kind)
        about = f"a released statistic, and then its {kind}"
        yield vector(f"{kind}-of-a-release", about, pen, rule=none, **more | {"entry": 3})


def overlap_wanted() -> tuple[Pen, Purchase]:
    pen = Pen()
    return pen, pen.purchases(pen.request("overlap", epsilon=0.5))[0]


def covers() -> Iterator[tuple[str, Vector]]:
    rule = "its cover does not fit"
    pen = Pen()
    pen.run("lookalike")
    pen.run("lookalike", epsilon=0.5)
    lender, borrower = pen.entries[2], pen.entries[5]
    borrower["beside"] = borrower["specification"]["follows"] = lender["key"]
    borrower["covered"] = [{name: each[name] for name in ("account", "dataset", "rho")} for each in lender["charges"]]
    pen.rekey(borrower)
    yield vector("covers-twice", "one charge covers two histograms", pen, accept=False, entry=5, rule=rule)
    pen = played()
    pen.entries[HISTOGRAM]["specification"]["part"] = "train"
    pen.rekey(pen.entries[HISTOGRAM])
    yield vector("same-part", "covered by a look at the same people", pen, accept=False, entry=HISTOGRAM, rule=rule)
    yield changed(
        "other-readers",
        "the covered part is for more readers",
        HISTOGRAM,
        "it is not paid for by all who must",
        lambda entry: entry.update(recipients=["officer", "publisher"]),
    )
    pen = played()
    histogram = pen.entries[HISTOGRAM]
    histogram["specification"]["scale"] //= 2
    pen.rekey(histogram)
    about = "the covered part costs more than was paid"
    rule = "it is not paid for by all who must"
    yield vector("covered-is-dearer", about, pen, accept=False, entry=HISTOGRAM, rule=rule)
    yield changed(
        "uncovered",
        "nobody pays for a histogram",
        HISTOGRAM,
        "it is not paid for by all who must",
        lambda entry: entry.update(beside="", covered=[]),
    )


# -- history ---------------------------------------------------------------------------------------------------------


def history() -> Iterator[tuple[str, Vector]]:
    pen = played()
    stands = "it does not stand here, or is not canonical JSON"
    cut = pen.copy()
    del cut.entries[OVERLAP]
    yield vector("dropped", "an entry is left out", cut, accept=False, entry=OVERLAP, rule=stands)
    cut.renumber()
    about = "an entry is left out and all that follow are made anew; the officer kept a head"
    rule = "changed or forked: kept was signed over other entries"
    kept = pen.copy()
    kept.entries.pop()
    yield vector("dropped-and-mended", about, cut, accept=False, rule=rule, seen={"kept": kept.checkpoint()})
    other = pen.copy()
    other.entries[2:4] = other.entries[3:1:-1]
    yield vector("reordered", "two entries change places", other, accept=False, entry=2, rule=stands)
    export, shorter = pen.export(), pen.copy()
    shorter.entries.pop()
    tiles = {name: data for name, data in shorter.export().items() if name.startswith("tile/")}
    whole = {name: data for name, data in export.items() if not name.startswith("tile/")} | tiles
    rule = "rolled back: checkpoint counts 5 entries, 4 are here"
    yield vector("truncated", "the last entry is missing", pen, whole, accept=False, rule=rule)
    rule = "rolled back: kept counts 5 entries, 4 are here"
    about = "an older state of the room; the officer kept a newer head"
    yield vector("rollback", about, shorter, accept=False, rule=rule, seen={"kept": pen.checkpoint()})
    fork = shorter.copy()
    fork.run("overlap", epsilon=0.5)
    about = "two histories from one state on; the officer kept a head of the other"
    rule = "changed or forked: kept was signed over other entries"
    yield vector("fork", about, fork, accept=False, rule=rule, seen={"kept": pen.checkpoint()})
    about = "a head the officer kept is of another room"
    rule = "kept is not signed by the contract's room"
    seen = {"kept": played(name="autumn").checkpoint()}
    yield vector("head-of-another-room", about, pen, accept=False, rule=rule, seen=seen)
    yield from bytes_and_keys(pen)
    early = pen.copy()
    early.entries[MOMENTS]["time"] = "2027-01-10T11:00Z"
    yield vector("time", "an hour before the one above", early, accept=False, entry=MOMENTS, rule=stands)
    early = pen.copy()
    early.entries[HISTOGRAM]["time"] = "2027-01-10T12:30Z"
    yield vector("minute", "an entry of half past twelve", early, accept=False, entry=HISTOGRAM, rule=stands)
    yield changed(
        "another-contract",
        "an entry of another contract",
        OVERLAP,
        stands,
        lambda entry: entry.update(contract="0" * 64),
    )


def bytes_and_keys(pen: Pen) -> Iterator[tuple[str, Vector]]:
    export = pen.export()
    name = "tile/entries/000.p/5"
    data = bytearray(export[name])
    data[700] ^= 1
    rule = "changed or forked: checkpoint was signed over other entries"
    flipped = {**export, name: bytes(data)}
    yield vector("flipped-bit", "one bit of an entry", pen, flipped, accept=False, rule=rule)
    hashes = [leaf_hash(leaf) for leaf in pen.leaves()]
    forger = NoteKey(pen.room.name, key_of("forger"))
    note = sign_checkpoint(pen.room.name, len(hashes), root_of(hashes), forger).encode()
    rule = "checkpoint is not signed by the contract's room"
    yield vector(
        "wrong-key", "a head signed by somebody else", pen, {**export, "checkpoint": note}, accept=False, rule=rule
    )
    leaves = pen.leaves()
    leaves[OVERLAP] = leaves[OVERLAP].replace(b'"beside":"",', b'"beside": "",')
    rule = "it does not stand here, or is not canonical JSON"
    about = "an entry spelled in another way"
    yield vector("spelling", about, pen, pen.export(leaves), accept=False, entry=OVERLAP, rule=rule)
    leaves = pen.leaves()
    leaves[OVERLAP] = leaves[OVERLAP].replace(b'"find more', b'"\\u0066ind more')
    about = "a letter spelled as an escape"
    yield vector("escape", about, pen, pen.export(leaves), accept=False, entry=OVERLAP, rule=rule)
    leaves = pen.leaves()
    leaves[MOMENTS] = leaves[MOMENTS].replace(b'"before":', b'"before":0,"before":')
    about = "a name that stands twice"
    yield vector("doubled-name", about, pen, pen.export(leaves), accept=False, entry=MOMENTS, rule=rule)


# -- what is no log at all -------------------------------------------------------------------------------------------


def malformed() -> Iterator[tuple[str, Vector]]:
    """Signed by the room all the same: whatever stands in an entry, the answer is one line."""
    pen = Pen()
    pen.append("refund", contract=pen.agreement.digest, charges=[])
    rule = "its kind is not known, or has other parts"
    yield vector("kind", "an entry of a kind that nobody knows", pen, accept=False, entry=2, rule=rule)
    pen = Pen()
    pen.run("overlap", epsilon=0.5)
    whole = pen.leaves()
    for name, about, old, new in MALFORMED:
        leaves = [*whole[:2], whole[2].replace(old, new)]
        assert leaves != whole, name
        yield vector(name, about, pen, pen.export(leaves), accept=False, entry=2)
    export = pen.export()
    for name, folder in (("changed-job", "requests/"), ("changed-manifest", "manifests/")):
        part = next(each for each in sorted(export) if each.startswith(folder) and not each.endswith(".sig"))
        about = "a file that an entry names by its digest has another"
        yield vector(name, about, pen, {**export, part: export[part] + b"\n"}, accept=False)
    tile = "tile/entries/000.p/3"
    for name, about, part, data in (
        ("cut-tile", "the entries end in the middle of one", tile, export[tile][:-100]),
        ("longer-tile", "more bytes than entries", tile, export[tile] + b"\0"),
        ("cut-checkpoint", "a head without its signature", "checkpoint", export["checkpoint"][:70]),
        ("no-text-checkpoint", "a head that is not UTF-8", "checkpoint", b"\xff" + export["checkpoint"]),
        ("empty-checkpoint", "a head that is empty", "checkpoint", b""),
    ):
        yield vector(name, about, pen, {**export, part: data}, accept=False)
    del export["checkpoint"]
    yield vector("no-checkpoint", "no head at all", pen, export, accept=False)


MALFORMED = (
    ("float", "a charge that is no whole number", b'"before":0,', b'"before":0.0,'),
    ("exponent", "a number spelled in another way", b'"cells":1,', b'"cells":1e0,'),
    ("false", "a running balance of false, which some languages take for 0", b'"before":0,', b'"before":false,'),
    ("text", "a version that is a text", b'"v":1}', b'"v":"1"}'),
    ("true", "a version of true, which some languages take for 1", b'"v":1}', b'"v":true}'),
    ("nan", "a charge that is no number", b'"before":0,', b'"before":NaN,'),
    ("huge", "a charge of 5000 digits", b'"before":0,', b'"before":' + b"9" * 5000 + b","),
    (
        "negative",
        "a charge below nothing",
        b'"before":0,"dataset":"buyers","rho":',
        b'"before":0,"dataset":"buyers","rho":-',
    ),
    ("null", "charges that are nothing", b'"charges":[', b'"charges":null,"other":['),
    ("text-for-list", "readers that are a text", b'"recipients":["publisher"]', b'"recipients":"publisher"'),
    ("missing-part", "a release that names no reader", b'"recipients":["publisher"],', b""),
    ("extra-part", "a release that says more than the format knows", b'"purpose":', b'"note":"x","purpose":'),
    ("no-text", "bytes that are not UTF-8", b'"opendp ', b'"\xff\xfe\xff'),
    ("no-json", "an entry that ends early", b',"v":1}', b""),
    ("nested", "lists in lists in lists", b'"covered":[]', b'"covered":' + b"[" * 5_000 + b"]" * 5_000),
    ("list", "an entry that is a list", b"{", b"[{"),
)


# -- who signed ------------------------------------------------------------------------------------------------------


def signatures() -> Iterator[tuple[str, Vector]]:
    pen = Pen()
    pen.release(pen.purchases(pen.request("overlap", signer="host", epsilon=0.5))[0])
    about = "the operator signs a job in the publisher's name"
    more: dict[str, Any] = {"accept": False, "entry": 2, "beyond": ["page"]}
    yield vector("forged-request", about, pen, rule="the job is not signed by its asker", **more)
    pen = Pen()
    pen.submit("buyers", 100_000, signer="host")
    pen.run("overlap", epsilon=0.5)
    about = "the operator signs a data set in the advertiser's name"
    yield vector("forged-manifest", about, pen, rule="the manifest of a data set is not signed by its owner", **more)
    pen = cosigned()
    forger = pen.copy()
    forger.witness("host")
    pen.witnesses["officer"] = forger.witnesses["host"]
    more |= {"entry": None}
    yield vector("forged-cosignature", "not the officer's", pen, rule="a cosignature in the copy does not hold", **more)
    pen = cosigned()
    pen.run("lookalike", epsilon=2.0)
    about = "more than a quarter of a cap spent ahead of the last cosigned head"
    rule = "advertiser/record has spent further ahead of the witnesses than the contract lets it"
    yield vector("window", about, pen, rule=rule, **more)
    pen = two_of_three()
    pen.run("lookalike", epsilon=2.0)
    pen.witness("officer")
    about = "all of it is cosigned by one of three witnesses, where two are needed"
    yield vector("one-of-three", about, pen, rule=rule, **more)
    pen = cosigned()
    rolled = played(cosign=COSIGN)
    rolled.entries.pop()
    rolled.witnesses = dict(pen.witnesses)
    about = "the copy itself holds a cosigned head that is ahead of it"
    rule = "rolled back: officer counts 5 entries, 4 are here"
    yield vector("cosigned-rollback", about, rolled, rule=rule, **more | {"beyond": []})


# -- what goes on from what ------------------------------------------------------------------------------------------


def carries() -> Iterator[tuple[str, Vector]]:
    rule = "it does not stand here, or is not canonical JSON"
    earlier, _ = succession()
    earlier.run("overlap", epsilon=0.5)
    at = len(earlier.entries) - 1
    yield vector("below-the-end", "a release below the end", earlier, accept=False, entry=at, rule=rule)
    pen = gone_on()
    pen.entries[2]["charges"][0]["before"] = 1
    earlier, _ = succession()
    earlier.entries.append({**earlier.entries[CAP_PUBLISHER], "seq": at, "time": "\uffff"})
    yield vector(
        "below-the-end-of-time",
        "an entry below the end, later than any hour",
        earlier,
        accept=False,
        entry=at,
        rule=rule,
    )
    rule = "the running balance is broken"
    yield vector("carry-balance", "a carry that begins above 0", pen, accept=False, entry=2, rule=rule)
    about = "more was spent than the next contract allows"
    pen = gone_on(epsilon=0.5)
    yield vector("carry-overspend", about, pen, accept=False)
    pen, other = Pen(), Pen(name="autumn")
    other.close(pen)
    pen.carry(other)
    rule = "it carries what nobody named"
    about = "a carry from a contract that this one does not continue"
    yield vector("carry-of-nobody", about, pen, accept=False, entry=2, rule=rule)
    more: dict[str, Any] = {"accept": False, "entry": 2, "beyond": ["page"]}
    pen = gone_on()
    pen.entries[2]["charges"][0]["rho"] -= 1
    rule = "an earlier log left something else"
    yield vector("carry-less", "one unit less than was spent is carried over", pen, rule=rule, **more)
    pen = gone_on()
    pen.entries[2]["from"]["size"] -= 1
    yield vector("carry-of-less", "a carry that names an earlier head than the last", pen, rule=rule, **more)
    pen = gone_on()
    pen.carry(pen.continues[0])
    about, rule = "what was spent is carried over twice", "it carries what nobody named"
    yield vector("carry-twice", about, pen, rule=rule, **more | {"entry": 3})
    _, pen = succession()
    pen.run("overlap", epsilon=0.25)
    rule = "what was spent under an earlier contract was not carried over"
    yield vector("carry-missing", "a release before anything is carried over", pen, rule=rule, **more)
    more |= {"entry": None}
    _, pen = succession()
    yield vector("carry-missing-yet", "nothing is carried over, and nothing released", pen, rule=rule, **more)
    earlier, pen = succession()
    earlier.entries.pop()
    pen.carry(earlier)
    yield vector("carry-of-open", "the earlier log is still open, and could spend on", pen, **more)
    pen = gone_on()
    export = {name: data for name, data in pen.export().items() if not name.startswith("before/")}
    yield vector("before-missing", "the earlier log is not in the copy", pen, export, **more)
    earlier, pen = succession()
    cheap = earlier.entries[OVERLAP]["charges"][0]
    cheap["rho"] -= 1
    earlier.renumber()
    pen.carry(earlier)
    yield vector("before-broken", "the earlier log does not hold: a charge too small", pen, **more)


def losses() -> Iterator[tuple[str, Vector]]:
    rule = "it carries what nobody named"
    pen = cosigned()
    size = len(pen.entries)
    pen.lose()["from"]["size"] -= 1
    about = "a loss after another head than that of the entries above"
    yield vector("loss-elsewhere", about, pen, accept=False, entry=size, rule=rule)
    pen = cosigned()
    pen.lose(charge=pen.terms()["caps"])
    about, rule = "a loss of a whole cap, after something was spent of it", "the account is overspent"
    yield vector("loss-overspend", about, pen, accept=False, entry=size, rule=rule)
    rule = "it carries what nobody named"
    more: dict[str, Any] = {"accept": False, "entry": size, "beyond": ["page"]}
    pen = cosigned()
    pen.lose()["from"]["root"] = "0" * 64
    yield vector("loss-of-a-fork", "a loss after as many entries, but others", pen, rule=rule, **more)
    rule = "not everybody who has to approve a loss has signed it"
    for absent in ("publisher", "advertiser", "officer"):
        pen = cosigned()
        pen.lose([name for name in ("publisher", "advertiser", "officer") if name != absent])
        yield vector(f"loss-without-{absent}", f"the {absent} did not sign the loss", pen, rule=rule, **more)
    pen = cosigned()
    statement = f"requests/{pen.lose()['statement']}.toml"
    export = pen.export()
    forged = {**export, f"{statement}.publisher.sig": export[f"{statement}.officer.sig"]}
    yield vector("loss-forged", "the publisher's signature is the officer's", pen, forged, rule=rule, **more)
    export = {name: data for name, data in export.items() if not name.startswith(statement)}
    yield vector("loss-unstated", "no statement is in the copy", pen, export, rule=rule, **more)
    pen = played()
    pen.lose()
    about = "a loss under a contract that names no witness: nobody can tell what was spent"
    yield vector("loss-unwitnessed", about, pen, rule=rule, **more | {"entry": len(pen.entries) - 1})
    pen = cosigned()
    lost = {name: int(cap) // 4 for name, cap in pen.terms()["caps"].items()}  # type: ignore[attr-defined]
    pen.lose(charge=lost)
    about = "a loss counts as spent ahead of the witnesses: with what was spent before it, this is too much"
    rule = "advertiser/record has spent further ahead of the witnesses than the contract lets it"
    yield vector("loss-beyond-window", about, pen, rule=rule, **more | {"entry": None})
    more |= {"rule": "its statement of loss says something else", "entry": size}
    pen = cosigned()
    pen.lose()["charges"][0]["rho"] -= 1
    yield vector("loss-less", "less is charged than was stated", pen, **more)
    pen = cosigned()
    here, (_, size, root) = pen.copy(), played(cosign=COSIGN).head()
    here.lose(size=size, root=root)["from"].update(size=pen.head()[1], root=pen.head()[2])
    yield vector("loss-of-another-head", "what was signed is a loss after another head", here, **more)


# -- what was asked --------------------------------------------------------------------------------------------------


def what_was_asked() -> Iterator[tuple[str, Vector]]:
    """What follows from the job's TOML: of which Node reads the readers and the ε, and `passbox ledger verify` all."""
    more: dict[str, Any] = {"accept": False, "entry": 2, "beyond": ["page", "node"]}
    pen = Pen()
    pen.run("overlap", epsilon=0.5)[0]["recipients"] = ["officer", "publisher"]
    pen.entries[-1]["charges"].insert(0, {"account": "publisher/record", "dataset": "visitors", "before": 0})
    pen.entries[-1]["charges"][0]["rho"] = pen.entries[-1]["charges"][1]["rho"]
    about, by_page = "one reader more than the job names", more | {"beyond": ["page"]}
    yield vector("wrong-reader", about, pen, rule="its job is for other readers", **by_page)
    pen = Pen()
    pen.run("overlap", epsilon=0.5)[0]["purpose"] = "credit scores"
    about, rule = "another purpose than the contract's", "its purpose is not the contract's"
    yield vector("other-purpose", about, pen, rule=rule, **by_page)
    pen = Pen()
    pen.run("overlap", epsilon=0.5)[0]["charges"][0]["dataset"] = "visitors"
    about, rule = "a charge in the name of another's data set", "it charges one owner for the data of another"
    yield vector("charge-of-another", about, pen, rule=rule, **by_page)
    pen = Pen()
    pen.run("overlap", "officer", epsilon=0.5, recipients=["officer"])
    yield vector("may-not-ask", "a job that the contract lets nobody ask", pen, rule="rules.allow", **more)
    pen = Pen()
    purchase = pen.purchases(pen.request("overlap", epsilon=0.5))[0]
    pen.release(purchase, scale=Scale(purchase.specification.scale // 2))
    about = "half the noise that the job's ε gives, paid in full"
    yield vector("other-noise", about, pen, rule=EPSILON, **by_page)
    pen = Pen()
    purchase = pen.purchases(pen.request("overlap", epsilon=0.5))[0]
    pen.release(purchase, scale=Scale(purchase.specification.scale * 2))
    yield vector("more-noise", "twice the noise that the job's ε gives, and paid as such", pen, rule=EPSILON, **by_page)
    pen = Pen()
    purchase = pen.purchases(pen.request("overlap", epsilon=0.5))[0]
    pen.release(purchase)
    pen.release(purchase, scale=Scale(purchase.specification.scale + 1))
    about = "one job drawn twice, under two names, paid twice"
    yield vector("drawn-twice-by-another-name", about, pen, rule=EPSILON, **by_page | {"entry": 3})
    pen = Pen()
    pen.run("overlap", epsilon=0.5)
    pen.submit("buyers", 350, "2027-01-10T11:30:00Z")
    pen.run("overlap", epsilon=0.5)
    about = "a signed job asked again of what was submitted anew"
    rule = "its job was for other data"
    yield vector("job-asked-again", about, pen, rule=rule, **more | {"entry": 3, "beyond": ["page"]})
    pen = Pen()
    pen.run("overlap", epsilon=0.5, recipients=["publisher", "advertiser"])
    pen.run("overlap", epsilon=0.5, recipients=["advertiser"])
    about, rule = "a statistic for one who has read it", "the same statistic stands twice, for nobody new"
    yield vector("reader-again", about, pen, rule=rule, **more | {"entry": 3, "beyond": ["page"]})
    pen = Pen()
    pen.time = "2027-07-02T09:00Z"
    pen.run("overlap", epsilon=0.5)
    yield vector("expired", "a release after the contract's last day", pen, rule="the contract had expired", **by_page)


def main(arguments: Sequence[str]) -> None:
    out = Path(arguments[0]) if arguments else HERE
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.json"):
        old.unlink()
    for maker in (honest, forged):
        for name, made in maker():
            (out / f"{name}.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
