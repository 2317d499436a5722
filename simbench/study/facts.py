"""The facts that a shard holds beside its predictions, for each replicate, so that replicates can be added.

``knows`` : str
    What the estimator was told, in words; the same for all replicates.
``weights``, ``restarts`` : dict of list of float
    Diagnostics by their names, a value for each replicate.
``settings`` : list of int
    Number of the setting that a protocol kept for each replicate.
``parts`` : list of dict
    How the replicates were made, in order: each with their number (``replicates``), the ``seconds`` that they
    took, and the versions of ``simbench``, ``torch`` and ``numpy``.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from simbench._compat import VERSION

Facts = dict[str, Any]
BY_REPLICATE = ("weights", "restarts")
DECIDING = ("torch", "numpy")  # packages whose version may show in the last digits


def made(replicates: int, seconds: float) -> dict[str, Any]:
    """A part of ``parts``: replicates that this process has just made."""
    return {"replicates": replicates, "seconds": seconds, **_versions()}


@cache
def _versions() -> dict[str, str]:
    return {"simbench": VERSION, **{name: version(name) for name in DECIDING}}


def checked(facts: Any, replicates: int) -> Facts:
    """Return facts as they are, if they are of so many replicates.

    Raises
    ------
    ValueError
        If their form is another: says which fact.
    """
    if not isinstance(facts, dict):
        raise ValueError("its facts are no mapping")
    for name in BY_REPLICATE:
        values = facts.get(name, {})
        if not (isinstance(values, dict) and all(_counts(one, replicates) for one in values.values())):
            raise ValueError(f"its {name} are not those of {replicates} replicates")
    if not _counts(facts.get("settings", [0] * replicates), replicates):
        raise ValueError(f"its settings are not those of {replicates} replicates")
    if sum(part["replicates"] for part in facts.get("parts", [{"replicates": replicates}])) != replicates:
        raise ValueError(f"its parts are not of {replicates} replicates")
    return facts


def _counts(values: Any, replicates: int) -> bool:
    return isinstance(values, list) and len(values) == replicates


def first(facts: Facts, replicates: int) -> Facts:
    """The facts of the first replicates alone; seconds are shared equally within a part."""
    own: Facts = {**facts}
    for name in facts.keys() & set(BY_REPLICATE):
        own[name] = {key: values[:replicates] for key, values in facts[name].items()}
    if "settings" in facts:
        own["settings"] = facts["settings"][:replicates]
    if "parts" in facts:
        own["parts"], left = [], replicates
        for part in facts["parts"]:
            taken = min(left, part["replicates"])
            if taken:
                seconds = part["seconds"] * taken / part["replicates"]
                own["parts"].append({**part, "replicates": taken, "seconds": seconds})
            left -= taken
    return own


def joined(old: Facts, new: Facts) -> Facts:
    """The facts of the replicates of a shard and of those that were added to it.

    Raises
    ------
    ValueError
        If they do not tell of the same things.
    """
    own: Facts = {**new}
    if old["knows"] != new["knows"]:
        raise ValueError(f"more replicates were told {new['knows']!r}, the first {old['knows']!r}")
    for name in BY_REPLICATE:
        if old[name].keys() != new[name].keys():
            raise ValueError(f"more replicates have other {name} than the first")
        own[name] = {key: [*old[name][key], *values] for key, values in new[name].items()}
    return {**own, **{name: [*old[name], *new[name]] for name in ("settings", "parts")}}


def means(facts: Facts) -> dict[str, float]:
    """The mean over replicates of every diagnostic."""
    found = {key: values for name in BY_REPLICATE for key, values in facts.get(name, {}).items()}
    return {key: float(np.mean(values)) for key, values in found.items()}


def seconds(facts: Facts) -> float:
    """Seconds that the replicates took; NaN if the facts do not say."""
    return sum(part["seconds"] for part in facts["parts"]) if "parts" in facts else float("nan")


def stacks(facts: Facts) -> set[str]:
    """Versions that the replicates were made with, in words, one for each set of them."""
    names = ("simbench", *DECIDING)
    return {", ".join(f"{name} {part[name]}" for name in names) for part in facts.get("parts", ())}


def as_lists(values: Mapping[str, Sequence[float] | np.ndarray]) -> dict[str, list[float]]:
    """Diagnostics as JSON holds them."""
    return {name: [float(value) for value in each] for name, each in values.items()}
