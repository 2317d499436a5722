"""Click probabilities of every response, cross-fitted and calibrated, with their sampling error."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import t as student

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import configured
from simbench.log.feedback import FeedbackLog
from simbench.reward import CLICK_ESTIMATOR
from simbench.reward.clustered import clusters_of
from simbench.reward.diagnosis.cross_fit import prompt_folds
from simbench.training.trained import require_trained

FOLDS = 10
EDGE = 1e-6  # probabilities are kept so far from 0 and 1
OF_A_NETWORK = {
    "seed",
    "hidden",
    "lr",
    "batch_size",
    "epochs",
    "patience",
    "weight_decay",
    "validation_share",
    "device",
}


@dataclass(frozen=True)
class ClickFits:
    """Click probabilities by fits of which each left one part of the log out.

    Parameters
    ----------
    logits : ndarray, shape (K, n), float64
        Of every response by every fit, calibrated on unseen feedback.
    fold : ndarray, shape (n,), int64
        Number of the fit that did not see the response.
    """

    logits: np.ndarray
    fold: np.ndarray

    @property
    def unseen(self) -> np.ndarray:
        """Click probability of each response by the fit that did not see it, shape (n,)."""
        return expit(self.logits[self.fold, np.arange(len(self.fold))])

    def limits(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Return two-sided limits of the click probabilities, each of shape (n,).

        The error is the delete-a-group jackknife's (Kott, Journal of Official Statistics 17, 2001) over the K
        fits, on the scale of the logit. It holds sampling error and that of training, not what the shape of
        the model cannot follow: no method bounds that for single responses without assumptions (Barber,
        Electronic Journal of Statistics 14, 2020).

        Parameters
        ----------
        level : float in (0, 1)
        """
        count = len(self.logits)
        error = np.sqrt((count - 1) * self.logits.var(0))
        half = float(student.ppf(0.5 + level / 2, count - 1)) * error
        centre = logit(self.unseen)
        return expit(centre - half), expit(centre + half)


def click_estimator(parameters: dict[str, Any]) -> Estimator:
    """The estimator of click probabilities.

    Raises
    ------
    BadInput
        If it does not take one of the parameters, or one is out of its range.
    """
    return configured(CLICK_ESTIMATOR, parameters)


def network_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Those hyper-parameters that every network has, of an estimator that may have others."""
    return {name: value for name, value in parameters.items() if name in OF_A_NETWORK}


def click_fits(estimator: Estimator, log: FeedbackLog, folds: int = FOLDS) -> list[ClickFits]:
    """Fit click probabilities ``P(r = 1 | x)`` K times, each without one part of the prompts (or users).

    Parameters
    ----------
    estimator : Estimator
        One that predicts the feedback itself from the features: ``naive``.
    log : FeedbackLog
        Of R replicates, which train in one stack.
    folds : int
        Number K of parts.

    Returns
    -------
    list of ClickFits, one a replicate

    Raises
    ------
    BadInput
        If a fit does not train, or there are fewer than 30 prompts (or users).
    """
    plain = FeedbackLog(log.features, log.feedback, clusters_of(log))
    logits = np.empty((folds, log.n_replicates, log.n_rows))
    fold = np.empty(log.n_rows, dtype=np.int64)
    seed = estimator.get_params()["seed"]
    for number, (seen, unseen) in enumerate(prompt_folds(plain.groups, folds, seed)):
        model = estimator.fit_replicates(learnable(plain, seen))
        require_trained(model, estimator.name)
        logits[number] = logit(model.predict(log.features).clip(EDGE, 1 - EDGE))
        fold[unseen] = number
    everywhere = np.ones(log.n_rows, dtype=bool)
    return [
        calibrated(logits[:, row], fold, log.feedback[row], everywhere) for row in range(log.n_replicates)
    ]


def learnable(log: FeedbackLog, rows: np.ndarray) -> FeedbackLog:
    """The log of some rows, in which both clicks and missing clicks must be left to learn from.

    Raises
    ------
    BadInput
        If one of them is not.
    """
    clicks = log.feedback[:, rows].mean(1)
    if (clicks == 0).any() or (clicks == 1).any():
        raise BadInput("clicks (or missing clicks) stand in too few prompts to hold any out: log more.")
    return log.rows(rows)


def calibrated(logits: np.ndarray, fold: np.ndarray, feedback: np.ndarray, counted: np.ndarray) -> ClickFits:
    """The fits with a slope and an intercept by which unseen logits predict clicks (Platt, 1999).

    Parameters
    ----------
    logits : ndarray, shape (K, n), float64
    fold : ndarray, shape (n,), int64
        Number of the fit that did not see the response.
    feedback : ndarray, shape (n,), in {0, 1}
    counted : ndarray, shape (n,), bool
        Responses on which the line is fitted.
    """
    own = logits[fold, np.arange(len(fold))][counted]
    clicks = feedback[counted].astype(float)

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        value = line[0] * own + line[1]
        error = expit(value) - clicks
        slope = np.array([(error * own).mean(), error.mean()])
        return float((np.logaddexp(0, value) - clicks * value).mean()), slope

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    limit = logit(1 - EDGE)
    line = max(float(slope), 0.0) * logits + intercept  # below 0 the fits are worse than a constant
    return ClickFits(line.clip(-limit, limit), fold)
