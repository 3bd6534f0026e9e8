from __future__ import annotations

from passbox.cleanroom.measure.kinds import MEASURES
from passbox.cli.reports.kinds import REPORTS
from passbox.policies.request import KINDS


def test_every_kind_of_job_can_be_measured_and_shown() -> None:
    assert set(MEASURES) == set(KINDS) == set(REPORTS)


def test_every_document_says_its_own_kind() -> None:
    for kind, measure in MEASURES.items():
        assert measure.document.model_json_schema()["properties"]["kind"]["const"] == kind
