"""The base class of estimators: scikit-learn's interface to :mod:`simbench.training.contract`."""

import warnings
from collections.abc import Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from simbench.errors import BadInput, NotIdentified
from simbench.estimator.arrays import classes_and_codes, log_of_arrays
from simbench.log.feedback import FeedbackLog
from simbench.training.contract import FittedReplicates, Trainable
from simbench.training.holdout import Holdout
from simbench.training.train import train
from simbench.training.trained import require_trained
from simbench.training.trainer import Execution

if TYPE_CHECKING:

    class BaseEstimator:
        """What is used of scikit-learn's base, which ships no types."""

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...
        def __sklearn_tags__(self) -> Any: ...

    class ClassifierMixin:
        """What is used of scikit-learn's mixin."""

        def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float: ...

else:
    from sklearn.base import BaseEstimator, ClassifierMixin


OVER_ROWS = (  # methods that may compute something of many rows
    *("fit_replicates", "prepare", "calibration"),
    *("risk", "objective", "initial_objective", "selection_loss"),
)


class Estimator(Trainable, ClassifierMixin, BaseEstimator):
    """Base class of every estimator: subclass it, write :meth:`reward_loss`, and set the class attributes.

    What can be overridden is documented in :class:`simbench.training.contract.Trainable`; this class adds
    scikit-learn's interface.
    """

    # -- many replicates at once ------------------------------------------------------------

    def fit_replicates(
        self,
        log: FeedbackLog,
        replicates: Sequence[int] | None = None,
        holdout: Holdout | None = None,
        execution: Execution | None = None,
    ) -> FittedReplicates:
        """Train one reward per row of ``log.feedback``.

        Parameters
        ----------
        log : FeedbackLog
            Feedback of shape (R, n).
        replicates : sequence of int, optional
            Replicate numbers, from which the initial weights derive; by default ``range(R)``.
        holdout : Holdout, optional
            How responses are held out, if a study's protocol departs from the default (see
            :mod:`simbench.study.protocol`).
        execution : Execution, optional
            Layout and precision of the arithmetic; by default what suits the device, in fp32.

        Returns
        -------
        FittedReplicates
            Predicts the reward of every replicate.

        Raises
        ------
        BadInput
            If a parameter is out of its range, or the log lacks something that the estimator must be told.
        """
        self.check_parameters()
        self.require(log)
        numbers = replicates or range(log.n_replicates)
        model = train(self, log, numbers, holdout=holdout, execution=execution)
        require_trained(model, self.name or type(self).__name__)
        return model

    # -- the scikit-learn face --------------------------------------------------------------

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        context: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        propensity: ArrayLike | None = None,
        class_prior: float | None = None,
        labels: ArrayLike | None = None,
        misclick: float | None = None,
        action_rate: float | None = None,
        always_acts: ArrayLike | None = None,
        signals: ArrayLike | None = None,
        negative_signals: Sequence[int] = (),
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the reward on one log.

        Parameters
        ----------
        X : array, shape (n, d)
            Response features.
        y : array, shape (n,)
            Feedback of two classes; the larger class counts as "clicked", of an ordered categorical the later
            one in its order.
        context : array, shape (n, k), optional
            What the propensity depends on besides the response.
        groups : array, shape (n,), optional
            Prompt of every row; by default every row has a prompt of its own.
        propensity : array, shape (n,), in (0, 1], optional
            Probability ``α`` that the user acts.
        class_prior : float in (0, 1), optional
            Mean reward ``π = E[γ]``; not below the share of clicks.
        labels : array, shape (n,), in {0, 1}, optional
            Explicit labels of ``r*``; NaN or None where there is none.
        misclick : float in [0, 1), optional
            ``ε = P(r=1 | r*=0, a=1)``.
        action_rate : float in (0, 1), optional
            Mean propensity ``E[α]``; not below the share of clicks.
        always_acts : array, shape (n,), bool, optional
            Responses shown to users who are known to act whenever satisfied.
        signals : array, shape (n, K), in {0, 1}, optional
            Several signals in place of the feedback alone; the first column is ``y``.
        negative_signals : sequence of int
            Which columns of ``signals`` express dissatisfaction; never the first.
        sample_weight : array, shape (n,), at least 0, optional
            How much each row counts in the mean loss; only for estimators whose loss is such a mean.

        Returns
        -------
        self

        Raises
        ------
        BadInput, ValueError
            If the input cannot be used.
        """
        self.check_parameters()
        x, clicked = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(clicked)
        self.classes_, code = classes_and_codes(y, clicked)
        if len(self.classes_) > 2:
            raise BadInput(
                "Only binary classification is supported. The type of the target is multiclass: "
                f"feedback must have two classes, got {len(self.classes_)}."
            )
        if len(self.classes_) == 1:
            raise BadInput("feedback has one class only: a click and a missing click are needed at least.")
        log = log_of_arrays(
            x,
            code,
            groups,
            context=context,
            propensity=propensity,
            class_prior=class_prior,
            labels=labels,
            misclick=misclick,
            action_rate=action_rate,
            always_acts=always_acts,
            signals=signals,
            negative_signals=tuple(negative_signals),
            weights=sample_weight,
        )
        self.require_read(log)
        if context is not None and "context" not in self.reads(log):
            said = f"{self.name or type(self).__name__} does not read the context: it is not used."
            warnings.warn(said, UserWarning, stacklevel=2)
            log = replace(log, context=None)
        if sample_weight is not None and not self._weighs_rows():
            raise BadInput(
                f"{self.name or type(self).__name__} takes no sample_weight: its loss is no mean over rows "
                "that could count differently."
            )
        self.model_ = self.fit_replicates(log)
        advice = getattr(self.model_, "warning", None)
        if advice is not None:
            warnings.warn(f"{type(self).__name__}: {advice}", NotIdentified, stacklevel=2)
        return self

    def _weighs_rows(self) -> bool:
        """Whether rows may have weights, see ``weighs_rows``."""
        if self.weighs_rows is not None:
            return self.weighs_rows
        usual = all(getattr(type(self), name) is getattr(Estimator, name) for name in OVER_ROWS)
        return usual and self.sums_over_samples and not self.reads_pairs

    def predict_reward(self, X: ArrayLike) -> np.ndarray:
        """Estimated reward ``γ̂(x) = P(r* = 1 | x)`` of each row, shape (m,), float64 in [0, 1]."""
        check_is_fitted(self, "model_")
        x = validate_data(self, X, dtype=np.float32, reset=False)
        return self.model_.predict(x)[0]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities of both classes, ``[1 - γ̂, γ̂]``, shape (m, 2)."""
        reward = self.predict_reward(X)
        return np.column_stack([1 - reward, reward])

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predicted classes, shape (m,): the larger class where the reward exceeds 1/2."""
        check_is_fitted(self, "model_")
        return self.classes_[(self.predict_reward(X) > 0.5).astype(int)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    if TYPE_CHECKING:
        model_: FittedReplicates = field(init=False)  # set by fit
        classes_: np.ndarray = field(init=False)


def grant(log: FeedbackLog, **known: Any) -> FeedbackLog:
    """A copy of the log with further knowledge, such as ``propensity=`` or ``class_prior=``."""
    return replace(log, **known)
