"""What a run tells an estimator: the truth, an estimate of it, or a stated distortion, by name.

A grant is a *base* (what is told) and, after a colon, a *variant* (how good it is). An estimator asks for
bases; a study that lists several variants of one runs those who ask once with each.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import product
from typing import Any, Protocol

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from simbench.errors import BadInput
from simbench.estimator import Estimator
from simbench.log import FeedbackLog, Truth
from simbench.streams import stream

MEANING = {
    "propensity": "the true propensity of every logged response",
    "propensity:estimated": "by an exposure experiment with 2,000 responses known to be good",
    "propensity:distorted": "logit α halved, its mean kept: understates how unequally users act",
    "class prior": "the true share of good responses",
    "class prior:elkan-noto": "estimated from the log under SCAR (Elkan and Noto, 2008)",
    "class prior:tice": "estimated from the log under SCAR (TIcE: Bekker and Davis, 2018)",
    "class prior:distorted": "the true share of good responses times 1.3",
    "labels": "explicit labels of a share of the responses",
    "misclick": "the true rate of misclicks",
    "misclick:denied": "that there are no misclicks, true or not",
}
BASES = tuple(name for name in MEANING if ":" not in name)
EXPOSED = 2000


class Situation(Protocol):
    """What of a cell decides a grant."""

    @property
    def grant(self) -> tuple[str, ...]: ...
    @property
    def seed(self) -> int: ...
    @property
    def label_share(self) -> float: ...
    @property
    def world(self) -> Any: ...


def base(name: str) -> str:
    """``"propensity:estimated"`` -> ``"propensity"``."""
    return name.split(":")[0]


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """The names, if all are known.

    Raises
    ------
    BadInput
        With the nearest known name.
    """
    for name in names:
        if name not in MEANING:
            near = get_close_matches(name, MEANING, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"there is no grant {name!r}.{hint} There are: {', '.join(MEANING)}.")
    return tuple(dict.fromkeys(names))


def variants(kind: type[Estimator], granted: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of grants under which this estimator is to be run.

    One of each base that it asks for and that is granted; a single empty one for who asks for nothing.
    """
    asked = [name for name in BASES if name in kind.needs | kind.optional]
    choices = [[name for name in granted if base(name) == wanted] for wanted in asked]
    return [tuple(choice) for choice in product(*(names for names in choices if names))]


def granted(
    cell: Situation, kind: type[Estimator], log: FeedbackLog, truth: Truth
) -> tuple[dict[str, Any], list[str]]:
    """What the cell grants *and* the estimator asks for.

    Returns
    -------
    given : dict
        Fields of :class:`FeedbackLog`.
    told : list of str
        The same in words, for the results.
    """
    asked = kind.needs | kind.optional
    names = [name for name in cell.grant if base(name) in asked]
    given = {base(name).replace(" ", "_"): _value(name, cell, log, truth) for name in names}
    words = [name if ":" not in name else "{} ({})".format(*name.split(":")) for name in names]
    return given, words


def _value(name: str, cell: Situation, log: FeedbackLog, truth: Truth):
    match name:
        case "propensity":
            return truth.propensity
        case "propensity:estimated":
            return exposure_experiment(log, truth, stream(cell.seed, "exposure", cell.world.name))
        case "propensity:distorted":
            return distorted(truth.propensity)
        case "class prior":
            return float(truth.reward.mean())
        case "class prior:distorted":
            return float(min(1.3 * truth.reward.mean(), 0.99))
        case "class prior:elkan-noto" | "class prior:tice":
            return _estimated_prior(name.split(":")[1], cell.seed, log)
        case "labels":
            return _labels(cell, truth)
        case "misclick":
            return float(cell.world.misclick)
        case "misclick:denied":
            return 0.0
    raise BadInput(f"there is no grant {name!r}.")


def _estimated_prior(method: str, seed: int, log: FeedbackLog) -> np.ndarray:
    """``π = mean(r) / c`` of every replicate, shape (R,); from the log alone."""
    from estimators.class_prior import label_frequency, tice

    frequency = label_frequency(log, seed=seed) if method == "elkan-noto" else tice(log, seed=seed)
    return (log.feedback.mean(axis=1) / frequency).clip(1e-3, 1 - 1e-3)


def exposure_experiment(log: FeedbackLog, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Propensity estimated by showing users responses that are known to be good.

    There a missing click can only be passivity, so that acting is seen: ``a ~ Bernoulli(α)`` on
    :data:`EXPOSED` logged situations drawn with replacement, and a logistic regression of it on the
    context (on the features where none is logged). One experiment for all replicates.

    Returns
    -------
    ndarray, shape (n,), in (0, 1)
    """
    inputs = log.features if log.context is None else log.context
    rows = rng.integers(0, len(inputs), EXPOSED)
    acted = rng.random(EXPOSED) < truth.propensity[rows]
    if acted.all() or not acted.any():
        raise BadInput("the exposure experiment saw one kind of user only: raise the action rate.")
    model = LogisticRegression(C=10.0, max_iter=1000).fit(inputs[rows], acted)
    return model.predict_proba(inputs)[:, 1].clip(1e-6, 1 - 1e-6)


def distorted(propensity: np.ndarray, factor: float = 0.5) -> np.ndarray:
    """``logit α* = factor · logit α + b``, with ``b`` such that the mean stays."""
    from scipy.optimize import brentq

    scaled, target = factor * logit(propensity.clip(1e-12, 1 - 1e-12)), propensity.mean()
    shift = brentq(lambda b: expit(scaled + b).mean() - target, -50, 50, xtol=1e-12)
    return expit(scaled + shift)


def _labels(cell: Situation, truth: Truth) -> np.ndarray:
    """Explicit labels for a random share of the responses, another share in each replicate."""
    labels = np.full(truth.preference.shape, np.nan, dtype=np.float32)
    for replicate, preference in enumerate(truth.preference):
        chosen = stream(cell.seed, "labels", cell.world.name, replicate).random(len(preference))
        rows = chosen < cell.label_share
        labels[replicate, rows] = preference[rows]
    return labels
