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


def test_rows_of_prompts_are_found_wherever_they_lie():
    groups = np.array([4, 1, 4, 9, 1, 4])
    found = Prompts.of(groups)
    assert found.rows.tolist() == [[1, 4, 0], [0, 2, 5], [3, 0, 0]]
    assert found.is_real.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    assert found.counts.tolist() == [2, 3, 1]
    assert found.largest_kl == pytest.approx((np.log(2) + np.log(3)) / 3)
    values = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [1, 2, 3, 4, 5, 6]])
    inf = np.inf
    spread = [[0.2, 0.5, -inf], [0.1, 0.3, 0.6], [0.4, -inf, -inf]]
    np.testing.assert_allclose(found.spread(values)[0], spread)
    assert found.spread(values).shape == (2, 3, 3)


def test_value_and_kl_of_any_policy_are_means_over_prompts(prompts):
    """Of two policies at once; KL to the uniform reference of each prompt, with 0 log 0 = 0."""
    policies = np.random.default_rng(2).random((2, *prompts.rows.shape)) * prompts.is_real
    policies[0, 0, 0] = 0
    policies /= policies.sum(-1, keepdims=True)
    values, kls = np.zeros((2, 3)), np.zeros((2, 3))
    for number, policy in enumerate(policies):
        for row, group in enumerate(np.unique(GROUPS)):
            members = np.flatnonzero(group == GROUPS)
            for place, member in enumerate(members):
                chance = policy[row, place]
                values[number, row] += chance * REWARD[member]
                kls[number, row] += chance * np.log(chance * len(members)) if chance > 0 else 0
    np.testing.assert_allclose(prompts.mean_under(policies, REWARD), values.mean(1))
    np.testing.assert_allclose(prompts.kl(policies), kls.mean(1))


def test_values_of_several_rewards_are_chosen_by_the_same_policy_one_by_one(prompts):
    policies = best_of(prompts.spread(np.stack([SCORES, -SCORES])), 3)
    both = prompts.mean_under(policies, REWARD)
    each = [prompts.mean_under(best_of(prompts.spread(own), 3), REWARD) for own in (SCORES, -SCORES)]
    np.testing.assert_allclose(both, each)


@pytest.mark.parametrize("n", [1.5, 2.0, 7.3])
def test_best_of_n_without_ties_is_a_difference_of_powers(n):
    """``(k/M)ⁿ - ((k-1)/M)ⁿ`` for the k-th lowest of M, at any n."""
    scores = np.array([0.3, -2.0, 5.0, 0.1])
    rank = np.array([3, 1, 4, 2])
    expected = (rank / 4) ** n - ((rank - 1) / 4) ** n
    np.testing.assert_allclose(best_of(scores, n), expected)


def test_tied_responses_share_the_groups_probability():
    """Three of five tied at the bottom: (3/5)², a third each."""
    found = best_of(np.array([1.0, 4.0, 1.0, 3.0, 1.0, -np.inf]), 2)
    np.testing.assert_allclose(found, [0.12, 0.36, 0.12, 0.28, 0.12, 0], atol=1e-15)


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


@pytest.mark.parametrize("beta", [1e-3, 0.05, 1.0, 40.0, 1e4])
def test_the_beta_of_a_kl_is_the_one_that_spends_it(beta):
    """One prompt of two, whose KL is ``log 2`` less the entropy of ``σ(gap/β)``; down to 1e-10 nats."""
    prompts = Prompts.of(np.zeros(2, dtype=int))
    scores = prompts.spread(np.array([0.2, 0.2 + 2 * beta]))
    p = 1 / (1 + np.exp(-2.0))
    kl = np.log(2) + p * np.log(p) + (1 - p) * np.log(1 - p)
    assert beta_for(scores, kl, prompts) == pytest.approx(beta, rel=1e-6)


def test_a_kl_that_ties_forbid_is_not_a_number(prompts):
    level = prompts.spread(np.ones(8))
    assert np.isnan(beta_for(level, 0.1, prompts))
    assert np.isnan(tilted_to(level[None], 0.1, prompts)).all()


def test_of_several_rewards_only_that_which_cannot_spend_the_kl_is_not_a_number(prompts):
    """With two tied tops of four and two of three, ``(log 2 + log 3/2) / 3 = .366`` is the most."""
    both = prompts.spread(np.stack([SCORES, np.arange(8.0)]))
    found = tilted_to(both, 0.4, prompts)
    assert np.isnan(found[0]).all() and prompts.kl(found[1]) == pytest.approx(0.4)
    assert prompts.kl(tilted_to(both, 0.36, prompts)) == pytest.approx([0.36, 0.36])
    np.testing.assert_allclose(found[1], tilted(both[1], beta_for(both[1], 0.4, prompts)))


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
