"""What the parties signed, as a copy of the log holds it: the job, the data sets and the losses behind an entry."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import ValidationError

from ..dp.carry import Carried
from ..dp.tree import leaf_hash, root_of
from ..policies.check import Submitted
from ..policies.document import InvalidContract
from ..policies.loss import approved_by, approvers, parse_loss
from ..policies.request import Request, parse_job
from ..policies.sign import BadSignature, verify
from .books import Books, Entry, LedgerBroken, require
from .bundle import Manifest
from .private import faults
from .room import public


def signed_request(books: Books, entry: Entry) -> Request:
    """The job behind an entry: here, and signed by its asker."""
    name, asker = f"{entry['job']}.toml", entry["asker"]
    data = _kept(books.log.requests, name, entry["job"], "the signed job is not in the copy")
    signature = books.log.requests.get(f"{name}.{asker}.sig", b"").decode("ascii", "replace")
    require(asker in books.agreement.contract.party, "its asker is no party")
    try:
        verify(data, signature, books.agreement.contract.party[asker].sign, "passbox-job")
        return Request(parse_job(data), data, asker, signature)
    except BadSignature:
        raise LedgerBroken(None, "the job is not signed by its asker") from None
    except InvalidContract:
        raise LedgerBroken(None, "its job is not one") from None


def submission(books: Books, name: str, manifest: str) -> Submitted:
    """A data set behind an entry: signed by its owner for this room and contract, and none older than one before."""
    held = books.manifests.get((name, manifest)) or _manifest(books, name, manifest)
    books.manifests[name, manifest] = held
    require(held.made >= books.made.get(name, held.made), "a data set is older than the one used before")
    books.made[name] = held.made
    used = books.used.setdefault(name, [manifest])
    if manifest != used[-1]:
        require(manifest not in used, "a data set is used again that another had replaced")
        used.append(manifest)
    return public(manifest, held)


def _manifest(books: Books, name: str, manifest: str) -> Manifest:
    """The signed manifest of a data set."""
    contract = books.agreement.contract
    require(name in contract.dataset, "its data sets are not the contract's")
    data = _kept(books.log.manifests, f"{manifest}.json", manifest, "the manifest of a data set is not in the copy")
    owner = contract.dataset[name].owner
    try:
        verify(data, books.log.manifests.get(f"{manifest}.json.sig", b""), contract.party[owner].sign, "passbox-bundle")
        held = Manifest.model_validate_json(data)
    except (BadSignature, ValidationError):
        raise LedgerBroken(None, "the manifest of a data set is not signed by its owner") from None
    require((held.dataset, held.owner) == (name, owner), "a manifest is of another data set")
    here = (books.agreement.digest, contract.room.name)
    require((held.contract, held.room) == here, "a manifest was signed for another contract or room")
    unfit = faults(held.private, contract.dataset[name])
    require(not unfit, "a privatised column is not what its contract declares")
    return held


def signatures_of(files: Mapping[str, bytes], name: str) -> dict[str, str]:
    """The signatures that lie beside a signed document among files, by party, unchecked."""
    beside = [at for at in files if at.startswith(f"{name}.") and at.endswith(".sig")]
    return {at.removeprefix(f"{name}.").removesuffix(".sig"): files[at].decode("ascii", "replace") for at in beside}


def _kept(files: Mapping[str, bytes], name: str, sha256: str, missing: str) -> bytes:
    """What lies in the copy under a name, which says its digest. missing: the rule where nothing does."""
    data = files.get(name)
    require(data is not None, missing)
    assert data is not None  # noqa: S101 - said again for the type checker
    require(hashlib.sha256(data).hexdigest() == sha256, CHANGED)
    return data


CHANGED = "a job or manifest was changed"
"""As the page says it that every copy carries (`cleanroom.verifier`)."""


def loss_stated(books: Books, entry: Entry) -> Carried:
    """A loss that owners and witnesses agreed to: how much, after which head of this very log."""
    digest, contract = entry["statement"], books.agreement.contract
    data = _kept(books.log.requests, f"{digest}.toml", digest, "the statement of loss is not in the copy")
    try:
        loss = parse_loss(data)
    except InvalidContract:
        raise LedgerBroken(None, "its statement of loss is none") from None
    needed = approvers(contract)
    signed = approved_by(contract, data, signatures_of(books.log.requests, f"{digest}.toml"))
    require(needed is not None and not needed.missing(signed), "not everybody who has to approve a loss has signed it")
    here = (books.agreement.digest, entry["seq"], root_of([leaf_hash(each) for each in books.log.entries[: loss.size]]))
    require((loss.contract, loss.size, bytes.fromhex(loss.root)) == here, "its statement of loss is about another log")
    return loss.carried(digest)
