"""The diagnosis of a log: what it is put together from, its thresholds, its verdict and its sentences."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis import diagnose as module
from simbench.reward.diagnosis.advice import Worth
from simbench.reward.diagnosis.click_model import click_calibration
from simbench.reward.diagnosis.context import ContextTest
from simbench.reward.diagnosis.cross_fit import unseen_clicks
from simbench.reward.diagnosis.diagnose import (
    IDENTIFIED,
    MISFITS,
    NOT_IDENTIFIED,
    RANKING_ONLY,
    Diagnosis,
    _overlap,
    diagnose,
)
from simbench.reward.diagnosis.profile import Profile
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def part(rank: float, width: float | None, gap: float = 0.0, p_value: float = 1e-9) -> Diagnosis:
    """A diagnosis of which only what the verdict reads is there."""
    grid = np.arange(0.1, 0.901, 0.05)
    same = np.tile(np.arange(5.0), (len(grid), 1))
    profile = None if width is None else Profile(grid, grid, grid <= 0.05 + width + 1e-9, same)
    restarts = SimpleNamespace(rank_agreement=np.array([rank]))
    calibration = SimpleNamespace(largest_gap=gap, p_value=p_value)
    return Diagnosis(None, restarts, calibration, profile, None, None, [])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rank", "width", "verdict"),
    [
        (0.95, 0.2, IDENTIFIED),
        (0.95, None, IDENTIFIED),
        (0.95, 0.3, IDENTIFIED),
        (0.95, 0.35, RANKING_ONLY),
        (0.95, 0.8, RANKING_ONLY),
        (0.881, 0.2, IDENTIFIED),
        (0.879, 0.2, NOT_IDENTIFIED),
        (0.8, 0.8, NOT_IDENTIFIED),
        (0.8, None, NOT_IDENTIFIED),
    ],
)
def test_the_verdict_reads_ranking_first_and_level_second(rank, width, verdict):
    assert part(rank, width).verdict == verdict


def test_a_context_that_moves_nothing_certifies_nothing():
    for p_value, verdict in ((0.0099, IDENTIFIED), (0.0101, NOT_IDENTIFIED), (1.0, NOT_IDENTIFIED)):
        assert replace(part(0.95, 0.2), context=ContextTest(p_value, 1, 1, 1)).verdict == verdict


@pytest.mark.parametrize(
    ("gap", "p_value", "verdict"),
    [
        (0.099, 1e-9, IDENTIFIED),
        (0.101, 1e-9, MISFITS),
        (0.101, 0.0009, MISFITS),
        (0.101, 0.0011, IDENTIFIED),  # few responses: a gap that chance explains
    ],
)
def test_a_click_model_misfits_where_it_is_off_by_a_tenth_and_surely_so(gap, p_value, verdict):
    assert part(0.95, 0.2, gap, p_value).verdict == verdict
    assert part(0.95, 0.8, gap, p_value).verdict in (MISFITS, RANKING_ONLY)
    assert part(0.8, 0.2, gap, p_value).verdict == NOT_IDENTIFIED


def test_compatible_mean_rewards_that_rank_otherwise_identify_nothing():
    rewards = np.array([[1.0, 2, 3, 4, 5], [1, 2, 3, 5, 4], [5, 4, 3, 2, 1]])
    grid = np.array([0.4, 0.45, 0.5])
    narrow = [Profile(grid, grid, np.array(which) == 1, rewards) for which in ([1, 1, 0], [1, 1, 1])]
    assert [one.rank_agreement for one in narrow] == [pytest.approx(0.9), pytest.approx(-1.0)]
    found = [replace(part(0.95, 0.2), profile=one) for one in narrow]
    assert [one.verdict for one in found] == [IDENTIFIED, NOT_IDENTIFIED]
    assert [one.rank_agreement for one in found] == [pytest.approx(0.9), pytest.approx(-1.0)]
    assert replace(part(0.89, 0.2), profile=narrow[0]).rank_agreement == pytest.approx(0.89)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (part(0.95, 0.2), "The log decides both the ranking of responses and"),
        (part(0.95, 0.6), "use the reward to rank, and do not read it as a probability"),
        (part(0.8, 0.6), "fits of equal likelihood disagree"),
        (part(0.95, 0.2, gap=0.234), "off by up to 0.23"),
    ],
)
def test_each_verdict_has_its_sentence(found, said):
    assert said in found.summary


def advised(*rmse: float, gap: float = 0.0, labels_first: bool = False) -> Diagnosis:
    """Nothing more, the propensity, and labels leave these errors."""
    now, known, labels = rmse
    more = [Worth("the propensity", known), Worth("9 labels", labels, labels=9)]
    return replace(
        part(0.8, 0.2, gap), advice=[Worth("nothing more", now), *more[:: -1 if labels_first else 1]]
    )


def test_advice_names_the_best_and_what_labels_would_do():
    assert advised(0.2, 0.1, 0.15).summary.endswith(
        "Most would be gained by the propensity (expected error 0.20 to 0.10); "
        "9 labels would only bring it to 0.15."
    )
    assert "; 9 labels would bring it to 0.10." in advised(0.2, 0.05, 0.1).summary
    assert advised(0.2, 0.15, 0.1, labels_first=True).summary.endswith(
        "Most would be gained by 9 labels (expected error 0.20 to 0.10)."
    )


def test_advice_that_leaves_95_percent_of_the_error_is_none():
    assert "Most would be gained" in advised(0.2, 0.1899, 0.21).summary
    said = advised(0.2, 0.1901, 0.21).summary
    assert said.endswith("Nothing further that was tried lowers the expected error, 0.20, by much.")


def test_advice_is_withheld_where_its_click_model_does_not_fit():
    misfit = replace(advised(0.2, 0.1, 0.15, gap=0.2), restarts=part(0.95, 0.2).restarts)
    assert misfit.verdict == MISFITS and "propensity" not in misfit.summary and not misfit.believed_advice
    assert len(advised(0.2, 0.1, 0.15, gap=0.2).believed_advice) == 3  # not identified is said first


def test_overlap_by_hand():
    alpha = np.array([0.01, 0.04, 0.05, 0.2, 0.5, 0.8])
    clicked = np.array([0, 1, 0, 0, 1, 1])
    found = _overlap(alpha, clicked)
    weights = [25, 2, 1.25]
    share = sum(weights) ** 2 / sum(w * w for w in weights) / 3
    assert found.effective_sample_share == pytest.approx(share)
    assert found.below_5_percent == pytest.approx(2 / 6)
    # linear between order statistics: .01 is a twentieth, .99 nineteen twentieths of a step from an end
    assert found.quantiles == pytest.approx({0.01: 0.01 + 0.05 * 0.03, 0.5: 0.125, 0.99: 0.5 + 0.95 * 0.3})
    assert _overlap(np.full(6, 0.3), clicked).effective_sample_share == pytest.approx(1)


TINY = {"hidden": (), "epochs": 3, "lr": 0.1, "batch_size": 100}


def tiny_log(**known) -> FeedbackLog:
    rng = np.random.default_rng(4)
    x, z = rng.standard_normal((2, 120, 2)).astype(np.float32)
    good, acts = rng.random((2, 120)) < 1 / (1 + np.exp(-2 * np.stack([x[:, 0], z[:, 0]])))
    feedback = (good & acts).astype(np.float32)[None]
    return FeedbackLog(x, feedback, np.repeat(np.arange(40), 3), context=z, **known)


@pytest.fixture(scope="module")
def whole() -> Diagnosis:
    return diagnose(tiny_log(always_acts=np.arange(120) < 7), seed=5, advise=False, **TINY)


def test_a_diagnosis_restarts_eight_times_and_keeps_what_the_rule_keeps(whole):
    assert whole.restarts.near.shape == (1, 8) and whole.advice == []
    fitted = whole.restarts.predict_propensity(whole.log.context)[0]
    assert whole.propensity[7:] == pytest.approx(fitted[7:])
    assert (whole.propensity[:7] == 1).all() and (fitted[:7] < 1).all()
    by_hand = _overlap(whole.propensity, whole.log.feedback[0])
    assert whole.overlap.quantiles == pytest.approx(by_hand.quantiles)


def test_the_click_model_is_checked_on_responses_that_its_fits_did_not_see(whole):
    clicks = unseen_clicks(find("implicitrm")(**TINY, seed=5), whole.log)
    expected = click_calibration(clicks, whole.log.feedback[0])
    assert whole.calibration.predicted == pytest.approx(expected.predicted, abs=1e-6)
    assert whole.calibration.observed == pytest.approx(expected.observed)
    assert whole.calibration.p_value == pytest.approx(expected.p_value, abs=1e-4)


def test_the_profile_is_of_the_simplest_heads_and_not_where_the_class_prior_is_told(monkeypatch, whole):
    assert whole.profile is not None and whole.profile.hidden == ()
    given = []

    def simplest(estimator, log, clicks):
        given.append((estimator, clicks))
        return estimator

    monkeypatch.setattr(module, "simplest", simplest)
    monkeypatch.setattr(module, "profile_likelihood", lambda estimator, log: (estimator, log))
    log = tiny_log()
    found = diagnose(log, seed=5, advise=False, **TINY)
    assert found.profile == (given[0][0], log) and given[0][0].get_params()["seed"] == 5
    assert given[0][1] == pytest.approx(unseen_clicks(find("implicitrm")(**TINY, seed=5), log), abs=1e-6)
    assert diagnose(tiny_log(class_prior=0.5), advise=False, **TINY).profile is None


def test_advice_is_drawn_from_the_fits_that_are_equally_likely(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "worth_of_knowledge", lambda *given: asked.append(given) or ["advice"])
    monkeypatch.setattr(module, "profile_likelihood", lambda estimator, log: None)
    near, real = np.isin(np.arange(8), (0, 3, 4))[None], module.train_restarts
    monkeypatch.setattr(module, "train_restarts", lambda *given: replace(real(*given), near=near))
    log = tiny_log()
    found = diagnose(log, **TINY)
    given, rewards, propensities, estimator = asked[0]
    assert found.advice == ["advice"] and given is log and estimator.get_params()["hidden"] == ()
    assert rewards == pytest.approx(found.restarts.model.predict(log.features)[[0, 3, 4]])
    assert propensities == pytest.approx(found.restarts.model.predict_propensity(log.context)[[0, 3, 4]])


def diagnosed(world: str, rows: int) -> Diagnosis:
    """Seeds of their own, not those of the benchmark nor those that thresholds were chosen on.

    By day on 4,000 responses of six features, with small networks; by night at the default size.
    """
    small = {"hidden": (16,), "lr": 0.02, "epochs": 25, "batch_size": 400, "patience": 4}
    by_day = rows == 4000
    config = PRESETS[world].changed(**({"n_features": 6} if by_day else {}))
    seed = 78 if by_day else 77
    log, _ = build(config, 3.0, rows, seed).draw(range(1))
    return diagnose(log, seed=seed, advise=world == "shared", **(small if by_day else {}))


SIZES = pytest.mark.parametrize("rows", [4000, pytest.param(8000, marks=pytest.mark.slow)])


@SIZES
def test_a_log_that_identifies_the_reward_is_told_and_its_mean_rewards_hold_the_true_one(rows):
    found = diagnosed("exclusive", rows)
    assert found.verdict == IDENTIFIED
    profile = found.profile
    assert profile is not None and profile.low <= 0.5 <= profile.high and profile.hidden == ()


@SIZES
def test_a_log_that_does_not_is_told_and_advice_ranks_what_could_be_known(rows):
    found = diagnosed("shared", rows)
    assert found.verdict == NOT_IDENTIFIED
    advice = found.advice
    assert advice[0].knowledge == "nothing more"
    assert [worth.rmse for worth in advice[1:]] == sorted(worth.rmse for worth in advice[1:])
    assert advice[1].rmse < 0.7 * advice[0].rmse
    assert any(worth.labels for worth in advice)


def test_what_cannot_be_diagnosed_is_one_sentence():
    log, truth = build(PRESETS["exclusive"], 1.0, 200, 0).draw(range(2))
    with pytest.raises(BadInput, match="a log of one replicate"):
        diagnose(log)
    single = replace(log.replicates(slice(0, 1)), propensity=truth.propensity)
    with pytest.raises(BadInput, match="identified"):
        diagnose(single)
