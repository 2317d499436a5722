"""What is held out: whole prompts, as many as the share says, and how oracle stopping judges."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from simbench.errors import BadInput
from simbench.training.batches import split_by_prompt
from simbench.training.holdout import Holdout
from simbench.training.samples import Batch, Outputs
from simbench.training.trainer import oracle_loss


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("prompts", [2, 3, 7, 10])
def test_the_share_is_of_prompts_and_neither_side_is_empty(share, prompts):
    groups = np.random.default_rng(prompts).permutation(np.repeat(np.arange(prompts) * 3 - 4, 4))
    train_rows, held_out = split_by_prompt(groups, share, seed=1)
    assert np.array_equal(np.sort(np.r_[train_rows, held_out]), np.arange(len(groups)))
    assert not set(groups[train_rows]) & set(groups[held_out])
    wanted = min(max(round(share * prompts), 1), prompts - 1)
    assert len(set(groups[held_out])) == wanted
    assert (np.diff(train_rows) > 0).all() and (np.diff(held_out) > 0).all()


def test_held_out_are_the_prompts_that_the_seed_ranks_first():
    groups = np.array([4, 8, 4, 1, 8, 6, 6, 1, 1])
    for seed in range(4):
        rank = np.random.default_rng(seed).permutation(4)  # of prompts 1, 4, 6 and 8
        chosen = {prompt for prompt, place in zip([1, 4, 6, 8], rank, strict=True) if place < 2}
        _, held_out = split_by_prompt(groups, 0.5, seed)
        assert held_out.tolist() == [row for row, group in enumerate(groups) if group in chosen]


def test_a_single_prompt_is_split_by_rows():
    train_rows, held_out = split_by_prompt(np.full(10, 3), 0.3, 0)
    assert (len(train_rows), len(held_out)) == (7, 3) and not set(train_rows) & set(held_out)
    with pytest.raises(BadInput, match="one row"):
        split_by_prompt(np.array([3]), 0.3, 0)
    assert [len(part) for part in split_by_prompt(np.array([3, 3]), 0.3, 0)] == [1, 1]


def test_a_share_of_nothing_trains_on_all_and_watches_all():
    for part in split_by_prompt(np.array([1, 1, 2]), 0, 0):
        assert part.tolist() == [0, 1, 2]
    assert [part.tolist() for part in split_by_prompt(np.array([1]), 0.0, 0)] == [[0], [0]]


def test_units_are_prompts_or_single_responses():
    groups = np.array([7, 7, 9])
    assert Holdout().units(groups).tolist() == [7, 7, 9]
    assert Holdout("sample").units(groups).tolist() == [0, 1, 2]


def test_what_training_does_unasked():
    labels = np.zeros((1, 2))
    assert Holdout().is_usual
    assert not Holdout("sample").is_usual
    assert not Holdout(oracle_labels=labels).is_usual
    assert not Holdout("sample", labels).is_usual


def test_some_of_the_replicates_keep_their_own_clean_labels():
    labels = np.arange(6).reshape(3, 2)
    part = Holdout("sample", labels).replicates(np.array([2, 0]))
    assert part.by == "sample" and part.oracle_labels.tolist() == [[4, 5], [0, 1]]
    assert Holdout("sample").replicates(slice(1)) == Holdout("sample")


LOGITS = torch.tensor([[0.3, -1.2, 2.0, 0.1], [-0.7, 0.4, -3.0, 1.0]])
LABELS = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]], dtype=torch.float64)


def batch_of(replicates: int, rows: int, **more) -> Batch:
    """A batch without a click."""
    return Batch(torch.zeros(replicates, rows), torch.zeros(replicates, 1), **more)


def test_the_oracles_loss_is_the_log_loss_of_the_reported_reward():
    """Through the link, with the calibration of the same outputs; one value a replicate."""
    out, batch = Outputs(LOGITS), batch_of(2, 4)

    def calibration(given, told):
        assert given is out and told is batch
        return torch.tensor([[0.5], [0.9]])

    estimator = SimpleNamespace(calibration=calibration, link=lambda h, c: c * torch.sigmoid(h))
    found = oracle_loss(estimator, out, batch, LABELS)
    for row, scale in enumerate((0.5, 0.9)):
        reward = scale / (1 + np.exp(-LOGITS[row].double().numpy()))
        assert found[row].item() == pytest.approx(log_loss(LABELS[row], reward), rel=1e-6)
    assert found.dtype == torch.float64


def test_the_oracles_loss_leaves_out_what_was_not_shown():
    estimator = SimpleNamespace(calibration=lambda *_: None, link=lambda h, c: torch.sigmoid(h))
    shown = torch.tensor([[True, True, False, True], [False, True, False, True]])
    found = oracle_loss(estimator, Outputs(LOGITS), batch_of(2, 4, shown=shown), LABELS)
    for row, there in enumerate(shown):
        reward = torch.sigmoid(LOGITS[row, there].double())
        assert found[row].item() == pytest.approx(
            log_loss(LABELS[row, there], reward, labels=[0, 1]), rel=1e-6
        )


@pytest.mark.parametrize(("logit", "bounded"), [(60.0, 1 - 1e-7), (-60.0, 1e-7)])
def test_a_certain_reward_costs_at_most_the_log_of_1e7(logit, bounded):
    """Exactly 0 or 1 is kept 1e-7 away, so that one confident mistake is not infinite."""
    estimator = SimpleNamespace(calibration=lambda *_: None, link=lambda h, c: torch.sigmoid(h))
    for label in (0.0, 1.0):
        out, labels = Outputs(torch.tensor([[logit]])), torch.tensor([[label]])
        loss = oracle_loss(estimator, out, batch_of(1, 1), labels)
        expected = -np.log(bounded if label else 1 - bounded)
        assert loss.item() == pytest.approx(expected, rel=1e-6)
