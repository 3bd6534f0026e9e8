"""Cells of a spreadsheet: text that would be taken for a formula is defused."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for a formula when a cell begins with it, full-width signs included."""


def harmless(cell: str) -> str:
    """The cell, with a leading apostrophe where a spreadsheet would run it."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell
