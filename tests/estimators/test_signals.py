"""Several signals: posteriors against enumeration, EM's identities, capture-recapture, refusals."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from simbench_estimators.implicitrm import ImplicitRM
from simbench_estimators.signals import CaptureRecapture, ImplicitRMSignals, capture_recapture

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.score.risk import check
from simbench.study.cell import Cell, run_cell
from simbench.study.shards import Shards
from simbench.training.samples import Batch, Outputs
from simbench.training.train import train
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

LOGIT = st.floats(-8, 8)
SMALL = PRESETS["signals"].changed(test_size=500)


def enumerated(gamma, alphas, signals, negative):
    """``P(s)``, ``P(r*=1 | s)`` and ``P(a_k=1 | s)`` by summing over every latent state, in NumPy."""
    total, good, acts = 0.0, 0.0, np.zeros(len(alphas))
    for preference, *actions in product((0, 1), repeat=1 + len(alphas)):
        shown = [a * ((1 - preference) if k in negative else preference) for k, a in enumerate(actions)]
        if list(shown) != list(signals):
            continue
        p = gamma if preference else 1 - gamma
        p *= np.prod([alpha if a else 1 - alpha for a, alpha in zip(actions, alphas, strict=True)])
        total, good, acts = total + p, good + p * preference, acts + p * np.array(actions)
    return (total, good / total, acts / total) if total > 0 else None


@given(LOGIT, st.lists(LOGIT, min_size=1, max_size=4), st.booleans())
def test_posteriors_and_likelihood_are_those_of_enumeration(g, a, with_negative):
    negative = (len(a) - 1,) if with_negative and len(a) > 1 else ()
    for pattern in product((0.0, 1.0), repeat=len(a)):
        expected = enumerated(expit(g), expit(np.array(a)), pattern, negative)
        if expected is None:  # praised and refused at once
            continue
        out, batch = one_response(g, a, pattern, negative)
        preference, action = ImplicitRMSignals().posteriors(out, batch)
        assert preference.item() == pytest.approx(expected[1], rel=1e-9, abs=1e-12)
        assert action[:, 0].tolist() == pytest.approx(list(expected[2]), rel=1e-9, abs=1e-12)
        nll = ImplicitRMSignals().selection_loss(out, batch).item()
        assert nll == pytest.approx(-np.log(expected[0]), rel=1e-9, abs=1e-12)


def one_response(g, a, pattern, negative=()):
    signals = torch.tensor(pattern, dtype=torch.float64)[:, None]
    out = Outputs(
        torch.tensor([g], dtype=torch.float64), signals=torch.tensor(a, dtype=torch.float64)[:, None]
    )
    return out, Batch(signals[0], signals[0], signals=signals, negative_signals=negative)


def test_all_silent_is_the_closed_form_and_stays_finite_far_out():
    g, a = 0.4, [-1.0, 0.3, 1.2]
    gamma, passive = expit(g), np.prod(1 - expit(np.array(a)))
    preference, _ = ImplicitRMSignals().posteriors(*one_response(g, a, (0.0, 0.0, 0.0)))
    assert preference.item() == pytest.approx(gamma * passive / (1 - gamma + gamma * passive), rel=1e-12)
    for pattern in ((0.0, 0.0), (1.0, 0.0)):
        out, batch = one_response(2000.0, [2000.0, -2000.0], pattern)
        leaves = out.reward.requires_grad_(), out.signals.requires_grad_()
        gradients = torch.autograd.grad(ImplicitRMSignals().selection_loss(out, batch), leaves)
        assert all(torch.isfinite(gradient).all() for gradient in gradients)


@given(st.integers(0, 10_000), st.booleans())
def test_e_step_per_batch_has_the_gradient_of_the_likelihood(seed, with_negative):
    """Fisher's identity, with a leading replicate axis."""
    out, batch = random_batch(seed, with_negative)
    gradients = []
    for e_step in ("batch", "likelihood"):
        leaves = out.reward.clone().requires_grad_(), out.signals.clone().requires_grad_()
        objective = ImplicitRMSignals(e_step=e_step).objective(Outputs(leaves[0], signals=leaves[1]), batch)
        gradients.append(torch.autograd.grad(objective.sum(), leaves))
    for one, two in zip(*gradients, strict=True):
        assert torch.allclose(one, two, atol=1e-12, rtol=1e-9)


def random_batch(seed, with_negative=False, count=3):
    generator = torch.Generator().manual_seed(seed)
    reward = torch.randn(2, 30, generator=generator, dtype=torch.float64)
    propensity = torch.randn(2, count, 30, generator=generator, dtype=torch.float64)
    good = torch.rand(2, 30, generator=generator) < 0.5
    acts = torch.rand(2, count, 30, generator=generator) < 0.4
    fires = acts & good[:, None]
    negative = (count - 1,) if with_negative else ()
    if with_negative:
        fires[:, -1] = acts[:, -1] & ~good
    signals = fires.double()
    batch = Batch(
        signals[:, 0], signals[:, 0].mean(-1, keepdim=True), signals=signals, negative_signals=negative
    )
    return Outputs(reward, signals=propensity), batch


def test_one_positive_signal_is_implicitrm():
    out, batch = random_batch(0, count=1)
    single = Outputs(out.reward, out.signals[:, 0])
    for loss in ("objective", "selection_loss", "reward_loss"):
        several, one = (
            getattr(kind(), loss)(o, batch) for kind, o in ((ImplicitRMSignals, out), (ImplicitRM, single))
        )
        assert torch.allclose(several, one, atol=1e-12)


def test_risk_is_exact_at_true_posteriors_and_its_states_no_loss_beside_it():
    verdicts = {v.case: v.verdict for v in check(ImplicitRMSignals())}
    assert verdicts["true posteriors"] == "exactly unbiased" and verdicts["unknown α"] == "biased"


@given(st.floats(0.01, 1), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_capture_recapture_is_an_identity(gamma, first, second):
    logs = np.log([gamma * first, gamma * second, gamma * first * second])
    assert float(np.exp(capture_recapture(*logs))) == pytest.approx(gamma, rel=1e-12)


def test_two_signals_identify_a_reward_that_one_does_not():
    """Shared features. Margins are several times the spread seen over seeds."""
    two = build(SMALL, 1.0, 4000, 0)
    log, _ = two.draw(range(4))

    def mse(estimator, log):
        return np.mean((estimator.fit_replicates(log).predict(two.test.features) - two.test.reward) ** 2)

    one = mse(find("implicitrm")(), log)
    assert mse(ImplicitRMSignals(), log) < one / 2
    assert mse(CaptureRecapture(), log) < one


@settings(max_examples=2, deadline=None)
@given(st.sampled_from(["batch", "epoch"]))
def test_a_replicate_is_the_same_alone_and_among_others(e_step):
    log, _ = build(SMALL.changed(signals=3, regenerate=True), 1.0, 800, 0).draw(range(20))
    for estimator in (ImplicitRMSignals(e_step=e_step, epochs=4), CaptureRecapture(epochs=4)):
        among = estimator.fit_replicates(log, range(20)).predict(log.features)
        alone = estimator.fit_replicates(log.replicates(slice(9, 10)), range(9, 10)).predict(log.features)
        assert np.abs(among[9] - alone[0]).max() < 1e-5
    chunked = train(ImplicitRMSignals(e_step=e_step, epochs=4), log, range(20), memory_budget=1)
    whole = train(ImplicitRMSignals(e_step=e_step, epochs=4), log, range(20))
    assert np.abs(chunked.predict(log.features) - whole.predict(log.features)).max() < 1e-5


def test_signals_follow_the_replicates_that_still_train():
    """Patience of one epoch: blocks of replicates stop one after another."""
    log, _ = build(SMALL, 1.0, 400, 0).draw(range(48))
    estimator = ImplicitRMSignals(patience=1, epochs=40, lr=0.05)
    model = train(estimator, log, range(48))
    assert len(set(model.epochs)) > 3
    alone = train(estimator, log.replicates(slice(40, 41)), range(40, 41))
    assert np.abs(model.predict(log.features)[40] - alone.predict(log.features)[0]).max() < 1e-5


def test_capture_recapture_reads_the_context_where_there_is_one():
    log, _ = build(PRESETS["exclusive"].changed(signals=2), 1.0, 1000, 0).draw(range(2))
    found = CaptureRecapture(epochs=5).fit_replicates(log).predict(log.features)
    assert found.shape == (2, 1000) and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("name", ["implicitrm-signals", "capture-recapture"])
def test_a_world_of_one_signal_is_a_skipped_row(name, tmp_path):
    cell = Cell(
        world=PRESETS["shared"],
        bias_level=1.0,
        size=200,
        estimator=name,
        parameters={},
        replicates=1,
        seed=0,
        grant=(),
        label_share=0.1,
        device="cpu",
    )
    outcome = run_cell(cell, Shards(tmp_path))
    assert (outcome.status, outcome.reason) == ("skipped", "needs signals")
    x, y = np.random.default_rng(0).standard_normal((50, 3)), np.arange(50) % 2
    with pytest.raises(BadInput, match=r"must be told the signals|needs two positive signals"):
        find(name)().fit(x, y)


def test_the_scikit_learn_face_takes_signals_as_columns():
    log, _ = build(SMALL, 1.0, 400, 0).draw(range(1))
    for kind in (ImplicitRMSignals, CaptureRecapture):
        model = kind(epochs=3).fit(log.features, log.feedback[0], groups=log.groups, signals=log.signals[0].T)
        expected = kind(epochs=3).fit_replicates(log).predict(log.features)[0]
        assert np.array_equal(model.predict_reward(log.features), expected)


def test_contradictory_and_missing_pairs_are_refused():
    log, _ = build(SMALL.changed(signals=1, regenerate=True), 1.0, 400, 0).draw(range(1))
    with pytest.raises(BadInput, match="needs two positive signals"):
        CaptureRecapture().fit_replicates(log)
    both = replace(log, signals=log.signals[:, [0, 0]])
    with pytest.raises(BadInput, match="carry a positive and a negative signal"):
        ImplicitRMSignals().fit_replicates(both)
    pair, _ = build(SMALL, 1.0, 400, 0).draw(range(1))
    apart = np.stack([pair.feedback, 1 - pair.feedback], axis=1)
    with pytest.raises(BadInput, match="no response carries both"):
        CaptureRecapture().fit_replicates(replace(pair, signals=apart))
