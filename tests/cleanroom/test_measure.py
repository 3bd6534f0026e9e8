from __future__ import annotations

from passbox.cleanroom.measure import kinds
from passbox.cleanroom.measure.kinds import measure_of
from passbox.cli.reports.kinds import REPORTS
from passbox.policies.request import KINDS


def test_every_kind_of_job_can_be_measured_and_shown() -> None:
    assert kinds.KINDS == set(KINDS) == set(REPORTS)


def test_every_document_says_its_own_kind() -> None:
    for kind in KINDS:
        assert measure_of(kind).document.model_json_schema()["properties"]["kind"]["const"] == kind
