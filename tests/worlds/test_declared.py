"""What a law of independent responses declares, against enumeration, and against what it draws.

The enumerations here loop over ratings, preferences, slips and actions, and share no code with the law;
two actions at once are SciPy's bivariate Gaussian.
"""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import multivariate_normal, norm

from simbench.worlds.channel import Channel, RatedSignalsLaw, SignalsLaw
from simbench.worlds.presets import PRESETS
from simbench.worlds.ratings import Ratings
from simbench.worlds.world import build

ALPHA = st.floats(0.02, 1.0)
CHANNELS = st.builds(
    Channel,
    misclick=st.sampled_from([0.0, 0.05, 0.7]),
    signals=st.integers(1, 3),
    regenerate=st.booleans(),
    signal_dependence=st.sampled_from([0.0, 0.4, 0.9]),
    exposures=st.integers(1, 3),
)


def columns(draw, *shape):
    count = int(np.prod(shape))
    return np.array(draw(st.lists(ALPHA, min_size=count, max_size=count))).reshape(shape)


@st.composite
def laws(draw):
    """A law on two responses; users act on the response, or on a rating that is drawn."""
    channel = draw(CHANNELS)
    count = len(channel.signal_names)
    if draw(st.booleans()):
        return SignalsLaw(columns(draw, 2) * 0.95, columns(draw, count, 2), channel)
    exceeds = np.sort(columns(draw, 2, 2) * 0.9 + 0.02, axis=0)[::-1] * [[1.0], [0.9]]
    ratings = Ratings(
        exceeds, np.array([1.0, 2.0, 3.0]), np.full(3, 1 / 3), draw(st.sampled_from([1.0, 2.0]))
    )
    return RatedSignalsLaw(ratings, columns(draw, count, 3, 2), channel)


def situations(law, row):
    """Every (probability, propensities of all signals, good) in which a user may be."""
    if isinstance(law, RatedSignalsLaw):
        above = [1.0, *law.ratings.exceeds[:, row], 0.0]
        for level in range(3):
            good = law.ratings.levels[level] > law.ratings.threshold
            yield above[level] - above[level + 1], law.levels[:, level, row], good
    else:
        yield law.reward[row], law.propensities[:, row], True
        yield 1 - law.reward[row], law.propensities[:, row], False


def fires(name, good, slips):
    if name == "click":
        return good or slips
    return not good if name == "regenerate" else good


def marginals(law, row):
    found = []
    for k, name in enumerate(law.channel.signal_names):
        total = 0.0
        for (p, alphas, good), slips in product(situations(law, row), (True, False)):
            of_slip = law.channel.misclick if slips else 1 - law.channel.misclick
            total += p * of_slip * alphas[k] * fires(name, good, slips)
        found.append(total)
    return found


@settings(max_examples=60, deadline=None)
@given(laws())
def test_marginals_are_those_of_the_enumerated_situations(law):
    for row in range(2):
        assert law.signal_probabilities[:, row] == pytest.approx(marginals(law, row), abs=1e-12)
        within = list(situations(law, row))
        good = sum(p for p, _, is_good in within if is_good)
        assert law.reward[row] == pytest.approx(good)
        acting = sum(p * alphas[0] for p, alphas, _ in within)
        assert law.action_probability[row] == pytest.approx(acting)
        of_good = sum(p * alphas[0] for p, alphas, is_good in within if is_good) / good
        assert law.propensity[row] == pytest.approx(of_good)


@settings(max_examples=40, deadline=None)
@given(laws())
def test_outcomes_of_a_page_sum_to_one_and_have_the_marginals(law):
    found = law.outcomes(np.array([1, 0]))
    count = len(law.channel.signal_names)
    assert found.signals.shape == (len(found.probability), count, 2) and found.signals.shape[0] == 4**count
    assert len(np.unique(found.signals.reshape(len(found.signals), -1), axis=0)) == len(found.signals)
    assert found.shown.all() and found.shown.shape == (4**count, 2)
    assert found.probability.sum() == pytest.approx(1, abs=1e-9) and found.probability.min() >= 0
    by_outcome = np.einsum("m,mkr->kr", found.probability, found.signals)
    assert by_outcome == pytest.approx(law.signal_probabilities[:, [1, 0]], abs=2e-4)  # 160-point quadrature
    assert found.signal_probabilities()[0] == pytest.approx(by_outcome[0])


@settings(max_examples=30, deadline=None)
@given(laws())
def test_two_signals_meet_as_often_as_the_enumerated_situations_say(law):
    """The click with every other signal: actions of one user share the copula, those of others do not."""
    d, names = law.channel.signal_dependence, law.channel.signal_names
    found = law.outcomes(np.array([0]))
    for k in range(1, len(names)):
        cov = [[1, d], [d, 1]] if ":" not in names[k] else np.eye(2)
        total = 0.0
        for (p, alphas, good), slips in product(situations(law, 0), (True, False)):
            of_slip = law.channel.misclick if slips else 1 - law.channel.misclick
            both = fires("click", good, slips) and fires(names[k], good, slips)
            at = ndtri(np.clip(alphas[[0, k]], 1e-12, 1 - 1e-12))
            total += p * of_slip * both * multivariate_normal(cov=cov).cdf(at)
        meet = found.signals[:, [0, k], 0].all(1)
        assert found.probability[meet].sum() == pytest.approx(total, abs=5e-4)


# Channels and behaviours that were once refused together: they draw what they declare.
COMBINED = [
    ("twin:helpsteer", {"misclick": 0.3}),
    ("twin:helpsteer", {"signals": 3, "signal_dependence": 0.6, "misclick": 0.2}),
    ("twin:saferlhf", {"regenerate": True}),
    ("twin:saferlhf", {"exposures": 3, "signal_dependence": 0.7, "signals": 2}),
    ("twin:helpsteer", {"always_share": 0.1, "regenerate": True, "misclick": 0.1}),
    ("twin:ultrafeedback", {"behaviour": "logit", "confounding": 0.5, "misclick": 0.1}),
    ("twin:helpsteer", {"behaviour": {"kind": "logit", "reads": "features"}, "signals": 2}),
    ("rating", {"signals": 2, "regenerate": True, "signal_dependence": 0.5, "exposures": 2}),
    ("rating", {"always_share": 0.1, "misclick": 0.2}),
]


@pytest.mark.parametrize(("name", "changes"), COMBINED, ids=str)
def test_what_was_once_refused_draws_what_it_declares(name, changes):
    """120 draws of 120 responses: means of signals and of pairs of signals on one response, which are
    independent between responses, within bounds that err once in 1e6 over all cases together."""
    built = build(PRESETS[name].changed(test_size=100, n_features=8, **changes), 0.6, 120, 4)
    law, names = built.train.law, built.config.signal_names
    log, truth = built.draw(range(120))
    signals = (log.feedback[:, None] if log.signals is None else log.signals).astype(bool)
    n, count = len(law.reward), len(names)
    each = [law.outcomes(np.array([row])) for row in range(n)]
    tested = [(j, k) for j in range(count) for k in range(j, count)]
    bound = norm.isf(1e-6 / 2 / len(COMBINED) / 16)
    for j, k in tested:
        p = np.array([one.probability[one.signals[:, [j, k], 0].all(1)].sum() for one in each])
        error = max(np.sqrt((p * (1 - p)).sum() / 120) / n, 1e-9)
        assert abs((signals[:, j] & signals[:, k]).mean() - p.mean()) < bound * error, (names[j], names[k])
        if j == k:
            assert p == pytest.approx(law.signal_probabilities[j], abs=2e-4)
    assert list(built.signal_rates().values()) == pytest.approx(law.signal_probabilities.mean(1))
    of_good = truth.preference.mean()
    error = np.sqrt((law.reward * (1 - law.reward)).sum() / 120) / n
    assert abs(of_good - law.reward.mean()) < bound * error
    acting = built.realised()["action_rate"]
    assert acting == pytest.approx(
        built.config.behaviour.action_rate, abs=0.02 if "always_share" in changes else 1e-6
    )
    if built.train.always_acts is not None:
        assert law.propensity[built.train.always_acts] == pytest.approx(1)


def test_actions_on_a_rating_that_is_drawn_are_correlated_through_it():
    """α = (.1, .9) and (.2, .4) at two ratings of probability ½: P(both) = .19, and .5 and .3 alone."""
    ratings = Ratings(np.array([[0.5]]), np.array([0.0, 1.0]), np.array([0.5, 0.5]), 0.0)
    levels = np.array([[0.1, 0.9], [0.2, 0.4]])[:, :, None]
    spread = (0.25 * 0.21) ** 0.5
    law = RatedSignalsLaw(ratings, levels, Channel(signals=2))
    assert law.action_correlation() == pytest.approx((0.19 - 0.15) / spread)
    both = [multivariate_normal(cov=[[1, 0.5], [0.5, 1]]).cdf(ndtri(pair)) for pair in levels[:, :, 0].T]
    law = RatedSignalsLaw(ratings, levels, Channel(signals=2, signal_dependence=0.5))
    assert law.action_correlation() == pytest.approx((np.mean(both) - 0.15) / spread, abs=1e-6)


def test_clicks_of_other_users_are_no_further_signals_of_one():
    """With two who see it and two signals, the pair is click and copy of the first."""
    alphas = np.array([[0.3], [0.3], [0.6]])
    law = SignalsLaw(np.array([0.5]), alphas, Channel(signals=2, exposures=2, signal_dependence=0.5))
    of_two = SignalsLaw(np.array([0.5]), alphas[[0, 2]], Channel(signals=2, signal_dependence=0.5))
    assert law.action_correlation() == of_two.action_correlation() > 0.1
    found = law.outcomes(np.array([0]))
    of_pair = found.probability[found.signals[:, [0, 1], 0].all(1)].sum()
    assert of_pair == pytest.approx(0.5 * 0.3 * 0.3, abs=1e-6)
