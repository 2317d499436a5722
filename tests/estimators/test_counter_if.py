"""Counter-IF's strata and its loss."""

import numpy as np
import pytest
import torch
from simbench_estimators.balance import distances, wasserstein
from simbench_estimators.counter_if import CLICKED, LIKE_CLICKED, UNKNOWN, UNLIKE_CLICKED, CounterIF
from simbench_estimators.published.counter_if import CounterIFPublished
from sklearn.svm import OneClassSVM

from simbench.training.samples import Batch, Outputs
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def draw(n=80):
    rng = np.random.default_rng(0)
    s, strata = rng.normal(size=n), rng.integers(0, 4, n)
    r = torch.as_tensor((strata == CLICKED).astype(float))
    batch = Batch(r, r.mean(-1, keepdim=True), strata=torch.as_tensor(strata.astype(float)))
    return s, strata, batch


@pytest.mark.parametrize("kind", [CounterIF, CounterIFPublished])
def test_strata_are_those_of_the_one_class_svm(kind):
    """The paper's take the nearest and the farthest tenth, counted here; the public code's all inside."""
    world = build(PRESETS["exclusive"], 0.0, 800, 0)
    log, _ = world.draw(range(2))
    strata = kind().prepare(log).strata
    assert strata is not None and strata.shape == log.feedback.shape
    for row, feedback in zip(strata, log.feedback, strict=True):
        svm = OneClassSVM(gamma="scale", nu=0.1).fit(log.features[feedback == 1])
        inside = svm.decision_function(log.features)
        assert np.array_equal(row == CLICKED, feedback == 1)
        unclicked = np.flatnonzero(feedback == 0)
        by_nearness = unclicked[np.argsort(inside[unclicked])]
        tenth = int(np.ceil(len(unclicked) / 10))
        far, near = by_nearness[:tenth], by_nearness[-tenth:]
        if kind is CounterIFPublished:
            far, near = far[inside[far] <= 0], unclicked[inside[unclicked] > 0]
            assert len(near) > len(unclicked) / 2
        assert set(np.flatnonzero(row == LIKE_CLICKED)) == set(near)
        assert set(np.flatnonzero(row == UNLIKE_CLICKED)) == set(far)


def test_nothing_is_near_or_far_where_all_are_alike():
    found = CounterIF().of_unclicked(np.full(30, 0.2))
    assert (found == UNKNOWN).all()


@pytest.mark.parametrize("kind", [CounterIF, CounterIFPublished])
def test_the_loss_is_that_of_the_paper(kind):
    """Witness: a loop over samples and pairs; two means in the paper's pointwise part, one in public code."""
    s, strata, batch = draw()
    good = [np.logaddexp(0, -v) for v, t in zip(s, strata, strict=True) if t == CLICKED]
    bad = [np.logaddexp(0, v) for v, t in zip(s, strata, strict=True) if t == LIKE_CLICKED]
    expected = np.mean(good) + np.mean(bad) if kind is CounterIF else np.mean(good + bad)
    for above, below in ((CLICKED, LIKE_CLICKED), (UNKNOWN, LIKE_CLICKED), (UNLIKE_CLICKED, UNKNOWN)):
        losses = []
        for i in range(40):
            for a, b in ((i, i + 40), (i + 40, i)):
                if strata[a] == above and strata[b] == below:
                    losses.append(np.logaddexp(0, -(s[a] - s[b])))
        expected += np.mean(losses)
    assert kind().risk(Outputs(torch.as_tensor(s)), batch).item() == pytest.approx(expected, rel=1e-12)


def test_the_representations_of_the_strata_are_balanced():
    """Witness: the strata's members picked one by one, among the first members of the pairs."""
    rng = np.random.default_rng(0)
    s, strata = torch.as_tensor(rng.normal(size=80)), rng.integers(0, 4, 80)
    hidden = torch.as_tensor(rng.normal(size=(5, 80)))
    r = torch.as_tensor((strata == CLICKED).astype(float))
    batch = Batch(r, r.mean(-1, keepdim=True), strata=torch.as_tensor(strata.astype(float)))

    def between(known, others):
        picked = [hidden[:, [i for i in range(40) if strata[i] in group]] for group in (known, others)]
        first = torch.arange(sum(part.shape[1] for part in picked)) < picked[0].shape[1]
        return wasserstein(distances(torch.cat(picked, 1)), first, ~first)

    known = between((CLICKED, LIKE_CLICKED, UNLIKE_CLICKED), (UNKNOWN,))
    exposed = between((CLICKED, LIKE_CLICKED), (UNLIKE_CLICKED,))
    plain = CounterIF().risk(Outputs(s), batch)
    found = CounterIF().risk(Outputs(s, representation=hidden), batch)
    assert CounterIF().imbalance(Outputs(s, representation=hidden), batch.strata) == known + exposed
    assert (found - plain).item() == pytest.approx(0.3 * (known + exposed).item(), rel=1e-9)
    assert known > 0 and exposed > 0


def test_training_balances_the_representations():
    """Trained networks have their strata nearer to each other, relative to the spread, than without."""
    world = build(PRESETS["exclusive"], 0.0, 800, 0)
    log, _ = world.draw(range(8))
    log = CounterIF().prepare(log)

    class Unbalanced(CounterIF):
        reads_representation = False

    apart = []
    for kind in (CounterIF, Unbalanced):
        network = next(iter(kind(epochs=10, batch_size=128).fit_replicates(log).networks.values()))
        network.forward(torch.tensor(log.features), keep=True)
        hidden, strata = network.representation()[:8, :, :200], torch.tensor(log.strata)[:, :200]
        distance = distances(hidden)
        known = wasserstein(distance, strata != UNKNOWN, strata == UNKNOWN)
        apart.append((known / distance.mean((-1, -2))).mean())
    assert apart[0] < 0.8 * apart[1], apart


def test_a_replicate_is_the_same_alone_and_among_others():
    """The transport of a replicate does not depend on its company; two blocks of eight."""
    world = build(PRESETS["exclusive"], 0.0, 400, 0)
    log, _ = world.draw(range(10))
    among = CounterIF(epochs=2, batch_size=128).fit_replicates(log).predict(world.test.features)
    alone = CounterIF(epochs=2, batch_size=128).fit_replicates(log.replicates(slice(9, 10)), range(9, 10))
    assert np.abs(among[9] - alone.predict(world.test.features)[0]).max() < 1e-5
    assert np.abs(among[9] - among[8]).max() > 1e-3
