"""The conformance kit of behaviours: does a world draw what its law declares?

Everything is tested on a small world whose pages can be enumerated. What is drawn is compared with the
enumeration by chi-square tests; together they reject a right declaration with probability :data:`ERROR_RATE`,
and their seed is fixed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import chi2

from simbench.errors import BadInput
from simbench.log.pages import page_matrix
from simbench.study.conformance import Finding
from simbench.study.guests.behaviours import behaviours_as_guests
from simbench.worlds.behaviour import BehaviourError
from simbench.worlds.config import WorldConfig
from simbench.worlds.law import Law, Outcomes
from simbench.worlds.presets import PRESETS
from simbench.worlds.responses import PAGE
from simbench.worlds.world import World, build

ERROR_RATE = 1e-3  # of all statistical tests of one world together
LEVELS = (0.0, 0.3, 0.8, 2.0)  # bias levels tried; a behaviour may refuse some, but not the first two
REPLICATES = 4000
PROMPTS = 12
SEED = 20_261_126
EXACT = 1e-9  # what is algebra agrees to this
RATE = 1e-6  # what is solved for is met to this
EXPECTED = 5.0  # outcomes that are expected less often are counted together
BITS = 10  # of everything that can be logged of one enumerated page
LARGEST_PAGE = 8


@dataclass(frozen=True)
class _Drawn:
    """What was drawn in all replicates: preferences (R, n), signals (R, K, n), and what was shown (R, n)."""

    preference: np.ndarray
    signals: np.ndarray
    shown: np.ndarray


@behaviours_as_guests()
def examine_behaviour(name: str) -> list[Finding]:
    """Test a behaviour in the world ``exclusive``; see :func:`examine_world`.

    Raises
    ------
    BadInput
        If there is no such behaviour, or its settings have no defaults.
    """
    return examine_world(PRESETS["exclusive"].changed(behaviour=name), name)


def examine_world(config: WorldConfig, name: str) -> list[Finding]:
    """Test that a world draws what it declares.

    Parameters
    ----------
    config : WorldConfig
        A synthetic world; it is made small enough to be enumerated.
    name : str
        Name in the findings.

    Returns
    -------
    list of Finding
        One for each requirement; an exception that a test raises fails it, and is the detail. A behaviour
        that does not work at all is not tested further.
    """
    requirements: dict[str, Callable[[WorldConfig], str]] = {
        "works at bias level 0 and above": _levels,
        "probabilities lie in their range": partial(_at_every_level, test=_in_range),
        "enumerated pages add up to what is declared": partial(_at_every_level, test=_adds_up),
        "what is drawn is what is declared": _draws,
        "a replicate does not depend on the range it is drawn in": _range_free,
        "bias level 0 is SCAR, where declared": _scar,
        "the mean action rate is at its target, where declared": partial(_at_every_level, test=_rate),
        "the bias level changes who acts": _level_matters,
        "its settings survive being written down": _round_trip,
    }
    small, findings = _small(config), []
    for requirement, test in requirements.items():
        try:
            wrong = test(small)
        except Exception as error:  # whatever a stranger's code raises is its finding
            own = isinstance(error, BadInput | BehaviourError)  # says by itself what is wrong
            wrong = str(error) if own else f"{type(error).__name__}: {error}"
        findings.append(Finding(name, requirement, not wrong, wrong or "ok"))
        if wrong and test is _levels:
            break
    return findings


def _small(config: WorldConfig) -> WorldConfig:
    """The world with pages as long as can be enumerated."""
    longest = max(1, BITS // len(config.signal_names))
    return config.changed(responses_per_prompt=min(5, longest, LARGEST_PAGE), test_size=100)


def _built(config: WorldConfig, bias_level: float) -> World:
    per_prompt = getattr(config.responses, "responses_per_prompt", PAGE)
    return build(config, bias_level, PROMPTS * per_prompt, SEED)


def _possible(config: WorldConfig) -> Iterator[tuple[float, World]]:
    """The levels that the behaviour takes, each with its world."""
    for level in LEVELS:
        try:
            yield level, _built(config, level)
        except BadInput:
            continue


def _levels(config: WorldConfig) -> str:
    for level in LEVELS[:2]:
        try:
            _built(config, level)
        except BadInput as error:
            says_where = f"bias level {level:g}" in str(error)
            return str(error) if says_where else f"at bias level {level:g}: {error}"
    return ""


def _at_every_level(config: WorldConfig, test: Callable[[World], str]) -> str:
    for level, world in _possible(config):
        wrong = test(world)
        if wrong:
            return f"at bias level {level:g}: {wrong}"
    return ""


def _in_range(world: World) -> str:
    law, n = world.train.law, len(world.train.groups)
    declared = {
        "reward": (law.reward, 0.0),
        "propensity": (law.propensity, np.finfo(float).tiny),
        "action_probability": (law.action_probability, 0.0),
        "shown_probability": (_shown(law), 0.0),
    }
    for number, name in enumerate(world.config.signal_names):
        declared[f"signal_probabilities ({name})"] = (law.signal_probabilities[number], 0.0)
    for name, (values, least) in declared.items():
        if np.shape(values) != (n,):
            return f"{name} has shape {np.shape(values)}, not ({n},)"
        if not ((values >= least) & (values <= 1)).all():
            return f"{name} has values from {np.min(values):.3g} to {np.max(values):.3g}"
    return ""


def _adds_up(world: World) -> str:
    law, shown = world.train.law, _shown(world.train.law)
    for number, (rows, found) in enumerate(_enumerated(world)):
        if abs(found.probability.sum() - 1) > EXACT or found.probability.min() < -EXACT:
            return f"the outcomes of page {number} sum to {found.probability.sum():.12g}"
        if (found.signals & ~found.shown[:, None]).any():
            return f"page {number} has a signal on a response that was not shown"
        for name, one, other in (
            ("shown_probability", found.shown_probability(), shown[rows]),
            ("signal_probabilities", found.signal_probabilities(), law.signal_probabilities[:, rows]),
        ):
            if np.abs(one - other).max() > EXACT:
                return f"{name} of page {number} differs from its outcomes by {np.abs(one - other).max():.2g}"
    return ""


def _shown(law: Law) -> np.ndarray:
    return np.ones(len(law.reward)) if law.shown_probability is None else law.shown_probability


def _draws(config: WorldConfig) -> str:
    """Preferences, feedback on good responses, and whole pages, each by a chi-square test at every level."""
    worlds = list(_possible(config))
    level = ERROR_RATE / (3 * len(worlds))
    for bias_level, world in worlds:
        drawn, law = _drawn(world), world.train.law
        good = drawn.preference & drawn.shown
        tests = {
            "preferences": _binomial(drawn.preference.sum(0), REPLICATES, law.reward),
            "feedback on good responses": _binomial(
                (drawn.signals[:, 0] & good).sum(0), good.sum(0), law.propensity
            ),
            "pages": _pages(world, drawn),
        }
        for what, (statistic, freedom) in tests.items():
            p = float(chi2.sf(statistic, freedom))
            if p < level:
                return (
                    f"at bias level {bias_level:g}: {what} differ from what is declared (chi-square "
                    f"{statistic:.0f} on {freedom} degrees of freedom, p = {p:.1g}, in {REPLICATES} draws)"
                )
    return ""


def _drawn(world: World) -> _Drawn:
    drawn = [world.drawn(replicate) for replicate in range(REPLICATES)]
    preference = np.stack([one.preference for one in drawn])
    every = np.ones(preference.shape[1], dtype=bool)
    shown = np.stack([every if one.shown is None else one.shown for one in drawn])
    return _Drawn(preference, np.stack([one.signals for one in drawn]), shown)


def _binomial(count: np.ndarray, trials: np.ndarray | int, probability: np.ndarray) -> tuple[float, int]:
    """Pearson's statistic of n binomial counts, and its degrees of freedom.

    A count that is certain must be met; responses that are hardly ever tried are left out.
    """
    variance = trials * probability * (1 - probability)
    certain = variance < EXACT
    if (np.abs(count - trials * probability)[certain] > EXACT).any():
        return np.inf, 1
    used = variance >= EXPECTED
    return float(((count - trials * probability)[used] ** 2 / variance[used]).sum()), max(1, int(used.sum()))


def _pages(world: World, drawn: _Drawn) -> tuple[float, int]:
    """Pearson's statistic of whole pages, summed over pages; infinite if the impossible was drawn."""
    statistic, freedom = 0.0, 0
    for rows, outcomes in _enumerated(world):
        possible, index = np.unique(_codes(outcomes.signals, outcomes.shown), return_inverse=True)
        expected = REPLICATES * np.bincount(index, outcomes.probability)
        codes = _codes(drawn.signals[:, :, rows], drawn.shown[:, rows])
        place = np.searchsorted(possible, codes).clip(max=len(possible) - 1)
        observed = np.bincount(place, minlength=len(possible))
        impossible = (possible[place] != codes) | (expected[place] < EXACT)
        if impossible.any():
            return np.inf, 1
        expected, observed = _without_rare(expected, observed)
        statistic += float(((observed - expected) ** 2 / expected).sum())
        freedom += len(expected) - 1
    return statistic, max(1, freedom)


def _without_rare(expected: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of outcomes, the rarest together in one cell of at least :data:`EXPECTED`."""
    order = np.argsort(expected)
    together = int(np.searchsorted(np.cumsum(expected[order]), EXPECTED)) + 1
    cells = np.split(order, [together])
    sums = [np.append(values[cells[0]].sum(), values[cells[1]]) for values in (expected, observed)]
    return sums[0], sums[1]


def _codes(signals: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """A number for everything that was logged of a page: (M, K, k) signals and (M, k) shown to (M,)."""
    bits = np.concatenate([signals.reshape(len(signals), -1), shown], axis=1).astype(np.int64)
    return bits @ (1 << np.arange(bits.shape[1]))


def _enumerated(world: World) -> Iterator[tuple[np.ndarray, Outcomes]]:
    """The rows of every page in order, and its outcomes."""
    train, law = world.train, world.train.law
    for page in page_matrix(train.page, train.rank):
        rows = page[page >= 0]
        yield rows, law.outcomes(rows)


def _range_free(config: WorldConfig) -> str:
    world = _built(config, LEVELS[1])
    several, alone = world.draw(range(3)), _built(config, LEVELS[1]).draw(range(1, 2))
    for name in ("feedback", "signals", "shown"):
        one, other = getattr(several[0], name), getattr(alone[0], name)
        if one is not None and not np.array_equal(one[1:2], other):
            return f"{name} of replicate 1 is another one when it is drawn alone"
    if not np.array_equal(several[1].preference[1:2], alone[1].preference):
        return "the preference of replicate 1 is another one when it is drawn alone"
    if np.array_equal(several[0].feedback[0], several[0].feedback[1]):
        return "two replicates are the same"
    return ""


def _scar(config: WorldConfig) -> str:
    if not config.is_scar_at_0:
        return ""
    spread = float(np.ptp(_built(config, 0.0).train.propensity))
    return "" if spread < EXACT else f"propensities at bias level 0 differ by {spread:.2g}"


def _rate(world: World) -> str:
    if not world.config.behaviour.keeps_rate:
        return ""
    target, found = world.config.behaviour.action_rate, _mean_rate(world.train.law)
    return "" if abs(found - target) < RATE else f"the mean propensity is {found:.4f}, and not {target:.4f}"


def _mean_rate(law: Law) -> float:
    return float(law.action_probability.mean())


def _level_matters(config: WorldConfig) -> str:
    laws = [world.train.law for _, world in _possible(config)]
    if len(laws) < 2 or np.abs(laws[0].propensity - laws[-1].propensity).max() > EXACT:
        return ""
    return "the propensity is the same at every bias level"


def _round_trip(config: WorldConfig) -> str:
    again = WorldConfig.model_validate_json(config.model_dump_json())
    if again != config:
        return f"written and read again it is {again.behaviour!r}, and was {config.behaviour!r}"
    one, other = (_built(which, LEVELS[1]).draw(range(1))[0].feedback for which in (config, again))
    return "" if np.array_equal(one, other) else "written and read again it draws another log"
