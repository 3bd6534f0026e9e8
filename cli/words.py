"""What people type, checked before anything is opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ..dp.text.certificate import MechanismName
    from ..policies.contract import Allowance, Contract


class NoRole(Exception):
    """A word on the command line that is not one of a few. rule, remedy: plain words."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule, remedy)
        self.rule, self.remedy = rule, remedy


class NoSuchDataset(Exception):
    """A data set that the contract does not name."""

    def __init__(self, name: str, known: str) -> None:
        super().__init__(name, known)
        self.name, self.known = name, known


def plain_name(name: str) -> str:
    """A name of a party or data set: lower case, begins with a letter. Errors: NoRole."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise NoRole("that is no name", "use up to 40 of a-z, 0-9, - and _, a letter first")
    return name


def pairs(options: list[str], shape: str) -> dict[str, str]:
    """`a=b` options as a map. Errors: NoRole."""
    split = [option.partition("=") for option in options]
    if not all(head and mark and tail for head, mark, tail in split):
        raise NoRole(f"an option does not have the shape {shape}", f"write {shape}")
    if len({head for head, _, _ in split}) < len(split):
        raise NoRole("an option says the same thing twice", f"write {shape} once")
    return {head: tail for head, _, tail in split}


def pair(option: str, shape: str) -> tuple[str, str]:
    """One `a=b` option. Errors: NoRole."""
    ((head, tail),) = pairs([option], shape).items()
    return head, tail


def arrives(text: str) -> str:
    """How a file holds its identifiers. Errors: NoRole."""
    if text not in ("raw", "sha256", "sha1"):
        raise NoRole("that is no way for identifiers to arrive", "say raw, or sha256 or sha1 where it holds hashes")
    return text


def today() -> date:
    """The day, in UTC."""
    return datetime.now(UTC).date()


def day(text: str) -> date:
    """A day. Errors: NoRole."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NoRole("that is no day", "write it as 2027-03-31") from None


def room_name(text: str) -> str:
    """The name of a room. Errors: NoRole."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9./-]{2,99}", text):
        raise NoRole("that is no name for a room", "use a-z, 0-9, dots, slashes and -, such as rooms.example/spring")
    return text


def asked_epsilon(value: float) -> float:
    """The ε of a job. Errors: NoRole."""
    if not 0 < value <= 64:
        raise NoRole("that is no ε for a job", "write a number above 0 and at most 64, such as `--epsilon 1`")
    return value


def demo_epsilon(value: float) -> float:
    """The ε of a demo: its contract allows three times as much, and no contract more than 64. Errors: NoRole."""
    if not 0.01 <= value <= 20:
        raise NoRole("that is no ε for a demo", "write a number from 0.01 to 20, such as `--epsilon 1`")
    return value


def demo_sizes(people: int | None, seeds: int | None, real: bool) -> tuple[int, int]:
    """How many people and seeds are generated. Errors: NoRole, SampleSizeError."""
    if real and (people is not None or seeds is not None):
        raise NoRole("real data has the size it has", "leave `--people` and `--seeds` out, or `--real`")
    from ..cleanroom.samples.generated import PEOPLE, SEEDS, check_sizes

    sizes = PEOPLE if people is None else people, SEEDS if seeds is None else seeds
    check_sizes(*sizes)
    if sizes[1] > 1_000_000:
        raise NoRole("so many seeds need a smaller δ than the contract of a demo has", "ask at most 1,000,000 seeds")
    return sizes


def campaign_size(people: int | None, *, alone: bool) -> int:
    """How many people see a demo's campaign. alone: no other option is about the data. Errors: NoRole."""
    if not alone:
        raise NoRole("a campaign has data of its own", "leave `--seeds`, `--real` and `--data-only` out")
    many = 50_000 if people is None else people
    if not 1_000 <= many <= 1_000_000:
        raise NoRole("that is no size for a campaign", "say `--people` 1000 to 1000000")
    return many


def accuracy(text: str) -> tuple[str, float]:
    """How far a number may be off: 50, or people=50; the number's name, or "", and the distance. Errors: NoRole."""
    name, mark, size = text.rpartition("=")
    try:
        return name.strip() if mark else "", float(size.strip().removeprefix("±"))
    except ValueError:
        raise NoRole("that is no accuracy", "write `--target 50`, or `--target people=50`") from None


def share(text: str) -> float:
    """A count such as 250, or a share such as 1%, below 100 %. Errors: NoRole."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if text.endswith("%") and 1 <= value < 1e12:
        raise NoRole("a share lies below 100%", "write a share such as 1%, or a number of rows such as 250")
    if not 0 <= value < 1e12:
        raise NoRole("that is no count and no share", "write a number of rows such as 250, or a share such as 1%")
    return value


def passphrase(what: Path) -> Callable[[], bytes]:
    """Asks for a passphrase on the terminal, when it is needed; without a terminal there is none."""

    def ask() -> bytes:
        import getpass
        import warnings

        from .show import clean

        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would be shown while it is typed
            try:
                return getpass.getpass(f"passphrase of the key of {clean(what)}: ").encode()
            except (getpass.GetPassWarning, EOFError, OSError):
                return b""

    return ask


def bundle_path(out: Path | None, dataset: str) -> Path:
    """Where a bundle goes. The file that stays lies beside it under another ending. Errors: NoRole."""
    if out is None:
        return Path(f"{plain_name(dataset)}.bundle")
    if out.suffix in (".ids", ".made"):
        raise NoRole("a bundle cannot end like that", f"name it such as `--out {dataset}.bundle`")
    return out


def audience_path(out: Path | None, release: Path, tokens: bool) -> Path:
    """Where an audience goes, as CSV or Parquet. tokens: not yet turned into own IDs. Errors: NoRole."""
    if out is None:
        return release.parent / f"{release.stem}{'.tokens.csv' if tokens else '.csv'}"
    if out.suffix not in (".csv", ".parquet"):
        rule = "audiences and tables are written as CSV or Parquet; spreadsheets open CSV"
        raise NoRole(rule, f"name it such as `--out {out.with_suffix('.csv')}`")
    return out


def last_day(text: str) -> date:
    """A day that is not over. Errors: NoRole."""
    if (last := day(text)) < today():
        raise NoRole("that day is over, and a contract needs a last day to come", "write it as 2027-03-31")
    return last


def known_kind(kind: str, scheme: str | None) -> None:
    """A kind of identifier, and a scheme that covers it where one is named. Errors: NoRole."""
    from ..matching.schemes import KINDS, known, load

    if kind not in KINDS:
        raise NoRole("that is no kind of identifier", f"use one of {', '.join(KINDS)}")
    if scheme is None:
        return
    covering = [name for name in known() if kind in load(name).rules]
    if scheme not in known():
        raise NoRole("there is no scheme of that name", f"for {kind} use one of {', '.join(covering)}")
    if scheme not in covering:
        raise NoRole(f"{scheme} says nothing about this kind", f"for {kind} use one of {', '.join(covering)}")


def known_country(name: str | None) -> str | None:
    """A country whose numbers can be read, as two capitals. Errors: NoRole."""
    from ..matching.schemes.phones import is_region

    if name is not None and not is_region(name.upper()):
        raise NoRole("that is no country whose numbers are known", "use its two letters of ISO 3166, such as US or DE")
    return name.upper() if name else None


def known_dataset(name: str, contract: Contract) -> None:
    """Errors: NoSuchDataset."""
    if name not in contract.dataset:
        raise NoSuchDataset(name, ", ".join(contract.dataset))


def allowed_job(kind: str, size: int | None, contract: Contract) -> Allowance:
    """The contract's first rule for jobs of a kind. size: what `--size` says. Errors: NoRole."""
    if kind != "lookalike" and size is not None:
        raise NoRole("only a lookalike has an audience", "leave `--size` out")
    rule = next((rule for rule in contract.rules.allow if rule.job == kind), None)
    if rule is None:
        known = ", ".join(sorted({rule.job for rule in contract.rules.allow}))
        raise NoRole("the contract allows no job of that kind", f"it allows {known}")
    return rule


def learning_job(kind: str, contract: Contract) -> Allowance:
    """The contract's first rule for jobs that an audit covers. kind: which, or "" for any. Errors: NoRole."""
    from ..policies.learnt import LEARNING
    from ..policies.sentences import together

    covered = f"an audit covers {together(LEARNING)}"
    if kind not in ("", *LEARNING):
        raise NoRole("there is no audit of such a job", covered)
    wanted = (kind,) if kind else LEARNING
    rule = next((rule for rule in contract.rules.allow if rule.job in wanted and rule.job in LEARNING), None)
    if rule is None:
        known = together({rule.job for rule in contract.rules.allow if rule.job in LEARNING}) or "none"
        raise NoRole("the contract allows no such job", f"of those that an audit covers it allows {known}")
    return rule


def named_columns(options: list[str], contract: Contract) -> dict[str, str]:
    """`--column` options: an identifier kind of the contract, and the column that holds it. Errors: NoRole."""
    names = pairs(options, "email=COLUMN")
    if set(names) - set(contract.match.keys):
        ways = " or ".join(f"{key}=COLUMN" for key in contract.match.keys)
        raise NoRole("the contract matches on no such identifier", f"write {ways}")
    return names


def listed(text: str) -> list[str]:
    """Names between commas, each once. Errors: NoRole."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(set(names)) < len(names):
        raise NoRole("a name stands twice", "write each once")
    return names


def epsilons(text: str) -> list[float]:
    """Several ε between commas. Errors: NoRole."""
    try:
        return [positive(float(part), "epsilon") for part in text.split(",")]
    except ValueError:
        raise NoRole("that is no list of ε", "write numbers with commas between, such as 2,5,10") from None


def positive(value: float, name: str) -> float:
    """A number that certificates can hold. Errors: NoRole."""
    if not 1e-3 <= value <= 1e5:
        raise NoRole(f"`--{name}` is out of range", "it is at least 0.001 and at most 100000")
    return value


def mechanism_named(text: str) -> MechanismName:
    """A mechanism for words. Errors: NoRole."""
    if text in ("exponential", "halved", "euclidean", "hyperbolic"):
        return cast("MechanismName", text)
    raise NoRole("that is no mechanism for words", "say exponential, halved, euclidean or hyperbolic")


def clause_said(logged: str) -> str:
    """A clause by the word of a job's file. What is logged stays as every ledger so far has it."""
    return {"name": "contract"}.get(logged, logged)
