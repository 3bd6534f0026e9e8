"""release.json: the shape of what a reader opens, one for who writes it and for all who read it.

No field more, none less, no NaN, no number beyond its range. What a kind of release holds beside what all hold stands
with the kind (`cleanroom.measure`). Whether the figures are true says `cleanroom.opening`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

FORMAT = "passbox release v1"

Identity = Annotated[str, StringConstraints(pattern="^[a-z]{3,20}-[0-9a-f]{12}$")]
Hex = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Places = Annotated[list[Count], Field(min_length=1, max_length=10)]
Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A part of a document: no key more than is known, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Figure(Strict):
    """A number with its interval (`dp.noisy.Estimate`)."""

    estimate: float
    low: float
    high: float
    covers: Literal["noise", "noise and sampling"]


class Under(Strict):
    """The contract it was made under."""

    name: str
    sha256: Hex


class ReceiptEntry(Strict):
    """A noisy statistic: its entry as logged, where that stands in the log, and what it commits to.

    keys: those that show, where nobody listed them. Then there may be none, and no values. ahead: the entry that
    carries the charge, where the noise was paid ahead; the room's word, which `vouched` holds against the log.
    """

    sequence: Count
    entry: str
    proof: list[Hex]
    nonce: Hex
    values: list[Integer]
    keys: list[str] | None = Field(default=None, exclude_if=lambda value: value is None)
    ahead: Count | None = Field(default=None, exclude_if=lambda value: value is None)


class Paid(Strict):
    """The receipt: a signed checkpoint and the entries below it."""

    checkpoint: str
    entries: Annotated[list[ReceiptEntry], Field(min_length=1, max_length=10)]


class Document(Strict):
    """What every release says. kind: a kind of job."""

    format: Literal["passbox release v1"]
    id: Identity
    kind: str
    contract: Under
    purpose: str
    recipients: list[str]
    who_learns_what: list[str]
    warnings: list[str]
    receipt: Paid
