"""The loss of every pointwise estimator at a few hand-made samples, against plain Python floats."""

from math import exp, log

import pytest
import torch

from simbench.estimator.registry import find
from simbench.training.samples import Batch, Outputs

# logits of reward, propensity and imputation; feedback; told propensity: on either side of every clip
SAMPLES = [
    (0.4, -0.7, 0.9, 1.0, 0.25),
    (0.4, -0.7, 0.9, 0.0, 0.25),
    (-1.3, 1.1, -0.5, 1.0, 0.04),
    (-1.3, 1.1, -0.5, 0.0, 0.04),
    (2.1, -3.2, 0.3, 1.0, 0.9),
    (2.1, -5.3, 0.3, 0.0, 0.006),
    (-0.2, -5.3, 1.7, 1.0, 0.006),
]
PRIOR, RATE, MISCLICK, OMISSION = 0.35, 0.3, 0.15, 0.05


def sigma(x):
    return 1 / (1 + exp(-x))


def bce(p, y):
    """Cross-entropy of a probability, whose target may lie outside of [0, 1]."""
    return -(y * log(p) + (1 - y) * log(1 - p))


def square(p, y):
    return y * (1 - p) ** 2 + (1 - y) * p**2


def preference(g, a, r, eps=0.0):
    """``P(r* = 1 | r)`` by Bayes' rule."""
    click = a * (g + (1 - g) * eps)
    return g * a / click if r else g * (1 - a) / (1 - click)


def action(g, a, r, eps=0.0):
    """``P(a = 1 | r)`` by Bayes' rule."""
    return 1.0 if r else a * (1 - g) * (1 - eps) / (1 - a * (g + (1 - g) * eps))


def drawn(r):
    """One click in five: how often a sample is drawn, relative to once."""
    return 0.2 / RATE if r else 0.8 / (1 - RATE)


def m(q):
    """Click probability of an acting user."""
    return MISCLICK * (1 - q) + (1 - OMISSION) * q


def click_observed(p, q, r, a):
    imputed = q * bce(p, 1) + (1 - q) * bce(p, 0)
    return imputed + r / a * (bce(p, 1) - imputed)


# p: reward, e: propensity, q: imputation, r: feedback, a: told propensity, t: the clip
REWARD = {
    "oracle": lambda p, e, q, r, a, t: bce(p, r),
    "naive": lambda p, e, q, r, a, t: bce(p, r),
    "naive-sqrt": lambda p, e, q, r, a, t: bce(p, r),
    "elkan-noto": lambda p, e, q, r, a, t: bce(p, r),
    "balanced-naive": lambda p, e, q, r, a, t: bce(p, r) / (2 * RATE if r else 2 * (1 - RATE)),
    "wmf": lambda p, e, q, r, a, t: (1 - p) ** 2 if r else 0.3 * p**2,
    "ips": lambda p, e, q, r, a, t: bce(p, r / max(a, t)),
    "ips-clipped": lambda p, e, q, r, a, t: bce(p, r / max(a, t)),
    "upu": lambda p, e, q, r, a, t: bce(p, r * PRIOR / RATE),
    "ips-scar": lambda p, e, q, r, a, t: bce(p, r * PRIOR / RATE),
    "dr": lambda p, e, q, r, a, t: bce(p, q + (r - a * q) / max(a, t)),
    "mrdr": lambda p, e, q, r, a, t: bce(p, q + (r - a * q) / max(a, t)),
    "dr@click-observed": lambda p, e, q, r, a, t: click_observed(p, q, r, max(a, t)),
    "ome-ips": lambda p, e, q, r, a, t: bce(p, (r / max(a, t) - MISCLICK) / (1 - MISCLICK - OMISSION)),
    "ome-dr": lambda p, e, q, r, a, t: bce(p, q + (r - a * m(q)) / (max(a, t) * (1 - MISCLICK - OMISSION))),
    "multi-ips": lambda p, e, q, r, a, t: bce(p, r / max(e, t)),
    "multi-dr": lambda p, e, q, r, a, t: bce(p, q + (r - e * q) / max(e, t)),
    "ips@published": lambda p, e, q, r, a, t: bce(p, r) / max(a, t),
    "multi-ips@published": lambda p, e, q, r, a, t: bce(p, r) / max(e, t),
    "multi-dr@published": lambda p, e, q, r, a, t: click_observed(p, q, r, max(e, t)),
    "stable-dr@published": lambda p, e, q, r, a, t: bce(p, r) / max(e, t),
    "rmf@published": lambda p, e, q, r, a, t: square(p, r / max(a, t)),
    "upu@published": lambda p, e, q, r, a, t: (
        PRIOR / RATE * (bce(p, 1) - bce(p, 0)) if r else bce(p, 0) / (1 - RATE)
    ),
    "implicitrm": lambda p, e, q, r, a, t: bce(p, preference(p, e, r)),
    "implicitrm-prior": lambda p, e, q, r, a, t: bce(p, preference(p, e, r)),
    "implicitrm-known": lambda p, e, q, r, a, t: bce(p, preference(p, a, r)),
    "sar-em": lambda p, e, q, r, a, t: bce(p, preference(p, e, r)),
    "lbe": lambda p, e, q, r, a, t: bce(p, preference(p, e, r)),
    "recrec": lambda p, e, q, r, a, t: bce(p, preference(p, e, r)) + bce(p * e, r),
    "recrec@published": lambda p, e, q, r, a, t: drawn(r) * (bce(p, preference(p, e, r)) + bce(p * e, r)),
    "implicitrm@printed": lambda p, e, q, r, a, t: bce(p, 1.0 if r else min(1.0, p * e / (1 - p * e))),
}
AUXILIARY = {
    "dr": lambda p, e, q, r, a, t: (r - a * q) ** 2 / max(a, t),
    "mrdr": lambda p, e, q, r, a, t: (r - a * q) ** 2 * log(p / (1 - p)) ** 2 / max(a, t) ** 2,
    "dr@click-observed": lambda p, e, q, r, a, t: bce(q, r),
    "ome-dr": lambda p, e, q, r, a, t: (r - a * m(q)) ** 2 / max(a, t),
    "stable-dr": lambda p, e, q, r, a, t: bce(e, a) + (r - max(e, t) * q) ** 2 / max(e, t),
    "multi-ips": lambda p, e, q, r, a, t: bce(e, a),
    "multi-dr": lambda p, e, q, r, a, t: bce(e, a) + (r - e * q) ** 2 / max(e, t),
    "multi-ips@published": lambda p, e, q, r, a, t: (e - a) ** 2,
    "multi-dr@published": lambda p, e, q, r, a, t: (e - a) ** 2 + bce(q, r),
    "implicitrm": lambda p, e, q, r, a, t: bce(e, action(p, e, r)),
    "implicitrm-prior": lambda p, e, q, r, a, t: bce(e, action(p, e, r)),
    "implicitrm@printed": lambda p, e, q, r, a, t: bce(e, 1.0 if r else min(1.0, p * (1 - e) / (1 - p * e))),
    "sar-em": lambda p, e, q, r, a, t: preference(p, e, r) * bce(e, r),
    "lbe": lambda p, e, q, r, a, t: preference(p, e, r) * bce(e, r),
    "recrec": lambda p, e, q, r, a, t: bce(e, action(p, e, r)),
    "recrec@published": lambda p, e, q, r, a, t: drawn(r) * bce(e, action(p, e, r)),
}
NONE_BESIDE = sorted(set(REWARD) - set(AUXILIARY) - {"stable-dr@published"})
CLIPS = {
    **dict.fromkeys(["ips", "ome-ips"], 0.0),
    **dict.fromkeys(["ips-clipped", "dr", "mrdr", "dr@click-observed", "ome-dr", "multi-dr"], 0.1),
    **dict.fromkeys(["ips@published", "multi-ips@published", "multi-dr@published"], 0.1),
    **dict.fromkeys(["multi-ips", "stable-dr"], 0.01),
    "stable-dr@published": 0.1,
    "rmf@published": 1e-8,
}


def built(name, **parameters):
    more = {"omission": OMISSION} if name.startswith("ome") else {}
    return find(name)(**more, **parameters)


def samples(misclick=None):
    """The hand-made samples as a loss reads them; the logits are leaves."""
    columns = [torch.tensor(column, dtype=torch.float64) for column in zip(*SAMPLES, strict=True)]
    leaves = [column.clone().requires_grad_() for column in columns[:3]]
    batch = Batch(
        columns[3],
        torch.tensor([RATE], dtype=torch.float64),
        columns[4],
        torch.tensor(PRIOR, dtype=torch.float64),
        misclick=misclick,
    )
    return leaves, Outputs(*leaves), batch


def expected(formula, clip):
    return [formula(sigma(s), sigma(e), sigma(q), r, a, clip) for s, e, q, r, a in SAMPLES]


def told_misclick(name):
    return MISCLICK if name.startswith("ome") else None


@pytest.mark.parametrize("name", REWARD)
def test_the_loss_of_the_reward_is_that_of_its_formula(name):
    _, out, batch = samples(told_misclick(name))
    found = built(name).reward_loss(out, batch)
    assert found.tolist() == pytest.approx(expected(REWARD[name], CLIPS.get(name)), rel=1e-10)


@pytest.mark.parametrize("name", AUXILIARY)
def test_the_loss_of_the_other_networks_is_that_of_its_formula(name):
    _, out, batch = samples(told_misclick(name))
    found = built(name).auxiliary_loss(out, batch)
    assert found.tolist() == pytest.approx(expected(AUXILIARY[name], CLIPS.get(name)), rel=1e-10)


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_a_given_clip_takes_the_place_of_the_default(name):
    """At .3 and at 0, which is not the same as none given."""
    _, out, batch = samples(told_misclick(name))
    for clip in (0.3, 0.0):
        estimator = built(name, clip=clip)
        if name in REWARD:
            found = estimator.reward_loss(out, batch).tolist()
            assert found == pytest.approx(expected(REWARD[name], clip), rel=1e-10)
        if name in AUXILIARY:
            found = estimator.auxiliary_loss(out, batch).tolist()
            assert found == pytest.approx(expected(AUXILIARY[name], clip), rel=1e-10)


def test_the_weight_of_a_missing_click_is_a_parameter_of_wmf():
    _, out, batch = samples()
    weighted = [0.7 * sigma(s) ** 2 if r == 0 else (1 - sigma(s)) ** 2 for s, _, _, r, _ in SAMPLES]
    assert find("wmf")(weight=0.7).reward_loss(out, batch).tolist() == pytest.approx(weighted)


@pytest.mark.parametrize("name", NONE_BESIDE)
def test_those_without_another_network_have_no_other_loss(name):
    _, out, batch = samples(told_misclick(name))
    assert built(name).auxiliary_loss(out, batch) == 0


@pytest.mark.parametrize("name", sorted({*REWARD, *AUXILIARY} - {"stable-dr", "stable-dr@published"}))
def test_the_objective_is_the_mean_of_both_losses(name):
    _, out, batch = samples(told_misclick(name))
    estimator, clip = built(name), CLIPS.get(name)
    if name in ("implicitrm", "implicitrm-prior", "implicitrm-known", "implicitrm@printed"):
        batch = Batch(batch.feedback, batch.feedback_rate, batch.propensity)  # no marginal is told
    total = sum(expected(REWARD[name], clip))
    if name in AUXILIARY:
        total += sum(expected(AUXILIARY[name], clip))
    assert estimator.objective(out, batch).item() == pytest.approx(total / len(SAMPLES), rel=1e-10)
    assert estimator.risk(out, batch).item() == pytest.approx(
        sum(expected(REWARD[name], clip)) / len(SAMPLES), rel=1e-10
    )


@pytest.mark.parametrize("name", sorted(AUXILIARY))
def test_no_loss_moves_the_network_of_another(name):
    leaves, out, batch = samples(told_misclick(name))
    estimator = built(name)
    if name in REWARD:
        loss = estimator.reward_loss(out, batch).sum()
        _, *others = torch.autograd.grad(loss, leaves, allow_unused=True)
        assert others == [None, None]
    loss = estimator.auxiliary_loss(out, batch).sum()
    assert torch.autograd.grad(loss, leaves[0], allow_unused=True) == (None,)


@pytest.mark.parametrize("name", ["multi-ips", "multi-dr", "stable-dr"])
def test_a_fitted_propensity_is_moved_towards_the_told_one_and_by_nothing_else(name):
    """``∂ℓ(ê, α) = ê - α``: what the imputation makes of it holds the propensity fixed."""
    leaves, out, batch = samples()
    found = torch.autograd.grad(built(name).auxiliary_loss(out, batch).sum(), leaves[1])[0]
    assert found.tolist() == pytest.approx([sigma(e) - a for _, e, _, _, a in SAMPLES], rel=1e-10)


@pytest.mark.parametrize("name", ["implicitrm", "sar-em", "lbe", "recrec", "implicitrm@printed"])
def test_posteriors_are_targets_and_held_fixed(name):
    """The gradient of ``ℓ(γ̂, y)`` is ``γ̂ - y`` with the posterior for ``y``; as that of α̂ is."""
    leaves, out, batch = samples()
    estimator = built(name)
    if name != "recrec":  # whose reward is fitted through the click as well
        found = torch.autograd.grad(estimator.reward_loss(out, batch).sum(), leaves[0])[0]
        target, _ = estimator.posteriors(out, batch)
        assert torch.allclose(found, torch.sigmoid(out.reward) - target, atol=1e-12)
    found = torch.autograd.grad(estimator.auxiliary_loss(out, batch).sum(), leaves[1])[0]
    preferred, acted = estimator.posteriors(out, batch)
    alpha = torch.sigmoid(out.propensity)
    by_em = preferred * (alpha - batch.feedback) if name in ("sar-em", "lbe") else alpha - acted
    assert torch.allclose(found, by_em, atol=1e-12)
