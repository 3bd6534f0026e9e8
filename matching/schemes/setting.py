"""What a rule cannot know of itself, and a contract or a command line declares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """country: ISO 3166 region, such as "US", whose numbers are written without their country code; None where every
    number carries its own. window: hours for which an IP address counts as one household's; None where none was agreed.
    """

    country: str | None = None
    window: int | None = None


NOTHING_DECLARED = Setting()
