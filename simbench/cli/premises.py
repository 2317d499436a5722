"""What ``simbench diagnose`` says beyond its verdict: bounds, sensitivity, and means of labels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simbench.cli.printable import print
from simbench.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    from simbench.files.tables.table import Table
    from simbench.log.feedback import FeedbackLog
    from simbench.reward.bounds.report import Comparison
    from simbench.reward.diagnosis.diagnose import Diagnosis

LeastPropensityOption = Annotated[
    float | None,
    typer.Option(
        help="A propensity that no response falls below, averaged over contexts: bounds of the reward "
        "that need nothing else (default: no bounds)."
    ),
]


@dataclass(frozen=True, kw_only=True)
class PremiseOptions:
    """Options that ask what holds without the reward being identified."""

    least_propensity: LeastPropensityOption = None
    mean_above: Annotated[
        float | None,
        typer.Option(
            help="A mean reward to exceed: how far may the propensity be from the fitted one (default: none)?"
        ),
    ] = None
    compare: Annotated[
        str | None,
        typer.Option(
            help="Column of two groups, such as the model that answered: is the better one better for sure "
            "(default: none)?"
        ),
    ] = None
    label_probability: Annotated[
        str | None,
        typer.Option(
            help="Column of the probabilities by which --labels were drawn, as simbench label writes it "
            "(default: all alike)."
        ),
    ] = None

    @property
    def asks(self) -> bool:
        """Whether bounds or sensitivity were asked for."""
        return any(v is not None for v in (self.least_propensity, self.mean_above, self.compare))

    def check(self, labels: str | None) -> None:
        """Raise unless the options are possible.

        Raises
        ------
        BadInput
            If a number is out of its range, or probabilities of labels come without labels.
        """
        from simbench.reward.bounds.bounds import require_least_propensity

        if self.least_propensity is not None:
            require_least_propensity(self.least_propensity)
        if self.mean_above is not None and not 0 <= self.mean_above < 1:
            raise BadInput(f"--mean-above must lie in [0, 1), got {self.mean_above:g}.")
        if self.label_probability is not None and labels is None:
            raise BadInput("--label-probability says how --labels were drawn: name their column too.")

    def read(self, table: "Table", log: "FeedbackLog") -> "Asked":
        """Read the columns that the options name, and check that intervals are possible.

        Raises
        ------
        BadInput
            If a column is not what it must be, or there are too few prompts or labels.
        """
        from simbench.log.columns import probabilities
        from simbench.reward.bounds.report import Comparison
        from simbench.reward.clustered import clusters_of
        from simbench.reward.labels.mean import require_labels

        if self.asks:
            clusters_of(log)
        comparison = None if self.compare is None else Comparison.of(table, self.compare)
        chance = None
        if self.label_probability is not None:
            require_labels(log)
            chance = probabilities(table, self.label_probability)
        return Asked(self, comparison, chance)


@dataclass(frozen=True)
class Asked:
    """Options with the columns that they name.

    Parameters
    ----------
    options : PremiseOptions
    comparison : Comparison or None
    chance : ndarray, shape (n,), or None
        Probabilities of being labelled.
    """

    options: PremiseOptions
    comparison: "Comparison | None"
    chance: "np.ndarray | None"

    def answer(self, log: "FeedbackLog", found: "Diagnosis", parameters: dict[str, Any]) -> None:
        """Print what was asked for, after the verdict."""
        from simbench.reward.bounds.bounds import bounds
        from simbench.reward.bounds.click_fits import network_parameters
        from simbench.reward.bounds.report import as_text, of_bounds, of_labels, of_sensitivity
        from simbench.reward.bounds.sensitivity import Sensitivity
        from simbench.reward.diagnosis.cross_fit import unseen_clicks
        from simbench.reward.diagnosis.diagnose import estimator_with
        from simbench.reward.labels.mean import has_labels, labelled

        options = self.options
        if options.least_propensity is not None:
            given = bounds(log, options.least_propensity, **network_parameters(parameters))
            least = f"{given.least_propensity:g}"
            title = f"What a propensity of at least {least} leaves (95 % intervals in brackets):"
            print("\n" + as_text(title, of_bounds(given)))
        if options.asks:
            clicks = unseen_clicks(estimator_with(**parameters), log)
            centre = Sensitivity.of(log, clicks, found.propensity.clip(1e-9, 1))
            rows = of_sensitivity(centre, log.groups, options.mean_above, self.comparison)
            title = "How far may the propensity be from the fitted one (its own error not counted)?"
            print("\n" + as_text(title, rows))
        if log.labels is not None and (self.chance is not None or has_labels(log)):
            said = labelled(log, self.chance, **parameters)
            drawn = "at random" if self.chance is None else "with the given probabilities"
            title = f"What the labels say, drawn {drawn} (95 % intervals):"
            print("\n" + as_text(title, of_labels(*said)))
