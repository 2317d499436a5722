"""Exact expectation of a risk estimator over the feedback, and the verdict on its unbiasedness.

Feedback is binary, so the expectation of a per-sample loss is a sum of two terms,
``p ℓ̂(h; 1) + (1-p) ℓ̂(h; 0)`` with ``p = γα`` (theory, section 2): no Monte Carlo, in float64. The loss that
is integrated here is the very function that is trained.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import logit
from torch import Tensor

from simbench.estimator.estimator import Estimator
from simbench.streams import stream
from simbench.training.losses import cross_entropy, loss_positive
from simbench.training.samples import Batch, Outputs

EXACT = 1e-12
CASES = {
    "SCAR": "α constant and known, class prior known",
    "known α": "α varies and is known, class prior known",
    "unknown α": "α varies; whoever needs it is told its mean, whoever fits it is at an arbitrary fit",
    "misclicks": "as known α, and a tenth of the bad responses that are acted on are clicked; whoever needs "
    "it is told the rate",
    "imputation right": "as known α, and the imputed reward is the true one",
    "true posteriors": "α varies; latent groups stratified by the true γ and α",
}
MISCLICK = 0.1


@dataclass(frozen=True)
class Probe:
    """Arbitrary values at which an expectation is computed, for n samples; tensors (n,), float64.

    Parameters
    ----------
    hypothesis : Tensor
        Logit of the reward that is judged.
    reward, propensity : Tensor
        True reward ``γ`` and propensity ``α``.
    told_propensity : Tensor
        Propensity that an estimator is told.
    fitted_propensity : Tensor
        Propensity that an estimator which fits one is taken to have fitted.
    imputation : Tensor, optional
        Logit of the imputed reward.
    misclick : float
        Misclick rate ``ε``.
    """

    hypothesis: Tensor
    reward: Tensor
    propensity: Tensor
    told_propensity: Tensor
    fitted_propensity: Tensor
    imputation: Tensor | None = None
    misclick: float = 0.0

    @property
    def outputs(self) -> Outputs:
        """The outputs of arbitrary networks, as a loss reads them."""
        fitted = torch.logit(self.fitted_propensity)
        return Outputs(self.hypothesis, fitted, self.imputation, _with_second(fitted))


@dataclass(frozen=True)
class RiskVerdict:
    """What ``simbench check`` says about one estimator in one case.

    ``bias`` is the largest absolute error of the expected per-sample loss over arbitrary hypotheses, in units
    of the loss (nats per response for cross-entropy), and ``low`` and ``high`` equal it; ``average`` is the
    mean absolute error over the same hypotheses. For Monte Carlo ``bias`` is the one farthest from zero
    relative to its error, with its interval from ``low`` to ``high``, and ``average`` is NaN.
    """

    estimator: str
    case: str
    verdict: str
    bias: float
    low: float
    high: float
    average: float = math.nan


def situation(case: str, n: int = 4096, seed: int = 0) -> Probe:
    """The probe of a case: random hypotheses (logits, sd 2), rewards in (0, 1), propensities in (.05, .95).

    Parameters
    ----------
    case : str
        One of :data:`CASES`.
    n : int
        Number of samples.
    seed : int
    """
    rng = stream(seed, "risk", case)
    reward = rng.uniform(0.01, 0.99, n)
    propensity = rng.uniform(0.05, 0.95, n)
    if case == "SCAR":
        propensity = np.full(n, 0.3)
    told = np.full(n, propensity.mean()) if case == "unknown α" else propensity
    fitted = rng.uniform(0.05, 0.95, n) if case == "unknown α" else propensity
    imputation = 2 * rng.standard_normal(n) if case != "imputation right" else logit(reward)
    arrays = (2 * rng.standard_normal(n), reward, propensity, told, fitted, imputation)
    tensors = (torch.as_tensor(values, dtype=torch.float64) for values in arrays)
    return Probe(*tensors, misclick=MISCLICK if case == "misclicks" else 0.0)


def ideal_loss(hypothesis: Tensor, reward: Tensor) -> Tensor:
    """Ideal loss with cross-entropy, ``γ ℓ(h, 1) + (1 - γ) ℓ(h, 0)``, one value per sample."""
    return cross_entropy(hypothesis, reward)


def _with_second(values: Tensor) -> Tensor:
    """The propensities of two signals, shape (2, n): the second's are the first's in reverse order."""
    return torch.stack([values, values.flip(-1)])


def batch_for(
    estimator: Estimator, at: Probe, feedback: Tensor, case: str, signals: Tensor | None = None
) -> Batch:
    """The batch that the estimator reads in this case if the feedback is ``feedback``."""
    batch = Batch(
        feedback=feedback,
        feedback_rate=feedback_probability(estimator, at).mean(-1, keepdim=True),
        propensity=at.told_propensity,
        class_prior=at.reward.mean(),
        misclick=at.misclick,
        signals=signals,
    )
    if case != "true posteriors":
        return batch
    alpha = torch.logit(at.propensity)
    truth = Outputs(torch.logit(at.reward), alpha, signals=_with_second(alpha))
    return Batch(**{**vars(batch), "state": estimator.epoch_state(truth, batch)})


def feedback_probability(estimator: Estimator, at: Probe) -> Tensor:
    """Probability of a click, ``(γ + (1-γ)ε)α``; for the oracle, whose feedback is the preference, ``γ``."""
    if "truth" in estimator.needs:
        return at.reward
    return (at.reward + (1 - at.reward) * at.misclick) * at.propensity


def expected_loss(estimator: Estimator, at: Probe, case: str = "known α") -> Tensor:
    """Expected loss ``E_r[ℓ̂(h; r)]`` by enumeration of the feedback, float64.

    There are two terms per sample, or four if the loss reads two signals, and the shape is (n,). If the loss
    reads pairs, there are four terms per pair, and the shape is (n/2,).
    """
    if "signals" in estimator.needs:
        return _over_two_signals(estimator, at, case)
    p = feedback_probability(estimator, at)
    if not estimator.reads_pairs:
        clicked, unclicked = (
            estimator.loss_of_samples(at.outputs, batch_for(estimator, at, torch.full_like(p, value), case))
            for value in (1.0, 0.0)
        )
        return p * clicked + (1 - p) * unclicked
    half = len(p) // 2
    total = torch.zeros(half, dtype=p.dtype)
    for first in (1.0, 0.0):
        for second in (1.0, 0.0):
            feedback = torch.cat([torch.full((half,), value, dtype=p.dtype) for value in (first, second)])
            weight = torch.where(feedback == 1, p, 1 - p)
            loss = estimator.loss_of_samples(at.outputs, batch_for(estimator, at, feedback, case))
            total += weight[:half] * weight[half:] * loss
    return total


def _over_two_signals(estimator: Estimator, at: Probe, case: str) -> Tensor:
    """The expectation over two signals, four terms per sample; only the first signal has misclicks."""
    good = _with_second(at.propensity)
    bad = good * torch.tensor([[at.misclick], [0.0]], dtype=good.dtype)
    total = torch.zeros_like(at.reward)
    for pattern in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
        signals = torch.tensor(pattern, dtype=good.dtype)[:, None].expand_as(good)
        given_good, given_bad = (torch.where(signals == 1, p, 1 - p).prod(0) for p in (good, bad))
        loss = estimator.loss_of_samples(at.outputs, batch_for(estimator, at, signals[0], case, signals))
        total += (at.reward * given_good + (1 - at.reward) * given_bad) * loss
    return total


def ideal_for(estimator: Estimator, at: Probe) -> Tensor:
    """The ideal loss that the estimator aims at: of samples, (n,), or of pairs, (n/2,)."""
    if not estimator.reads_pairs:
        return estimator.ideal_loss(at.hypothesis, at.reward)
    return ideal_pair_loss(at.hypothesis, at.reward)


def ideal_pair_loss(hypothesis: Tensor, reward: Tensor) -> Tensor:
    """Ideal pairwise loss, ``γ_i (1 - γ_j) ℓ(s_i - s_j, 1)`` in both directions (Saito, ICTIR 2020).

    The first half of the samples are the i, the second half the j; shape (n/2,).
    """
    half = len(reward) // 2
    (s_i, s_j), (g_i, g_j) = ((v[:half], v[half:]) for v in (hypothesis, reward))
    return g_i * (1 - g_j) * loss_positive(s_i - s_j) + g_j * (1 - g_i) * loss_positive(s_j - s_i)


def check(estimator: Estimator, seed: int = 0) -> list[RiskVerdict]:
    """The verdicts on an estimator, one for every case that applies to it.

    Raises
    ------
    BadInput
        If ``reward_loss`` does not return one value per sample.
    """
    method = _exact if estimator.sums_over_samples else _monte_carlo
    return [method(estimator, case, seed) for case in cases_of(estimator)]


def cases_of(estimator: Estimator) -> list[str]:
    """The cases that apply to an estimator: some only if it imputes, or stratifies."""
    asked = {
        "imputation right": any("imputation" in network.heads for network in estimator.networks),
        "true posteriors": type(estimator).epoch_state is not Estimator.epoch_state,
    }
    return [case for case in CASES if asked.get(case, True)]


def exact_cases(kind: type[Estimator]) -> str:
    """The cases in which the risk is exactly unbiased, in words for the catalogue."""
    try:
        estimator = kind()
    except TypeError:
        return "needs parameters"
    if kind.reward_loss is Estimator.reward_loss and kind.risk is Estimator.risk:
        return "states no loss"
    if not estimator.sums_over_samples:
        return "Monte Carlo only"
    exact = [verdict.case for verdict in check(estimator) if verdict.verdict == "exactly unbiased"]
    return ", ".join(exact) or "never"


def _exact(estimator: Estimator, case: str, seed: int) -> RiskVerdict:
    at = situation(case, seed=seed)
    error = expected_loss(estimator, at, case) - ideal_for(estimator, at)
    bias = float(error.abs().max())
    verdict = "exactly unbiased" if bias <= EXACT else "biased"
    return RiskVerdict(estimator.name, case, verdict, bias, bias, bias, float(error.abs().mean()))


def _monte_carlo(estimator: Estimator, case: str, seed: int) -> RiskVerdict:
    """For risks that are no sum over samples: the mean over drawn batches of 512, at several hypotheses.

    The interval covers all hypotheses together (normal, two-sided 1 - 1e-3, Bonferroni).
    """
    # mostly near 0 or 1, where a sure hypothesis has a small negative risk and a clamp binds
    rewards = stream(seed, "risk", case, "batch").beta(0.2, 0.2, 512).clip(1e-3, 1 - 1e-3)
    at = situation(case, n=512, seed=seed)
    reward = torch.as_tensor(rewards)
    # multiples of the truth's logit: the surer the hypothesis, the more often the clamp binds
    hypotheses = [at.hypothesis, *(torch.as_tensor(t * logit(rewards)) for t in (1.0, 4.0, 8.0))]
    generator = torch.Generator().manual_seed(seed)
    worst = None
    for hypothesis in hypotheses:
        here = replace(at, hypothesis=hypothesis, reward=reward)
        p = feedback_probability(estimator, here).expand(4000, -1)
        batch = batch_for(estimator, here, torch.bernoulli(p, generator=generator), case)
        risk = estimator.risk(here.outputs, batch) - ideal_for(estimator, here).mean()
        mean, error = float(risk.mean()), float(risk.std()) / np.sqrt(len(risk))
        # the larger ratio of mean to error, without a division: a risk that no click moves has no error
        if worst is None or abs(mean) * worst[1] > abs(worst[0]) * error:
            worst = mean, error
    assert worst is not None
    low, high = worst[0] - 3.66 * worst[1], worst[0] + 3.66 * worst[1]
    verdict = "Monte Carlo only: " + ("biased" if low > 0 or high < 0 else "no bias found")
    return RiskVerdict(estimator.name, case, verdict, worst[0], low, high)
