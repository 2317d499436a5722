"""Policies over a prompt's finite set of responses, in closed form: exponential tilting and best-of-n.

The reference policy ``π_ref`` is uniform over the responses to a prompt, which are its samples. Every
expectation is a sum over them, so value and KL have no sampling error of their own.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, rel_entr
from scipy.stats import rankdata

WEAKEST, STRONGEST = np.log(1e6), np.log(1e-9)  # log β between which a KL is looked for


@dataclass(frozen=True)
class Prompts:
    """The rows of a test set as a matrix of prompts by responses, padded for prompts with fewer responses.

    Parameters
    ----------
    rows : ndarray, shape (G, M), int64
        Row of every response in the test set; 0 in the padding.
    is_real : ndarray, shape (G, M), bool
        Whether there is a response; False in the padding.
    """

    rows: np.ndarray
    is_real: np.ndarray

    @classmethod
    def of(cls, groups: np.ndarray) -> "Prompts":
        """The matrix for prompt ids ``groups``, shape (m,), one per row of the test set."""
        order = np.argsort(groups, kind="stable")
        _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
        place = np.arange(counts.max())
        is_real = place < counts[:, None]
        rows = order[np.where(is_real, starts[:, None] + place, 0)]
        return cls(np.where(is_real, rows, 0), is_real)

    @property
    def counts(self) -> np.ndarray:
        """Number of responses to every prompt, shape (G,)."""
        return self.is_real.sum(1)

    @property
    def largest_kl(self) -> float:
        """Largest KL, in nats: that of always giving one response, the mean over prompts of ``log M``."""
        return float(np.log(self.counts).mean())

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Arrange values (..., m) by prompt, (..., G, M); the padding is -inf, so no policy chooses it."""
        return np.where(self.is_real, np.asarray(values, dtype=float)[..., self.rows], -np.inf)

    def mean_under(self, policy: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Mean over prompts of ``E_π[values]``: from a policy (..., G, M) and values (m,) to shape (...)."""
        chosen = np.where(self.is_real, values[self.rows], 0.0)
        return (policy * chosen).sum(-1).mean(-1)

    def kl(self, policy: np.ndarray) -> np.ndarray:
        """Mean over prompts of ``KL(π ‖ π_ref)``, in nats: from a policy (..., G, M) to shape (...)."""
        return rel_entr(policy, self.is_real / self.counts[:, None]).sum(-1).mean(-1)


def tilted(scores: np.ndarray, beta: float) -> np.ndarray:
    """Exponentially tilted policy, ``π ∝ π_ref exp(r̂/β)``, over every prompt's responses.

    It maximises ``E_π[r̂] - β KL(π ‖ π_ref)``.

    Parameters
    ----------
    scores : ndarray, shape (..., G, M)
        Scores ``r̂``; -inf in the padding.
    beta : float > 0
        Weight of the KL, in the units of the scores.

    Returns
    -------
    ndarray, shape (..., G, M)
        Probabilities, which sum to 1 over each prompt.
    """
    return np.exp(log_softmax(scores / beta, axis=-1))


def best_of(scores: np.ndarray, n: float) -> np.ndarray:
    """Best-of-n policy: the highest score among n independent draws from ``π_ref``, ties broken at random.

    Let ``F`` be the share of a prompt's responses that score no higher, and ``F⁻`` the share that score
    lower. The winner is in a group of ties with probability ``Fⁿ - (F⁻)ⁿ``, and each member is equally
    likely. The KL of this policy is therefore exact as well; ``log n - (n-1)/n`` is its limit for many
    responses without ties, and too large for few.

    Parameters
    ----------
    scores : ndarray, shape (..., G, M)
        Scores; -inf in the padding.
    n : float >= 1
        Number of draws.

    Returns
    -------
    ndarray, shape (..., G, M)
        Probabilities, which sum to 1 over each prompt.
    """
    is_real = np.isfinite(scores)
    padding = (~is_real).sum(-1, keepdims=True)
    count = is_real.sum(-1, keepdims=True)
    # padding scores lowest: it fills the first ranks
    upto = (rankdata(scores, method="max", axis=-1) - padding) / count
    below = (rankdata(scores, method="min", axis=-1) - 1 - padding) / count
    with np.errstate(divide="ignore", invalid="ignore"):
        won = np.exp(n * np.log(upto)) * -np.expm1(n * np.log(below / upto))
        return np.where(is_real, won / ((upto - below) * count), 0.0)


def beta_for(scores: np.ndarray, kl: float, prompts: Prompts) -> float:
    """The β at which the tilted policy has this KL from the reference.

    Parameters
    ----------
    scores : ndarray, shape (G, M)
        Scores of one fitted reward.
    kl : float
        Mean over prompts, in nats.
    prompts : Prompts

    Returns
    -------
    float
        NaN if ties keep even the strongest tilting from reaching it.
    """

    def short(log_beta: float) -> float:
        return float(prompts.kl(tilted(scores, np.exp(log_beta)))) - kl

    if short(STRONGEST) < 0:
        return float("nan")
    return float(np.exp(brentq(short, STRONGEST, WEAKEST, xtol=1e-10)))


def tilted_to(scores: np.ndarray, kl: float, prompts: Prompts) -> np.ndarray:
    """The :func:`tilted` policies of R fitted rewards, each with the β at which its KL is ``kl``.

    Parameters
    ----------
    scores : ndarray, shape (R, G, M)
        Scores of every fitted reward; -inf in the padding.
    kl : float
        Mean over prompts, in nats.
    prompts : Prompts

    Returns
    -------
    ndarray, shape (R, G, M)
        Probabilities; NaN for a reward that cannot reach this KL.
    """
    policies = np.full(scores.shape, np.nan)
    for row, own in enumerate(scores):
        beta = beta_for(own, kl, prompts)
        if np.isfinite(beta):
            policies[row] = tilted(own, beta)
    return policies
