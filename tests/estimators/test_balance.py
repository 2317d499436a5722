"""The distance between representations against the published description in NumPy, group by group."""

import numpy as np
import pytest
import torch
from simbench_estimators import balance
from simbench_estimators.balance import distances, wasserstein


def transport(a, b, share=0.5):
    """Witness: explicit groups without masks, float64. Points in rows; the cost and the plan."""
    cost = np.sqrt(np.maximum(((a[:, None] - b[None]) ** 2).sum(-1), 1e-10))
    sharpness, largest = 10 / cost.mean(), cost.max()
    padded = np.block(
        [[cost, np.full((len(a), 1), largest)], [np.full((1, len(b)), largest), np.zeros((1, 1))]]
    )
    rows = np.r_[np.full(len(a), share / len(a)), 1 - share]
    columns = np.r_[np.full(len(b), (1 - share) / len(b)), share]
    kernel = np.exp(-sharpness * padded) + 1e-6
    u = rows
    for _ in range(10):
        u = 1 / ((kernel / rows[:, None]) @ (columns / (kernel.T @ u)))
    v = columns / (kernel.T @ u)
    return padded, np.diag(u) @ kernel @ np.diag(v)


def drawn(seed=0, n=40):
    rng = np.random.default_rng(seed)
    points, group = rng.normal(size=(2, n, 5)), rng.integers(0, 3, (2, n))
    points[1, group[1] == 0] += 1.5
    return points, group


def test_the_distance_is_that_of_counterfactual_regression():
    points, group = drawn()
    t = torch.as_tensor(group)
    found = wasserstein(distances(torch.as_tensor(points).transpose(1, 2)), t == 0, t == 1)
    for replicate in range(2):
        mine = [points[replicate, group[replicate] == g] for g in (0, 1)]
        padded, plan = transport(*mine)
        assert found[replicate].item() == pytest.approx(2 * (padded * plan).sum(), rel=1e-9)
    assert found[1] > 1.2 * found[0], "groups that lie apart are farther apart"


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_the_first_group_has_its_share_of_the_mass_and_the_second_the_rest(share, monkeypatch):
    """As in the paper, where ``p`` is the share of the treated; in the benchmark both have one half."""
    assert balance.SHARE == 0.5
    monkeypatch.setattr(balance, "SHARE", share)
    points, group = drawn()
    t = torch.as_tensor(group)
    found = wasserstein(distances(torch.as_tensor(points).transpose(1, 2)), t == 0, t == 1)
    for replicate in range(2):
        padded, plan = transport(*[points[replicate, group[replicate] == g] for g in (0, 1)], share)
        assert found[replicate].item() == pytest.approx(2 * (padded * plan).sum(), rel=1e-9)


def test_distances_are_euclidean_and_never_nought():
    points = torch.tensor([[0.0, 3.0, 0.0], [0.0, 4.0, 0.0]], dtype=torch.float64)
    found = distances(points)
    assert found.tolist() == [pytest.approx(row) for row in ([1e-5, 5, 1e-5], [5, 1e-5, 5], [1e-5, 5, 1e-5])]


def test_the_gradient_moves_the_cost_and_not_the_plan():
    """Witness: central differences of the cost under the plan of NumPy."""
    points, group = drawn()
    leaf = torch.as_tensor(points).transpose(1, 2).contiguous().requires_grad_()
    t = torch.as_tensor(group)
    (gradient,) = torch.autograd.grad(wasserstein(distances(leaf), t == 0, t == 1).sum(), leaf)
    first, second = (np.flatnonzero(group[0] == g) for g in (0, 1))
    _, plan = transport(points[0, first], points[0, second])

    def inside(x):
        cost = np.sqrt(((x[first][:, None] - x[second][None]) ** 2).sum(-1))
        return 2 * (cost * plan[:-1, :-1]).sum()

    for row, column in ((first[0], 2), (second[1], 4)):
        step = np.zeros_like(points[0])
        step[row, column] = 1e-6
        slope = (inside(points[0] + step) - inside(points[0] - step)) / 2e-6
        assert gradient[0, column, row].item() == pytest.approx(slope, rel=1e-5)
    assert gradient[:, :, :].transpose(1, 2)[torch.as_tensor(group) == 2].abs().max() == 0


def test_an_empty_group_is_at_no_distance():
    points, group = drawn()
    leaf = torch.as_tensor(points).float().transpose(1, 2).contiguous().requires_grad_()
    t = torch.as_tensor(group)
    found = wasserstein(distances(leaf), t == 7, t == 1)
    assert (found == 0).all()
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    assert (gradient == 0).all()


def test_far_points_and_equal_points_stay_finite_in_float32():
    points = torch.zeros(1, 3, 6, requires_grad=True)
    far = torch.cat([points[..., :5], points[..., 5:] + 1e4], -1)
    first = torch.tensor([[True, True, True, False, False, False]])
    for values in (points, far):
        found = wasserstein(distances(values), first, ~first)
        (gradient,) = torch.autograd.grad(found.sum(), points)
        assert torch.isfinite(found).all() and torch.isfinite(gradient).all()
