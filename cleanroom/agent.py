"""Signing with a key that is elsewhere: `ssh-keygen` asks the agent or token that holds it.

The code ensures: what comes back is verified under the party's own public key before anybody uses it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ..policies.sign import BadSignature, Namespace, Signer, verify


class AgentUnable(Exception):
    """No agent or token signed. path: the public key. rule: what is wrong. remedy: what to do."""

    def __init__(self, path: Path, rule: str, remedy: str) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy = path, rule, remedy


def agent_signer(path: Path, public: str) -> Signer:
    """Signs with the private half of the key in the file `path`, which an agent or token holds.

    public: its line. What it gives raises AgentUnable where nobody signs.
    """

    def signed(data: bytes, namespace: Namespace) -> str:
        signature = _asked(path, data, namespace)
        try:
            verify(data, signature, public, namespace)
        except BadSignature:
            rule = "only the public half of this key is here, and what the agent signed does not hold"
            raise AgentUnable(path, rule, "let the agent hold the key itself, not a certificate of it") from None
        return signature

    return signed


def _asked(path: Path, data: bytes, namespace: Namespace) -> str:
    """What `ssh-keygen -Y sign` writes of data on its standard input."""
    program = shutil.which("ssh-keygen")
    if program is None:
        rule = "only the public half of this key is here, and there is no `ssh-keygen` to ask its agent or token with"
        raise AgentUnable(path, rule, "install OpenSSH 8.2 or newer, and type it again")
    command = [program, "-Y", "sign", "-n", namespace, "-f", str(path)]
    done = subprocess.run(command, input=data, capture_output=True, check=False)  # noqa: S603 - no shell, words of ours
    if done.returncode:
        rule = "only the public half of this key is here, and no agent or token signed with it"
        raise AgentUnable(path, rule, "start `ssh-agent`, `ssh-add` the key (`ssh-add -L` lists it), and type it again")
    return done.stdout.decode("ascii", "replace")
