"""Fits under a protocol: several settings, one of them kept for each log, and calibration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from simbench.estimator import Estimator, FittedReplicates
from simbench.holdout import Holdout
from simbench.log import FeedbackLog, Truth
from simbench.protocol import Protocol
from simbench.streams import seed_of
from simbench.training import split_by_prompt
from simbench.world import Population


@dataclass(frozen=True)
class Fit:
    """One setting's model and what it predicts of the test responses, shape (R, m)."""

    model: FittedReplicates
    predictions: np.ndarray


def holdout_of(protocol: Protocol, truth: Truth) -> Holdout:
    """What the protocol lets training hold out and see."""
    labels = truth.preference.astype(np.float32) if protocol.oracle_stopping else None
    return Holdout(protocol.split, labels)


def fit_under(
    protocol: Protocol,
    make: Callable[[dict[str, Any]], Estimator],
    settings: Sequence[dict[str, Any]],
    log: FeedbackLog,
    truth: Truth,
    test: Population,
    calibrated: bool,
) -> tuple[np.ndarray, FittedReplicates, np.ndarray]:
    """Fit every setting, keep one for each replicate, calibrate.

    Parameters
    ----------
    protocol : Protocol
    make : callable
        The estimator with a setting laid over its parameters.
    settings : sequence of dict
        The first changes nothing.
    log : FeedbackLog
        As granted.
    truth : Truth
        Of the log: read by a switch that is named oracle, else by nothing.
    test : Population
        Its features; its reward under ``oracle_selection`` alone.
    calibrated : bool
        Whether the protocol calibrates this estimator.

    Returns
    -------
    predictions : ndarray, shape (R, m)
    model : FittedReplicates
        Of the first setting.
    chosen : ndarray of int, shape (R,)
        Number of the setting that was kept.

    Raises
    ------
    ValueError
        If a model's predictions have another shape.
    """
    holdout = holdout_of(protocol, truth)
    fits, estimator = [], make({})
    expected = (log.n_replicates, len(test.features))
    for setting in settings:
        one = make(setting)
        # an estimator from outside need not know of protocols to run under the usual one
        model = one.fit_replicates(log) if holdout.is_usual else one.fit_replicates(log, holdout=holdout)
        predictions = model.predict(test.features)
        if np.shape(predictions) != expected:
            raise ValueError(f"the predictions have shape {np.shape(predictions)}, not {expected}")
        if calibrated:
            predictions = isotonic(model, predictions, log, truth, estimator, holdout)
        fits.append(Fit(model, predictions))
    chosen = np.zeros(log.n_replicates, dtype=int)
    if len(fits) > 1:
        score = [_test_error(fit, test) if protocol.oracle_selection else _held_out(fit) for fit in fits]
        chosen = np.argmin(score, axis=0)
    kept = np.stack([fit.predictions for fit in fits])[chosen, np.arange(log.n_replicates)]
    return kept, fits[0].model, chosen


def _test_error(fit: Fit, test: Population) -> np.ndarray:
    """Squared error against the true reward: R² on the test responses falls as it rises. Shape (R,)."""
    return np.nan_to_num(((fit.predictions - test.reward) ** 2).mean(1), nan=np.inf)


def _held_out(fit: Fit) -> np.ndarray:
    """Held-out criterion of each replicate, shape (R,); of the likeliest restart, where there are several."""
    loss = getattr(fit.model, "held_out_loss", np.full(len(fit.predictions), np.inf))
    if loss.ndim == 2:
        loss = loss.min(1)
    return np.nan_to_num(loss, nan=np.inf)


def isotonic(
    model: FittedReplicates,
    predictions: np.ndarray,
    log: FeedbackLog,
    truth: Truth,
    estimator: Estimator,
    holdout: Holdout,
) -> np.ndarray:
    """Predictions mapped by isotonic regression of the held-out ``r*`` on the held-out predictions."""
    share = estimator.get_params().get("validation_share", 0.0)
    seed = seed_of(estimator.get_params().get("seed", 0), "split")
    _, rows = split_by_prompt(holdout.units(log.groups), share, seed)
    seen, labels = model.predict(log.features[rows]), truth.preference[:, rows]
    maps = (IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1) for _ in seen)
    pairs = zip(maps, seen, labels, predictions, strict=True)
    return np.stack([one.fit(p, z).predict(new) for one, p, z, new in pairs])
