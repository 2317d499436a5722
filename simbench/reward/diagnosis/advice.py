"""Estimates which further knowledge would help most, and how many labels, on logs drawn from the fits.

This is a parametric bootstrap over what the log leaves open: each of several fits that the log does not tell
apart is taken for the truth in turn, a log is redrawn from it on the same responses, and the reward is fitted
again with each kind of knowledge.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import likelihood
from simbench.log.feedback import FeedbackLog
from simbench.streams import stream

LABEL_SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)
ENOUGH = 0.1  # RMSE of the reward at which labels are called enough
SHARPEST = 1e-3  # propensities told in the redrawn logs are kept away from 0 and 1
TRUTHS = 4  # fits that are taken for the truth
HYPER = (
    *("hidden", "lr", "batch_size", "epochs", "patience"),
    *("weight_decay", "validation_share", "seed", "device"),
)


@dataclass(frozen=True)
class Worth:
    """The error of the reward that would remain if something more were known.

    Parameters
    ----------
    knowledge : str
        What would be known, in words.
    rmse : float
        Root-mean-square error of the reward, in units of probability.
    labels : int
        Number of explicit labels, 0 if the knowledge is another.
    """

    knowledge: str
    rmse: float
    labels: int = 0


@dataclass(frozen=True)
class _Redrawn:
    """A log drawn from one fit, and that fit."""

    log: FeedbackLog
    reward: np.ndarray
    propensity: np.ndarray
    preference: np.ndarray
    uniform: np.ndarray


def worth_of_knowledge(
    log: FeedbackLog, rewards: np.ndarray, propensities: np.ndarray, estimator: Estimator
) -> list[Worth]:
    """Estimate the error of the reward with each further kind of knowledge, on logs drawn from the fits.

    Parameters
    ----------
    log : FeedbackLog
        A log of one replicate; what it tells already is told in every row of the answer.
    rewards, propensities : ndarray, shape (k, n), in [0, 1]
        ``γ̂`` and ``α̂`` of k fits that the log does not tell apart.
    estimator : Estimator
        One of the ImplicitRM family, with unknown propensity.

    Returns
    -------
    list of Worth
        "nothing more" first, the others by increasing error.
    """
    order = rewards.mean(1).argsort()
    chosen = order[np.unique(np.linspace(0, len(order) - 1, TRUTHS).round().astype(int))]
    seed = estimator.get_params()["seed"]
    drawn = [_redraw(log, rewards[i], propensities[i], seed, number) for number, i in enumerate(chosen)]
    knowing = likelihood(propensity_is_told=True)(**{name: getattr(estimator, name) for name in HYPER})
    nothing = Worth("nothing more", _error(estimator, drawn, lambda one: {}))
    more = [
        Worth("the class prior", _error(estimator, drawn, lambda o: {"class_prior": float(o.reward.mean())})),
        Worth(
            "the action rate", _error(estimator, drawn, lambda o: {"action_rate": float(o.propensity.mean())})
        ),
        Worth("the propensity", _error(knowing, drawn, lambda o: {"propensity": o.propensity})),
        _labels(estimator, drawn),
    ]
    return [nothing, *sorted(more, key=lambda worth: worth.rmse)]


def _redraw(log: FeedbackLog, reward: np.ndarray, propensity: np.ndarray, seed: int, number: int) -> _Redrawn:
    propensity = propensity.clip(SHARPEST, 1 - SHARPEST)
    draws = stream(seed, "worth", number).random((3, log.n_rows))
    preference = draws[0] < reward
    feedback = (preference & (draws[1] < propensity)).astype(np.float32)[None]
    return _Redrawn(replace(log, feedback=feedback), reward, propensity, preference, draws[2])


def _error(estimator: Estimator, drawn: list[_Redrawn], told: Callable[[_Redrawn], dict[str, Any]]) -> float:
    """RMSE over all redrawn logs; ``told`` returns the fields of the log that hold what is known of it."""
    squares = []
    for one in drawn:
        fitted = estimator.fit_replicates(replace(one.log, **told(one))).predict(one.log.features)[0]
        squares.append(((fitted - one.reward) ** 2).mean())
    return float(np.sqrt(np.mean(squares)))


def _labels(estimator: Estimator, drawn: list[_Redrawn]) -> Worth:
    """The smallest share of explicit labels that is enough, or the largest tried."""
    rmse, share = np.inf, 0.0
    for share in LABEL_SHARES:

        def labels(one: _Redrawn, share: float = share) -> dict[str, Any]:
            known = np.where(one.uniform < share, one.preference, np.nan)
            return {"labels": known.astype(np.float32)[None]}

        rmse = _error(estimator, drawn, labels)
        if rmse <= ENOUGH:
            break
    count = max(1, round(share * len(drawn[0].reward)))  # of a few responses, a share is less than one
    return Worth(f"{count:,} explicit labels", rmse, count)
