#!/usr/bin/env python3
"""Verify a copy of a Passbox ledger without Passbox: python3 verify_ledger.py EXPORT CONTRACT [SEEN_CHECKPOINT ...]

CONTRACT: the one you signed, all signatures beside it. SEEN: checkpoints you kept. Needs openssl 3 and ssh-keygen.
Every entry is made once more from what was signed, and must be that. Says `OK`, or `FAIL entry N: rule` and exits 1.
Left to `passbox ledger verify`: days, sizes, the spelling of contract, jobs and manifests, 1e-9 of a ρ.
"""

import hashlib
import json
import math
import re
import subprocess
import tempfile
import tomllib
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any

NOTE = re.compile(r"((\S+)\n(0|[1-9][0-9]{0,18})\n(\S{44})\n)\n((?:— \S+ \S+\n)+)")
OPENSSL = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message -sigfile signature"
FREE = {"time": r"[0-9-]{10}T[0-9]{2}:00Z", "commitment": "[0-9a-f]{64}", "clause": "[a-z0-9_.-]+", "library": ".+"}
STATISTICS = {  # the job that draws it, part of the people, bits of the lattice, sensitivity (L2, squared)
    "matched-count@1": ("overlap", "all", 10, 2**20),
    "seed-moments@1": ("lookalike", "train", 20, 2**40 + (2**20 * 15 // 100) ** 2),
    "score-histogram@1": ("lookalike", "held-out", 10, 2**20),
}
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def require(holds: object, rule: str) -> None:
    if not holds:
        raise ValueError(rule)


def accepts(command: str, key: bytes, message: bytes, signature: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("key", key), ("message", message), ("signature", signature)):
            Path(folder, name).write_bytes(data)
        return subprocess.run(command.split(), cwd=folder, input=message, capture_output=True).returncode == 0


@cache
def signed(path: Path, signature: Path, signer: str, namespace: str) -> tuple[Any, str]:
    """What is in this TOML or JSON file, and its SHA-256. signer: name and SSH key."""
    data, command = path.read_bytes(), f"ssh-keygen -Y verify -f key -I {signer.split()[0]} -n {namespace} -s signature"
    good = accepts(command, signer.encode(), data, signature.read_bytes())
    require(good, f"{signature.name} is no signature of {signer.split()[0]}")
    return (json if path.suffix == ".json" else tomllib).loads(data.decode()), hashlib.sha256(data).hexdigest()


def root_of(row: list[bytes]) -> bytes:
    while len(row) > 1:
        pairs = zip(row[::2], row[1::2], strict=False)
        row = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs] + row[len(row) & ~1 :]
    return row[0] if row else hashlib.sha256().digest()


def price(l2_squared: int, scale: int) -> int:
    """ρ in units of 10^-12: of a continuous Gaussian of 4 less variance, rounded up. scale: in units of 2^-20."""
    return -(-l2_squared * 2**40 * 10**12 // (2 * (scale**2 - 2**42)))


def within(rho: float, budget: dict[str, float]) -> bool:
    """Whether ρ keeps to (ε, δ) on the exact Gaussian curve, where ρ = μ²/2."""
    mu = math.sqrt(2e-12 * rho)
    low, high = (math.erfc((budget["epsilon"] / mu + sign * mu / 2) / math.sqrt(2)) / 2 for sign in (-1, 1))
    return low - math.exp(budget["epsilon"]) * high <= budget["delta"] * (1 - 1e-9)


class Copy:
    """A copy of a log, and the contract it is held against."""

    def __init__(self, export: Path, contract: Path) -> None:
        self.export, self.terms, self.at = export, tomllib.loads(contract.read_text()), -1
        self.caps, self.first, self.asked = (dict[Any, Any]() for _ in range(3))
        self.charges, self.hashes = list[tuple[int, str, str, int]](), list[bytes]()
        self.keys = {name: f"{name} {party['sign']}" for name, party in self.terms["party"].items()}
        for name, key in self.keys.items():
            _, self.digest = signed(
                contract, contract.with_name(f"{contract.name}.{name}.sig"), key, "passbox-contract"
            )

    def head(self, path: Path, witness: str = "") -> int:
        """The size of a checkpoint of this very log, signed by the room and by a witness if one is named."""
        found, room = NOTE.fullmatch(path.read_bytes().decode()), self.terms["room"]
        require(found and found[2] == room["name"], f"{path.name} is no checkpoint of this room")
        signers = [(room["name"], b64decode(room["checkpoint"].split("+", 2)[2]))]
        if witness:
            signers.append((f"{room['name']}/{witness}", b"\x04" + b64decode(self.keys[witness].split()[2])[-32:]))
        for name, key in signers:
            raw = [b64decode(line.split()[2]) for line in found[5].splitlines() if line.split()[1] == name]
            ours = [each for each in raw if each[:4] == sha256(name + "\n" + key).digest()[:4]]
            for body in raw:
                time = ...
