"""KM2 against its description by other means: non-negative least squares, and slopes by differences."""

import numpy as np
import pytest
from scipy.linalg import cholesky
from scipy.optimize import nnls
from simbench_estimators.class_prior import METHODS, by_elkan_noto, by_tice, estimated_prior, prior_of
from simbench_estimators.class_prior.elkan_noto import label_frequency
from simbench_estimators.class_prior.km2 import (
    LARGEST,
    PRECISION,
    SAMPLE,
    _kernel,
    _reach,
    _some,
    km2,
    mixture_share,
    nearest_distribution,
)
from simbench_estimators.class_prior.tice import tice

from simbench.log.feedback import FeedbackLog
from simbench.streams import stream


def widest(points, u):
    """The Gaussian kernel whose width, of .1 to 10 median distances, tells the two samples apart best."""
    squared = np.array([[sum((a - b) ** 2) for b in points] for a in points])
    median, found = np.median(squared), []
    for width in (0.1, 10**-0.5, 1.0, 10**0.5, 10.0):
        kernel = np.exp(-squared / (2 * median * width**2))
        found.append((np.sqrt(u @ kernel @ u), kernel))
    return max(found, key=lambda pair: pair[0])


def nearest_by_active_set(root, point):
    """``argmin ‖R(v - u)‖`` over ``v ≥ 0`` with ``Σv = 1`` as a heavy equation."""
    heavy = 1e4
    v, _ = nnls(np.vstack([root, heavy * np.ones(len(point))]), np.r_[root @ point, heavy], maxiter=10_000)
    return v / v.sum()


def distance_to_distributions(kernel, point):
    root = cholesky(kernel + 1e-9 * np.eye(len(point)))
    return np.linalg.norm(root @ (nearest_by_active_set(root, point) - point))


@pytest.mark.parametrize("excess", [0.05, 1.0, 6.0])
def test_the_nearest_distribution_is_found_to_rounding(excess):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(16, 2))
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(-1) / 0.2)
    point = np.r_[np.full(10, (1 + excess) / 10), np.full(6, -excess / 6)]
    found = nearest_distribution(kernel, point)
    assert found == pytest.approx(nearest_by_active_set(cholesky(kernel), point), abs=1e-6)
    assert (found > 1e-3).any() and (found < 1e-6).any(), "some bounds bind"


def witness(mixture, component):
    n, m = len(mixture), len(component)
    both = np.vstack([mixture, component])
    of_all, of_clicked = np.r_[np.full(n, 1 / n), np.zeros(m)], np.r_[np.zeros(n), np.full(m, 1 / m)]
    apart, kernel = widest(both, of_all - of_clicked)

    def d(lam):
        return distance_to_distributions(kernel, lam * of_all + (1 - lam) * of_clicked)

    threshold = 0.8 * d(1.05) / 0.05 + 0.2 * apart
    low, high = 1.0, 10.0
    while high - low > 0.02:
        middle = (low + high) / 2
        if (d(middle + 1e-5) - d(middle - 1e-5)) / 2e-5 > threshold:
            high = middle
        else:
            low = middle
    lam = (low + high) / 2
    return 1 - 1 / lam


@pytest.mark.parametrize(("share", "seed"), [(0.2, 0), (0.2, 1), (0.5, 2), (0.5, 3), (0.8, 4), (0.8, 5)])
def test_the_share_is_where_the_slope_passes_the_threshold(share, seed):
    rng = np.random.default_rng(seed)
    mixture = rng.normal(size=(18, 2)) + 3 * (rng.random((18, 1)) < share)
    component = rng.normal(size=(12, 2)) + 3
    assert mixture_share(mixture, component) == pytest.approx(witness(mixture, component), abs=1e-9)


def test_the_share_is_at_most_nine_tenths_and_found_to_two_hundredths_of_its_odds():
    assert (SAMPLE, LARGEST, PRECISION) == (300, 10.0, 0.02)
    rng = np.random.default_rng(0)
    same = rng.normal(size=(30, 2))
    almost = same + 1e-3 * rng.normal(size=(30, 2))
    assert mixture_share(same, almost) == pytest.approx(1 - 1 / 10, abs=0.02 / 100)


def test_the_kernel_is_the_most_telling_of_five_widths():
    """Far clusters ask for a wide kernel, samples that differ in scale alone for a narrow one."""
    rng = np.random.default_rng(1)
    u = np.r_[np.full(9, 1 / 9), np.full(7, -1 / 7)]
    nearness = []
    for scale, shift in ((0.05, 0.0), (1.0, 1.0), (1.0, 9.0)):
        points = np.vstack([rng.normal(size=(9, 2)), scale * rng.normal(size=(7, 2)) + shift])
        apart, kernel = widest(points, u)
        found, distance = _kernel(points, u)
        assert found == pytest.approx(kernel, abs=1e-12) and distance == pytest.approx(apart)
        squared = ((points[:, None] - points) ** 2).sum(-1)
        nearness.append(-np.log(kernel[0, 1]) * 2 * np.median(squared) / squared[0, 1])
    assert len({round(1 / n, 6) for n in nearness}) > 1, "the cases differ in the width that they ask for"


def test_at_most_so_many_rows_are_compared_and_none_twice(monkeypatch):
    rng = np.random.default_rng(0)
    few = _some(np.arange(5, 12), rng)
    assert sorted(few) == list(range(5, 12))
    many = _some(np.arange(1000), rng)
    assert len(many) == 300 == len(set(many.tolist()))
    monkeypatch.setitem(_some.__globals__, "SAMPLE", 4)
    assert len(_some(np.arange(9), rng)) == 4


def test_a_step_reaches_to_where_the_first_value_vanishes():
    value = np.array([1.0, 2.0, 3.0])
    assert _reach(value, np.array([-4.0, -4.0, 1.0])) == pytest.approx(1 / 4)
    assert _reach(value, np.array([-0.5, -0.5, -0.5])) == 1
    assert _reach(value, np.array([0.5, 0.0, 2.0])) == 1


def log_of(n=40, seed=0):
    rng = np.random.default_rng(seed)
    good = rng.random((2, n)) < [[0.6], [0.4]]
    features = rng.normal(size=(n, 2)) + 3 * good[:1].T
    feedback = good & (rng.random((2, n)) < 0.6)
    return FeedbackLog(features.astype(np.float32), feedback.astype(np.float32), np.arange(n) // 2)


def test_each_replicate_compares_its_clicked_with_all_responses(monkeypatch):
    """Witness: the rows drawn from the replicate's own stream, all first and then the clicked."""
    monkeypatch.setitem(_some.__globals__, "SAMPLE", 12)
    log, expected = log_of(), []
    for replicate, feedback in enumerate(log.feedback):
        rng = stream(3, "km2", replicate)
        everyone = rng.choice(np.arange(40), 12, replace=False)
        clicked = np.flatnonzero(feedback)
        clicked = rng.choice(clicked, min(12, len(clicked)), replace=False)
        share = witness(log.features[everyone].astype(float), log.features[clicked].astype(float))
        expected.append(min(max(share, feedback.mean()), 0.999))
    assert km2(log, 3) == pytest.approx(expected, abs=1e-9)
    assert len(set(expected)) == 2


def test_an_estimate_is_never_below_the_feedback_rate_nor_above_the_limit(monkeypatch):
    log = log_of()
    for share, expected in ((0.0, log.feedback.mean(1)), (1.0, [0.999, 0.999]), (0.9, [0.9, 0.9])):
        monkeypatch.setitem(km2.__globals__, "mixture_share", lambda *_, share=share: share)
        assert km2(log) == pytest.approx(expected)


# -- from a label frequency to a prior, and by name --------------------------------------------


def test_the_prior_is_the_feedback_rate_over_the_frequency():
    log = log_of()
    rate = log.feedback.mean(1)
    assert prior_of(log, np.array([0.5, 0.8])) == pytest.approx(rate / [0.5, 0.8])
    assert prior_of(log, rate) == pytest.approx([0.999, 0.999])
    assert prior_of(log, rate * 1e5) == pytest.approx([0.001, 0.001])


def test_every_method_is_found_by_its_name_and_told_the_seed():
    log = log_of()
    rate = log.feedback.mean(1)
    assert {"elkan-noto": by_elkan_noto, "tice": by_tice, "km2": km2} == METHODS
    for seed in (0, 8):
        frequency = label_frequency(log, 0.2, seed)
        assert estimated_prior("elkan-noto", log, seed) == pytest.approx((rate / frequency).clip(1e-3, 0.999))
        frequency = tice(log, seed)
        assert estimated_prior("tice", log, seed) == pytest.approx((rate / frequency).clip(1e-3, 0.999))
        assert estimated_prior("km2", log, seed) == pytest.approx(km2(log, seed))
    for method in ("elkan-noto", "tice"):
        assert estimated_prior(method, log) == pytest.approx(estimated_prior(method, log, 0))
        assert estimated_prior(method, log, 0) != pytest.approx(estimated_prior(method, log, 8), abs=1e-6)
