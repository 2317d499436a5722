"""scikit-learn's own estimator checks; estimators that must be told a propensity cannot take them."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from simbench.errors import BadInput
from simbench.estimator.registry import find

NAMES = ["naive", "naive-sqrt", "balanced-naive", "upu", "nnpu", "ips-scar", "implicitrm"]


# No check is expected to fail, so there is no list of exceptions.
@parametrize_with_checks(
    [find(name)(hidden=(8,), epochs=40, patience=40, lr=0.05, batch_size=64) for name in NAMES]
)
def test_scikit_learn_accepts(estimator, check):
    check(estimator)


def test_propensity_must_be_told():
    x, y = np.random.default_rng(0).standard_normal((50, 3)), np.arange(50) % 2
    for name in ("ips", "implicitrm-known"):
        with pytest.raises(BadInput, match=f"{name} must be told the propensity"):
            find(name)().fit(x, y)
        told = clone(find(name)(epochs=2)).fit(x, y, propensity=np.full(50, 0.5))
        assert told.predict_proba(x).sum(1) == pytest.approx(1)
