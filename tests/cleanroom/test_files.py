"""A file is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from passbox.cleanroom.files import FileInTheWay, replacing, sweep_of, write, write_new


def test_a_file_that_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, b"old")
    with pytest.raises(TypeError), replacing(path) as temporary:
        temporary.write_bytes(None)  # type: ignore[arg-type]
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])


def test_a_file_has_its_rights_before_it_has_its_content(tmp_path: Path) -> None:
    with replacing(tmp_path / "a", 0o600) as temporary:
        assert temporary.stat().st_mode & 0o777 == 0o600


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert write_new(path, b"old")
    for same_is_fine in (True, False):
        with pytest.raises(FileInTheWay):
            write_new(path, b"new", same_is_fine=same_is_fine)
    assert not write_new(path, b"old", same_is_fine=True)
    assert path.read_bytes() == b"old"


def test_only_one_files_leftovers_are_swept(tmp_path: Path) -> None:
    for name in (".a.ids.00.tmp", ".b.ids.00.tmp", "a.ids", ".[a].ids.00.tmp"):
        (tmp_path / name).write_bytes(b"")
    sweep_of(tmp_path / "a.ids")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".[a].ids.00.tmp", ".b.ids.00.tmp", "a.ids"]
    sweep_of(tmp_path / "[a].ids")
    assert not (tmp_path / ".[a].ids.00.tmp").exists()
