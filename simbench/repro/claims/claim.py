"""A claim: what is said, what would test it, and the function that judges it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simbench.repro.evidence import Evidence, NotMeasured
from simbench.repro.findings import Finding, Table
from simbench.repro.quantities import Quantity
from simbench.repro.verdicts import ClaimVerdict, Place, decide, where


@dataclass(frozen=True)
class Judgement:
    """The result of judging a claim; ``because`` and ``tables`` hold slots for the quantities.

    Parameters
    ----------
    places : sequence of Place
        Where it was judged; the verdict follows from them. None: it could not be tested.
    because : str
    quantities : dict of Quantity
    tables : tuple of Table
    luck : float in [0, 1)
        As in :func:`simbench.repro.verdicts.decide`.
    condition : str
        In words, the condition under which it holds; by default the places where it does.
    """

    places: Sequence[Place]
    because: str
    quantities: dict[str, Quantity] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    luck: float = 0.0
    condition: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, or about it.

    Parameters
    ----------
    key : str
        Short and stable, as in :class:`simbench.repro.quantities.Finding`.
    text : str
        What is claimed.
    command : str
        The command that measures it.
    rule : str
        How the verdict is decided.
    judge : callable
        Function that judges it; raises :class:`simbench.repro.evidence.NotMeasured` if results are missing.
    is_exact : bool
        Whether it is decided without sampling, so that a rerun must get the same verdict.
    figure : str
        Name of a figure in ``docs/img`` that shows it; empty for none.
    """

    key: str
    text: str
    command: str
    rule: str
    judge: Callable[[Evidence], Judgement]
    is_exact: bool = False
    figure: str = ""

    def examine(self, evidence: Evidence) -> Finding:
        """Judge the claim; it is untested, with the reason, if results are missing."""
        try:
            found = self.judge(evidence)
        except NotMeasured as error:
            reason = str(error)
            found = Judgement((), f"{reason[0].upper()}{reason[1:]}.")
        verdict = decide(found.places, found.quantities, found.luck)
        named = found.condition or where(found.places, found.quantities)
        return Finding(
            key=self.key,
            claim=self.text,
            command=self.command,
            rule=self.rule,
            is_exact=self.is_exact,
            figure=self.figure,
            verdict=verdict,
            condition=named if verdict is ClaimVerdict.condition else "",
            because=found.because,
            places=tuple(found.places),
            luck=found.luck,
            quantities=found.quantities,
            tables=found.tables,
        )


def claim(
    key: str, text: str, *, command: str, rule: str, is_exact: bool = False, figure: str = ""
) -> Callable[[Callable[[Evidence], Judgement]], Claim]:
    """Decorate a function that judges a claim, and make it that :class:`Claim`; parameters as there."""
    return lambda judge: Claim(key, text, command, rule, judge, is_exact, figure)
