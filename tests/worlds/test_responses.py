"""Responses: which are logged, what their reward is made of, and who sees them in which place."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm, zscore

from simbench.log.rated_responses import load_responses
from simbench.streams import stream
from simbench.worlds import responses
from simbench.worlds.config import WorldConfig
from simbench.worlds.responses import RatedFile, RatingLink, from_file, synthetic
from simbench.worlds.rewards import _signal, intercept, rewarded

SMALL = WorldConfig().changed(n_features=8, test_size=100, responses_per_prompt=4)


def small(size=160, seed=0, **changes):
    """Responses of a small world, and what they are worth."""
    config = SMALL.changed(**changes)
    base = synthetic(config.responses, config.name, size, seed)
    return base, rewarded(config.reward, base, config.name, seed)


def slopes(x, y):
    """Coefficients of y in the columns of x, and the largest residual."""
    design = np.column_stack([x.astype(float), np.ones(len(x))])
    found = np.linalg.lstsq(design, y, rcond=None)[0]
    return found[:-1], np.abs(design @ found - y).max()


# Sizes and prompts


def test_prompts_are_logged_whole_and_in_order():
    base, _ = small(size=43)  # 10.75 prompts of 4: 11; and 25 of test
    assert base.groups.tolist() == [prompt for prompt in range(36) for _ in range(4)]
    assert base.is_train.tolist() == [True] * 44 + [False] * 100
    assert base.description == "44 responses to 11 prompts, 8 features"


def test_there_are_two_prompts_at_least_on_either_side():
    base, worth = small(size=10, responses_per_prompt=80)
    assert len(base.is_train) == len(worth.reward) == 320 and base.is_train.sum() == 160
    assert base.description.startswith("160 responses to 2 prompts")


@pytest.mark.parametrize(("n_features", "shared"), [(8, 2), (11, 2), (3, 1)])
def test_a_quarter_of_the_features_belongs_to_the_prompt(n_features, shared):
    base, _ = small(n_features=n_features)
    x = base.features.reshape(-1, 4, n_features)
    spread = np.ptp(x, axis=1)
    assert (spread[:, :shared] == 0).all() and (spread[:, shared:] > 0).all()
    assert len(np.unique(x[:, 0, 0])) == len(x) and base.features.dtype == np.float32


def test_features_are_standard_normal():
    """800 draws a column of responses: mean and variance within bounds that err less than once in 1e6."""
    x = small(size=700, n_features=8)[0].features[:, 2:].astype(float)
    bound = norm.isf(1e-6 / 24)
    assert np.abs(x.mean(0)).max() < bound / np.sqrt(len(x))
    assert np.abs((x**2).mean(0) - 1).max() < bound * np.sqrt(2 / len(x)) * 1.3


# The reward


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 2.0])
def test_prompt_difficulty_is_the_prompts_share_of_the_logit(difficulty):
    """The logit is linear; the coefficients of the prompt's columns are so many times as long."""
    base, worth = small(prompt_difficulty=difficulty)
    weight, off = slopes(base.features, logit(worth.reward))
    assert off < 1e-9
    assert np.linalg.norm(weight[:2]) / np.linalg.norm(weight[2:]) == pytest.approx(difficulty, abs=1e-9)


@pytest.mark.parametrize("reward", ["linear", "mlp"])
def test_the_reward_has_its_scale_and_its_rate_on_the_logged_responses(reward):
    base, worth = small(reward=reward, reward_scale=2.5, base_rate=0.3)
    assert logit(worth.reward)[base.is_train].std() == pytest.approx(2.5)
    assert worth.reward[base.is_train].mean() == pytest.approx(0.3)
    assert abs(worth.reward[~base.is_train].mean() - 0.3) > 1e-4  # solved there only
    # the logit is a signal of mean 0 on the logged responses, scaled and shifted
    config = SMALL.changed(reward=reward).reward
    signal = _signal(config, base.features, stream(0, "reward", "exclusive"))
    signal = 2.5 * (signal - signal[base.is_train].mean()) / signal[base.is_train].std()
    assert logit(worth.reward) == pytest.approx(signal + intercept(signal[base.is_train], 0.3))


def test_the_linear_reward_is_the_worlds_own_function():
    base, worth = small(prompt_difficulty=0.5)
    weight, _ = slopes(base.features, logit(worth.reward))
    drawn = stream(0, "reward", "exclusive").standard_normal(8)
    drawn = np.concatenate([0.5 * drawn[:2] / np.sqrt((drawn[:2] ** 2).sum()), drawn[2:]])
    drawn[2:] /= np.sqrt((drawn[2:] ** 2).sum())
    assert weight / weight[-1] == pytest.approx(drawn / drawn[-1])
    assert weight[-1] * drawn[-1] > 0
    for change in ({"seed": 1}, {"name": "other"}):
        own, own_worth = small(**change)
        other, _ = slopes(own.features, logit(own_worth.reward))
        assert not np.allclose(other / other[-1], weight / weight[-1], rtol=0.01)
    larger, larger_worth = small(size=320, prompt_difficulty=0.5)
    same, _ = slopes(larger.features, logit(larger_worth.reward))
    assert same / same[-1] == pytest.approx(weight / weight[-1])


def test_the_mlp_reward_is_a_sum_of_sixteen_hyperbolic_tangents():
    base, worth = small(reward="mlp", size=40)
    rng = stream(0, "reward", "exclusive")
    weight = rng.standard_normal(8)
    into, bias, out = rng.standard_normal((8, 16)), rng.standard_normal(16), rng.standard_normal(16)
    prompt, response = np.sqrt((weight[:2] ** 2).sum()), np.sqrt((weight[2:] ** 2).sum())
    size = [abs(w) * 0.75 / prompt for w in weight[:2]] + [abs(w) / response for w in weight[2:]]
    expected = []
    for x in base.features.astype(float):
        units = [np.tanh(sum(2 * size[j] * x[j] * into[j, k] for j in range(8)) + bias[k]) for k in range(16)]
        expected.append(sum(u * w for u, w in zip(units, out, strict=True)))
    expected = np.array(expected) - np.mean(np.array(expected)[base.is_train])
    expected *= 1.5 / expected[base.is_train].std()
    found = logit(worth.reward)
    assert found - found[base.is_train].mean() == pytest.approx(expected)


def test_the_intercept_gives_the_rate():
    assert intercept(np.array([2.0, 2.0]), 0.3) == pytest.approx(np.log(0.3 / 0.7) - 2)
    far = np.array([-300.0, 0.0, 1.0, 2.0])
    assert expit(far + intercept(far, 0.7)).mean() == pytest.approx(0.7)
    assert intercept(np.full(2, 200.0), 0.5) == pytest.approx(-200)
    assert intercept(np.full(2, -200.0), 0.5) == pytest.approx(200)


def test_rating_levels_are_the_fifths_of_the_reward():
    """Where quintiles are values themselves, they open the level above them: 141 values have the 28th, the
    56th, ... as theirs."""
    _, worth = small()
    rank = worth.reward.argsort().argsort()
    assert worth.rating.tolist() == [1.0 + 5 * int(r) // len(rank) for r in rank]
    _, worth = small(size=11, responses_per_prompt=1, test_size=130)
    rank = worth.reward.argsort().argsort()
    assert worth.rating.tolist() == [1.0 + min(4, int(r) // 28) for r in rank]
    assert worth.ratings is None


def test_the_trait_is_the_named_feature():
    assert small()[0].trait is None
    base, _ = small(trait="feature:5")
    assert np.array_equal(base.trait, base.features[:, 5])


# The context


def context_of(groups, seed=0, n_context=4):
    return placed(groups, seed, n_context)[0]


def placed(groups, seed=0, n_context=4):
    """Context and pages."""
    return responses._context(n_context, np.array(groups), np.random.default_rng(seed))


def test_a_user_sees_ten_responses_to_a_prompt_each_in_a_place_of_its_own():
    groups = np.repeat([0, 1, 2], [25, 10, 3])
    groups = np.random.default_rng(3).permutation(groups)  # in a file, prompts need not stand together
    context, where = placed(groups)
    context = context.astype(float)
    assert context.shape == (38, 4)
    expected = zscore(-np.log1p([*range(10), *range(10), *range(5), *range(10), *range(3)]))
    assert np.sort(context[:, 1]) == pytest.approx(np.sort(expected), abs=1e-5)
    pages = {}
    for row, group in enumerate(groups):
        pages.setdefault(context[row, 0], []).append((group, context[row, 1]))
    assert sorted((page[0][0], len(page)) for page in pages.values()) == [
        (0, 5),
        (0, 10),
        (0, 10),
        (1, 10),
        (2, 3),
    ]
    for page in pages.values():
        assert len({group for group, _ in page}) == 1
        places = np.unique(expected)[::-1][: len(page)]  # from the first, whose value is the largest
        assert np.sort([place for _, place in page])[::-1] == pytest.approx(places, abs=1e-5)
    # pages and ranks tell the same: a number for every user, and the place that the position stands for
    users = np.unique(context[:, 0], return_inverse=True)[1]
    assert len(set(zip(users, where.page, strict=True))) == len(set(users)) == 5
    assert set(where.page) == set(range(5))
    by_place = zscore(-np.log1p(where.rank))
    assert context[:, 1] == pytest.approx(by_place, abs=1e-5)
    for number in set(where.page):
        assert sorted(where.rank[where.page == number]) == list(range((where.page == number).sum()))


def test_places_are_drawn_and_not_the_order_of_the_file():
    """200 prompts of two: the first of the file stands first about half the time (6 standard errors)."""
    context = context_of(np.repeat(np.arange(200), 2))
    first = (context[0::2, 1] > context[1::2, 1]).mean()
    assert abs(first - 0.5) < 6 * 0.5 / np.sqrt(200)


def test_activity_and_the_session_are_standard_normal():
    """600 users of one response each; bounds that err less than once in 1e6."""
    context = context_of(np.arange(600), n_context=5).astype(float)
    assert context.shape == (600, 5)
    assert (context[:, 1] == 0).all()  # all in the first place
    drawn = context[:, [0, 2, 3, 4]]
    bound = norm.isf(1e-6 / 28)
    assert np.abs(drawn.mean(0)).max() < bound / np.sqrt(600)
    assert np.abs(drawn.var(0) - 1).max() < bound * np.sqrt(2 / 600) * 1.3
    assert np.abs(np.corrcoef(drawn.T) - np.eye(4)).max() < bound / np.sqrt(600)
    assert context_of(np.arange(6), n_context=2).shape == (6, 2)


def test_the_context_of_a_world_is_that_of_its_prompts():
    base, _ = small(responses_per_prompt=20, size=100)
    assert base.context.shape == (200, 4) and base.context.dtype == np.float32
    users = base.context[:, 0].reshape(-1, 20)
    assert [len(np.unique(each)) for each in users] == [2] * 10
    assert len(np.unique(users)) == 20


# Rated responses


def test_a_fifth_of_the_prompts_is_held_out_whole():
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(24), 3)) * 2
    is_train = responses._split(groups, np.random.default_rng(1))
    assert not set(groups[is_train]) & set(groups[~is_train])
    assert len(set(groups[~is_train])) == 4 and len(set(groups[is_train])) == 20
    other = responses._split(groups, np.random.default_rng(2))
    assert set(groups[~other]) != set(groups[~is_train])


def test_of_less_than_twenty_prompts_a_fifth_of_the_rows_is_held_out():
    for prompts, whole in ((19, False), (20, True)):
        groups = np.repeat(np.arange(prompts), 4)
        is_train = responses._split(groups, np.random.default_rng(0))
        assert (~is_train).sum() == (16 if whole else 15)  # 4 prompts of 4, or 76 // 5
        assert bool(set(groups[is_train]) & set(groups[~is_train])) != whole
        assert not is_train[-15:].all() or whole  # drawn, not the first of the file


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """40 prompts of 5 responses of 10 to 99 characters, rated 0 to 3."""
    folder, rng = tmp_path_factory.mktemp("rated"), np.random.default_rng(0)
    lines = [
        {"prompt": f"p{i // 5}", "response": "x" * int(rng.integers(10, 100)), "rating": int(rng.integers(4))}
        for i in range(200)
    ]
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    np.save(folder / "f.npy", rng.standard_normal((200, 3)).astype(np.float32))
    return RatedFile(path=str(folder / "r.jsonl"), features=str(folder / "f.npy"))


LINK = RatingLink(slope=0.7)


def test_rated_responses_are_read_as_they_are(rated):
    base = from_file(rated, LINK, "mine", 160, 0)
    data = load_responses(rated.path, features=rated.features, slope=0.7)
    for name in ("features", "reward", "rating", "groups"):
        assert getattr(base, name) == pytest.approx(getattr(data, name))
    worth = rewarded(LINK, base, "mine", 0)
    assert np.array_equal(worth.reward, data.reward) and np.array_equal(worth.rating, data.rating)
    assert worth.ratings is None and base.trait is None
    is_train, text = base.is_train, base.description
    assert is_train.sum() == 160 and base.context.shape == (200, 4)
    assert not set(base.groups[is_train]) & set(base.groups[~is_train])
    assert text == f"{data.description}; 160 to train, 40 to test"
    assert "200 of 200 responses to 40 prompts" in text and "link logistic" in text


def test_a_smaller_size_reads_a_quarter_more_for_the_test(rated):
    base = from_file(rated, LINK, "mine", 80, 3)
    assert len(base.is_train) == 100 and base.is_train.sum() == 80
    known = load_responses(rated.path, features=rated.features, slope=0.7, size=100, seed=3)
    assert base.features == pytest.approx(known.features)


def test_the_split_and_the_places_depend_on_seed_name_and_size(rated):
    first = from_file(rated, LINK, "mine", 160, 0)
    same = from_file(rated, RatingLink(slope=2.0), "mine", 160, 0)
    assert np.array_equal(first.is_train, same.is_train) and np.array_equal(first.context, same.context)
    assert not np.allclose(first.reward, same.reward)
    for name, size, seed in (("mine", 160, 1), ("other", 160, 0), ("mine", 170, 0)):
        other = from_file(rated, LINK, name, size, seed)
        assert not np.array_equal(first.is_train, other.is_train)
        assert not np.array_equal(first.context, other.context)
    wider = from_file(rated.model_copy(update={"n_context": 6}), LINK, "mine", 160, 0)
    assert wider.context.shape == (200, 6)


def test_the_trait_of_rated_responses_is_a_feature_too(rated):
    base = from_file(rated.model_copy(update={"trait": "length"}), LINK, "long", 160, 0)
    with open(rated.path) as lines:
        length = np.array([len(json.loads(line)["response"]) for line in lines], dtype=float)
    assert np.array_equal(base.trait, length)
    assert base.features.shape == (200, 4) and base.features.dtype == np.float32
    assert base.features[:, 3] == pytest.approx(zscore(np.log1p(length)), abs=1e-5)
