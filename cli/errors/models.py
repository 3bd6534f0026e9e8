"""Models that are scored with or exported."""

from __future__ import annotations

from ..explanation import BAD_INPUT, USAGE, Words, placed, simple

WORDS: dict[str, Words] = {
    "BadModel": placed("bad-model", BAD_INPUT),
    "NotAModel": simple("bad-model", "it is no model", "name a .model.json that `release open` wrote", BAD_INPUT),
    "IdTaken": simple(
        "id-taken",
        "the column of `--id` is named like one that is written: log_odds, probability, low, high",
        "give that column another name in your file",
        BAD_INPUT,
    ),
    "OnnxMissing": simple(
        "no-onnx", "ONNX files need the extra `onnx`", "`pip install 'passbox[onnx]'`, then type it again", USAGE
    ),
    "NotAdditive": simple(
        "not-additive",
        "the model has trees, which are not written as ONNX",
        "score with the JSON file, or ask a lookalike with the learner glm alone",
        BAD_INPUT,
    ),
    "NameTaken": simple(
        "name-taken", "a column is called like an output, log_odds or probability", "score with JSON", BAD_INPUT
    ),
}
