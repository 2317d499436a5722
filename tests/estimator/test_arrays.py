"""What people hand to ``fit`` in Python: groups, categories, weights, and what is told."""

import warnings

import numpy as np
import pandas as pd
import pytest
from simbench_estimators.implicitrm import ImplicitRM
from simbench_estimators.inverse_propensity import IPS
from simbench_estimators.naive import BalancedNaive, Naive

from simbench.errors import BadInput, NotTrained
from simbench.estimator.arrays import classes_and_codes, numbers, prompt_codes
from simbench.estimator.registry import find

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 3)).astype(np.float32)
Y = (rng.random(60) < 0.4).astype(int)
SMALL = {"hidden": (4,), "epochs": 3, "patience": 3}
WHOLE = {"hidden": (4,), "epochs": 30, "patience": 30, "batch_size": 1000, "validation_share": 0.0}


@pytest.mark.parametrize(
    ("groups", "codes"),
    [
        ([["b"], ["a"], ["b"]], [1, 0, 1]),
        (np.array([[2.5], [1.5], [2.5]]), [1, 0, 1]),
        ([1, "1", 1], [0, 1, 0]),
        (pd.Series(["x", "y", "x"], dtype="category"), [0, 1, 0]),
        (pd.array([4, 3, 4], dtype="Int64"), [1, 0, 1]),
    ],
)
def test_every_prompt_has_a_number(groups, codes):
    assert prompt_codes(groups, 3).tolist() == codes


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([1, None, 2], "groups is missing in row 1"),
        (np.array([1.0, 2.0, np.nan]), "groups is missing in row 2"),
        (pd.array([pd.NA, 3, 4], dtype="Int64"), "groups is missing in row 0"),
        (np.ones((3, 2)), r"groups must have one value for each of the 3 rows, got shape \(3, 2\)"),
        ([1, 2], r"one value for each of the 3 rows, got shape \(2,\)"),
    ],
)
def test_groups_that_are_none_are_refused(groups, said):
    with pytest.raises(BadInput, match=said):
        prompt_codes(groups, 3)


@pytest.mark.parametrize("wrap", [pd.Series, pd.Categorical, lambda y: pd.DataFrame({"y": y})])
def test_an_ordered_categorical_says_which_class_is_the_larger(wrap):
    """In sorted order "clicked" comes before "skipped"."""
    words = np.array(["skipped", "clicked"])[Y]
    kind = pd.CategoricalDtype(["unseen", "skipped", "clicked"], ordered=True)
    given = wrap(pd.Series(words).astype(kind))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, about a table in place of a column
        fitted = Naive(**SMALL).fit(X, given)
    assert fitted.classes_.tolist() == ["skipped", "clicked"]
    assert np.array_equal(fitted.predict_reward(X), Naive(**SMALL).fit(X, Y).predict_reward(X))
    unordered = classes_and_codes(pd.Series(words).astype(pd.CategoricalDtype(["skipped", "clicked"])), words)
    assert unordered[0].tolist() == ["clicked", "skipped"] and np.array_equal(unordered[1], 1 - Y)


def test_numbers_may_be_nullable_and_are_one_a_row():
    assert numbers("p", pd.array([1, 2], dtype="Int64"), 2).tolist() == [1, 2]
    assert np.isnan(numbers("p", [1, None], 2, missing=True)[1])
    for values, said in (
        ([1, None], "p is missing in row 1"),
        (["a", "b"], "p must be numbers"),
        (np.ones((2, 2)), "one value for each of the 2 rows"),
    ):
        with pytest.raises(BadInput, match=said):
            numbers("p", values, 2)


def test_texts_as_context_are_refused_in_a_sentence():
    with pytest.raises(BadInput, match="context must be numbers: encode texts"):
        ImplicitRM(**SMALL).fit(X, Y, context=pd.DataFrame({"device": ["tv"] * 60}))


def test_a_seed_may_be_numpys():
    fitted = [ImplicitRM(seed=seed, **SMALL).fit(X, Y).predict_reward(X) for seed in (3, np.int64(3))]
    assert np.array_equal(*fitted)


@pytest.mark.parametrize(
    ("name", "told", "unread"),
    [
        ("naive", {"misclick": 0.1, "class_prior": 0.9}, "class prior and the misclick"),
        ("ips", {"propensity": np.full(60, 0.5), "labels": np.full(60, np.nan)}, "labels"),
        ("implicitrm-known", {"propensity": np.full(60, 0.5), "action_rate": 0.9}, "action rate"),
        ("lbe", {"class_prior": 0.9}, "class prior"),
        ("implicitrm", {"propensity": np.full(60, 0.5)}, "propensity"),
        ("sklearn:LogisticRegression", {"labels": np.full(60, np.nan)}, "labels"),
    ],
)
def test_what_an_estimator_does_not_read_it_is_not_told(name, told, unread):
    with pytest.raises(BadInput, match=f"{name} does not read the {unread}: leave"):
        find(name)().fit(X, Y, **told)


def test_context_that_is_not_read_is_left_out_and_said_so():
    with pytest.warns(UserWarning, match="^naive does not read the context: it is not used"):
        fitted = Naive(**SMALL).fit(X, Y, context=X[:, :1])
    assert np.array_equal(fitted.predict_reward(X), Naive(**SMALL).fit(X, Y).predict_reward(X))


def test_all_that_an_estimator_reads_it_may_be_told():
    labels = np.where(np.arange(60) % 5 == 0, Y, np.nan)
    told = {"context": 2 * X[:, :1], "labels": labels, "misclick": 0.01}
    told |= {"action_rate": 0.8, "class_prior": 0.9}
    with_all = ImplicitRM(**WHOLE).fit(X, Y, **told, always_acts=np.arange(60) % 9 == 0).predict_reward(X)
    for name in told:
        fewer = {key: value for key, value in told.items() if key != name}
        without = ImplicitRM(**WHOLE).fit(X, Y, **fewer, always_acts=np.arange(60) % 9 == 0)
        assert not np.array_equal(with_all, without.predict_reward(X)), name


# -- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Naive, {}),
        (BalancedNaive, {}),
        (IPS, {"propensity": 0.3 + rng.random(60) * 0.7}),
        (ImplicitRM, {}),
        (ImplicitRM, {"class_prior": 0.8, "action_rate": 0.9}),
        (find("sar-em"), {}),
        (find("recrec"), {}),
    ],
)
def test_a_row_of_weight_2_is_a_row_that_stands_twice(kind, told):
    """In one batch of all rows, with none held out; weights of any scale, and rows of weight 0."""
    weights = rng.integers(0, 3, 60)
    twice = np.repeat(np.arange(60), weights)
    again = {name: value[twice] if np.ndim(value) else value for name, value in told.items()}
    settings = WHOLE | {"hidden": kind().hidden and (4,)}
    weighted = kind(**settings).fit(X, Y, sample_weight=7.0 * weights, **told).predict_reward(X)
    repeated = kind(**settings).fit(X[twice], Y[twice], **again).predict_reward(X)
    assert weighted == pytest.approx(repeated, abs=2e-4)
    assert np.abs(weighted - kind(**settings).fit(X, Y, **told).predict_reward(X)).max() > 1e-3


@pytest.mark.parametrize(
    "name", ["nnpu", "upu", "elkan-noto", "bpr", "vpu", "counter-if", "sklearn:LogisticRegression"]
)
def test_weights_are_refused_where_the_loss_is_no_mean(name):
    with pytest.raises(BadInput, match=f"{name} takes no sample_weight: its loss is no mean"):
        find(name)().fit(X, Y, sample_weight=np.ones(60))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.zeros(60), "weights are zero in every row"),
        (np.where(np.arange(60) == 4, -1, 1), r"finite and at least 0, got -1\.0 in row 4"),
        (np.where(np.arange(60) == 4, np.inf, 1), "finite and at least 0, got inf in row 4"),
        (np.where(np.arange(60) == 4, np.nan, 1), "sample_weight is missing in row 4"),
        (Y, "one class only where the weights are not zero"),
        (np.ones(59), "one value for each of the 60 rows"),
    ],
)
def test_weights_that_are_none_are_refused(weights, said):
    with pytest.raises(BadInput, match=said):
        Naive().fit(X, Y, sample_weight=weights)


def test_restarts_are_not_compared_by_weights():
    with pytest.raises(BadInput, match="give no weights, or restarts=1"):
        ImplicitRM(restarts=2).fit(X, Y, sample_weight=np.ones(60))


# -- what cannot be --------------------------------------------------------------------------------


def test_a_fit_that_never_had_a_finite_loss_is_an_error_and_no_model():
    for estimator in (Naive(lr=1e30, **SMALL), ImplicitRM(lr=1e30, restarts=2, **SMALL)):
        with pytest.raises(NotTrained, match=f"{estimator.name} did not train: no epoch had a finite loss"):
            estimator.fit(X, Y)


def test_what_contradicts_the_feedback_is_refused():
    for told, said in (
        ({"class_prior": 0.1}, "class prior 0.1 is impossible"),
        ({"signals": np.column_stack([Y, Y])}, "the signals number 0 and number 1 are the same"),
    ):
        with pytest.raises(BadInput, match=said):
            find("implicitrm-signals" if "signals" in told else "implicitrm")().fit(X, Y, **told)


def test_a_propensity_that_vanishes_in_32_bits_is_refused_with_its_row():
    propensity = np.where(np.arange(60) == 17, 1e-300, 0.5)
    with pytest.raises(BadInput, match="propensity is 1e-300 in row 17, which is 0 in the 32 bits"):
        IPS().fit(X, Y, propensity=propensity)
