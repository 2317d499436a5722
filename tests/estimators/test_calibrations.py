"""What is made of fitted scores by held-out feedback, replicate by replicate; batches of an odd kind."""

from math import exp, log

import numpy as np
import pytest
import torch
from simbench_estimators.doubly_robust import StableDR
from simbench_estimators.inverse_propensity import NNPU, SNIPS, UPU
from simbench_estimators.naive import NaiveSqrt
from simbench_estimators.positive_unlabelled import PUSB, VPU, ElkanNoto

from simbench.estimator.registry import find
from simbench.training.samples import Batch, Outputs


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def sigma(x):
    return 1 / (1 + exp(-x))


LOGITS = [[0.3, -1.2, 2.0, -0.4, 1.1], [-2.0, 0.7, 0.1, 1.9, -0.6], [0.2, 0.4, -0.3, 0.9, -1.5]]
CLICKS = [[1.0, 0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]
OUT = Outputs(tensor(LOGITS))
BATCH = Batch(tensor(CLICKS), tensor([[0.6], [0.2], [0.1]]))


def test_elkan_noto_divides_by_the_mean_score_of_the_clicked_or_by_nothing():
    c = ElkanNoto().calibration(OUT, BATCH)
    expected = [(sigma(0.3) + sigma(2.0) + sigma(1.1)) / 3, sigma(0.7), 1.0]
    assert c.shape == (3, 1) and c[:, 0].tolist() == pytest.approx(expected)
    found = ElkanNoto().link(OUT.reward, c)
    for row, (logits, frequency) in enumerate(zip(LOGITS, expected, strict=True)):
        assert found[row].tolist() == pytest.approx([min(1, sigma(s) / frequency) for s in logits])
    unsure = Outputs(tensor([[-50.0] * 5]))
    assert ElkanNoto().calibration(unsure, Batch(BATCH.feedback[:1], BATCH.feedback_rate[:1])).item() == 1e-6


def test_pusb_takes_the_score_at_which_the_prior_lies_above():
    """Five scores: at π = .5 the third, at .25 the fourth, at 0 the last; others are rounded to a place."""
    out = Outputs(tensor([LOGITS[0]] * 6))
    prior = tensor([[0.5], [0.25], [1e-9], [0.9], [0.6], [0.85]])
    batch = Batch(tensor([CLICKS[0]] * 6), tensor([[0.6]] * 6), class_prior=prior)
    threshold = PUSB().calibration(out, batch)
    # sorted: -1.2, -.4, .3, 1.1, 2.0 at the places 0 to 4 of (1 - π) 4 = 2, 3, 4, .4, 1.6, .6
    assert threshold.shape == (6, 1) and threshold[:, 0].tolist() == [0.3, 1.1, 2.0, -1.2, 0.3, -0.4]
    found = PUSB().link(out.reward, threshold)
    assert found[1].tolist() == pytest.approx([sigma(s - 1.1) for s in LOGITS[0]])
    for_all = Batch(batch.feedback, batch.feedback_rate, class_prior=tensor(0.25))
    assert PUSB().calibration(out, for_all)[:, 0].tolist() == [1.1] * 6


def test_vpu_divides_by_the_largest_score_of_each_replicate():
    c = VPU().calibration(OUT, BATCH)
    assert c.shape == (3, 1) and c[:, 0].tolist() == pytest.approx([sigma(2.0), sigma(1.9), sigma(0.9)])
    found = VPU().link(tensor(LOGITS), c)
    assert found[1].tolist() == pytest.approx([sigma(s) / sigma(1.9) for s in LOGITS[1]])
    assert VPU().link(tensor([[3.0]]), c[:1]).item() == 1
    assert VPU().calibration(Outputs(tensor([[-50.0]])), BATCH).item() == 1e-6


def test_vpu_is_log_mean_score_minus_mean_log_score_of_the_clicked():
    found = VPU().risk(OUT, BATCH)
    for row, (logits, clicks) in enumerate(zip(LOGITS, CLICKS, strict=True)):
        mean = sum(sigma(s) for s in logits) / 5
        clicked = [log(sigma(s)) for s, r in zip(logits, clicks, strict=True) if r]
        expected = log(mean) - (sum(clicked) / len(clicked) if clicked else 0)
        assert found[row].item() == pytest.approx(expected)
    assert VPU().consistency == 0.03 and VPU().mixup == 0.3


def test_the_links_of_all_others_are_the_logistic_function():
    logit = tensor([[-3.0, 0.0, 1.5]])
    for name in ("naive", "ips", "snips", "implicitrm", "lbe", "multi-dr", "counter-if", "ubpr@published"):
        found = find(name)().link(logit)[0].tolist()
        assert found == pytest.approx([sigma(-3.0), 0.5, sigma(1.5)]), name
        assert find(name)().calibration(Outputs(logit), BATCH) is None
    assert NaiveSqrt().link(logit)[0].tolist() == pytest.approx([sigma(s) ** 0.5 for s in (-3.0, 0.0, 1.5)])


# -- ratios of sums and clamps over a batch ----------------------------------------------------

ALPHA = [0.5, 0.02, 0.25, 0.8, 0.1]
PRIORS = [0.4, 0.7, 0.3]


def bce(s, y):
    return log(1 + exp(s)) - y * s


@pytest.mark.parametrize("clip", [0.0, 0.2])
def test_snips_scales_each_replicates_weights_to_its_prior(clip):
    """No click in the last: all that is left is the loss of a missing click."""
    batch = Batch(BATCH.feedback, BATCH.feedback_rate, tensor(ALPHA), tensor(PRIORS)[:, None])
    for method in ("risk", "objective", "selection_loss"):
        found = getattr(SNIPS(clip=clip), method)(OUT, batch)
        for row, (logits, clicks) in enumerate(zip(LOGITS, CLICKS, strict=True)):
            weights = [r / max(a, clip) for r, a in zip(clicks, ALPHA, strict=True)]
            expected = sum(bce(s, 0) for s in logits) / 5
            if sum(weights):
                gain = sum(w * -s for w, s in zip(weights, logits, strict=True))
                expected += PRIORS[row] * gain / sum(weights)
            assert found[row].item() == pytest.approx(expected)


def test_stable_dr_of_every_replicate_by_itself():
    """Witness in floats: the reward's risk, the propensity's constraint (η = 2), and their sum."""
    propensity, imputation = [0.3, -4.0, -5.0, 1.0, 0.2], [0.5, -0.4, 1.2, 0.0, -2.0]
    out = Outputs(tensor(LOGITS[:2]), tensor([propensity] * 2), tensor([imputation] * 2))
    batch = Batch(tensor(CLICKS[:2]), tensor([[0.6], [0.2]]), tensor(ALPHA))

    class Stabler(StableDR):
        stabiliser = 2.0

    risk, unstable, whole = (
        getattr(Stabler(), method)(out, batch) for method in ("risk", "instability", "objective")
    )
    fitted, q = [max(sigma(e), 0.01) for e in propensity], [sigma(v) for v in imputation]
    for row, (logits, clicks) in enumerate(zip(LOGITS[:2], CLICKS[:2], strict=True)):
        w = [r / p for r, p in zip(clicks, fitted, strict=True)]
        gain = sum(v * -s for v, s in zip(w, logits, strict=True)) / sum(w)
        ours = sum(bce(s, 0) for s in logits) / 5 + sum(q) / 5 * gain
        centre = sum(v * -s for v, s in zip(q, logits, strict=True)) / sum(q)
        constraint = 2 * (sum(v * (-s - centre) for v, s in zip(w, logits, strict=True)) / 5) ** 2
        learned = [bce(e, a) for e, a in zip(propensity, ALPHA, strict=True)]
        learned += [(r - p * v) ** 2 / p for r, p, v in zip(clicks, fitted, q, strict=True)]
        assert risk[row].item() == pytest.approx(ours)
        assert unstable[row].item() == pytest.approx(constraint)
        assert whole[row].item() == pytest.approx(ours + constraint + sum(learned) / 5)


def test_a_batch_without_a_click_leaves_stable_dr_the_loss_of_missing_clicks():
    out = Outputs(tensor(LOGITS[2]), tensor([0.0] * 5), tensor([0.3] * 5))
    batch = Batch(tensor(CLICKS[2]), tensor([0.1]), tensor(ALPHA))
    assert StableDR().risk(out, batch).item() == pytest.approx(sum(bce(s, 0) for s in LOGITS[2]) / 5)


def test_a_negative_part_of_nothing_is_no_reason_to_turn_back():
    """Two equal scores, one clicked, π = 1: ``mean ℓ0 - π mean_{r=1} ℓ0`` is 0, and the step descends."""
    out = Outputs(tensor([0.7, 0.7]))
    batch = Batch(tensor([1.0, 0.0]), tensor([0.5]), class_prior=tensor(1.0))
    assert NNPU().risk_parts(out, batch)[1].item() == 0
    assert NNPU().objective(out, batch).item() == pytest.approx(bce(0.7, 1))


def test_pu_risks_use_the_rate_of_the_log_and_the_prior_of_the_replicate():
    batch = Batch(tensor(CLICKS[:2]), tensor([[0.5], [0.3]]), class_prior=tensor([[0.4], [0.7]]))
    parts = NNPU().risk_parts(Outputs(tensor(LOGITS[:2])), batch)
    upu = UPU().risk(Outputs(tensor(LOGITS[:2])), batch)
    for row, (prior, rate) in enumerate(((0.4, 0.5), (0.7, 0.3))):
        w = [r * prior / rate for r in CLICKS[row]]
        good = sum(v * bce(s, 1) for v, s in zip(w, LOGITS[row], strict=True)) / 5
        bad = sum((1 - v) * bce(s, 0) for v, s in zip(w, LOGITS[row], strict=True)) / 5
        assert [part[row].item() for part in parts] == pytest.approx([good, bad])
        assert upu[row].item() == pytest.approx(good + bad)
        assert NNPU().risk(Outputs(tensor(LOGITS[:2])), batch)[row].item() == pytest.approx(
            good + max(0, bad)
        )
        criterion = NNPU().selection_loss(Outputs(tensor(LOGITS[:2])), batch)[row].item()
        assert criterion == pytest.approx(good + max(0, bad)), "never the ascending step"


def test_the_criterion_of_early_stopping_is_a_risk_where_the_step_is_none():
    below = Outputs(tensor([9.0, 9.0, -9.0, -9.0]))
    batch = Batch(tensor([1.0, 1.0, 0.0, 0.0]), tensor([0.5]), class_prior=tensor(0.6))
    good, bad = NNPU().risk_parts(below, batch)
    assert bad < 0
    for name in ("nnpu", "pusb"):
        assert find(name)().selection_loss(below, batch).item() == pytest.approx(good.item())
        assert find(name)().objective(below, batch).item() == pytest.approx(-bad.item())
    published = find("nnpu@published")()
    assert published.objective(below, batch).item() == pytest.approx(published.risk(below, batch).item())
    assert np.isfinite(published.selection_loss(below, batch).item())
