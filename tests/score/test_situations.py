"""What the integrator draws, tells and sums, against loops over samples, pairs and signals."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import find
from simbench.score.risk import (
    CASES,
    Probe,
    _monte_carlo,
    batch_for,
    check,
    exact_cases,
    expected_loss,
    feedback_probability,
    ideal_for,
    ideal_loss,
    situation,
)

H, GAMMA, ALPHA = [0.4, -1.2, 2.0, 0.3], [0.2, 0.9, 0.5, 0.7], [0.3, 0.6, 0.8, 0.1]
FITTED = [0.15, 0.25, 0.35, 0.45]


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def at(misclick=0.0):
    told = tensor([0.5, 0.4, 0.3, 0.2])
    return Probe(*map(tensor, (H, GAMMA, ALPHA)), told, tensor(FITTED), tensor(H), misclick)


class Linear(Estimator):
    """``h + (2 + h) r``."""

    name = "linear"

    def reward_loss(self, out, batch):
        return out.reward + (2 + out.reward) * batch.feedback


class Oracular(Linear):
    needs = frozenset({"truth"})


class Pairs(Estimator):
    """``s_i - 2 s_j + r_i (3 + s_j) + 5 r_j s_i + 7 r_i r_j``."""

    name = "pairs"
    reads_pairs = True

    def reward_loss(self, out, batch):
        (s_i, s_j), (r_i, r_j) = out.reward.chunk(2, -1), batch.feedback.chunk(2, -1)
        return s_i - 2 * s_j + r_i * (3 + s_j) + 5 * r_j * s_i + 7 * r_i * r_j


class Signals(Estimator):
    """``h + 2 s_0 + 3 s_1 + 5 s_0 s_1``; the feedback is the first signal."""

    name = "signals"
    needs = frozenset({"signals"})

    def reward_loss(self, out, batch):
        first, second = batch.signals
        assert torch.equal(first, batch.feedback)
        return out.reward + 2 * first + 3 * second + 5 * first * second


class Stratified(Linear):
    """Its state is the logits that it was handed."""

    name = "stratified"
    seen = None

    def epoch_state(self, out, batch):
        return {"reward": out.reward, "propensity": out.propensity, "second": out.signals[1]}

    def reward_loss(self, out, batch):
        type(self).seen = batch.state
        return super().reward_loss(out, batch)


def clicks(misclick=0.0):
    return [(g + (1 - g) * misclick) * a for g, a in zip(GAMMA, ALPHA, strict=True)]


@pytest.mark.parametrize("misclick", [0.0, 0.1, 0.4])
def test_a_click_is_an_action_on_a_good_response_or_a_slip_on_a_bad_one(misclick):
    assert feedback_probability(Linear(), at(misclick)).numpy() == pytest.approx(clicks(misclick))


def test_the_oracles_feedback_is_the_preference():
    assert feedback_probability(Oracular(), at(0.1)).numpy() == pytest.approx(GAMMA)


@pytest.mark.parametrize("misclick", [0.0, 0.1])
def test_the_expected_loss_of_a_sample_has_two_terms(misclick):
    expected = [p * (2 + 2 * h) + (1 - p) * h for h, p in zip(H, clicks(misclick), strict=True)]
    assert expected_loss(Linear(), at(misclick)).numpy() == pytest.approx(expected)


def test_the_expected_loss_of_a_pair_has_four_terms():
    """The first half of the samples are paired with the second half."""
    p, expected = clicks(), []
    for i, j in ((0, 2), (1, 3)):
        total = 0.0
        for r_i, r_j in product((0, 1), repeat=2):
            chance = (p[i] if r_i else 1 - p[i]) * (p[j] if r_j else 1 - p[j])
            loss = H[i] - 2 * H[j] + r_i * (3 + H[j]) + 5 * r_j * H[i] + 7 * r_i * r_j
            total += chance * loss
        expected.append(total)
    assert expected_loss(Pairs(), at()).numpy() == pytest.approx(expected)


@pytest.mark.parametrize("misclick", [0.0, 0.1])
def test_the_expected_loss_of_two_signals_has_eight_terms(misclick):
    """Given r* the signals are independent; the second's propensities are the first's in reverse order, and
    a slip is of the first signal alone."""
    expected = []
    for number, (h, g) in enumerate(zip(H, GAMMA, strict=True)):
        first, second, total = ALPHA[number], ALPHA[3 - number], 0.0
        for good, s_0, s_1 in product((0, 1), repeat=3):
            p_0, p_1 = (first, second) if good else (misclick * first, 0.0)
            chance = (g if good else 1 - g) * (p_0 if s_0 else 1 - p_0) * (p_1 if s_1 else 1 - p_1)
            total += chance * (h + 2 * s_0 + 3 * s_1 + 5 * s_0 * s_1)
        expected.append(total)
    assert expected_loss(Signals(), at(misclick)).numpy() == pytest.approx(expected)


def softplus(x):
    return math.log1p(math.exp(x))


def test_the_ideal_loss_is_cross_entropy_at_the_reward():
    expected = [g * softplus(-h) + (1 - g) * softplus(h) for h, g in zip(H, GAMMA, strict=True)]
    assert ideal_loss(tensor(H), tensor(GAMMA)).numpy() == pytest.approx(expected)
    assert ideal_for(Linear(), at()).numpy() == pytest.approx(expected)


def test_the_ideal_loss_of_a_pair_counts_both_orders():
    expected = []
    for i, j in ((0, 2), (1, 3)):
        gap = H[i] - H[j]
        forward = GAMMA[i] * (1 - GAMMA[j]) * softplus(-gap)
        expected.append(forward + GAMMA[j] * (1 - GAMMA[i]) * softplus(gap))
    assert ideal_for(Pairs(), at()).numpy() == pytest.approx(expected)


def test_a_batch_tells_what_the_situation_tells():
    feedback = tensor([1.0, 0.0, 0.0, 1.0])
    batch = batch_for(Linear(), at(0.1), feedback, "misclicks", signals=feedback[None])
    assert torch.equal(batch.feedback, feedback) and torch.equal(batch.signals[0], feedback)
    assert batch.feedback_rate.numpy() == pytest.approx([np.mean(clicks(0.1))])
    assert batch.propensity.tolist() == [0.5, 0.4, 0.3, 0.2]
    assert float(batch.class_prior) == pytest.approx(np.mean(GAMMA))
    assert batch.misclick == 0.1 and batch.state == {}


def test_only_true_posteriors_are_handed_the_truth():
    expected_loss(Stratified(), at(), "known α")
    assert Stratified.seen == {}
    expected_loss(Stratified(), at(), "true posteriors")
    assert torch.sigmoid(Stratified.seen["reward"]).numpy() == pytest.approx(GAMMA)
    assert torch.sigmoid(Stratified.seen["propensity"]).numpy() == pytest.approx(ALPHA)
    assert torch.sigmoid(Stratified.seen["second"]).numpy() == pytest.approx(ALPHA[::-1])


def test_outputs_are_logits_of_the_fitted_propensity():
    out = at().outputs
    assert out.reward.tolist() == H and out.imputation.tolist() == H
    assert torch.sigmoid(out.propensity).numpy() == pytest.approx(FITTED)
    assert torch.sigmoid(out.signals).numpy() == pytest.approx(np.array([FITTED, FITTED[::-1]]))


@pytest.mark.parametrize("case", CASES)
def test_each_case_is_what_it_says(case):
    here = situation(case, n=2000, seed=1)
    assert here.hypothesis.dtype == torch.float64 and here.hypothesis.shape == (2000,)
    # standard deviation 2: within 5 standard errors, 2/√(2·2000) each
    assert abs(float(here.hypothesis.std()) - 2) < 0.16
    if case == "imputation right":
        assert torch.allclose(torch.sigmoid(here.imputation), here.reward)
    else:
        assert abs(float(here.imputation.std()) - 2) < 0.16
    assert 0.01 <= float(here.reward.min()) < 0.02 and 0.98 < float(here.reward.max()) <= 0.99
    alpha = here.propensity.numpy()
    if case == "SCAR":
        assert alpha == pytest.approx(0.3)
    else:
        assert 0.05 <= alpha.min() < 0.06 and 0.94 < alpha.max() <= 0.95
    if case == "unknown α":
        assert here.told_propensity.numpy() == pytest.approx(alpha.mean())
        assert abs(np.corrcoef(here.fitted_propensity, alpha)[0, 1]) < 0.12  # 5 standard errors
        assert 0.05 <= float(here.fitted_propensity.min()) < float(here.fitted_propensity.max()) <= 0.95
    else:
        assert torch.equal(here.told_propensity, here.propensity)
        assert torch.equal(here.fitted_propensity, here.propensity)
    assert here.misclick == (0.1 if case == "misclicks" else 0)


def test_situations_are_drawn_by_case_and_seed():
    first = situation("known α", 50, 1).reward
    assert torch.equal(first, situation("known α", 50, 1).reward)
    assert not torch.equal(first, situation("known α", 50, 2).reward)
    assert not torch.equal(first, situation("unknown α", 50, 1).reward)
    assert len(situation("SCAR").reward) == 4096


class Off(Estimator):
    """The ideal loss, off at one sample."""

    name = "off"
    by = 0.0

    def reward_loss(self, out, batch):
        error = torch.zeros_like(out.reward)
        error[7] = self.by
        return ideal_loss(out.reward, self.truth) + error


@pytest.mark.parametrize(
    ("by", "verdict"),
    [(0.0, "exactly unbiased"), (4e-13, "exactly unbiased"), (3e-12, "biased"), (-0.5, "biased")],
)
def test_exactly_unbiased_is_to_1e_12_at_every_sample(by, verdict, monkeypatch):
    monkeypatch.setattr(Off, "by", by)
    monkeypatch.setattr(Off, "truth", situation("known α", seed=3).reward, raising=False)
    found = {v.case: v for v in check(Off(), seed=3)}["known α"]
    assert (found.estimator, found.verdict) == ("off", verdict)
    assert found.bias == pytest.approx(abs(by), abs=5e-14)
    assert found.low == found.bias == found.high
    assert found.average == pytest.approx(abs(by) / 4096, abs=5e-14)


def test_cases_of_true_posteriors_are_for_who_stratifies():
    usual = [case for case in CASES if case not in ("imputation right", "true posteriors")]
    assert [v.case for v in check(Linear())] == usual
    assert [v.case for v in check(Stratified())] == [*usual, "true posteriors"]


class Noisy(Estimator):
    """A risk of .5, plus a bias, plus ten times the deviation of the click rate from its mean."""

    name = "noisy"
    sums_over_samples = False

    def __init__(self, bias=None):
        self.bias = bias

    def risk(self, out, batch):
        noise = batch.feedback.mean(-1) - batch.feedback_rate.mean()
        return 0.5 + self.bias(out.reward) + 10 * noise


@pytest.fixture
def noisy(monkeypatch):
    """The verdict on a bias, a function of the hypothesis, and the situations that were tried."""

    def verdict_and_situations(bias, case="known α", seed=0):
        seen = []

        def ideal(estimator, here):
            seen.append(here)
            return torch.full((1,), 0.5, dtype=torch.float64)

        monkeypatch.setattr("simbench.score.risk.ideal_for", ideal)
        return _monte_carlo(Noisy(bias), case, seed), seen

    return verdict_and_situations


def test_the_monte_carlo_interval_is_3_66_standard_errors(noisy):
    """The click rate of 512 has the variance ``Σ p(1-p)/512²``; of 4,000 draws of it, within 5 %."""
    found, seen = noisy(lambda h: 0.0)
    p = feedback_probability(Noisy(), seen[0]).numpy()
    error = 10 * math.sqrt((p * (1 - p)).sum()) / 512 / math.sqrt(4000)
    assert (found.high - found.low) / 2 == pytest.approx(3.66 * error, rel=0.08)
    assert (found.high + found.low) / 2 == pytest.approx(found.bias, abs=1e-12)
    assert found.verdict == "Monte Carlo only: no bias found"
    assert found.low < 0 < found.high


@pytest.mark.parametrize("sign", [1, -1])
def test_the_risk_farthest_from_zero_is_shown(noisy, sign):
    """Biased at the surest of the four hypotheses alone, at 8 times the truth's logit."""
    found, _ = noisy(lambda h: sign * 0.3 if float(h.abs().max()) > 40 else 0.0)
    assert found.verdict == "Monte Carlo only: biased"
    assert found.bias == pytest.approx(sign * 0.3, abs=0.03)
    assert found.low < found.bias < found.high and (found.low > 0 or found.high < 0)
    # and where the first hypothesis is the biased one, the later ones do not hide it
    first = situation("known α", n=512).hypothesis
    found, _ = noisy(lambda h: 0.3 if torch.equal(h, first) else 0.0)
    assert found.verdict == "Monte Carlo only: biased"


def test_monte_carlo_hypotheses_are_random_or_multiples_of_the_truths_logit(noisy):
    _, seen = noisy(lambda h: 0.0)
    assert len(seen) == 4
    assert torch.equal(seen[0].hypothesis, situation("known α", n=512).hypothesis)
    for here, times in zip(seen[1:], (1, 4, 8), strict=True):
        assert here.hypothesis.numpy() == pytest.approx(times * torch.logit(here.reward).numpy())
    reward = seen[0].reward.numpy()
    assert len(reward) == 512 and reward.min() >= 1e-3 and reward.max() <= 1 - 1e-3
    assert 0.5 < ((reward < 0.1) | (reward > 0.9)).mean() < 0.85  # beta(.2, .2)
    assert torch.equal(seen[0].propensity, situation("known α", n=512).propensity)


def test_monte_carlo_draws_by_case_and_seed(noisy):
    (first, seen), (again, _), (other, there) = (noisy(lambda h: 0.0, seed=seed) for seed in (0, 0, 1))
    assert first.bias == pytest.approx(again.bias, rel=1e-9) and abs(first.bias - other.bias) > 1e-6
    assert not torch.equal(seen[0].reward, there[0].reward)
    assert not torch.equal(seen[0].propensity, there[0].propensity)
    found, scar = noisy(lambda h: 0.0, case="SCAR")
    assert (found.estimator, found.case) == ("noisy", "SCAR")
    assert scar[0].propensity.numpy() == pytest.approx(0.3)
    assert not torch.equal(seen[0].reward, scar[0].reward)


def test_exact_cases_in_words():
    assert exact_cases(find("ips")) == "SCAR, known α"
    assert exact_cases(find("upu")) == "SCAR"
    assert exact_cases(find("naive")) == "never"
    assert exact_cases(find("nnpu")) == "Monte Carlo only"
    assert exact_cases(Estimator) == "states no loss"

    class Needy(Linear):
        def __init__(self, must):
            self.must = must

    assert exact_cases(Needy) == "needs parameters"
