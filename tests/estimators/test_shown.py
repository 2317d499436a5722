"""Responses that a replicate did not show tell nothing: every loss is that of the log without them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from simbench_estimators.class_prior import METHODS
from simbench_estimators.positive_unlabelled import VPU
from sklearn.naive_bayes import GaussianNB

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import find, names
from simbench.log.feedback import FeedbackLog
from simbench.training.samples import Batch, Outputs
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

R, N = 3, 16
LOSSES = ("risk", "objective", "initial_objective", "selection_loss")
CHAT = PRESETS["exclusive"].changed(behaviour="regenerate", test_size=200)


def with_a_loss():
    kinds = {name: find(name) for name in names() if name != "sklearn"}
    own = {name: (kind.reward_loss, kind.risk) for name, kind in kinds.items()}
    return [name for name, losses in own.items() if losses != (Estimator.reward_loss, Estimator.risk)]


def drawn(seed, pairs):
    """Outputs, a batch that is told everything, and which responses were shown (whole pairs of them)."""
    rng = np.random.default_rng(seed)

    def logits(*shape):
        return torch.as_tensor(rng.normal(size=shape))

    shown = rng.random((R, N)) < 0.6
    shown[:, [0, 1, N // 2, N // 2 + 1]] = True
    if pairs:  # of a pair with one member shown nothing is learned: the log without it lacks both
        whole = shown[:, : N // 2] & shown[:, N // 2 :]
        kept = np.concatenate([whole, whole], axis=1)
    else:
        kept = shown
    signals = (rng.random((R, 2, N)) < 0.4) & shown[:, None]
    signals[:, 1] &= ~signals[:, 0]
    out = Outputs(logits(R, N), logits(R, N), logits(R, N), logits(R, 2, N))
    batch = Batch(
        feedback=torch.as_tensor(signals[:, 0], dtype=torch.float64),
        feedback_rate=torch.as_tensor(rng.uniform(0.2, 0.6, (R, 1))),
        propensity=torch.as_tensor(rng.uniform(0.05, 1, (R, N))),
        class_prior=torch.as_tensor(rng.uniform(0.3, 0.7, (R, 1))),
        labels=torch.as_tensor(np.where(rng.random((R, N)) < 0.5, np.nan, shown * 1.0)),
        misclick=0.1,
        action_rate=0.4,
        always_acts=torch.as_tensor(rng.random(N) < 0.2),
        signals=torch.as_tensor(signals, dtype=torch.float64),
        negative_signals=(1,),
        shown=torch.as_tensor(shown),
    )
    return out, batch, kept


def without(whole, replicate, rows):
    """One replicate, and of it the given rows."""

    def part(value):
        if not isinstance(value, torch.Tensor):
            return value
        own = value[replicate : replicate + 1] if value.shape[0] == R else value
        return own[..., rows] if value.shape[-1] == N else own

    return type(whole)(**{name: part(value) for name, value in vars(whole).items()})


@pytest.mark.parametrize("name", with_a_loss())
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_loss_is_that_of_the_log_without_what_was_not_shown(name, seed):
    estimator = find(name)()
    out, batch, kept = drawn(seed, estimator.reads_pairs)
    if name.startswith("counter-if"):  # it also learns from single members of pairs
        batch = replace(batch, shown=torch.as_tensor(kept))
    for loss in LOSSES:
        found = getattr(estimator, loss)(out, batch)
        for replicate in range(R):
            rows = torch.as_tensor(np.flatnonzero(kept[replicate]))
            fewer = replace(without(batch, replicate, rows), shown=None)
            expected = getattr(estimator, loss)(without(out, replicate, rows), fewer)
            assert torch.allclose(found[replicate], expected, rtol=1e-10), (loss, replicate)
    calibration = estimator.calibration(out, batch)
    if calibration is not None:
        rows = torch.as_tensor(np.flatnonzero(kept[1]))
        alone = estimator.calibration(without(out, 1, rows), replace(without(batch, 1, rows), shown=None))
        assert torch.allclose(calibration[1], alone[0])


@given(seed=st.integers(0, 10_000))
def test_what_all_were_shown_is_what_no_mask_says(seed):
    """To the bit: the mean of a log without a mask is PyTorch's own."""
    values = torch.randn(R, N, generator=torch.Generator().manual_seed(seed))
    plain = Batch(values, values)
    for keepdim in (False, True):
        assert torch.equal(plain.mean(values, keepdim), values.mean(-1, keepdim=keepdim))
        assert torch.equal(plain.sum(values, keepdim), values.sum(-1, keepdim=keepdim))
    assert plain.of_shown(values) is values
    nothing = Batch(values, values, shown=torch.zeros(R, N, dtype=torch.bool))
    assert torch.equal(nothing.mean(values), torch.zeros(R))


def test_of_mixed_rows_those_count_whose_partner_was_shown_too():
    out, batch, _ = drawn(1, False)
    mixed = torch.randn(R, N, dtype=torch.float64)
    out, batch = replace(out, mixed=mixed), replace(batch, mixing=torch.full((N,), 0.3, dtype=torch.float64))
    before = VPU().mixing_loss(out, batch)
    alone = (torch.roll(batch.shown, -1, -1) == 0) | (batch.feedback == 0)
    after = VPU().mixing_loss(replace(out, mixed=torch.where(alone, 9.0, mixed)), batch)
    assert torch.equal(before, after)
    assert not torch.equal(before, VPU().mixing_loss(replace(out, mixed=mixed + 1), batch))


def chat(size=400, replicates=3):
    return build(CHAT, 1.0, size, 0).draw(range(replicates))


@pytest.mark.parametrize("name", ["naive", "bpr", "elkan-noto", "implicitrm", "vpu", "counter-if", "oracle"])
def test_fits_do_not_depend_on_what_stands_where_nothing_was_shown(name):
    log, truth = chat(replicates=1)
    if name == "oracle":
        log = log.with_feedback(truth.preference.astype(np.float32))
    elsewhere = np.where(log.shown[0, :, None], log.features, log.features[::-1] - 1)
    estimator = find(name)(epochs=2, batch_size=64)
    fits = [estimator.fit_replicates(replace(log, features=x)) for x in (log.features, elsewhere)]
    first, second = (fit.predict(log.features) for fit in fits)
    assert np.abs(first - second).max() < 1e-6


def test_classifiers_from_outside_are_fitted_on_what_was_shown():
    log, _ = chat()
    found = find("sklearn:GaussianNB")().fit_replicates(log).predict(log.features)
    for replicate, there in enumerate(log.shown):
        own = GaussianNB().fit(log.features[there], log.feedback[replicate, there])
        assert np.allclose(found[replicate], own.predict_proba(log.features)[:, 1])


@pytest.mark.parametrize("method", METHODS)
def test_class_priors_are_of_what_was_shown(method):
    """As of the log that holds nothing else; TIcE cuts the features' range, which is kept the same."""
    log, _ = chat(800, 1)
    keeps_range = np.r_[log.features.argmin(0), log.features.argmax(0)]
    shown = log.shown.copy()
    shown[0, keeps_range] = True
    log = replace(log, shown=shown)
    assert np.allclose(METHODS[method](log, 0), METHODS[method](log.only_shown(), 0))


def test_the_rate_of_feedback_is_of_what_was_shown():
    log, _ = chat()
    expected = [row[there].mean() for row, there in zip(log.feedback, log.shown, strict=True)]
    assert np.allclose(log.feedback_rate, expected) and (log.feedback_rate > log.feedback.mean(1)).all()
    assert list(log.n_shown) == [there.sum() for there in log.shown]


def test_a_log_of_what_was_shown_is_one_replicates():
    log, _ = chat()
    with pytest.raises(BadInput, match="show different responses"):
        log.only_shown()
    one = log.replicates(slice(1, 2))
    there = log.shown[1]
    assert one.only_shown().shown is None
    assert np.array_equal(one.only_shown().features, log.features[there])
    assert np.array_equal(one.only_shown().feedback[0], log.feedback[1, there])


def test_a_signal_of_what_was_not_shown_is_refused():
    x, shown = np.zeros((4, 1), dtype=np.float32), np.array([[True, True, False, True]])
    feedback = np.array([[1, 0, 1, 0]], dtype=np.float32)
    with pytest.raises(BadInput, match="row 2 carries a signal, but was not shown"):
        FeedbackLog(x, feedback, np.arange(4), shown=shown)
    other = FeedbackLog(x, feedback * shown, np.arange(4), shown=shown).with_feedback(1 - feedback)
    assert other.feedback.tolist() == [[0, 1, 0, 1]]
