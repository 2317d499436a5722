"""Published variants, each against a few lines of NumPy of its description."""

import numpy as np
import pytest
import torch

from simbench.estimator.registry import find
from simbench.score.risk import check, expected_loss, ideal_for, situation
from simbench.training.samples import Batch, Outputs

N = 64
RNG = np.random.default_rng(0)
S, E, Q = RNG.normal(0, 1.5, (3, N))  # logits of reward, propensity, imputation
R = (RNG.random(N) < 0.3).astype(float)
PI = np.where(R == 1, 0.9, 0.02)  # a label-derived propensity
PRIOR, CLIP = 0.6, 0.1


def sigma(s):
    return 1 / (1 + np.exp(-s))


def bce(a, b):
    return -(b * np.log(a) + (1 - b) * np.log(1 - a))


P, PE, PQ = sigma(S), sigma(E), sigma(Q)


def evaluate(name, what="reward_loss", **more):
    out = Outputs(*(torch.tensor(v, requires_grad=True) for v in (S, E, Q)))
    rate = torch.tensor([R.mean()])
    batch = Batch(torch.tensor(R), rate, torch.tensor(PI), torch.tensor(PRIOR), **more)
    return getattr(find(name)(), what)(out, batch), out


def gradients(name):
    value, out = evaluate(name, "objective")
    heads = [h for h in (out.reward, out.propensity, out.imputation) if h is not None]
    found = torch.autograd.grad(value, heads, allow_unused=True)
    return value.item(), [None if g is None else g.numpy() for g in found]


def numerical(function, at, step=1e-6):
    """Central differences in one logit after another."""
    found = np.empty(N)
    for i in range(N):
        up, down = at.copy(), at.copy()
        up[i] += step
        down[i] -= step
        found[i] = (function(up) - function(down)) / (2 * step)
    return found


def test_ips_divides_the_loss_of_every_sample():
    expected = bce(P, R) / np.clip(PI, CLIP, 1)
    assert np.allclose(evaluate("ips@published")[0].detach(), expected)


def test_told_the_label_derived_propensity_ips_counts_a_missing_click_up_to_ten_times():
    unclicked, clicked = (evaluate("ips@published")[0].detach().numpy()[m] for m in (R == 0, R == 1))
    assert np.allclose(unclicked / bce(P, R)[R == 0], 10) and np.allclose(
        clicked / bce(P, R)[R == 1], 1 / 0.9
    )


def test_multi_ips_learns_the_told_propensity_by_squared_error():
    clipped = np.clip(PE, CLIP, 1)
    assert np.allclose(evaluate("multi-ips@published")[0].detach(), bce(P, R) / clipped)
    _, (reward, propensity, _) = gradients("multi-ips@published")
    assert np.allclose(reward, numerical(lambda s: (bce(sigma(s), R) / clipped).mean(), S), atol=1e-8)
    assert np.allclose(propensity, numerical(lambda e: ((sigma(e) - PI) ** 2).mean(), E), atol=1e-8)
    warm = evaluate("multi-ips@published", "initial_objective")[0]
    assert warm.item() == pytest.approx(((PE - PI) ** 2).mean())


def test_multi_dr_takes_a_click_for_an_observation():
    clipped = np.clip(PE, CLIP, 1)
    imputed = bce(P, PQ)
    expected = R * (bce(P, R) - imputed) / clipped + imputed
    assert np.allclose(evaluate("multi-dr@published")[0].detach(), expected)
    _, (_, propensity, imputation) = gradients("multi-dr@published")
    assert np.allclose(propensity, numerical(lambda e: ((sigma(e) - PI) ** 2).mean(), E), atol=1e-8)
    assert np.allclose(imputation, numerical(lambda q: bce(sigma(q), R).mean(), Q), atol=1e-8)


def test_stable_dr_trains_three_networks_each_with_the_others_held_fixed():
    clipped = np.clip(PE, CLIP, 1)

    def reward(s):
        return (bce(sigma(s), R) / clipped).mean()

    def imputation(q):
        return ((bce(P, R) - bce(sigma(q), P)) ** 2 / clipped).mean()

    def propensity(e):
        e = sigma(e)
        h = bce(PQ, P)
        return (bce(e, PI) + (1 - 1 / np.clip(e, CLIP, 1)) * (h - h.mean())).mean() ** 2

    # the published code takes ℓ(e, π) of the unclipped propensity, as here
    value, (by_reward, by_propensity, by_imputation) = gradients("stable-dr@published")
    assert value == pytest.approx(reward(S) + imputation(Q) + propensity(E))
    assert np.allclose(by_reward, numerical(reward, S), atol=1e-7)
    assert np.allclose(by_imputation, numerical(imputation, Q), atol=1e-7)
    assert np.allclose(by_propensity, numerical(propensity, E), atol=1e-6)


def test_stable_dr_stops_on_the_risk_and_weighs_its_constraint(monkeypatch):
    """``η = 2`` doubles the balance term inside of the square, and nothing else."""
    kind = find("stable-dr@published")
    e, h = PE, bce(PQ, P)
    balance = ((1 - 1 / np.clip(e, CLIP, 1)) * (h - h.mean())).mean()
    imputation = ((bce(P, R) - bce(PQ, P)) ** 2 / np.clip(e, CLIP, 1)).mean()
    risk = (bce(P, R) / np.clip(e, CLIP, 1)).mean()
    for weight in (1.0, 2.0):
        monkeypatch.setattr(kind, "stabiliser", weight)
        told = (bce(e, PI).mean() + weight * balance) ** 2
        found = evaluate("stable-dr@published", "objective")[0].item()
        assert found == pytest.approx(risk + imputation + told, rel=1e-9)
        assert evaluate("stable-dr@published", "selection_loss")[0].item() == pytest.approx(risk)


@pytest.mark.parametrize("name", ["ips@published", "rmf@published"])
def test_a_propensity_above_one_counts_as_one(name, monkeypatch):
    """The label-derived one of a rare click exceeds 1."""
    monkeypatch.setitem(globals(), "PI", np.where(R == 1, 1.7, 0.02))
    found = evaluate(name)[0].detach().numpy()
    capped = np.where(R == 1, 1.0, CLIP)
    squared = R * (1 - P) ** 2 + (1 - R) * P**2
    assert found == pytest.approx(bce(P, R) / capped if name == "ips@published" else squared)


def test_the_first_epochs_of_both_multi_task_forms_fit_the_propensity_alone():
    for name in ("multi-ips@published", "multi-dr@published"):
        warm, out = evaluate(name, "initial_objective")
        assert warm.item() == pytest.approx(((PE - PI) ** 2).mean())
        heads = (out.reward, out.imputation)
        assert torch.autograd.grad(warm, heads, allow_unused=True) == (None, None)


def test_rmf_is_the_squared_loss_of_its_paper_and_exactly_unbiased_for_it():
    expected = R / PI * (1 - P) ** 2 + (1 - R / PI) * P**2
    assert np.allclose(evaluate("rmf@published")[0].detach(), expected)
    at = situation("known α")
    error = expected_loss(find("rmf@published")(), at) - ideal_for(find("rmf@published")(), at)
    assert error.abs().max() < 1e-12
    squared = at.reward * (1 - torch.sigmoid(at.hypothesis)) ** 2
    squared += (1 - at.reward) * torch.sigmoid(at.hypothesis) ** 2
    assert torch.allclose(ideal_for(find("rmf@published")(), at), squared)


def test_upu_leaves_the_clicked_out_of_the_unlabelled():
    clicked = R == 1
    expected = PRIOR * (bce(P, 1) - bce(P, 0))[clicked].mean() + bce(P, 0)[~clicked].mean()
    assert evaluate("upu@published")[0].mean().item() == pytest.approx(expected)
    assert {v.verdict for v in check(find("upu@published")()) if v.case == "SCAR"} == {"biased"}


@pytest.mark.parametrize("shift", [0.0, -6.0])
def test_nnpu_clamps_and_does_not_ascend(shift, monkeypatch):
    monkeypatch.setitem(globals(), "S", S + shift)
    p, clicked = sigma(S), R == 1
    negative = bce(p, 0)[~clicked].mean() - PRIOR * bce(p, 0)[clicked].mean()
    expected = PRIOR * bce(p, 1)[clicked].mean() + max(negative, 0)
    assert evaluate("nnpu@published", "objective")[0].item() == pytest.approx(expected)
    monkeypatch.setitem(globals(), "PRIOR", 3.0)  # so large that the second part is negative
    value, (gradient, *_) = gradients("nnpu@published")
    p = sigma(S)
    assert bce(p, 0)[~clicked].mean() < 3 * bce(p, 0)[clicked].mean()
    assert value == pytest.approx(3 * bce(p, 1)[clicked].mean()) and (gradient[~clicked] == 0).all()


def test_recrec_weighs_as_one_click_in_five_is_drawn():
    """Means over 40,000 draws of a resampled epoch, standard errors below .004."""
    loss, _ = evaluate("recrec@published")
    plain, _ = evaluate("recrec")
    rng = np.random.default_rng(1)
    clicked, unclicked = np.flatnonzero(R == 1), np.flatnonzero(R == 0)
    drawn = rng.choice(unclicked, (40_000, 4 * len(clicked)))
    values = plain.detach().numpy()
    epoch = (values[clicked].sum() + values[drawn].sum(1)) / (5 * len(clicked))
    assert loss.mean().item() == pytest.approx(epoch.mean(), abs=0.004)
    weight = loss.detach().numpy() / values
    assert weight.mean() == pytest.approx(1) and weight[R == 1].sum() == pytest.approx(N / 5)


def test_pairwise_variants_report_scores_as_probabilities_and_change_nothing_else():
    for name in ("bpr", "ubpr", "upl"):
        assert find(name).ranks_only and not find(f"{name}@published").ranks_only
        ours, theirs = (evaluate(n)[0] for n in (name, f"{name}@published"))
        assert torch.equal(ours, theirs)
    # weight (1/π_i)(1 - r_j/π_j) at a click of i; both directions of every pair
    half = N // 2
    (si, sj), (ri, rj), (pi, pj) = ((v[:half], v[half:]) for v in (S, R, PI))
    forward = ri / pi * (1 - rj / pj) * -np.log(sigma(si - sj))
    backward = rj / pj * (1 - ri / pi) * -np.log(sigma(sj - si))
    assert np.allclose(evaluate("ubpr@published")[0].detach(), forward + backward)
