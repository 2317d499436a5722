"""The responses of a world: synthetic, or read from a file of rated responses."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field

from simbench.files.matrix import Matrix
from simbench.log.rated_responses import load_responses
from simbench.streams import stream
from simbench.worlds.laws import standardise
from simbench.worlds.traits import trait_column, trait_salience

PAGE = 10  # responses that one user sees at most; a prompt with more is shown to several users


class Synthetic(BaseModel, frozen=True, extra="forbid"):
    """Responses that are made: Gaussian features, a quarter of which belong to the prompt.

    Parameters
    ----------
    n_features, n_context : int
        Columns of the features, and of the context.
    responses_per_prompt : int
        Responses to each prompt.
    test_size : int
        Number of held-out responses.
    trait : str, optional
        A property of the responses by which policies are judged, and on which users may act: ``feature:K``.
    """

    kind: Literal["synthetic"] = "synthetic"
    n_features: int = Field(default=32, ge=2, le=1_000_000)
    n_context: int = Field(default=4, ge=2, le=10_000)
    responses_per_prompt: int = Field(default=5, ge=1, le=1_000_000)
    test_size: int = Field(default=5000, ge=100, le=100_000_000)
    trait: str | None = None

    def model_post_init(self, _: object) -> None:
        """Check that the trait is a column."""
        if self.trait is not None:
            trait_column(self.trait, self.n_features)


class RatedFile(BaseModel, frozen=True, extra="forbid"):
    """Rated responses from a file or the hub; a fifth is held out.

    Parameters
    ----------
    path, features, prompt_column, text_column, rating_column, votes_column, encoding, separator
        Parameters of :func:`simbench.log.rated_responses.load_responses`.
    n_context : int
        Columns of the context, which is synthetic.
    trait : str, optional
        ``length`` (of the text, in characters) or a numeric column, which becomes a feature as well, since
        whoever reads a response sees how long it is.
    """

    kind: Literal["file"] = "file"
    path: str
    features: str | None = None
    prompt_column: str | None = None
    text_column: str | None = None
    rating_column: str | None = None
    votes_column: str | None = None
    encoding: str | None = None
    separator: str | None = None
    n_context: int = Field(default=4, ge=2, le=10_000)
    trait: str | None = None


Responses = Annotated[Synthetic | RatedFile, Field(discriminator="kind")]


class RatingLink(BaseModel, frozen=True, extra="forbid"):
    """The reward of rated responses: a link from the rating, or the votes, to ``γ``.

    Parameters
    ----------
    link : {"auto", "votes", "logistic", "threshold"}
        ``auto`` takes votes where there are any, else the logistic link.
    slope : float
        Of the logistic link, per standard deviation of the rating.
    threshold : float, optional
        Level above which a rating is good, for the threshold and votes links.
    """

    kind: Literal["link"] = "link"
    link: Literal["auto", "votes", "logistic", "threshold"] = "auto"
    slope: float = 1.5
    threshold: float | None = None


@dataclass(frozen=True)
class Page:
    """Where every response stands: what one user is shown for one prompt, in order.

    Parameters
    ----------
    page : ndarray of int64, shape (n,)
        Number of the page.
    rank : ndarray of int64, shape (n,)
        Place on the page, from 0; at most :data:`PAGE` - 1.
    """

    page: np.ndarray
    rank: np.ndarray


@dataclass(frozen=True)
class ResponseSet:
    """Logged and held-out responses together, before they have a reward; n rows.

    Parameters
    ----------
    features : ndarray or MappedMatrix, shape (n, d), float32
        Response features ``x``.
    groups : ndarray, shape (n,)
        Prompt ids.
    is_train : ndarray of bool, shape (n,)
        Which responses are logged.
    context : ndarray, shape (n, k), float32
        Context that only the propensity may depend on.
    pages : Page
    trait : ndarray, shape (n,), optional
        The named property, in its own unit, if there is one.
    reward, rating : ndarray, shape (n,), optional
        ``γ`` and the rating of rated responses; None if they are synthetic.
    description : str
        One line about them.
    """

    features: Matrix
    groups: np.ndarray
    is_train: np.ndarray
    context: np.ndarray
    pages: Page
    trait: np.ndarray | None
    description: str
    reward: np.ndarray | None = None
    rating: np.ndarray | None = None


def synthetic(config: Synthetic, name: str, size: int, seed: int) -> ResponseSet:
    """Make about ``size`` responses to be logged, and those held out, for the world called ``name``."""
    per_prompt = config.responses_per_prompt
    n_train = max(2, round(size / per_prompt))
    n_prompts = n_train + max(2, round(config.test_size / per_prompt))
    groups = np.repeat(np.arange(n_prompts), per_prompt)
    rng = stream(seed, "responses", name, size)
    features = _features(config, groups, n_prompts, rng)
    context, pages = _context(config.n_context, groups, rng)  # continues the features' generator
    is_train = groups < n_train
    text = f"{int(is_train.sum()):,} responses to {n_train:,} prompts, {config.n_features} features"
    trait = None if config.trait is None else features[:, trait_column(config.trait, config.n_features)]
    return ResponseSet(features, groups, is_train, context, pages, trait, text)


def from_file(config: RatedFile, link: RatingLink, name: str, size: int, seed: int) -> ResponseSet:
    """Read rated responses and their reward.

    Raises
    ------
    BadInput
        If the responses cannot be read.
    """
    total = round(size * 1.25)  # a fifth of the prompts or rows becomes the test set
    columns = config.model_dump(exclude={"kind", "path", "n_context"})
    data = load_responses(config.path, **columns, **link.model_dump(exclude={"kind"}), size=total, seed=seed)
    rng = stream(seed, "responses", name, size)
    is_train = _split(data.groups, rng)
    context, pages = _context(config.n_context, data.groups, rng)
    features = data.features
    if data.trait is not None:
        features = np.column_stack([features, trait_salience(config.trait, data.trait)]).astype(np.float32)
    text = f"{data.description}; {int(is_train.sum()):,} to train, {int((~is_train).sum()):,} to test"
    own = (features, data.groups, is_train, context, pages, data.trait, text)
    return ResponseSet(*own, data.reward, data.rating)


def shared_columns(n_features: int) -> int:
    """How many columns, the first ones, belong to the prompt and are shared by its responses."""
    return max(1, n_features // 4)


def _features(config: Synthetic, groups: np.ndarray, n_prompts: int, rng: np.random.Generator) -> np.ndarray:
    """Features of which a quarter of the columns belongs to the prompt and is shared by its responses."""
    shared = shared_columns(config.n_features)
    prompt = rng.standard_normal((n_prompts, shared))
    response = rng.standard_normal((len(groups), config.n_features - shared))
    return np.concatenate([prompt[groups], response], axis=1).astype(np.float32)


def _context(n_context: int, groups: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Page]:
    """User activity (one user per page), position on the page, then session noise; (n, k) float32."""
    n = len(groups)
    order = np.lexsort((rng.random(n), groups))
    starts = np.searchsorted(groups[order], np.arange(int(groups.max()) + 1))
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n) - starts[groups[order]]
    _, page = np.unique(np.column_stack([groups, place // PAGE]), axis=0, return_inverse=True)
    activity = rng.standard_normal(int(page.max()) + 1)[page]
    position = position_of(place % PAGE)
    rest = rng.standard_normal((n, n_context - 2))
    context = np.column_stack([activity, position, rest]).astype(np.float32)
    return context, Page(page.astype(np.int64), place % PAGE)


def position_of(rank: np.ndarray) -> np.ndarray:
    """The place on a page as the context holds it: (n,), mean 0, variance 1; the first place is highest."""
    # log: attention falls fast over the first places, then slowly
    return standardise(-np.log1p(rank))


def _split(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mark four fifths for training, by whole prompts, or by rows if there are fewer than 20 prompts."""
    names = np.unique(groups)
    if len(names) < 20:
        return rng.permutation(len(groups)) >= len(groups) // 5
    held_out = rng.permutation(names)[: len(names) // 5]
    return ~np.isin(groups, held_out)
