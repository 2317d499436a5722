"""What a way of acting may read: the responses of one population, page by page."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from simbench.files.matrix import Matrix, take_rows
from simbench.log.pages import page_matrix
from simbench.streams import stream
from simbench.worlds.ratings import Ratings


@dataclass(frozen=True)
class Scene:
    """Responses that users are about to act on; n rows.

    Parameters
    ----------
    features : ndarray or MappedMatrix, shape (n, d), float32
        Response features ``x``.
    context : ndarray, shape (n, k), float32
        User activity, position on the page, then session noise.
    groups : ndarray, shape (n,)
        Prompt ids.
    reward : ndarray, shape (n,), in [0, 1]
        ``γ(x)``.
    rating : ndarray, shape (n,)
        The rating of each response.
    page : ndarray of int64, shape (n,)
        Number of the page: what one user is shown for one prompt.
    rank : ndarray of int64, shape (n,)
        Place on the page, from 0.
    seed : int
        Seed of the world.
    world : str
        Name of the world, an axis of its random streams.
    trait : ndarray, shape (n,), optional
        The world's named property of the responses, in its own unit.
    trait_name : str, optional
        Its name.
    ratings : Ratings, optional
        The distribution of ratings, where they are drawn per log.
    always_acts : ndarray of bool, shape (n,), optional
        Responses whose users always act when satisfied.
    user : ndarray of int64, shape (n,), optional
        User who is shown the response, where users see several pages.
    """

    features: Matrix
    context: np.ndarray
    groups: np.ndarray
    reward: np.ndarray
    rating: np.ndarray
    page: np.ndarray
    rank: np.ndarray
    seed: int
    world: str
    trait: np.ndarray | None = None
    trait_name: str | None = None
    ratings: Ratings | None = None
    always_acts: np.ndarray | None = None
    user: np.ndarray | None = None

    @property
    def n_rows(self) -> int:
        """Number of responses, n."""
        return len(self.reward)

    def take(self, rows: np.ndarray) -> "Scene":
        """Return the scene of some of the responses, given by their numbers."""
        own = ("context", "groups", "reward", "rating", "page", "rank", "trait", "always_acts", "user")
        parts = {name: value[rows] for name in own if (value := getattr(self, name)) is not None}
        ratings = None if self.ratings is None else self.ratings.take(rows)
        return replace(self, features=take_rows(self.features, rows), ratings=ratings, **parts)

    def rng(self, purpose: str, *axes: str | int) -> np.random.Generator:
        """Return a generator that belongs to this world, its seed, a purpose and further axes alone."""
        return stream(self.seed, purpose, self.world, *axes)

    @cached_property
    def pages(self) -> np.ndarray:
        """Row numbers of the responses of every page in order, shape (P, k); -1 where a page is shorter."""
        return page_matrix(self.page, self.rank)
