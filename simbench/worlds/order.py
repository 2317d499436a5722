"""The order of responses on a page: at random, or by a ranker that knows something of their reward."""

import numpy as np
from pydantic import BaseModel, Field
from scipy.special import logit

from simbench.log.pages import page_matrix, places
from simbench.worlds.laws import standardise


class Order(BaseModel, frozen=True, extra="forbid"):
    """Who decides the places on a page.

    Where a ranker does, place and reward are confounded: good responses stand where users look. Showing some
    pages in random order is the repair that a product can afford.

    Parameters
    ----------
    ranked : float in [0, 1]
        Correlation of the ranker's score with the reward's logit; 0 is random order.
    shuffled : float in [0, 1]
        Share of the pages that are shown in random order all the same.
    """

    ranked: float = Field(default=0.0, ge=0, le=1)
    shuffled: float = Field(default=0.0, ge=0, le=1)


def placed(
    order: Order, page: np.ndarray, rank: np.ndarray, reward: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Places of the responses on their pages.

    Parameters
    ----------
    order : Order
    page, rank : ndarray of int64, shape (n,)
        Page of every response, and its place in random order, from 0.
    reward : ndarray, shape (n,)
        ``γ``.
    rng : numpy Generator

    Returns
    -------
    ndarray of int64, shape (n,)
        Place of every response, from 0; the best score comes first.
    """
    if order.ranked == 0:
        return rank
    knows = standardise(logit(reward.clip(1e-6, 1 - 1e-6)))
    score = order.ranked * knows + np.sqrt(1 - order.ranked**2) * rng.standard_normal(len(page))
    by_score = page_matrix(page, -score)
    is_shuffled = rng.random(len(by_score)) < order.shuffled
    _, code = np.unique(page, return_inverse=True)
    return np.where(is_shuffled[code], rank, places(by_score))
