"""Restarts: the same log fitted from several starting points, to see whether the fits agree on the reward.

Feedback shows only the product ``γα``. If nothing else separates its factors, fits reach the same likelihood
with different rewards (theory, section 3). Restarts show this; a single fit cannot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from scipy.stats import rankdata

from simbench.files.matrix import Matrix, take_rows
from simbench.log.feedback import FeedbackLog
from simbench.streams import seed_of
from simbench.training.batches import split_by_prompt
from simbench.training.contract import Trainable
from simbench.training.holdout import Holdout
from simbench.training.inputs import inputs_of
from simbench.training.losses import click_nll
from simbench.training.train import train
from simbench.training.trainer import RESTART, Execution

RULE = "the fit that began at even odds where it is among the likeliest, else the likeliest"
RANKS_ALIKE = 0.88  # rank correlation from which equally likely rewards count as the same ranking
SAME = 2.0  # standard errors up to which a paired difference in held-out log-likelihood is no difference
SLACK = 1e-4  # nats per response below which a difference is rounding and optimisation, not evidence
APART = 0.2  # RMS difference above which two rewards disagree: two fits of one law reach .13 by noise alone
ROWS = 2000  # rows of the log on which rewards are compared


class TwoHeaded(Protocol):
    """A fitted model that predicts rewards and propensities."""

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities ``γ̂``, shape (R, m)."""
        ...

    def predict_propensity(self, inputs: Matrix) -> np.ndarray:
        """Propensities ``α̂``, shape (R, m)."""
        ...


@dataclass(frozen=True)
class Restarts:
    """S fits of each of R replicates; predictions are those of the fit that :data:`RULE` chooses.

    Parameters
    ----------
    model : TwoHeaded
        All fits; row ``i * S + s`` is restart ``s`` of replicate ``i``.
    held_out_loss : ndarray, shape (R, S)
        Mean negative log-likelihood of the held-out feedback, in nats.
    near : ndarray of bool, shape (R, S)
        Whether a fit's likelihood is within sampling error of the replicate's best.
    rewards : ndarray, shape (R, S, k)
        Predicted reward ``γ̂`` on k rows of the log.
    """

    model: TwoHeaded
    held_out_loss: np.ndarray
    near: np.ndarray
    rewards: np.ndarray

    @cached_property
    def chosen(self) -> np.ndarray:
        """Number of the restart that :data:`RULE` keeps, shape (R,); the likeliest if the fits agree."""
        even_start = self.disagree & self.near[:, 0]
        return np.where(even_start, 0, self.held_out_loss.argmin(1))

    @cached_property
    def spread(self) -> np.ndarray:
        """Largest RMS difference between two rewards that the likelihood does not tell apart, shape (R,)."""
        return self._compared(_largest_distance)

    @cached_property
    def rank_agreement(self) -> np.ndarray:
        """Smallest rank correlation of two rewards that the likelihood does not tell apart, shape (R,)."""
        return self._compared(least_correlation)

    def _compared(self, measure: Callable[[np.ndarray], float]) -> np.ndarray:
        """The measure of each replicate's fits that the likelihood does not tell apart, shape (R,)."""
        return np.array([measure(own[near]) for own, near in zip(self.rewards, self.near, strict=True)])

    @property
    def disagree(self) -> np.ndarray:
        """Whether two equally likely fits differ by more than :data:`APART`, bool, shape (R,)."""
        return self.spread > APART

    @property
    def diagnostics(self) -> dict[str, np.ndarray]:
        """Spread, rank agreement and whether the fits disagree (0 or 1), each of shape (R,), for a study."""
        return {
            "restart_spread": self.spread,
            "restart_rank_agreement": self.rank_agreement,
            "restarts_disagree": self.disagree.astype(float),
        }

    @property
    def warning(self) -> str | None:
        """One sentence if the log does not decide between rewards, else None."""
        if not self.disagree.any():
            return None
        alike = self.rank_agreement.min() >= RANKS_ALIKE
        what = "the level of the reward is not identified" if alike else "the reward is not identified"
        return (
            f"{what}: restarts reach the same likelihood with rewards up to {self.spread.max():.2f} "
            f"apart (RMS), rank correlation {self.rank_agreement.min():.2f}; kept by rule: {RULE}."
        )

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities of the kept fits, shape (R, m)."""
        return self.model.predict(features)[self.kept]

    def predict_propensity(self, inputs: Matrix) -> np.ndarray:
        """Propensities of the kept fits, shape (R, m)."""
        return self.model.predict_propensity(inputs)[self.kept]

    @property
    def kept(self) -> np.ndarray:
        """Row of the model that is each replicate's kept fit, shape (R,)."""
        replicates, restarts = self.near.shape
        return np.arange(replicates) * restarts + self.chosen


def train_restarts(
    estimator: Trainable,
    log: FeedbackLog,
    replicates: Sequence[int],
    restarts: int,
    holdout: Holdout | None = None,
    execution: Execution | None = None,
) -> Restarts:
    """Fit every replicate from ``restarts`` starting points, all in one stacked training.

    Parameters
    ----------
    estimator : Estimator
        An estimator with a reward and a propensity head; its ``initial_shift`` sets restarts apart.
    log : FeedbackLog
        Feedback of shape (R, n).
    replicates : sequence of int, length R
        Replicate numbers, from which the initial weights derive.
    restarts : int
        Number of fits per replicate.
    holdout : Holdout, optional
        See :func:`simbench.training.train.train`; whatever it is, the feedback decides which restart is kept.
    execution : Execution, optional
        See :func:`simbench.training.train.train`.

    Returns
    -------
    Restarts
    """
    number = [restart * RESTART + replicate for replicate in replicates for restart in range(restarts)]
    rows = np.repeat(np.arange(log.n_replicates), restarts)
    holdout = holdout or Holdout()
    own = holdout.replicates(rows)
    model = train(estimator, log.replicates(rows), number, holdout=own, execution=execution)
    seed = seed_of(estimator.seed, "split")
    _, held_out = split_by_prompt(holdout.units(log.groups), estimator.validation_share, seed)
    reads = next(network for network in estimator.networks_for(log) if "propensity" in network.heads)
    loss = click_losses(model, log, held_out, restarts, inputs_of(reads, log))
    rng = np.random.default_rng(seed_of(estimator.seed, "compared rows"))
    rows = np.sort(rng.permutation(log.n_rows)[:ROWS])
    rewards = model.predict(log.features[rows]).reshape(log.n_replicates, restarts, -1)
    counted = True if log.shown is None else log.shown[:, None, held_out]
    return Restarts(model, loss.mean(2, where=counted), indistinguishable(loss, counted), rewards)


def click_losses(
    model: TwoHeaded, log: FeedbackLog, rows: np.ndarray, fits: int, inputs: Matrix | None = None
) -> np.ndarray:
    """Negative log-likelihood of the feedback in some rows of the log, in nats.

    Parameters
    ----------
    model : TwoHeaded
        Fitted model with ``fits`` successive rows for each replicate.
    log : FeedbackLog
    rows : ndarray of int64
        Rows of the log.
    fits : int
        Number of fits per replicate.
    inputs : Matrix, optional
        What the propensity reads; by default the context, or the features if there is none.

    Returns
    -------
    ndarray, shape (R, fits, len(rows))
    """
    click = click_probability(model, log, rows, inputs).reshape(log.n_replicates, fits, -1)
    return losses_of(click, log.feedback[:, None, rows])


def click_probability(
    model: TwoHeaded, log: FeedbackLog, rows: np.ndarray, inputs: Matrix | None = None
) -> np.ndarray:
    """Click probability ``P(r = 1)`` that each fit predicts in these rows, shape (fits, len(rows))."""
    if inputs is None:
        inputs = log.features if log.context is None else log.context
    propensity = model.predict_propensity(take_rows(inputs, rows))
    if log.always_acts is not None:
        propensity = np.where(log.always_acts[rows], 1.0, propensity)
    reward, slip = model.predict(take_rows(log.features, rows)), log.misclick or 0.0
    return (reward + (1 - reward) * slip) * propensity


def losses_of(click: np.ndarray, feedback: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of the feedback under click probabilities; shapes are broadcast."""
    log_p = torch.log(torch.as_tensor(click.clip(1e-12, 1 - 1e-12)))
    return click_nll(log_p, torch.as_tensor(feedback.astype(float))).numpy()  # a copy: a log is read-only


def indistinguishable(losses: np.ndarray, counted: np.ndarray | bool = True) -> np.ndarray:
    """Which fits have a held-out likelihood within sampling error of the replicate's best.

    Differences are paired: two fits are judged on the same responses.

    Parameters
    ----------
    losses : ndarray, shape (R, S, n)
        Negative log-likelihood of n responses under S fits of each of R replicates.
    counted : ndarray of bool, shape (R, 1, n), optional
        Responses that were shown, if not all were.

    Returns
    -------
    ndarray of bool, shape (R, S)
    """
    best = losses.mean(2, where=counted).argmin(1)
    difference = losses - np.take_along_axis(losses, best[:, None, None], 1)
    count = losses.shape[2] if counted is True else np.sum(counted, axis=2)
    error = difference.std(2, where=counted) / np.sqrt(count)
    return difference.mean(2, where=counted) <= np.maximum(SAME * error, SLACK)


def _largest_distance(rewards: np.ndarray) -> float:
    return max(float(np.sqrt(((rewards - one) ** 2).mean(1)).max()) for one in rewards)


def least_correlation(rewards: np.ndarray) -> float:
    """Smallest rank correlation of any two of the rewards, (fits, k); 1 if fewer than two of them vary."""
    varying = rewards[np.ptp(rewards, axis=1) > 1e-9]
    return float(np.corrcoef(rankdata(varying, axis=1)).min()) if len(varying) > 1 else 1.0
