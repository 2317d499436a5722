"""Plans how many logged responses a target error needs, by the Cramér-Rao bound and a simulation."""

from dataclasses import dataclass

import numpy as np

from simbench.estimator.estimator import Estimator, grant
from simbench.estimator.registry import likelihood
from simbench.reward.intervals import MAXIMUM_LIKELIHOOD
from simbench.score.bound import required_size
from simbench.worlds.config import WorldConfig
from simbench.worlds.world import build

PILOT = 10_000  # responses on which the information of one is averaged
LARGEST_SIMULATED = 200_000


@dataclass(frozen=True)
class Plan:
    """The number of responses that a target error needs, given what is known.

    Parameters
    ----------
    knows : str
        What is known, in words.
    by_bound : int
        Number of responses that every unbiased estimator needs.
    estimator : str
        Name of the estimator that was simulated.
    rmse_there : float
        Its root-mean-square error with ``by_bound`` responses; NaN if so many were not simulated.
    needed : int
        Number that the estimator needs, extrapolated from ``rmse_there`` by a squared error of ``1/n``.
    """

    knows: str
    by_bound: int
    estimator: str
    rmse_there: float
    needed: int


def plan(
    config: WorldConfig, bias_level: float, target_rmse: float, replicates: int = 8, seed: int = 0
) -> list[Plan]:
    """Plan the number of responses for a known and for an unknown propensity.

    Parameters
    ----------
    config : WorldConfig
        A world with a logistic law.
    bias_level : float
    target_rmse : float
        Root-mean-square error of ``γ̂``, in units of probability.
    replicates, seed : int
        Number of logs of the simulation, and its seed.

    Returns
    -------
    list of Plan
        First with the propensity known, then without.

    Raises
    ------
    BadInput
        If no bound is known for the world.
    """
    pilot = build(config, bias_level, PILOT, seed)
    plans = []
    for known, knows in ((True, "propensity"), (False, "nothing but the log")):
        kind = likelihood(propensity_is_told=known)
        size = required_size(pilot, known, target_rmse)
        rmse = float("nan")
        if size <= LARGEST_SIMULATED:
            rmse = simulated_rmse(config, bias_level, max(size, 100), kind, replicates, seed)
        scale = max(1.0, (rmse / target_rmse) ** 2) if np.isfinite(rmse) else 1.0
        plans.append(Plan(knows, size, kind.name, rmse, int(np.ceil(size * scale))))
    return plans


def simulated_rmse(
    config: WorldConfig, bias_level: float, size: int, kind: type[Estimator], replicates: int, seed: int
) -> float:
    """Root-mean-square error of a maximum-likelihood estimator with logistic heads, in a simulation.

    Parameters
    ----------
    config : WorldConfig
    bias_level : float
    size : int
        Number of training responses.
    kind : type of Estimator
        It is told the propensity if it asks for it.
    replicates, seed : int

    Returns
    -------
    float
        In units of probability, over replicates and test responses.
    """
    world = build(config, bias_level, size, seed)
    log, truth = world.draw(range(replicates))
    log = grant(log, propensity=truth.propensity)
    estimator = kind(**MAXIMUM_LIKELIHOOD, batch_size=log.n_rows, seed=seed)
    found = estimator.fit_replicates(log).predict(world.test.features)
    return float(np.sqrt(((found - world.test.reward) ** 2).mean()))
