"""Evaluation protocols: what an evaluation uses beyond the log. Every leak of the truth is off by default.

The published evaluation of implicit-feedback reward models stops training, calibrates and chooses
hyper-parameters by labels that a practitioner does not have (``docs/protocols.md``). Here each such choice is
a field; the names of those that let the truth in begin with ``oracle_``.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, model_validator

EVERYONE = "all"
CONVERGED = {"hidden": (), "optimiser": "lbfgs", "validation_share": 0.0, "weight_decay": 0.0}


class EvaluationProtocol(BaseModel, frozen=True, extra="forbid"):
    """How fits are split, stopped, chosen and calibrated; the default lets nothing of the truth in.

    Parameters
    ----------
    name : str
        Identifies the protocol in the results.
    split : {"prompt", "sample"}
        Unit that is held out: whole prompts, or single responses, whose siblings are then trained on.
    oracle_stopping : bool
        Early stopping by cross-entropy against ``r*`` on the held-out responses, in place of the estimator's
        own criterion on feedback.
    oracle_calibration : tuple of str
        Estimators whose predictions are mapped by isotonic regression on the held-out ``r*``; ``all`` for
        everyone, the fair counterpart of naming some.
    settings : tuple of dict
        Hyper-parameters to try besides the shipped ones; an estimator ignores those that it does not have.
    untuned : tuple of str
        Estimators for which only the shipped ones are tried: unequal effort.
    oracle_selection : bool
        Of the settings, keep for each log the one with the best R² on the *test* responses, in place of the
        best by the criterion that stops training.
    converged : bool
        Train logistic heads on all rows to the optimum of each estimator's own empirical risk, without
        penalty (:data:`CONVERGED`), in place of networks that held-out feedback stops: what then remains of
        a bias is owed neither to stopping nor to the network.
    capped : bool, optional
        Overrides the world's own; False is the published scale of the rating law.
    grant : tuple of str, optional
        Overrides the study's own.
    grant_of : dict
        Grants of some estimators, by their names, in place of ``grant``.
    replicates : int, optional
        Overrides the study's own number; 1 is a single seed, and gives no interval.
    """

    name: str = "honest"
    split: Literal["prompt", "sample"] = "prompt"
    oracle_stopping: bool = False
    oracle_calibration: tuple[str, ...] = ()
    settings: tuple[dict[str, Any], ...] = ()
    untuned: tuple[str, ...] = ()
    oracle_selection: bool = False
    converged: bool = False
    capped: bool | None = None
    grant: tuple[str, ...] | None = None
    grant_of: dict[str, tuple[str, ...]] = {}
    replicates: int | None = None

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.oracle_selection and not self.settings:
            raise ValueError("oracle_selection needs settings to choose from")
        if self.converged and self.oracle_stopping:
            raise ValueError("a fit that is trained to convergence is not stopped: leave oracle_stopping out")
        if self.replicates is not None and self.replicates < 1:
            raise ValueError("replicates must be at least 1")
        return self

    def calibrates(self, estimator: str) -> bool:
        """Whether this estimator's predictions are calibrated on clean labels."""
        return EVERYONE in self.oracle_calibration or estimator in self.oracle_calibration

    def tries(self, estimator: str) -> tuple[dict[str, Any], ...]:
        """The settings to try for an estimator, laid over the shipped ones; the first changes nothing."""
        return ({}, *(() if estimator in self.untuned else self.settings))

    def told(self, estimator: str) -> list[str]:
        """What of the truth reaches an estimator's fit through the protocol, in words."""
        leaks = {
            "oracle stopping": self.oracle_stopping,
            "oracle calibration": self.calibrates(estimator),
            "oracle selection": self.oracle_selection and len(self.tries(estimator)) > 1,
        }
        return [leak for leak, leaks_in in leaks.items() if leaks_in]
