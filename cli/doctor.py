"""`passbox doctor`: whether this machine can keep a room's promises."""

from __future__ import annotations

from .show import JsonFlag, Result, Table, say


def doctor(as_json: JsonFlag = False) -> None:
    """Look at this machine: versions with known faults, tools that are missing. Changes nothing."""
    from dataclasses import asdict

    from ..cleanroom.machine import examine_machine

    found = examine_machine()
    rows = [(item.what, item.found, "fine" if item.fine else "look", item.advice) for item in found]
    wrong = sum(not item.fine for item in found)
    say(
        Result(
            {"findings": [asdict(item) for item in found], "fine": not wrong},
            [Table(("what", "found", "", "what it means"), rows), f"{wrong} to look at" if wrong else "all fine"],
        ),
        as_json,
    )
