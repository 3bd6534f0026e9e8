"""Steps for device IDs, and for IDs that a party gave out itself.

uuid: 32 hex digits in groups of 8-4-4-4-12, in either case; not all zero, which is what a device says of itself when
tracking is switched off, nor all F, which stands for none as well.
android-id: 16 hex digits, likewise.
device-id: a UUID, written in small letters, or 8 to 128 of A-Z, a-z, 0-9, . _ : and -, as they are; but not what
programs write for none. Televisions have both.
opaque: anything but what programs write for none.

That more of what stands for nobody is refused changes no hash: what is hashed is hashed as before.
"""

from __future__ import annotations

import re

from ..rejects import RejectCode
from .setting import Setting
from .steps import Step

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_ANDROID = re.compile(r"[0-9a-fA-F]{16}")
_BARE = re.compile(r"[0-9a-fA-F]{32}")
_DEVICE = re.compile(r"[0-9A-Za-z._:-]{8,128}")
FILLERS = frozenset(
    {
        "null", "none", "nil", "nan", "na", "n/a", "undefined", "unknown", "(null)", "<null>", "-", "0",
        "unknown-device", "unknown_device", "unknowndevice", "device-unknown", "not-available", "not_available",
        "notavailable", "unavailable", "not-set", "not_set", "unspecified", "anonymous", "no-device", "no_device",
        "nodevice",
    }
)  # fmt: skip


def uuid(text: str, _: Setting) -> str | RejectCode:
    if not _UUID.fullmatch(text):
        return RejectCode.NO_HYPHENS if _BARE.fullmatch(text) else RejectCode.NOT_A_DEVICE
    return _of_nobody(text) or text


def android_id(text: str, _: Setting) -> str | RejectCode:
    if not _ANDROID.fullmatch(text):
        return RejectCode.NOT_A_DEVICE
    return _of_nobody(text) or text


def device_id(text: str, _: Setting) -> str | RejectCode:
    if not _DEVICE.fullmatch(text):
        return RejectCode.NOT_A_DEVICE
    if (refused := _of_nobody(text)) is not None:
        return refused
    return text.lower() if _UUID.fullmatch(text) else text


def opaque(text: str, _: Setting) -> str | RejectCode:
    return RejectCode.FILLER if text.lower() in FILLERS else text


def _of_nobody(text: str) -> RejectCode | None:
    if not text.strip("0-._:"):
        return RejectCode.ALL_ZERO
    return RejectCode.FILLER if text.lower() in FILLERS or not text.lower().strip("f-._:") else None


STEPS: dict[str, Step] = {"uuid": uuid, "android-id": android_id, "device-id": device_id, "opaque": opaque}
