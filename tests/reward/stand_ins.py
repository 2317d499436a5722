"""Estimators that learn nothing: their predictions say what they were given."""

from typing import Any

import numpy as np


class StandIn:
    """Fits by a function of the log; remembers what it was given.

    Parameters
    ----------
    fit : callable
        Of ``(log, parameters)``; returns a :class:`Fit`.
    **parameters
        What ``get_params`` tells, and attributes.
    """

    def __init__(self, fit: Any = None, **parameters: Any):
        self.fit, self.logs, self.parameters = fit, [], {"seed": 0, "hidden": (4,), **parameters}
        vars(self).update(self.parameters)

    def get_params(self) -> dict[str, Any]:
        return dict(self.parameters)

    def fit_replicates(self, log):
        self.logs.append(log)
        return self.fit(log, self.parameters)


class Fit:
    """Predictions by functions of the inputs, each of shape (fits, m)."""

    def __init__(self, reward, propensity=None, **others: Any):
        self.predict = reward
        self.predict_propensity = propensity or (lambda inputs: np.ones((1, len(inputs))))
        vars(self).update(others)
