"""Twins: what is matched, what a drawn rating makes of preference and action, and what α(t) identifies."""

import gzip
import json
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import expit, logit

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.score.ranking import expected_auroc
from simbench.training.samples import Batch, Outputs
from simbench.worlds.behaviours.rating import Rating
from simbench.worlds.channel import RatedSignalsLaw
from simbench.worlds.laws import rating_law
from simbench.worlds.presets import PRESETS
from simbench.worlds.twins import ATTAINABLE_AUROC, TWINS, ULTRAFEEDBACK_COUNTS
from simbench.worlds.world import build

PUBLISHED = {  # training responses, levels from and to, threshold, positive rate, responses a prompt
    "twin:helpsteer": (28_264, 0, 4, 2, 0.684, 4),
    "twin:ultrafeedback": (97_816, 1, 10, 6.5, 1664 / 2395, 2),
    "twin:saferlhf": (118_251, 0, 3, 1.5, 0.459, 2),
}
SMALL = {name: world.changed(n_features=16, test_size=400) for name, world in TWINS.items()}


@pytest.fixture(scope="module", params=SMALL)
def world(request):
    return build(SMALL[request.param], 0.8, 2000, 0)


def test_the_presets_hold_what_is_published():
    assert TWINS.keys() == PUBLISHED.keys() <= PRESETS.keys()
    for name, (size, lowest, highest, threshold, rate, per_prompt) in PUBLISHED.items():
        config = TWINS[name]
        ratings = config.reward
        assert ratings.kind == "ratings" and config.responses.n_features == 256
        assert (config.default_size, config.responses.responses_per_prompt) == (size, per_prompt)
        assert (ratings.levels[0], ratings.levels[-1], ratings.threshold) == (lowest, highest, threshold)
        assert ratings.base_rate == pytest.approx(rate, abs=1e-12)


def test_the_presets_are_these_values():
    shares = {
        "twin:helpsteer": (0.03, 0.07, 0.216, 0.43, 0.254),
        "twin:ultrafeedback": tuple(count / 2395 for count in ULTRAFEEDBACK_COUNTS.values()),
        "twin:saferlhf": (0.47, 0.071, 0.279, 0.18),
    }
    scale = {"twin:helpsteer": 1.6, "twin:ultrafeedback": 3.06, "twin:saferlhf": 6.8}
    for name, config in TWINS.items():
        assert config.name == name and config.behaviour == Rating(action_rate=0.2, capped=True)
        assert config.channel == PRESETS["exclusive"].channel
        assert config.reward.shares == pytest.approx(shares[name])
        assert (config.reward.reward_scale, config.reward.prompt_difficulty) == (scale[name], 0.75)
    assert TWINS["twin:helpsteer"].reward.levels == (0, 1, 2, 3, 4)
    assert TWINS["twin:ultrafeedback"].reward.levels == tuple(ULTRAFEEDBACK_COUNTS)
    assert TWINS["twin:saferlhf"].reward.levels == (0, 1, 2, 3)
    auroc = {"twin:helpsteer": 0.815, "twin:ultrafeedback": 0.919, "twin:saferlhf": 0.975}
    assert auroc == ATTAINABLE_AUROC
    assert sum(ULTRAFEEDBACK_COUNTS.values()) == 2395
    assert sum(t * n for t, n in ULTRAFEEDBACK_COUNTS.items()) == 16_428
    assert sum(t * t * n for t, n in ULTRAFEEDBACK_COUNTS.items()) == 121_575


def test_the_ratings_of_the_ultrafeedback_twin_are_those_of_the_subset(shared_data):
    with gzip.open(shared_data / "ultrafeedback1200.jsonl.gz", "rt") as lines:
        assert Counter(float(json.loads(line)["rating"]) for line in lines) == ULTRAFEEDBACK_COUNTS


def test_every_level_has_its_share_and_the_law_its_rate(world):
    rated, ratings = world.train.law.ratings, world.config.reward
    assert np.allclose(rated.level_probability.mean(1), ratings.shares, atol=1e-9)
    assert np.allclose(rated.level_probability.sum(0), 1)
    assert world.realised()["action_rate"] == pytest.approx(0.2, abs=1e-6)
    assert world.realised()["positive_rate"] == pytest.approx(ratings.base_rate, abs=1e-9)


def test_a_draw_is_the_law(world):
    """Shares over 60 draws, within 6 standard errors: all of these together err less than once in 1e6."""
    rated, alpha = world.train.law.ratings, of_levels(world.train.law)
    log, truth = world.draw(range(60))
    level = np.searchsorted(alpha, truth.propensity)
    assert np.array_equal(alpha[level], truth.propensity)
    assert np.array_equal(truth.preference, rated.good[level])
    assert not (log.feedback.astype(bool) & ~truth.preference).any()
    for number, probability in enumerate(rated.level_probability):
        error = np.sqrt((probability * (1 - probability)).sum() / 60) / len(probability)
        assert abs((level == number).mean() - probability.mean()) < 6 * error
    p = world.train.reward * world.train.propensity
    assert abs(log.feedback.mean() - p.mean()) < 6 * np.sqrt((p * (1 - p)).sum() / 60) / len(p)
    again, _ = world.draw(range(3, 4))
    assert np.array_equal(again.feedback[0], log.feedback[3])


def of_levels(law):
    """α(t) of the click at every level, shape (L,): the same for every response."""
    assert (law.levels == law.levels[:, :, :1]).all()
    return law.levels[0, :, 0]


def outcomes(law):
    """Every (rating, action) with its probability given x: weight (L, 2, n), clicked (L, 2), α(t) (L, 1)."""
    rated, alpha = law.ratings, of_levels(law)[:, None]
    action = np.concatenate([1 - alpha, alpha], axis=1)
    weight = rated.level_probability[:, None] * action[..., None]
    return weight, rated.good[:, None] & np.array([[False, True]]), alpha


def test_feedback_over_alpha_of_the_rating_has_the_reward_as_its_expectation(world):
    weight, clicked, alpha = outcomes(world.train.law)
    inverse = ((clicked / alpha)[..., None] * weight).sum((0, 1))
    assert np.allclose(inverse, world.train.reward, atol=1e-12)
    feedback = (clicked[..., None] * weight).sum((0, 1))
    assert np.allclose(feedback, world.train.reward * world.train.propensity, atol=1e-12)


def test_action_and_preference_depend_on_each_other_given_the_response(world):
    both = world.train.reward * world.train.propensity
    apart = world.train.reward * world.train.law.action_probability
    # between 0 and 1: the sure ones have one rating only
    assert (both > apart).all() and (both - apart).mean() > 0.005
    constant = build(world.config, 0.0, 500, 0).train
    assert np.allclose(constant.propensity, constant.law.action_probability)


def expected_loss(law, estimator, logits, propensity_of):
    """``E[ℓ̂ | x]`` of an estimator's own loss, told ``propensity_of(rating)``; shape (n,)."""
    weight, clicked, _ = outcomes(law)
    total = torch.zeros_like(logits)
    for rating, action in np.ndindex(clicked.shape):
        told = torch.as_tensor(np.broadcast_to(propensity_of(rating), logits.shape).copy())
        feedback = torch.full_like(logits, float(clicked[rating, action]))
        # every response is a batch of its own
        batch = Batch(feedback[:, None], feedback[:, None], told[:, None])
        loss = estimator.objective(Outputs(logits[:, None]), batch)
        total = total + torch.as_tensor(weight[rating, action]) * loss
    return total


def test_ips_told_alpha_of_the_rating_is_exactly_unbiased(world):
    gamma = world.train.reward
    logits = np.random.default_rng(0).normal(0, 2, len(gamma))
    ideal = -gamma * np.log(expit(logits)) - (1 - gamma) * np.log(expit(-logits))
    level = of_levels(world.train.law)
    for told in (lambda t: level[t], lambda t: world.train.propensity):
        found = expected_loss(world.train.law, find("ips")(), torch.as_tensor(logits), told)
        assert np.allclose(found.numpy(), ideal, atol=1e-10)


def of_rows(law, rows):
    """The same law on some of the responses."""
    return RatedSignalsLaw(law.ratings.take(rows), law.levels[:, :, rows], law.channel)


def slope(law, reward, propensity_of):
    """Derivative of the expected negative log-likelihood in the reward's logit at a reward, shape (n,)."""
    logits = torch.as_tensor(logit(reward)).requires_grad_()
    known = find("implicitrm-known")(e_step="likelihood")
    return torch.autograd.grad(expected_loss(law, known, logits, propensity_of).sum(), logits)[0].numpy()


def test_the_likelihood_told_alpha_of_the_rating_estimates_too_large_a_reward(world):
    """It is least where ``γ̂`` solves ``γ/γ̂ E[α | good] = Σ_t P(t | x) (1 - z α)α / (1 - γ̂α)``, above γ: that
    a response of high α got no click it takes for dislike, and low α without a click for no evidence, while
    it is the rating, and so the preference, that is low there. Told ``P(a=1 | r*=1, x)`` it is right."""
    rows = np.flatnonzero((world.train.reward > 0.05) & (world.train.reward < 0.95))[:20]
    law = of_rows(world.train.law, rows)
    gamma, rated, alpha, good = law.reward, law.ratings, of_levels(law), law.ratings.good
    assert np.allclose(slope(law, gamma, lambda t: law.propensity), 0, atol=1e-12)
    assert (slope(law, gamma, lambda t: alpha[t]) < -1e-4).all()

    def score(estimate, row):
        p = rated.level_probability[:, row]
        return (p * (good * alpha / estimate - (1 - good * alpha) * alpha / (1 - estimate * alpha))).sum()

    top = 1 - 1e-9
    roots = [brentq(score, 1e-9, top, (i,)) if score(top, i) < 0 else top for i in range(len(rows))]
    assert (np.array(roots) > gamma + 0.01).all()
    inside = np.array(roots) < top
    law = of_rows(law, inside)
    assert np.allclose(slope(law, np.array(roots)[inside], lambda t: alpha[t]), 0, atol=1e-8)


def test_the_published_scale_ignores_the_cap():
    """Uniform ratings 0 to 4 at κ = .5, ρ = .5 give k = 1.29, realised .44; at κ = .2, k = 2, .30."""
    ratings = np.repeat(np.arange(5.0), 200)
    for kappa, scale, realised in ((0.5, 1.29, 0.44), (0.2, 2.0, 0.30)):
        base = kappa ** (5 - (1 + ratings))
        k = 0.5 * len(ratings) / base.sum()
        assert k == pytest.approx(scale, abs=0.005)
        alpha = rating_law(ratings, 1 - kappa, 0.5, capped=False)
        assert np.allclose(alpha, np.minimum(k * base, 1))
        assert alpha.mean() == pytest.approx(realised, abs=0.005)
        assert rating_law(ratings, 1 - kappa, 0.5).mean() == pytest.approx(0.5, abs=1e-9)
        shares = np.full(5, 0.2)
        assert np.allclose(rating_law(np.arange(5.0), 1 - kappa, 0.5, shares, False), alpha[::200])
    unequal = np.repeat(np.arange(5.0), (10, 20, 30, 25, 15))
    by_share = rating_law(np.arange(5.0), 0.5, 0.2, np.array([0.1, 0.2, 0.3, 0.25, 0.15]), False)
    assert np.allclose(by_share, 0.2 * 100 / (0.5 ** (4 - unequal)).sum() * 0.5 ** (4 - np.arange(5)))


def test_an_uncapped_world_realises_less_than_its_target():
    free = SMALL["twin:ultrafeedback"].changed(capped=False, action_rate=0.5)
    assert build(free, 0.8, 1000, 0).realised()["action_rate"] < 0.48
    capped = free.changed(capped=True)
    assert build(capped, 0.8, 1000, 0).realised()["action_rate"] == pytest.approx(0.5)


@pytest.mark.parametrize("name", TWINS)
def test_a_head_trained_on_clean_labels_reaches_the_published_auroc(name):
    """6,000 responses of 16 features, 3 replicates: within .01 of what the full size was calibrated to."""
    world = build(SMALL[name].changed(test_size=4000), 0.8, 6000, 0)
    log, truth = world.draw(range(3))
    model = find("oracle")().fit_replicates(log.with_feedback(truth.preference.astype(np.float32)))
    found = expected_auroc(model.predict(world.test.features), world.test.reward).mean()
    assert found == pytest.approx(ATTAINABLE_AUROC[name], abs=0.01)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_rate": 0.5}, "no part of this world has a setting 'base_rate'"),  # it is a share of ratings
        ({"confounding": 0.5}, "no part of this world has a setting 'confounding'"),
        ({"reward": {"levels": [0, 1], "shares": [0.5, 0.6], "threshold": 0}}, "sum to 1"),
        ({"reward": {"levels": [1, 0], "shares": [0.5, 0.5], "threshold": 0}}, "ascending order"),
        ({"reward": {"levels": [0, 1], "shares": [0.5, 0.5], "threshold": 1}}, "does not separate"),
        ({"responses": {"kind": "file", "path": "a.csv"}}, "file responses need a reward of kind link"),
    ],
)
def test_what_drawn_ratings_cannot_be_is_refused(change, words):
    with pytest.raises(BadInput, match=words):
        TWINS["twin:helpsteer"].changed(**change)
    with pytest.raises(BadInput, match="no part of this world has a setting 'capped'"):
        PRESETS["exclusive"].changed(capped=False)


def test_the_reward_is_a_proportional_odds_model(world):
    exceeds = world.train.law.ratings.exceeds
    resolved = ((exceeds > 1e-9) & (exceeds < 1 - 1e-9)).all(0)  # beyond, float64 no longer holds 1 - p
    assert resolved.mean() > 0.95
    odds = logit(exceeds[:, resolved])
    assert np.allclose(np.ptp(odds - odds[0], axis=1), 0, atol=1e-4)
