"""From an error to one line, one hint and one exit code. Every error class of the product has its words here.

No text of another library is passed on: polars, pyarrow and scikit-learn put cell values into theirs.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DONE, INTERNAL, USAGE, BAD_INPUT, SIGNATURE, REFUSED, BUDGET, STORAGE = range(8)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person reads. rule: a short stable code."""

    rule: str
    message: str
    hint: str
    exit: int

    def as_json(self) -> dict[str, dict[str, str | int]]:
        return {"error": {"rule": self.rule, "message": self.message, "hint": self.hint, "exit": self.exit}}


def explain(error: BaseException) -> Explanation:
    """The words for an error. Looks errors up by their class's name, so that nothing heavy is imported for them."""
    for kind in type(error).__mro__:
        if kind.__name__ in _WORDS:
            return _WORDS[kind.__name__](error)
    return _internal(error)


def _internal(error: BaseException) -> Explanation:
    """Where it happened, never what it said: messages of libraries carry values."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    ours = [frame for frame in frames if "passbox" in frame.filename]
    if ours:
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return Explanation(
        "internal",
        f"a fault in passbox itself ({type(error).__name__} at {place})",
        "nothing was half-applied; please report it with this line",
        INTERNAL,
    )


def _placed(rule: str, exit_code: int) -> Callable[[Any], Explanation]:
    """Errors that carry path, rule and remedy."""

    def words(error: Any) -> Explanation:
        code = SIGNATURE if getattr(error, "tampered", False) else exit_code
        return Explanation(rule, f"{_name(error.path)}: {error.rule}", error.remedy, code)

    return words


def _name(path: object) -> str:
    return str(path)


def _invalid(error: Any) -> Explanation:
    lines = "; ".join(f"{problem.where}: {problem.rule} ({problem.remedy})" for problem in error.problems[:20])
    many = len(error.problems)
    count = f"{many} mistakes: " if many > 1 else ""
    hint = (
        "`passbox contract check FILE` lists them" if error.what == "contract" else "`passbox job new` shows the shape"
    )
    return Explanation(f"invalid-{error.what}", f"the {error.what} cannot be used: {count}{lines}", hint, BAD_INPUT)


_REASONS = {
    "not-a-signature": "it is not a signature",
    "wrong-namespace": "it was made for another purpose",
    "wrong-key": "it was made with another key",
    "broken": "the content was changed after it was signed",
    "unsupported": "its kind is not supported",
}


def _signature_broken(error: Any) -> Explanation:
    reason = _REASONS.get(error.reason, error.reason)
    return Explanation(
        "signature-broken",
        f"the signature of {error.party} on this {error.what} does not hold: {reason}",
        _MEND.get(error.what, f"ask {error.party} for it again, and compare fingerprints by voice"),
        SIGNATURE,
    )


_MEND = {
    "contract": "restore the bytes that were signed; if all agree to the change, remove the .sig and .share files "
    "beside it and let everybody sign again",
}


def _signature_missing(error: Any) -> Explanation:
    who = ", ".join(error.parties)
    verb = "contract sign" if error.what == "contract" else "job sign"
    return Explanation(
        "signature-missing",
        f"the {error.what} is not signed by {who}",
        f"ask them to run `passbox {verb}` and put the .sig file beside it",
        SIGNATURE,
    )


def _share(error: Any) -> Explanation:
    words = {
        "missing": f"the share of the match key of {error.party} is missing",
        "sealed-to-others": f"the share of {error.party} is not sealed to these keys",
        "malformed": f"the file of {error.party} is no share of a match key",
        "of-another": f"the share of {error.party} was made for another contract or by another party",
    }
    return Explanation(
        "match-key",
        words[error.reason],
        f"ask {error.party} for contract.toml.{error.party}.share and put it beside the contract",
        SIGNATURE,
    )


def _refused(error: Any) -> Explanation:
    return Explanation("refused", f"{error.clause}: {error.rule}", error.remedy, REFUSED)


def _budget(error: Any) -> Explanation:
    return Explanation("budget", error.message, error.hint, BUDGET)


def _reasons(rejects: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(rejects.items()))


def _rejects(error: Any) -> Explanation:
    rejected = sum(error.rejects.values())
    return Explanation(
        "rejects",
        f"{_name(error.path)}: {rejected} of {error.rows} rows break a rule ({_reasons(error.rejects)}), "
        f"{error.allowed} may",
        f"mend the file, or leave them out with `--max-rejects {rejected}`",
        BAD_INPUT,
    )


def _nothing_left(error: Any) -> Explanation:
    return Explanation(
        "nothing-left",
        f"{_name(error.path)}: no row of it can be used ({_reasons(error.rejects)})",
        "`passbox contract show` says how this column should arrive, and which values were agreed",
        BAD_INPUT,
    )


def _missing_columns(error: Any) -> Explanation:
    alike = f"; it has `{', '.join(error.alike)}`" if error.alike else ""
    return Explanation(
        "columns",
        f"the file has no column {', '.join(error.columns)} among its {error.found}{alike}",
        "rename the column, or say `--column email=COLUMN` for an identifier",
        BAD_INPUT,
    )


def _os_error(error: Any) -> Explanation:
    name = _name(error.filename) if error.filename else "a file"
    if isinstance(error, FileNotFoundError):
        return Explanation("no-such-file", f"{name}: there is no such file", "check the path", BAD_INPUT)
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return Explanation("no-such-file", f"{name}: a file was expected", "check the path", BAD_INPUT)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Explanation(
            "disk-full", "the disk is full", "make room and type it again: nothing was half-applied", STORAGE
        )
    if error.errno == errno.EROFS or isinstance(error, PermissionError):
        return Explanation("not-writable", f"{name}: not allowed", "check the rights of the folder", STORAGE)
    return Explanation("storage", f"{name}: the disk did not answer as it should", "check the disk", STORAGE)


def _sqlite(error: Any) -> Explanation:
    full = "full" in str(error)
    message = "the disk is full" if full else "the ledger could not be written or read"
    hint = "make room and type it again: nothing was charged" if full else "check the disk; nothing was charged"
    return Explanation("disk-full" if full else "ledger-storage", message, hint, STORAGE)


def _ledger_broken(error: Any) -> Explanation:
    where = "the log" if error.entry is None else f"entry {error.entry}"
    return Explanation(
        "ledger-broken", f"{where} does not hold: {error.rule}", "keep this copy and ask the operator", SIGNATURE
    )


def _simple(rule: str, message: str, hint: str, exit_code: int) -> Callable[[Any], Explanation]:
    def words(error: Any) -> Explanation:
        return Explanation(rule, message.format(e=error), hint.format(e=error), exit_code)

    return words


_WORDS: dict[str, Callable[[Any], Explanation]] = {
    # what a party brings
    "BadSource": _placed("bad-file", BAD_INPUT),
    "TooManyRejects": _rejects,
    "NothingLeft": _nothing_left,
    "ColumnMissing": _missing_columns,
    "ColumnUnreadable": _simple(
        "column-type", "column {e.column} cannot be read as {e.declared}", "export it as text or numbers", BAD_INPUT
    ),
    "NotTheOwner": _simple(
        "not-the-owner",
        "these keys are not those of {e.owner}, who owns {e.dataset}",
        "use the owner's `--key`",
        BAD_INPUT,
    ),
    "FileInTheWay": _simple(
        "in-the-way",
        "{e.path}: another file is there, and was left as it is",
        "move it, or choose another `--out`",
        BAD_INPUT,
    ),
    "SampleSizeError": _simple(
        "sample-size", "these sizes cannot be generated: {e.rule}", "`passbox demo --help` names the limits", USAGE
    ),
    "BadBundle": _placed("bad-bundle", BAD_INPUT),
    "RepeatedHandle": _simple("repeated", "a data set holds a person twice", "prepare it again", BAD_INPUT),
    # contracts, jobs, keys
    "InvalidContract": _invalid,
    "SignatureBroken": _signature_broken,
    "SignatureMissing": _signature_missing,
    "ShareUnusable": _share,
    "BadShare": _simple("match-key", "the share of {e.party} cannot be used", "ask {e.party} to sign again", SIGNATURE),
    "TooFewShares": _simple(
        "match-key", "a match key takes shares of two parties", "a contract needs two owners of data", REFUSED
    ),
    "HalfSigned": _simple(
        "half-signed",
        "{e.party} owns data, so it signs the contract and its share of the match key together",
        "add `{e.missing}` with the file that `ssh-keygen -Y sign` wrote",
        USAGE,
    ),
    "KeysUnusable": _placed("keys", BAD_INPUT),
    "BadKey": _simple("keys", "a key cannot be used", "use an Ed25519 key", BAD_INPUT),
    "NotMyKeys": _simple(
        "not-my-keys",
        "{e.key} of this contract is not the key of {e.party}: somebody else could open what is sealed to it",
        "do not sign it; send your card to whoever drafts the contract, and ask for a draft with your own keys",
        SIGNATURE,
    ),
    "NoParty": _simple(
        "unknown-party",
        "these keys belong to no party of the contract",
        "`passbox contract show` names them",
        BAD_INPUT,
    ),
    "NoSuchDataset": _simple(
        "no-such-dataset", "the contract knows no data set {e.name}", "it knows {e.known}", BAD_INPUT
    ),
    "RoleMissing": _simple(
        "role-missing",
        "none of the cards is of the role {e.role}",
        "pass the card of each party with `--party`",
        USAGE,
    ),
    "NoRole": _simple("role", "{e.rule}", "{e.remedy}", USAGE),
    # the room
    "RoomUnusable": _placed("room", BAD_INPUT),
    "StoreDamaged": _simple(
        "store", "{e.path}: it does not open under the room's key", "restore it, or submit again", SIGNATURE
    ),
    "NotMatched": _simple(
        "not-matched", "{e.people} and {e.seed} were not matched yet", "type `passbox match {e.room}`", BAD_INPUT
    ),
    "Refused": _refused,
    "EpsilonTooSmall": _simple("refused", "no noise keeps to so small an epsilon", "ask a larger one", REFUSED),
    "Unaffordable": _budget,
    "BudgetExceeded": _simple(
        "budget", "the account {e.account} does not hold what this costs", "`passbox ledger show`", BUDGET
    ),
    "UnpaidPart": _simple("unpaid", "{e.rule}", "this is a fault of passbox: please report it", INTERNAL),
    "BadRelease": _placed("release", BAD_INPUT),
    # the ledger
    "BadCosignature": _placed("cosignature", BAD_INPUT),
    "WindowFull": _simple(
        "window",
        "{e.account} may not be spent so far ahead of the last cosigned entry",
        "`passbox ledger export`, let a witness run `passbox ledger cosign`, then `passbox ledger accept`",
        BUDGET,
    ),
    "RolledBack": _simple(
        "rolled-back",
        "this ledger has {e.size} entries, and {e.witness} has cosigned {e.seen} of it: it was rolled back",
        "restore the newest copy; nothing is paid for until then",
        SIGNATURE,
    ),
    "Forked": _simple(
        "forked",
        "{e.witness} has cosigned another history of this ledger, up to entry {e.seen}: there are two of them",
        "keep both copies and ask the operator: somebody was shown another ledger",
        SIGNATURE,
    ),
    "LedgerDamaged": _simple(
        "ledger-damaged", "the ledger is damaged: {e.part}", "restore it from the disk's backup", SIGNATURE
    ),
    "LedgerBroken": _ledger_broken,
    "BadLog": _simple(
        "bad-export", "{e.path}: {e.rule}", "ask the operator for `passbox ledger export` again", SIGNATURE
    ),
    # the machine
    "OSError": _os_error,
    "MemoryError": _simple("memory", "there is not enough memory", "use a larger machine or a smaller file", STORAGE),
    "OperationalError": _sqlite,
    "DatabaseError": _sqlite,
    "KeyboardInterrupt": _simple("interrupted", "stopped", "nothing was half-applied; type it again", 130),
}


def tell(error: BaseException, as_json: bool) -> int:
    """Print an error's words where they belong, and give its exit code."""
    from .show import note, print_json

    words = explain(error)
    if as_json:
        print_json(words.as_json())
    else:
        note(f"error: {words.message}", "bold red")
        note(f"hint: {words.hint}", "dim")
    sys.stdout.flush()
    return words.exit
