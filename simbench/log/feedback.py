"""The two types that separate what a practitioner has from what only the bench knows."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from simbench.errors import BadInput
from simbench.files.matrix import (
    MappedMatrix,
    Matrix,
    as_matrix,
    first_not_finite,
    take_rows,
)


@dataclass(frozen=True)
class FeedbackLog:
    """Everything that an estimator may see. Its arrays are read-only: who changes one changes a copy.

    Parameters
    ----------
    features : ndarray or MappedMatrix, shape (n, d), float32
        Response features ``x``, shared by all replicates. A ``np.memmap`` becomes a
        :class:`simbench.files.matrix.MappedMatrix`: it stays on disk.
    feedback : ndarray, shape (R, n), float32 in {0, 1}
        Observed implicit feedback ``r``, one row per replicate.
    groups : ndarray, shape (n,), int64
        Prompt ids; validation data are split off by whole prompts.
    context : ndarray or MappedMatrix, shape (n, k), float32, optional
        Context features ``z`` (user activity, position, ...).
    propensity : ndarray, shape (n,) or (R, n), float64 in (0, 1], optional
        ``α(x, z)``, only where the run grants it; (R, n) where it was estimated per replicate.
    class_prior : float or ndarray of shape (R,), in (0, 1), optional
        ``π = E[γ]``, only where the run grants it; an array where it was estimated per replicate.
    labels : ndarray, shape (R, n), float32 in {0, 1} or NaN, optional
        Explicit labels of ``r*`` for a share of the responses; NaN where there is none.
    misclick : float in [0, 1), optional
        ``ε = P(r=1 | r*=0, a=1)``, only where the run grants it.
    action_rate : float in (0, 1), optional
        ``E[α]``, only where the run grants it.
    always_acts : ndarray, shape (n,), bool, optional
        Responses shown to users who are known to act whenever satisfied (``α = 1``), only where granted.
    weights : ndarray, shape (n,), float64, at least 0, optional
        How much each response counts in the mean loss, from whoever fits in Python; only ratios matter.
    strata : ndarray, shape (R, n), float32, optional
        Codes of groups that an estimator made of this log before training.
    signals : ndarray, shape (R, K, n), float32 in {0, 1}, optional
        Several signals per response; the first is the feedback.
    negative_signals : tuple of int
        Indices of the signals that express dissatisfaction (regenerate); never the first.
    page, rank : ndarray, shape (n,), int64, optional
        What one user was shown together, and the place of each response there from 0, where they are logged.
    user : ndarray, shape (n,), int64, optional
        User who was shown the response, where that is logged; intervals are then clustered by user.
    shown : ndarray, shape (R, n), bool, optional
        Responses that were shown; the others carry no feedback, and a replicate tells nothing of them. None
        if all were.

    Raises
    ------
    BadInput
        If lengths do not match, features are not finite, feedback is not 0 or 1, the log is empty, a
        replicate has no feedback or nothing else, a propensity lies outside (0, 1], the first signal is not
        the feedback, or a response that was not shown carries a signal.
    """

    features: Matrix
    feedback: np.ndarray
    groups: np.ndarray
    context: Matrix | None = None
    propensity: np.ndarray | None = None
    class_prior: float | np.ndarray | None = None
    labels: np.ndarray | None = None
    misclick: float | None = None
    action_rate: float | None = None
    always_acts: np.ndarray | None = None
    weights: np.ndarray | None = None
    strata: np.ndarray | None = None
    signals: np.ndarray | None = None
    negative_signals: tuple[int, ...] = ()
    page: np.ndarray | None = None
    rank: np.ndarray | None = None
    shown: np.ndarray | None = None
    user: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", as_matrix(self.features))
        check_matrix("features", self.features)
        n = self.features.shape[0]
        if self.feedback.ndim != 2:
            raise BadInput(f"feedback must have shape (replicates, rows), got {self.feedback.shape}.")
        _check_length("feedback", self.feedback.shape[1], n)
        _check_length("groups", len(self.groups), n)
        if self.shown is not None:
            _check_shown(self.shown, self.feedback, self.signals)
        _check_feedback(self.feedback, self.feedback_rate)
        if self.context is not None:
            object.__setattr__(self, "context", as_matrix(self.context))
            check_matrix("context", self.context)
            _check_length("context", len(self.context), n)
        if self.propensity is not None:
            if self.propensity.shape not in ((n,), self.feedback.shape):
                raise BadInput(
                    f"propensity has shape {self.propensity.shape}: it must be one value a row of features "
                    f"({n}), or one for each replicate and row."
                )
            _check_propensity(self.propensity)
        check_rates(self.class_prior, self.misclick, self.action_rate)
        if self.always_acts is not None:
            _check_length("always_acts", len(self.always_acts), n)
        if self.weights is not None:
            _check_length("weights", len(self.weights), n)
            _check_weights(self.weights, self.feedback)
        if self.labels is not None:
            if self.labels.shape != self.feedback.shape:
                raise BadInput(f"labels have shape {self.labels.shape} but feedback {self.feedback.shape}.")
            if not np.isin(self.labels[~np.isnan(self.labels)], (0, 1)).all():
                raise BadInput("labels must be 0, 1, or NaN where a response has none.")
        for name in ("page", "rank", "user"):
            value = getattr(self, name)
            if value is not None:
                _check_length(name, len(value), n)
        if self.signals is not None:
            _check_signals(self.signals, self.feedback, self.negative_signals)
        for field in fields(self):
            object.__setattr__(self, field.name, _read_only(getattr(self, field.name)))

    @property
    def n_replicates(self) -> int:
        """Number of replicates, R."""
        return self.feedback.shape[0]

    @property
    def n_rows(self) -> int:
        """Number of responses, n."""
        return self.feedback.shape[1]

    @property
    def feedback_rate(self) -> np.ndarray:
        """Share of the responses shown that have feedback, shape (R,)."""
        if self.shown is None:
            return self.feedback.mean(axis=1)
        return self.feedback.sum(axis=1) / self.n_shown.clip(1)

    @property
    def n_shown(self) -> np.ndarray:
        """Number of responses that were shown, shape (R,)."""
        return np.full(self.n_replicates, self.n_rows) if self.shown is None else self.shown.sum(axis=1)

    def with_feedback(self, feedback: np.ndarray) -> "FeedbackLog":
        """Return the same responses with other feedback (such as the oracle's), without the signals.

        It is 0 where a response was not shown, whatever is given.
        """
        if self.shown is not None:
            feedback = np.where(self.shown, feedback, np.float32(0))
        return replace(self, feedback=feedback, signals=None, negative_signals=())

    def rows_shown(self, replicate: int) -> np.ndarray | slice:
        """Return the numbers of the rows that a replicate showed, as an index: ``slice(None)`` for all."""
        return slice(None) if self.shown is None else np.flatnonzero(self.shown[replicate])

    def only_shown(self) -> "FeedbackLog":
        """Return a log of one replicate without the responses that it did not show.

        Raises
        ------
        BadInput
            If it has several replicates, which show different responses.
        """
        if self.shown is None:
            return self
        if self.n_replicates > 1:
            raise BadInput(
                f"the {self.n_replicates} replicates of this log show different responses: take one of them."
            )
        return replace(self.rows(np.flatnonzero(self.shown[0])), shown=None)

    def rows(self, rows: np.ndarray) -> "FeedbackLog":
        """Return the log of some of the responses."""
        last = (
            "feedback",
            "propensity",
            "always_acts",
            "labels",
            "weights",
            "strata",
            "signals",
            "page",
            "rank",
            "shown",
            "user",
        )
        parts = {name: value[..., rows] for name in last if (value := getattr(self, name)) is not None}
        context = None if self.context is None else take_rows(self.context, rows)
        own = {"features": take_rows(self.features, rows), "groups": self.groups[rows], "context": context}
        return replace(self, **own, **parts)

    def replicates(self, rows: slice | np.ndarray) -> "FeedbackLog":
        """Return the log of some of the replicates."""
        per_replicate = {"feedback": 2, "labels": 2, "strata": 2, "propensity": 2, "class_prior": 1}
        per_replicate |= {"signals": 3, "shown": 2}
        parts = {}
        for name, dimensions in per_replicate.items():
            value = getattr(self, name)
            parts[name] = value[rows] if np.ndim(value) == dimensions else value
        return replace(self, **parts)


@dataclass(frozen=True)
class Truth:
    """What is true of a log, for scoring and exact checks only.

    Parameters
    ----------
    reward : ndarray, shape (n,), float64 in [0, 1]
        ``γ(x) = P(r* = 1 | x)``.
    propensity : ndarray, shape (n,) or (R, n), float64 in (0, 1]
        ``α(x, z) = P(a = 1 | x, z)``; where ratings are drawn, ``α(t)`` of the rating in each replicate.
    preference : ndarray, shape (R, n), bool
        Latent draws ``r*``.
    always_acts : ndarray, shape (n,), bool, or None
        Responses whose users always act, if the world has any.
    propensity_of_good : ndarray, shape (n,), or None
        ``P(a = 1 | r* = 1, x)`` where it differs from ``propensity``, namely where users act on a rating
        that also decides the preference. Feedback has the probability ``γ`` times this.
    shown_probability : ndarray, shape (n,), or None
        ``P(shown)``, where not every response is; the propensity is then given that the response is shown.
    """

    reward: np.ndarray
    propensity: np.ndarray
    preference: np.ndarray
    always_acts: np.ndarray | None = None
    propensity_of_good: np.ndarray | None = None
    shown_probability: np.ndarray | None = None

    def mean_of_shown(self, values: np.ndarray) -> float:
        """Return the mean of values, (n,) or (R, n), over the responses that users are shown."""
        if self.shown_probability is None:
            return float(values.mean())
        return float(np.average(np.atleast_2d(values).mean(0), weights=self.shown_probability))


def check_rates(
    class_prior: float | np.ndarray | None, misclick: float | None, action_rate: float | None
) -> None:
    """Raise unless the rates that are told are probabilities, by the names and ranges of a log.

    Raises
    ------
    BadInput
        Naming the first that is none.
    """
    if class_prior is not None and not np.all((np.asarray(class_prior) > 0) & (np.asarray(class_prior) < 1)):
        raise BadInput(f"class_prior must lie strictly between 0 and 1, got {class_prior}.")
    if misclick is not None and not 0 <= misclick < 1:
        raise BadInput(f"misclick must lie in [0, 1), got {misclick}.")
    if action_rate is not None and not 0 < action_rate < 1:
        raise BadInput(f"action_rate must lie strictly between 0 and 1, got {action_rate}.")


def check_matrix(name: str, values: Matrix) -> None:
    """Raise unless ``values`` is a matrix that is not empty and has finite values only.

    A matrix on disk is read once; the result is remembered.

    Raises
    ------
    BadInput
        Naming the first value that is not finite, or the shape.
    """
    if values.ndim != 2:
        raise BadInput(f"{name} must be a matrix (rows, columns), got shape {values.shape}.")
    if values.shape[0] == 0 or values.shape[1] == 0:
        raise BadInput(f"{name} is empty (shape {values.shape}): there is nothing to learn from.")
    on_disk = isinstance(values, MappedMatrix)
    if on_disk and values.is_checked:
        return
    found = first_not_finite(values)
    if found is not None:
        row, column = found
        raise BadInput(
            f"{name} has a value that is not finite ({values[row][column]}) in row {row}, column "
            f"{column}: remove or impute it."
        )
    if on_disk:
        values.is_checked = True


def _read_only(value: Any) -> Any:
    """A view of an array that cannot be written through; anything else as it is."""
    if not isinstance(value, np.ndarray) or not value.flags.writeable:
        return value
    view = value.view()
    view.setflags(write=False)
    return view


def _check_length(name: str, found: int, expected: int) -> None:
    if found != expected:
        raise BadInput(f"{name} has {found} rows but features has {expected}: they must match.")


def _check_shown(shown: np.ndarray, feedback: np.ndarray, signals: np.ndarray | None) -> None:
    if shown.shape != feedback.shape:
        raise BadInput(f"shown has shape {shown.shape} but feedback {feedback.shape}.")
    carries = feedback != 0 if signals is None else (signals != 0).any(axis=-2)
    wrong = carries & ~shown
    if wrong.any():
        row = int(np.argwhere(wrong)[0, 1])
        raise BadInput(f"row {row} carries a signal, but was not shown: correct one of them.")


def _check_feedback(feedback: np.ndarray, rate: np.ndarray) -> None:
    wrong = ~((feedback == 0) | (feedback == 1))
    if wrong.any():
        replicate, row = np.argwhere(wrong)[0]
        raise BadInput(
            f"feedback must be 0 or 1, got {feedback[replicate, row]} in row {row}: threshold it first."
        )
    if (rate == 0).any():
        raise BadInput("feedback is all zero: without one click there is nothing to learn from.")
    if (rate == 1).any():
        raise BadInput("feedback is all one: without one missing click there is nothing to learn from.")


def _check_signals(signals: np.ndarray, feedback: np.ndarray, negative: tuple[int, ...]) -> None:
    replicates, rows = feedback.shape
    if signals.ndim != 3 or (signals.shape[0], signals.shape[2]) != (replicates, rows):
        raise BadInput(f"signals must have shape ({replicates}, signals, {rows}), got {signals.shape}.")
    if not ((signals == 0) | (signals == 1)).all():
        raise BadInput("signals must be 0 or 1: threshold them first.")
    if not np.array_equal(signals[:, 0], feedback):
        raise BadInput("the first of the signals must be the feedback itself.")
    if not all(0 < number < signals.shape[1] for number in negative):
        raise BadInput(f"negative_signals must be indices of signals after the first, got {negative}.")


def _check_weights(weights: np.ndarray, feedback: np.ndarray) -> None:
    wrong = ~((weights >= 0) & np.isfinite(weights))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise BadInput(f"weights must be finite and at least 0, got {weights[row]} in row {row}.")
    if not weights.any():
        raise BadInput("weights are zero in every row: there is nothing to learn from.")
    counted = feedback[:, weights > 0]
    if (counted.min(1) == counted.max(1)).any():
        raise BadInput("feedback has one class only where the weights are not zero.")


def _check_propensity(propensity: np.ndarray) -> None:
    wrong = ~((propensity > 0) & (propensity <= 1))
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0])
        raise BadInput(
            f"propensity must lie in (0, 1], got {propensity[first]} in row {first[-1]}: "
            "it is a probability of acting, never zero."
        )
    vanishes = propensity < np.finfo(np.float32).tiny
    if vanishes.any():
        first = tuple(np.argwhere(vanishes)[0])
        raise BadInput(
            f"propensity is {propensity[first]} in row {first[-1]}, which is 0 in the 32 bits of training: "
            "correct it, or leave the row out."
        )
