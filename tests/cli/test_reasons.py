"""Every reason for a rejection has words."""

from __future__ import annotations

from passbox.cli.reasons import _REMEDIES, meaning, remedy
from passbox.matching.rejects import RejectCode


def test_every_reason_has_a_meaning() -> None:
    assert [code for code in RejectCode if not meaning(code)] == []


def test_remedies_are_for_reasons_that_there_are() -> None:
    assert set(_REMEDIES) <= {str(code) for code in RejectCode}
    assert "`--column phone=COLUMN`" in remedy({"phone: raw-in-hashed-column": 3})
    assert remedy({"email: not-an-email": 2}) == ""
