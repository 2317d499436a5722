"""Sampling error where responses are not independent: responses of one user are one observation."""

import numpy as np
import torch
from torch import Tensor

from simbench.errors import BadInput
from simbench.score.bound import ParametricModel, click_gradients, inverse_information

FEWEST = 30  # clusters; with fewer the sandwich is known to be too small (Cameron, Miller, JHR 2015)


def clustered_covariance(
    model: ParametricModel, feedback: np.ndarray, clusters: np.ndarray, knows_propensity: bool
) -> Tensor | None:
    """Covariance of the reward parameters with feedback that is dependent within clusters.

    The sandwich ``I⁻¹ (Σ_c s_c s_cᵀ) I⁻¹ · C/(C-1)`` with ``s_c`` the sum of a cluster's scores
    ``(r - p) ∇p / (p (1 - p))`` (Liang, Zeger, Biometrika 1986).

    Parameters
    ----------
    model : ParametricModel
        At the maximum of the likelihood.
    feedback : ndarray, shape (n,), in {0, 1}
    clusters : ndarray, shape (n,)
        User of every response.
    knows_propensity : bool
        Whether α is known, or estimated as well.

    Returns
    -------
    Tensor, shape (k, k), float64; None if the information is singular.

    Raises
    ------
    BadInput
        If there are fewer than 30 clusters.
    """
    _, code = np.unique(clusters, return_inverse=True)
    count = int(code.max()) + 1
    if count < FEWEST:
        raise BadInput(
            f"the log has {count} users: intervals clustered by user need at least {FEWEST}. Leave the users "
            "out, and the intervals hold for these users alone."
        )
    inverse = inverse_information(model, knows_propensity)
    if inverse is None:
        return None
    gradient, p = click_gradients(model, knows_propensity)
    residual = torch.as_tensor(feedback.astype(float)) - p
    scores = (residual / (p * (1 - p)).clamp_min(1e-300))[:, None] * gradient
    summed = torch.zeros(count, scores.shape[1], dtype=torch.float64)
    summed.index_add_(0, torch.as_tensor(code), scores)
    sandwich = inverse @ (summed.T @ summed) @ inverse * (count / (count - 1))
    own = len(model.theta)
    return sandwich[:own, :own]
