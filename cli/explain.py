"""From an error to one line, one hint and one exit code. Every error class of the product has its words in `errors`.

No text of another library is passed on: polars, pyarrow and scikit-learn put cell values into theirs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .errors import commands, contracts, files, keys, ledgers, machine, models, rooms, signatures, texts
from .explanation import AGAIN, INTERNAL, Explanation, Words

TABLES = (files, models, contracts, signatures, keys, texts, rooms, ledgers, machine, commands)
WORDS: dict[str, Words] = {name: words for table in TABLES for name, words in table.WORDS.items()}
"""By the class's name."""


def explain(error: BaseException, contract: str = "", *, pays: bool = True) -> Explanation:
    """The words for an error. Looks errors up by their class's name, so that nothing heavy is imported for them.

    contract: the contract's file as it was typed, to stand in the hint; "" where none was. pays: whether the command
    can charge an account; the words for one that cannot do not speak of charges.
    """
    for kind in type(error).__mro__:
        if kind.__name__ in WORDS:
            return _said(WORDS[kind.__name__](error), contract, pays)
    return _said(_internal(error), "", pays)


def _said(words: Explanation, contract: str, pays: bool) -> Explanation:
    hint = words.hint if pays else words.hint.replace(f"; if you {AGAIN}", "").replace(AGAIN, "type it again")
    return replace(words, hint=hint.replace("contract.toml", contract) if contract else hint)


def _internal(error: BaseException) -> Explanation:
    """Where it happened, never what it said: messages of libraries carry values."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    ours = [frame for frame in frames if "passbox" in frame.filename]
    if ours:
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return Explanation(
        "internal",
        f"a fault in passbox itself ({type(error).__name__} at {place})",
        f"please report it with this line; if you {AGAIN}",
        INTERNAL,
    )
