"""SAR-EM, LBE and ReCRec."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from simbench_estimators.exposure_em import LBE, SAREM, ReCRec
from simbench_estimators.implicitrm import ImplicitRM
from simbench_estimators.naive import Naive
from sklearn.linear_model import LogisticRegression

from simbench.estimator.registry import find
from simbench.score.risk import check
from simbench.streams import seed_of
from simbench.training.batches import split_by_prompt
from simbench.training.samples import Batch, Outputs
from simbench.training.train import train
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def draw(n=200, seed=0):
    rng = np.random.default_rng(seed)
    s, e = rng.normal(size=(2, n))
    r = (rng.random(n) < expit(s) * expit(e)).astype(float)
    tensors = [torch.as_tensor(v) for v in (s, e, r)]
    return s, e, r, Outputs(tensors[0], tensors[1]), Batch(tensors[2], tensors[2].mean(-1, keepdim=True))


@pytest.mark.parametrize("kind", [SAREM, LBE])
def test_the_propensity_is_fitted_on_the_expected_positives(kind):
    """Witness: NumPy, ``ŷ [r log α + (1-r) log(1-α)]`` with ``ŷ = r + (1-r) γ(1-α)/(1-γα)``."""
    s, e, r, out, batch = draw()
    g, a = expit(s), expit(e)
    expected = r + (1 - r) * g * (1 - a) / (1 - g * a)
    assert np.allclose(kind().posteriors(out, batch)[0], expected, atol=1e-12)
    loss = -expected * (r * np.log(a) + (1 - r) * np.log(1 - a))
    assert np.allclose(kind().auxiliary_loss(out, batch), loss, atol=1e-12)


def test_an_em_step_of_sar_em_has_the_gradient_of_the_observed_likelihood():
    """Fisher's identity for the one latent variable; witness: autograd of the likelihood itself."""
    *_, out, batch = draw()
    leaves = [t.clone().requires_grad_() for t in (out.reward, out.propensity)]
    by_em = torch.autograd.grad(SAREM().objective(Outputs(*leaves), batch), leaves)
    by_likelihood = torch.autograd.grad(SAREM().selection_loss(Outputs(*leaves), batch), leaves)
    for mine, theirs in zip(by_em, by_likelihood, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-12)


def test_sar_em_reaches_the_maximum_likelihood_of_scipy():
    """Witness: L-BFGS on the observed likelihood in NumPy, logistic heads, exclusion at λ = 3."""
    world = build(PRESETS["exclusive"], 3.0, 8000, 0)
    log, truth = world.draw(range(1))
    x = np.column_stack([log.features, np.ones(log.n_rows)]).astype(float)
    z = np.column_stack([log.context, np.ones(log.n_rows)]).astype(float)
    r = log.feedback[0].astype(float)

    def negative(theta):
        s, e = x @ theta[: x.shape[1]], z @ theta[x.shape[1] :]
        log_p = log_expit(s) + log_expit(e)
        p = np.exp(log_p)
        gradient = (p - r) / (1 - p)  # of -log likelihood by log p
        by_s, by_e = gradient * expit(-s), gradient * expit(-e)
        value = -(r * log_p + (1 - r) * np.log1p(-p)).mean()
        return value, np.r_[x.T @ by_s, z.T @ by_e] / len(r)

    best = minimize(negative, np.zeros(x.shape[1] + z.shape[1]), jac=True, method="L-BFGS-B")
    theirs = expit(np.column_stack([log.features, np.ones(log.n_rows)]) @ best.x[: x.shape[1]])
    model = SAREM(weight_decay=0.0, validation_share=0.02).fit_replicates(log)
    ours = model.predict(log.features)[0]
    # Adam's last steps and the rows held out leave a few hundredths
    assert np.abs(ours - theirs).mean() < 0.03
    p = ours * model.predict_propensity(log.context)[0]
    # nats a response; the fit's own excess over the truth is about d/2n = .003
    assert 0 <= -(r * np.log(p) + (1 - r) * np.log1p(-p)).mean() - best.fun < 0.002
    assert np.abs(theirs - truth.reward).mean() < 0.1


def test_sar_em_reaches_the_optimum_of_pysarpu():
    """Witness: pysarpu's EM with logistic heads (statsmodels' GLMs as M-steps), all rows, to convergence."""
    pysarpu = pytest.importorskip("pysarpu.pysarpu", reason="pip install pysarpu statsmodels")
    from pysarpu.classification import LinearLogisticRegression
    from pysarpu.propensity import LogisticPropensity

    world = build(PRESETS["exclusive"].changed(n_features=4), 3.0, 1500, 0)
    log, _ = world.draw(range(1))
    assert log.context is not None
    x, z, r = log.features.astype(float), log.context.astype(float), log.feedback[0].astype(float)
    witness = pysarpu.PUClassifier(LinearLogisticRegression(), LogisticPropensity())
    witness.fit(x, z, r, tol=1e-8, max_iter=400)
    whole = {"validation_share": 0.0, "batch_size": log.n_rows, "weight_decay": 0.0}
    ours = SAREM(lr=0.1, epochs=800, patience=60, **whole).fit_replicates(log)
    assert ours.held_out_loss[0] == pytest.approx(-witness.history[-1], abs=1e-6)
    assert ours.predict(log.features)[0] == pytest.approx(witness.predict_cproba(x), abs=5e-3)
    assert ours.predict_propensity(log.context)[0] == pytest.approx(witness.predict_eproba(z), abs=5e-3)


def test_recrec_fits_the_preference_through_the_click_as_well():
    """Witness: NumPy."""
    s, e, r, out, batch = draw()
    g, a = expit(s), expit(e)
    q = r + (1 - r) * g * (1 - a) / (1 - g * a)
    expected = -(q * np.log(g) + (1 - q) * np.log(1 - g))
    expected += -(r * np.log(g * a) + (1 - r) * np.log(1 - g * a))
    assert np.allclose(ReCRec().reward_loss(out, batch), expected, atol=1e-12)
    p = r + (1 - r) * a * (1 - g) / (1 - g * a)
    exposure = -(p * np.log(a) + (1 - p) * np.log(1 - a))
    assert np.allclose(ReCRec().auxiliary_loss(out, batch), exposure, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "verdict"), [("sar-em", "exactly unbiased"), ("lbe", "exactly unbiased"), ("recrec", "biased")]
)
def test_given_true_posteriors(name, verdict):
    found = {v.case: v.verdict for v in check(find(name)())}
    assert found["true posteriors"] == verdict


def test_a_step_of_recrec_is_one_of_implicitrm_with_the_reward_s_gradient_doubled():
    """Fisher's identity: fitting the click adds the very gradient that fitting the posterior has."""
    *_, out, batch = draw()
    leaves = [t.clone().requires_grad_() for t in (out.reward, out.propensity)]
    ours = torch.autograd.grad(ReCRec().objective(Outputs(*leaves), batch), leaves)
    theirs = torch.autograd.grad(ImplicitRM().objective(Outputs(*leaves), batch), leaves)
    assert torch.allclose(ours[0], 2 * theirs[0], atol=1e-14)
    assert torch.allclose(ours[1], theirs[1], atol=1e-14)


def test_lbe_starts_from_the_naive_classifier_and_an_even_propensity():
    """Witnesses: NumPy for the loss; naive itself, trained as long from the same first draw."""
    s, e, r, out, batch = draw()
    expected = -log_expit(np.where(r == 1, s, -s)) - 0.5 * (log_expit(e) + log_expit(-e))
    assert LBE().initial_objective(out, batch).item() == pytest.approx(expected.mean(), rel=1e-12)

    world = build(PRESETS["shared"], 1.0, 3000, 0)
    log, _ = world.draw(range(2))
    start = train(LBE(epochs=0, lr=1e-3), log, range(2))  # no fit: the training alone
    # so slow that each epoch is better than the last: naive keeps its tenth
    naive = Naive(epochs=LBE.initial_epochs, lr=1e-3).fit_replicates(log)
    assert (naive.epochs == LBE.initial_epochs).all()
    x = world.test.features
    assert np.array_equal(start.predict(x), naive.predict(x))
    assert start.predict_propensity(x) == pytest.approx(0.5, abs=0.1)


def test_sar_em_starts_from_the_classes_balanced():
    """Witness: scikit-learn's LogisticRegression with ``class_weight="balanced"``; NumPy for the loss."""
    s, e, r, out, batch = draw()
    rate, g, a = r.mean(), expit(s), expit(e)
    label = -(r * (1 - rate) * np.log(g) + (1 - r) * rate * np.log(1 - g))
    labelling = -(r + (1 - r) * g) * (r * np.log(a) + (1 - r) * np.log(1 - a))
    found = SAREM().initial_objective(out, batch).item()
    assert found == pytest.approx((label + labelling).mean(), rel=1e-12)

    world = build(PRESETS["exclusive"], 1.0, 4000, 0)
    log, _ = world.draw(range(1))
    estimator = SAREM(epochs=0, weight_decay=0.0)
    rows, _ = split_by_prompt(log.groups, estimator.validation_share, seed_of(0, "split"))
    witness = LogisticRegression(C=1e6, class_weight="balanced", max_iter=1000)
    witness.fit(log.features[rows], log.feedback[0, rows])
    ours = train(estimator, log, range(1)).predict(world.test.features)[0]
    assert np.abs(ours - witness.predict_proba(world.test.features)[:, 1]).mean() < 0.03
