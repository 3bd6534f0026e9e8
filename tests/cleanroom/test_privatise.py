"""Privatising a party's file at home, and taking it through the room."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from passbox.cleanroom import job
from passbox.cleanroom.bundle import BadBundle, open_bundle
from passbox.cleanroom.certified import BadCertificate, certificates_in, values_for
from passbox.cleanroom.columns import ColumnUnreadable
from passbox.cleanroom.files import FileInTheWay
from passbox.cleanroom.frail import frail, mostly_itself
from passbox.cleanroom.lexicon import open_lexicon
from passbox.cleanroom.plan import plan
from passbox.cleanroom.prepare import Brought, Task, examine, prepare
from passbox.cleanroom.private import declared_values, faults, spoken, words_of
from passbox.cleanroom.privatise import Texts, Values, lines, privatise, statement_path
from passbox.cleanroom.processing import processing_csv
from passbox.cleanroom.samples import generated, people
from passbox.cleanroom.source import BadSource
from passbox.cleanroom.submit import submit
from passbox.dp.text.calibration import mean_stays
from passbox.dp.text.certificate import MechanismName
from passbox.dp.text.mechanism import Wanted, certify, mechanism
from passbox.dp.text.neighbours import quiet
from passbox.dp.text.table import StandsFor
from passbox.dp.text.tokens import Tokeniser
from passbox.dp.text.vectors import write
from passbox.dp.text.vocabulary import STAND_INS, Vocabulary
from passbox.policies.contract import TextColumn

from .world import AUDIENCE, World

EPSILON = 3.0
TOPICS = list(people.TOPICS)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Places for the sample's topics, the words that stand for others, and 300 more."""
    rng = np.random.default_rng(3)
    topics = sorted({word for topic in TOPICS for word in topic.replace("_", " ").split()})
    stands = [words[0] for words in STAND_INS.values()]
    fill = ["".join(chr(97 + n // 26**place % 26) for place in range(3)) + "qx" for n in range(300)]
    words = list(dict.fromkeys([*stands, *topics, *fill]))
    path = tmp_path_factory.mktemp("vectors") / "words.npz"
    write(Vocabulary(pl.Series(words), (rng.normal(size=(len(words), 8)) * 2).astype(np.float32)), path)
    return path


@pytest.fixture(scope="module")
def texts(vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Texts:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        assert not open_lexicon(vectors, 200, quiet).cached
        lexicon = open_lexicon(vectors, 200, quiet)
    assert lexicon.cached
    words, table = lexicon.vocabulary, lexicon.table
    made = certify(words, table, Wanted("exponential", EPSILON, 6.0, 4), quiet)
    return Texts(made, words, table, mechanism(made, words, table), Tokeniser(words), StandsFor(words, table), length=4)


ROWS = [("1", "aaaqx baaqx bob@example.com", "a, b"), ("2", "", "c"), ("3", 'said "caaqx" 42 http://x.example', "d")]


def written(folder: Path, name: str) -> Path:
    path = folder / name
    frame = pl.DataFrame(ROWS, schema=["id", "query", "note"], orient="row")
    if name.endswith(".parquet"):
        frame.write_parquet(path)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([frame.columns, *ROWS])
    return path


@pytest.mark.parametrize("name", ["queries.csv", "queries.parquet"])
def test_one_column_is_drawn_anew_and_the_others_pass(name: str, texts: Texts, tmp_path: Path) -> None:
    source, out = written(tmp_path, name), tmp_path / f"private-{name}"
    report = privatise(source, out, {"query": texts}, lambda _: None)
    frame = pl.read_parquet(out) if name.endswith("parquet") else pl.read_csv(out, infer_schema_length=0)
    assert frame.columns == ["id", "query", "note"]
    assert frame.select("id", "note").rows() == [(row[0], row[2]) for row in ROWS]
    allowed = set(texts.vocabulary.words.gather(texts.table.words).to_list())
    drawn = [text.split() for text in frame["query"]]
    assert [len(each) for each in drawn] == [4, 4, 4]
    assert {word for each in drawn for word in each} <= allowed
    said = json.loads(report.statement.read_bytes())
    assert said["columns"][0]["tokens"] == 4
    assert said["columns"][0]["certificate"]["epsilon"] == "3"
    if name.endswith("parquet"):
        assert pq.read_schema(out).names == ["id", "query", "note"]


def test_the_same_texts_are_not_drawn_twice_into_one_file(texts: Texts, tmp_path: Path) -> None:
    source, out = written(tmp_path, "queries.csv"), tmp_path / "out.csv"
    privatise(source, out, {"query": texts}, lambda _: None)
    before = out.read_bytes()
    with pytest.raises(FileInTheWay):
        privatise(source, out, {"query": texts}, lambda _: None)
    assert out.read_bytes() == before


def test_two_runs_never_draw_the_same(texts: Texts) -> None:
    many = ["aaaqx baaqx caaqx"] * 50
    assert lines(many, texts) != lines(many, texts)


@pytest.mark.parametrize("text", [b"id,query\n", b"id,query\n1,\xff\n", b"id,query\n1,x,y\n"])
def test_a_bad_file_leaves_nothing_behind(text: bytes, texts: Texts, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(text)
    with pytest.raises(BadSource):
        privatise(tmp_path / "bad.csv", tmp_path / "out.csv", {"query": texts}, lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv"]


# -- declared values, and the room -----------------------------------------------------------------------------------


def topics_of(world: World, vectors: Path) -> Values:
    declared = declared_values(world.agreement.contract.dataset["visitors"])["topics"]
    return values_for(declared, vectors, Wanted("exponential", EPSILON), None, quiet)


def test_a_set_always_costs_as_many_draws_as_it_may_hold(signed: World, vectors: Path) -> None:
    how = topics_of(signed, vectors)
    drawn = how.draw(pl.Series("topics", [TOPICS[0], None, "|".join(TOPICS[:3])]))
    assert how.counts.tokens == 3 * how.draws
    assert {value for text in drawn for value in text.split("|")} <= set(TOPICS)
    assert all(len(set(text.split("|"))) == len(text.split("|")) for text in drawn)
    with pytest.raises(ColumnUnreadable):
        how.draw(pl.Series("topics", ["not a topic of ours"]))


def test_texts_are_sorted_into_the_declared_values_they_lie_nearest_to(signed: World, vectors: Path) -> None:
    """And drawn anew from there; addresses and unknown words say nothing, declared values stay themselves."""
    declared = declared_values(signed.agreement.contract.dataset["visitors"])["topics"]
    how = values_for(declared, vectors, Wanted("exponential", EPSILON), None, quiet, sort=0)
    assert how.sorter is not None
    near = TOPICS[3].replace("_", " ")
    texts = [f"{near} bob@example.com zzzunknown", TOPICS[5], "zzzunknown 42", None, f"{near} {near} {near}"]
    sorted_ = how.sorter(pl.Series("topics", texts, dtype=pl.String))
    assert sorted_.to_list() == [TOPICS[3], TOPICS[5], None, None, TOPICS[3]]
    assert texts[0] != sorted_[0]
    assert how.sorter(pl.Series("topics", texts * 2_000)).equals(pl.concat([sorted_] * 2_000))  # several parts
    drawn = how.draw(pl.Series("topics", [f"{near} zzzunknown|{TOPICS[5]}", "zzzunknown", None], dtype=pl.String))
    assert {value for text in drawn for value in text.split("|")} <= set(TOPICS)
    assert how.counts.tokens == 3 * how.draws
    with pytest.raises(ColumnUnreadable):
        topics_of(signed, vectors).draw(pl.Series("topics", texts, dtype=pl.String))


def test_a_column_of_text_may_come_privatised_too(signed: World, texts: Texts, vectors: Path) -> None:
    """Search words under a certificate of a vocabulary's words; one of declared values is refused there."""
    rule = signed.agreement.contract.dataset["visitors"]
    rule = rule.model_copy(update={"columns": {**rule.columns, "query": TextColumn(kind="text")}})
    stated = texts.stated("query")
    assert faults([stated], rule) == []
    assert faults([replace(texts, length=0).stated("query")], rule) == []
    assert "4 of 200 words a person" in spoken("visitors", [stated])[0]
    (wrong,) = faults([topics_of(signed, vectors).stated("query")], rule)
    assert "is about declared values" in wrong
    (wrong,) = faults([stated], rule.model_copy(update={"rows": "events", "at_most": 3}))
    assert "up to 3 rows" in wrong


def test_a_mechanism_that_leaves_values_as_they_are_is_called_frail(signed: World, vectors: Path) -> None:
    """At ε 3 nearly every value stays; at ε .1 the bound between any two people is a single digit. No row is asked."""
    declared = declared_values(signed.agreement.contract.dataset["visitors"])["topics"]
    weak, strong = (values_for(declared, vectors, Wanted("exponential", ε), None, quiet) for ε in (3.0, 0.1))
    said = frail("topics", weak)
    assert said.startswith("topics: a value stays as it is with probability")
    assert "between any two people is no protection" in said
    assert "take a smaller `--epsilon`" in said
    assert "\n" not in said
    assert frail("topics", strong) == ""
    assert (strong.counts.tokens, weak.counts.tokens) == (0, 0)


@pytest.mark.parametrize("name", ["euclidean", "exponential"])
def test_words_that_mostly_stay_are_told_under_every_mechanism(name: MechanismName, texts: Texts) -> None:
    """Counted from whole weights where there are any, else from draws of public words."""
    for epsilon, told in ((60.0, True), (0.05, False)):
        made = certify(texts.vocabulary, texts.table, Wanted(name, epsilon, 6.0, 1), quiet)
        drawing = mechanism(made, texts.vocabulary, texts.table)
        how = replace(texts, certificate=made, mechanism=drawing)
        assert mostly_itself(mean_stays(drawing, made.size), made.size) is told
        assert bool(frail("query", how)) is told


def test_the_number_of_values_shows_no_more_than_any_two_people_do(signed: World, vectors: Path) -> None:
    """Nobody's set is padded by what is certain: at a small ε, one value and as many as may be come out alike.

    Odds of every size differ by a factor of at most e^ε between any two people; 4,000 draws each, and 6 standard
    deviations of the difference of two shares beside it: false alarms below 10^-7. At ε 3 the same test catches it.
    """
    declared = declared_values(signed.agreement.contract.dataset["visitors"])["topics"]
    many = 4_000

    def apart(epsilon: float) -> float:
        how = values_for(declared, vectors, Wanted("exponential", epsilon), None, quiet)
        shares = []
        for text in ("", "|".join(TOPICS[: how.draws])):
            sizes = how.draw(pl.Series("topics", [text] * many, dtype=pl.String)).str.split("|").list.len()
            shares.append(np.bincount(sizes.to_numpy(), minlength=how.draws + 1) / many)
        return float(np.abs(shares[0] - shares[1]).max())

    near = 0.005
    bound = np.expm1(
        float(
            str(values_for(declared, vectors, Wanted("exponential", near), None, quiet).stated("topics").any_two_texts)
        )
    )
    slack = 6 * np.sqrt(0.5 / many)
    assert apart(near) <= bound + slack
    assert apart(3.0) > bound + slack


@pytest.fixture(scope="module")
def home(signed: World, vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The publisher's file, with its topics privatised."""
    folder = tmp_path_factory.mktemp("home")
    sample = generated.write(3_000, 300, folder / "p", folder / "a", folder / "truth")
    privatise(sample.publisher, folder / "visitors.csv", {"topics": topics_of(signed, vectors)}, lambda _: None)
    return folder / "visitors.csv"


def prepared(world: World, source: Path) -> Path:
    bundle = world.folder / "private.bundle"
    task = Task(source, world.agreement, "visitors", bundle, most_rejects=0.01)
    prepare(task, world.keys("publisher"), world.signer("publisher"), world.shares(), world.now)
    return bundle


def test_privatised_topics_feed_a_lookalike_as_an_ordinary_column(empty_room: World, home: Path) -> None:
    """From a party's file to an audience, with the certificate in the bundle, the plan and the ledger's copy."""
    world = empty_room
    bundle = prepared(world, home)
    manifest, bundle_digest = open_bundle(bundle).manifest, open_bundle(bundle).digest
    assert [each.column for each in manifest.private] == ["topics"]
    assert manifest.private[0].tokens == 8
    submit(world.room(), bundle)
    submit(world.room(), world.folder / "buyers.bundle")
    job.match(world.room())
    planned = plan(world.room(), world.request("lookalike"))
    ran = world.run("lookalike")
    opened = opening_of(world, ran)
    assert opened.audience is not None
    assert opened.audience.num_rows == AUDIENCE
    spent = world.spent()
    assert [rho for name, rho in spent.items() if name.startswith("publisher")] == [0]  # words are in no account
    assert sum(cost.rho for cost in planned.costs) == sum(spent.values())
    assert world.verify().accounts
    (words,) = words_of(world.log().entries, world.log().manifests)
    assert (words.dataset, words.column.column, words.column.certificate.epsilon) == ("visitors", "topics", "3")
    entries = [json.loads(leaf) for leaf in world.log().entries]
    assert words.charged == next(each["seq"] for each in entries if each["kind"] == "release" and each["charges"])
    assert words.charged in words.entries
    assert entries[words.charged]["specification"]["datasets"]["visitors"] == words.manifest == bundle_digest
    log, contract = world.log(), world.agreement.contract
    filed = list(csv.DictReader(io.StringIO(processing_csv(log.entries, contract, log.manifests))))
    for row in filed:
        assert (
            "visitors.topics: metric epsilon 3 for one unit of Euclidean distance, 8 tokens a person"
            in (row["words_privatised_before"])
        )
        assert words.column.certificate.digest in row["words_privatised_before"]
    sentence = spoken("visitors", manifest.private)[0]
    assert "visitors.topics came privatised: 8 of" in sentence
    assert "apart from the budget" in sentence


def opening_of(world: World, ran: job.Ran):  # type: ignore[no-untyped-def]
    from passbox.cleanroom import opening

    identity = world.keys("publisher").seal_identity()
    return opening.open_release(ran.release.path, identity, world.folder / "private.ids")


def test_whoever_has_a_bundle_or_a_ledger_has_the_certificates(
    empty_room: World, home: Path, matched: World, tmp_path: Path
) -> None:
    bundle = prepared(empty_room, home)
    stated = certificates_in(statement_path(home))
    (tmp_path / "manifest.json").write_bytes(open_bundle(bundle).manifest_bytes)
    assert [name for name, _ in stated] == ["topics"]
    assert certificates_in(bundle) == certificates_in(tmp_path / "manifest.json") == stated
    with pytest.raises(BadCertificate, match="none of its columns"):
        certificates_in(matched.folder / "buyers.bundle")


def test_a_statement_about_another_file_is_refused(empty_room: World, home: Path) -> None:
    source = empty_room.folder / "changed.csv"
    source.write_bytes(home.read_bytes() + b"\n")
    statement_path(source).write_bytes(statement_path(home).read_bytes())
    with pytest.raises(BadCertificate, match="another file"):
        prepared(empty_room, source)
    with pytest.raises(BadCertificate, match="another file"):
        examine(Brought(source, empty_room.agreement.contract, "visitors"))
    examine(Brought(home, empty_room.agreement.contract, "visitors"))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"column": "age"}, "no such category or set"),
        ({"tokens": 7}, "does not cover every value"),
        ({"tokens": None}, "does not cover every value"),
        ({"table": "0" * 64}, "about other values"),
    ],
)
def test_a_certificate_that_does_not_fit_the_contract_is_refused_by_the_room(
    empty_room: World, home: Path, matched: World, change: dict[str, object], rule: str
) -> None:
    honest = open_bundle(prepared(empty_room, home)).manifest.private[0]
    table = change.pop("table", None)
    made = honest.certificate if table is None else honest.certificate.model_copy(update={"table": table})
    false = honest.model_copy(update={**change, "certificate": made})
    bundle = empty_room.bundle("visitors", matched.table("visitors"), private=(false,))
    with pytest.raises(BadBundle) as error:
        submit(empty_room.room(), bundle)
    assert rule in error.value.rule


def test_a_bundle_without_privatised_columns_says_nothing_of_them(signed: World) -> None:
    assert b"private" not in open_bundle(signed.folder / "visitors.bundle").manifest_bytes


@pytest.mark.parametrize(
    "begins", [b'{"format": "passbox bundle v1"', b'{"format": "passbox privatised columns v1"', b"{"]
)
def test_of_a_file_without_end_no_more_is_read_than_a_certificate_may_be_long(begins: bytes, tmp_path: Path) -> None:
    path = tmp_path / "endless.json"
    with path.open("wb") as file:
        file.write(begins)
        file.truncate(1 << 40)  # more than there is memory; none of it on the disk
    with pytest.raises((BadBundle, BadCertificate)):
        certificates_in(path)
