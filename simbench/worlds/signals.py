"""Several signals per response: their names, how their actions depend on each other and coincide."""

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss
from scipy.special import ndtr, ndtri

POSITIVE = ("click", "copy", "upvote")  # each fires only if r* = 1 and the user takes that action
NEGATIVE = "regenerate"  # fires only if r* = 0 and the user takes that action

_NODES, _WEIGHTS = leggauss(48)
_FACTORS, _FACTOR_WEIGHTS = hermegauss(160)


def dependent_actions(uniform: np.ndarray, propensities: np.ndarray, dependence: float) -> np.ndarray:
    """Draw actions of K kinds on n responses from a Gaussian copula with one correlation.

    ``a_k = 1[Φ(g_k) < α_k]`` with ``g ~ N(0, (1-d) I + d 11ᵀ)``: equivalently ``g_k = √d f + √(1-d) e_k``
    with a latent factor ``f`` of the user on that response. Whatever ``d`` is, ``P(a_k = 1) = α_k`` exactly.

    Parameters
    ----------
    uniform : ndarray, shape (K, n)
        Independent uniform draws; the first action is ``uniform[0] < α_1`` at every K and dependence.
    propensities : ndarray, shape (K, n), in (0, 1]
    dependence : float in [0, 1)
        ``d``, the correlation of two latent Gaussians, not of the two actions.

    Returns
    -------
    ndarray of bool, shape (K, n)
    """
    if dependence > 0:
        count = len(uniform)
        factor = np.linalg.cholesky((1 - dependence) * np.eye(count) + dependence)
        latent = factor @ ndtri(np.maximum(uniform, 2.0**-54))
        uniform = np.concatenate([uniform[:1], ndtr(latent[1:])])
    return uniform < propensities


def joint_propensity(first: np.ndarray, second: np.ndarray, dependence: float) -> np.ndarray:
    """Return ``P(a_j = 1, a_k = 1 | x)`` under the copula of :func:`dependent_actions`.

    The shape is that of the inputs. After Plackett (1954), and Drezner and Wesolowsky (1990): ``α_j α_k +
    (1/2π) ∫₀^{asin d} exp(-(s² + t² - 2st sin θ) / (2 cos² θ)) dθ`` with ``s = Φ⁻¹(α_j)``, ``t = Φ⁻¹(α_k)``,
    by 48-point Gauss-Legendre quadrature.
    """
    s, t = (ndtri(np.clip(alpha, 1e-15, 1 - 1e-15)) for alpha in (first, second))
    top = np.arcsin(dependence)
    total = np.zeros(np.shape(s))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        theta = top * (node + 1) / 2
        exponent = (s**2 + t**2 - 2 * s * t * np.sin(theta)) / (2 * np.cos(theta) ** 2)
        total += weight * np.exp(-exponent)
    return first * second + total * top / (4 * np.pi)


def action_correlation(first: np.ndarray, second: np.ndarray, dependence: float) -> np.ndarray:
    """Return the correlation of two actions on each response.

    It is ``(P_jk - α_j α_k) / √(α_j(1-α_j) α_k(1-α_k))``, of the inputs' shape.
    """
    covariance = joint_propensity(first, second, dependence) - first * second
    spread = np.sqrt(first * (1 - first) * second * (1 - second))
    return np.divide(covariance, spread, out=np.zeros(np.shape(spread)), where=spread > 0)


def action_probabilities(propensities: np.ndarray, dependence: float) -> np.ndarray:
    """Return the probability of every pattern of K actions on one response, under the same copula.

    Given the latent factor ``f`` the actions are independent, ``P(a_k = 1 | f) = Φ((Φ⁻¹(α_k) - √d f) /
    √(1-d))``; ``f`` is integrated by 160-point Gauss-Hermite quadrature.

    Parameters
    ----------
    propensities : ndarray, shape (K, n), in (0, 1]
    dependence : float in [0, 1)

    Returns
    -------
    ndarray, shape (2^K, n)
        Action k is bit k of the index.
    """
    bits = (np.arange(2 ** len(propensities))[:, None] >> np.arange(len(propensities))) & 1 == 1
    if dependence == 0:
        return np.where(bits[:, :, None], propensities, 1 - propensities).prod(1)
    latent = ndtri(propensities)[:, :, None] - np.sqrt(dependence) * _FACTORS
    given = ndtr(latent / np.sqrt(1 - dependence))  # (K, n, nodes)
    each = np.where(bits[:, :, None, None], given, 1 - given).prod(1)
    return each @ _FACTOR_WEIGHTS / _FACTOR_WEIGHTS.sum()
