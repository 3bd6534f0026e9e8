"""Signatures that do not hold, or are not there."""

from __future__ import annotations

from typing import Any

from ..explanation import SIGNATURE, USAGE, Explanation, Words, simple


def _signature_broken(error: Any) -> Explanation:
    reason = _REASONS.get(error.reason, error.reason)
    return Explanation(
        "signature-broken",
        f"the signature of {error.party} on this {error.what} does not hold: {reason}",
        _MEND.get(error.what, f"ask {error.party} for it again, and compare fingerprints by voice"),
        SIGNATURE,
    )


_REASONS = {
    "not-a-signature": "it is not a signature",
    "wrong-namespace": "it was made for another purpose",
    "wrong-key": "it was made with another key",
    "broken": "the content was changed after it was signed",
    "unsupported": "its kind is not supported",
}

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


WORDS: dict[str, Words] = {
    "SignatureBroken": _signature_broken,
    "SignatureMissing": _signature_missing,
    "HalfSigned": simple(
        "half-signed",
        "{e.party} owns data, so it signs the contract and its share of the match key together",
        "add `{e.missing}` with the file that `ssh-keygen -Y sign` wrote",
        USAGE,
    ),
    "NotApproved": _not_approved,
}
