"""Any scikit-learn classifier as an estimator: ``sklearn:LogisticRegression``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import all_estimators

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.files.matrix import Matrix
from simbench.log.feedback import FeedbackLog
from simbench.streams import seed_of
from simbench.training.contract import FittedReplicates
from simbench.training.holdout import Holdout
from simbench.training.trainer import Execution


@dataclass
class FittedClassifiers:
    """Fitted scikit-learn classifiers, one per replicate."""

    models: list[Any]

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities, shape (R, m), in [0, 1]."""
        whole = np.asarray(features)
        return np.stack([model.predict_proba(whole)[:, 1] for model in self.models])


class SklearnEstimator(Estimator):
    """A scikit-learn classifier trained on the feedback as if it were the label.

    Parameters
    ----------
    classifier : scikit-learn classifier
        An unfitted classifier with ``predict_proba``.
    seed : int
        The classifier's ``random_state``, if it has one, derives from the seed and the replicate.
    """

    family = "outside"
    assumption = "every missing click is a dislike (α = 1)"
    source = "scikit-learn"

    def __init__(self, classifier: Any = None, seed: int = 0):
        self.classifier = classifier
        self.seed = seed

    def fit_replicates(
        self,
        log: FeedbackLog,
        replicates: Sequence[int] | None = None,
        holdout: Holdout | None = None,
        execution: Execution | None = None,
    ) -> FittedReplicates:
        """Fit one classifier per replicate on the whole log; ``holdout`` is ignored."""
        models = []
        features = np.asarray(log.features)
        for row, number in enumerate(replicates or range(log.n_replicates)):
            shown = log.rows_shown(row)
            model = clone(self.classifier)
            if "random_state" in model.get_params():
                model.set_params(random_state=seed_of(self.seed, "sklearn", number) % 2**32)
            models.append(model.fit(features[shown], log.feedback[row, shown]))
        return FittedClassifiers(models)


def named(class_name: str) -> type[SklearnEstimator]:
    """The estimator class for a scikit-learn classifier of this class name.

    Raises
    ------
    BadInput
        If scikit-learn has no such classifier with ``predict_proba``.
    """
    from difflib import get_close_matches

    known = dict(all_estimators(type_filter="classifier"))
    if class_name not in known:
        near = get_close_matches(class_name, known, n=1)
        hint = f" Did you mean sklearn:{near[0]}?" if near else ""
        raise BadInput(f"scikit-learn has no classifier {class_name!r}.{hint}")
    kind = known[class_name]
    if not hasattr(kind, "predict_proba"):
        raise BadInput(f"sklearn:{class_name} has no predict_proba, which a reward needs.")

    class Named(SklearnEstimator):
        name = f"sklearn:{class_name}"

        def __init__(self, classifier: Any = None, seed: int = 0):
            super().__init__(kind() if classifier is None else classifier, seed)

    return Named
