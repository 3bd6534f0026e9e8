"""What a sample is: two parties' files, a truth that neither has, and what a contract says of the columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NotRequired, TypedDict


class Column(TypedDict):
    """One `columns.*` entry of a contract: the kind, and what is public about the values."""

    kind: Literal["number", "category", "set"]
    bounds: NotRequired[list[float]]
    values: NotRequired[list[str]]
    at_most: NotRequired[int]


@dataclass(frozen=True, slots=True)
class Sample:
    """The files of a sample and how to read them.

    publisher, advertiser: CSV. truth: Parquet of `id_column` and `is_buyer`, row for row as publisher.
    email_form, advertiser_email_form: what a contract's `identifiers.email` says of those columns.
    people: distinct people in the publisher's file, which may hold one twice. seeds: the advertiser's rows.
    """

    publisher: Path
    advertiser: Path
    truth: Path
    id_column: str
    email_column: str
    email_form: Literal["raw", "sha256"]
    advertiser_email_column: str
    advertiser_email_form: Literal["raw", "sha256"]
    contract_columns: Mapping[str, Column]
    people: int
    seeds: int
    about: str


@contextmanager
def new_files(*paths: Path) -> Iterator[list[BinaryIO]]:
    """Opens files that must not exist yet, all or none; if the block fails, none of them stays.

    Missing folders are made. Errors: FileExistsError.
    """
    with ExitStack() as undo:
        files: list[BinaryIO] = []
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
            undo.callback(path.unlink, missing_ok=True)
            undo.callback(file.close)
            files.append(file)
        yield files
        for opened in files:
            opened.close()
        undo.pop_all()


def keep_apart(truth_dir: Path, *party_dirs: Path) -> None:
    """Refuses a truth that would lie in a party's folder. Errors: ValueError."""
    truth = truth_dir.resolve()
    if any(truth.is_relative_to(party.resolve()) for party in party_dirs):
        raise ValueError("the truth must lie outside the folders of both parties")
