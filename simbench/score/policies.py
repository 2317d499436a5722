"""Policies over a prompt's finite set of responses, in closed form: exponential tilting and best-of-n.

The reference ``π_ref`` is uniform over the responses of a prompt: they are its samples. Every expectation is
a sum over them, so value and KL carry no sampling error of their own.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, rel_entr
from scipy.stats import rankdata

WEAKEST, STRONGEST = np.log(1e6), np.log(1e-9)  # log β between which a KL is looked for


@dataclass(frozen=True)
class Prompts:
    """Rows of a test set as a matrix of prompts by responses, padded where a prompt has fewer.

    Parameters
    ----------
    rows : ndarray, shape (G, M), int64
        Row of the test set of every response; 0 in the padding.
    is_real : ndarray, shape (G, M), bool
        False in the padding.
    """

    rows: np.ndarray
    is_real: np.ndarray

    @classmethod
    def of(cls, groups: np.ndarray) -> "Prompts":
        """From prompt ids, shape (m,)."""
        order = np.argsort(groups, kind="stable")
        _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
        place = np.arange(counts.max())
        is_real = place < counts[:, None]
        rows = order[np.where(is_real, starts[:, None] + place, 0)]
        return cls(np.where(is_real, rows, 0), is_real)

    @property
    def counts(self) -> np.ndarray:
        """Responses of every prompt, shape (G,)."""
        return self.is_real.sum(1)

    @property
    def largest_kl(self) -> float:
        """Mean over prompts of ``log M``: of a policy that always gives one response, in nats."""
        return float(np.log(self.counts).mean())

    def spread(self, values: np.ndarray) -> np.ndarray:
        """``(..., m)`` to ``(..., G, M)``; -inf in the padding, which no policy then chooses."""
        return np.where(self.is_real, np.asarray(values, dtype=float)[..., self.rows], -np.inf)

    def mean_under(self, policy: np.ndarray, values: np.ndarray) -> np.ndarray:
        """``E_π[values]``, mean over prompts: from (..., G, M) and (m,) to (...)."""
        chosen = np.where(self.is_real, values[self.rows], 0.0)
        return (policy * chosen).sum(-1).mean(-1)

    def kl(self, policy: np.ndarray) -> np.ndarray:
        """``KL(π ‖ π_ref)`` in nats, mean over prompts: from (..., G, M) to (...)."""
        return rel_entr(policy, self.is_real / self.counts[:, None]).sum(-1).mean(-1)


def tilted(scores: np.ndarray, beta: float) -> np.ndarray:
    """``π ∝ π_ref exp(r̂/β)`` over every prompt's responses.

    It maximises ``E_π[r̂] - β KL(π ‖ π_ref)``.

    Parameters
    ----------
    scores : ndarray, shape (..., G, M)
        ``r̂``, -inf in the padding.
    beta : float > 0

    Returns
    -------
    ndarray, shape (..., G, M); every prompt sums to 1.
    """
    return np.exp(log_softmax(scores / beta, axis=-1))


def best_of(scores: np.ndarray, n: float) -> np.ndarray:
    """The response with the highest score among n independent draws from ``π_ref``, ties at random.

    With ``F`` the share of a prompt's responses that score no higher, ``F⁻`` that score lower, the winner is
    in a group of ties with probability ``Fⁿ - (F⁻)ⁿ``, and any of it alike. Its KL is therefore exact as
    well; ``log n - (n-1)/n`` is the limit of many responses without ties, and too large for few.

    Parameters
    ----------
    scores : ndarray, shape (..., G, M)
        -inf in the padding.
    n : float >= 1

    Returns
    -------
    ndarray, shape (..., G, M); every prompt sums to 1.
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
    """The β at which tilting spends this KL, mean over prompts, in nats.

    Parameters
    ----------
    scores : ndarray, shape (G, M)
        Of one fitted reward.
    kl : float
    prompts : Prompts

    Returns
    -------
    float
        NaN where ties keep even the strongest tilting from spending so much.
    """

    def short(log_beta: float) -> float:
        return float(prompts.kl(tilted(scores, np.exp(log_beta)))) - kl

    if short(STRONGEST) < 0:
        return float("nan")
    return float(np.exp(brentq(short, STRONGEST, WEAKEST, xtol=1e-10)))


def tilted_to(scores: np.ndarray, kl: float, prompts: Prompts) -> np.ndarray:
    """As :func:`tilted`, of R fitted rewards, each with the β at which it spends ``kl``.

    Parameters
    ----------
    scores : ndarray, shape (R, G, M)

    Returns
    -------
    ndarray, shape (R, G, M); NaN where it cannot be spent.
    """
    policies = np.full(scores.shape, np.nan)
    for row, own in enumerate(scores):
        beta = beta_for(own, kl, prompts)
        if np.isfinite(beta):
            policies[row] = tilted(own, beta)
    return policies
