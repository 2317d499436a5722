"""A claim: what is said, what would test it, and the function that judges it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from simbench.repro.evidence import Evidence, NotMeasured
from simbench.repro.quantities import ClaimVerdict, Finding, Quantity, Table


@dataclass(frozen=True)
class Judgement:
    """The result of judging a claim; ``because`` and ``tables`` hold slots for the quantities."""

    verdict: ClaimVerdict
    because: str
    quantities: dict[str, Quantity] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()


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
    """

    key: str
    text: str
    command: str
    rule: str
    judge: Callable[[Evidence], Judgement]
    is_exact: bool = False

    def examine(self, evidence: Evidence) -> Finding:
        """Judge the claim; it is untested, with the reason, if results are missing."""
        try:
            found = self.judge(evidence)
        except NotMeasured as error:
            reason = str(error)
            found = Judgement(ClaimVerdict.untested, f"{reason[0].upper()}{reason[1:]}.")
        return Finding(
            key=self.key,
            claim=self.text,
            command=self.command,
            rule=self.rule,
            is_exact=self.is_exact,
            **vars(found),
        )


def claim(
    key: str, text: str, *, command: str, rule: str, is_exact: bool = False
) -> Callable[[Callable[[Evidence], Judgement]], Claim]:
    """Decorate a function that judges a claim, and make it that :class:`Claim`; parameters as there."""
    return lambda judge: Claim(key, text, command, rule, judge, is_exact)
