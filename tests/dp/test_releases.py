"""Kept bytes: nobody reads them without the key, guesses them by the log, or exchanges them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from passbox.dp.canonical import canonical
from passbox.dp.ledger import Ledger
from passbox.dp.storage import LedgerDamaged

from .reading import entries


def test_a_commitment_opens_with_its_nonce_and_to_nobody_else(desk: Any, ledger: Ledger) -> None:
    """No digest in an entry is a hash of a count that can be guessed, in any spelling, over 0 to 100,000."""
    noisy = ledger.pay(desk.purchase(), desk.count(500))
    entry = entries(ledger)[0]
    opened = hashlib.sha256(noisy.receipt.nonce + canonical(noisy.values.tolist())).hexdigest()
    assert entry["commitment"] == noisy.receipt.commitment == opened
    assert noisy.receipt.nonce.hex() not in json.dumps(entry)
    digests = {word for word in json.dumps(entry).split('"') if len(word) == 64}
    assert len(digests) >= 5
    guesses = (spelled for n in range(100_001) for spelled in (b"%d" % n, b"[%d]" % n, n.to_bytes(8, "little")))
    assert not any(hashlib.sha256(guess).hexdigest() in digests for guess in guesses)


def test_stored_bytes_are_unreadable_without_the_vault_and_tell_no_size(desk: Any, ledger: Ledger) -> None:
    small = ledger.pay(desk.purchase("a"), desk.count(0))
    large = ledger.pay(desk.purchase("b"), desk.count(2**60))
    bodies = [body for (body,) in ledger._storage.rows("select body from release")]
    assert len(bodies[0]) == len(bodies[1])
    ledger.close()
    on_disk = b"".join(path.read_bytes() for path in desk.path.parent.iterdir())
    nonces = [form for noisy in (small, large) for form in (noisy.receipt.nonce, noisy.receipt.nonce.hex().encode())]
    numbers = [large.values.astype("<i8").tobytes(), str(large.values[0]).encode()]
    assert not any(secret in on_disk for secret in (*nonces, *numbers))
    desk.vault = type(desk.vault)()
    with desk.open() as stranger, pytest.raises(InvalidTag):
        stranger.paid(desk.purchase("a"))


def test_noise_that_was_exchanged_in_the_file_is_refused(desk: Any, ledger: Ledger) -> None:
    """A body moved to another key does not open; one sealed anew for this key is not what the log commits to."""
    a, b = desk.purchase("a"), desk.purchase("b")
    for purchase in (a, b):
        ledger.pay(purchase, desk.count())
    (body,) = ledger._storage.row("select body from release where key = ?", b.key) or (b"",)
    for forged, error in ((body, InvalidTag), (desk.vault.seal(bytes(40), a.key.encode()), LedgerDamaged)):
        ledger._storage.rows("update release set body = ? where key = ?", forged, a.key)
        with pytest.raises(error):
            ledger.paid(a)


def test_nothing_secret_shows_when_printed(desk: Any, ledger: Ledger) -> None:
    noisy = ledger.pay(desk.purchase(), desk.count(10**15))
    shown = repr(noisy) + repr(desk.count(10**15)) + repr(noisy.receipt)
    assert str(noisy.values[0]) not in shown
    assert str(10**15) not in shown
    assert noisy.receipt.nonce.hex() not in shown
