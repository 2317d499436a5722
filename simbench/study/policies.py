"""Measures over-optimisation: the value of policies under the true reward, against their KL."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.files.parquet import read_own_parquet
from simbench.files.write import write_whole
from simbench.score.across import over_worlds
from simbench.score.estimate import over_replicates
from simbench.score.policies import Prompts, best_of, tilted, tilted_to
from simbench.study.finished import FinishedCell, read_study, situations
from simbench.study.policy_settings import Downstream
from simbench.worlds.world import World

COLUMNS = [
    *("world", "behaviour", "bias_level", "size", "protocol", "estimator"),
    *("knows", "reward", "policy", "strength"),
    *("metric", "value", "low", "high", "n_replicates", "trait"),
]
NUMBERS = ("bias_level", "size", "strength", "value", "low", "high", "n_replicates")
FILE = "downstream.parquet"
TRUTH, REFERENCE = "truth", "reference"
SAFE = 1e-7  # fitted rewards are kept so far from 0 and 1, where the logit is infinite

LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "probability": lambda reward: reward,
    "logit": lambda reward: logit(np.clip(reward, SAFE, 1 - SAFE)),
}


@dataclass(frozen=True)
class Policy:
    """A way to turn scores into policies.

    Parameters
    ----------
    reward : {"probability", "logit", "rank", ""}
        What of the fitted reward it reads.
    kind : str
        ``tilted``, ``tilted to KL``, ``best of n`` or ``reference``.
    strength : float
        Its β, KL in nats, or n; NaN for the reference.
    make : callable
        From scores of shape (R, G, M) to probabilities of the same shape.
    """

    reward: str
    kind: str
    strength: float
    make: Callable[[np.ndarray], np.ndarray]


def write_downstream(
    folder: Path | Location, settings: Downstream | None = None, done: Callable[[int], object] = int
) -> pd.DataFrame:
    """Measure the policies of a study, see :func:`downstream_table`, and write ``downstream.parquet``."""
    table = downstream_table(folder, settings, done)
    keep(table, folder)
    return table


def keep(table: pd.DataFrame, folder: Path | Location) -> None:
    """Write the table of a study's policies to ``downstream.parquet`` in its folder."""
    write_whole(folder / FILE, lambda to: table.to_parquet(to, index=False))


def read_downstream(folder: Path | Location) -> pd.DataFrame:
    """Read the table that :func:`write_downstream` wrote.

    Raises
    ------
    BadInput
        If there is none, or it is damaged.
    """
    path = folder / FILE
    if not path.exists():
        raise BadInput(f"{path} does not exist: simbench downstream {folder} makes it of a finished study.")
    return read_own_parquet(Location(path), f"run simbench downstream {folder} again", COLUMNS, NUMBERS)


def downstream_table(
    folder: Path | Location, settings: Downstream | None = None, done: Callable[[int], object] = int
) -> pd.DataFrame:
    """Measure the policies of every finished cell of a study.

    Parameters
    ----------
    folder : Path or Location
        Results of :func:`simbench.study.run`.
    settings : Downstream, optional
    done : callable, optional
        Called with the number of situations that are measured, before each.

    Returns
    -------
    DataFrame
        One row per cell, policy, strength and metric. ``policy``: ``tilted`` (strength β), ``tilted to KL``
        (strength in nats) or ``best of n``. ``metric``: ``kl`` (nats), ``value`` (``E_π[γ]``, probability),
        ``value_over_oracle`` (paired by replicate, at the same policy and strength), and where the world has
        a trait ``trait`` and ``trait_over_oracle`` in its unit. Estimator ``truth`` is the true reward
        itself, ``reference`` is ``π_ref``. Column ``trait`` names the trait. Intervals are over replicates,
        whose test prompts are the same; or over the draws of the world, if there are several.

    Raises
    ------
    BadInput
        If nothing finished, or no prompt of a world has two responses.
    """
    settings = settings or Downstream()
    config = read_study(folder)
    rows: list[dict[str, Any]] = []
    for number, cells in enumerate(situations(folder)):
        done(number)
        rows += _situation(cells, settings, config.level)
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table if config.draws == 1 else _over_draws(table, config.level)


def _over_draws(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Means over the draws of a world, with Student's intervals."""
    same = [name for name in COLUMNS if name not in ("value", "low", "high")]
    rows = [
        {**dict(zip(same, key, strict=True)), **vars(over_worlds(own.value.to_numpy(), level=level))}
        for key, own in table.groupby(same, sort=False, dropna=False)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _situation(cells: list[FinishedCell], settings: Downstream, level: float) -> Iterator[dict[str, Any]]:
    world = cells[0].cell.built()
    prompts = Prompts.of(world.test.groups)
    if prompts.largest_kl == 0:
        raise BadInput(f"no prompt of world {world.config.name!r} has two responses: there is no choice.")
    policies = list(_policies(settings, prompts))
    truth = _measure(world.test.reward[None], world, prompts, policies)
    oracle = next((found for found in cells if found.cell.estimator == "oracle"), None)
    best = {} if oracle is None else _measure(oracle.predictions, world, prompts, policies)
    common = cells[0].cell.columns | {"trait": world.config.responses.trait or ""}
    for policy, measured in _reference(world, prompts):
        yield from _rows(common | {"estimator": REFERENCE, "knows": ""}, policy, measured, {}, level)
    for policy in policies:
        yield from _rows(common | {"estimator": TRUTH, "knows": "truth"}, policy, truth[policy], {}, level)
    for found in cells:
        measured = best if found is oracle else _measure(found.predictions, world, prompts, policies)
        who = common | found.cell.columns | {"knows": found.facts["knows"]}
        for policy in policies:
            yield from _rows(who, policy, measured[policy], best.get(policy, {}), level)


def _policies(settings: Downstream, prompts: Prompts) -> Iterator[Policy]:
    for reward in settings.rewards:
        for beta in settings.betas:
            yield Policy(reward, "tilted", beta, partial(tilted, beta=beta))
        for kl in settings.kls:
            if kl < prompts.largest_kl:
                yield Policy(reward, "tilted to KL", kl, partial(tilted_to, kl=kl, prompts=prompts))
    for n in settings.ns:
        yield Policy("rank", "best of n", n, partial(best_of, n=n))


def _reference(world: World, prompts: Prompts) -> Iterator[tuple[Policy, dict[str, np.ndarray]]]:
    uniform = (prompts.is_real / prompts.counts[:, None])[None]
    yield Policy("", REFERENCE, np.nan, lambda scores: scores), _metrics(uniform, world, prompts)


def _measure(
    predictions: np.ndarray, world: World, prompts: Prompts, policies: list[Policy]
) -> dict[Policy, dict[str, np.ndarray]]:
    """Metrics of shape (R,) of every policy."""
    scores = {name: prompts.spread(link(predictions)) for name, link in LINKS.items()}
    scores["rank"] = scores["probability"]
    return {policy: _metrics(policy.make(scores[policy.reward]), world, prompts) for policy in policies}


def _metrics(policy: np.ndarray, world: World, prompts: Prompts) -> dict[str, np.ndarray]:
    found = {"kl": prompts.kl(policy), "value": prompts.mean_under(policy, world.test.reward)}
    if world.test.trait is not None:
        found["trait"] = prompts.mean_under(policy, world.test.trait.astype(float))
    return found


def _rows(
    who: dict[str, Any],
    policy: Policy,
    measured: dict[str, np.ndarray],
    oracle: dict[str, np.ndarray],
    level: float,
) -> Iterator[dict[str, Any]]:
    beyond = {
        f"{name}_over_oracle": measured[name] - oracle[name] for name in ("value", "trait") if name in oracle
    }
    how = {"reward": policy.reward, "policy": policy.kind, "strength": float(policy.strength)}
    for metric, values in (measured | beyond).items():
        estimate = over_replicates(values, level=level)
        yield who | how | {"metric": metric, "n_replicates": len(values), **vars(estimate)}
