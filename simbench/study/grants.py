"""Grants: what a study tells an estimator, whether the truth, an estimate of it, or a stated distortion.

A grant is named ``base``, ``base:variant`` or ``base:variant=number``: what is told, in which variant, and
how strong the variant is if it has a strength (``propensity:distorted=2``). An estimator asks for bases; if a
study grants several variants of one base, each estimator that asks for it runs once with each.
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any, Protocol

import numpy as np

from simbench.errors import BadInput, did_you_mean
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import class_prior_methods
from simbench.log.feedback import FeedbackLog, Truth
from simbench.streams import stream
from simbench.study.guests.priors import class_prior
from simbench.study.told_propensity import (
    context_ratio,
    dispersed,
    exposure_experiment,
    label_derived,
    shifted,
)

OWN = {
    "propensity": "the true propensity of every logged response",
    "propensity:label-derived": "as the published code: the rating law applied to the click itself, with the "
    "simulator's κ and a rate of .2 (or =ρ); a function of the click, and no propensity",
    "propensity:estimated": "by an experiment that shows 2,000 (or =N) responses known to be good",
    "propensity:context": "clicks by context over their maximum: the mean reward is the same in every "
    "context, and in the best one a satisfied user always acts",
    "propensity:of-good": "P(act | good, features): the propensity where it does not depend on what makes a "
    "response good, its mean over the good ratings where users act on a rating that is drawn",
    "propensity:distorted": "logit α times .5 (or =F), its mean kept: below 1, understates how unequally "
    "users act",
    "propensity:shifted": "logit α plus 1 (or =B): misstates how many act",
    "class prior": "the true share of good responses",
    "class prior:distorted": "the true share of good responses times 1.3 (or =F)",
    "labels": "explicit labels of a share of the responses (--label-share, or =S)",
    "action rate": "the true mean propensity",
    "always acts": "which responses were shown to users who always act when satisfied",
    "misclick": "the true rate of misclicks",
    "misclick:denied": "that there are no misclicks, true or not",
}
BASES = tuple(name for name in OWN if ":" not in name)
STRENGTH = {  # of the variants that have one, where none is given; and the smallest
    "propensity:estimated": (2000.0, 50.0),
    "propensity:label-derived": (0.2, 0.001),
    "propensity:distorted": (0.5, 0.0),
    "propensity:shifted": (1.0, -math.inf),
    "class prior:distorted": (1.3, 0.01),
    "labels": (math.nan, 0.0),  # the study's own share
}


@cache
def meanings() -> dict[str, str]:
    """What every grant tells, by its name: simbench's own, and the installed methods for the class prior."""
    methods = {f"class prior:{name}": said.rstrip(".") for name, said in class_prior_methods().items()}
    return {**OWN, **methods}


class GrantInputs(Protocol):
    """The fields of a cell that decide what a grant tells."""

    @property
    def grant(self) -> tuple[str, ...]:
        """Names of the grants."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the study."""
        ...

    @property
    def bias_level(self) -> float:
        """How unequally users act, from 0 (all alike)."""
        ...

    @property
    def label_share(self) -> float:
        """Share of the responses whose label ``labels`` tells, in (0, 1)."""
        ...

    @property
    def world(self) -> Any:
        """Configuration of the world."""
        ...


def base(name: str) -> str:
    """The base of a grant: ``"propensity:estimated"`` -> ``"propensity"``."""
    return name.partition("=")[0].split(":")[0]


def parsed(name: str) -> tuple[str, float]:
    """Split a grant into its kind and its strength.

    ``"propensity:distorted=2"`` -> ``("propensity:distorted", 2.0)``; the default strength if none is given,
    NaN if the kind has none.

    Raises
    ------
    BadInput
        If there is no such grant, or its strength is not possible.
    """
    kind, _, number = name.partition("=")
    if kind not in meanings():
        hint = did_you_mean(kind, meanings())
        raise BadInput(f"there is no grant {name!r}.{hint} There are: {', '.join(meanings())}.")
    if "=" not in name:
        return kind, STRENGTH.get(kind, (math.nan,))[0]
    if kind not in STRENGTH:
        raise BadInput(f"the grant {kind!r} takes no number, got {name!r}.")
    smallest = STRENGTH[kind][1]
    try:
        strength = float(number)
    except ValueError:
        strength = math.nan
    if not (math.isfinite(strength) and strength >= smallest):
        least = "" if smallest == -math.inf else f" of at least {smallest:g}"
        raise BadInput(f"the grant {kind!r} takes a number{least}, got {name!r}.")
    return kind, strength


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """The grants, checked, each in its shortest form and once.

    Raises
    ------
    BadInput
        If one is no grant.
    """
    return tuple(dict.fromkeys(_shortest(*parsed(name)) for name in names))


def _shortest(kind: str, strength: float) -> str:
    usual = kind not in STRENGTH or strength == STRENGTH[kind][0] or math.isnan(strength)
    return kind if usual else f"{kind}={strength:g}"


def in_words(name: str) -> str:
    """A grant as tables show it: ``"propensity:distorted=2"`` -> ``"propensity (distorted 2)"``."""
    if ":" in name:
        return "{} ({})".format(*name.replace("=", " ").split(":"))
    return name if "=" not in name else "{} ({})".format(*name.split("="))


def variants(kind: type[Estimator], granted: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of grants under which an estimator is run.

    A combination holds one grant of each base that the estimator asks for and that is granted; an estimator
    that asks for nothing has a single, empty combination.
    """
    asked = [name for name in BASES if name in kind.needs | kind.optional]
    choices = [[name for name in granted if base(name) == wanted] for wanted in asked]
    return [tuple(choice) for choice in product(*(names for names in choices if names))]


def unavailable(cell: GrantInputs) -> list[str]:
    """What the grants of a cell require of its world and the world lacks, in words."""
    missing = []
    if "propensity:context" in cell.grant and not cell.world.logs_context:
        missing.append("a world that logs context")
    kappa = getattr(cell.world.behaviour, "kappa", None)
    if kappa is None and any(parsed(name)[0] == "propensity:label-derived" for name in cell.grant):
        missing.append("a world with the rating law")
    if "always acts" in cell.grant and cell.world.channel.always_share == 0:
        missing.append("a world with users who always act")
    return missing


def granted(
    cell: GrantInputs, kind: type[Estimator], log: FeedbackLog, truth: Truth
) -> tuple[dict[str, Any], list[str]]:
    """What an estimator is told: whatever the cell grants *and* the estimator asks for.

    Returns
    -------
    given : dict
        Values by the field of :class:`FeedbackLog` that holds them.
    told : list of str
        The grants in words, for the results.
    """
    asked = kind.needs | kind.optional
    names = [name for name in cell.grant if base(name) in asked]
    given = {base(name).replace(" ", "_"): _value(*parsed(name), cell, log, truth) for name in names}
    return given, [in_words(name) for name in names]


def _value(kind: str, strength: float, cell: GrantInputs, log: FeedbackLog, truth: Truth) -> Any:
    match kind:
        case "propensity":
            return truth.propensity
        case "propensity:of-good":
            return truth.propensity if truth.propensity_of_good is None else truth.propensity_of_good
        case "propensity:label-derived":
            return label_derived(log.feedback, cell.world.behaviour.kappa(cell.bias_level), strength)
        case "propensity:estimated":
            return exposure_experiment(log, truth, int(strength), cell.seed, "exposure", cell.world.name)
        case "propensity:context":
            return context_ratio(log)
        case "propensity:distorted":
            return dispersed(truth.propensity, strength)
        case "propensity:shifted":
            return shifted(truth.propensity, strength)
        case "class prior":
            return truth.mean_of_shown(truth.reward)
        case "class prior:distorted":
            return float(min(strength * truth.mean_of_shown(truth.reward), 0.99))
        case "labels":
            return _labels(cell, truth, cell.label_share if math.isnan(strength) else strength)
        case "action rate":
            return truth.mean_of_shown(truth.propensity)
        case "always acts":
            return truth.always_acts
        case "misclick":
            return float(cell.world.channel.misclick)
        case "misclick:denied":
            return 0.0
    return class_prior(kind.partition(":")[2], log, cell.seed)


def _labels(cell: GrantInputs, truth: Truth, share: float) -> np.ndarray:
    """Explicit labels, NaN but for a random share of the responses that is drawn anew in each replicate."""
    labels = np.full(truth.preference.shape, np.nan, dtype=np.float32)
    for replicate, preference in enumerate(truth.preference):
        chosen = stream(cell.seed, "labels", cell.world.name, replicate).random(len(preference))
        rows = chosen < share
        labels[replicate, rows] = preference[rows]
    return labels
