"""The intercept gives the mean that was wanted."""

from __future__ import annotations

import numpy as np
import pytest

from passbox.modelling.logistic import calibrate, sigmoid


@pytest.mark.parametrize("share", [1e-6, 0.02, 0.5, 0.95])
def test_the_intercept_is_found_however_far_scores_spread(share: float) -> None:
    scores = np.random.default_rng(0).normal(0, 4, 5000)
    assert sigmoid(calibrate(scores, share) + scores).mean() == pytest.approx(share, rel=1e-6)
