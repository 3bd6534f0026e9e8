"""`passbox text`: words that may be shared, with a certificate that someone else can check."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import vectors as words_of
from .privatised import after, written
from .progress import measuring
from .show import Bars, JsonFlag, Result, Table, counted, note, number, say
from .vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..cleanroom.lexicon import Lexicon
    from ..cleanroom.privatise import Texts, Values
    from ..dp.text.calibration import Calibrated
    from ..dp.text.certificate import Certificate, MechanismName
    from ..dp.text.mechanism import Checked, Wanted

app = typer.Typer(help="Privatise words at home: metric differential privacy, certified.", no_args_is_help=True)

Mechanism = Annotated[str, typer.Option(help="exponential, halved, euclidean or hyperbolic")]
Size = Annotated[int, typer.Option("--table", help="how many words a word may become", min=100, max=1_000_000)]
Reach = Annotated[float, typer.Option(help="exponential: distance beyond which all words are alike")]
Crowd = Annotated[int, typer.Option(help="exponential: words that are as likely as the word itself", min=1, max=256)]
Epsilon = Annotated[float | None, typer.Option(help="for one unit of distance between two words")]

_TABLE, _REACH, _CROWD = 20_000, 6.0, 16
"""As `dp.text.table` and `dp.text.mechanism` say; a test holds them together. Help must not load those."""


@app.command("calibrate")
def calibrate(
    epsilon: Annotated[str, typer.Option(help="several, with commas [default: what suits the mechanism]")] = "",
    mechanism: Mechanism = "exponential",
    words: Annotated[int, typer.Option(help="how many words of the table are tried", min=10, max=100_000)] = 1000,
    reach: Reach = _REACH,
    crowd: Crowd = _CROWD,
    table: Size = _TABLE,
    contract: Annotated[Path | None, typer.Option(help="for a declared column: contract.toml")] = None,
    dataset: Annotated[str, typer.Option(help="for a declared column: the data set")] = "",
    column: Annotated[str, typer.Option(help="for a declared column: which")] = "",
    vectors: Vectors = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what each ε does to words: how often one stays, and how many it may become. Costs no privacy.

    With a contract: to the values of a declared column, in seconds. 20,000 words take minutes.
    """
    from ..dp.text.calibration import calibrate as tried
    from ..dp.text.calibration import sample
    from ..dp.text.mechanism import certify
    from ..dp.text.mechanism import mechanism as make
    from .words import epsilons, mechanism_named

    asked = epsilons(epsilon) if epsilon else []
    if contract is None:
        lexicon, draws = _lexicon(vectors, table, mechanism_named(mechanism)), 0
    else:
        lexicon, draws = _declared_lexicon(_declared(contract, dataset), column, vectors)
        crowd, asked = 1, asked or [0.1, 0.2, 0.3, 0.5, 1.0, 3.0]
    sampled = sample(len(lexicon.table), words)
    found: list[tuple[Certificate, Calibrated]] = []
    for each in asked or _grid(mechanism, lexicon):
        with measuring(f"ε {each:g}") as progress:
            made = certify(lexicon.vocabulary, lexicon.table, _wanted(mechanism, each, reach, crowd), progress)
            found.append((made, tried(make(made, lexicon.vocabulary, lexicon.table), sampled)))
    options = f"{'' if mechanism == 'exponential' else f' --mechanism {mechanism}'}{words_of.named(vectors)}"
    then = f"`passbox text certify --epsilon E{options}` measures all pairs for one of them"
    if draws:
        declared = f"--contract {contract} --dataset {dataset} --epsilon E{words_of.named(vectors)}"
        then = f"`passbox text privatise FILE --columns {column} {declared}`"
    say(_calibrated(found, len(sampled), draws, then), as_json)


def _declared_lexicon(
    declared: Mapping[str, tuple[tuple[str, ...], int]], column: str, vectors: Path | None
) -> tuple[Lexicon, int]:
    """The values of one declared column, and how many a person has at most."""
    from ..cleanroom.lexicon import Lexicon, vocabulary_of
    from ..dp.text.table import of_values
    from .words import NoRole

    if column not in declared:
        known = ", ".join(declared) or "none"
        raise NoRole("no declared column is named", f"say which with `--column`; it declares {known}")
    values, draws = declared[column]
    return Lexicon(*of_values(values, vocabulary_of(vectors)), cached=False), draws


def _grid(mechanism: str, lexicon: Lexicon) -> list[float]:
    if mechanism == "hyperbolic":
        return [lexicon.vocabulary.dimensions - 1 + extra for extra in (0.01, 0.03, 0.1, 0.3, 1.0)]
    return [2.0, 5.0, 10.0, 15.0, 20.0] if mechanism == "euclidean" else [2.0, 3.0, 4.0, 6.0, 8.0]


def _calibrated(found: Sequence[tuple[Certificate, Calibrated]], words: int, draws: int, then: str) -> Result:
    """draws: values of each person, for a declared column. then: what to type next."""
    from ..dp.text.calibration import in_words
    from ..dp.text.certificate import rounded

    rows = [
        (
            made.epsilon,
            number(each.mean_stays),
            number(each.worst_stays),
            number(each.mean_becomes, 1),
            str(each.worst_becomes),
            rounded((draws or 1) * Decimal(made.any_two)) if made.any_two else "no bound",
            in_words(each),
        )
        for made, each in found
    ]
    what = "value" if draws else "word"
    header = ("ε", "stays", "worst", "becomes", "worst", "any two people" if draws else "any two", "in words")
    title = f"{counted(words, what)}, {found[0][1].draws} draws of each"
    bars = [(f"ε {made.epsilon}", each.mean_stays, f"{each.mean_stays:.1%}") for made, each in found]
    data = [
        {
            "epsilon": float(made.epsilon),
            "rate": made.rate and float(made.rate),
            "any_two": made.any_two and float(made.any_two),
            "any_two_people": float(draws * Decimal(made.any_two)) if made.any_two and draws else None,
            "stays": {"mean": each.mean_stays, "worst": each.worst_stays},
            "becomes": {"mean": each.mean_becomes, "worst": each.worst_becomes},
            "draws": each.draws,
            "words": in_words(each),
        }
        for made, each in found
    ]
    return Result(
        {"mechanism": found[0][0].mechanism, "tried": words, "grid": data},
        [Table(header, rows, title, right=(0, 1, 2, 3, 4, 5)), Bars(f"share of {what}s that stay", bars)],
        then,
    )


@app.command("certify")
def certify(
    epsilon: Annotated[float, typer.Option(help="for one unit of distance between two words")],
    out: Annotated[Path, typer.Option(help="where the certificate goes")] = Path("words.certificate.json"),
    mechanism: Mechanism = "exponential",
    reach: Reach = _REACH,
    crowd: Crowd = _CROWD,
    table: Size = _TABLE,
    vectors: Vectors = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure all pairs of words, find the strongest signal that keeps to ε, and write the certificate."""
    from ..cleanroom.certified import refuse_other_certificate
    from ..cleanroom.files import write_new
    from ..dp.text.mechanism import certify as measured

    wanted = _wanted(mechanism, epsilon, reach, crowd)
    refuse_other_certificate(out, wanted)
    lexicon = _lexicon(vectors, table, wanted.mechanism)
    with measuring("all pairs of words") as progress:
        made = measured(lexicon.vocabulary, lexicon.table, wanted, progress)
    write_new(out, made.spelled(), same_is_fine=True)
    say(_certified(made, out, vectors), as_json)


def _certified(made: Certificate, out: Path, vectors: Path | None) -> Result:
    from ..dp.text.certificate import rounded

    rows = [("words a word may become", f"{made.size:,}"), ("ε for one unit of distance", made.epsilon)]
    rows += [("worst pair", made.worst)]
    if made.rate is not None:
        gain = 2 * float(made.rate) / float(made.epsilon)
        rows += [
            ("rate", f"{made.rate}, {gain:.2f} of what ε / 2 gives"),
            ("any two words", f"ε {rounded(str(made.any_two))}"),
        ]
    data = {"certificate": str(out), "digest": made.digest, **made.model_dump(exclude={"format"})}
    return Result(
        data,
        [Table((made.mechanism, ""), rows, right=(1,))],
        f"`passbox text privatise FILE --columns C --certificate {out}{words_of.named(vectors)}`",
    )


@app.command("verify")
def verify(
    certificate: Annotated[
        Path, typer.Argument(help="a certificate, or what names some: a statement, a bundle, a ledger's manifest")
    ],
    vectors: Vectors = None,
    contract: Annotated[Path | None, typer.Option(help="for declared values: contract.toml")] = None,
    dataset: Annotated[str, typer.Option(help="for declared values: the data set")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Measure a certificate again, from the vectors alone, over all pairs of words: accept or refuse it."""
    from ..cleanroom.certified import certificates_in, lexicon_for
    from ..dp.text.certificate import decimal
    from ..dp.text.mechanism import check

    declared = _declared(contract, dataset)
    rows: list[tuple[str, str, str, str]] = []
    data = []
    known: dict[tuple[str, tuple[tuple[str, ...], int] | None], Checked] = {}
    for name, each in certificates_in(certificate):
        about = (each.digest, declared.get(name))
        if about not in known:
            with measuring("reading the vectors") as progress:
                vocabulary, table = lexicon_for(each, vectors, declared.get(name), progress)
            with measuring("all pairs of words") as progress:
                known[about] = check(each, vocabulary, table, progress)
        checked = known[about]
        worst = checked.worst
        pairs = f"{worst.pairs:,}" if worst else "by proof"
        measured = decimal(worst.epsilon) if worst else each.worst
        rows.append((name or each.mechanism, each.epsilon, measured, pairs))
        figures = {"epsilon": worst.epsilon, "any_two": worst.any_two, "pairs": worst.pairs} if worst else None
        data.append({"column": name, "digest": each.digest, "measured": figures, "by_force": checked.by_force})
    header = ("certificate", "ε", "worst measured", "pairs")
    say(Result({"holds": True, "certificates": data}, [Table(header, rows, right=(1, 2, 3)), "it holds"]), as_json)


@app.command("privatise")
def privatise(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, or - for lines from a pipe")],
    columns: Annotated[str, typer.Option(help="which columns, with commas")] = "",
    epsilon: Epsilon = None,
    certificate: Annotated[Path | None, typer.Option(help="one that `text certify` wrote, instead of ε")] = None,
    length: Annotated[
        int, typer.Option(help="words of every text, chosen or filled up; 0 leaves, and shows, their number", min=0)
    ] = 0,
    leave_out: Annotated[
        int, typer.Option(help="drop so many of the vocabulary's most common words from free texts", min=0, max=10_000)
    ] = 0,
    sort: Annotated[
        bool, typer.Option("--sort", help="declared columns hold texts: each stands for the value it lies nearest to")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="the new file [default: FILE with .private before its ending]")
    ] = None,
    contract: Annotated[Path | None, typer.Option(help="for declared columns: contract.toml")] = None,
    dataset: Annotated[str, typer.Option(help="for declared columns: the data set")] = "",
    reach: Reach = _REACH,
    crowd: Crowd = _CROWD,
    table: Size = _TABLE,
    vectors: Vectors = None,
    as_json: JsonFlag = False,
) -> None:
    """Replace every word by a near one, with noise, before anything is shared.

    Unknown words, addresses, links and numbers never pass: each becomes a word that stands for its kind, with noise.
    """
    from ..cleanroom.frail import frail
    from ..cleanroom.lexicon import refuse_aimed
    from ..cleanroom.privatise import refuse_unready
    from .pipe import pipe
    from .words import NoRole, listed

    if (epsilon is None) == (certificate is None):
        raise NoRole("say how private", "either `--epsilon E` or `--certificate FILE`")
    wanted = None if epsilon is None else _wanted("exponential", epsilon, reach, crowd)
    if str(file) == "-":
        if columns or out or contract or sort:
            raise NoRole("lines from a pipe have no columns and no file", "leave all but ε or a certificate out")
        texts = _texts(vectors, table, wanted, certificate, (length, leave_out))
        if told := frail("lines", texts):
            note(f"warning: {told}", "yellow")
        pipe(texts, as_json)
        return
    declared = _declared(contract, dataset)
    chosen = listed(columns)
    if not chosen:
        raise NoRole("no column is named", "say which with `--columns query,title`")
    out = out or file.with_name(f"{file.stem}.private{file.suffix}")
    refuse_unready(file, out, tuple(chosen))
    refuse_aimed(file, vectors)
    how: dict[str, Texts | Values] = {}
    free = [name for name in chosen if name not in declared]
    if sort and len(free) == len(chosen):
        how_to = "name a contract with `--contract` and `--dataset`, and a category or a set of it in `--columns`"
        raise NoRole("`--sort` is about declared columns", how_to)
    _refuse_undeclared(free, declared, contract, dataset)
    if free:
        how |= dict.fromkeys(free, _texts(vectors, table, wanted, certificate, (length, leave_out)))
    for name in chosen:
        if name in declared:
            how[name] = _values(declared[name], vectors, wanted, certificate, leave_out if sort else None)
    then = after(out, vectors, contract, dataset)
    written(file, out, how, then, as_json)


app.command("pack")(words_of.pack)
app.command("aim")(words_of.aim)
app.command("hierarchy")(words_of.hierarchy)


# -- what the commands share -----------------------------------------------------------------------------------------


def _wanted(mechanism: str, epsilon: float, reach: float, crowd: int) -> Wanted:
    from ..dp.text.mechanism import Wanted
    from .words import mechanism_named, positive

    return Wanted(mechanism_named(mechanism), positive(epsilon, "epsilon"), positive(reach, "reach"), crowd)


def _lexicon(vectors: Path | None, size: int, mechanism: MechanismName) -> Lexicon:
    from ..cleanroom.lexicon import open_lexicon
    from ..dp.text.mechanism import needs_neighbours

    with measuring("measuring the vocabulary, once") as progress:
        return open_lexicon(vectors, size, progress, neighbours=needs_neighbours(mechanism))


def _texts(
    vectors: Path | None, size: int, wanted: Wanted | None, certificate: Path | None, cut: tuple[int, int]
) -> Texts:
    """cut: words of every text, and how many common ones are left out."""
    from ..cleanroom.certified import read_certificate
    from ..cleanroom.privatise import Texts
    from ..dp.text.mechanism import certify as measured
    from ..dp.text.mechanism import mechanism as make
    from ..dp.text.table import StandsFor
    from ..dp.text.tokens import Tokeniser

    made = None if certificate is None else read_certificate(certificate)
    if made is not None:
        lexicon = _lexicon(vectors, made.size, made.mechanism)
    elif wanted is not None:
        lexicon = _lexicon(vectors, size, wanted.mechanism)
        with measuring("all pairs of words") as progress:
            made = measured(lexicon.vocabulary, lexicon.table, wanted, progress)
    assert made is not None  # noqa: S101 - one of the two was given
    drawing = make(made, lexicon.vocabulary, lexicon.table)
    words, table = lexicon.vocabulary, lexicon.table
    return Texts(made, words, table, drawing, Tokeniser(words, cut[1]), StandsFor(words, table), cut[0])


def _declared(contract: Path | None, dataset: str) -> Mapping[str, tuple[tuple[str, ...], int]]:
    """Declared values of columns, and how many a person has at most."""
    from .words import NoRole, known_dataset

    if contract is None:
        return {}
    from ..cleanroom.private import declared_values
    from ..policies.agreement import read_contract

    if not dataset:
        raise NoRole("no data set is named", "say which with `--dataset NAME`")
    agreed, _ = read_contract(contract)
    known_dataset(dataset, agreed)
    return declared_values(agreed.dataset[dataset])


def _refuse_undeclared(
    free: Sequence[str], declared: Mapping[str, tuple[tuple[str, ...], int]], contract: Path | None, dataset: str
) -> None:
    """What a contract does not declare as values must be a column of text. Errors: NoRole."""
    from .words import NoRole

    if contract is None:
        return
    from ..cleanroom.private import free_texts
    from ..policies.agreement import read_contract

    texts = free_texts(read_contract(contract)[0].dataset[dataset])
    if strange := [name for name in free if name not in texts]:
        known = ", ".join([*declared, *texts]) or "none"
        raise NoRole(
            f"the contract declares no such category, set or text: {', '.join(strange)}", f"it declares {known}"
        )


def _values(
    declared: tuple[tuple[str, ...], int],
    vectors: Path | None,
    wanted: Wanted | None,
    certificate: Path | None,
    sort: int | None,
) -> Values:
    """sort: how many common words say nothing, where values are texts."""
    from ..cleanroom.certified import values_for

    with measuring("measuring the declared values") as progress:
        return values_for(declared, vectors, wanted, certificate, progress, sort)
