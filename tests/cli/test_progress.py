"""How far long work has come, where no screen shows a bar."""

from __future__ import annotations

import pytest

from passbox.cli.progress import in_tenths


def test_work_of_minutes_says_each_tenth_once_where_nobody_sees_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    passed = list[tuple[int, int]]()
    step = in_tenths("canaries", lambda done, steps: passed.append((done, steps)))
    for done in (0, 5, 20, 25, 29, 100):
        step(done, 100)
    assert [done for done, _ in passed] == [0, 5, 20, 25, 29, 100]
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", ["canaries: 20 %", "canaries: 100 %"])
