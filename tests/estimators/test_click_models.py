"""Click models against enumeration of the behaviour's law, EM, finite differences and the truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from simbench_estimators.click_models import PBM, CascadeMLE, cascade_log_likelihood
from simbench_estimators.click_models_chat import RegenerateMLE, attempts_nll

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.log.pages import page_matrix
from simbench.score.risk import check
from simbench.training.inputs import inputs_of
from simbench.training.samples import Batch, Outputs
from simbench.worlds.presets import PRESETS
from simbench.worlds.sequential import SequentialLaw
from simbench.worlds.world import build

EXCLUSIVE = PRESETS["exclusive"].changed(test_size=500)
PROBABILITY = st.floats(0.01, 0.99)


def tensor(values):
    return torch.as_tensor(np.asarray(values, dtype=float))


def law_of_cascade(gamma, acts, stops):
    """The law of one page: the table of steps that the behaviour states."""
    steps = np.zeros((len(gamma), 2, 2, 2))
    steps[:, 0, 0, 1] = 1
    steps[:, 1] = np.outer([1 - acts, acts], [stops, 1 - stops])
    return SequentialLaw(np.asarray(gamma), np.arange(len(gamma))[None], steps, False)


def law_of_chat(gamma, copies, patience, curiosity):
    steps = np.zeros((len(gamma), 2, 2, 2))
    steps[:, 0, 0] = [1 - patience, patience]
    steps[:, 1, 0, 1] = curiosity
    steps[:, 1, 1, 0] = (1 - curiosity) * np.asarray(copies)
    steps[:, 1, 0, 0] = (1 - curiosity) * (1 - np.asarray(copies))
    return SequentialLaw(np.asarray(gamma), np.arange(len(gamma))[None], steps, True)


@given(st.lists(PROBABILITY, min_size=1, max_size=6), PROBABILITY, PROBABILITY)
def test_a_page_has_the_probability_that_the_law_enumerates(gamma, acts, stops):
    """Every pattern of clicks on the page, as so many pages of one batch."""
    outcomes = law_of_cascade(gamma, acts, stops).outcomes(np.arange(len(gamma)))
    clicks = tensor(outcomes.signals[:, 0]).flatten()
    batch = Batch(clicks, clicks, page_size=len(gamma))
    reward = tensor(logit(gamma)).repeat(len(outcomes.probability))
    found = cascade_log_likelihood(
        reward, *(tensor(logit(p)).expand_as(reward) for p in (acts, stops)), batch
    )
    assert len(found) == 2 ** len(gamma)
    assert np.abs(found.exp().numpy() - outcomes.probability).max() < 1e-12
    assert np.abs(found.numpy() - np.log(outcomes.probability)).max() < 1e-10


@given(st.lists(st.tuples(PROBABILITY, PROBABILITY), min_size=1, max_size=6), PROBABILITY, PROBABILITY)
def test_a_chat_has_the_probability_that_the_law_enumerates(attempts, patience, curiosity):
    gamma, copies = np.array(attempts).T
    outcomes = law_of_chat(gamma, copies, patience, curiosity).outcomes(np.arange(len(gamma)))
    count = len(outcomes.probability)
    last = np.zeros(len(gamma))
    last[-1] = 1
    batch = Batch(
        tensor(outcomes.signals[:, 0]),
        tensor(0),
        signals=tensor(outcomes.signals),
        strata=tensor(last).expand(count, -1),
        shown=torch.as_tensor(outcomes.shown),
    )
    shape = (count, len(gamma))
    heads = (tensor(logit(value)).expand(shape) for value in (gamma, copies, patience, curiosity))
    found = -batch.sum(attempts_nll(*heads, batch)).numpy()
    possible = outcomes.probability > 0  # nobody copies and asks for another
    assert possible.sum() == 2 * len(gamma)  # it ends at any attempt, copied or not
    assert np.abs(found[possible] - np.log(outcomes.probability[possible])).max() < 1e-10
    assert np.exp(found[possible]).sum() == pytest.approx(1, abs=1e-12)


def test_a_short_page_is_filled_with_places_that_change_nothing():
    rng = np.random.default_rng(0)
    clicks, reward = tensor([0, 1, 0, 1, 0, 0]), tensor(rng.normal(size=6))
    shown = torch.tensor([True, True, True, True, True, False])
    acts, stops = torch.full((6,), 0.4), torch.full((6,), -0.3)
    batch = Batch(clicks, clicks, page_size=3, shown=shown)
    found = cascade_log_likelihood(reward, acts, stops, batch)
    for page, rows in enumerate((slice(0, 3), slice(3, 5))):
        own = Batch(clicks[rows], clicks, page_size=rows.stop - rows.start)
        alone = cascade_log_likelihood(reward[rows], acts[rows], stops[rows], own)
        assert found[page].item() == pytest.approx(alone.item(), rel=1e-12)


def test_gradients_are_those_of_finite_differences_and_finite_far_out():
    generator = torch.Generator().manual_seed(0)
    clicks = (torch.rand(12, generator=generator) < 0.4).double()
    signals = torch.stack([clicks, (1 - clicks) * (torch.rand(12, generator=generator) < 0.5)])
    batch = Batch(clicks, clicks, page_size=4, signals=signals, strata=(torch.arange(12) % 4 == 3).double())
    leaves = [torch.randn(12, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(4)]
    assert torch.autograd.gradcheck(lambda *p: cascade_log_likelihood(*p, batch), leaves[:3])
    assert torch.autograd.gradcheck(lambda *p: attempts_nll(*p, batch), leaves)
    for sign in (1, -1):
        far = [torch.full((12,), sign * value).requires_grad_() for value in (300.0, 300.0, -300.0, 300.0)]
        for value in (cascade_log_likelihood(*far[:3], batch), attempts_nll(*far, batch)):
            for gradient in torch.autograd.grad(value.sum(), far, allow_unused=True):
                assert gradient is None or torch.isfinite(gradient).all()


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_the_likelihoods_gradient_is_the_posterior_less_the_reward(seed):
    """Fisher's identity: ``∂ log L / ∂ logit γ = P(reached, good | page) - γ P(reached | page)``, where the
    posteriors are enumerated over every latent state of the page."""
    rng = np.random.default_rng(seed)
    k, (acts, stops) = 4, rng.uniform(0.1, 0.9, 2)
    gamma, clicks = rng.uniform(0.05, 0.95, k), rng.random(k) < 0.4
    total, reached, good = 0.0, np.zeros(k), np.zeros(k)
    for state in range(4**k):  # for every place: is it good, and would the user stop there
        likes, stop = (
            ((state >> np.arange(k)) & 1).astype(bool),
            ((state >> (k + np.arange(k))) & 1).astype(bool),
        )
        there = np.r_[True, ~(likes & stop)[:-1]].cumprod().astype(bool)
        p = np.prod(np.where(likes, gamma, 1 - gamma) * np.where(stop, stops, 1 - stops))
        click = np.where(there & likes, acts, 0.0)
        p *= np.prod(np.where(clicks, click, 1 - click))
        total, reached, good = total + p, reached + p * there, good + p * (there & likes)
    reward = tensor(logit(gamma)).requires_grad_()
    batch = Batch(tensor(clicks), tensor(clicks), page_size=k)
    heads = (tensor(logit(p)).expand(k) for p in (acts, stops))
    value = cascade_log_likelihood(reward, *heads, batch).sum()
    assert value.item() == pytest.approx(np.log(total), abs=1e-10)
    (gradient,) = torch.autograd.grad(value, reward)
    assert gradient.numpy() == pytest.approx((good - gamma * reached) / total, abs=1e-10)


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_em_never_lowers_the_likelihood_of_the_position_based_model(seed):
    """Its posteriors, and exact M-steps of a reward for each response and a θ for each rank."""
    rng = np.random.default_rng(seed)
    items, ranks, n = 6, 4, 200
    item, rank = rng.integers(items, size=n), rng.integers(ranks, size=n)
    clicks = tensor(rng.random(n) < rng.uniform(0.1, 0.9, items)[item] * rng.uniform(0.1, 0.9, ranks)[rank])
    gamma, theta = rng.uniform(0.2, 0.8, items), rng.uniform(0.2, 0.8, ranks)
    batch, before = Batch(clicks, clicks), np.inf
    for _ in range(15):
        out = Outputs(tensor(logit(gamma[item])), tensor(logit(theta[rank])))
        loss = PBM().selection_loss(out, batch).item()
        assert loss <= before + 1e-12
        good, looked = (p.numpy() for p in PBM().posteriors(out, batch))
        gamma = np.bincount(item, good, items) / np.bincount(item, minlength=items)
        theta = np.bincount(rank, looked, ranks) / np.bincount(rank, minlength=ranks)
        gamma, theta, before = gamma.clip(1e-9, 1 - 1e-9), theta.clip(1e-9, 1 - 1e-9), loss


@pytest.mark.parametrize("kind", [PBM, CascadeMLE, RegenerateMLE])
def test_full_batch_steps_lower_the_loss(kind):
    """Logistic heads, all pages in one batch, small steps: what is fitted is the likelihood on the log."""
    behaviour = {"pbm": "page", "cascade-mle": "cascade", "regenerate-mle": "regenerate"}[kind.name]
    log, _ = build(EXCLUSIVE.changed(behaviour=behaviour), 0.8, 400, 0).draw(range(2))
    losses = []
    for epochs in (1, 10, 40):
        how = {"hidden": (), "batch_size": 400, "validation_share": 0.0, "weight_decay": 0.0, "lr": 1e-3}
        losses.append(kind(**how, epochs=epochs, patience=100).fit_replicates(log).held_out_loss)
    assert (losses[0] > losses[1]).all() and (losses[1] > losses[2]).all()


SETTINGS = {"pbm": ("page", 2.0), "cascade-mle": ("cascade", 0.8), "regenerate-mle": ("regenerate", 1.0)}


@pytest.mark.parametrize("name", SETTINGS)
def test_on_its_own_world_it_is_near_its_oracle_and_naive_is_not(name):
    """Bounds are twice what was measured, and a third of naive's error."""
    behaviour, level = SETTINGS[name]
    world = build(EXCLUSIVE.changed(behaviour=behaviour), level, 4000, 0)
    log, truth = world.draw(range(2))
    kinds = {
        "own": (find(name), log),
        "naive": (find("naive"), log),
        "oracle": (find("oracle"), log.with_feedback(truth.preference.astype(np.float32))),
    }
    found = {key: kind(hidden=()).fit_replicates(own) for key, (kind, own) in kinds.items()}
    error = {
        key: float(((model.predict(world.test.features) - world.test.reward) ** 2).mean())
        for key, model in found.items()
    }
    assert error["own"] < error["naive"] / 3
    assert error["own"] - error["oracle"] < 0.03


def test_parameters_are_found():
    """``c`` and ``λ`` of the cascade, within what 4,000 responses tell."""
    world = build(EXCLUSIVE.changed(behaviour="cascade"), 0.8, 4000, 0)
    log, _ = world.draw(range(2))
    model = CascadeMLE(hidden=()).fit_replicates(log)
    nothing = np.zeros((1, 1), dtype=np.float32)
    acts, stops = (model.predict_head(f"parameter:{k}", nothing)[:, 0] for k in (0, 1))
    assert acts == pytest.approx(world.train.propensity.max(), abs=0.15)
    assert stops == pytest.approx(0.8, abs=0.15)


def test_examination_is_found_up_to_its_level():
    world = build(EXCLUSIVE.changed(behaviour="page"), 1.0, 4000, 0)
    log, _ = world.draw(range(2))
    found = PBM(hidden=()).fit_replicates(log).predict_propensity(np.eye(5, dtype=np.float32))
    assert found / found[:, :1] == pytest.approx(np.tile(1 / np.arange(1, 6), (2, 1)), abs=0.12)


def test_pages_do_not_depend_on_the_order_of_the_rows():
    """Rows in another order are the same pages: only the batches' order is drawn anew."""
    log, _ = build(EXCLUSIVE.changed(behaviour="cascade"), 0.8, 200, 0).draw(range(2))
    how = {"hidden": (), "batch_size": 400, "validation_share": 0.0, "epochs": 5}
    order = np.random.default_rng(0).permutation(log.n_rows)
    one, other = (CascadeMLE(**how).fit_replicates(part) for part in (log, log.rows(order)))
    assert np.abs(one.predict(log.features) - other.predict(log.features)).max() < 1e-5


def test_pages_of_unequal_length_are_trained_and_held_out_whole():
    """The held-out loss by hand, page by page, in NumPy's order of rows."""
    log, _ = build(EXCLUSIVE.changed(behaviour="cascade"), 0.8, 200, 0).draw(range(1))
    keep = np.sort(np.random.default_rng(1).permutation(log.n_rows)[:150])
    log = log.rows(keep)
    pages = page_matrix(log.page, log.rank)
    assert (pages < 0).any()
    model = CascadeMLE(hidden=(), epochs=1, validation_share=0.0, batch_size=64).fit_replicates(log)
    reward = tensor(logit(model.predict(log.features)[0]))
    nothing = np.zeros((1, 1), dtype=np.float32)
    heads = [tensor(logit(model.predict_head(f"parameter:{k}", nothing)[0])) for k in (0, 1)]
    total = 0.0
    for rows in pages:
        rows = rows[rows >= 0]
        batch = Batch(tensor(log.feedback[0, rows]), tensor(0), page_size=len(rows))
        expand = (head.expand(len(rows)) for head in heads)
        total -= cascade_log_likelihood(reward[rows], *expand, batch).item()
    assert model.held_out_loss[0] == pytest.approx(total / pages.size, rel=1e-5)


def test_a_replicate_is_the_same_alone_and_among_others():
    for name, (behaviour, level) in SETTINGS.items():
        log, _ = build(EXCLUSIVE.changed(behaviour=behaviour), level, 200, 0).draw(range(10))
        among = find(name)(epochs=3).fit_replicates(log, range(10)).predict(log.features)
        alone = find(name)(epochs=3).fit_replicates(log.replicates(slice(9, 10)), range(9, 10))
        assert np.abs(among[9] - alone.predict(log.features)[0]).max() < 1e-5


def test_a_log_without_pages_or_attempts_is_refused():
    log, _ = build(EXCLUSIVE, 1.0, 100, 0).draw(range(1))
    for name, what in (("pbm", "pages"), ("cascade-mle", "pages"), ("regenerate-mle", "attempts")):
        with pytest.raises(BadInput, match=f"{name} must be told the {what}"):
            find(name)().fit_replicates(log)


def test_restarts_of_the_position_based_model_read_ranks():
    log, _ = build(EXCLUSIVE.changed(behaviour="page"), 1.0, 400, 0).draw(range(2))
    found = PBM(hidden=(), restarts=2, epochs=5).fit_replicates(log)
    one = PBM(hidden=(), epochs=5).fit_replicates(log)
    assert found.held_out_loss[:, 0] == pytest.approx(one.held_out_loss, rel=1e-4)


def test_signals_that_are_no_chat_are_refused():
    log, _ = build(EXCLUSIVE.changed(behaviour="regenerate"), 1.0, 100, 0).draw(range(1))
    with pytest.raises(BadInput, match="2, of which 0 negative"):
        RegenerateMLE().fit_replicates(replace(log, negative_signals=()))
    both = log.signals.copy()
    both[0, 1, np.flatnonzero(both[0, 0])[:3]] = 1
    with pytest.raises(BadInput, match="3 responses were copied and another was asked for"):
        RegenerateMLE().fit_replicates(replace(log, signals=both))


def test_only_the_position_based_model_states_a_risk():
    """Its posteriors are exact at the truth; the likelihoods of pages are no estimates of the ideal risk."""
    verdicts = {verdict.case: verdict.verdict for verdict in check(PBM())}
    assert verdicts["true posteriors"] == "exactly unbiased" and verdicts["known α"] == "biased"
    log, _ = build(EXCLUSIVE.changed(behaviour="page"), 1.0, 100, 0).draw(range(1))
    ranks = inputs_of(PBM.networks[1], log)
    assert ranks.shape == (100, 5) and np.array_equal(ranks.argmax(1), log.rank) and (ranks.sum(1) == 1).all()


def test_the_score_is_zero_on_average_at_the_truth():
    """The mean over the enumerated pages of ``∂ log L / ∂ logit γ`` is 0 at the truth."""
    rng = np.random.default_rng(3)
    gamma, (acts, stops) = rng.uniform(0.1, 0.9, 4), rng.uniform(0.2, 0.8, 2)
    outcomes = law_of_cascade(gamma, acts, stops).outcomes(np.arange(4))
    reward = tensor(logit(gamma)).repeat(len(outcomes.probability), 1).requires_grad_()
    clicks = tensor(outcomes.signals[:, 0])
    batch = Batch(clicks, clicks, page_size=4)
    heads = (tensor(logit(p)).expand_as(reward) for p in (acts, stops))
    value = cascade_log_likelihood(reward, *heads, batch).squeeze(-1) @ tensor(outcomes.probability)
    (gradient,) = torch.autograd.grad(value, reward)
    assert gradient.sum(0).abs().max() < 1e-12


def test_the_last_attempts_are_marked_on_pages_of_any_length():
    log, _ = build(EXCLUSIVE.changed(behaviour="regenerate"), 1.0, 100, 0).draw(range(2))
    log = log.rows(np.sort(np.random.default_rng(0).permutation(100)[:70]))
    strata = RegenerateMLE().prepare(log).strata
    last = {int(page): log.rank[log.page == page].max() for page in np.unique(log.page)}
    expected = [log.rank[row] == last[int(log.page[row])] for row in range(70)]
    assert strata.shape == (2, 70) and (strata == expected).all()
