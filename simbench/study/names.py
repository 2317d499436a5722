"""What flags may name: worlds, grants, and everyone who can be named."""

from simbench.errors import BadInput, did_you_mean
from simbench.estimator import registry
from simbench.study.grants import checked
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS

ANY_CLASSIFIER = "sklearn"  # a factory: one of its classifiers stands for all


def grants(text: str) -> tuple[str, ...]:
    """The grants of a comma list; ``none`` is none."""
    names = [name.strip().replace("class-prior", "class prior") for name in text.split(",")]
    return checked([name for name in names if name not in ("none", "")])


def everyone() -> list[str]:
    """All installed estimators, the oracle first."""
    names = [name for name in registry.names() if name not in ("oracle", ANY_CLASSIFIER)]
    return ["oracle", *names, f"{ANY_CLASSIFIER}:LogisticRegression"]


def preset(name: str) -> WorldConfig:
    """The world of this name; :class:`BadInput` with the nearest one."""
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        raise BadInput(f"there is no world {name!r}.{hint} See: simbench list worlds.")
    return PRESETS[name]
