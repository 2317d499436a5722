"""Elkan-Noto, PUSB and VPU against computations of their own."""

import numpy as np
import pytest
import torch
from pulearn import ElkanotoPuClassifier
from scipy.optimize import minimize
from scipy.special import expit
from simbench_estimators.positive_unlabelled import PUSB, VPU, ElkanNoto

from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.score.risk import check
from simbench.streams import seed_of
from simbench.training.batches import split_by_prompt
from simbench.training.samples import Batch, Outputs, with_mixed_rows
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def draw(n=400, seed=0):
    rng = np.random.default_rng(seed)
    s, r = rng.normal(size=n), (rng.random(n) < 0.3).astype(float)
    tensors = torch.as_tensor(s)[None], torch.as_tensor(r)[None]
    batch = Batch(tensors[1], tensors[1].mean(-1, keepdim=True), class_prior=torch.tensor([[0.4]]))
    return s, r, Outputs(tensors[0]), batch


def test_elkan_noto_divides_as_pulearn_does():
    """Witness: pulearn's classifier on the same held-out rows, with the very same base probabilities."""
    world = build(PRESETS["exclusive"], 0.0, 1500, 0)
    log, _ = world.draw(range(1))
    estimator = find("elkan-noto")(epochs=3)
    naive = find("naive")(epochs=3).fit_replicates(log)
    ours = estimator.fit_replicates(log).predict(world.test.features)[0]
    _, held_out = split_by_prompt(log.groups, estimator.validation_share, seed_of(0, "split"))

    class Fitted:
        """The naive network as a scikit-learn classifier that is fitted already."""

        def fit(self, X, y):
            return self

        def predict_proba(self, X):
            p = naive.predict(np.asarray(X))[0]
            return np.column_stack([1 - p, p])

    theirs = ElkanotoPuClassifier(Fitted(), hold_out_ratio=0.2)
    theirs.estimator_fitted = True
    clicked = held_out[log.feedback[0, held_out] == 1]
    c = Fitted().predict_proba(log.features[clicked])[:, 1].mean()
    theirs.c = c
    expected = np.clip(theirs.predict_proba(world.test.features)[:, 1], 0, 1)
    assert np.allclose(ours, expected, atol=1e-5)


def test_elkan_noto_recovers_the_reward_where_the_good_are_surely_good():
    rng = np.random.default_rng(0)
    good = rng.random(4000) < 0.4
    features = (rng.normal(size=(4000, 3)) + 5 * good[:, None]).astype(np.float32)
    feedback = (good & (rng.random(4000) < 0.5)).astype(np.float32)[None]
    log = FeedbackLog(features, feedback, np.arange(4000))
    found = ElkanNoto(epochs=30).fit_replicates(log).predict(features)[0]
    # four standard errors of c at some 160 held-out clicks: 4 * .04; what is bad is near 0
    assert np.abs(found[good].mean() - 1) < 0.16 and found[~good].mean() < 0.1


def test_pusb_calls_the_share_of_the_prior_good():
    """Witness: the quantile of NumPy."""
    s, _, out, batch = draw()
    estimator = PUSB()
    threshold = estimator.calibration(out, batch)
    assert threshold.item() == pytest.approx(np.quantile(s, 0.6, method="nearest"), abs=0.02)
    assert (estimator.link(out.reward, threshold) > 0.5).double().mean() == pytest.approx(0.4, abs=0.01)


def test_vpu_is_the_variational_bound_of_the_paper_and_blind_to_the_scale():
    """Witness: NumPy, ``log mean Φ - mean_{r=1} log Φ``."""
    s, r, out, batch = draw()
    expected = np.log(expit(s).mean()) - np.log(expit(s))[r == 1].mean()
    assert VPU().risk(out, batch).item() == pytest.approx(expected, rel=1e-12)
    half = Outputs(torch.logit(0.5 * torch.sigmoid(out.reward)))
    assert VPU().risk(half, batch).item() == pytest.approx(expected, rel=1e-9)
    largest = VPU().calibration(out, batch)
    assert VPU().link(out.reward, largest).max() == 1
    assert largest.item() == pytest.approx(expit(s).max(), rel=1e-12)


def test_vpu_is_least_where_phi_is_proportional_to_the_click_probability():
    """Witness: SciPy's minimiser of the bound in NumPy, on ten cells with known click probabilities."""
    p = np.linspace(0.05, 0.5, 10)

    def bound(s):
        return np.log(expit(s).mean()) - (p * np.log(expit(s))).sum() / p.sum()

    best = minimize(bound, np.zeros(10), method="BFGS", options={"gtol": 1e-9})
    ratio = expit(best.x) / p
    assert ratio == pytest.approx(np.full(10, ratio[0]), rel=1e-4)
    batch = Batch(torch.as_tensor(p), torch.as_tensor(p).mean(-1, keepdim=True))
    assert VPU().risk(Outputs(torch.as_tensor(best.x)), batch).item() == pytest.approx(best.fun, rel=1e-9)


def test_vpu_is_made_consistent_by_mixup_as_in_the_paper():
    """Witness: NumPy, pair by pair, with weights of torch.nn; the second member is the next row."""
    rng = np.random.default_rng(0)
    x, share, r = rng.normal(size=(30, 3)), rng.beta(0.3, 0.3, 30), (rng.random(30) < 0.4).astype(float)
    weight = rng.normal(size=3)
    mixed = with_mixed_rows(torch.as_tensor(x), torch.as_tensor(share)).numpy() @ weight
    s = x @ weight
    assert mixed[:30] == pytest.approx(s)
    errors = []
    for i in np.flatnonzero(r):
        j = (i + 1) % 30
        target = share[i] * 1 + (1 - share[i]) * expit(s[j])
        found = expit((share[i] * x[i] + (1 - share[i]) * x[j]) @ weight)
        errors.append((np.log(target) - np.log(found)) ** 2)
    feedback = torch.as_tensor(r)
    batch = Batch(feedback, feedback.mean(-1, keepdim=True), mixing=torch.as_tensor(share))
    out = Outputs(torch.as_tensor(s), mixed=torch.as_tensor(mixed[30:]))
    assert VPU().mixing_loss(out, batch).item() == pytest.approx(np.mean(errors), rel=1e-9)
    plain = VPU().risk(Outputs(out.reward), batch).item()
    assert VPU().objective(out, batch).item() == pytest.approx(plain + 0.03 * np.mean(errors), rel=1e-9)
    assert VPU().selection_loss(out, batch).item() == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_vpu_has_a_finite_gradient_at_either_end_of_a_mixture(share):
    logits = torch.tensor([[-30.0, 0.0, 30.0], [1.0, 2.0, 3.0]], requires_grad=True)
    batch = Batch(torch.ones(1, 3), torch.ones(1, 1), mixing=torch.full((3,), share))
    VPU().mixing_loss(Outputs(logits[:1], mixed=logits[1:]), batch).sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all() and logits.grad.abs().max() > 0


def test_pusb_learns_the_order_of_the_click_probability():
    """Witness: SciPy's minimiser of ``π p/p̄ ℓ1 + (1 - π p/p̄) ℓ0``, which is logit(π p/p̄)."""
    p, prior = np.linspace(0.05, 0.5, 10), 0.4
    weight = prior * p / p.mean()

    def risk(s):
        return (weight * np.logaddexp(0, -s) + (1 - weight) * np.logaddexp(0, s)).mean()

    best = minimize(risk, np.zeros(10), method="BFGS", options={"gtol": 1e-9})
    assert expit(best.x) == pytest.approx(weight, abs=1e-4)
    clicks = torch.as_tensor(p)
    batch = Batch(clicks, clicks.mean(-1, keepdim=True), class_prior=torch.tensor(prior, dtype=clicks.dtype))
    leaf = torch.as_tensor(best.x).requires_grad_()
    (gradient,) = torch.autograd.grad(PUSB().objective(Outputs(leaf), batch), leaf)
    assert gradient.abs().max() < 1e-5


def test_elkan_noto_divides_by_too_little_where_the_clicked_are_not_surely_good():
    """Witness: ``c -> E[γ²α]/E[γα]`` under SCAR, from the world's true rewards, and not α."""
    world = build(PRESETS["exclusive"], 0.0, 6000, 0)
    log, _ = world.draw(range(4))
    model = ElkanNoto().fit_replicates(log)
    gamma = world.test.reward
    limit = 0.3 * (gamma**2).mean() / gamma.mean()
    # standard error of c over some 180 held-out clicks is about .01, and networks shrink
    assert model.calibration.numpy() == pytest.approx(np.full((4, 1), limit), abs=0.04)
    assert limit < 0.22  # α is .3
    assert (model.predict(world.test.features) == 1).mean() > 0.2


@pytest.mark.parametrize("name", ["elkan-noto", "pusb", "vpu"])
def test_no_risk_of_these_is_the_ideal_one(name):
    """Their losses are not estimates of the ideal risk; what is claimed is made of them afterwards."""
    verdicts = check(find(name)())
    assert {v.verdict for v in verdicts} <= {"biased", "Monte Carlo only: biased"}
    assert {v.case for v in verdicts} >= {"SCAR", "known α"}
