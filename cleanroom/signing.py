"""Signing at a party: the contract, a data party's share of the match key, and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ..policies.agreement import (
    SignatureBroken,
    SignatureMissing,
    read_armored,
    read_contract,
    read_signatures,
    read_signed,
    signature_path,
    standings,
)
from ..policies.contract import Contract
from ..policies.document import read_document
from ..policies.share import ShareUnusable, check_share, is_share_of, new_share, share_path, signed_share
from ..policies.sign import BadSignature, Namespace, Signer, parse_public_key, ssh_keygen_line, verify
from .cards import room_card
from .files import sweep_of, write
from .keys import Keys
from .memory import refuse_untold, remember

if TYPE_CHECKING:
    from ..policies.jobs.job import Job


class NoParty(Exception):
    """These keys belong to no party of the contract."""


class HalfSigned(Exception):
    """An owner of data gives a signature without its share of the match key, or the other way round.

    missing: the option that brings what is not there.
    """

    def __init__(self, party: str, missing: str) -> None:
        super().__init__(party, missing)
        self.party, self.missing = party, missing


class NotMyKeys(Exception):
    """The contract carries another key where the signer's own should stand. key: where in the contract."""

    def __init__(self, party: str, key: str) -> None:
        super().__init__(party, key)
        self.party, self.key = party, key


@dataclass(frozen=True, slots=True)
class Signed:
    """What signing left. share: a data party's. lines: what is still to be typed where the key is elsewhere."""

    party: str
    signature: Path | None
    share: Path | None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one party. signature, share: "signed", "missing", or why it does not hold; "-" for no share."""

    party: str
    signature: str
    share: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A contract and one of its parties: what is signed, and where it goes."""

    path: Path
    contract: Contract
    data: bytes
    party: str

    @property
    def signature(self) -> Path:
        return signature_path(self.path, self.party)

    @property
    def share(self) -> Path | None:
        """Where the share goes; None for a party without data."""
        return share_path(self.path, self.party) if self.party in self.contract.data_parties else None


def party_of(contract: Contract, keys: Keys) -> str:
    """The party whose keys these are. Errors: NoParty."""
    public = keys.sign_public()
    for name, party in contract.party.items():
        if parse_public_key(party.sign) == public:
            return name
    raise NoParty


def sign_contract(path: Path, keys: Keys, sign: Signer, today: date) -> Signed:
    """Sign a contract, and as a data party give a share. A share that is there and holds is kept.

    Errors: InvalidContract, SignatureBroken where it was changed after somebody signed it, NoParty, NotMyKeys, Untold,
    OSError; those of `sign`, before anything is written.
    """
    at = _place(path, keys, today)
    gives = at.share is not None and not _holds(at, at.share)
    share = signed_share(_waiting(at, keys), sign) if gives else None
    signature = sign(at.data, "passbox-contract")
    _put(at, keys, signature, share)
    return Signed(at.party, at.signature, at.share)


def _waiting(at: _Place, keys: Keys) -> str:
    """The share that is still to be signed: one that waits already, or a new one."""
    unsigned = unsigned_path(keys, at.share) if at.share else None
    if unsigned and unsigned.is_file() and is_share_of(text := read_armored(unsigned), at.data, at.party):
        return text
    return new_share(at.contract, at.data, at.party)


def _put(at: _Place, keys: Keys, signature: str, share: str | None) -> None:
    """Remember the contract, then write what was signed. share: None where the one that is there stays."""
    remember(keys, at.data)
    _sweep(at)
    if at.share and share is not None:
        write(at.share, share.encode())
    write(at.signature, signature.encode())
    if at.share:
        unsigned_path(keys, at.share).unlink(missing_ok=True)  # last: until then the same can be typed again


def _sweep(at: _Place) -> None:
    """What a killed command left half-written."""
    sweep_of(at.signature)
    if at.share:
        sweep_of(at.share)


def _place(path: Path, keys: Keys, today: date) -> _Place:
    contract, data = read_contract(path, today)
    party = party_of(contract, keys)
    _refuse_other_keys(contract, party, keys)
    refuse_untold(keys, contract, data, party)
    return _Place(path, contract, data, party)


def _refuse_other_keys(contract: Contract, party: str, keys: Keys) -> None:
    """Whoever drafts a contract writes down everybody's keys: nobody signs one that seals its own things to others."""
    if contract.party[party].seal != keys.seal_public():
        raise NotMyKeys(party, f"party.{party}.seal")
    if party == contract.room.operator:
        room = room_card(keys, party)
        for name in ("name", "seal", "checkpoint"):
            if getattr(contract.room, name) != getattr(room, name):
                raise NotMyKeys(party, f"room.{name}")


def _holds(at: _Place, share: Path) -> bool:
    try:
        check_share(at.contract, at.data, at.party, read_armored(share))
    except (FileNotFoundError, ShareUnusable, SignatureBroken):
        return False
    return True


# -- with a key that is elsewhere ------------------------------------------------------------------------------------


def lines_to_type(path: Path, keys: Keys, today: date) -> Signed:
    """What to type where the key is with an agent or on a token; a share to be signed is written for it.

    Errors: as `sign_contract`.
    """
    at = _place(path, keys, today)
    key = keys.folder / "sign.pub"
    lines = [ssh_keygen_line(path, "passbox-contract", key)]
    if at.share and not _holds(at, at.share):
        unsigned = unsigned_path(keys, at.share)
        sweep_of(unsigned)
        write(unsigned, _waiting(at, keys).encode(), 0o600)
        lines.append(ssh_keygen_line(unsigned, "passbox-share", key))
    return Signed(at.party, None, at.share, tuple(lines))


def unsigned_path(keys: Keys, share: Path) -> Path:
    """Where a share lies that is still to be signed: among the party's own keys, where nobody else can put one.

    Beside the contract, which comes from others, a planted share would be signed as the party's own.
    """
    return keys.folder / f"{share.name}.unsigned"


def take_signatures(
    path: Path, keys: Keys, signature: Path | None, share_signature: Path | None, today: date
) -> Signed:
    """Take the files that came of those lines: checked first, all of them, and then put in their places.

    Errors: as `sign_contract`; HalfSigned; SignatureBroken, ShareUnusable where a file does not hold.
    """
    at = _place(path, keys, today)
    if signature is None:
        raise HalfSigned(at.party, "--signature")
    text = read_armored(signature)
    _require("contract", at, at.data, text, "passbox-contract")
    share = _signed_share(at, unsigned_path(keys, at.share), share_signature) if at.share else None
    _put(at, keys, text, share)
    return Signed(at.party, at.signature, at.share)


def _signed_share(at: _Place, unsigned: Path, share_signature: Path | None) -> str | None:
    """The share with its signature, checked; None where the one that is there already holds, and no other waits."""
    if at.share and _holds(at, at.share) and not (share_signature and unsigned.is_file()):
        return None
    if share_signature is None:
        raise HalfSigned(at.party, "--share-signature")
    if not unsigned.is_file():
        raise ShareUnusable(at.party, "missing")
    text, signature = read_armored(unsigned), read_armored(share_signature)
    _require("share", at, text.encode(), signature, "passbox-share")
    check_share(at.contract, at.data, at.party, text + signature)
    return text + signature


def _require(what: str, at: _Place, data: bytes, signature: str, namespace: Namespace) -> None:
    try:
        verify(data, signature, at.contract.party[at.party].sign, namespace)
    except BadSignature as error:
        raise SignatureBroken(what, at.party, error.reason) from None


# -- what lies beside a contract -------------------------------------------------------------------------------------


def standing(path: Path) -> list[Standing]:
    """Every party's signature and share, as they lie beside a contract. Errors: InvalidContract, SignatureBroken where
    the bytes are no contract any more, OSError."""
    contract, data = read_signed(path)
    states = standings(contract, data, read_signatures(path, contract))
    return [Standing(name, state, _share_state(path, contract, data, name)) for name, state in states.items()]


def _share_state(path: Path, contract: Contract, data: bytes, party: str) -> str:
    if party not in contract.data_parties:
        return "-"
    shared = share_path(path, party)
    if not shared.is_file():
        return "missing"
    try:
        check_share(contract, data, party, read_armored(shared))
    except (ShareUnusable, SignatureBroken) as error:
        return error.reason
    return "signed"


def refuse_faults(found: list[Standing]) -> None:
    """Errors: SignatureBroken, ShareUnusable; SignatureMissing where something is only missing."""
    for row in found:
        if row.signature not in ("signed", "missing"):
            raise SignatureBroken("contract", row.party, row.signature)
    for row in found:
        if row.share in ("malformed", "of-another"):
            raise ShareUnusable(row.party, "malformed" if row.share == "malformed" else "of-another")
        if row.share not in ("signed", "missing", "-"):
            raise SignatureBroken("share", row.party, row.share)
    if unsigned := tuple(row.party for row in found if row.signature == "missing"):
        raise SignatureMissing("contract", unsigned)
    for row in found:
        if row.share == "missing":
            raise ShareUnusable(row.party, "missing")


def read_shares(path: Path, contract: Contract) -> dict[str, str]:
    """The shares that lie beside a contract, unopened. Errors: OSError."""
    found = {name: share_path(path, name) for name in contract.data_parties}
    return {name: read_armored(at) for name, at in found.items() if at.is_file()}


def sign_job(path: Path, name: str, sign: Signer) -> tuple[Job, Path]:
    """Sign a job as a party. Errors: InvalidContract, OSError, those of `sign`."""
    from ..policies.request import parse_job

    data = read_document(path)
    job = parse_job(data)
    at = signature_path(path, name)
    sweep_of(at)
    write(at, sign(data, "passbox-job").encode())
    return job, at
