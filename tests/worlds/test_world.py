"""Worlds: who acts on what, and that nothing depends on what it should not depend on."""

import json
from dataclasses import fields, replace
from itertools import combinations

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import norm, zscore
from scipy.stats import t as student

from simbench.errors import BadInput
from simbench.streams import stream
from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.channel import SignalsLaw
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.responses import RatedFile, RatingLink, synthetic
from simbench.worlds.signals import joint_propensity
from simbench.worlds.users import Users
from simbench.worlds.world import _scene, build

LEVEL, RATE = 1.3, 0.3


def world(name="exclusive", level=LEVEL, size=200, seed=0, **changes):
    small = {"test_size": 100, "n_features": 8, **changes}
    return build(PRESETS[name].changed(**small), level, size, seed)


def slopes(x, y):
    """Coefficients of y in the columns of x, and the largest residual."""
    design = np.column_stack([np.asarray(x, dtype=float), np.ones(len(x))])
    found = np.linalg.lstsq(design, y, rcond=None)[0]
    return found[:-1], np.abs(design @ found - y).max()


def parts(built):
    return built.train, built.test


# What is built


def test_training_and_test_responses_share_no_prompt():
    built = world(size=203)
    assert (len(built.train.reward), len(built.test.reward)) == (205, 100)  # 41 prompts of 5
    assert not set(built.train.groups) & set(built.test.groups)
    assert (built.config.name, built.bias_level, built.seed) == ("exclusive", LEVEL, 0)
    assert built.description == "205 responses to 41 prompts, 8 features"


def test_responses_do_not_depend_on_the_bias_level():
    low, high = (world("shared", level, seed=3) for level in (0.0, 2.0))
    assert np.array_equal(low.train.features, high.train.features)
    assert np.array_equal(low.train.reward, high.train.reward)
    assert not np.allclose(low.train.propensity, high.train.propensity)


@pytest.mark.parametrize("change", [{"seed": 1}, {"size": 210}, {"name": "shared"}], ids=str)
def test_responses_depend_on_seed_size_and_name(change):
    first, other = world().train, world(**change).train
    assert not np.isin(first.features[:, 3], other.features[:, 3]).any()


def test_context_is_logged_only_where_the_propensity_reads_it():
    assert world("exclusive").train.context.shape == (200, 4)
    assert world("shared").train.context is None
    assert world("exclusive", 0.5, behaviour="rating").train.context is None


def test_rows_of_a_scene_are_taken_with_all_that_is_known_of_them():
    config = PRESETS["twin:helpsteer"].changed(
        test_size=100, n_features=8, always_share=0.1, trait="feature:2", users=Users()
    )
    of_all = _scene(config, synthetic(config.responses, config.name, 200, 0), 0)
    rows = np.array([7, 0, 33])
    part = of_all.take(rows)
    assert part.n_rows == 3 and of_all.n_rows == 300
    for field in fields(of_all):
        whole, own = (getattr(scene, field.name) for scene in (of_all, part))
        assert whole is not None, field.name
        if isinstance(whole, np.ndarray):
            assert len(whole) == 300 and np.array_equal(own, whole[rows]), field.name
        elif field.name == "ratings":
            assert np.array_equal(own.exceeds, whole.exceeds[:, rows])
        else:
            assert own == whole
    nothing = {"trait": None, "ratings": None, "always_acts": None, "user": None}
    assert {name: getattr(replace(of_all, **nothing).take(rows), name) for name in nothing} == nothing


def test_a_population_has_what_the_log_is_to_hold():
    part = world("signals", signals=3, always_share=0.3, trait="feature:2").train
    assert np.array_equal(part.reward, part.law.reward)
    assert np.array_equal(part.propensity, part.law.propensity)
    assert part.context is None and np.array_equal(part.trait, part.features[:, 2])
    assert part.always_acts.any() and not part.always_acts.all()
    plain = world().train
    assert plain.always_acts is None and plain.trait is None


def test_pages_are_what_one_user_is_shown_in_order():
    built = world(responses_per_prompt=12, size=120)
    for part in parts(built):
        users = part.context[:, 0]
        for number in np.unique(part.page):
            here = part.page == number
            assert len(np.unique(users[here])) == len(np.unique(part.groups[here])) == 1
            assert sorted(part.rank[here]) == list(range(here.sum())) and here.sum() in (10, 2)
            # attention falls with the rank
            assert (np.diff(part.context[here, 1][part.rank[here].argsort()]) < 0).all()
    assert not set(built.train.page) & set(built.test.page)


def test_propensities_are_those_of_every_signal_in_order():
    several, one = world("signals", signals=3).train, world("shared").train
    assert several.law.propensities.shape == (3, 200)
    assert np.array_equal(several.law.propensities[0], several.propensity)
    assert np.array_equal(one.law.propensities, one.propensity[None])


# Who acts


def test_in_the_exclusive_world_activity_and_position_decide_and_nothing_else():
    for part in parts(world()):
        salience = zscore(part.context[:, 0].astype(float) + part.context[:, 1])
        assert np.ptp(logit(part.propensity) - LEVEL * salience) < 1e-5
        assert part.propensity.mean() == pytest.approx(RATE)


def test_in_the_shared_world_a_direction_of_the_features_decides():
    built = world("shared")
    direction = stream(0, "salience", "shared").standard_normal(8)
    for part in parts(built):
        weight, off = slopes(part.features, logit(part.propensity))
        assert off < 1e-9
        assert weight / weight[0] == pytest.approx(direction / direction[0])
        assert weight[0] * direction[0] > 0
        assert logit(part.propensity).std() == pytest.approx(LEVEL)
        assert part.propensity.mean() == pytest.approx(RATE)


@pytest.mark.parametrize(("name", "seed"), [("signals", 0), ("shared", 1)])
def test_that_direction_is_another_in_another_world_and_at_another_seed(name, seed):
    first, other = (
        slopes(built.train.features, logit(built.train.propensity))[0]
        for built in (world("shared"), world(name, seed=seed))
    )
    assert abs(first @ other) < 0.95 * np.linalg.norm(first) * np.linalg.norm(other)


@pytest.mark.parametrize("rho", [0.5, -0.7, 1.0])
@pytest.mark.parametrize("name", ["confounded", "shared"])
def test_confounding_is_the_correlation_with_the_logit_of_the_reward(name, rho):
    built = world(name, confounding=rho)
    for part in parts(built):
        acts, good = logit(part.propensity), logit(part.reward)
        assert np.corrcoef(acts, good)[0, 1] == pytest.approx(rho)
        assert acts.std() == pytest.approx(LEVEL) and part.propensity.mean() == pytest.approx(RATE)
        if name == "confounded" and abs(rho) < 1:
            base = part.context[:, 0].astype(float) + part.context[:, 1]
            weight, off = slopes(np.column_stack([base, good]), acts)
            assert off < 1e-5 and weight[0] > 0


def test_the_logit_of_a_certain_reward_is_cut_off(tmp_path):
    """Real rewards may be 0 and 1: their logits are those of 1e-6 and 1 - 1e-6."""
    lines = [{"prompt": f"p{i // 4}", "response": "x", "rating": i * i % 7} for i in range(120)]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    np.save(tmp_path / "f.npy", np.random.default_rng(0).standard_normal((120, 3)))
    where = {"path": str(tmp_path / "r.jsonl"), "features": str(tmp_path / "f.npy")}
    link = RatingLink(link="logistic", slope=12.0)  # rewards from 1e-7 to 1 - 1e-15
    own = {"responses": RatedFile(**where), "reward": link, "behaviour": Logit(confounding=0.5)}
    for part in parts(build(WorldConfig(name="sure", **own), 1.0, 96, 0)):
        sure = np.clip(part.reward, 1e-6, 1 - 1e-6)
        assert (sure != part.reward).any()
        assert np.corrcoef(logit(part.propensity), logit(sure))[0, 1] == pytest.approx(0.5)


def test_users_act_on_the_rating_that_the_fifths_of_the_reward_make():
    built = world("rating", 0.4, capped=False, action_rate=0.1)
    rewards = np.concatenate([part.reward for part in parts(built)])
    fifth = np.searchsorted(np.quantile(rewards, [0.2, 0.4, 0.6, 0.8]), built.train.reward, side="right")
    weight = 0.6 ** (4 - fifth)
    assert built.train.propensity == pytest.approx(0.1 * weight / weight.mean())
    capped = world("rating", 0.8, action_rate=0.5).train
    assert capped.propensity.mean() == pytest.approx(0.5) and capped.propensity.max() == pytest.approx(1)
    assert world("rating", 0.8, action_rate=0.5, capped=False).train.propensity.mean() < 0.4


def test_on_a_trait_users_act_and_on_nothing_else():
    built = world("copyable", trait="feature:5", signals=2)
    for part in parts(built):
        assert np.ptp(logit(part.propensity) - LEVEL * zscore(part.features[:, 5].astype(float))) < 1e-5
        weight, off = slopes(part.features, logit(part.law.propensities[1]))  # the copy reads all features
        assert off < 1e-9 and (np.abs(weight) > 1e-3).all()


def test_other_signals_weigh_the_features_in_their_own_way():
    built = world("signals", signals=3, regenerate=True)
    names = ("click", "copy", "upvote", "regenerate")
    assert built.config.signal_names == names
    for part in parts(built):
        for name, alpha in zip(names, part.law.propensities, strict=True):
            rng = stream(0, "salience", "signals", *(() if name == "click" else (name,)))
            direction = rng.standard_normal(8)
            weight, off = slopes(part.features, logit(alpha))
            assert off < 1e-9
            assert weight / weight[0] == pytest.approx(direction / direction[0])
            assert logit(alpha).std() == pytest.approx(LEVEL) and alpha.mean() == pytest.approx(RATE)


def test_other_signals_weigh_the_context_in_their_own_way():
    built = world(signals=2)
    rng = stream(0, "salience", "exclusive", "copy")
    direction = rng.standard_normal(8 + 4)[8:]
    for part in parts(built):
        weight, off = slopes(part.context, logit(part.law.propensities[1]))
        assert off < 1e-5
        assert weight / weight[0] == pytest.approx(direction / direction[0], rel=1e-4)
        assert logit(part.law.propensities[1]).std() == pytest.approx(LEVEL)


def test_every_exposure_follows_the_law_of_the_click():
    for name in ("exclusive", "shared"):
        train = world(name, exposures=3).train
        assert train.law.propensities.shape == (3, 200)
        of_one = world(name).train.propensity
        assert all(alpha == pytest.approx(of_one) for alpha in train.law.propensities)


def test_users_who_always_act_do_and_the_others_keep_the_rate():
    built = world("always", always_share=0.2, size=400)
    drawn = stream(0, "always acts", "always").random(100)  # 80 prompts to train, 20 to test
    for part in parts(built):
        always = part.always_acts
        assert np.array_equal(always, [drawn[prompt] < 0.2 for prompt in part.groups])
        assert 0 < always.mean() < 0.3
        assert part.propensity[always] == pytest.approx(1)
        assert part.propensity.mean() == pytest.approx(RATE)
        others = logit(part.propensity[~always])
        assert others.std() == pytest.approx(LEVEL)
        assert slopes(part.features[~always], others)[1] < 1e-9
        rate = (RATE - always.mean()) / (1 - always.mean())
        assert part.propensity[~always].mean() == pytest.approx(rate)
    assert world("shared").train.always_acts is None
    for change in ({"seed": 1}, {"name": "shared"}):
        other = world(**{"name": "always", **change}, always_share=0.2, size=400).train.always_acts
        assert not np.array_equal(other, built.train.always_acts)


def test_the_others_of_a_rating_world_follow_it_too():
    train = world("rating", 0.5, always_share=0.1, size=400, test_size=400).train
    assert train.always_acts.any() and train.propensity[train.always_acts] == pytest.approx(1)
    assert train.propensity.mean() == pytest.approx(RATE)


def test_more_sure_actions_than_the_rate_allows_are_refused():
    with pytest.raises(BadInput, match=r"users who always act, more than the action rate 0\.3"):
        world("always", always_share=0.45)


# What is realised


def test_what_is_realised_is_the_mean_over_the_responses():
    train = (built := world("misclick", size=60)).train
    rows = list(zip(train.reward, train.propensity, strict=True))
    ranked = sorted(train.propensity)
    assert built.realised() == {
        "positive_rate": pytest.approx(sum(g for g, _ in rows) / 60),
        "action_rate": pytest.approx(sum(a for _, a in rows) / 60),
        "feedback_rate": pytest.approx(sum(a * (g + 0.05 * (1 - g)) for g, a in rows) / 60),
        "positives_without_feedback": pytest.approx(
            sum(g * (1 - a) for g, a in rows) / sum(g for g, _ in rows)
        ),
        "smallest_propensity": pytest.approx(ranked[0]),
        "propensity_1_percent": pytest.approx(0.41 * ranked[0] + 0.59 * ranked[1]),  # at 59 · .01
    }


def test_where_ratings_are_drawn_all_who_act_count_as_acting():
    built = world("twin:helpsteer", 0.6)
    law = built.train.law
    alpha, probability = law.levels[0, :, :1], law.ratings.level_probability
    acting = (alpha * probability).sum(0).mean()
    assert built.realised()["action_rate"] == pytest.approx(acting)
    assert built.train.propensity.mean() > acting + 0.01
    # of those who like the response
    assert built.realised()["smallest_propensity"] == pytest.approx(min(built.train.propensity))
    assert min(built.train.propensity) > min(law.action_probability) + 0.001
    assert built.train.reward == pytest.approx(law.ratings.reward)
    good = law.ratings.good
    of_good = (alpha[good] * probability[good]).sum(0) / probability[good].sum(0)
    assert built.train.propensity == pytest.approx(of_good)


def test_rates_of_the_signals_are_expectations_over_the_draws():
    built = world("signals", signals=3, regenerate=True, misclick=0.2)
    gamma, alphas = built.train.reward, built.train.law.propensities
    assert built.signal_rates() == {
        "click": pytest.approx((alphas[0] * (gamma + 0.2 * (1 - gamma))).mean()),
        "copy": pytest.approx((alphas[1] * gamma).mean()),
        "upvote": pytest.approx((alphas[2] * gamma).mean()),
        "regenerate": pytest.approx((alphas[3] * (1 - gamma)).mean()),
    }
    again = world("shared", exposures=2, misclick=0.2)
    gamma, alpha = again.train.reward, again.train.propensity
    assert again.signal_rates() == {
        "click": pytest.approx((alpha * (gamma + 0.2 * (1 - gamma))).mean()),
        "click:2": pytest.approx((alpha * gamma).mean()),
    }


def test_the_realised_dependence_is_the_mean_over_pairs_of_positive_signals():
    built = world("signals", signals=3, regenerate=True, signal_dependence=0.4, size=30)
    found = []
    for a, b in combinations(built.train.law.propensities[:3], 2):
        spread = np.sqrt(a * (1 - a) * b * (1 - b))
        found.append(((joint_propensity(a, b, 0.4) - a * b) / spread).mean())
    assert built.train.law.action_correlation() == pytest.approx(np.mean(found))
    assert world("shared").train.law.action_correlation() == 0
    assert world("signals", signals=2).train.law.action_correlation() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", PRESETS)
def test_feedback_has_its_expectation(name):
    """Mean feedback over 40 draws; bounds with family-wise error 1e-6 over all: normal where responses
    are independent, else Student's over the draws."""
    built = world(name, 0.6, 2000, 1, n_features=32)
    log, truth = built.draw(range(40))
    law, users = built.train.law, built.config.users
    eps = built.config.channel.misclick if users is None else users.careless
    p = built.train.propensity * (truth.reward + (1 - truth.reward) * eps)
    if law.shown_probability is not None:
        p = p * law.shown_probability
    found, level = log.feedback.mean(1), 1e-6 / len(PRESETS) / 2
    if isinstance(law, SignalsLaw):
        bound = norm.isf(level) * np.sqrt((p * (1 - p)).sum() / 40) / len(p)
    else:
        bound = student.isf(level, 39) * found.std(ddof=1) / np.sqrt(40)
    assert abs(found.mean() - p.mean()) < bound
    if users is None:  # who differ in leniency move the mean reward
        assert built.realised()["positive_rate"] == pytest.approx(built.config.reward.base_rate, abs=1e-9)
    rate = pytest.approx(built.config.behaviour.action_rate, abs=1e-6)
    assert (built.realised()["action_rate"] == rate) == built.config.behaviour.keeps_rate
    if eps == 0:
        assert not (log.feedback.astype(bool) & ~truth.preference).any()
    else:
        assert (log.feedback.astype(bool) & ~truth.preference).any()


def test_no_global_randomness_is_used():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    world("rating", 0.5).draw(range(2))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_impossible_worlds_are_refused():
    for level in (-0.01, np.nan, np.inf):
        with pytest.raises(BadInput, match="bias level must be a number of at least 0, got"):
            world(level=level)
    with pytest.raises(BadInput, match="bias level must be at most 1e\\+06, got 1e\\+300"):
        world(level=1e300)
    with pytest.raises(BadInput, match="at least 10 responses, got 9"):
        world(size=9)
    with pytest.raises(BadInput, match="at most 1,000,000,000 responses"):
        world(size=10**9 + 1)
    assert len(world(level=0, size=10).train.reward) == 10


class Exits(Logit):
    def propensity(self, scene, bias_level, action_rate, signal):
        raise SystemExit("gone")


class Divides(Logit):
    def propensity(self, scene, bias_level, action_rate, signal):
        raise ZeroDivisionError("no users")


@pytest.mark.parametrize(
    ("behaviour", "said"), [(Exits(), "SystemExit: gone"), (Divides(), "ZeroDivisionError: no users")]
)
def test_whatever_a_behaviour_raises_is_one_sentence(behaviour, said):
    config = PRESETS["exclusive"].changed(behaviour=behaviour, test_size=100)
    with pytest.raises(BadInput, match=f"fails in the world 'exclusive' at bias level 1: {said}"):
        build(config, 1.0, 100, 0)
