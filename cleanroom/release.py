"""What leaves the room: one file a release, sealed to its readers.

`ID.release` is an age file; inside is a zip that ordinary tools open:

    release.json        values with intervals, who learns what, and the receipt (`cleanroom.document`)
    audience.parquet    tokens of the chosen people, for a lookalike
    model.json          the fitted model, for a lookalike
    labels.parquet      everybody's label by token, for a lookalike of randomised labels
    release.note        SHA-256 of each of these, as a C2SP note signed by the room: age alone proves no sender

The receipt holds, for each noisy statistic, its entry as logged, an inclusion proof, the signed checkpoint, the nonce
and the integers: `cleanroom.opening` checks with it, without the room, which figures follow from what was paid.
Beside the sealed file lies `ID.json`, which says in public terms what it is; it is written last, so that a release
is listed when it is whole.

A release's ID is a digest of what was paid for and what was made of it, so the same job gives the same file.

The code ensures: what goes in is computed from noisy integers, the readers' own data and public sizes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from .document import FORMAT, Hex, Identity, Places, Strict
from .files import sweep_of, write
from .measure.kinds import KINDS, measure_of
from .room import Room

NOTE = "release.note"


class BadRelease(Exception):
    """A release cannot be opened or does not hold together. rule, remedy: plain words."""

    def __init__(self, path: Path, rule: str, remedy: str, *, tampered: bool = False) -> None:
        super().__init__(path, rule, remedy)
        self.path, self.rule, self.remedy, self.tampered = path, rule, remedy, tampered


# -- the shape of release.json ---------------------------------------------------------------------------------------


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError("no kind of release")
    return kind


Kind = Annotated[str, AfterValidator(_known)]


class _Which(BaseModel):
    """Of a document, only what it is."""

    kind: Kind


class About(Strict):
    """What `ID.json` beside a sealed file says of it, in public terms. The rest is of the job that first made it, and
    not said of what earlier versions released. asked: what tells the job apart from others of its kind."""

    id: Identity
    kind: Kind
    recipients: list[str]
    entries: Places
    job: Hex | None = None
    epsilon: float | None = None
    asked: str = ""


_T = TypeVar("_T", bound=BaseModel)


def read_document(path: Path, data: bytes) -> dict[str, object]:
    """release.json as a plain object, once it has its shape. path: the release's, for messages. Errors: BadRelease."""
    remedy = "ask the operator for it again"
    which = _shaped(path, data, _Which, remedy)
    return _shaped(path, data, measure_of(which.kind).document, remedy).model_dump()


def _shaped(path: Path, data: bytes, shape: type[_T], remedy: str) -> _T:
    try:
        return shape.model_validate_json(data)
    except ValidationError as error:
        of_another = any(fault["loc"][-1:] == ("format",) for fault in error.errors(include_input=False))
        rule = "it is of another version of passbox" if of_another else "it is damaged: a field is not as it must be"
        raise BadRelease(path, rule, remedy, tampered=True) from None


def note_text(identity: str, files: Mapping[str, bytes]) -> str:
    """What the room signs of a release: which it is, and what is in it."""
    digests = [f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in sorted(files.items())]
    return "\n".join([FORMAT, identity, *digests]) + "\n"


# -- what is in the room ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A release in the room, in public terms. job, epsilon, asked: as of `About`."""

    id: str
    kind: str
    recipients: tuple[str, ...]
    entries: tuple[int, ...]
    path: Path
    job: str | None = None
    epsilon: float | None = None
    asked: str = ""


def published(room: Room, identity: str) -> Listed | None:
    """A release that is in the room already, whole."""
    path = room.path / "releases" / f"{identity}.json"
    return listed_at(path) if path.is_file() and path.with_suffix(".release").is_file() else None


def listed_at(path: Path) -> Listed:
    """A release by its `ID.json`. Errors: BadRelease, OSError."""
    remedy = "remove it, and run its job again: that costs nothing"
    about = _shaped(path, path.read_bytes(), About, remedy)
    if about.id != path.stem:
        raise BadRelease(path, "it is of another release", remedy, tampered=True)
    places = tuple(about.recipients), tuple(about.entries), path.with_suffix(".release")
    return Listed(about.id, about.kind, *places, about.job, about.epsilon, about.asked)


def releases(room: Room) -> list[Listed]:
    """Everything that has left the room, or may. A reader who opens one where it lies leaves `ID.model.json` there."""
    found = [listed_at(path) for path in (room.path / "releases").glob("*.json") if "." not in path.stem]
    return sorted(found, key=lambda listed: (listed.entries, listed.id))


def export(room: Room, identities: Sequence[str] | None, out: Path) -> list[Path]:
    """Copy sealed releases to a folder. identities: some of them, or all where none are named.

    Errors: Refused after the contract's last day; BadRelease, OSError.
    """
    room.refuse_expired()
    held = {listed.id: listed for listed in releases(room)}
    for identity in set(identities or ()) - set(held):
        raise BadRelease(room.path, f"there is no release {identity}", f"`passbox release list {room.path}` names them")
    out.mkdir(parents=True, exist_ok=True)
    return [_copied(held[identity], out) for identity in identities or held]


def _copied(listed: Listed, out: Path) -> Path:
    path = out / listed.path.name
    sweep_of(path)
    write(path, listed.path.read_bytes())
    return path
