"""The learners as scikit-learn classifiers: declared columns and a `draw` in, probabilities out.

    LookalikeClassifier(draw, columns=[Number("age", 18, 99), ...], unit="membership").fit(X, y).predict_proba(X)

X: a pyarrow table with the declared columns, or a numeric array whose columns are numbers within `bounds`. y:
booleans, or labels of two declared `classes`, of which the second is the secret one. Threat models: `lookalike` and
`person`.
`draw` turns the exact statistic into a paid one, once a fit. In a room labels are handed to nobody:

    LookalikeClassifier(unit="membership").fit_drawn(passbox.draw_from(room, request)).receipt_

fits on sums that the room made and paid for (`cleanroom.drawing`); `receipt_` says where in its ledger.

The code ensures, beside what those two ensure: declared labels are not counted before they are paid for. Nobody on
the list, one, everybody: all draw once and are fitted alike.
The caller ensures: y is boolean or `classes` is given, and names every label there is. Otherwise the labels that occur
are looked up, as scikit-learn has it: that they are not two, or that one was not declared, is an error before anything
is drawn. `odd_` goes to nobody who does not hold X.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ..dp.aggregate import Statistic
from ..dp.noisy import Noisy
from .draw import Draw, Drawn, Unit
from .features import Encoder, Kind, Number
from .outlook import Outlook
from .person import DPGAM
from .wide import learnt, measured


class LookalikeClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A lookalike in scikit-learn's contract.

    draw: pays for a statistic. columns: what a table's columns are; None for arrays. bounds: of an array's columns,
    declared without looking at them; values beyond are clipped. unit: the threat model. classes: the two labels, the
    secret one last; None for booleans, or to look up which there are. outlook: of `membership`, how many may be on the
    list and how large noise will be, from what is public; None for the usual. Rows are measured for it
    (`Strategy.of`), so that a wrong one costs accuracy and no privacy.

    After a fit: classes_, encoder_, model_, receipt_, and odd_, by column how many people's value was not as declared
    (`Encoder.odd`): exact counts, which stay with whoever holds X and are no part of what is released.
    """

    def __init__(
        self,
        draw: Draw | None = None,
        columns: Sequence[Kind] | None = None,
        bounds: tuple[float, float] = (-10.0, 10.0),
        unit: Unit = "person",
        classes: Sequence[Any] | None = None,
        outlook: Outlook | None = None,
    ) -> None:
        self.draw, self.columns, self.bounds, self.unit, self.classes = draw, columns, bounds, unit, classes
        self.outlook = outlook

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.non_deterministic = True
        tags.classifier_tags.poor_score = True  # noise is large beside a few dozen people
        return tags

    def fit(self, X: Any, y: Any) -> LookalikeClassifier:  # noqa: N803 - the contract's name
        """Draws once.

        Errors: ValueError for another `unit`, without a `draw`, for labels that are not two or not declared.
        """
        if self.unit not in get_args(Unit):
            raise ValueError('unit must be "membership" or "person": it says what is secret')
        if self.draw is None:
            raise ValueError("a draw is needed: it pays for the noise")
        if self.outlook is not None and self.unit == "person":
            raise ValueError('an outlook is of unit "membership": rows of "person" follow its noisy counts')
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        table, target = self._read(X, y)
        self.classes_ = self._labels(target)
        listed = np.asarray(target == self.classes_[1], dtype=np.bool_)
        declared = self._declared(table)
        private = self.unit == "person"
        self.encoder_ = Encoder.from_declared(declared) if private else Encoder.from_owner(table, declared)
        self.odd_ = self.encoder_.odd(table)
        design = self.encoder_.encode(table)
        if private:
            self.model_ = DPGAM().fit_drawn(design, listed, self._paid)
        else:
            rows = measured(design, outlook=self.outlook)
            self.model_ = learnt(rows, self._paid(rows.moments(listed))).model_
        return self

    def fit_drawn(self, drawn: Drawn) -> LookalikeClassifier:
        """Fit on sums that a room paid for; the second class is being on its list. Scores tables, draws nothing.

        Errors: ValueError where `unit` is not the threat model they were paid under; DesignMismatch.
        """
        if self.unit != drawn.unit:
            raise ValueError(f"these sums were paid for under {drawn.unit}: say unit={drawn.unit!r}")
        self.classes_, self.encoder_, self.receipt_ = np.array([False, True]), drawn.encoder, drawn.sums.receipt
        if drawn.people is None:
            blocks = [column.block for column in drawn.encoder.columns]
            self.model_ = DPGAM().refit(blocks, drawn.encoder.digest, drawn.sums)
        else:
            self.model_ = learnt(drawn.people, drawn.sums).model_
        return self

    def _paid(self, statistic: Statistic) -> Noisy:
        assert self.draw is not None  # noqa: S101 - `fit` asked
        noisy = self.draw(statistic)
        self.receipt_ = noisy.receipt
        return noisy

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: N803 - the contract's name
        """Log-odds of the second class."""
        check_is_fitted(self)
        return self.model_.score(self.encoder_.encode(self._read(X)[0]))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803 - the contract's name
        p = 1 / (1 + np.exp(-self.decision_function(X)))
        return np.stack([1 - p, p], axis=1)

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803 - the contract's name
        likely = self.decision_function(X) > 0
        return np.asarray(self.classes_[likely.astype(int)])

    def _labels(self, target: NDArray[Any]) -> NDArray[Any]:
        """The two classes. Those that are declared are not looked up, and how many there are is never said."""
        if self.classes is None and target.dtype != np.bool_:
            found = np.unique(target)
            if len(found) > 2:
                raise ValueError("Only binary classification is supported. y has more than two classes.")
            if len(found) < 2:
                raise ValueError("y has one class, and `classes` declares no other")
            return found
        labels = np.asarray([False, True] if self.classes is None else self.classes)
        if labels.shape != (2,) or labels[0] == labels[1]:
            raise ValueError("`classes` must be two labels, the secret one last")
        if not np.isin(target, labels).all():
            raise ValueError("y has a class that `classes` does not declare")
        return labels

    def _declared(self, table: pa.Table) -> list[Kind]:
        if self.columns is not None:
            return list(self.columns)
        return [Number(name, *self.bounds) for name in table.column_names]

    def _read(self, X: Any, y: Any = None) -> tuple[pa.Table, NDArray[Any]]:  # noqa: N803 - the contract's name
        """People as a table, and the target where there is one."""
        if isinstance(X, pa.Table):
            return X, np.asarray(y)
        fitting = y is not None
        if fitting:
            rows, target = validate_data(self, X, y, reset=True)
            if self.classes is None:
                check_classification_targets(target)
        else:
            rows, target = validate_data(self, X, reset=False), np.zeros(0)
        return pa.table({f"x{i}": column for i, column in enumerate(rows.T.astype(np.float64))}), target
