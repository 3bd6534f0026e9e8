"""Why a value was not accepted: one code a reason, counted and never shown with the value."""

from __future__ import annotations

from enum import StrEnum


class RejectCode(StrEnum):
    """Why a value was not accepted."""

    EMPTY = "empty"  # null, or white space only
    FILLER = "filler"  # what stands for nothing: null, none, n/a, a device ID of Fs
    NOT_UTF8 = "not-utf8"
    TOO_LONG = "too-long"
    CONTROL_CHARACTER = "control-character"  # or another invisible one: `identifiers` says which
    # raw values
    NOT_AN_EMAIL = "not-an-email"
    TEST_VALUE = "test-value"  # where the contract refuses what is nobody's
    UNLIKELY = "unlikely-address"  # where the contract refuses what reaches nobody as it is written
    FOREIGN_DOMAIN = "domain-beyond-ascii"  # where the contract refuses what conventions disagree on
    LOOK_ALIKE = "look-alike-domain"  # likewise
    FOREIGN_MAILBOX = "mailbox-beyond-ascii"  # likewise
    NOT_A_PHONE = "not-a-phone"
    LETTERS = "letters-in-number"  # vanity numbers and extensions too: no convention hashes them
    NO_COUNTRY = "no-country-code"
    AMBIGUOUS = "ambiguous-number"  # without a +, one number of its country and another with its country code
    UNKNOWN_COUNTRY = "unknown-country-code"
    DIGITS = "wrong-number-of-digits"
    NOT_A_DEVICE = "not-a-device-id"
    NO_HYPHENS = "no-hyphens"  # 32 hex digits: a device ID without them, or an MD5
    ALL_ZERO = "all-zero"  # what a device says when tracking is off: the same for everybody
    NOT_AN_ADDRESS = "not-an-ip-address"
    PRIVATE_ADDRESS = "private-address"  # or loopback, multicast, reserved: nobody's household
    NO_TIME = "no-time"  # an IP address is somebody's for a while only
    ALREADY_HASHED = "already-hashed"  # a hash in a column of raw values
    # hashes
    RAW_EMAIL_IN_HASHED_COLUMN = "raw-email-in-hashed-column"
    RAW_IN_HASHED_COLUMN = "raw-in-hashed-column"  # a phone number, a device ID or an IP address
    WRONG_LENGTH = "wrong-length"  # hex or base64 of another size than the scheme's hash: MD5, SHA-512, cut off
    BASE64_OF_HEX = "base64-of-hex"
    HEX_OF_HEX = "hex-of-hex"
    ENCODED_TWICE = "encoded-twice"  # hex or base64 of base64
    HASHED_TWICE = "hashed-twice"  # shows in the hash of a hash of a known value only: such a column is doubly hashed
    HASH_OF_NOTHING = "hash-of-nothing"  # of an empty value, of what programs write for none, of a zero ID; all zero
    NOT_A_HASH = "not-a-hash"
