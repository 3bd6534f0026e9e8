"""Contracts, and jobs that are read as contracts are."""

from __future__ import annotations

from typing import Any

from ..explanation import BAD_INPUT, REFUSED, Explanation, Words, simple


def _invalid(error: Any) -> Explanation:
    lines = "; ".join(f"{problem.where}: {problem.rule} ({problem.remedy})" for problem in error.problems[:20])
    many = len(error.problems)
    count = f"{many} mistakes: " if many > 1 else ""
    if error.what == "contract":
        message = f"the contract cannot be used: {count}{lines}"
        hint = "`passbox contract check contract.toml` lists them"
    else:
        message = f"this file cannot be used as a job: {count}{lines}".replace("`passbox contract new`", "`job new`")
        hint = "a job is a TOML file such as `passbox job new` writes"
    return Explanation(f"invalid-{error.what}", message, hint, BAD_INPUT)


def _unfit_wishes(error: Any) -> Explanation:
    lines = "; ".join(f"{problem.where}: {problem.rule} ({problem.remedy})" for problem in error.problems[:20])
    message = f"these options make no contract: {lines}"
    return Explanation("invalid-contract", message, "nothing was written; change them and type it again", BAD_INPUT)


def _untold(error: Any) -> Explanation:
    found = error.found
    if error.needed is None:
        return Explanation(
            "together",
            f"with {', '.join(found.contracts)}, which you signed before, you allow δ {found.selecting:g} for keys "
            f"that nobody listed: of δ {found.delta:g} nothing is left for noise",
            f"have delta = {error.delta:g} written in your budget, or continues = [...] with the earlier contract's "
            "sha256; signing then says which `together` it has to state",
            REFUSED,
        )
    known = f"it states {found.stated:g}" if found.stated is not None else "it does not say so"
    return Explanation(
        "together",
        f"with {', '.join(found.contracts)}, which you signed before, you allow ε {error.needed:g} on your people "
        f"(δ {found.delta:g}); {known}",
        f"have together = {error.needed:g} written in your budget, or continues = [...] with the earlier contract's "
        "sha256; if nobody ever got an earlier draft: `--instead-of DRAFT`",
        REFUSED,
    )


WORDS: dict[str, Words] = {
    "InvalidContract": _invalid,
    "WishesUnfit": _unfit_wishes,
    "NoSuchDataset": simple(
        "no-such-dataset", "the contract knows no data set {e.name}", "it knows {e.known}", BAD_INPUT
    ),
    "NotContinued": simple("continues", "{e.rule}", "{e.remedy}", REFUSED),
    "Untold": _untold,
    "Sent": simple(
        "together",
        "`{e.path}` carries other parties' signatures, so it was sent: its budget counts",
        "have the sum stated in the new contract as `together`, or let it continue the old one",
        REFUSED,
    ),
}
