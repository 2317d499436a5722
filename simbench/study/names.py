"""Names that options of the command line take: grants, and all estimators."""

from simbench.estimator import registry
from simbench.study.grants import checked

ANY_CLASSIFIER = "sklearn"  # a factory: one of its classifiers stands for all


def grants(text: str) -> tuple[str, ...]:
    """The grants in a list separated by commas; ``none`` grants nothing."""
    names = [name.strip().replace("class-prior", "class prior") for name in text.split(",")]
    return checked([name for name in names if name not in ("none", "")])


def everyone() -> list[str]:
    """Names of all installed estimators, the oracle first; one scikit-learn classifier stands for all."""
    names = [name for name in registry.names() if name not in ("oracle", ANY_CLASSIFIER)]
    return ["oracle", *names, f"{ANY_CLASSIFIER}:LogisticRegression"]
