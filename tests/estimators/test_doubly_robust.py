"""The IPS and DR family at known propensity: exact biases, and witnesses written from the papers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from simbench_estimators.doubly_robust import (
    DR,
    MRDR,
    OMEDR,
    OMEIPS,
    DRClickObserved,
    MultiDR,
    MultiIPS,
    StableDR,
)
from simbench_estimators.inverse_propensity import IPS, SNIPS, ClippedIPS

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.score.risk import Probe, expected_loss, ideal_loss
from simbench.training.samples import Batch, Outputs
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

UNIT = st.floats(0.02, 0.98)
LOGIT = st.floats(-8, 8)


def situation(h, gamma, alpha, q, misclick=0.0):
    h, gamma, alpha, q = (torch.tensor([v], dtype=torch.float64) for v in (h, gamma, alpha, q))
    return Probe(h, gamma, alpha, alpha, alpha, q, misclick)


def bias(estimator, at):
    return (expected_loss(estimator, at) - ideal_loss(at.hypothesis, at.reward)).item()


def difference(h):
    """``ℓ1 - ℓ0 = -h``."""
    return -h


@given(LOGIT, UNIT, UNIT, LOGIT)
def test_the_clipped_weight_has_exactly_the_stated_bias(h, gamma, alpha, q):
    at = situation(h, gamma, alpha, q)
    expected = gamma * (min(1, alpha / 0.1) - 1) * difference(h)
    assert bias(ClippedIPS(), at) == pytest.approx(expected, abs=1e-11)


@given(LOGIT, UNIT, UNIT, LOGIT)
def test_dr_is_biased_below_the_clip_alone_and_by_the_error_of_the_imputation(h, gamma, alpha, q):
    at = situation(h, gamma, alpha, q)
    expected = (1 - min(1, alpha / 0.1)) * (expit(q) - gamma) * difference(h)
    for estimator in (DR(), MRDR(), MultiDR()):
        assert bias(estimator, at) == pytest.approx(expected, abs=1e-11)


@given(LOGIT, UNIT, UNIT, LOGIT)
def test_unclipped_dr_is_ips_whatever_is_imputed(h, gamma, alpha, q):
    """The unbiased pseudo-label at known α is unique, so the imputation must cancel."""
    at = situation(h, gamma, alpha, q)
    for r in (0.0, 1.0):
        batch = Batch(torch.tensor([r]), torch.tensor([0.5]), at.propensity)
        ips = IPS().reward_loss(at.outputs, batch)
        assert torch.allclose(DR(clip=0.0).reward_loss(at.outputs, batch), ips, atol=1e-9)


@given(LOGIT, UNIT, UNIT, LOGIT)
def test_a_click_taken_for_an_observation_leaves_the_stated_bias(h, gamma, alpha, q):
    at = situation(h, gamma, alpha, q)
    expected = (1 - gamma) * expit(q) * difference(h)
    assert bias(DRClickObserved(clip=0.0), at) == pytest.approx(expected, abs=1e-11)


@given(LOGIT, UNIT, UNIT, LOGIT, st.floats(0, 0.5))
def test_noise_correction_is_exact_under_misclicks(h, gamma, alpha, q, misclick):
    at = situation(h, gamma, alpha, q, misclick)
    assert bias(OMEIPS(), at) == pytest.approx(0, abs=1e-10)
    assert bias(OMEDR(clip=0.0), at) == pytest.approx(0, abs=1e-10)
    # IPS, that is not told, is off by (1-γ)ε(ℓ1-ℓ0)
    assert bias(IPS(), at) == pytest.approx((1 - gamma) * misclick * difference(h), abs=1e-10)


@given(LOGIT, UNIT, UNIT, st.floats(0, 0.4), st.floats(0, 0.4))
def test_noise_correction_is_exact_under_omissions_too(h, gamma, alpha, misclick, omission):
    """Enumerated here: ``P(r=1) = α(γ(1-ω) + (1-γ)ε)``."""
    at = situation(h, gamma, alpha, 0.0)
    p = alpha * (gamma * (1 - omission) + (1 - gamma) * misclick)
    expected = 0.0
    for r, weight in ((1.0, p), (0.0, 1 - p)):
        batch = Batch(torch.tensor([r]), torch.tensor([p]), at.propensity, misclick=misclick)
        expected += weight * OMEIPS(omission=omission).reward_loss(at.outputs, batch).item()
    assert expected == pytest.approx(ideal_loss(at.hypothesis, at.reward).item(), abs=1e-9)


def draw(n=64, seed=3):
    rng = np.random.default_rng(seed)
    arrays = rng.normal(size=(2, n)), rng.uniform(0.02, 0.9, n), (rng.random(n) < 0.15).astype(float)
    (s, q), alpha, r = arrays
    tensors = [torch.as_tensor(v) for v in (s, q, alpha, r)]
    batch = Batch(tensors[3], tensors[3].mean(-1, keepdim=True), tensors[2], torch.tensor(0.5))
    return s, q, alpha, r, Outputs(tensors[0], imputation=tensors[1]), batch


def test_snips_is_the_ratio_of_sums_of_the_paper():
    """Witness: NumPy, ``mean ℓ0 + π Σ w(ℓ1-ℓ0)/Σ w``."""
    s, _, alpha, r, out, batch = draw()
    w = r / alpha
    expected = np.logaddexp(0, s).mean() + 0.5 * (w * -s).sum() / w.sum()
    assert SNIPS().risk(out, batch).item() == pytest.approx(expected, rel=1e-12)


def stable(seed=3):
    """A draw with a fitted propensity beside the told one, in NumPy and as a loss reads it."""
    s, q, alpha, r, _, batch = draw(seed=seed)
    fitted = np.random.default_rng(seed + 1).uniform(0.02, 0.9, len(s))
    leaves = [torch.as_tensor(v).requires_grad_() for v in (s, np.log(fitted / (1 - fitted)), q)]
    return s, expit(q), alpha, fitted, r, Outputs(leaves[0], leaves[1], leaves[2]), batch, leaves


def test_stable_dr_is_self_normalised_by_the_fitted_propensity():
    """Witness: NumPy; however small a propensity, no weighted mean leaves the range of the errors."""
    s, q, _, fitted, r, out, batch, _ = stable()
    w = r / fitted
    expected = np.logaddexp(0, s).mean() + q.mean() * (w * -s).sum() / w.sum()
    assert StableDR().risk(out, batch).item() == pytest.approx(expected, rel=1e-12)


def test_stable_dr_trains_three_networks_each_with_the_others_held_fixed():
    """Witness: each step's loss in NumPy, and its numerical gradient in its own network's logits."""
    s, q, alpha, fitted, r, out, batch, leaves = stable()
    gradients = torch.autograd.grad(StableDR().objective(out, batch), leaves)

    def of_reward(x):
        w = r / fitted
        return np.logaddexp(0, x).mean() + q.mean() * (w * -x).sum() / w.sum()

    def of_propensity(x):
        told = alpha * np.logaddexp(0, -x) + (1 - alpha) * np.logaddexp(0, x)
        constraint = (r / expit(x) * (-s - (q * -s).sum() / q.sum())).mean()
        return told.mean() + constraint**2

    def of_imputation(x):
        return ((r - fitted * expit(x)) ** 2 / fitted).mean()

    for loss, leaf, gradient in zip(
        (of_reward, of_propensity, of_imputation), leaves, gradients, strict=True
    ):
        x = leaf.detach().numpy()
        clicked = np.flatnonzero(r)[0]
        for place in (clicked, 1, 2):
            step = 1e-6 * (np.arange(len(x)) == place)
            slope = (loss(x + step) - loss(x - step)) / 2e-6
            assert gradient[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_where_its_constraint_is_met_stable_dr_is_right_if_the_imputation_is():
    """One click's propensity is moved until the constraint holds: then the risk is ``mean ℓ0 + mean q e``."""
    s, q, _, fitted, r, _, batch, _ = stable()
    centred, w = -s - (q * -s).sum() / q.sum(), r / fitted
    balance = (w * centred).sum()
    moved = np.flatnonzero((r == 1) & (centred * balance < 0))[0]
    fitted[moved] = 1 / (w[moved] - balance / centred[moved])
    assert 0.01 < fitted[moved] < 1
    out = Outputs(*(torch.as_tensor(v) for v in (s, np.log(fitted / (1 - fitted)), np.log(q / (1 - q)))))
    assert StableDR().instability(out, batch).item() == pytest.approx(0, abs=1e-20)
    expected = (np.logaddexp(0, s) + q * -s).mean()
    assert StableDR().risk(out, batch).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("kind", "power"), [(DR, 1), (MRDR, 2)])
def test_the_imputation_minimises_the_weighted_click_residual(kind, power):
    """Witness: NumPy; gradient zero at the weighted least-squares constant imputation."""
    _, _, alpha, r, out, batch = draw()
    weight = (out.reward.numpy() ** 2 if kind is MRDR else 1) / np.maximum(alpha, 0.1) ** power
    best = (weight * alpha * r).sum() / (weight * alpha**2).sum()
    constant = torch.full_like(out.reward, np.log(best / (1 - best))).requires_grad_()
    loss = kind().auxiliary_loss(Outputs(out.reward, imputation=constant), batch).sum()
    (gradient,) = torch.autograd.grad(loss, constant)
    assert gradient.sum().item() == pytest.approx(0, abs=1e-9)
    assert gradient.abs().max() > 1e-3


def test_the_reward_gradient_never_reaches_the_other_heads():
    _, _, _, _, out, batch = draw()
    heads = [t.clone().requires_grad_() for t in (out.reward, out.reward, out.reward)]
    for kind in (DR, StableDR, MultiIPS, MultiDR):
        loss = kind().reward_loss(Outputs(*heads), batch).sum()
        assert torch.autograd.grad(loss, heads[1:], allow_unused=True) == (None, None)


def test_multi_ips_learns_the_mean_propensity_given_the_features():
    """Where α moves with context alone, the head must come near its mean, .3, at every response."""
    world = build(PRESETS["exclusive"], 1.0, 4000, 0)
    log, truth = world.draw(range(2))
    log = type(log)(log.features, log.feedback, log.groups, log.context, truth.propensity)
    model = find("multi-ips")(epochs=15).fit_replicates(log)
    fitted = model.predict_propensity(world.test.features)
    assert fitted.mean() == pytest.approx(0.3, abs=0.02)
    assert fitted.std() < 0.08 < truth.propensity.std()


def test_misclicks_and_omissions_leave_a_click_something_to_say():
    x = np.random.default_rng(0).standard_normal((40, 2)).astype(np.float32)
    told = {"propensity": np.full(40, 0.5), "misclick": 0.4}
    for kind in (OMEIPS, OMEDR):
        kind(omission=0.59, epochs=1).fit(x, np.arange(40) % 2, **told)
        with pytest.raises(BadInput, match=r"\(0\.4\) and omission \(0\.6\) must be below 1"):
            kind(omission=0.6).fit(x, np.arange(40) % 2, **told)


def test_mrdr_imputes_what_gives_its_correction_the_least_second_moment():
    """Of all values imputed for one response, the minimiser of the loss is that of the second moment.

    A reward of .8 at α = .4: the correction is ``(r - αq)(ℓ1 - ℓ0)/α``, whose second moment over clicks is
    computed here from its two terms, without the estimator's code.
    """
    gamma, alpha, hypothesis = 0.8, 0.4, 1.3
    imputed = np.linspace(0.01, 0.99, 99)
    chances = ((1.0, gamma * alpha), (0.0, 1 - gamma * alpha))
    second = [
        sum(chance * ((click - alpha * q) * -hypothesis / alpha) ** 2 for click, chance in chances)
        for q in imputed
    ]
    out = Outputs(torch.full((99,), hypothesis), imputation=torch.logit(torch.tensor(imputed).float()))
    loss = torch.zeros(99)
    for click, chance in chances:
        clicks, told = torch.full((99,), click), torch.full((99,), alpha)
        batch = Batch(clicks, torch.tensor(gamma * alpha), propensity=told)
        loss += chance * MRDR().auxiliary_loss(out, batch)
    assert loss.numpy() == pytest.approx(second, rel=1e-4)
    assert imputed[int(loss.argmin())] == pytest.approx(gamma)
