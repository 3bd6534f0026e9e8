"""How sure a lookalike's scores are, by how much is known of a person: from the model and its owner's rows alone.

Nothing is drawn for it. It says how far scores may be off, not how right they were: the histogram of those held out
counts seeds by score, and tells no stratum from another.
"""

from __future__ import annotations

import math

from ...modelling.answers import stratum_ends, stratum_of
from ...modelling.completion import known_columns
from ...modelling.design import Design
from ...modelling.model import Model
from ...modelling.scorer import Scorer
from ..document import Count, Strict


class Stratum(Strict):
    """People held out of whom `fewest` to `most` columns are known.

    spread: standard deviation of their log-odds. doubt: how far each may be off, as the root of the mean square.
    """

    fewest: Count
    most: Count
    people: Count
    spread: float
    doubt: float


def strata_of(scorer: Scorer, design: Design) -> list[dict[str, int | float]]:
    """By how much is known, fewest first; nothing where the model does not say how far scores may be off."""
    if scorer.doubt is None or not isinstance(scorer.model, Model):
        return []
    scores, wide = scorer.model.below(design), scorer.doubt.deviation(design)
    stratum, found = stratum_of(known_columns(design), len(design.columns)), []
    for at, (fewest, most) in enumerate(stratum_ends(len(design.columns))):
        who = stratum == at
        if who.any():
            spread, doubt = float(scores[who].std()), math.sqrt(float((wide[who] ** 2).mean()))
            found.append({"fewest": fewest, "most": most, "people": int(who.sum()), "spread": spread, "doubt": doubt})
    return found
