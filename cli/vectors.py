"""`passbox text pack`, `aim` and `hierarchy`: word vectors made ready for a purpose, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .progress import measuring
from .show import JsonFlag, Result, say

if TYPE_CHECKING:
    from ..dp.text.vocabulary import Vocabulary

Vectors = Annotated[
    Path | None, typer.Option(help="word vectors: .npz, .npy, .bin or text [default: GloVe, of the extra `text`]")
]


def pack(
    file: Annotated[Path, typer.Argument(help="word2vec, GloVe or NumPy")],
    out: Annotated[Path, typer.Option(help="the new file, .npz")],
    words: Annotated[int, typer.Option(help="keep only the first so many", min=100, max=5_000_000)] = 5_000_000,
    as_json: JsonFlag = False,
) -> None:
    """Turn a file of word vectors into one that loads at once.

    Read are: .npz (words, vectors), .npy with the words in a .txt beside it, word2vec's .bin, and text with a word and
    its numbers a line.
    """
    from ..cleanroom.files import refuse_unwritable
    from ..dp.text.vectors import aimed_at, read, write

    refuse_unwritable(out)
    with measuring("reading the vectors"):
        vocabulary = read(file).first(words)
    write(vocabulary, out, aimed_at(file))
    say(_packed(vocabulary, out), as_json)


def aim(
    file: Annotated[Path, typer.Argument(help="public, labelled texts: CSV or Parquet")],
    text: Annotated[str, typer.Option(help="the column of texts")],
    label: Annotated[str, typer.Option(help="the column that says what each is about")],
    out: Annotated[Path, typer.Option(help="the new file, .npz")],
    vectors: Vectors = None,
    as_json: JsonFlag = False,
) -> None:
    """Place words by what they tell of some labels, so that privatised ones still tell it.

    The texts must be public, and none of those that are privatised: the new vectors are part of every certificate.
    `text privatise` refuses this very file with them.
    """
    from ..cleanroom.files import refuse_unwritable
    from ..cleanroom.labelled import read_labelled
    from ..cleanroom.lexicon import digest_of, vocabulary_of
    from ..dp.text.aim import aim as aimed
    from ..dp.text.vectors import aimed_at, write

    refuse_unwritable(out)
    texts, labels = read_labelled(file, text, label)
    with measuring("reading the vectors"):
        vocabulary = aimed(vocabulary_of(vectors), texts, labels)
    write(vocabulary, out, (*aimed_at(vectors), digest_of(file)))
    say(_packed(vocabulary, out), as_json)


def hierarchy(
    nouns: Annotated[Path, typer.Argument(help="WordNet's folder, such as /usr/share/wordnet")],
    out: Annotated[Path, typer.Option(help="the new file, .npz")],
    dimensions: Annotated[int, typer.Option(min=2, max=50)] = 5,
    words: Annotated[int, typer.Option(help="at most so many nouns", min=100, max=200_000)] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, max=1000)] = 25,
    radius: Annotated[float, typer.Option(help="how far out words may lie, in hyperbolic units", min=0.5, max=10)] = 2,
    as_json: JsonFlag = False,
) -> None:
    """Train hyperbolic word vectors on WordNet's nouns, on this machine."""
    from ..cleanroom.files import refuse_unwritable
    from ..dp.text.poincare import train
    from ..dp.text.vectors import write
    from ..dp.text.wordnet import read_nouns

    refuse_unwritable(out)
    with measuring("training") as progress:
        vocabulary = train(read_nouns(nouns, words), dimensions, rounds, progress, radius)
    write(vocabulary, out)
    say(_packed(vocabulary, out), as_json)


def _packed(vocabulary: Vocabulary, out: Path) -> Result:
    words, dimensions = len(vocabulary), vocabulary.dimensions
    data = {"out": str(out), "words": words, "dimensions": dimensions, "digest": vocabulary.digest}
    noise = " --mechanism hyperbolic" if vocabulary.geometry == "hyperbolic" else ""
    line = f"{words:,} words in {dimensions} dimensions in `{out}`"
    return Result(data, [line], f"`passbox text calibrate{noise}{named(out)}`")


def named(vectors: Path | None) -> str:
    """The option for these vectors, as a hint goes on with it."""
    return "" if vectors is None else f" --vectors {vectors}"
