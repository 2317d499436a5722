"""Fits under a protocol: several settings, one of them kept for each log, and calibration."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from simbench.estimator.estimator import Estimator
from simbench.files.matrix import take_rows
from simbench.log.feedback import FeedbackLog, Truth
from simbench.streams import seed_of
from simbench.study.protocol import EvaluationProtocol
from simbench.training.batches import split_by_prompt
from simbench.training.contract import MEMORY_BUDGET, FittedReplicates
from simbench.training.holdout import Holdout
from simbench.training.precision import Precision
from simbench.training.train import chunk_size
from simbench.training.trainer import Execution
from simbench.worlds.world import Population


@dataclass(frozen=True)
class Fit:
    """Predictions and losses of one setting, kept once its fitted models are discarded.

    Parameters
    ----------
    predictions : ndarray, shape (R, m)
        Of the test responses.
    held_out_loss : ndarray, shape (R,)
    diagnostics : dict
        Means over replicates of what restarts say, see :class:`simbench.training.restarts.Restarts`.
    """

    predictions: np.ndarray
    held_out_loss: np.ndarray
    diagnostics: dict[str, float]


@dataclass(frozen=True)
class Training:
    """How a study has its estimators trained, which no estimator decides."""

    holdout: Holdout
    memory_budget: int
    execution: Execution | None

    @property
    def precision(self) -> Precision:
        return "fp32" if self.execution is None else self.execution.precision

    def departures(self, estimator: Estimator, holdout: Holdout) -> dict[str, Any]:
        """Arguments of ``fit_replicates`` that depart from the usual.

        An estimator from outside need not know of protocols and precisions to run under the usual ones, nor
        of a memory budget, which decides no number.
        """
        unusual: dict[str, Any] = {} if holdout.is_usual else {"holdout": holdout}
        takes = "execution" in inspect.signature(estimator.fit_replicates).parameters
        if self.execution is not None and (takes or self.precision != "fp32"):
            unusual["execution"] = self.execution
        return unusual


def holdout_of(protocol: EvaluationProtocol, truth: Truth) -> Holdout:
    """What the protocol lets training hold out and see."""
    labels = truth.preference.astype(np.float32) if protocol.oracle_stopping else None
    return Holdout(protocol.split, labels)


def fit_under(
    protocol: EvaluationProtocol,
    make: Callable[[dict[str, Any]], Estimator],
    settings: Sequence[dict[str, Any]],
    log: FeedbackLog,
    truth: Truth,
    test: Population,
    calibrated: bool,
    memory_budget: int = MEMORY_BUDGET,
    execution: Execution | None = None,
) -> tuple[np.ndarray, dict[str, float], np.ndarray]:
    """Fit every setting, keep one for each replicate, calibrate.

    Parameters
    ----------
    protocol : EvaluationProtocol
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
    memory_budget : int, bytes
        What the replicates that train at once may take.
    execution : Execution, optional
        Where it is not the usual one; an estimator from outside that does not take it cannot run so.

    Returns
    -------
    predictions : ndarray, shape (R, m)
    diagnostics : dict
        Of the first setting, see :class:`Fit`.
    chosen : ndarray of int, shape (R,)
        Number of the setting that was kept.

    Raises
    ------
    ValueError
        If a model's predictions have another shape.
    """
    holdout = holdout_of(protocol, truth)
    seen_by = make({}) if calibrated else None
    how = Training(holdout, memory_budget, execution)
    fits = [_fit(make(setting), log, truth, test, how, seen_by) for setting in settings]
    chosen = np.zeros(log.n_replicates, dtype=int)
    if len(fits) > 1:
        score = [_test_error(fit, test) if protocol.oracle_selection else fit.held_out_loss for fit in fits]
        chosen = np.argmin(score, axis=0)
    kept = np.stack([fit.predictions for fit in fits])[chosen, np.arange(log.n_replicates)]
    return kept, fits[0].diagnostics, chosen


def _fit(
    estimator: Estimator,
    log: FeedbackLog,
    truth: Truth,
    test: Population,
    how: Training,
    calibrated_as: Estimator | None,
) -> Fit:
    """Fit and predict as many replicates at a time as the memory budget holds.

    Only predictions outlive a chunk, so that memory does not grow with the fitted networks.
    """
    chunk = log.n_replicates
    parameters = estimator.get_params()
    if "hidden" in parameters:  # else it is trained by someone else's code, one by one
        fits = parameters.get("restarts", 1)
        chunk = max(1, chunk_size(estimator, log, how.memory_budget, how.precision) // fits)
    predictions, losses, diagnostics, sizes = [], [], [], []
    for start in range(0, log.n_replicates, chunk):
        rows = slice(start, min(start + chunk, log.n_replicates))
        numbers, part = range(rows.start, rows.stop), log.replicates(rows)
        own = how.holdout.replicates(rows)
        model = estimator.fit_replicates(part, numbers, **how.departures(estimator, own))
        predicted, expected = model.predict(test.features), (len(numbers), len(test.features))
        if np.shape(predicted) != expected:
            raise ValueError(f"the predictions have shape {np.shape(predicted)}, not {expected}")
        if calibrated_as is not None:
            preference = truth.preference[rows]
            predicted = isotonic(model, predicted, part, preference, calibrated_as, own)
        predictions.append(predicted)
        losses.append(_held_out(model, len(numbers)))
        diagnostics.append(getattr(model, "diagnostics", {}))
        sizes.append(len(numbers))
    means = {key: float(np.average([d[key] for d in diagnostics], weights=sizes)) for key in diagnostics[0]}
    whole = predictions[0] if len(predictions) == 1 else np.concatenate(predictions)
    return Fit(whole, np.concatenate(losses), means)


def _test_error(fit: Fit, test: Population) -> np.ndarray:
    """Squared error against the true reward: R² on the test responses falls as it rises. Shape (R,)."""
    return np.nan_to_num(((fit.predictions - test.reward) ** 2).mean(1), nan=np.inf)


def _held_out(model: FittedReplicates, count: int) -> np.ndarray:
    """Held-out criterion of each replicate, shape (R,); of the likeliest restart, where there are several."""
    loss = getattr(model, "held_out_loss", np.full(count, np.inf))
    if loss.ndim == 2:
        loss = loss.min(1)
    return np.nan_to_num(loss, nan=np.inf)


def isotonic(
    model: FittedReplicates,
    predictions: np.ndarray,
    log: FeedbackLog,
    preference: np.ndarray,
    estimator: Estimator,
    holdout: Holdout,
) -> np.ndarray:
    """Predictions mapped by isotonic regression of the held-out ``r*`` on the held-out predictions."""
    share = estimator.get_params().get("validation_share", 0.0)
    seed = seed_of(estimator.get_params().get("seed", 0), "split")
    _, rows = split_by_prompt(holdout.units(log.groups), share, seed)
    seen, labels = model.predict(take_rows(log.features, rows)), preference[:, rows]
    maps = (IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1) for _ in seen)
    pairs = zip(maps, seen, labels, predictions, strict=True)
    return np.stack([one.fit(p, z).predict(new) for one, p, z, new in pairs])
