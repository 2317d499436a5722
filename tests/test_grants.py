"""What a run tells, and who hears it."""

import numpy as np
import pytest
from scipy.special import expit, logit

from estimators.class_prior import tice
from simbench.errors import BadInput
from simbench.grants import checked, distorted, exposure_experiment, granted, variants
from simbench.log import FeedbackLog
from simbench.registry import find
from simbench.store import Shards
from simbench.streams import stream
from simbench.study import Cell, StudyConfig, plan, run_cell
from simbench.world import PRESETS, build


def cell(estimator="ips", grant=("propensity",), world="exclusive", replicates=3):
    return Cell(
        world=PRESETS[world],
        bias_level=1.0,
        size=2000,
        estimator=estimator,
        parameters={},
        replicates=replicates,
        seed=0,
        grant=grant,
        label_share=0.2,
        device="cpu",
    )


def test_a_cell_for_every_variant_that_an_estimator_asks_for_and_one_for_who_asks_for_nothing():
    both = ("propensity", "propensity:estimated", "class prior:tice")
    assert variants(find("naive"), both) == [()]
    assert variants(find("ips"), both) == [("propensity",), ("propensity:estimated",)]
    assert variants(find("snips"), both) == [(p, "class prior:tice") for p in both[:2]]
    cells = plan(StudyConfig(estimators=("naive", "ips", "snips"), grant=both))
    assert [c.estimator for c in cells] == ["naive", "ips", "ips", "snips", "snips"]
    assert len({c.key for c in cells}) == 5


def test_what_is_not_granted_is_a_row_with_the_reason(tmp_path):
    outcome = run_cell(cell("snips", ("propensity:estimated",)), Shards(tmp_path))
    assert (outcome.status, outcome.reason) == ("skipped", "needs class prior")


def test_an_unknown_grant_is_one_sentence_with_the_nearest_name():
    with pytest.raises(BadInput, match=r"no grant 'propensity:estimate'\. Did you mean 'propensity:estim"):
        checked(["propensity:estimate"])


def test_the_distortion_is_what_it_states():
    alpha = np.random.default_rng(0).uniform(0.01, 0.99, 500)
    found = distorted(alpha)
    assert found.mean() == pytest.approx(alpha.mean(), abs=1e-9)
    shift = logit(found) - 0.5 * logit(alpha)
    assert np.ptp(shift) < 1e-9


def test_the_exposure_experiment_recovers_a_logit_law_and_sees_actions_alone():
    """n = 2,000: the standard error of a fitted logit is near .1; the bound is four times that."""
    world = build(PRESETS["exclusive"], 1.0, 4000, 0)
    log, truth = world.draw(range(1))
    found = exposure_experiment(log, truth, stream(0, "test"))
    assert np.abs(logit(found) - logit(truth.propensity)).mean() < 0.2
    assert not np.allclose(found, truth.propensity)
    # the reward plays no part in it
    other = type(truth)(1 - truth.reward, truth.propensity, ~truth.preference)
    assert np.array_equal(found, exposure_experiment(log, other, stream(0, "test")))


@pytest.mark.parametrize("name", ["propensity:estimated", "class prior:tice", "class prior:elkan-noto"])
def test_an_estimated_grant_depends_on_the_seed_and_not_on_who_asks(name):
    at = cell("snips", (name,))
    log, truth = at.built().draw(range(3))
    first, words = granted(at, find("snips"), log, truth)
    again, _ = granted(at, find("snips"), log, truth)
    (key,) = first
    assert np.array_equal(first[key], again[key])
    assert words == ["{} ({})".format(*name.split(":"))]


def test_the_misclick_rate_is_told_to_those_who_ask():
    at = cell("ome-ips", ("propensity", "misclick"), "misclick")
    log, truth = at.built().draw(range(1))
    assert granted(at, find("ome-ips"), log, truth)[0]["misclick"] == PRESETS["misclick"].misclick > 0
    assert "misclick" not in granted(at, find("ips"), log, truth)[0]


def log_with_anchors(frequency: float, seed: int) -> FeedbackLog:
    """A third of the responses is surely good and stands apart; SCAR."""
    rng = np.random.default_rng(seed)
    good = rng.random(6000) < 1 / 3
    features = rng.normal(size=(6000, 3)).astype(np.float32) + 6 * good[:, None].astype(np.float32)
    feedback = (good & (rng.random(6000) < frequency)).astype(np.float32)
    return FeedbackLog(features, feedback[None], np.arange(6000))


@pytest.mark.parametrize("frequency", [0.3, 0.6])
def test_tice_finds_the_label_frequency_where_some_responses_are_surely_good(frequency):
    """Its bound lies below c by at most sqrt((1-δ)/(δ n)) and noise: .2 at n = 1,000, δ = .04."""
    found = [tice(log_with_anchors(frequency, seed), seed)[0] for seed in range(5)]
    assert frequency - 0.2 < np.mean(found) < frequency + 0.03


def test_tice_is_too_low_where_no_response_is_surely_good():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6000, 3)).astype(np.float32)
    feedback = (rng.random(6000) < 0.6 * expit(features[:, 0])).astype(np.float32)[None]
    found = tice(FeedbackLog(features, feedback, np.arange(6000)))[0]
    assert feedback.mean() <= found < 0.5
