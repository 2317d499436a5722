"""Which further knowledge would help most, and how many labels? Answered on logs drawn from the fit itself.

The fitted reward and propensity are taken for the truth, logs are redrawn from them on the same responses,
and the reward is fitted again with each kind of knowledge: a parametric bootstrap of what it is worth.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from simbench.estimator import Estimator
from simbench.log import FeedbackLog
from simbench.registry import find
from simbench.streams import stream

LABEL_SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)
ENOUGH = 0.1  # RMSE of the reward at which labels are called enough
SHARPEST = 1e-3  # propensities told in the redrawn logs are kept away from 0 and 1


@dataclass(frozen=True)
class Worth:
    """What knowing something would leave of the error: RMSE of the reward, in units of probability."""

    knowledge: str
    rmse: float
    labels: int = 0


def worth_of_knowledge(
    log: FeedbackLog, reward: np.ndarray, propensity: np.ndarray, estimator: Estimator, replicates: int = 4
) -> list[Worth]:
    """Error of the reward with each further kind of knowledge, on logs drawn from the fit.

    Parameters
    ----------
    log : FeedbackLog
        Of one replicate; what it already tells is told in every row of the answer.
    reward, propensity : ndarray, shape (n,)
        Of the fit.
    estimator : Estimator
        Of the ImplicitRM family, with unknown propensity.
    replicates : int

    Returns
    -------
    list of Worth
        "nothing more" first, then by error.
    """
    propensity = propensity.clip(SHARPEST, 1 - SHARPEST)
    draws = [
        stream(estimator.get_params()["seed"], "worth", i).random((3, log.n_rows)) for i in range(replicates)
    ]
    preference = np.array([draw[0] < reward for draw in draws])
    acts = np.array([draw[1] < propensity for draw in draws])
    again = replace(
        log.replicates(np.zeros(replicates, dtype=np.int64)), feedback=(preference & acts).astype(np.float32)
    )

    def error(told: FeedbackLog, who: Estimator = estimator) -> float:
        fitted = who.fit_replicates(told).predict(log.features)
        return float(np.sqrt(((fitted - reward) ** 2).mean()))

    knowing = find("implicitrm-known")(**_shared(estimator))
    nothing = Worth("nothing more", error(again))
    more = [
        Worth("the class prior", error(replace(again, class_prior=float(reward.mean())))),
        Worth("the action rate", error(replace(again, action_rate=float(propensity.mean())))),
        Worth("the propensity", error(replace(again, propensity=propensity), knowing)),
        _labels(error, again, preference, [draw[2] for draw in draws]),
    ]
    return [nothing, *sorted(more, key=lambda worth: worth.rmse)]


def _labels(
    error: Callable[[FeedbackLog], float], log: FeedbackLog, preference: np.ndarray, draws: list[np.ndarray]
) -> Worth:
    """The smallest share of explicit labels that is enough, or the largest tried."""
    rmse, share = np.inf, 0.0
    for share in LABEL_SHARES:
        labels = np.where(np.array(draws) < share, preference, np.nan).astype(np.float32)
        rmse = error(replace(log, labels=labels))
        if rmse <= ENOUGH:
            break
    count = round(share * log.n_rows)
    return Worth(f"{count:,} explicit labels", rmse, count)


def _shared(estimator: Estimator) -> dict:
    """Hyper-parameters that every estimator has."""
    names = (
        "hidden",
        "lr",
        "batch_size",
        "epochs",
        "patience",
        "weight_decay",
        "validation_share",
        "seed",
        "device",
    )
    return {name: getattr(estimator, name) for name in names}
