"""The label frequency against pulearn's own Elkan-Noto, on the same held-out responses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulearn import ElkanotoPuClassifier
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from estimators.class_prior import label_frequency
from estimators.inverse_propensity import with_estimated_prior
from simbench.log import FeedbackLog
from simbench.registry import find
from simbench.streams import seed_of
from simbench.training import split_by_prompt

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
