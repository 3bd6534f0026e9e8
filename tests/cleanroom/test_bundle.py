"""A bundle is three members that say what they are, or it is refused; no bytes are a crash."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.cleanroom.bundle import MEMBERS, BadBundle, Label, open_bundle, read_data, write_bundle
from passbox.cleanroom.flat import write_flat
from passbox.policies.sign import new_private_key, public_line, signer_of, verify

ROOM = pyrage.x25519.Identity.generate()
KEY: Ed25519PrivateKey = new_private_key()
LABEL = Label(
    contract="a" * 64,
    room="rooms.example/spring",
    dataset="visitors",
    owner="publisher",
    made=datetime(2027, 1, 10, tzinfo=UTC),
    expires=datetime(2027, 6, 30, tzinfo=UTC),
    shares="b" * 64,
)
TABLE = pa.table({"k": pa.array(range(200), pa.uint64()), "age": [40.0] * 200})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("bundle") / "visitors.bundle"
    write_bundle(path, TABLE, LABEL, str(ROOM.to_public()), signer_of(KEY))
    return path.read_bytes()


def parts(whole: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def test_a_bundle_opens_with_what_was_put_in(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "visitors.bundle"
    path.write_bytes(whole)
    bundle = open_bundle(path)
    assert (bundle.manifest.rows, bundle.manifest.owner, bundle.manifest.shares) == (200, "publisher", "b" * 64)
    verify(bundle.manifest_bytes, bundle.signature, public_line(KEY), "passbox-bundle")
    assert read_data(bundle, str(ROOM)).equals(TABLE)


def test_a_room_with_another_key_does_not_open_it(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "visitors.bundle"
    path.write_bytes(whole)
    with pytest.raises(BadBundle) as caught:
        read_data(open_bundle(path), str(pyrage.x25519.Identity.generate()))
    assert "another room" in caught.value.rule


@pytest.mark.parametrize("at", range(0, 100, 9))
def test_a_truncated_bundle_is_refused(at: int, whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "visitors.bundle"
    path.write_bytes(whole[: len(whole) * at // 100])
    with pytest.raises(BadBundle):
        open_bundle(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_other_further_doubled_renamed_or_compressed_members_are_refused(whole: bytes, tmp_path: Path) -> None:
    path, members = tmp_path / "visitors.bundle", list(parts(whole).items())
    for wrong in (
        members[:2],
        [*members, ("more", b"")],
        [*members, members[0]],
        members[::-1],
        [("../manifest.json", members[0][1]), *members[1:]],
        [],
    ):
        with pytest.raises(BadBundle):
            open_bundle(zipped(path, wrong))
    with pytest.raises(BadBundle):
        open_bundle(zipped(path, members, zipfile.ZIP_DEFLATED))


MANIFESTS: dict[str, Any] = {
    "an unknown key": lambda raw: raw | {"colour": 1},
    "a missing key": lambda raw: {key: value for key, value in raw.items() if key != "shares"},
    "another format": lambda raw: raw | {"format": "passbox bundle v2"},
    "rows as text": lambda raw: raw | {"rows": "200"},
    "rows below nothing": lambda raw: raw | {"rows": -1},
    "rows as a fraction": lambda raw: raw | {"rows": 200.5},
    "no digest": lambda raw: raw | {"data_sha256": "x" * 64},
    "a day without a zone": lambda raw: raw | {"made": "2027-01-10T00:00:00"},
    "a name with an escape sequence": lambda raw: raw | {"dataset": "\x1b[2J"},
    "a path for a name": lambda raw: raw | {"dataset": "../../etc"},
    "a list": lambda raw: [raw],
    "nothing": lambda raw: None,
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_of_another_shape_is_refused(case: str, whole: bytes, tmp_path: Path) -> None:
    held = parts(whole)
    held[MEMBERS[0]] = json.dumps(MANIFESTS[case](json.loads(held[MEMBERS[0]]))).encode()
    with pytest.raises(BadBundle):
        open_bundle(zipped(tmp_path / "visitors.bundle", list(held.items())))


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"rows": 1, "rows": 2}', b'{"rows": ' + b"1" * 5000 + b"}", b"NaN"],
)
def test_a_manifest_that_is_no_json_is_refused(text: bytes, whole: bytes, tmp_path: Path) -> None:
    held = parts(whole) | {MEMBERS[0]: text}
    with pytest.raises(BadBundle):
        open_bundle(zipped(tmp_path / "visitors.bundle", list(held.items())))


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"x", lambda d: d[:-1] + b"\0", lambda d: b""])
def test_data_that_the_manifest_does_not_sign_is_tampering(change: Any, whole: bytes, tmp_path: Path) -> None:
    held = parts(whole)
    held[MEMBERS[2]] = change(held[MEMBERS[2]])
    bundle = open_bundle(zipped(tmp_path / "visitors.bundle", list(held.items())))
    with pytest.raises(BadBundle) as caught:
        read_data(bundle, str(ROOM))
    assert caught.value.tampered


def sealed_bundle(path: Path, plain: bytes, rows: int) -> Path:
    """A bundle whose owner signs anything."""
    import hashlib

    from passbox.policies.sign import sign

    sealed = pyrage.encrypt(plain, [ROOM.to_public()])
    fields = {name: getattr(LABEL, name) for name in ("contract", "room", "dataset", "owner", "shares")}
    dates = {"made": LABEL.made.isoformat(), "expires": LABEL.expires.isoformat()}
    size = {"rows": rows, "data_sha256": hashlib.sha256(sealed).hexdigest()}
    manifest = json.dumps({"format": "passbox bundle v1", **fields, **dates, **size}).encode()
    signature = sign(manifest, KEY, "passbox-bundle").encode()
    return zipped(path, list(zip(MEMBERS, (manifest, signature, sealed), strict=True)))


FLAT = write_flat(TABLE)


@pytest.mark.parametrize(
    ("plain", "rows"),
    [
        (b"", 1),
        (b"ARROW1", 1),
        (b"x" * 1000, 1),
        (FLAT, 199),
        (FLAT, 201),
        (FLAT[: len(FLAT) // 2], 200),
        (write_flat(pa.table({"k": ["0" * 2_000_000] * 3})), 3),
    ],
)
def test_a_signed_table_that_is_none_or_is_too_long_is_refused(plain: bytes, rows: int, tmp_path: Path) -> None:
    bundle = open_bundle(sealed_bundle(tmp_path / "visitors.bundle", plain, rows))
    with pytest.raises(BadBundle):
        read_data(bundle, str(ROOM))


def test_a_small_bundle_that_would_unpack_into_much_is_refused_before_it_does(tmp_path: Path) -> None:
    """Signed by its owner, 1,500 rows of 100 kB each in a few thousand bytes: in Parquet, and compressed."""
    table = pa.table({"k": pa.array(["x" * 100_000] * 1500)})
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet, compression="zstd")
    with ipc.new_file(arrow, table.schema, options=ipc.IpcWriteOptions(compression="zstd")) as file:
        file.write_table(table)
    pool, before = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    for plain in (parquet.getvalue(), arrow.getvalue()):
        bundle = open_bundle(sealed_bundle(tmp_path / "visitors.bundle", plain, 1500))
        pa.set_memory_pool(pool)
        try:
            with pytest.raises(BadBundle) as caught:
                read_data(bundle, str(ROOM))
        finally:
            pa.set_memory_pool(before)
        assert caught.value.tampered
    assert pool.max_memory() < 2**20


def open_or_refuse(path: Path) -> None:
    with contextlib.suppress(BadBundle):
        read_data(open_bundle(path), str(ROOM))


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_bytes_of_a_zip_are_a_crash(data: st.DataObject, whole: bytes, tmp_path: Path) -> None:
    raw = bytearray(whole)
    ends = [*range(160), *range(len(raw) - 260, len(raw))]
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.sampled_from(ends) | st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "visitors.bundle"
    path.write_bytes(bytes(raw))
    open_or_refuse(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_table_that_its_owner_signed_is_a_crash(data: st.DataObject, tmp_path: Path) -> None:
    raw = bytearray(FLAT)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(8, len(raw) - 1))] = data.draw(st.integers(0, 255))
    open_or_refuse(sealed_bundle(tmp_path / "visitors.bundle", bytes(raw), 200))


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=200))
def test_no_bytes_at_all_are_a_crash(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "visitors.bundle"
    path.write_bytes(raw)
    open_or_refuse(path)
