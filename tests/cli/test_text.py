"""`passbox text`, as typed."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passbox.cli import pipe
from passbox.cli import text as commands
from passbox.dp.text import mechanism, table

Typed = Callable[..., tuple[int, str, str]]
WORDS = ["something", "email", "website", "number", "north", "south"]
WORDS += ["".join(chr(97 + n // 26**place % 26) for place in range(3)) + "qx" for n in range(300)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with vectors as GloVe writes them, and queries."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = np.random.default_rng(5).normal(size=(len(WORDS), 6)) * 2
    lines = [f"{word} {' '.join(f'{value:.4f}' for value in row)}" for word, row in zip(WORDS, rows, strict=True)]
    (tmp_path / "glove.txt").write_text("\n".join([*lines, ""]))
    (tmp_path / "queries.csv").write_text("id,query\n1,aaaqx baaqx bob@example.com\n2,caaqx secretword 42\n")
    return tmp_path


def test_a_session_from_vectors_to_a_shared_file(passbox: Typed, folder: Path) -> None:
    code, out, err = passbox("text", "pack", "glove.txt", "--out", "words.npz")
    assert (code, out) == (0, "306 words in 6 dimensions in `words.npz`\n")
    assert err == "next: `passbox text calibrate --vectors words.npz`\n"
    small = ("--vectors=words.npz", "--table=200", "--crowd=4")
    code, out, err = passbox("text", "calibrate", "--epsilon=1,3,8", "--words=50", *small)
    assert code == 0
    assert "50 words, 100 draws of each" in out
    assert "share of words that stay" in out
    assert "█" in out
    code, out, err = passbox("text", "certify", "--epsilon=3", "--out=c.json", *small)
    assert code == 0
    assert "of what ε / 2 gives" in out
    code, out, err = passbox("text", "verify", "c.json", "--vectors=words.npz")
    assert code == 0
    assert "39,800" in out
    assert out.endswith("it holds\n")
    code, out, err = passbox(
        "text",
        "privatise",
        "queries.csv",
        "--columns=query",
        "--certificate=c.json",
        "--vectors=words.npz",
        "--length=3",
    )
    assert code == 0
    assert "2 rows in `queries.private.csv`" in out
    assert "address, became a word that stands for it" in out
    said = (folder / "queries.private.csv").read_text() + out + err
    assert not any(secret in said for secret in ("bob", "secretword", "42"))
    code, out, _ = passbox("text", "verify", "queries.private.csv.statement.json", "--vectors=words.npz", "--json")
    assert (code, json.loads(out)["certificates"][0]["column"]) == (0, "query")


def test_what_hides_next_to_nothing_is_told_and_what_is_left_in_the_clear(passbox: Typed, folder: Path) -> None:
    typed = ("text", "privatise", "queries.csv", "--columns=query", "--vectors=glove.txt", "--table=200", "--crowd=1")
    code, out, err = passbox(*typed, "--epsilon=9", "--length=3", "--out=weak.csv")
    assert code == 0
    assert "warning: query: a word stays as it is with probability" in err
    assert "1 column was left in the clear" in out
    assert "share it" not in err
    (then,) = [line for line in err.splitlines() if line.startswith("next: ")]
    assert passbox(*then.split("`")[1].split()[1:])[0] == 0
    code, out, err = passbox(*typed, "--epsilon=0.2", "--length=3", "--out=strong.csv")
    assert (code, "warning" in err) == (0, False)
    code, out, _ = passbox(*typed, "--epsilon=9", "--length=3", "--out=again.csv", "--json")
    said = json.loads(out)
    assert (said["left"], len(said["warnings"])) == (1, 1)
    assert "take a smaller `--epsilon`" in said["warnings"][0]


def test_a_declared_column_is_calibrated_by_its_own_values_and_prepared_as_hinted(passbox: Typed, agreed: Path) -> None:
    rows = np.random.default_rng(6).normal(size=(len(WORDS), 6)) * 2
    lines = [f"{word} {' '.join(f'{value:.4f}' for value in row)}\n" for word, row in zip(WORDS, rows, strict=True)]
    (agreed / "words.txt").write_text("".join(lines))
    declared = ("--contract=contract.toml", "--dataset=visitors", "--vectors=words.txt")
    code, out, err = passbox("text", "calibrate", "--epsilon=0.1,3", "--column=region", *declared, "--json")
    grid = json.loads(out)["grid"]
    assert code == 0
    assert [each["any_two_people"] for each in grid] == [each["any_two"] for each in grid]  # one value a person
    assert passbox("text", "calibrate", "--column=age", *declared)[0] == 2
    code, out, err = passbox("text", "privatise", "visitors.csv", "--columns=region", "--epsilon=0.1", *declared)
    assert (code, "warning" in err) == (0, False), err
    (then,) = [line for line in err.splitlines() if line.startswith("next: ")]
    assert passbox(*then.split("`")[1].split()[1:])[0] == 0


def test_texts_are_sorted_into_declared_values_where_that_is_asked_for(passbox: Typed, agreed: Path) -> None:
    rows = np.random.default_rng(6).normal(size=(len(WORDS), 6)) * 2
    lines = [f"{word} {' '.join(f'{value:.4f}' for value in row)}\n" for word, row in zip(WORDS, rows, strict=True)]
    (agreed / "words.txt").write_text("".join(lines))
    said = (agreed / "visitors.csv").read_text().replace(",north", ",North zzzunknown bob@example.com 42!")
    (agreed / "searches.csv").write_text(said)
    typed = ("text", "privatise", "searches.csv", "--columns=region", "--epsilon=0.1", "--vectors=words.txt")
    declared = ("--contract=contract.toml", "--dataset=visitors")
    code, out, err = passbox(*typed, *declared)
    assert (code, out, "`--sort` take the declared value" in err, "zzzunknown" in err) == (3, "", True, False)
    code, out, err = passbox(*typed, "--sort")
    assert (code, out, "`--sort` is about declared columns" in err) == (2, "", True)
    for others in (("searches.csv", "--columns=email", *declared), ("-",)):
        code, out, err = passbox("text", "privatise", *others, *typed[4:], "--sort")
        assert (code, out, "`--sort` is about" in err or "lines from a pipe" in err) == (2, "", True)
    assert passbox(*typed, *declared, "--sort")[0] == 0
    drawn = [line.split(",")[-1].strip('"') for line in (agreed / "searches.private.csv").read_text().split()[1:]]
    assert set(drawn) == {"north", "south"}  # 60 draws at an ε that tells next to nothing: one alone, below 10^-12


def _typed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_pipe_gives_a_line_for_a_line(passbox: Typed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _typed(monkeypatch, b"aaaqx baaqx\nbob@example.com\n")
    code, out, err = passbox("text", "privatise", "-", "--epsilon=3", "--vectors=glove.txt", "--table=200", "--crowd=4")
    assert code == 0
    assert [len(line.split()) for line in out.splitlines()] == [2, 1]
    assert "3 words drawn at ε 3; 1 address stood in for" in err
    assert folder.name not in out


def test_vectors_are_aimed_with_public_texts_and_then_used_like_any(passbox: Typed, folder: Path) -> None:
    rows = [f"{'north' if n % 2 else 'south'},{WORDS[6 + n % 40]} {WORDS[46 + n % 2]}" for n in range(200)]
    (folder / "news.csv").write_text("\n".join(["topic,title", *rows, ""]))
    aimed = ("aim", "news.csv", "--text=title", "--label=topic", "--out=news.npz", "--vectors=glove.txt")
    code, out, err = passbox("text", *aimed)
    assert (code, out) == (0, "306 words in 2 dimensions in `news.npz`\n")
    assert err == "next: `passbox text calibrate --vectors news.npz`\n"
    small = ("--vectors=news.npz", "--table=200", "--crowd=4")
    assert passbox("text", "certify", "--epsilon=8", "--out=c.json", *small)[0] == 0
    assert passbox("text", "verify", "c.json", "--vectors=news.npz")[0] == 0


def test_texts_that_vectors_were_aimed_with_are_not_privatised_with_them(passbox: Typed, folder: Path) -> None:
    """Nor after they were packed, or aimed again with others; the same texts in another file are not caught."""
    for name, turn in (("news", 0), ("more", 1)):
        rows = [f"{'north' if n % 2 else 'south'},{WORDS[6 + (n + turn) % 40]} {WORDS[46 + n % 2]}" for n in range(200)]
        (folder / f"{name}.csv").write_text("\n".join(["topic,title", *rows, ""]))
    how = ("--text=title", "--label=topic")
    assert passbox("text", "aim", "news.csv", *how, "--out=news.npz", "--vectors=glove.txt")[0] == 0
    assert passbox("text", "pack", "news.npz", "--out=packed.npz")[0] == 0
    assert passbox("text", "aim", "more.csv", *how, "--out=both.npz", "--vectors=packed.npz")[0] == 0
    draw = ("--columns=title", "--epsilon=8", "--table=200", "--crowd=4")
    for vectors in ("news.npz", "packed.npz", "both.npz"):
        code, out, err = passbox("text", "privatise", "news.csv", *draw, f"--vectors={vectors}")
        assert (code, out) == (3, "")
        assert "aimed with this very file" in err
        assert not (folder / "news.private.csv").exists()
    assert passbox("text", "privatise", "more.csv", *draw, "--vectors=both.npz")[0] == 3
    assert passbox("text", "privatise", "more.csv", *draw, "--vectors=packed.npz")[0] == 0
    assert passbox("text", "privatise", "news.csv", *draw, "--vectors=glove.txt")[0] == 0


PIPE = ("text", "privatise", "-", "--epsilon=3", "--vectors=glove.txt", "--table=200", "--crowd=4")


def test_a_pipe_gives_an_object_a_line_as_json(passbox: Typed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _typed(monkeypatch, b"aaaqx baaqx\r\n\ncaaqx")
    code, out, _ = passbox(*PIPE, "--json")
    assert code == 0
    assert [len(json.loads(line)["text"].split()) for line in out.splitlines()] == [2, 0, 1]
    assert folder.is_dir()


def test_a_pipe_that_is_not_utf8_is_refused_by_rule(
    passbox: Typed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _typed(monkeypatch, b"caf\xe9\n")
    code, out, err = passbox(*PIPE)
    assert (code, out) == (3, "")
    assert "a line is not UTF-8" in err
    assert "caf" not in err
    assert folder.is_dir()


def test_a_stream_without_line_ends_is_refused_before_it_fills_the_memory(
    passbox: Typed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "_LONGEST", 1_000)
    _typed(monkeypatch, b"aaaqx " * 300)
    code, out, err = passbox(*PIPE)
    assert (code, out) == (3, "")
    assert "a line is longer than 1,000 characters" in err
    assert folder.is_dir()


def test_a_line_goes_out_before_the_next_one_comes(folder: Path) -> None:
    command = [sys.executable, "-m", "passbox", *PIPE]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for words in (1, 3, 2):
            running.stdin.write(" ".join(["aaaqx"] * words) + "\n")
            running.stdin.flush()
            assert len(running.stdout.readline().split()) == words  # would wait for ever for a whole block
        running.stdin.close()
        assert running.wait() == 0


def test_a_pipe_that_is_stopped_says_what_went_out_and_nothing_of_charges(folder: Path) -> None:
    command = [sys.executable, "-m", "passbox", *PIPE]
    given: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    given["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in the background of a shell
    with subprocess.Popen(command, cwd=folder, text=True, **given) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write("aaaqx baaqx\n")
        running.stdin.flush()
        assert len(running.stdout.readline().split()) == 2
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    assert (running.returncode, out) == (130, "")
    assert err.splitlines() == [
        "2 words drawn at ε 3; none stood in for",
        "stopped; lines that went out count: drawn again, the same texts tell more",
    ]


def test_a_pipe_ends_in_peace_where_nobody_reads(folder: Path) -> None:
    shell = f"yes aaaqx | head -100000 | {sys.executable} -m passbox {' '.join(PIPE)} | head -2"
    done = subprocess.run(["bash", "-c", shell], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def test_as_json_each_ε_has_its_figures(passbox: Typed, folder: Path) -> None:
    options = ("--epsilon=2,6", "--words=60", "--vectors=glove.txt", "--table=200", "--crowd=1", "--json")
    code, out, _ = passbox("text", "calibrate", *options)
    grid = json.loads(out)["grid"]
    assert code == 0
    assert [each["epsilon"] for each in grid] == [2.0, 6.0]
    assert grid[0]["stays"]["mean"] < grid[1]["stays"]["mean"]
    assert grid[0]["becomes"]["mean"] > grid[1]["becomes"]["mean"]
    assert folder.is_dir()


@pytest.mark.parametrize("mechanism_name", ["halved", "euclidean"])
def test_other_mechanisms_are_certified_and_verified(mechanism_name: str, passbox: Typed, folder: Path) -> None:
    options = ("--vectors=glove.txt", "--table=200", f"--mechanism={mechanism_name}", "--crowd=1")
    assert passbox("text", "certify", "--epsilon=5", "--out=c.json", *options)[0] == 0
    code, out, _ = passbox("text", "verify", "c.json", "--vectors=glove.txt")
    assert code == 0
    assert ("by proof" in out) is (mechanism_name == "euclidean")
    assert folder.is_dir()


WRONG: dict[str, tuple[int, str]] = {
    "privatise queries.csv --columns=query --vectors=glove.txt": (2, "say how private"),
    "privatise queries.csv --epsilon=3 --vectors=glove.txt": (2, "no column is named"),
    "privatise queries.csv --columns=title --epsilon=3 --vectors=glove.txt --table=200": (3, "title"),
    "privatise nothing.csv --columns=query --epsilon=3 --vectors=glove.txt --table=200": (3, "nothing.csv"),
    "certify --epsilon=0 --vectors=glove.txt": (2, "`--epsilon` is out of range"),
    "certify --epsilon=3 --mechanism=magic --vectors=glove.txt": (2, "no mechanism for words"),
    "certify --epsilon=30 --mechanism=hyperbolic --vectors=glove.txt": (3, "does not go with euclidean vectors"),
    "calibrate --vectors=queries.csv": (3, "it is not a file of word vectors"),
    "calibrate --epsilon=much": (2, "no list of ε"),
    "calibrate --words=5": (2, "`--words` is at least 10"),
    "privatise x.csv --epsilon=3 --crowd=0": (
        2,
        "`--crowd` is at least 1",
    ),
    "privatise x.csv --epsilon=3 --length=-1": (
        2,
        "`--length` is at least 0",
    ),
    "calibrate --words=200000": (2, "`--words` is at most 100,000"),
    "hierarchy . --out=x.npz --radius=0.1": (2, "`--radius` is at least 0.5"),
    "privatise - --columns=query --epsilon=3": (2, "lines from a pipe have no columns"),
    "aim queries.csv --text=query --label=query --out=x.npz --vectors=glove.txt": (3, "only 2 texts have a label"),
    "verify queries.csv": (3, "it is no certificate"),
    "hierarchy . --out=x.npz": (3, "it does not hold data.noun"),
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_one_line_and_a_code(line: str, passbox: Typed, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    code, out, err = passbox("text", *line.split())
    assert (code, WRONG[line][1] in err, out) == (WRONG[line][0], True, ""), err
    assert len(err.splitlines()) == 2
    assert sorted(path.name for path in folder.iterdir() if path.name != "cache") == before


UNREADY = {
    "privatise queries.csv --columns=query --epsilon=3 --out=queries.csv": "another file is there",
    "privatise queries.csv --columns=query --epsilon=3 --out=none/x.csv": "there is no such folder",
    "privatise nothing.csv --columns=query --epsilon=3": "there is no such file",
    "privatise queries.csv --columns=title --epsilon=3": "it has no column title",
    "certify --epsilon=3 --out=queries.csv": "another file is there",
    "certify --epsilon=3 --out=none/x.json": "there is no such folder",
    "pack glove.txt --out=queries.csv": "another file is there",
    "pack glove.txt --out=none/x.npz": "there is no such folder",
    "aim queries.csv --text=query --label=id --out=queries.csv": "another file is there",
    "aim queries.csv --text=title --label=id --out=x.npz": "it has no column title",
    "aim nothing.csv --text=query --label=id --out=x.npz": "there is no such file",
    "hierarchy . --out=queries.csv": "another file is there",
    "hierarchy . --out=none/x.npz": "there is no such folder",
}


@pytest.mark.parametrize("line", UNREADY)
def test_paths_are_looked_at_before_anything_is_measured(line: str, passbox: Typed, folder: Path) -> None:
    """These vectors cannot be read: whoever gets to them says so."""
    (folder / "broken.npz").write_bytes(b"")
    before = sorted(path.name for path in folder.iterdir())
    vectors = [] if line.split()[0] in ("pack", "hierarchy") else ["--vectors=broken.npz"]
    code, out, err = passbox("text", *line.split(), *vectors)
    assert (code, out) == (3, "")
    assert UNREADY[line] in err
    assert ("no column" in err) == ("name a column of the file with" in err)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_certificate_asked_for_alike_may_be_made_again(passbox: Typed, folder: Path) -> None:
    asked = ("certify", "--out=c.json", "--vectors=glove.txt", "--table=200", "--crowd=1")
    assert passbox("text", *asked, "--epsilon=3")[0] == 0
    made = (folder / "c.json").read_bytes()
    assert passbox("text", *asked, "--epsilon=3")[0] == 0
    code, _, err = passbox("text", *asked, "--epsilon=4")
    assert (code, "another file is there" in err) == (3, True)
    assert (folder / "c.json").read_bytes() == made


def test_a_certificate_that_promises_too_much_is_refused(passbox: Typed, folder: Path) -> None:
    options = ("--vectors=glove.txt", "--table=200", "--crowd=1")
    assert passbox("text", "certify", "--epsilon=3", "--out=c.json", *options)[0] == 0
    said = json.loads((folder / "c.json").read_text())
    (folder / "false.json").write_text(json.dumps(said | {"rate": "3", "worst": "3"}))
    code, out, err = passbox("text", "verify", "false.json", "--vectors=glove.txt")
    assert (code, out) == (4, "")
    assert "the certificate does not hold: the worst pair comes to" in err
    (folder / "other.json").write_text(json.dumps(said | {"vocabulary": "0" * 64}))
    assert passbox("text", "verify", "other.json", "--vectors=glove.txt")[0] == 3


def test_help_and_product_name_the_same_figures() -> None:
    figures = (commands._TABLE, commands._REACH, commands._CROWD)
    assert figures == (table.TABLE, mechanism.DEFAULT_REACH, mechanism.DEFAULT_CROWD)
