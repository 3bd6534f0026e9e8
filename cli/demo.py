"""`passbox demo`: the whole job in a scratch folder, as its people would type it."""

from __future__ import annotations

import shlex
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .show import JsonFlag, Result, Table, draw, interval, number, print_json, say
from .stage import Stage, keys_made, signed_by_all, verified

if TYPE_CHECKING:
    from ..cleanroom.samples import Sample

PEOPLE = ("publisher", "advertiser", "officer", "operator")


class DemoStopped(Exception):
    """Ctrl-C, while the folder that was named is half filled."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder


def demo(
    context: typer.Context,
    people: Annotated[
        int | None, typer.Option(help="how many people are generated: 1,000 to 10,000,000 [default: 200,000]")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="how many the advertiser lists: 10 to a fifth of the people, or 1,000,000 [default: 5,000]"),
    ] = None,
    epsilon: Annotated[float, typer.Option(help="ε of both jobs together: 0.01 to 20")] = 1.0,
    real: Annotated[
        bool, typer.Option("--real", help="real data instead: telephone customers who left (IBM Telco)")
    ] = False,
    campaign: Annotated[
        bool, typer.Option("--campaign", help="a campaign instead: reach, frequency, prices, rates and topics of it")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="folder for everybody's files [default: a new temporary one]")
    ] = None,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="only write the parties' files, to type the rest")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run the whole job in a scratch room, step by step, through real files in one folder per person."""
    from .demo_campaign import play
    from .words import campaign_size, demo_epsilon, demo_sizes

    demo_epsilon(epsilon)
    if campaign:
        many = campaign_size(people, alone=seeds is None and not real and not data_only)
    else:
        sizes = demo_sizes(people, seeds, real)
    folder = _folder(out)
    stage = Stage(folder, context, quiet=as_json)
    try:
        if campaign:
            play(stage, many, epsilon)
            return
        sample = _sample(folder, sizes, real)
        if data_only:
            _say_data(folder, sample, as_json)
        else:
            _play(stage, sample, epsilon)
    except KeyboardInterrupt:
        if out is None:  # the next one begins in a folder of its own
            raise
        raise DemoStopped(out) from None


def _play(stage: Stage, sample: Sample, epsilon: float) -> None:
    """The whole job, from keys to the cosigned ledger."""
    started = time.monotonic()
    stage.tell(sample.about)
    stage.tell(f"everybody's files are in {stage.folder}")
    size = max(1, sample.people // 10)
    _agree(stage, sample, size, epsilon)
    _bring_data(stage, sample)
    _ask(stage, epsilon, size)
    verified(stage)
    found = _summary(stage, sample, epsilon, round(time.monotonic() - started, 1))
    if stage.quiet:
        print_json(found)
    else:
        _conclude(stage, found)


def _folder(out: Path | None) -> Path:
    import tempfile

    from ..cleanroom.files import FileInTheWay

    if out is None:
        return Path(tempfile.mkdtemp(prefix="passbox-demo-"))
    if out.exists() and any(out.iterdir()):
        raise FileInTheWay(out)
    return out.resolve()


def _sample(folder: Path, sizes: tuple[int, int], real: bool) -> Sample:
    from ..cleanroom.samples import generated, telco

    places = (folder / "publisher", folder / "advertiser", folder / "truth")
    sample = telco.write(*places) if real else generated.write(*sizes, *places)
    for person in PEOPLE:
        (folder / person).mkdir(parents=True, exist_ok=True)
    return sample


def _say_data(folder: Path, sample: Sample, as_json: bool) -> None:
    paths = [str(sample.publisher), str(sample.advertiser)]
    say(
        Result(
            {"folder": str(folder), "files": paths, "people": sample.people, "seeds": sample.seeds},
            [sample.about, *(f"wrote `{path}`" for path in paths)],
            "type the session of the README in these folders",
        ),
        as_json,
    )


def _agree(stage: Stage, sample: Sample, size: int, epsilon: float) -> None:
    keys_made(stage)
    stage.head("2. The contract: drafted by the publisher, signed by all")
    stage.type("publisher", _draft(sample, size, epsilon))
    stage.type("publisher", "passbox contract check contract.toml")
    signed_by_all(stage)


def _draft(sample: Sample, size: int, epsilon: float) -> str:
    words = ["passbox", "contract", "new"]
    for card in ("publisher", "advertiser", "officer", "host"):
        words += ["--party", f"{card}.party.toml"]
    words += ["--room", "host.room.toml", "--name", "spring-lookalike", "--from", sample.publisher.name]
    words += ["--people-identifier", sample.email_form, "--seed-identifier", sample.advertiser_email_form]
    words += ["--epsilon", f"{max(3.0, 3 * epsilon):g}"]
    words += ["--smallest-seed", str(min(1000, max(1, sample.seeds // 2)))]
    words += ["--smallest-audience", str(min(5000, max(1, size // 2)))]
    words += ["--expires", (date.today() + timedelta(days=90)).isoformat()]
    return shlex.join(words)


def _bring_data(stage: Stage, sample: Sample) -> None:
    stage.head("3. Data: normalised, hashed, keyed, sealed and signed at home")
    rejects = "" if sample.email_form == "sha256" else " --max-rejects 1%"
    for person, dataset, file, column in (
        ("publisher", "visitors", sample.publisher, sample.email_column),
        ("advertiser", "buyers", sample.advertiser, sample.advertiser_email_column),
    ):
        named = "" if column == "email" else f" --column email={column}"
        flags = f"--contract contract.toml --dataset {dataset} --key {person}.keys{named}"
        limit = rejects if person == "publisher" else ""
        stage.type(person, f"passbox prepare {file.name} {flags}{limit}", keep=dataset)
    stage.carry("publisher", ["visitors.bundle"], "operator")
    stage.carry("advertiser", ["buyers.bundle"], "operator")
    stage.head("4. The room: blind, it matches keyed hashes")
    stage.type("operator", "passbox room new spring --contract contract.toml --key host.keys")
    stage.type("operator", "passbox submit spring visitors.bundle")
    stage.type("operator", "passbox submit spring buyers.bundle")
    stage.type("operator", "passbox match spring")


def _ask(stage: Stage, epsilon: float, size: int) -> None:
    from ..cleanroom.demo import share
    from ..policies.agreement import read_contract

    stage.head("5. Jobs: signed by who asks, priced before they run")
    agreed, _ = read_contract(stage.folder / "publisher" / "contract.toml")
    overlap, lookalike = share(agreed, "visitors", "buyers", epsilon)
    stage.tell(
        f"ε {epsilon:g} for both: {overlap:g} for the overlap leaves {lookalike:g} for the lookalike, because ε does "
        "not add up and shares of the cap do"
    )
    for kind, options in (
        ("overlap", f"--epsilon {overlap:g}"),
        ("lookalike", f"--epsilon {lookalike:g} --size {size}"),
    ):
        stage.type("publisher", f"passbox job new {kind} --contract contract.toml {options}", brief=True)
        sign = f"passbox job sign {kind}.toml --contract contract.toml --key publisher.keys"
        stage.type("publisher", sign, brief=True)
    stage.carry(
        "publisher", ["overlap.toml", "overlap.toml.publisher.sig", "lookalike.toml", "lookalike.toml.publisher.sig"],
        "operator",
    )  # fmt: skip
    stage.type("operator", "passbox plan spring lookalike.toml --explain", keep="plan")
    for kind in ("overlap", "lookalike"):
        stage.type("operator", f"passbox run spring {kind}.toml", keep=f"run {kind}")
    stage.head("6. Releases: sealed to their readers")
    for kind in ("overlap", "lookalike"):
        name = f"{stage.results[f'run {kind}']['release']}.release"
        stage.type("operator", f"passbox release export spring {name.removesuffix('.release')}", brief=True)
        stage.carry("operator", [name], "publisher")
        opening = f"passbox release open {name} --key publisher.keys --contract contract.toml"
        ids = " --ids visitors.ids" if kind == "lookalike" else ""
        stage.type("publisher", opening + ids, keep=kind)


def _summary(stage: Stage, sample: Sample, epsilon: float, seconds: float) -> dict[str, Any]:
    from ..cleanroom.demo import compare
    from ..cleanroom.job import read_request
    from ..cleanroom.room import open_room

    room = open_room(stage.folder / "operator" / "spring")
    request = read_request(room, stage.folder / "operator" / "lookalike.toml")
    truth = compare(room, request, stage.folder / "publisher" / "visitors.ids", sample.truth)
    results = stage.results
    lookalike, accounts = results["lookalike"], results["ledger"]["accounts"]
    spent = {name: _spent(accounts, rule.owner) for name, rule in room.contract.dataset.items()}
    audience = next(path for path in lookalike["files"] if path.endswith(".csv"))
    return {
        "asked": sample.people,
        "people": results["visitors"]["rows"],
        "seeds": results["buyers"]["rows"],
        "seconds": seconds,
        "epsilon": epsilon,
        "about": sample.about,
        "folder": str(stage.folder),
        "match": {**results["overlap"]["matched"], "rate": results["overlap"]["match_rate"]},
        "lookalike": {
            "epsilon": request.job.epsilon,
            "auc": lookalike["auc"],
            "exact_auc": truth.exact_auc,
            "truth_auc": truth.truth_auc,
            "unlisted_buyers": truth.unlisted,
            "cuts": lookalike["cuts"],
        },
        "audience": {"size": lookalike["audience"]["size"], "path": str(stage.folder / "publisher" / audience)},
        "ledger": {
            "entries": results["verified"]["entries"],
            "verified": results["verified"]["verified"],
            "cosigned": results["cosigned"]["entries"],
        },
        "spent": spent,
    }


def _spent(accounts: list[dict[str, Any]], owner: str) -> dict[str, float]:
    account = next(item for item in accounts if item["owner"] == owner)
    return {"epsilon": account["spent"], "of": account["cap"], "delta": account["delta"]}


_UNLISTED = (
    'truth_auc differs because buyers who are not on the seed list count as "the rest" in auc: a good model ranks '
    "them high, and auc takes that for a mistake."
)
_ALL_LISTED = (
    "All true buyers are on the seed list here, so truth_auc knows no more than exact_auc: it ranks by the score "
    "itself, exact_auc by the bins of the released histogram."
)


def _conclude(stage: Stage, found: dict[str, Any]) -> None:
    stage.head("What it found")
    auc = found["lookalike"]["auc"]
    exact, truth = found["lookalike"]["exact_auc"], found["lookalike"]["truth_auc"]
    inside = auc["low"] <= exact <= auc["high"]
    rows = [
        ("auc", interval(auc), "released: seeds against the rest, held out, noisy"),
        ("exact_auc", number(exact), f"the same without noise, {'inside' if inside else 'outside'} the interval"),
        ("truth_auc", number(truth), "every true buyer against the others: only a demo knows"),
    ]
    draw(stage.console, Table(("number", "value", "what it is"), rows, right=(1,)))
    stage.tell(_UNLISTED if found["lookalike"]["unlisted_buyers"] else _ALL_LISTED)
    for name, spent in found["spent"].items():
        stage.tell(f"spent of {name}: ε {spent['epsilon']:.3f} of {spent['of']:g}")
    stage.tell(f"{found['ledger']['entries']} ledger entries, verified by the officer from the export alone")
    stage.tell(f"{found['seconds']} s; every command above works again in {found['folder']}/PERSON")
