"""Batches of whole pages; networks that read ranks or nothing, with a width and a rate of their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.log.pages import page_matrix, places
from simbench.training.batches import batches_of_pages
from simbench.training.contract import Network
from simbench.training.device_log import DeviceLog
from simbench.training.holdout import Holdout
from simbench.training.inputs import inputs_of
from simbench.training.losses import cross_entropy
from simbench.training.order import Order
from simbench.training.train import train
from simbench.training.trainer import Execution


class Paged(Estimator):
    """A loss of pages that is a loss of samples, so that both ways can be compared."""

    name = "paged"
    reads_pages = True

    def reward_loss(self, out, batch):
        return cross_entropy(out.reward, batch.feedback)


def log_of(lengths, seed=0, replicates=2):
    """Pages of these lengths, rows in random order, ranks with gaps; a prompt has two pages."""
    rng = np.random.default_rng(seed)
    page = np.repeat(np.arange(len(lengths)), lengths)
    rank = np.concatenate([2 * np.arange(length) for length in lengths])
    order = rng.permutation(len(page))
    page, rank = page[order], rank[order]
    feedback = (rng.random((replicates, len(page))) < 0.4).astype(np.float32)
    feedback[:, :2] = [1, 0]
    x = rng.normal(size=(len(page), 3)).astype(np.float32)
    return FeedbackLog(x, feedback, page // 2, page=page, rank=rank)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(0, 1000))
def test_a_matrix_of_pages_holds_every_row_once_in_order(lengths, seed):
    rng = np.random.default_rng(seed)
    page = np.repeat(7 * np.arange(len(lengths)), lengths)
    rank = rng.permutation(len(page))
    pages = page_matrix(page, rank)
    assert sorted(pages[pages >= 0]) == list(range(len(page))) and pages.shape == (len(lengths), max(lengths))
    for number, rows in enumerate(pages):
        rows = rows[rows >= 0]
        assert set(page[rows]) == {7 * number} and len(rows) == lengths[number]
        assert (np.diff(rank[rows]) > 0).all()
        assert (places(pages)[rows] == np.arange(len(rows))).all()


def test_batches_are_whole_pages_and_every_page_comes_once():
    pages = np.arange(60).reshape(20, 3)
    for size, expected in ((12, 4), (10, 3), (2, 1)):
        plan = batches_of_pages(pages, size, 10_000, np.random.default_rng(0))
        sizes = [size for pool in plan for size in pool.sizes]
        assert max(sizes) == 3 * expected and sum(sizes) == 60
        rows = np.concatenate([pool.rows for pool in plan]).reshape(-1, 3)
        assert sorted(map(tuple, rows)) == sorted(map(tuple, pages)) and not np.array_equal(rows, pages)
    small = batches_of_pages(pages, 6, 12, np.random.default_rng(0))
    assert [len(pool.rows) for pool in small] == [12] * 5


@pytest.mark.parametrize("by", ["prompt", "sample"])
def test_pages_are_held_out_whole(by):
    log = log_of([3, 2, 1, 3, 3, 2, 3, 1, 2, 3])
    whole = page_matrix(log.page, log.rank)
    for seed in range(5):
        order = Order(Paged(validation_share=0.3, seed=seed), log, Holdout(by), (), 1000)
        trained, held = set(log.page[order.pages[:, 0]]), set(log.page[order.held_out])
        assert not trained & held and trained | held == set(range(10))
        assert len(held) == (4 if by == "prompt" else 3)  # 30 % of five prompts of two pages, or of ten pages
        for rows in order.held_out.reshape(-1, 3):
            own = whole[log.page[rows[0]]]
            assert (rows == np.where(own < 0, own[0], own)).all()


def test_a_short_page_is_filled_with_what_was_not_shown():
    log = log_of([3, 1, 2])
    shown = np.ones(log.feedback.shape, dtype=bool)
    shown[1, np.flatnonzero((log.page == 0) & (log.rank == 4))] = False
    log = replace(log, feedback=log.feedback * shown, shown=shown)
    own = DeviceLog(log, np.arange(2), torch.device("cpu"), reads_pages=True)
    rows = torch.as_tensor(Order(Paged(validation_share=0.0), log, Holdout(), (), 100).held_out)
    batch = own.batch(rows, {})
    assert batch.page_size == 3 and batch.pages(batch.feedback).shape == (2, 3, 3)
    assert batch.pages(batch.shown).int().tolist() == [
        [[1, 1, 1], [1, 0, 0], [1, 1, 0]],
        [[1, 1, 0], [1, 0, 0], [1, 1, 0]],
    ]
    assert not batch.feedback[~batch.shown].any()
    assert batch.feedback.sum(1).tolist() == log.feedback.sum(1).tolist()


def test_pages_of_one_length_have_no_mask():
    log = log_of([3, 3])
    batch = DeviceLog(log, np.arange(2), torch.device("cpu"), reads_pages=True).batch(torch.arange(6), {})
    assert batch.shown is None


@pytest.mark.parametrize("lengths", [[3] * 12, [3, 2, 1] * 4])
def test_one_batch_of_all_pages_trains_as_one_batch_of_all_rows(lengths):
    """A loss of samples does not mind in which order it comes, nor the filling of short pages."""
    log, how = log_of(lengths), {"hidden": (4,), "batch_size": 1000, "validation_share": 0.0, "epochs": 4}

    class Plain(Paged):
        reads_pages = False

    paged, plain = (kind(**how).fit_replicates(log) for kind in (Paged, Plain))
    assert paged.held_out_loss == pytest.approx(plain.held_out_loss, rel=1e-5)
    assert np.abs(paged.predict(log.features) - plain.predict(log.features)).max() < 1e-5


def test_pages_from_disk_and_in_small_pools_are_whole():
    log = log_of([3, 2] * 30)
    seen = []

    class Watching(Paged):
        def objective(self, out, batch):
            seen.append(batch.pages(batch.feedback).shape[1:])
            return super().objective(out, batch)

    small = Execution(pool=30 * 4 * 3)
    train(Watching(epochs=2, batch_size=15, hidden=(2,)), log, range(2), execution=small)
    assert {shape[1] for shape in seen} == {3} and max(shape[0] for shape in seen[1:-1]) >= 5


def test_a_log_without_pages_has_none_to_read():
    log = replace(log_of([2, 2]), page=None, rank=None)
    with pytest.raises(BadInput, match="pages"):
        Paged().fit_replicates(log)


RANKED, CONSTANT = (
    Network(("propensity",), "rank", ()),
    Network(("parameter:0", "parameter:1"), "nothing", ()),
)


def test_networks_read_ranks_or_nothing():
    log = log_of([3, 3])
    assert np.array_equal(inputs_of(RANKED, log), np.eye(5)[log.rank])
    assert not inputs_of(CONSTANT, log).any() and inputs_of(CONSTANT, log).shape == (6, 1)
    assert (
        inputs_of(Network(), log) is log.features
        and inputs_of(Network(inputs="context"), log) is log.features
    )


class WithParameters(Estimator):
    """A reward, and two shared parameters whose targets are .9 and .2."""

    name = "with parameters"
    networks = (Network(), CONSTANT)
    targets = (0.9, 0.2)

    def reward_loss(self, out, batch):
        return cross_entropy(out.reward, batch.feedback)

    def auxiliary_loss(self, out, batch):
        first, second = out.head("parameters").unbind(-2)
        assert (first == first[:, :1]).all()
        one, two = (torch.full_like(first, target) for target in self.targets)
        return cross_entropy(first, one) + cross_entropy(second, two)


def test_parameters_are_the_same_for_every_response_and_learn_at_their_own_rate():
    log, how = log_of([3] * 20), {"epochs": 60, "batch_size": 1000, "validation_share": 0.0, "patience": 60}
    apart = {}
    for rate in (1.0, 10.0):

        class Own(WithParameters):
            networks = (Network(), replace(CONSTANT, rate=rate))

        model = Own(**how).fit_replicates(log)
        found = np.stack([model.predict_head(f"parameter:{k}", np.zeros((1, 1)))[:, 0] for k in (0, 1)])
        apart[rate] = np.abs(found - np.array([[0.9], [0.2]])).max()
        assert model.networks[Own.networks[1]].sizes == [1, 2]
    assert apart[10.0] < 0.1 < 0.2 < apart[1.0]


@pytest.mark.parametrize("wide", [False, True])
def test_replicates_that_stop_take_their_parameters_with_them(wide):
    """In blocks, and in one wide block, as on a GPU."""

    class Own(WithParameters):
        networks = (Network(), replace(CONSTANT, rate=3.0))

    log = log_of([3] * 40, replicates=24)
    estimator = Own(patience=1, epochs=60, lr=0.05, batch_size=32)
    among = train(estimator, log, range(24), execution=Execution(wide))
    alone = train(estimator, log.replicates(slice(20, 21)), [20], execution=Execution(wide))
    assert len(set(among.epochs)) > 2
    assert np.abs(among.predict(log.features)[20] - alone.predict(log.features)[0]).max() < 1e-5
    both = [model.predict_head("parameter:0", np.zeros((1, 1))) for model in (among, alone)]
    assert both[0][20] == pytest.approx(both[1][0], abs=1e-5)
