"""What further knowledge is worth: redrawn logs, what each estimator is told, and the error it leaves."""

from types import SimpleNamespace

import numpy as np
import pytest
from stand_ins import Fit, StandIn

from simbench.estimator import registry
from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis import advice as module
from simbench.reward.diagnosis.advice import (
    HYPER,
    Worth,
    _error,
    _labels,
    _redraw,
    _Redrawn,
    worth_of_knowledge,
)

ROWS = 200


def a_log(rows: int = ROWS, **known) -> FeedbackLog:
    features = np.arange(rows, dtype=np.float32)[:, None]
    feedback = (np.arange(rows) % 2).astype(np.float32)[None]
    return FeedbackLog(features, feedback, np.arange(rows), **known)


def test_a_redrawn_log_has_the_clicks_of_its_fit():
    """60,000 draws: every share within five standard errors, an error rate of 1e-6 each."""
    rows = 60_000
    reward = np.tile([0.2, 0.7, 0.7, 1.0], rows // 4)
    alpha = np.tile([0.5, 0.3, 0.9, 0.6], rows // 4)
    one = _redraw(a_log(rows, misclick=0.1), reward, alpha, 0, 1)
    within = 5 * 0.5 / np.sqrt(rows / 4)
    for kind in range(4):
        at = slice(kind, None, 4)
        assert one.preference[at].mean() == pytest.approx(reward[kind], abs=within)
        assert one.log.feedback[0, at].mean() == pytest.approx(reward[kind] * alpha[kind], abs=within)
        assert one.uniform[at].mean() == pytest.approx(0.5, abs=within)
    assert not one.log.feedback[0][~one.preference].any()
    assert abs(np.corrcoef(one.uniform, one.preference)[0, 1]) < 5 / np.sqrt(rows)
    assert abs(np.corrcoef(one.uniform, one.log.feedback[0])[0, 1]) < 5 / np.sqrt(rows)
    assert one.log.misclick == 0.1 and one.log.feedback.dtype == np.float32
    assert one.reward is reward and one.propensity == pytest.approx(alpha)


def test_propensities_of_a_redrawn_log_are_kept_from_0_and_1():
    sharp = np.tile([0.0, 1.0], ROWS // 2)
    one = _redraw(a_log(), np.full(ROWS, 0.5), sharp, 0, 0)
    assert one.propensity == pytest.approx(np.tile([0.001, 0.999], ROWS // 2))


def test_every_redrawn_log_is_another():
    reward = alpha = np.full(ROWS, 0.7)
    draws = [_redraw(a_log(), reward, alpha, *axes).log.feedback for axes in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert not np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])
    assert np.array_equal(draws[0], draws[3])


def redrawn(reward: list, preference=None, uniform=None) -> _Redrawn:
    """A log of four responses whose fit is this."""
    log = FeedbackLog(np.zeros((4, 1), np.float32), np.array([[1, 0, 0, 1]], np.float32), np.arange(4))
    return _Redrawn(log, np.array(reward), np.full(4, 0.5), np.array(preference), np.array(uniform))


def test_the_error_is_the_root_of_the_mean_square_over_all_logs():
    drawn = [redrawn([0.1, 0.2, 0.3, 0.4]), redrawn([0.9, 0.9, 0.5, 0.5])]
    estimator = StandIn(lambda log, own: Fit(lambda x: np.full((1, len(x)), 0.5)))
    squares = [0.16, 0.09, 0.04, 0.01, 0.16, 0.16, 0, 0]
    found = _error(estimator, drawn, lambda one: {"class_prior": float(one.reward.mean())})
    assert found == pytest.approx(np.sqrt(sum(squares) / 8))
    assert [log.class_prior for log in estimator.logs] == pytest.approx([0.25, 0.7])


def shares(errors: dict) -> StandIn:
    """An estimator whose error on a reward of .5 is that of the number of labels that it was given."""

    def fit(log, parameters):
        return Fit(lambda x: np.full((1, len(x)), 0.5 + errors[int(np.isfinite(log.labels).sum())]))

    return StandIn(fit)


def labelled(rows: int = 1000) -> list[_Redrawn]:
    """So many responses: the share s labels the first ``rows`` times s."""
    log = FeedbackLog(
        np.zeros((rows, 1), np.float32), (np.arange(rows) % 2).astype(np.float32)[None], np.arange(rows)
    )
    good = np.arange(rows) % 3 == 0
    return [_Redrawn(log, np.full(rows, 0.5), np.full(rows, 0.5), good, (np.arange(rows) + 0.5) / rows)]


@pytest.mark.parametrize(
    ("errors", "count", "rmse"),
    [
        ((0.3, 0.2, 0.1 - 1e-9, 0.05, 0.01), 20, 0.1),
        ((0.09, 0.2, 0.1, 0.05, 0.01), 5, 0.09),
        ((0.3, 0.101, 0.3, 0.3, 0.05), 100, 0.05),
        ((0.3, 0.3, 0.3, 0.3, 0.2), 100, 0.2),
    ],
)
def test_labels_are_the_smallest_share_that_brings_the_error_to_a_tenth(errors, count, rmse):
    estimator = shares(dict(zip((5, 10, 20, 50, 100), errors, strict=True)))
    found = _labels(estimator, labelled())
    assert (found.labels, found.knowledge) == (count, f"{count} explicit labels")
    assert found.rmse == pytest.approx(rmse, abs=1e-6)


def test_of_a_few_responses_one_label_is_the_least():
    """Half a percent of 40 responses rounds to none, and no labels are no knowledge."""
    assert _labels(shares({0: 0.0}), labelled(40)).labels == 1


def test_labels_are_the_preferences_of_the_responses_that_were_drawn():
    estimator = shares(dict.fromkeys((5, 10, 20, 50, 100), 0.0))
    _labels(estimator, labelled())
    labels = estimator.logs[0].labels
    assert labels.shape == (1, 1000) and labels.dtype == np.float32
    assert labels[0, :5].tolist() == [1, 0, 0, 1, 0] and np.isnan(labels[0, 5:]).all()


OWN = {**dict.fromkeys(HYPER, 0), "lr": 0.7, "seed": 3}
KNOWING = ("labels", "propensity", "action_rate", "class_prior")


@pytest.fixture
def worths(monkeypatch):
    """Advice on six fits, by estimators whose error is that of what they were told; and what they were."""
    errors = {"class_prior": 0.15, "action_rate": 0.3, "propensity": 0.05, "labels": 0.2, None: 0.4}
    means = [0.5, 0.2, 0.9, 0.3, 0.7, 0.6]
    rewards = np.repeat(np.array(means)[:, None], ROWS, 1)
    propensities = rewards / 2 + 0.25

    def fit(log, parameters):
        what = next((name for name in KNOWING if getattr(log, name) is not None), None)
        truth = means[np.abs(np.array(means) - log.features[0, 0]).argmin()]
        return Fit(lambda x: np.full((1, len(x)), truth + errors[what]))

    unknown = StandIn(fit, **OWN)
    known = StandIn(fit)
    made = {}

    def likelihood(propensity_is_told):
        name = registry.likelihood(propensity_is_told).name
        return lambda **parameters: made.update({name: parameters}) or known

    monkeypatch.setattr(module, "likelihood", likelihood)
    real = module._redraw

    def marked(log, reward, propensity, seed, number):
        """The features tell which fit was taken for the truth."""
        one = real(log, reward, propensity, seed, number)
        log = FeedbackLog(np.full((ROWS, 1), reward[0], np.float32), one.log.feedback, log.groups)
        return _Redrawn(log, one.reward, one.propensity, one.preference, one.uniform)

    monkeypatch.setattr(module, "_redraw", marked)
    found = worth_of_knowledge(a_log(), rewards, propensities, unknown)
    return SimpleNamespace(found=found, unknown=unknown, known=known, made=made)


def test_knowledge_is_ranked_by_the_error_it_leaves_and_nothing_comes_first(worths):
    expected = [
        Worth("nothing more", 0.4),
        Worth("the propensity", 0.05),
        Worth("the class prior", 0.15),
        Worth("20 explicit labels", 0.2, 20),
        Worth("the action rate", 0.3),
    ]
    assert [(one.knowledge, one.labels) for one in worths.found] == [
        (one.knowledge, one.labels) for one in expected
    ]
    assert [one.rmse for one in worths.found] == pytest.approx([one.rmse for one in expected], abs=1e-6)


def test_four_fits_from_the_lowest_to_the_highest_mean_are_taken_for_the_truth(worths):
    """Of six in order, numbers 0, 2, 3 and 5 (5/3 and 10/3 rounded)."""
    bare = [log for log in worths.unknown.logs if all(getattr(log, name) is None for name in KNOWING)]
    assert [log.features[0, 0] for log in bare] == pytest.approx([0.2, 0.5, 0.6, 0.9])


def test_each_estimator_is_told_the_fits_own_marginals_and_propensity(worths):
    told = {
        name: [getattr(log, name) for log in worths.unknown.logs if getattr(log, name) is not None]
        for name in ("class_prior", "action_rate")
    }
    assert told["class_prior"] == pytest.approx([0.2, 0.5, 0.6, 0.9])
    assert told["action_rate"] == pytest.approx([0.35, 0.5, 0.55, 0.7])
    assert [log.propensity[0] for log in worths.known.logs] == pytest.approx([0.35, 0.5, 0.55, 0.7])
    assert worths.made == {"implicitrm-known": OWN}


def test_few_fits_are_each_taken_once(monkeypatch):
    taken = []
    real = module._redraw
    monkeypatch.setattr(
        module, "_redraw", lambda log, reward, *rest: taken.append(reward[0]) or real(log, reward, *rest)
    )
    monkeypatch.setattr(module, "likelihood", lambda propensity_is_told: lambda **parameters: half)
    half = StandIn(lambda log, own: Fit(lambda x: np.full((1, len(x)), 0.5)), **dict.fromkeys(HYPER, 0))
    rewards = np.repeat([[0.8], [0.3]], ROWS, 1)
    worth_of_knowledge(a_log(), rewards, rewards, half)
    assert taken == pytest.approx([0.3, 0.8])
