"""An estimator as scikit-learn knows it, around the contract of :mod:`simbench.training.contract`."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from simbench.errors import BadInput, NotIdentified
from simbench.log.feedback import FeedbackLog
from simbench.training.contract import FittedReplicates, Trainable
from simbench.training.holdout import Holdout
from simbench.training.train import train
from simbench.training.trainer import Execution


class Estimator(Trainable, ClassifierMixin, BaseEstimator):
    """Base of every estimator: subclass it, write :meth:`reward_loss`, state the class attributes.

    The contract is :class:`simbench.training.contract.Trainable`; here is the scikit-learn face around it.
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
            Replicate numbers, from which the initial weights derive; default ``range(R)``.
        holdout : Holdout, optional
            Given by a study whose protocol departs from the default (see :mod:`simbench.study.protocol`).
        execution : Execution, optional
            Given by a run in another precision than fp32 (see :class:`simbench.training.trainer.Execution`).

        Raises
        ------
        BadInput
            If the log lacks something that the estimator must be told.
        """
        self.require(log)
        return train(self, log, replicates or range(log.n_replicates), holdout=holdout, execution=execution)

    # -- the scikit-learn face --------------------------------------------------------------

    def fit(self, X, y, *, context=None, groups=None, propensity=None, class_prior=None, signals=None):
        """Fit the reward on one log.

        Parameters
        ----------
        X : array, shape (n, d)
            Response features.
        y : array, shape (n,)
            Feedback of two classes; the larger one counts as "clicked".
        context : array, shape (n, k), optional
        groups : array, shape (n,), optional
            Prompt ids; by default every row is its own.
        propensity : array, shape (n,), in (0, 1], optional
        class_prior : float in (0, 1), optional
        signals : array, shape (n, K), in {0, 1}, optional
            Several positive signals, in place of the feedback alone; the first column is ``y``.

        Returns
        -------
        self

        Raises
        ------
        BadInput, ValueError
            On unusable input.
        """
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, code = np.unique(y, return_inverse=True)
        if len(self.classes_) > 2:
            raise BadInput(
                "Only binary classification is supported. The type of the target is multiclass: "
                f"feedback must have two classes, got {len(self.classes_)}."
            )
        if len(self.classes_) == 1:
            raise BadInput("feedback has one class only: one click and one missing click are needed.")
        log = FeedbackLog(
            features=X,
            feedback=code[None].astype(np.float32),
            groups=np.arange(len(X)) if groups is None else _as_codes(groups),
            context=None if context is None else np.asarray(context, dtype=np.float32),
            propensity=None if propensity is None else np.asarray(propensity, dtype=float),
            class_prior=class_prior,
            signals=None if signals is None else np.asarray(signals, dtype=np.float32).T[None],
        )
        self.model_ = self.fit_replicates(log)
        advice = getattr(self.model_, "warning", None)
        if advice is not None:
            warnings.warn(f"{type(self).__name__}: {advice}", NotIdentified, stacklevel=2)
        return self

    def predict_reward(self, X) -> np.ndarray:
        """Estimated reward ``γ̂(x) = P(r* = 1 | x)``, shape (m,), float64 in [0, 1]."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return self.model_.predict(X)[0]

    def predict_proba(self, X) -> np.ndarray:
        """``[1 - γ̂, γ̂]``, shape (m, 2)."""
        reward = self.predict_reward(X)
        return np.column_stack([1 - reward, reward])

    def predict(self, X) -> np.ndarray:
        """Class by the reward's threshold 1/2, shape (m,)."""
        check_is_fitted(self, "model_")
        return self.classes_[(self.predict_reward(X) > 0.5).astype(int)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    if TYPE_CHECKING:
        model_: FittedReplicates
        classes_: np.ndarray


def _as_codes(groups) -> np.ndarray:
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)


def grant(log: FeedbackLog, **known) -> FeedbackLog:
    """The log with what the run grants (``propensity=``, ``class_prior=``) put in."""
    return replace(log, **known)
