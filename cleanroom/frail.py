"""Where drawing a column anew hides too little to be called protection.

Told from the mechanism and the number of draws alone, both of which the statement shows anyway: never from a row.
"""

from __future__ import annotations

from ..dp.text.calibration import mean_stays
from ..dp.text.certificate import rounded
from .privatise import Texts, Values

MOSTLY = 0.5
"""Of draws that leave a value as it is beyond those of pure chance (1 / size): the truth, more often than noise."""
FAR = 10
"""An ε between any two people above which odds of 20,000 to 1 may be read off what was drawn."""


def frail(column: str, how: Texts | Values) -> str:
    """What a column's mechanism does not hide, and what to do; nothing where it protects. One line."""
    people, one = ("people", "value") if isinstance(how, Values) else ("texts", "word")
    stays, apart = mean_stays(how.mechanism, how.certificate.size), how.stated(column).any_two_texts
    found = []
    if mostly_itself(stays, how.certificate.size):
        found.append(f"a {one} stays as it is with probability {stays:.2f} on average")
    if apart is not None and apart > FAR:
        found.append(f"ε {rounded(apart)} between any two {people} is no protection where they are far apart")
    if not found:
        return ""
    tried = "passbox text calibrate --contract" if isinstance(how, Values) else "passbox text calibrate"
    return f"{column}: {', and '.join(found)}; take a smaller `--epsilon`: `{tried}` says what each does"


def mostly_itself(stays: float, size: int) -> bool:
    """Whether more than half of what is drawn tells the truth by more than chance; of two values each is one half."""
    return size > 1 and (stays - 1 / size) / (1 - 1 / size) > MOSTLY
