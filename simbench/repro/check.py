"""Whether a document and a small rerun disagree, and what precisely that means.

1. The document must be exactly what its measured values render to.
2. Every verdict must be the one that follows from the stored values by the stored conditions, and the rerun
   must judge by the same conditions wherever both have one. So no verdict can be edited alone.
3. A claim that enumeration decides must get the same verdict in the rerun, and an *exact* value must equal
   the stored one to six digits, more than are printed (or both must be rounding noise, below 1e-12). A claim
   that the rerun could not test, because it ran some of the steps, is skipped.
4. A *statistical* value must lie within the prediction interval of the stored one. Both estimate the same
   quantity (the small form runs fewer replicates of fewer cells, at the same sizes), so that the difference
   of the means of R stored and r rerun replicates has standard error ``s √(1/R + 1/r)``, ``s`` the stored
   standard deviation of a replicate. It is compared with Student's t at R - 1 degrees of freedom, at the
   family-wise error rate :data:`ERROR_RATE` over all compared values (Bonferroni). The rerun's logs are drawn
   from the same seeds as the first logs of the document, which makes the difference smaller than that of
   independent logs. So the true error rate lies below the stated one, at the cost of power against errors
   smaller than that interval.
5. *Speeds*, which depend on the machine, and *derived* values (rank correlations, their p-values), which
   follow from compared values of the same finding, are not compared.
"""

import math
from dataclasses import dataclass

from scipy.stats import t as student

from simbench.repro.document import Reproduction, render
from simbench.repro.findings import Finding
from simbench.repro.quantities import Quantity
from simbench.repro.verdicts import ClaimVerdict, Condition, decide

ERROR_RATE = 1e-3  # of a false alarm in a whole check
NOISE = 1e-12  # rounding of exact sums
SAME = 1e-6  # relative difference of exact values up to which they are the same on any machine


@dataclass(frozen=True)
class Disagreement:
    """A place where the document and the rerun disagree, and what each of them says there."""

    where: str
    stored: str
    rerun: str

    def __str__(self) -> str:
        return f"{self.where}: the document has {self.stored}, the rerun {self.rerun}"


@dataclass(frozen=True)
class Comparison:
    """How many of the stored values were compared, and where they disagree."""

    compared: int
    stored: int
    disagreements: tuple[Disagreement, ...]


def compare_document(text: str, stored: Reproduction) -> list[Disagreement]:
    """Compare a document with what its stored values render to.

    Returns
    -------
    list of Disagreement
        The first line that differs; empty if there is none.
    """
    expected, found = render(stored).splitlines(), text.splitlines()
    for number, (ours, theirs) in enumerate(zip(expected, found, strict=False), 1):
        if ours != theirs:
            return [Disagreement(f"line {number}", repr(theirs), f"{ours!r} by the stored values")]
    if len(expected) != len(found):
        lengths = f"{len(found)} lines", f"{len(expected)} lines by the stored values"
        return [Disagreement("the whole document", *lengths)]
    return []


def compare(stored: Reproduction, rerun: Reproduction) -> Comparison:
    """Compare all values that both reproductions hold, and the verdicts of exact claims."""
    again = {finding.key: finding for finding in rerun.findings}
    pairs = [(finding, again[finding.key]) for finding in stored.findings if finding.key in again]
    values = [
        (f"claim {ours.key}, {key}", *both) for ours, theirs in pairs for key, both in _shared(ours, theirs)
    ]
    statistical = sum(first.kind == "statistical" for _, first, _ in values)
    rate = ERROR_RATE / max(1, statistical)
    found = [
        Disagreement(where, str(first), str(second))
        for where, first, second in values
        if not agree(first, second, rate)
    ]
    found += [
        Disagreement(f"verdict of claim {ours.key}", ours.verdict, theirs.verdict)
        for ours, theirs in pairs
        if ours.is_exact and theirs.verdict not in (ours.verdict, ClaimVerdict.untested)
    ]
    found += [one for ours, theirs in pairs for one in _other_conditions(ours, theirs)]
    total = sum(len(finding.quantities) for finding in stored.findings)
    return Comparison(len(values), total, tuple(found))


def compare_verdicts(stored: Reproduction) -> list[Disagreement]:
    """Derive every stored verdict again from the stored values; return those that come out otherwise."""
    found = []
    for finding in stored.findings:
        try:
            derived = decide(finding.places, finding.quantities, finding.luck)
        except KeyError as error:
            missing = f"a condition on {error}, which is not stored"
            found.append(Disagreement(f"verdict of claim {finding.key}", finding.verdict, missing))
            continue
        if derived is not finding.verdict:
            place = f"verdict of claim {finding.key}"
            found.append(Disagreement(place, finding.verdict, f"{derived} by the stored values"))
        if finding.luck > (1 - stored.level) / 2:
            place = f"luck of claim {finding.key}"
            found.append(
                Disagreement(place, f"{finding.luck:g}", f"more than {(1 - stored.level) / 2:g} cannot be")
            )
    return found


def _other_conditions(ours: Finding, theirs: Finding) -> list[Disagreement]:
    """Conditions on the same quantity and bound that the two findings do not share."""
    first, second = (_conditions(finding) for finding in (ours, theirs))
    return [
        Disagreement(f"condition of claim {ours.key} on {key}", _in_words(first[key]), _in_words(second[key]))
        for key in first
        if key in second and first[key] != second[key]
    ]


def _conditions(finding: Finding) -> dict[str, tuple[Condition, ...]]:
    found: dict[str, tuple[Condition, ...]] = {}
    for place in finding.places:
        for condition in place.conditions:
            found[condition.key] = (*found.get(condition.key, ()), condition)
    return found


def _in_words(conditions: tuple[Condition, ...]) -> str:
    sides = (f"{one.bound} {'above' if one.above else 'below'} {one.threshold:g}" for one in conditions)
    return " and ".join(sides)


def _shared(ours: Finding, theirs: Finding) -> list[tuple[str, tuple[Quantity, Quantity]]]:
    """Values of both findings that can be compared, by their key."""
    both = [key for key in ours.quantities if key in theirs.quantities]
    pairs = [(key, (ours.quantities[key], theirs.quantities[key])) for key in both]
    return [(key, pair) for key, pair in pairs if pair[0].kind in ("exact", "statistical")]


def agree(stored: Quantity, rerun: Quantity, error_rate: float) -> bool:
    """Return whether a rerun value is compatible with the stored one.

    Parameters
    ----------
    stored, rerun : Quantity
        The same quantity in the document and in the rerun.
    error_rate : float in (0, 1)
        Two-sided error rate of this one comparison.

    Raises
    ------
    ValueError
        If a statistical value has no standard error.
    """
    if stored.value is None or rerun.value is None:
        # a share of a gain that one of them cannot tell from none: the gain itself is compared
        return True
    difference = abs(stored.value - rerun.value)
    if stored.kind == "exact":
        size = max(abs(stored.value), abs(rerun.value))
        return difference <= SAME * size or size < NOISE
    if stored.error is None or stored.n < 2 or rerun.n < 1:
        raise ValueError(f"a statistical value without an error cannot be compared: {stored!r}")
    spread = stored.error * math.sqrt(stored.n)
    reach = spread * math.sqrt(1 / stored.n + 1 / rerun.n)
    return difference <= reach * float(student.ppf(1 - error_rate / 2, stored.n - 1)) + _last_digit(stored)


def _last_digit(value: Quantity) -> float:
    """One unit of the last printed digit."""
    if value.digits >= 0:
        return 10.0**-value.digits
    size = abs(value.value or 0.0)
    return 10.0 ** (math.floor(math.log10(size)) + 1 + value.digits) if size > 0 else 0.0
