"""scikit-learn's own estimator checks; estimators that must be told a propensity cannot take them."""

import numpy as np
import pytest
from simbench_estimators.inverse_propensity import NNPU
from sklearn.base import clone
from sklearn.utils.estimator_checks import (
    check_classifiers_classes,
    check_classifiers_train,
    check_fit_idempotent,
    parametrize_with_checks,
)

from simbench.errors import BadInput
from simbench.estimator.registry import find

CHECKED = ["naive", "nnpu", "implicitrm"]  # one network, an objective that is no sum, two networks
AT_NIGHT = ["naive-sqrt", "balanced-naive", "upu", "ips-scar"]
# learns the checks' separable classes in a few milliseconds
SMALL = {"hidden": (8,), "epochs": 20, "patience": 20, "lr": 0.1, "batch_size": 64}
GENTLE = SMALL | {"epochs": 40, "patience": 40, "lr": 0.05}  # nnPU's clamp learns more slowly


def small(names):
    return [find(name)(**(GENTLE if name == "nnpu" else SMALL)) for name in names]


def not_held(estimator):
    """The checks that an estimator does not pass, and why."""
    repeated = "a row of weight 2 and a row that stands twice are split and batched differently"
    found = {"check_sample_weight_equivalence_on_dense_data": repeated}
    if isinstance(estimator, NNPU):
        refused = "its risk is no mean over rows: sample_weight is refused"
        kinds = ("pandas_series", "not_an_array", "list", "shape", "not_overwritten")
        found |= {f"check_sample_weights_{kind}": refused for kind in kinds}
    return found


@parametrize_with_checks(small(CHECKED), expected_failed_checks=not_held, xfail_strict=True)
def test_scikit_learn_accepts(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(small(AT_NIGHT), expected_failed_checks=not_held)
def test_scikit_learn_accepts_the_others(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", AT_NIGHT)
@pytest.mark.parametrize("check", [check_classifiers_train, check_classifiers_classes, check_fit_idempotent])
def test_the_others_learn_name_their_classes_and_fit_anew(name, check):
    check(name, find(name)(**SMALL))


def test_propensity_must_be_told():
    x, y = np.random.default_rng(0).standard_normal((50, 3)), np.arange(50) % 2
    for name in ("ips", "implicitrm-known"):
        with pytest.raises(BadInput, match=f"{name} must be told the propensity"):
            find(name)().fit(x, y)
        told = clone(find(name)(epochs=2)).fit(x, y, propensity=np.full(50, 0.5))
        assert told.predict_proba(x).sum(1) == pytest.approx(1)
