"""Pairwise losses on two hand-made pairs, and Counter-IF's strata and its loss at their edges."""

from math import exp, log

import numpy as np
import pytest
import torch
from simbench_estimators import counter_if
from simbench_estimators.balance import distances, wasserstein
from simbench_estimators.counter_if import CLICKED, LIKE_CLICKED, UNKNOWN, UNLIKE_CLICKED, CounterIF
from simbench_estimators.pairwise import Pairwise
from simbench_estimators.published.counter_if import CounterIFPublished
from sklearn.svm import OneClassSVM

from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.streams import stream
from simbench.training.samples import Batch, Outputs

# rows 0 and 2 are a pair, and so are 1 and 3
S, Q = [0.4, -1.0, 1.3, 0.2], [0.5, -0.3, -1.1, 2.0]
ALPHA = [0.5, 0.04, 0.2, 0.6]


def sigma(x):
    return 1 / (1 + exp(-x))


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def situation(clicks):
    out = Outputs(tensor(S), imputation=tensor(Q).requires_grad_())
    return out, Batch(tensor(clicks), tensor([0.5]), tensor(ALPHA))


def irrelevant(j):
    """``P(bad | not clicked)``."""
    return (1 - sigma(Q[j])) / (1 - sigma(Q[j]) * ALPHA[j])


WEIGHTS = {
    "bpr": lambda r, i, j: r[i] * (1 - r[j]),
    "ubpr": lambda r, i, j: r[i] / ALPHA[i] * (1 - r[j] / ALPHA[j]),
    "cubpr": lambda r, i, j: max(0.0, r[i] / max(ALPHA[i], 0.1) * (1 - r[j] / max(ALPHA[j], 0.1))),
    "upl": lambda r, i, j: r[i] / ALPHA[i] * (1 - r[j]) * irrelevant(j),
}


@pytest.mark.parametrize("clicks", [[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 1], [0, 0, 0, 0]])
@pytest.mark.parametrize("name", [*WEIGHTS, "bpr@published", "ubpr@published", "upl@published"])
def test_a_pair_counts_in_both_directions_by_its_weight(name, clicks):
    out, batch = situation([float(c) for c in clicks])
    weight = WEIGHTS[name.removesuffix("@published")]
    expected = []
    for i, j in ((0, 2), (1, 3)):
        forward = weight(clicks, i, j) * log(1 + exp(-(S[i] - S[j])))
        expected.append(forward + weight(clicks, j, i) * log(1 + exp(-(S[j] - S[i]))))
    estimator = find(name)()
    loss = estimator.reward_loss(out, batch)
    assert loss.tolist() == pytest.approx(expected, rel=1e-10)
    assert not loss.requires_grad, "the pointwise relevance is held fixed"
    assert estimator.risk(out, batch).item() == pytest.approx(sum(expected) / 2)


@pytest.mark.parametrize("name", ["upl", "upl@published"])
def test_the_pointwise_relevance_is_learned_by_the_unbiased_loss_of_both_members(name):
    clicks = [1.0, 0.0, 0.0, 1.0]
    out, batch = situation(clicks)
    single = [log(1 + exp(q)) - r / a * q for q, r, a in zip(Q, clicks, ALPHA, strict=True)]
    found = find(name)().auxiliary_loss(out, batch)
    assert found.tolist() == pytest.approx([(single[0] + single[2]) / 2, (single[1] + single[3]) / 2])


def test_a_sure_relevance_is_irrelevant_only_where_a_click_was_certain():
    """Both at once is 0/0; with ``α < 1`` a missing click tells nothing against a sure relevance."""
    for alpha, expected in ((1.0, 1.0), (0.5, 0.0)):
        out = Outputs(tensor([0.3, -0.2]), imputation=tensor([0.0, 800.0]))
        batch = Batch(tensor([1.0, 0.0]), tensor([0.5]), tensor([1.0, alpha]))
        found = find("upl")().reward_loss(out, batch).item()
        assert found == pytest.approx(expected * log(1 + exp(-0.5)), abs=1e-12)


def test_a_pairwise_loss_without_a_weight_says_so():
    class Nameless(Pairwise):
        pass

    with pytest.raises(NotImplementedError, match="Nameless must define weight"):
        Nameless().reward_loss(*situation([0.0] * 4))


# -- Counter-IF --------------------------------------------------------------------------------


def log_of(features, clicked):
    feedback = np.asarray(clicked, dtype=np.float32)[None]
    return FeedbackLog(np.asarray(features, dtype=np.float32), feedback, np.arange(len(features)))


def strata_of(features, clicked, **parameters):
    return CounterIFPublished(**parameters).prepare(log_of(features, clicked)).strata[0]


def test_nothing_is_unlike_the_clicked_where_all_lies_among_them():
    """Unclicked that equal the innermost clicked: even their farthest tenth is inside the region."""
    rng = np.random.default_rng(0)
    clicked = rng.normal(size=(60, 2)).astype(np.float32)
    inside = OneClassSVM(gamma="scale", nu=0.1).fit(clicked).decision_function(clicked)
    innermost = clicked[np.argsort(inside)[-20:]]
    assert np.sort(inside)[-20] > 1e-3
    found = strata_of(np.vstack([clicked, innermost]), np.arange(80) < 60)
    assert (found[:60] == CLICKED).all() and (found[60:] == LIKE_CLICKED).all()


def test_the_farthest_tenth_is_unlike_and_the_others_outside_unknown():
    """Unclicked on a ray that leaves the clicked: of 20, the two farthest, by NumPy's quantile."""
    rng = np.random.default_rng(0)
    ray = np.column_stack([np.linspace(3.2, 6, 20), np.zeros(20)])
    features = np.vstack([rng.normal(size=(60, 2)), ray]).astype(np.float32)
    found = strata_of(features, np.arange(80) < 60)
    region = OneClassSVM(gamma="scale", nu=0.1).fit(features[:60])
    inside = region.decision_function(features[60:])
    assert inside.max() < 0
    lowest = np.argsort(inside)[:2] + 60
    assert set(np.flatnonzero(found == UNLIKE_CLICKED)) == set(lowest.tolist())
    assert (found == UNKNOWN).sum() == 18 and (found == LIKE_CLICKED).sum() == 0


def test_the_region_is_that_of_so_many_clicked_drawn_for_the_replicate(monkeypatch):
    monkeypatch.setattr(counter_if, "FITTED_ON", 15)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 3)).astype(np.float32)
    clicked = np.arange(120) < 50
    log = log_of(features, clicked)
    log = FeedbackLog(features, np.repeat(log.feedback, 2, 0), log.groups)
    found = CounterIF(seed=4).prepare(log).strata
    assert found.dtype == np.float32 and (found[0] != found[1]).any()
    for replicate in range(2):
        rows = stream(4, "one-class", replicate).choice(np.arange(50), 15, replace=False)
        inside = OneClassSVM(gamma="scale", nu=0.1).fit(features[rows]).decision_function(features)
        near, far = np.quantile(inside[50:], 0.9), np.quantile(inside[50:], 0.1)
        expected = np.where(inside >= near, LIKE_CLICKED, np.where(inside <= far, UNLIKE_CLICKED, UNKNOWN))
        expected[:50] = CLICKED
        assert np.array_equal(found[replicate], expected)


def test_the_sizes_are_those_that_are_stated():
    assert (counter_if.FITTED_ON, counter_if.BALANCED) == (2000, 128)
    assert CounterIF.balance == 0.3 and CounterIF.workspace == 10 * 128**2
    assert (CLICKED, LIKE_CLICKED, UNLIKE_CLICKED, UNKNOWN) == (0, 1, 2, 3)


def loss_of(s, strata, **more):
    r = (tensor(strata) == CLICKED).double()
    batch = Batch(r, r.mean(-1, keepdim=True), strata=tensor(strata))
    return CounterIF().objective(Outputs(tensor(s), **more), batch).item()


def test_each_ordering_of_strata_counts_by_itself():
    """One pair at a time: what is better by the paper's orderings gains, nothing else does."""
    gains = {(CLICKED, LIKE_CLICKED), (UNKNOWN, LIKE_CLICKED), (UNLIKE_CLICKED, UNKNOWN)}
    for first in range(4):
        for second in range(4):
            found = loss_of([0.7, -0.5], [float(first), float(second)])
            point = [
                log(1 + exp(-s if t == CLICKED else s))
                for s, t in ((0.7, first), (-0.5, second))
                if t in (CLICKED, LIKE_CLICKED)
            ]
            same = first == second and first in (CLICKED, LIKE_CLICKED)
            expected = sum(point) / (2 if same else 1)  # a mean over each stratum
            expected += log(1 + exp(-1.2)) if (first, second) in gains else 0
            expected += log(1 + exp(1.2)) if (second, first) in gains else 0
            assert found == pytest.approx(expected), (first, second)


def test_where_nothing_is_stratified_every_missing_click_is_unknown():
    batch = Batch(tensor([1.0, 0.0, 0.0, 1.0]), tensor([0.5]))
    found = CounterIF().risk(Outputs(tensor([0.3, 9.0, -9.0, -0.6])), batch).item()
    assert found == pytest.approx((log(1 + exp(-0.3)) + log(1 + exp(0.6))) / 2)


def test_so_many_representations_of_first_members_are_balanced(monkeypatch):
    monkeypatch.setattr(counter_if, "BALANCED", 6)
    rng = np.random.default_rng(0)
    hidden, strata = tensor(rng.normal(size=(3, 40)).tolist()), torch.as_tensor(np.arange(40) % 4)
    found = CounterIF().imbalance(Outputs(tensor([0.0] * 40), representation=hidden), strata)
    few, kinds = distances(hidden[:, :6]), strata[:6]
    expected = wasserstein(few, kinds != UNKNOWN, kinds == UNKNOWN)
    expected = expected + wasserstein(few, kinds < 2, kinds == UNLIKE_CLICKED)
    assert found.item() == pytest.approx(expected.item()) and found > 0
    monkeypatch.setattr(counter_if, "BALANCED", 128)
    of_half = CounterIF().imbalance(Outputs(tensor([0.0] * 40), representation=hidden), strata)
    assert of_half.item() != pytest.approx(found.item())
    assert CounterIF().imbalance(Outputs(tensor([0.0] * 40)), strata) == 0
