"""What reaches the terminal cannot move its cursor, turn its text or break its JSON."""

from __future__ import annotations

import json

import pytest

from passbox.cli.show import Bars, Result, Table, captured, clean, say

HOSTILE = ["\x1b]0;title\x07", "\x1b[2J", "\x9b2J", "\u202eevil", "\u200bhidden", "a\rb", "\u2066x\u2069", "\ufeff"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_harmless(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(Result({}, [text, Table((text,), [(text,)], title=text), Bars(text, [(text, 0.5, text)])], text), False)
    out, err = capsys.readouterr()
    for char in set(text) - set("]0;title[2Jevilhdnabx"):
        assert char not in out + err
    assert "�" in clean(text)


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/red]", "[link=http://example.com]x[/link]", ":smile:"])
def test_markup_in_data_is_data(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(Result({}, [text, Table(("name",), [(text,)])]), False)
    assert capsys.readouterr().out.count(text) == 2


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    say(Result({"a": 1}, ["shown to people"], "next"), True)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert err == ""


def test_json_refuses_what_json_has_not() -> None:
    with pytest.raises(ValueError, match="JSON"):
        say(Result({"a": float("nan")}), True)


def test_captured_results_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with captured() as capture:
        say(Result({"a": 1}, ["text"]), True)
    assert capsys.readouterr() == ("", "")
    assert capture.results[0].data == {"a": 1}
