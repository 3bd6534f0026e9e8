"""Commands: typed so that they cannot be run, or stopped."""

from __future__ import annotations

from ..explanation import AGAIN, STOPPED, USAGE, Words, simple

WORDS: dict[str, Words] = {
    "NoRole": simple("usage", "{e.rule}", "{e.remedy}", USAGE),
    "RoleMissing": simple(
        "role-missing",
        "none of the cards is of the role {e.role}",
        "pass the card of each party with `--party`",
        USAGE,
    ),
    "SampleSizeError": simple(
        "sample-size", "these sizes cannot be generated: {e.rule}", "`passbox demo --help` names the limits", USAGE
    ),
    "DemoStopped": simple(
        "interrupted",
        "stopped",
        "`{e.folder}` is half done: remove it and type the same again, or choose another folder with `--out`",
        STOPPED,
    ),
    "PipeStopped": simple(
        "interrupted", "stopped", "lines that went out count: drawn again, the same texts tell more", STOPPED
    ),
    "KeyboardInterrupt": simple("interrupted", "stopped", AGAIN, STOPPED),
    "Abort": simple("interrupted", "stopped", AGAIN, STOPPED),
}
