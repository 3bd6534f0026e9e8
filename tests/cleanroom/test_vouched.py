"""A release is held against a cosigned copy of the ledger: a draw from a copied room does not stand in it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from passbox.cleanroom.log import read_log
from passbox.cleanroom.opening import open_release
from passbox.cleanroom.release import BadRelease
from passbox.cleanroom.vouched import Vouched, vouched
from passbox.policies.agreement import read_agreement

if TYPE_CHECKING:
    from .desk import Desk


def vouch(desk: Desk, pattern: str, person: str = "operator") -> Vouched:
    """What the publisher finds who holds a release against the officer's copy."""
    (path,) = (desk.home / person).glob(pattern)
    identity = (desk.home / "publisher" / "publisher.keys" / "seal").read_text().strip()
    opened = open_release(path, identity, None)
    agreement = read_agreement(desk.home / "publisher" / "contract.toml")
    return vouched(path, opened.document, read_log(desk.home / "officer" / "spring.ledger"), agreement)


def test_a_release_is_vouched_for_by_who_cosigned_its_entries(desk: Desk) -> None:
    desk.export()
    assert vouch(desk, "overlap-*.release") == Vouched((2,), ("officer",))
    assert vouch(desk, "lookalike-*.release") == Vouched((3, 4), ("officer",))


def another(desk: Desk) -> Path:
    """The release of one more overlap, in a folder of its own."""
    desk.job(0.2, "more")
    out = desk.home / "operator" / "out"
    shutil.rmtree(out, ignore_errors=True)
    before = {path.name for path in desk.home.glob("operator/*.release")}
    desk.type("operator", "release", "export", "spring", "--out", "out")
    for path in out.iterdir():
        if path.name in before:
            path.unlink()
    return out


def test_a_later_reader_is_vouched_for_by_who_cosigned_what_it_paid_for(desk: Desk) -> None:
    """The noise was drawn and cosigned for the publisher alone; the advertiser's entry and its charge come after it."""
    publisher = desk.home / "publisher"
    text = (publisher / "overlap.toml").read_text()
    alone = re.sub(r"(?m)^recipients = .*", 'recipients = ["publisher"]', text)
    (publisher / "overlap.toml").write_text(alone)
    desk.job(0.2, "alone")
    desk.type("operator", "release", "export", "spring", "--out", ".")
    desk.export()
    desk.cosign()
    desk.accept()
    (publisher / "overlap.toml").write_text(text)
    another(desk)
    assert desk.job(0.2)[1]["entries"] == [5, 6]
    with pytest.raises(BadRelease, match="does not let advertiser read it"):
        vouch(desk, "out/*.release")
    desk.export()
    assert vouch(desk, "out/*.release") == Vouched((5, 6), ())
    desk.cosign()
    desk.accept()
    desk.export()
    assert vouch(desk, "out/*.release") == Vouched((5, 6), ("officer",))


def test_what_nobody_has_cosigned_yet_is_in_the_copy_all_the_same(desk: Desk) -> None:
    another(desk)
    with pytest.raises(BadRelease, match="ends before"):
        vouch(desk, "out/*.release")
    desk.export()
    assert vouch(desk, "out/*.release") == Vouched((5,), ())


def test_a_draw_from_a_copied_room_does_not_stand_in_the_other_history(desk: Desk, tmp_path: Path) -> None:
    room = desk.home / "operator" / "spring"
    shutil.copytree(room, tmp_path / "copy", symlinks=True)
    another(desk)
    desk.export()
    assert vouch(desk, "out/*.release").entries == (5,)
    shutil.rmtree(room)
    shutil.copytree(tmp_path / "copy", room, symlinks=True)
    another(desk)
    with pytest.raises(BadRelease, match="another history"):
        vouch(desk, "out/*.release")
