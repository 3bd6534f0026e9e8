"""What goes along with every copy of a log: a verifier that needs no Passbox. Nothing here is imported by the product.

`verify_ledger.py` is written from the format as docs/ledger.md states it, apart from `cleanroom.audit`, on purpose: two
readings of one format that must agree (tests/vectors/ledger).
"""
