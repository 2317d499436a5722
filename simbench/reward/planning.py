"""How many logged responses a target error needs: from the Cramér-Rao bound, and checked by simulation."""

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
    """Sizes for one state of knowledge.

    ``by_bound`` is what no unbiased estimator can do without; ``rmse_there`` is what the named estimator was
    measured at with that many, or NaN where that many were not simulated; ``needed`` extrapolates from it
    by ``1/n``.
    """

    knows: str
    by_bound: int
    estimator: str
    rmse_there: float
    needed: int


def plan(
    config: WorldConfig, bias_level: float, target_rmse: float, replicates: int = 8, seed: int = 0
) -> list[Plan]:
    """Plan for a known and for an unknown propensity.

    Parameters
    ----------
    config : WorldConfig
        A world with a logistic law.
    bias_level : float
    target_rmse : float
        Root-mean-square error of ``γ̂``, in units of probability.
    replicates, seed : int

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
    """Root-mean-square error of the maximum of the likelihood with logistic heads, over replicates."""
    world = build(config, bias_level, size, seed)
    log, truth = world.draw(range(replicates))
    log = grant(log, propensity=truth.propensity)
    estimator = kind(**MAXIMUM_LIKELIHOOD, batch_size=log.n_rows, seed=seed)
    found = estimator.fit_replicates(log).predict(world.test.features)
    return float(np.sqrt(((found - world.test.reward) ** 2).mean()))
