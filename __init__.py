"""Passbox: a data clean room for the terminal.

    import passbox

gives the stages of the job as functions; each is imported when it is first used, so that importing is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cleanroom.audit import verify_log as verify_log
    from .cleanroom.drawing import draw_from as draw_from
    from .cleanroom.foundation import create_room as create_room
    from .cleanroom.job import plan as plan
    from .cleanroom.job import read_request as read_request
    from .cleanroom.job import run as run
    from .cleanroom.keys import open_keys as open_keys
    from .cleanroom.log import log_of as log_of
    from .cleanroom.log import read_log as read_log
    from .cleanroom.matched import match as match
    from .cleanroom.opening import open_release as open_release
    from .cleanroom.room import open_room as open_room
    from .cleanroom.submit import submit as submit
    from .policies.agreement import read_agreement as read_agreement

_HOMES = {
    "create_room": "cleanroom.foundation",
    "draw_from": "cleanroom.drawing",
    "log_of": "cleanroom.log",
    "match": "cleanroom.matched",
    "open_keys": "cleanroom.keys",
    "open_release": "cleanroom.opening",
    "open_room": "cleanroom.room",
    "plan": "cleanroom.job",
    "read_agreement": "policies.agreement",
    "read_log": "cleanroom.log",
    "read_request": "cleanroom.job",
    "run": "cleanroom.job",
    "submit": "cleanroom.submit",
    "verify_log": "cleanroom.audit",
}

__all__ = [  # noqa: PLE0604 - strings, sorted from the map above
    *sorted(_HOMES)
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
