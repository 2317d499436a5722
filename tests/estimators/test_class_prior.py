"""Class prior estimators: against pulearn's Elkan-Noto, by hand, and on data of a known prior."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulearn import ElkanotoPuClassifier
from scipy.special import expit
from simbench_estimators.class_prior import METHODS, estimated_prior, km2, label_frequency, tice
from simbench_estimators.class_prior.km2 import mixture_share, nearest_distribution
from simbench_estimators.class_prior.tice import _folds, lower_bound
from simbench_estimators.inverse_propensity import with_estimated_prior
from sklearn.linear_model import LogisticRegression

from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.streams import seed_of
from simbench.training.batches import split_by_prompt

SEED, SHARE = 3, 0.25


def scar_log(n=800, replicates=2, frequency=0.4, seed=0):
    """Responses of which most are surely good or bad, clicked with one constant propensity."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3))
    good = rng.random((replicates, n)) < expit(x @ [6.0, -3.0, 0.0])
    feedback = good & (rng.random(good.shape) < frequency)
    groups = np.arange(n) // 4
    return FeedbackLog(x.astype(np.float32), feedback.astype(np.float32), groups)


class HoldOut(np.random.RandomState):
    """Shuffles so that pulearn, which holds out the first, holds out ``rows``."""

    def __init__(self, rows):
        super().__init__(0)
        self.rows = rows

    def shuffle(self, x):
        assert isinstance(x, np.ndarray)
        x[:] = np.concatenate([self.rows, np.setdiff1d(x, self.rows)])


def test_the_frequency_is_pulearns_on_the_same_split():
    log = scar_log()
    held_out = split_by_prompt(log.groups, SHARE, seed_of(SEED, "prior"))[1]
    found = label_frequency(log, SHARE, SEED)
    assert found.shape == (2,)
    for estimate, feedback in zip(found, log.feedback, strict=True):
        peer = ElkanotoPuClassifier(
            LogisticRegression(max_iter=500),
            hold_out_ratio=len(held_out) / log.n_rows,
            random_state=HoldOut(held_out),
        )
        peer.fit(log.features, feedback.astype(int))
        assert estimate == pytest.approx(peer.c, abs=1e-12)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(6, 40), st.floats(0.05, 0.95))
def test_the_frequency_is_a_probability_above_the_feedback_rate(seed, n, rate):
    """Feedback that the features do not explain at all: else π would exceed 1."""
    rng = np.random.default_rng(seed)
    feedback = (rng.random((3, n)) < rate).astype(np.float32)
    feedback[:, :2] = 0, 1
    log = FeedbackLog(rng.standard_normal((n, 2)).astype(np.float32), feedback, np.arange(n))
    found = label_frequency(log, 0.3, seed)
    assert (found >= feedback.mean(axis=1)).all() and (found < 1).all()
    prior = with_estimated_prior(log, find("upu")(validation_share=0.3, seed=seed)).class_prior
    assert prior == pytest.approx((feedback.mean(axis=1) / found).clip(1e-3, 1 - 1e-3), rel=1e-12)


@pytest.mark.parametrize("clicked", ["train", "held out"])
def test_too_few_clicks_to_tell(clicked):
    """All clicks on one side of the split: midway, in logarithm, from the feedback rate to 1."""
    train, held_out = split_by_prompt(np.arange(20), SHARE, seed_of(SEED, "prior"))
    feedback = np.zeros((1, 20), dtype=np.float32)
    feedback[0, (train if clicked == "train" else held_out)[:2]] = 1
    log = FeedbackLog(np.ones((20, 1), dtype=np.float32), feedback, np.arange(20))
    assert label_frequency(log, SHARE, SEED) == pytest.approx([np.sqrt(0.1)], rel=1e-6)


def test_a_given_prior_is_kept_and_an_absent_one_estimated():
    log = scar_log()
    told = FeedbackLog(log.features, log.feedback, log.groups, class_prior=0.31)
    assert find("upu")().prepare(told).class_prior == 0.31
    estimated = find("upu")().prepare(log).class_prior
    assert estimated == pytest.approx(log.feedback.mean(1) / label_frequency(log), rel=1e-6)
    assert find("ips-scar")().prepare(told).class_prior == pytest.approx(estimated, rel=1e-12)


# -- all methods, on data of a known prior -----------------------------------------------------


def log_with_anchors(frequency, seed, prior=1 / 3, n=6000, apart=6.0):
    """A share ``prior`` is good and stands apart; users act on it with one constant frequency."""
    rng = np.random.default_rng(seed)
    good = rng.random(n) < prior
    features = rng.normal(size=(n, 3)) + apart * good[:, None]
    feedback = good & (rng.random(n) < frequency)
    return FeedbackLog(features.astype(np.float32), feedback[None].astype(np.float32), np.arange(n))


TOLERANCE = {"elkan-noto": (-0.03, 0.03), "tice": (-0.01, 0.12), "km2": (-0.05, 0.05)}


SLOW = {("km2", 0.3, 0.5), ("km2", 0.6, 0.2)}  # the other two corners stay; test_km2 has exact values
CORNERS = [
    pytest.param(*corner, marks=pytest.mark.slow if corner in SLOW else ())
    for corner in product(METHODS, (0.3, 0.6), (0.2, 0.5))
]


@pytest.mark.parametrize(("method", "frequency", "prior"), CORNERS)
def test_the_prior_is_found_where_some_responses_are_surely_good(method, frequency, prior):
    """Mean error over three seeds, in the tolerance stated for each; TIcE is a bound, and above the prior."""
    errors = [estimated_prior(method, log_with_anchors(frequency, s, prior), s)[0] - prior for s in range(3)]
    low, high = TOLERANCE[method]
    assert low < np.mean(errors) < high


@pytest.mark.parametrize("method", METHODS)
def test_the_prior_is_too_large_where_no_response_is_surely_good(method):
    """γ between .1 and .6 everywhere: the clicked ones are like the others, and π = .35 cannot be seen."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6000, 3)).astype(np.float32)
    reward = 0.1 + 0.5 * expit(3 * features[:, 0])
    feedback = (rng.random(6000) < 0.5 * reward).astype(np.float32)[None]
    found = estimated_prior(method, FeedbackLog(features, feedback, np.arange(6000)))[0]
    assert found > reward.mean() + 0.15


@pytest.mark.parametrize("method", METHODS)
def test_an_estimate_lies_between_the_feedback_rate_and_one_however_few_the_clicks(method):
    rng = np.random.default_rng(0)
    feedback = np.zeros((2, 40), dtype=np.float32)
    feedback[0, :1] = feedback[1, :39] = 1
    for features in (rng.normal(size=(40, 2)), np.ones((40, 2))):
        found = estimated_prior(method, FeedbackLog(features.astype(np.float32), feedback, np.arange(40)))
        assert found.shape == (2,)
        assert ((found >= feedback.mean(1) - 0.03) & (found < 1)).all()


# -- TIcE by hand ------------------------------------------------------------------------------


def test_the_bound_of_tice_is_the_printed_one():
    """L/T - sqrt(c(1-c)(1-δ)/(δT)) with L=30, T=100, c=.5, δ=.1: .3 - sqrt(.25·.9/10)."""
    assert lower_bound(30, 100, 0.5, 0.1) == pytest.approx(0.3 - 0.15)


def test_tice_on_one_feature_is_the_mean_over_folds_of_the_best_quarters_bound():
    """A feature of four values needs no tree: its quarters are the only subsets."""
    rng = np.random.default_rng(3)
    n = 4000
    x = rng.integers(0, 4, n)
    feedback = (rng.random(n) < np.array([0.02, 0.1, 0.2, 0.45])[x]).astype(np.float32)
    log = FeedbackLog(x[:, None].astype(np.float32), feedback[None], np.arange(n))
    fold, c = _folds(log.groups, 7), 0.5
    for _ in range(2):
        bounds = []
        for held in range(5):
            rest = fold != held
            delta = max(0.025, 1 / (1 + 0.004 * rest.sum()))
            quarters = [feedback[rest & (x == value)].astype(float) for value in range(4)]
            slack = c * (1 - c) * (1 - delta) / delta
            bounds.append(max(q.mean() - (slack / len(q)) ** 0.5 for q in quarters))
            assert bounds[-1] > feedback[rest].mean()
        c = float(np.mean(bounds))
    assert tice(log, 7) == pytest.approx([c], rel=1e-12)


def test_tice_never_falls_below_the_feedback_rate_where_prompts_are_unequal():
    """Features that tell nothing, one prompt of half of the responses: the folds' rates differ."""
    rng = np.random.default_rng(0)
    groups = np.r_[np.zeros(100, dtype=np.int64), np.arange(1, 101)]
    feedback = np.stack([groups == 0, groups > 0]).astype(np.float32)
    feedback[:, ::10] = 1 - feedback[:, ::10]
    log = FeedbackLog(rng.normal(size=(200, 2)).astype(np.float32), feedback, groups)
    found = tice(log)
    assert (found >= feedback.mean(axis=1)).all() and (found <= 1).all()
    assert (found == feedback.mean(axis=1)).any()


# -- KM2 ---------------------------------------------------------------------------------------


def test_the_nearest_distribution_is_scipys():
    """Against SLSQP on the same program."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    points = rng.normal(size=(12, 2))
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(-1))
    target = np.r_[np.full(6, 2 / 6), np.full(6, -1 / 6)]
    found = nearest_distribution(kernel, target)
    peer = minimize(
        lambda v: (v - target) @ kernel @ (v - target),
        np.full(12, 1 / 12),
        jac=lambda v: 2 * kernel @ (v - target),
        bounds=[(0, None)] * 12,
        constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    assert (found - target) @ kernel @ (found - target) == pytest.approx(peer.fun, abs=1e-7)
    assert found == pytest.approx(peer.x, abs=1e-3)


@pytest.mark.parametrize("share", [0.75, pytest.param(0.25, marks=pytest.mark.slow)])
def test_km2_finds_the_share_of_a_component_in_a_mixture(share):
    """The example of the authors' code, two unit Gaussians; within .1 over three draws."""
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        in_it = rng.random((300, 1)) < share
        mixture = rng.standard_normal((300, 2)) + 4 * in_it
        found.append(mixture_share(mixture, rng.standard_normal((300, 2)) + 4))
    assert np.mean(found) == pytest.approx(share, abs=0.1)


def test_km2_of_equal_samples_is_the_largest_that_it_can_find():
    same = np.random.default_rng(0).standard_normal((100, 2))
    assert mixture_share(same, same) == 1
    log = FeedbackLog(np.ones((20, 1), dtype=np.float32), np.eye(1, 20, dtype=np.float32), np.arange(20))
    assert km2(log) == pytest.approx([0.999])
