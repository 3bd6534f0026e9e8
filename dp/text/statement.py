"""What goes with a table whose columns were privatised: which, under which certificate, and how much a person.

Written beside the privatised file; `prepare` puts it into the bundle's manifest, which its owner signs. One JSON
object:

    format    "passbox privatised columns v1"
    file      SHA-256 of the privatised file
    columns   [{"column", "tokens", "certificate"}]: tokens, how many words of each person were drawn, the same for
              all; null where that number is the person's own, and so is not private

Metric differential privacy is not (ε, δ), and is never added to it: between two people whose words lie at distances
d_1, d_2, ... the odds of everything drawn differ by at most e^(ε (d_1 + d_2 + ...)).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .certificate import LARGEST_FILE, Certificate, CertificateUnreadable, Hex, refuse_doubled

ColumnName = Annotated[str, Field(min_length=1, max_length=300)]
MOST_TOKENS = 10_000


class PrivateColumn(BaseModel):
    """One column. tokens: drawn for each person, or None where that differs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: ColumnName
    tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS, strict=True)] | None
    certificate: Certificate

    @property
    def any_two_texts(self) -> Decimal | None:
        """The largest log-ratio between any two people's values of this column, where there is one."""
        if self.tokens is None or self.certificate.any_two is None:
            return None
        return self.tokens * Decimal(self.certificate.any_two)


class Statement(BaseModel):
    """Everything that was privatised in one file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["passbox privatised columns v1"] = "passbox privatised columns v1"
    file: Hex
    columns: Annotated[tuple[PrivateColumn, ...], Field(min_length=1, max_length=100)]

    def spelled(self) -> bytes:
        """The bytes of its file."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def parse(data: bytes) -> Statement:
    """Errors: CertificateUnreadable."""
    if len(data) > LARGEST_FILE:
        raise CertificateUnreadable("it is larger than a statement can be")
    refuse_doubled(data)
    try:
        statement = Statement.model_validate_json(data)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        fault = f": {where} is not as it must be" if where else ""
        raise CertificateUnreadable(f"it is no statement about privatised columns{fault}") from None
    if len({each.column for each in statement.columns}) < len(statement.columns):
        raise CertificateUnreadable("a column stands twice in it")
    return statement
