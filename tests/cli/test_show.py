"""What reaches the terminal cannot move its cursor, turn its text or break its JSON."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pexpect
import pytest

from passbox.cli.reports import completion, effects, model, tables
from passbox.cli.reports.hidden import without_hidden
from passbox.cli.show import (
    Bars,
    Curve,
    Part,
    Result,
    Table,
    Verbatim,
    captured,
    clean,
    draw,
    percent,
    percents,
    say,
    told,
)

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


def test_a_row_in_a_pipe_is_one_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 100
    say(Result({}, [Table(("name", "text"), [("a", long)]), Verbatim(long), long]), False)
    assert sum(long.strip() in line for line in capsys.readouterr().out.splitlines()) == 3


def test_on_a_terminal_cells_that_stay_whole_and_lines_to_copy_are_not_broken() -> None:
    from rich.console import Console

    console = Console(width=60, force_terminal=True, color_system=None, file=io.StringIO())
    key = "ssh-ed25519 " + "A" * 68
    for part in (Table(("hour", "text"), [("2026-11-22 11h", "word " * 30)], whole=(0,)), Verbatim(key)):
        draw(console, part)
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert "2026-11-22 11h" in drawn
    assert key in drawn


def test_on_a_terminal_a_command_is_not_broken_and_plain_sentences_are() -> None:
    from rich.console import Console

    console = Console(width=40, force_terminal=True, color_system=None, file=io.StringIO())
    command = "`passbox prepare visitors.csv --contract contract.toml --dataset visitors --key publisher.keys`"
    draw(console, f"- publisher: {command}")
    draw(console, "word " * 30)
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert command in drawn
    assert "word " * 10 not in drawn


def test_on_a_terminal_the_words_around_a_command_are_not_cut() -> None:
    from rich.console import Console

    console = Console(width=40, force_terminal=True, color_system=None, file=io.StringIO())
    command = "`passbox contract sign contract.toml --key publisher.keys`"
    said = f"if you agree with all of what is written above, {command}, then send it with its signature to all parties"
    draw(console, said)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert " ".join(lines) == said
    assert f"{command}," in lines
    assert max(len(line) for line in lines if command not in line) <= 40


def test_the_next_line_on_a_terminal_can_be_copied(tmp_path: Path) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "passbox", "keys", "new", "publisher"],
        cwd=str(tmp_path),
        dimensions=(24, 40),
        timeout=300,
        encoding="utf-8",
    )
    child.expect(pexpect.EOF)
    assert "`passbox contract new --help`" in child.before


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    say(Result({"a": 1}, ["shown to people"], "next"), True)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert err == ""


def test_a_share_is_a_percentage_for_people() -> None:
    share = {"estimate": -1e-9, "low": 0.0, "high": 0.97}
    assert (percents(share), percents(share, 0)) == ("0.0%  [0.0%, 97.0%]", "0%  [0%, 97%]")
    assert percents(share | {"high": 1.0}) == told(share | {"high": 1.0}) == "not known"
    assert told(share) == "0.000  [0.000, 0.970]"
    assert (percent(0.4754), percent(0.4754, 0)) == ("47.5%", "48%")


def test_json_refuses_what_json_has_not() -> None:
    with pytest.raises(ValueError, match="JSON"):
        say(Result({"a": float("nan")}), True)


def test_captured_results_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with captured() as capture:
        say(Result({"a": 1}, ["text"]), True)
    assert capsys.readouterr() == ("", "")
    assert capture.results[0].data == {"a": 1}


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_of_intervals_is_split_where_it_does_not_fit_and_no_interval_is_broken(width: int) -> None:
    """Its keys stand before each part, and each part says what its own intervals cover."""
    from rich.console import Console

    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    cells = ["2,810  [2,746, 2,873]", "135  [122, 147]", "0.0479  [0.0433, 0.0526]", "12  [1, ∞]"]
    header, covers = ("campaign", "impressions", "clicks", "ctr", "cpc"), ("", "sums", "sums", "noise", "noise")
    draw(
        console,
        Table(header, [("spring", *cells)], "by key", right=(1, 2, 3, 4), whole=(1, 2, 3, 4), keys=1, covers=covers),
    )
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(any(cell in line for line in lines) for cell in cells)
    assert all("spring" in line for line in lines if any(cell in line for cell in cells))
    assert max(map(len, lines)) <= width
    drawn = " ".join(" ".join(lines).split())
    assert ("interval: sums, noise]" in drawn) is (width == 120)
    assert ("interval: sums]" in drawn) is (width < 120)


def shown(parts: list[Part], width: int) -> list[str]:
    """The lines of a terminal."""
    from rich.console import Console

    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    for part in parts:
        draw(console, part)
    lines: list[str] = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return lines


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_word_of_a_table_is_cut_where_all_fit(width: int) -> None:
    header = ("#", "hour (UTC)", "what", "asked by", "read by", "charged, of the cap")
    row = ("12", "2027-01-10 09h", "topics of exposures.page", "publisher", "advertiser, officer", "visitors 1.2%")
    lines = shown([Table(header, [row] * 2, right=(0,), whole=(0, 1))], width)
    assert max(map(len, lines)) <= width
    assert all(" ".join(lines).split().count(word) >= 2 for cell in row for word in cell.split())


def test_long_words_of_a_narrow_table_go_on_after_a_mark() -> None:
    """A ledger of a campaign at 80 columns: whose words do not fit beside each other, but their parts do."""
    header = ("#", "hour (UTC)", "what", "asked by", "read by", "charged, of the cap")
    what = "campaign of exposures.campaign, exposures.clicked, purchases.price"
    row = ("12", "2027-01-10 09h", what, "advertiser", "advertiser, publisher, officer", "exposures 13.4%")
    lines = shown([Table(header, [row], right=(0,), whole=(0, 1))], 80)
    assert max(map(len, lines)) <= 80
    drawn = " ".join(" ".join(lines).split())
    assert all(part in drawn for part in ("exposures.", "campaign,", "clicked,", "advertiser,", "publisher,", "13.4%"))


@pytest.mark.parametrize("width", [60, 80])
def test_what_follows_of_a_point_stands_below_its_first_word(width: int) -> None:
    lines = shown([f"- {'word ' * 40}end", f"- {'word ' * 20}`a command` {'word ' * 10}"], width)
    assert [line[:2] for line in lines].count("- ") == 2
    assert {line[:2] for line in lines} == {"- ", "  "}
    assert all(line[2] != " " for line in lines)
    assert max(map(len, lines)) <= width


FIGURE = {"estimate": 4.754, "low": 0.013, "high": 10.25}
SHARE = {"estimate": 0.475, "low": 0.013, "high": 0.976}
MODEL = {
    **dict.fromkeys(("auc", "held_out", "positives"), FIGURE),
    "cuts": [{"lift": FIGURE, **dict.fromkeys(("share", "gain", "precision"), SHARE)}],
}
COMPLETION = {
    "questions": [{"name": "region", "answered": 0.5, "levels": [0.5], "strata": []}],
    "quality": [{"levels": [{"confident": 0.9, "right": FIGURE}], "usual": [FIGURE], "auc": FIGURE, "strata": []}],
    "confident": 0.9,
    "people": 60_000,
}


def test_shares_of_people_are_percentages_in_a_models_report() -> None:
    (row,) = next(part.rows for part in model.parts(MODEL) if isinstance(part, Table) and len(part.header) == 4)
    assert row == ("47.5%  [1.3%, 97.6%]", "47.5%  [1.3%, 97.6%]", "4.75  [0.01, 10.25]", "48%  [1%, 98%]")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_interval_of_a_model_or_a_completion_is_broken(width: int) -> None:
    for parts, many in ((model.parts(MODEL), 5), (completion.parts(COMPLETION), 4)):
        lines = shown(parts, width)
        begun, ended = (
            [sum(map(line.count, ends)) for line in lines]
            for ends in (("[0.01", "[1.3%, ", "[1%, "), ("10.25", " 97.6%]", " 98%]"))
        )
        assert begun == ended
        assert sum(ended) >= many


HIDDEN = {"estimate": 0.5, "low": 0.0, "high": 1.0, "covers": "noise and sampling"}
TOLD = {"estimate": 0.83, "low": 0.61, "high": 1.0, "covers": "noise and sampling"}


def test_no_table_of_a_completion_has_an_estimate_where_noise_leaves_all_that_is_possible() -> None:
    strata = [{"fewest": 0, "most": 2, "people": 9, "answered": 0.2}]
    asked = [{"name": "garden", "answered": 0.2, "levels": [0.2], "strata": strata}]
    levels = [{"confident": 0.9, "right": HIDDEN}]
    quality = [{"levels": levels, "usual": [TOLD], "auc": HIDDEN, "strata": [{"right": HIDDEN}]}]
    rows = [
        row
        for part in completion.parts(COMPLETION | {"questions": asked, "quality": quality})
        if isinstance(part, Table)
        for row in part.rows
    ]
    assert [cell for row in rows for cell in row if "0.50" in str(cell)] == []
    assert [row.count("not known") for row in rows] == [2, 1, 1]


@pytest.mark.parametrize("kind", ["completion", "model", "lookalike"])
def test_json_has_no_estimate_where_the_tables_say_that_it_is_not_known(kind: str) -> None:
    lift, share = {**HIDDEN, "estimate": 1.0, "high": 1000.0}, 0.1 if kind == "lookalike" else HIDDEN
    cut = {"share": share, "gain": HIDDEN, "lift": lift}
    document = {"kind": kind, "auc": HIDDEN, "rates": [TOLD, HIDDEN], "cuts": [cut], "people": 3}
    found = without_hidden(document)
    assert found["auc"] == {**HIDDEN, "estimate": None}
    assert [each["estimate"] for each in found["rates"]] == [0.83, None]
    assert found["cuts"][0]["lift"] == {**lift, "estimate": None}
    assert document["auc"] == HIDDEN


def test_what_a_count_may_be_is_no_share_that_noise_hides() -> None:
    """Between -3 and 9 people matched: that is told, in JSON as in the tables."""
    count = {"estimate": 3.0, "low": -3.0, "high": 9.0, "covers": "noise"}
    for kind in ("overlap", "model"):
        assert without_hidden({"kind": kind, "matched": count})["matched"] == count


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((None, 0.0, None), "unknown  [0, ∞]"),
        ((None, 0.25, None), "unknown  [0.25, ∞]"),
        ((-0.3, -40.0, 39.0), "0  [-40, 39]"),
        ((3.51, 3.49, 3.53), "3.510  [3.490, 3.530]"),
    ],
)
def test_a_number_has_the_digits_that_its_ends_can_tell(numbers: tuple[float | None, ...], said: str) -> None:
    column = {name: [end] for name, end in zip(("estimate", "low", "high"), numbers, strict=True)}
    assert tables.cell(column, 0) == said


def test_what_is_plotted_are_the_first_keys_of_the_number_that_ranks() -> None:
    def numbers(name: str, covers: str) -> dict[str, object]:
        return {"name": name, "covers": covers, **{end: [9.0] * 30 for end in ("estimate", "low", "high")}}

    columns = [numbers("people", "noise"), numbers("ads", "noise, of all 30 keys at once")]
    table = {"name": "by key", "by": ["page"], "keys": [[f"p{at}"] for at in range(30)], "columns": columns}
    (plot,) = [
        each for each in tables.parts({"tables": [table | {"hidden": 0}], "notes": []}) if isinstance(each, Bars)
    ]
    assert plot.title == "ads by page, the first 20"
    assert [label for label, _, _ in plot.rows] == [f"p{at}" for at in range(20)]


def test_a_plot_shows_each_estimate_within_its_interval_and_fits_80_columns() -> None:
    from rich.console import Console

    points = [(0.0, 0.0, 0.1, 0.3), (0.5, 0.4, 0.5, 0.9), (1.0, 0.9, 1.0, 1.0)]
    console = Console(width=80, force_terminal=True, color_system=None, file=io.StringIO())
    draw(console, Curve("ROC", "others", "seeds", points, lambda x: x))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    start = lines[1].index("┤") + 1
    for x, low, estimate, high in points:
        column = [line.ljust(80)[start + round(48 * x)] for line in lines[1:14]]
        assert column.index("●") == 12 - round(12 * estimate)
        covered = [12 - at for at, mark in enumerate(column) if mark in "│●"]
        assert (min(covered), max(covered)) == (round(12 * low), round(12 * high))
    assert sum(line.count("·") for line in lines) > 15


def test_what_lies_beyond_a_plot_stands_at_its_edge() -> None:
    from rich.console import Console

    console = Console(width=80, file=io.StringIO())
    draw(console, Curve("PR", "seeds", "rate", [(0.2, -1.0, 3.0, 9.0)], lambda _: 0.1, top=0.3))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[1].startswith("     30% ┤")
    assert "●" in lines[1]
    assert all("│" in line for line in lines[2:13])


def test_a_column_in_whose_values_noise_leaves_nobody_is_still_told(capsys: pytest.CaptureFixture[str]) -> None:
    figure = {"estimate": 0.0, "low": 0.0, "high": 0.0, "covers": "noise and sampling"}
    told = {"column": "device", "ordered": False, "matters": figure, "levels": []}
    say(Result({}, effects.parts({"kind": "model", "effects": [told]})), False)
    assert "device" in capsys.readouterr().out
