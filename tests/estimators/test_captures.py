"""Capture-recapture: which signals are fitted, on what, and what is made of the fits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from simbench_estimators import signals as module
from simbench_estimators.signals import CaptureRecapture, FittedCaptures, ImplicitRMSignals

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.training.holdout import Holdout


class Fixed:
    """A fitted model that predicts the same for all, or by the last column of what it reads."""

    def __init__(self, rates, reads=False):
        self.rates, self.reads = np.array(rates, dtype=float), reads

    def predict(self, features):
        self.seen = np.asarray(features)
        flat = np.broadcast_to(self.rates[:, None], (len(self.rates), len(features)))
        return flat * self.seen[:, -1] if self.reads else flat


def test_the_reward_is_the_product_of_the_single_rates_over_the_joint():
    """``.3 · .2 / .1 = .6``, and ``.25 · .4 / .2 = .5`` in another replicate."""
    model = FittedCaptures([Fixed([0.3, 0.25]), Fixed([0.2, 0.4])], {(0, 1): Fixed([0.1, 0.2])})
    found = model.predict(np.zeros((3, 2)))
    assert found == pytest.approx(np.repeat([[0.6], [0.5]], 3, 1))


def test_more_than_one_is_clipped_to_one():
    model = FittedCaptures([Fixed([0.5]), Fixed([0.6])], {(0, 1): Fixed([0.2])})
    assert model.predict(np.zeros((2, 1))).tolist() == [[1, 1]]


def test_of_three_signals_the_median_over_the_pairs_counts():
    """Pairwise estimates ``.9, .4, .5``: the median is .5, the mean were .6; a joint belongs to its pair."""
    single = [0.3, 0.2, 0.1]
    both = {(0, 1): 0.06 / 0.9, (0, 2): 0.03 / 0.4, (1, 2): 0.02 / 0.5}
    fitted = FittedCaptures([Fixed([p]) for p in single], {k: Fixed([p]) for k, p in both.items()})
    assert fitted.predict(np.zeros((1, 1))).item() == pytest.approx(0.5)


def test_the_median_of_an_even_number_is_taken_in_logs():
    """Over two contexts ``.2`` and ``.8``: their geometric mean, .4; contexts stand behind the features."""
    single = [Fixed([0.5]), Fixed([0.5])]
    joint = Fixed([1.0], reads=True)
    fitted = FittedCaptures(single, {(0, 1): joint}, np.array([[7.0, 1.25], [7.0, 0.3125]]))
    assert fitted.predict(np.full((2, 3), 2.0)) == pytest.approx(np.full((1, 2), 0.4))
    assert joint.seen.tolist() == [[2, 2, 2, 7, 0.3125]] * 2


@pytest.fixture
def fits(monkeypatch):
    """Records what each fit is given, in place of training."""
    made = []

    class Recorder:
        def __init__(self, **parameters):
            self.parameters = parameters

        def fit_replicates(self, log, replicates, holdout, execution):
            made.append((self.parameters, log, replicates, holdout))
            return len(made)

    monkeypatch.setattr(module, "Naive", Recorder)
    return made


def log_of(context=True, negative=(3,)):
    """Four signals of 20 responses, the last of which fires on dissatisfaction."""
    rng = np.random.default_rng(0)
    signals = (rng.random((2, 4, 20)) < 0.6).astype(np.float32)
    signals[:, 3] = 0
    features = rng.normal(size=(20, 2)).astype(np.float32)
    return FeedbackLog(
        features,
        signals[:, 0],
        np.arange(20) // 2,
        context=rng.normal(size=(20, 3)).astype(np.float32) if context else None,
        signals=signals,
        negative_signals=negative,
    )


def test_each_positive_signal_and_each_pair_of_them_is_fitted(fits):
    log = log_of()
    estimator = CaptureRecapture(hidden=(7,), lr=0.5, epochs=3, seed=11)
    labels = np.zeros((2, 20))
    fitted = estimator.fit_replicates(log, [4, 9], Holdout("sample", labels))
    s = log.signals
    assert fitted.single == [1, 2, 3] and fitted.both == {(0, 1): 4, (0, 2): 5, (1, 2): 6}
    expected = [s[:, 0], s[:, 1], s[:, 2], s[:, 0] * s[:, 1], s[:, 0] * s[:, 2], s[:, 1] * s[:, 2]]
    for (parameters, seen, replicates, holdout), feedback in zip(fits, expected, strict=True):
        assert np.array_equal(seen.feedback, feedback) and replicates == [4, 9]
        assert parameters == estimator.get_params()
        assert np.array_equal(seen.features, np.column_stack([log.features, log.context]))
        assert seen.context is None and np.array_equal(seen.groups, log.groups)
        assert holdout.by == "sample" and holdout.oracle_labels is None, "rates have no clean labels"
    assert np.array_equal(fitted.contexts, log.context[[0, 2, 5, 8, 10, 13, 16, 19]])


def test_without_a_context_the_features_are_read_alone(fits):
    log = log_of(context=False)
    fitted = CaptureRecapture().fit_replicates(log)
    assert fitted.contexts is None
    assert all(np.array_equal(seen.features, log.features) for _, seen, _, _ in fits)
    assert [holdout for *_, holdout in fits] == [None] * 6


def test_a_pair_that_no_response_shows_is_named(fits):
    log = log_of()
    signals = log.signals.copy()
    signals[1, 2] = 1 - signals[1, 1]  # in one replicate alone
    log = replace(log, signals=signals)
    with pytest.raises(BadInput, match="carries both signal 1 and signal 2"):
        CaptureRecapture().fit_replicates(log)


def test_one_positive_signal_is_not_enough(fits):
    log = log_of()
    few = FeedbackLog(log.features, log.feedback, log.groups, signals=log.signals[:, [0, 3]])
    few = FeedbackLog(**{**vars(few), "negative_signals": (1,)})
    with pytest.raises(BadInput, match="capture-recapture needs two positive signals"):
        CaptureRecapture().fit_replicates(few)


# -- the likelihood of several signals ---------------------------------------------------------


def test_every_signal_has_a_propensity_network_of_its_own_that_reads_the_context():
    found = ImplicitRMSignals().networks_for(log_of())
    assert [(n.heads, n.inputs) for n in found] == [
        (("reward",), "features"),
        *[((f"signal:{k}",), "context") for k in range(4)],
    ]
    log = log_of()
    alone = FeedbackLog(log.features, log.feedback, log.groups)
    assert [n.heads for n in ImplicitRMSignals().networks_for(alone)] == [("reward",), ("signal:0",)]


def test_responses_that_are_praised_and_refused_are_counted():
    log = log_of()
    assert ImplicitRMSignals().prepare(log) is log
    signals = log.signals.copy()
    signals[:, 3] = 0
    signals[0, 3, :5] = 1
    count, log = int(signals[0, :3, :5].max(0).sum()), replace(log, signals=signals)
    with pytest.raises(BadInput, match=f"^{count} responses carry a positive and a negative signal"):
        ImplicitRMSignals().prepare(log)


def test_posteriors_of_an_epoch_are_kept_until_the_next():
    from simbench.training.samples import Batch, Outputs

    generator = torch.Generator().manual_seed(0)
    reward = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    alpha = torch.randn(2, 3, 6, generator=generator, dtype=torch.float64)
    signals = (torch.rand(2, 3, 6, generator=generator) < 0.4).double()
    batch = Batch(signals[:, 0], signals[:, 0].mean(-1, keepdim=True), signals=signals)
    estimator = ImplicitRMSignals(e_step="epoch")
    state = estimator.epoch_state(Outputs(reward, signals=alpha), batch)
    frozen = Batch(**{**vars(batch), "state": state})
    preference, action = estimator.posteriors(Outputs(reward + 1, signals=alpha - 1), frozen)
    now = estimator.posteriors(Outputs(reward, signals=alpha), batch)
    assert torch.equal(preference, now[0]) and torch.equal(action, now[1])
    moved = estimator.posteriors(Outputs(reward + 1, signals=alpha - 1), batch)
    assert not torch.allclose(moved[0], now[0])
