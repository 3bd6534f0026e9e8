"""Signing at a party: the contract, a data party's share of the match key, and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..policies.agreement import SignatureBroken, read_contract, signature_path, standings
from ..policies.contract import Contract
from ..policies.request import Job, parse_job
from ..policies.share import ShareUnusable, check_share, new_share, share_path, signed_share
from ..policies.sign import BadSignature, ssh_keygen_line, verify
from ..policies.sign import sign as make_signature
from .files import write, write_new
from .keys import Keys


class NoParty(Exception):
    """These keys belong to no party of the contract."""


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

    @property
    def broken(self) -> str:
        """The reason code of what does not hold, or ""."""
        return next((code for code in (self.signature, self.share) if code not in ("signed", "missing", "-")), "")


def party_of(contract: Contract, keys: Keys) -> str:
    """The party whose keys these are. Errors: NoParty."""
    public = keys.sign_public()
    for name, party in contract.party.items():
        if party.sign.split()[:2] == public.split()[:2]:
            return name
    raise NoParty


def sign_contract(path: Path, keys: Keys, key: Ed25519PrivateKey) -> Signed:
    """Sign a contract, and as a data party give a share. A share that is there and holds is kept.

    Errors: InvalidContract, NoParty, OSError.
    """
    contract, data = read_contract(path)
    party = party_of(contract, keys)
    at = signature_path(path, party)
    write(at, make_signature(data, key, "passbox-contract").encode())
    if party not in contract.data_parties:
        return Signed(party, at, None)
    shared = share_path(path, party)
    if not _holds(contract, data, party, shared):
        write(shared, signed_share(new_share(contract, data, party), key).encode())
    return Signed(party, at, shared)


def _holds(contract: Contract, data: bytes, party: str, shared: Path) -> bool:
    try:
        check_share(contract, data, party, shared.read_text())
    except (FileNotFoundError, ShareUnusable, SignatureBroken):
        return False
    return True


def by_hand(path: Path, keys: Keys, signature: Path | None, share_signature: Path | None) -> Signed:
    """Sign with a key that is elsewhere: first say what to type, then take the files that came of it.

    Errors: as `sign_contract`; SignatureBroken where a file does not hold.
    """
    contract, data = read_contract(path)
    party = party_of(contract, keys)
    shared = share_path(path, party) if party in contract.data_parties else None
    unsigned = shared.with_name(f"{shared.name}.unsigned") if shared else None
    if signature is None:
        return _lines(path, keys, contract, data, party, shared, unsigned)
    text = signature.read_text()
    _require("contract", contract, party, data, text, "passbox-contract")
    if shared and unsigned and share_signature:
        _require("share", contract, party, unsigned.read_bytes(), share_signature.read_text(), "passbox-share")
        write(shared, unsigned.read_bytes() + share_signature.read_bytes())
    at = signature_path(path, party)
    write(at, text.encode())
    return Signed(party, at, shared)


def _lines(
    path: Path, keys: Keys, contract: Contract, data: bytes, party: str, shared: Path | None, unsigned: Path | None
) -> Signed:
    key = keys.folder / "sign.pub"
    lines = [ssh_keygen_line(path, "passbox-contract", key)]
    if shared and unsigned:
        if not unsigned.exists():
            write_new(unsigned, new_share(contract, data, party).encode())
        lines.append(ssh_keygen_line(unsigned, "passbox-share", key))
    return Signed(party, None, shared, tuple(lines))


def _require(what: str, contract: Contract, party: str, data: bytes, signature: str, namespace: str) -> None:
    try:
        verify(data, signature, contract.party[party].sign, namespace)  # type: ignore[arg-type]
    except BadSignature as error:
        raise SignatureBroken(what, party, error.reason) from None


def standing(path: Path, contract: Contract, data: bytes) -> list[Standing]:
    """Every party's signature and share, as they lie beside the contract."""
    found = {name: signature_path(path, name) for name in contract.party}
    signatures = {name: at.read_text() for name, at in found.items() if at.is_file()}
    states = standings(contract, data, signatures)
    return [Standing(name, state, _share_state(path, contract, data, name)) for name, state in states.items()]


def _share_state(path: Path, contract: Contract, data: bytes, party: str) -> str:
    if party not in contract.data_parties:
        return "-"
    shared = share_path(path, party)
    if not shared.is_file():
        return "missing"
    try:
        check_share(contract, data, party, shared.read_text())
    except ShareUnusable as error:
        return error.reason
    except SignatureBroken as error:
        return error.reason
    return "signed"


def read_shares(path: Path, contract: Contract) -> dict[str, str]:
    """The shares that lie beside a contract, unopened."""
    found = {name: share_path(path, name) for name in contract.data_parties}
    return {name: at.read_text() for name, at in found.items() if at.is_file()}


def sign_job(path: Path, name: str, key: Ed25519PrivateKey) -> tuple[Job, Path]:
    """Sign a job as a party. Errors: InvalidContract, OSError."""
    data = path.read_bytes()
    job = parse_job(data)
    at = signature_path(path, name)
    write(at, make_signature(data, key, "passbox-job").encode())
    return job, at
