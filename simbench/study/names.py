"""What flags may name: grants, and everyone who can be named."""

from simbench.estimator import registry
from simbench.study.grants import checked

ANY_CLASSIFIER = "sklearn"  # a factory: one of its classifiers stands for all


def grants(text: str) -> tuple[str, ...]:
    """The grants of a comma list; ``none`` is none."""
    names = [name.strip().replace("class-prior", "class prior") for name in text.split(",")]
    return checked([name for name in names if name not in ("none", "")])


def everyone() -> list[str]:
    """All installed estimators, the oracle first."""
    names = [name for name in registry.names() if name not in ("oracle", ANY_CLASSIFIER)]
    return ["oracle", *names, f"{ANY_CLASSIFIER}:LogisticRegression"]
