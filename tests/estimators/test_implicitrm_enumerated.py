"""ImplicitRM's posteriors and likelihood against enumeration of the latent states, with all that may be told.

The states are (preference, action, slip): a click is an action of the satisfied, or a slip of an acting user.
"""

from itertools import product
from math import exp, log, nan

import numpy as np
import pytest
import torch
from simbench_estimators.exposure_em import LBE, SAREM, ReCRec
from simbench_estimators.implicitrm import (
    NEVER,
    ImplicitRM,
    ImplicitRMKnown,
    ImplicitRMPrinted,
    ImplicitRMPrior,
)

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.training.holdout import Holdout
from simbench.training.samples import Batch, Outputs
from simbench.training.trainer import Execution

LOGITS = [(0.4, -0.7), (-1.3, 1.1), (2.1, -3.2), (-3.0, -0.1)]


def sigma(x):
    return 1 / (1 + exp(-x))


def enumerated(gamma, alpha, click, label, misclick):
    """``P(r, label)``, and given them ``P(r*=1)`` and ``P(a=1)``."""
    total = preferred = acted = 0.0
    for good, acts, slips in product((0, 1), repeat=3):
        chance = gamma if good else 1 - gamma
        chance *= alpha if acts else 1 - alpha
        chance *= misclick if slips else 1 - misclick
        shown = acts * (1 if good or slips else 0)
        if shown == click and label in (None, good):
            total, preferred, acted = total + chance, preferred + chance * good, acted + chance * acts
    return (total, preferred / total, acted / total) if total else None


def one(g, a, click, label=None, **told):
    tensor = [torch.tensor([float(v)], dtype=torch.float64) for v in (g, a, click)]
    labels = torch.tensor([nan if label is None else float(label)], dtype=torch.float64)
    labels = None if label is None else labels
    return Outputs(*tensor[:2]), Batch(tensor[2], tensor[2], labels=labels, **told)


@pytest.mark.parametrize("misclick", [None, 0.0, 0.15, 0.6])
@pytest.mark.parametrize("label", [None, 0, 1])
@pytest.mark.parametrize("click", [0, 1])
def test_posteriors_and_likelihood_are_those_of_enumeration(click, label, misclick):
    for g, a in LOGITS:
        expected = enumerated(sigma(g), sigma(a), click, label, misclick or 0.0)
        if expected is None:  # a click on what is bad, where nobody slips
            continue
        out, batch = one(g, a, click, label, misclick=misclick)
        preference, action = ImplicitRM().posteriors(out, batch)
        assert preference.item() == pytest.approx(expected[1], rel=1e-10, abs=1e-15)
        assert action.item() == pytest.approx(expected[2], rel=1e-10, abs=1e-15)
        assert ImplicitRM().selection_loss(out, batch).item() == pytest.approx(-log(expected[0]), rel=1e-10)
        for kind in (ImplicitRMPrior, SAREM, LBE, ReCRec):
            assert kind().posteriors(out, batch)[0].item() == pytest.approx(preference.item())
            assert kind().selection_loss(out, batch).item() == pytest.approx(-log(expected[0]))


@pytest.mark.parametrize("misclick", [None, 0.15])
@pytest.mark.parametrize("label", [None, 0, 1])
@pytest.mark.parametrize("click", [0, 1])
@pytest.mark.parametrize("alpha", [0.07, 0.6])
def test_a_known_propensity_takes_the_place_of_the_fitted_one(click, label, misclick, alpha):
    expected = enumerated(sigma(0.4), alpha, click, label, misclick or 0.0)
    if expected is None:
        return
    told = torch.tensor([alpha], dtype=torch.float64)
    out, batch = one(0.4, 2.5, click, label, misclick=misclick, propensity=told)
    preference, action = ImplicitRMKnown().posteriors(out, batch)
    assert preference.item() == pytest.approx(expected[1], rel=1e-10, abs=1e-15)
    assert action.item() == pytest.approx(expected[2], rel=1e-10)
    assert ImplicitRMKnown().selection_loss(out, batch).item() == pytest.approx(-log(expected[0]))
    assert ImplicitRMKnown().auxiliary_loss(out, batch) == 0


@pytest.mark.parametrize("misclick", [None, 0.15])
@pytest.mark.parametrize("click", [0, 1])
def test_of_users_who_always_act_the_propensity_is_one(click, misclick):
    g, gamma = 0.4, sigma(0.4)
    out, batch = one(g, -1.2, click, misclick=misclick, always_acts=torch.tensor([True]))
    expected = enumerated(gamma, 1.0, click, None, misclick or 0.0)
    preference, action = ImplicitRM().posteriors(out, batch)
    assert preference.item() == pytest.approx(expected[1], rel=1e-10, abs=1e-12)
    assert action.item() == pytest.approx(1, rel=1e-12)
    assert ImplicitRM().selection_loss(out, batch).item() == pytest.approx(-log(expected[0]), rel=1e-10)
    assert ImplicitRM().auxiliary_loss(out, batch).tolist() == [0]
    log_alpha, log_passive = ImplicitRM().log_propensity(out, batch)
    assert log_alpha.tolist() == [0] and log_passive.tolist() == [NEVER]
    others = Batch(**{**vars(batch), "always_acts": torch.tensor([False])})
    found = [t.item() for t in ImplicitRM().log_propensity(out, others)]
    assert found == pytest.approx([log(sigma(-1.2)), log(1 - sigma(-1.2))])
    assert ImplicitRM().auxiliary_loss(out, others).item() > 0.1


def test_a_click_on_a_response_labelled_bad_is_left_to_the_label():
    """Impossible where nobody slips: the label decides the reward, the click proves the action."""
    out, batch = one(0.4, -0.7, 1, 0)
    assert [t.item() for t in ImplicitRM().posteriors(out, batch)] == [0, 1]
    assert ImplicitRM().selection_loss(out, batch).item() == pytest.approx(-log(1 - sigma(0.4)))


def test_a_missing_click_of_one_who_surely_acts_on_a_good_response_costs_much_and_stays_finite():
    out, batch = one(0.4, 0.0, 0, 1, propensity=torch.ones(1, dtype=torch.float64))
    assert ImplicitRMKnown().selection_loss(out, batch).item() == pytest.approx(1000 - log(sigma(0.4)))
    assert NEVER == -1000


def drawn(misclick, labelled, seed=0, n=12):
    """A batch of two replicates with all that may be told of a response."""
    generator = torch.Generator().manual_seed(seed)
    reward, action = (torch.randn(2, n, generator=generator, dtype=torch.float64) for _ in range(2))
    feedback = (torch.rand(2, n, generator=generator) < 0.4).double()
    labels = torch.full((2, n), nan, dtype=torch.float64)
    if labelled:
        labels[:, :3], labels[:, 3:6] = 1.0, 0.0
        if not misclick:
            feedback[:, 3:6] = 0.0
    always = torch.arange(n) >= n - 3
    batch = Batch(
        feedback,
        feedback.mean(-1, keepdim=True),
        labels=labels if labelled else None,
        misclick=misclick,
        always_acts=always,
        class_prior=torch.tensor([[0.3], [0.6]], dtype=torch.float64),
        action_rate=0.45,
    )
    return reward, action, batch


@pytest.mark.parametrize("misclick", [None, 0.15])
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("kind", [ImplicitRM, SAREM, LBE])
def test_an_em_step_has_the_gradient_of_the_likelihood_whatever_is_told(kind, labelled, misclick):
    """Fisher's identity, with misclicks, labels and marginals."""
    reward, action, batch = drawn(misclick, labelled)
    if kind is not ImplicitRM:  # they are never told of users who always act, nor of labels or slips
        batch = Batch(batch.feedback, batch.feedback_rate)
    gradients = []
    for e_step in ("batch", "likelihood"):
        leaves = reward.clone().requires_grad_(), action.clone().requires_grad_()
        objective = kind(e_step=e_step).objective(Outputs(*leaves), batch)
        assert objective.shape == (2,)
        gradients.append(torch.cat(torch.autograd.grad(objective.sum(), leaves)))
    assert torch.allclose(*gradients, atol=1e-12, rtol=1e-9)


def test_the_likelihood_is_ascended_directly_on_demand():
    """Its value is the criterion's itself; that of the strata has the same gradient and another value."""
    reward, action, batch = drawn(0.15, True)
    direct, expected, criterion = (
        getattr(ImplicitRM(e_step=e_step), method)(Outputs(reward, action), batch)
        for e_step, method in (
            ("likelihood", "objective"),
            ("batch", "objective"),
            ("batch", "selection_loss"),
        )
    )
    assert torch.equal(direct, criterion) and ((expected - direct).abs() > 1e-2).all()
    with pytest.raises(BadInput, match="e_step must be 'batch', 'epoch' or 'likelihood', got 'often'"):
        ImplicitRM(e_step="often").check_parameters()


def test_told_marginals_are_added_to_the_objective_and_to_the_criterion():
    """Witness: cross-entropy of the told number against the batch's mean, of users who always act too."""
    reward, action, batch = drawn(0.15, True)
    out = Outputs(reward, action)
    silent = Batch(**{**vars(batch), "class_prior": None, "action_rate": None})
    gamma, alpha = (1 / (1 + np.exp(-v.numpy())) for v in (reward, action))
    alpha[:, -3:] = 1.0

    def heard(mean, told):
        return -(told * np.log(mean) + (1 - told) * np.log(1 - mean))

    prior = heard(gamma.mean(1), np.array([0.3, 0.6]))
    rate = heard(alpha.mean(1), 0.45)
    cases = {("class_prior",): rate, ("action_rate",): prior, (): prior + rate}
    for method in ("objective", "selection_loss"):
        plain = getattr(ImplicitRM(), method)(out, silent)
        for left_out, expected in cases.items():
            told = Batch(**{**vars(batch), **dict.fromkeys(left_out)})
            added = getattr(ImplicitRM(), method)(out, told) - plain
            assert added.tolist() == pytest.approx(expected.tolist(), rel=1e-9)
        for kind in (SAREM, LBE, ReCRec):
            with_all, without = (getattr(kind(), method)(out, b) for b in (batch, silent))
            assert torch.equal(with_all, without), "they read no marginal"


@pytest.mark.parametrize("kind", [ImplicitRM, ImplicitRMPrinted, SAREM, ReCRec])
def test_posteriors_of_an_epoch_are_kept_until_the_next(kind):
    reward, action, batch = drawn(None, False)
    batch = Batch(batch.feedback, batch.feedback_rate)
    estimator = kind(e_step="epoch")
    state = estimator.epoch_state(Outputs(reward, action), batch)
    assert set(state) == {"preference", "action"}
    now = estimator.posteriors(Outputs(reward, action), batch)
    moved = Outputs(reward + 1, action - 2)
    frozen = Batch(**{**vars(batch), "state": state})
    for kept, at_first in zip(estimator.posteriors(moved, frozen), now, strict=True):
        assert torch.equal(kept, at_first)
    assert not torch.allclose(estimator.posteriors(moved, batch)[0], now[0])


def test_printed_numerators_are_those_of_equation_six():
    """``φPP ∝ γ̂α̂`` and ``φNA ∝ γ̂(1-α̂)``, over ``1 - γ̂α̂``, at most 1."""
    for g, a in [*LOGITS, (3.0, 2.0), (3.0, -3.0)]:
        gamma, alpha = sigma(g), sigma(a)
        d = 1 - gamma * alpha
        out, batch = one(g, a, 0)
        found = [t.item() for t in ImplicitRMPrinted().posteriors(out, batch)]
        assert found == pytest.approx([min(1, gamma * alpha / d), min(1, gamma * (1 - alpha) / d)])
        out, batch = one(g, a, 1)
        assert [t.item() for t in ImplicitRMPrinted().posteriors(out, batch)] == [1, 1]


def test_restarts_begin_on_both_sides_of_an_even_split():
    shifts = [0.0, 2.0, -2.0, 1.0, -1.0, 0.0, 2.0]
    assert [ImplicitRM().initial_shift("reward", k) for k in range(7)] == shifts
    assert [ImplicitRM().initial_shift("propensity", k) for k in range(7)] == [-s for s in shifts]


def test_restarts_are_for_those_who_fit_a_propensity(monkeypatch):
    seen = []

    def recorded(estimator, log, replicates, restarts, holdout, execution):
        seen.append((estimator.name, list(replicates), restarts, holdout, execution))

    monkeypatch.setattr("simbench_estimators.implicitrm.train_restarts", recorded)
    rng = np.random.default_rng(0)
    feedback = (rng.random((2, 20)) < 0.5).astype(np.float32)
    feedback[:, :2] = 0, 1
    features = rng.normal(size=(20, 2)).astype(np.float32)
    log = FeedbackLog(features, feedback, np.arange(20), propensity=np.full(20, 0.5))
    ImplicitRM(restarts=3).fit_replicates(log)
    held_out = Holdout("sample")
    how = Execution(precision="bf16")
    ImplicitRM(restarts=2).fit_replicates(log, range(5, 7), held_out, how)
    assert seen == [("implicitrm", [0, 1], 3, None, None), ("implicitrm", [5, 6], 2, held_out, how)]
    short = {"epochs": 1, "batch_size": 20}
    assert ImplicitRMKnown(restarts=3, **short).fit_replicates(log).predict(features).shape == (2, 20)
    assert ImplicitRM(restarts=1, **short).fit_replicates(log).predict(features).shape == (2, 20)
    assert len(seen) == 2
    with pytest.raises(BadInput, match="restarts must be at least 1, got 0"):
        ImplicitRM(restarts=0).fit_replicates(log)
    with pytest.raises(BadInput, match="implicitrm-prior must be told the class prior"):
        ImplicitRMPrior(restarts=2).fit_replicates(log)
