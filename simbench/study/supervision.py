"""Fits an estimator under a protocol: tries settings, keeps one for each log, and calibrates."""

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
from simbench.training.trained import diagnostics_of
from simbench.training.trainer import Execution
from simbench.worlds.world import Population


@dataclass(frozen=True)
class Fit:
    """The predictions and losses of one setting, which outlive its fitted models.

    Parameters
    ----------
    predictions : ndarray, shape (R, m)
        Rewards ``γ̂`` of the test responses.
    held_out_loss : ndarray, shape (R,)
        Criterion on held-out feedback, lower is better; infinite if the model has none.
    diagnostics : dict of ndarray, shape (R,)
        The diagnostics of restarts, see :class:`simbench.training.restarts.Restarts`; and
        ``unconverged_share``, 1 where the best epoch is the last that was allowed.
    """

    predictions: np.ndarray
    held_out_loss: np.ndarray
    diagnostics: dict[str, np.ndarray]


@dataclass(frozen=True)
class Training:
    """How a study trains its estimators, whichever they are.

    Parameters
    ----------
    holdout : Holdout
    memory_budget : int
        Bytes that the replicates training at once may take.
    execution : Execution or None
        None for the usual one: fp32 under the usual memory budget.
    """

    holdout: Holdout
    memory_budget: int
    execution: Execution | None

    @property
    def precision(self) -> Precision:
        """Precision of matrix products."""
        return "fp32" if self.execution is None else self.execution.precision

    def departures(self, estimator: Estimator, holdout: Holdout) -> dict[str, Any]:
        """The arguments of ``fit_replicates`` that differ from the usual.

        So an estimator from outside need not know of protocols and precisions to run under the usual ones,
        nor of the memory budget, which changes no number.
        """
        unusual: dict[str, Any] = {} if holdout.is_usual else {"holdout": holdout}
        takes = "execution" in inspect.signature(estimator.fit_replicates).parameters
        if self.execution is not None and (takes or self.precision != "fp32"):
            unusual["execution"] = self.execution
        return unusual


def holdout_of(protocol: EvaluationProtocol, truth: Truth) -> Holdout:
    """What training holds out under a protocol, and the labels that it may see there."""
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
    first: int = 0,
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Fit an estimator with every setting, keep the best for each replicate, and calibrate if asked.

    Parameters
    ----------
    protocol : EvaluationProtocol
    make : callable
        Makes the estimator with a setting laid over its parameters.
    settings : sequence of dict
        The first changes nothing.
    log : FeedbackLog
        With what is granted.
    truth : Truth
        Of the log; read only by the protocol's switches that begin with ``oracle_``.
    test : Population
        The test responses; their reward is read under ``oracle_selection`` alone.
    calibrated : bool
        Whether the protocol calibrates this estimator.
    memory_budget : int
        Bytes that the replicates training at once may take.
    execution : Execution, optional
        Given only if it is not the usual one; an estimator from outside that does not take an execution
        cannot run under another precision.
    first : int
        Number of the first replicate of the log to fit.

    Returns
    -------
    predictions : ndarray, shape (R - first, m)
    diagnostics : dict
        Those of the first setting, see :class:`Fit`.
    chosen : ndarray of int, shape (R - first,)
        Number of the setting that was kept for each replicate.

    Raises
    ------
    ValueError
        If the predictions of a model have the wrong shape.
    """
    holdout = holdout_of(protocol, truth)
    seen_by = make({}) if calibrated else None
    how = Training(holdout, memory_budget, execution)
    fits = [_fit(make(setting), log, truth, test, how, seen_by, first) for setting in settings]
    chosen = np.zeros(log.n_replicates - first, dtype=int)
    if len(fits) > 1:
        score = [_test_error(fit, test) if protocol.oracle_selection else fit.held_out_loss for fit in fits]
        chosen = np.argmin(score, axis=0)
    kept = np.stack([fit.predictions for fit in fits])[chosen, np.arange(len(chosen))]
    return kept, fits[0].diagnostics, chosen


def _fit(
    estimator: Estimator,
    log: FeedbackLog,
    truth: Truth,
    test: Population,
    how: Training,
    calibrated_as: Estimator | None,
    first: int,
) -> Fit:
    """Fit and predict, from the first replicate on, as many at a time as the memory budget holds.

    Only predictions outlive a chunk, so that memory does not grow with the fitted networks.
    """
    chunk = log.n_replicates
    parameters = estimator.get_params()
    if "hidden" in parameters:  # else it is trained by someone else's code, one by one
        fits = parameters.get("restarts", 1)
        chunk = max(1, chunk_size(estimator, log, how.memory_budget, how.precision) // fits)
    predictions, losses, diagnostics = [], [], []
    for start in range(first, log.n_replicates, chunk):
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
        own = diagnostics_of(model, parameters.get("epochs"))
        diagnostics.append({name: np.broadcast_to(values, len(numbers)) for name, values in own.items()})
    each = {name: np.concatenate([part[name] for part in diagnostics]) for name in diagnostics[0]}
    whole = predictions[0] if len(predictions) == 1 else np.concatenate(predictions)
    return Fit(whole, np.concatenate(losses), each)


def _test_error(fit: Fit, test: Population) -> np.ndarray:
    """Squared error against the true reward, shape (R,); the smallest one has the highest R²."""
    return np.nan_to_num(((fit.predictions - test.reward) ** 2).mean(1), nan=np.inf)


def _held_out(model: FittedReplicates, count: int) -> np.ndarray:
    """Held-out criterion of each replicate, shape (R,); that of the best restart if there are several."""
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
    """Calibrate predictions by isotonic regression of the held-out ``r*`` on the held-out predictions.

    Parameters
    ----------
    model : FittedReplicates
    predictions : ndarray, shape (R, m)
    log : FeedbackLog
        That the model was fitted on.
    preference : ndarray of bool, shape (R, n)
        ``r*`` of the log.
    estimator : Estimator
        Its seed and validation share say which responses were held out.
    holdout : Holdout

    Returns
    -------
    ndarray, shape (R, m), in [0, 1]
    """
    share = estimator.get_params().get("validation_share", 0.0)
    seed = seed_of(estimator.get_params().get("seed", 0), "split")
    _, rows = split_by_prompt(holdout.units(log.groups), share, seed)
    seen, labels = model.predict(take_rows(log.features, rows)), preference[:, rows]
    shown = np.ones(seen.shape, dtype=bool) if log.shown is None else log.shown[:, rows]
    maps = (IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1) for _ in seen)
    pairs = zip(maps, seen, labels, shown, predictions, strict=True)
    return np.stack([one.fit(p[there], z[there]).predict(new) for one, p, z, there, new in pairs])
