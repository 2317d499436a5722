"""``simbench list``: what there is."""

import pandas as pd

from simbench.commands.output import print_table
from simbench.errors import BadInput
from simbench.estimator import registry
from simbench.study.grants import MEANING
from simbench.study.names import ANY_CLASSIFIER
from simbench.worlds.presets import DESCRIPTIONS, PRESETS
from simbench.worlds.world import build


def list_estimators(format: str) -> None:
    """``simbench list estimators``: the catalogue, with the cases in which the risk is exactly unbiased."""
    from simbench.score import risk

    rows = []
    for name in registry.names():
        if name == ANY_CLASSIFIER:
            exact = "see naive"
            rows.append(("sklearn:CLASS", "outside", "-", "α = 1", exact, "any scikit-learn classifier"))
            continue
        try:
            kind = registry.find(name)
        except BadInput as error:
            rows.append((name, "-", "-", str(error), "-", "-"))
            continue
        needs = ", ".join([*sorted(kind.needs), *(f"({o})" for o in sorted(kind.optional))]) or "-"
        rows.append((name, kind.family, needs, kind.assumption, risk.exact_cases(kind), kind.source))
    columns = ["estimator", "family", "told (optionally)", "assumes", "exactly unbiased", "source"]
    print_table(pd.DataFrame(rows, columns=columns), format, "Estimators")


def list_grants(format: str) -> None:
    """``simbench list grants``."""
    rows = list(MEANING.items())
    print_table(pd.DataFrame(rows, columns=["grant", "what is told"]), format, "Grants")


def list_worlds(format: str) -> None:
    """``simbench list worlds``."""
    rows = []
    for name, config in PRESETS.items():
        world = build(config, 0.5, 10_000, 0)
        rows.append((name, config.law, f"{world.realised()['feedback_rate']:.3f}", DESCRIPTIONS[name]))
    columns = ["world", "law", "feedback rate at bias level 0.5", "what"]
    print_table(pd.DataFrame(rows, columns=columns), format, "Worlds")
