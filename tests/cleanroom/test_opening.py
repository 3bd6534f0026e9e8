from __future__ import annotations

import io
import json
import random
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyrage
import pytest

from passbox.cleanroom.files import FileInTheWay
from passbox.cleanroom.opening import check_signer, open_release, write_audience
from passbox.cleanroom.release import BadRelease, Listed, releases
from passbox.cli.explain import explain
from passbox.cli.explanation import SIGNATURE, Explanation
from passbox.dp.note import NoteKey, sign_checkpoint

if TYPE_CHECKING:
    from .world import World

Document = dict[str, Any]


def listed(world: World, kind: str) -> Listed:
    return next(one for one in releases(world.room()) if one.kind == kind)


def reseal(world: World, one: Listed, change: Callable[[Document], object], **files: bytes) -> Path:
    """The release with something changed, sealed anew to its reader: anybody can."""
    opened = world.open(one, ids=False)
    document = json.loads(json.dumps(opened.document))
    change(document)
    named = {name.replace("__", "."): data for name, data in files.items()}
    members = dict(opened.files) | {"release.json": json.dumps(document).encode()} | named
    return seal_to(world, world.folder / "changed.release", members)


def seal_to(world: World, path: Path, files: Mapping[str, bytes]) -> Path:
    """A release of these files, sealed to the publisher."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    publisher = pyrage.x25519.Recipient.from_str(world.keys("publisher").seal_public())
    path.write_bytes(pyrage.encrypt(packed.getvalue(), [publisher]))
    return path


def reopen(world: World, path: Path) -> Document:
    return open_release(path, world.keys("publisher").seal_identity(), None).document


@pytest.mark.parametrize("kind", ["overlap", "lookalike"])
def test_a_release_opens_for_its_readers_and_nobody_else(ran: World, kind: str) -> None:
    one = listed(ran, kind)
    readers = {"overlap": {"publisher", "advertiser"}, "lookalike": {"publisher"}}[kind]
    assert set(one.recipients) == readers
    for party in ("publisher", "advertiser", "officer", "host"):
        if party in readers:
            check_signer(one.path, ran.open(one, party, ids=False), ran.contract)
        else:
            with pytest.raises(BadRelease, match="not sealed to this key"):
                ran.open(one, party, ids=False)
    with pytest.raises(BadRelease, match="not sealed"):
        open_release(one.path, ran.room().seal_identity, None)


def test_what_is_no_release_is_refused(used: World) -> None:
    one = listed(used, "overlap")
    whole = one.path.read_bytes()
    to_us = [pyrage.x25519.Recipient.from_str(used.keys("publisher").seal_public())]
    cases = {
        "it is no release, which is an age file": (b"", b"x", b"PK\3\4" * 99, used.contract.read_bytes()),
        "it is cut off": (whole[:10], whole[:150], whole[: len(whole) // 2], whole[:-1]),
        "not a whole release": (pyrage.encrypt(b"no zip", to_us),),
    }
    for rule, files in cases.items():
        for data in files:
            one.path.write_bytes(data)
            with pytest.raises(BadRelease, match=rule):
                used.open(one)
    with pytest.raises(BadRelease, match="not sealed"):
        open_release(one.path, "no key", None)


TAMPERED: dict[str, tuple[str, Callable[[Document], object]]] = {
    "a better number": ("overlap", lambda d: d["matched"].update(estimate=d["matched"]["estimate"] + 1)),
    "a narrower interval": ("overlap", lambda d: d["matched"].update(low=d["matched"]["estimate"] - 1)),
    "another rate": ("overlap", lambda d: d["match_rate"].update(estimate=0.99)),
    "another size": ("overlap", lambda d: d.update(seed_rows=d["seed_rows"] + 1)),
    "a better AUC": ("lookalike", lambda d: d["auc"].update(estimate=0.99)),
    "a better lift": ("lookalike", lambda d: d["cuts"][0]["lift"].update(estimate=9.0)),
    "a cut less": ("lookalike", lambda d: d["cuts"].pop()),
    "other noisy integers": ("overlap", lambda d: d["receipt"]["entries"][0]["values"].__setitem__(0, 7)),
    "integers that are floats": (
        "overlap",
        lambda d: d["receipt"]["entries"][0].update(values=[v + 0.5 for v in d["receipt"]["entries"][0]["values"]]),
    ),
    "another nonce": ("overlap", lambda d: d["receipt"]["entries"][0].update(nonce="00" * 32)),
    "another place": ("overlap", lambda d: d["receipt"]["entries"][0].update(sequence=1)),
    "a broken proof": ("overlap", lambda d: d["receipt"]["entries"][0].update(proof=["00" * 32])),
    "a proof that is none": ("overlap", lambda d: d["receipt"]["entries"][0].update(proof="zz")),
    "another entry": (
        "overlap",
        lambda d: d["receipt"]["entries"][0].update(
            entry=d["receipt"]["entries"][0]["entry"].replace('"seq":2', '"seq":3')
        ),
    ),
    "a part less": ("lookalike", lambda d: d["receipt"]["entries"].pop()),
    "parts swapped": ("lookalike", lambda d: d["receipt"]["entries"].reverse()),
    "no receipt": ("overlap", lambda d: d.pop("receipt")),
    "a receipt that is text": ("overlap", lambda d: d.update(receipt="paid")),
    "a checkpoint that is none": ("overlap", lambda d: d["receipt"].update(checkpoint="paid\n")),
    "no checkpoint": ("overlap", lambda d: d["receipt"].pop("checkpoint")),
    "another kind": ("overlap", lambda d: d.update(kind="lookalike")),
    "another contract": ("overlap", lambda d: d["contract"].update(sha256="0" * 64)),
    "another format": ("overlap", lambda d: d.update(format="passbox release v9")),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_release_that_does_not_follow_from_its_receipt_is_caught(used: World, name: str) -> None:
    kind, change = TAMPERED[name]
    one = listed(used, kind)
    assert reopen(used, reseal(used, one, lambda d: d))["id"] == one.id  # untouched, it opens
    with pytest.raises(BadRelease) as refused:
        reopen(used, reseal(used, one, change))
    assert refused.value.tampered


BAD_VALUES: list[Any] = [
    None, True, -1, 7, 2**70, 10**400, 0.5, 1e308, "", "x", "\x1b[2J", [], ["x"], [[[]]], {}, {"x": None},
]  # fmt: skip


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every field of a document stands; of a list, only the first item."""
    if before:
        yield before
    inner = value.items() if isinstance(value, dict) else [(0, value[0])] if isinstance(value, list) and value else []
    for name, item in inner:
        yield from places(item, (*before, name))


def hurt(document: Document, place: tuple[Any, ...], value: Any = ...) -> bool:
    """Put a value there, or take away what is there; whether that changed anything."""
    *way, last = place
    for name in way:
        document = document[name]
    before = document[last]
    if value is ...:
        del document[last]
    else:
        document[last] = value
    return value is ... or json.dumps(value) != json.dumps(before)


def said_of(world: World, files: Mapping[str, bytes], data: bytes) -> Explanation | None:
    """What a reader with the contract at hand is told of a release whose release.json is `data`; None where all is
    well."""
    path = seal_to(world, world.folder / "hurt.release", {**files, "release.json": data})
    try:
        check_signer(path, open_release(path, world.keys("publisher").seal_identity(), None), world.contract)
    except Exception as error:  # noqa: BLE001 - what is no refusal is explained as a fault of passbox
        return explain(error)
    return None


@pytest.mark.parametrize(
    ("kind", "every"), [("overlap", 1), ("lookalike", 4), pytest.param("lookalike", 1, marks=pytest.mark.long)]
)
def test_no_field_of_a_release_can_be_dropped_or_given_another_type(used: World, kind: str, every: int) -> None:
    """Exit 4 and one line, whatever stands where. Of the bad values each `every`-th is tried in a place, and others in
    the next."""
    files = used.open(listed(used, kind), ids=False).files
    whole = files["release.json"]
    assert said_of(used, files, whole) is None
    for at, place in enumerate(places(json.loads(whole))):
        for value in [..., *BAD_VALUES[at % every :: every]]:
            document = json.loads(whole)
            if hurt(document, place, value):
                said = said_of(used, files, json.dumps(document).encode())
                assert said is not None, (place, value)
                assert said.exit == SIGNATURE, (place, value, said)
                assert "\n" not in said.message


def test_no_byte_of_a_release_can_be_changed(used: World) -> None:
    files = used.open(listed(used, "overlap"), ids=False).files
    whole, rng = files["release.json"], random.Random(5)
    deep = b"[" * 100_000
    long = whole.replace(b'"seed_rows": ', b'"seed_rows": ' + b"9" * 10_000)
    nan = whole.replace(b'"low": ', b'"low": NaN, "x": ')
    others = [b"", b"7", b"null", b"\xff\xfe", deep, b'{"format":' + deep, long, nan, whole[:-2], whole + b"{}"]
    for _ in range(500):
        at, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        others.append(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
    for data in others:
        said = said_of(used, files, data)
        assert said is not None
        assert said.exit == SIGNATURE


def test_an_audience_that_unpacks_without_end_is_refused(used: World) -> None:
    """A million equal tokens are a few hundred bytes."""
    one, sink = listed(used, "lookalike"), io.BytesIO()
    pq.write_table(pa.table({"token": pa.array([7] * 10**6, pa.uint64())}), sink)
    path = reseal(used, one, lambda d: d["audience"].update(size=10**6), audience__parquet=sink.getvalue())
    with pytest.raises(BadRelease, match="not a whole release"):
        reopen(used, path)


ABOUT: dict[str, Callable[[Document], object]] = {
    "no id": lambda d: d.pop("id"),
    "an id that is a path": lambda d: d.update(id="../../x"),
    "another id": lambda d: d.update(id="overlap-" + "0" * 12),
    "no entries": lambda d: d.update(entries=[]),
    "entries that are text": lambda d: d.update(entries=["2"]),
    "entries beyond count": lambda d: d.update(entries=[10**40]),
    "readers that are one": lambda d: d.update(recipients="publisher"),
    "one key more": lambda d: d.update(x=1),
}


@pytest.mark.parametrize("name", ABOUT)
def test_what_a_room_says_of_a_release_has_one_shape(used: World, name: str, passbox: Any) -> None:
    about = listed(used, "overlap").path.with_suffix(".json")
    document = json.loads(about.read_text())
    ABOUT[name](document)
    about.write_text(json.dumps(document))
    for command in (["list"], ["export"]):
        code, _, err = passbox("release", *command, used.place)
        assert (code, "it is" in err, "remove it, and run its job again" in err) == (SIGNATURE, True, True)
    about.write_text("[" * 100_000)
    assert passbox("release", "list", used.place)[0] == SIGNATURE


def test_a_receipt_of_another_rooms_log_is_caught_with_the_contract_at_hand(used: World) -> None:
    one = listed(used, "overlap")

    def forge(document: Document) -> None:
        lines = document["receipt"]["checkpoint"].split("\n")
        import base64

        stranger = NoteKey.new(lines[0])
        root = base64.b64decode(lines[2])
        document["receipt"]["checkpoint"] = sign_checkpoint(lines[0], int(lines[1]), root, stranger)

    path = reseal(used, one, forge)
    forged = open_release(path, used.keys("publisher").seal_identity(), None)
    with pytest.raises(BadRelease, match="not signed by the contract's room"):
        check_signer(path, forged, used.contract)


def test_numbers_that_hold_together_are_not_believed_unless_the_room_signed_them(used: World) -> None:
    """Who reads a release knows the receipt, and can make figures that fit it from other public sizes."""
    one = listed(used, "overlap")

    def forge(document: Document) -> None:
        for name in ("estimate", "low", "high"):
            document["match_rate"][name] = document["matched"][name] / (2 * document["seed_rows"])
        document["seed_rows"] *= 2

    path = reseal(used, one, forge)
    forged = open_release(path, used.keys("publisher").seal_identity(), None)
    with pytest.raises(BadRelease, match="not as the room signed it"):
        check_signer(path, forged, used.contract)


def test_an_audience_of_somebody_elses_choice_is_not_believed(used: World) -> None:
    one = listed(used, "lookalike")
    opened = used.open(one, ids=False)
    tokens = pa.table({"token": pa.array(range(opened.audience.num_rows), pa.uint64())})
    sink = io.BytesIO()
    pq.write_table(tokens, sink)
    forged = replace(opened, files={**opened.files, "audience.parquet": sink.getvalue()})
    with pytest.raises(BadRelease, match="not as the room signed it"):
        check_signer(one.path, forged, used.contract)


def test_a_release_does_not_write_over_a_file(used: World, tmp_path: Path) -> None:
    opened = used.open(listed(used, "lookalike"))
    (tmp_path / "visitors.csv").write_text("mine")
    with pytest.raises(FileInTheWay):
        write_audience(opened.audience, tmp_path / "visitors.csv")
    assert (tmp_path / "visitors.csv").read_text() == "mine"
    for _ in range(2):
        write_audience(opened.audience, tmp_path / "audience.csv")


def test_members_that_do_not_belong_or_are_too_large_are_refused(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = listed(used, "overlap")
    with pytest.raises(BadRelease, match="not a whole release"):
        reopen(used, reseal(used, one, lambda d: d, evil__sh=b"#!"))
    with pytest.raises(BadRelease, match="not a whole release"):
        reopen(used, reseal(used, one, lambda d: d, audience__parquet=b"no table"))
    from passbox.cleanroom import opening

    monkeypatch.setitem(opening.LARGEST, "release.json", 100)
    with pytest.raises(BadRelease, match="not a whole release"):
        used.open(one)


def test_own_ids_come_back_sorted_and_only_with_the_right_file(used: World) -> None:
    one = listed(used, "lookalike")
    own = used.open(one).audience
    assert own.column_names == ["visitor_id"]
    assert own.column(0).to_pylist() == sorted(own.column(0).to_pylist())
    assert own.num_rows == 300
    for table in (pa.table({"token": pa.array([1], pa.uint64()), "visitor_id": ["v1"]}), pa.table({"x": [1]})):
        pq.write_table(table, used.folder / "visitors.ids")
        with pytest.raises(BadRelease, match=r"\.ids file"):
            used.open(one)
    (used.folder / "visitors.ids").write_bytes(b"no table")
    with pytest.raises(BadRelease, match=r"\.ids file"):
        used.open(one)


Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def opening_words(used: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The publisher opens its lookalike, where its files are."""
    monkeypatch.chdir(used.folder)
    path = listed(used, "lookalike").path
    path.rename(used.folder / path.name)
    return ["release", "open", path.name, "--key=publisher.keys", "--contract=contract.toml"]


def test_opened_without_own_ids_and_then_with_them_both_are_written(
    passbox: Typed, used: World, opening_words: list[str]
) -> None:
    code, out, _ = passbox(*opening_words)
    tokens = used.folder / opening_words[2].replace(".release", ".tokens.csv")
    assert (code, tokens.name in out, tokens.read_text().split()[0]) == (0, True, '"token"')
    assert passbox(*opening_words, "--ids=visitors.ids")[0] == 0
    assert tokens.with_name(tokens.name.replace(".tokens", "")).read_text().split()[0] == '"visitor_id"'


def test_a_workbook_is_no_place_for_an_audience(passbox: Typed, used: World, opening_words: list[str]) -> None:
    code, _, err = passbox(*opening_words, "--ids=visitors.ids", "--out=a.xlsx")
    assert (code, "`--out a.csv`" in err) == (2, True)
    assert not list(used.folder.glob("a.*"))


def test_an_ids_file_that_is_not_there_is_named(passbox: Typed, opening_words: list[str]) -> None:
    code, _, err = passbox(*opening_words, "--ids=nofile.ids")
    assert (code, err.splitlines()[0]) == (3, "error: nofile.ids: there is no such file")


def test_another_model_in_the_way_is_no_matter_of_out(passbox: Typed, used: World, opening_words: list[str]) -> None:
    (used.folder / opening_words[2].replace(".release", ".model.json")).write_text("mine")
    code, _, err = passbox(*opening_words, "--ids=visitors.ids", "--out=a.csv")
    assert (code, "--out" in err) == (3, False)
    assert not list(used.folder.glob("a.csv"))


def test_a_release_may_be_opened_where_the_room_keeps_it(
    passbox: Typed, used: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written beside it is no release of the room's."""
    monkeypatch.chdir(used.folder)
    before, sealed = releases(used.room()), listed(used, "lookalike").path
    code, out, _ = passbox("release", "open", str(sealed), "--key=publisher.keys", "--contract=contract.toml")
    assert (code, sealed.with_suffix(".model.json").exists(), ".model.json" in out) == (0, True, True)
    assert releases(used.room()) == before


def test_a_model_in_the_way_keeps_nobody_from_reading_the_report(
    passbox: Typed, used: World, opening_words: list[str]
) -> None:
    model = used.folder / opening_words[2].replace(".release", ".model.json")
    model.write_text("mine")
    code, out, err = passbox(*opening_words, "--ids=visitors.ids")
    assert (code, "auc" in out, f"another file is at `{model.name}`" in err) == (0, True, True)
    assert model.read_text() == "mine"
    model.unlink()
    assert model.name in passbox(*opening_words, "--ids=visitors.ids")[1]
    assert model.read_text() != "mine"


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠x"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_spreadsheet_formulas_are_defused_in_csv(tmp_path: Path, kind: pa.DataType) -> None:
    import csv

    plain = ["v1", "a=b", "", None]
    table = pa.table({"=id": pa.array([*FORMULAS, *plain], pa.string()).cast(kind)})
    write_audience(table, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = [row[0] if row else "" for row in csv.reader(file)]
    assert rows[0] == "'=id"
    assert rows[1 : len(FORMULAS) + 1] == ["'" + formula for formula in FORMULAS]
    assert rows[len(FORMULAS) + 1 :][:2] == ["v1", "a=b"]


def test_numbers_stay_numbers_and_parquet_stays_as_it_is(tmp_path: Path) -> None:
    write_audience(pa.table({"id": [-5, 7]}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().split() == ['"id"', "-5", "7"]
    table = pa.table({"id": ["=1+1"]})
    write_audience(table, tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet") == table


def test_releases_are_told_apart_where_they_lie_and_where_they_are_read(
    ran: World, tmp_path: Path, passbox: Typed
) -> None:
    """By what was asked, at which ε, when, and for the file of which job."""
    told = json.loads(passbox("release", "list", ran.place, "--json")[1])["releases"]
    jobs = {each["kind"]: each for each in told}
    assert [jobs[kind]["epsilon"] for kind in ("overlap", "lookalike")] == [0.25, 1.0]
    assert jobs["lookalike"]["asked"] == "300 of visitors like buyers"
    assert jobs["overlap"]["asked"] == "buyers among visitors"
    shown = passbox("release", "list", ran.place)[1]
    for each in told:
        hour = f"{each['hour'][:10]} {each['hour'][11:13]}h"
        assert each["job"][:12] in shown
        assert hour in shown
        file, key = tmp_path / f"{each['id']}.release", ran.folder / "publisher.keys"
        shutil.copy(ran.place / "releases" / file.name, file)
        words = ("--key", key, "--contract", ran.contract, "--out", tmp_path / "audience.csv")
        opened = passbox("release", "open", file, *(words if each["kind"] == "lookalike" else words[:4]))[1]
        assert f"drawn {hour} UTC, for a job of publisher, sha256 {each['job'][:12]}" in opened
        assert re.search(r"ρ [0-9.]+ of advertiser/record \([0-9.]+% of the cap, μ [0-9.]+\)", opened)
