"""Distance between the hidden representations of two groups, by entropic optimal transport, for Counter-IF.

The form is that of Shalit, Johansson, Sontag, ICML 2017 (counterfactual regression, appendix B.1) after
Cuturi, NIPS 2013.
"""

import torch
from torch import Tensor

REGULARISATION = 10.0  # divided by the mean distance: the larger, the sharper the transport
ITERATIONS = 10
SHARE = 0.5  # p, mass of the first group; the rest may stay where it is, at the largest distance
FLOOR = 1e-6  # added to the kernel: far points do not underflow to a division by zero, even in float32


def distances(points: Tensor) -> Tensor:
    """Euclidean distances between the columns of ``points``, (..., h, b); shape (..., b, b)."""
    squares = points.square().sum(-2)
    products = points.transpose(-1, -2) @ points
    return (squares[..., :, None] + squares[..., None, :] - 2 * products).clamp_min(1e-10).sqrt()


def wasserstein(distance: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Wasserstein distance ``W = 2 Σ T ∘ M`` between two groups, with the plan ``T`` held fixed.

    The plan is computed by Sinkhorn's iterations.

    Parameters
    ----------
    distance : Tensor, shape (..., b, b)
        Distances ``M`` between all points; the gradient goes through them.
    first, second : Tensor of bool, shape (..., b)
        Members of each group; no point is in both.

    Returns
    -------
    Tensor, shape (...,)
        0 if a group is empty.
    """
    cost = torch.where(first[..., :, None] & second[..., None, :], distance, 0.0)
    n_first, n_second = first.sum(-1, keepdim=True), second.sum(-1, keepdim=True)
    shares = (
        group.to(distance.dtype) / n.clamp_min(1) for group, n in ((first, n_first), (second, n_second))
    )
    plan = _plan(cost.detach(), *shares)
    both = ((n_first > 0) & (n_second > 0)).squeeze(-1)
    largest = cost.detach().amax((-1, -2))
    inside = (plan[..., :-1, :-1] * cost).sum((-1, -2))
    aside = largest * (plan[..., -1, :-1].sum(-1) + plan[..., :-1, -1].sum(-1))
    return torch.where(both, 2 * (inside + aside), 0.0)


def _plan(cost: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The plan ``T``, (..., b + 1, b + 1): the last row and column take mass that is not transported.

    ``cost`` is 0 outside the two groups, and so are their shares ``first`` and ``second``.
    """
    largest = cost.amax((-1, -2), keepdim=True)
    n_pairs = ((first > 0).sum(-1) * (second > 0).sum(-1))[..., None, None].clamp_min(1)
    padded = largest.expand(*cost.shape[:-2], cost.shape[-2] + 1, cost.shape[-1] + 1).clone()
    padded[..., :-1, :-1] = cost
    padded[..., -1, -1] = 0
    mean = cost.sum((-1, -2), keepdim=True) / n_pairs
    kernel = torch.exp(-REGULARISATION * padded / mean.clamp_min(1e-12)) + FLOOR
    # row vectors: a product with them is several times as fast as one with columns
    rows = torch.nn.functional.pad(SHARE * first, (0, 1), value=1 - SHARE)[..., None, :]
    columns = torch.nn.functional.pad((1 - SHARE) * second, (0, 1), value=SHARE)[..., None, :]
    u, across = rows, kernel.transpose(-1, -2)
    for _ in range(ITERATIONS):
        u = rows / ((columns / (u @ kernel)) @ across)
    v = columns / (u @ kernel)
    return u.transpose(-1, -2) * kernel * v
