"""Policies over finite sets against enumeration, in their limits, and with ties and unequal prompts."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from simbench.score.policies import Prompts, best_of, beta_for, tilted, tilted_to

GROUPS = np.array([3, 3, 3, 3, 0, 0, 0, 7])  # prompts of four, three and one response
SCORES = np.array([0.1, 0.5, 0.5, 0.2, 0.9, 0.9, 0.3, 0.4])  # with ties at the top of two
REWARD = np.array([0.2, 0.9, 0.1, 0.6, 0.3, 0.7, 0.8, 0.5])


@pytest.fixture
def prompts() -> Prompts:
    return Prompts.of(GROUPS)


def enumerated(scores: np.ndarray, n: int) -> np.ndarray:
    """Best of n by all draws with replacement; a tie goes to each of the tied draws alike."""
    policy = np.zeros(len(scores))
    for draws in product(range(len(scores)), repeat=n):
        best = [i for i in draws if scores[i] == max(scores[j] for j in draws)]
        for i in best:
            policy[i] += 1 / len(best) / len(scores) ** n
    return policy


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_best_of_n_is_what_all_draws_give(prompts, n):
    policy = best_of(prompts.spread(SCORES), n)
    values, kls = [], []
    for group in np.unique(GROUPS):
        members = group == GROUPS
        own = enumerated(SCORES[members], n)
        values.append(own @ REWARD[members])
        kls.append((own[own > 0] * np.log(own[own > 0] * members.sum())).sum())
    np.testing.assert_allclose(prompts.mean_under(policy, REWARD), np.mean(values), atol=1e-14)
    np.testing.assert_allclose(prompts.kl(policy), np.mean(kls), atol=1e-14)


def test_best_of_one_is_the_reference(prompts):
    policy = best_of(prompts.spread(SCORES), 1)
    np.testing.assert_allclose(policy, prompts.is_real / prompts.counts[:, None], atol=1e-15)
    assert prompts.kl(policy) == pytest.approx(0, abs=1e-15)


def test_best_of_n_tends_to_the_known_kl_of_many_responses_without_ties():
    many = Prompts.of(np.zeros(200_000, dtype=int))
    scores = many.spread(np.random.default_rng(0).random(200_000))
    for n in (2, 8, 32):
        assert many.kl(best_of(scores, n)) == pytest.approx(np.log(n) - (n - 1) / n, abs=1e-3)
    few = Prompts.of(np.zeros(4, dtype=int))
    exact = few.kl(best_of(few.spread(np.arange(4.0)), 16))
    assert exact < np.log(4) < np.log(16) - 15 / 16  # the formula exceeds what four responses can spend


def test_tilting_is_the_softmax_over_each_prompts_responses(prompts):
    policy = tilted(prompts.spread(SCORES), 0.3)
    for row, group in enumerate(np.unique(GROUPS)):
        members = group == GROUPS
        expected = softmax(SCORES[members] / 0.3)
        np.testing.assert_allclose(policy[row, : members.sum()], expected, rtol=1e-13)
        assert (policy[row, members.sum() :] == 0).all()


def test_a_large_beta_gives_the_reference_and_a_small_one_the_best_response(prompts):
    scores = prompts.spread(SCORES)
    weak = tilted(scores, 1e9)
    np.testing.assert_allclose(weak, prompts.is_real / prompts.counts[:, None], atol=1e-9)
    assert prompts.kl(weak) == pytest.approx(0, abs=1e-12)
    strong = tilted(scores, 1e-9)  # 1 / β beyond what exp bears
    best = np.array([[0, 0.5, 0.5, 0], [0.5, 0.5, 0, 0], [1, 0, 0, 0]])[np.argsort([1, 0, 2])]
    np.testing.assert_allclose(strong, best, atol=1e-12)
    np.testing.assert_allclose(best_of(scores, 1e6), best, atol=1e-12)


def test_the_kl_asked_for_is_spent_by_every_reward():
    rng = np.random.default_rng(1)
    prompts = Prompts.of(np.repeat(np.arange(30), 16))
    scores = prompts.spread(rng.random((5, 480)) * np.array([[0.01], [0.1], [1], [10], [100]]))
    for kl in (0.05, 1.0, 2.5):
        np.testing.assert_allclose(prompts.kl(tilted_to(scores, kl, prompts)), kl, atol=1e-8)


def test_a_kl_that_ties_forbid_is_not_a_number(prompts):
    level = prompts.spread(np.ones(8))
    assert np.isnan(beta_for(level, 0.1, prompts))
    assert np.isnan(tilted_to(level[None], 0.1, prompts)).all()


def test_no_policy_of_the_same_kl_has_more_value_than_tilting_by_the_true_reward():
    """The default, exponentiating the probability, is the frontier, against an optimiser; the logit not."""
    reward = np.array([0.05, 0.3, 0.5, 0.97])
    prompts = Prompts.of(np.zeros(4, dtype=int))
    kl = 0.4
    frontier = prompts.mean_under(tilted_to(prompts.spread(reward[None]), kl, prompts), reward)[0]
    logit = np.log(reward / (1 - reward))
    by_logit = prompts.mean_under(tilted_to(prompts.spread(logit[None]), kl, prompts), reward)[0]

    def policy(x):
        return softmax(np.append(x, 0.0))

    spent = {"type": "eq", "fun": lambda x: (policy(x) * np.log(4 * policy(x))).sum() - kl}
    starts = np.random.default_rng(0).standard_normal((5, 3))

    def lost(x):
        return -policy(x) @ reward

    found = [minimize(lost, start, constraints=spent, method="SLSQP") for start in starts]
    best = max(-result.fun for result in found if result.success)
    assert frontier == pytest.approx(best, abs=1e-5)
    assert by_logit < frontier - 1e-4
