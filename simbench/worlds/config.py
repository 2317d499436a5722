"""The configuration of a world."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from simbench.worlds.signals import NEGATIVE, POSITIVE
from simbench.worlds.traits import trait_column


class RealResponses(BaseModel, frozen=True, extra="forbid"):
    """Where real rated responses come from.

    The fields are parameters of :func:`simbench.log.rated_responses.load_responses`.
    """

    path: str
    features: str | None = None
    prompt_column: str | None = None
    text_column: str | None = None
    rating_column: str | None = None
    votes_column: str | None = None
    link: Literal["auto", "votes", "logistic", "threshold"] = "auto"
    slope: float = 1.5
    threshold: float | None = None


class OrdinalRatings(BaseModel, frozen=True, extra="forbid"):
    """Ratings that are drawn per log, ``t ~ P(t | x)``, and decide the preference, ``r* = 1[t > τ]``.

    Parameters
    ----------
    levels : tuple of float
        Possible ratings, in ascending order.
    shares : tuple of float
        Share of the responses at each level; they sum to 1.
    threshold : float
        ``τ``; at least the lowest level and below the highest.
    """

    levels: tuple[float, ...]
    shares: tuple[float, ...]
    threshold: float

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        if len(self.levels) != len(self.shares) or sorted(set(self.levels)) != list(self.levels):
            raise ValueError("levels must be in ascending order, with one share for each")
        if min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"shares must be positive and sum to 1, they sum to {sum(self.shares):g}")
        if not self.levels[0] <= self.threshold < self.levels[-1]:
            raise ValueError(f"the threshold {self.threshold:g} does not separate the levels")
        return self

    @property
    def good_share(self) -> float:
        """Share of the responses above the threshold."""
        return sum(share for t, share in zip(self.levels, self.shares, strict=True) if t > self.threshold)


class WorldConfig(BaseModel, frozen=True, extra="forbid"):
    """The configuration of a world; its canonical JSON names its shards on disk.

    Parameters
    ----------
    name : str
        Name of the world; random streams depend on it.
    law : {"logit", "rating"}
        The law by which users act (:mod:`simbench.worlds.laws`).
    capped : bool
        False for the rating law as published, whose scale ignores the cap at 1: the realised rate falls below
        ``action_rate``.
    salience : {"context", "features", "trait"}
        What the propensity reads: the context (exclusion), the features that the reward reads too, or the
        trait.
    trait : str, optional
        A property of the responses by which policies are judged: ``feature:K`` of synthetic responses;
        ``length`` (of the text, in characters) or a numeric column of real ones, which becomes a feature as
        well, since whoever reads a response sees how long it is.
    confounding : float in [-1, 1]
        ``ρ``, the correlation of the salience with the reward's logit.
    misclick : float in [0, 1)
        Probability that an active user clicks a bad response by a slip; it concerns the click alone.
    signals : int
        Number of positive signals, each with a salience of its own.
    regenerate : bool
        Whether a negative signal is logged as well, with a salience of its own.
    signal_dependence : float in [0, 1)
        Copula correlation of a user's actions on one response.
    exposures : int
        How many users see every response. Each acts independently, while r* belongs to the response; their
        clicks are logged as separate signals.
    always_share : float in [0, 1)
        Share of the prompts whose users always act.
    action_rate : float in (0, 1)
        Mean propensity on the logged responses.
    reward : {"linear", "mlp"}
        The reward's logit as a function of the features.
    base_rate : float in (0, 1)
        Mean reward of synthetic responses.
    reward_scale : float
        Standard deviation of the reward's logit.
    prompt_difficulty : float
        Size of the prompt's part of the reward's logit, relative to the response's part.
    responses_per_prompt, n_features, n_context : int
        Responses per prompt, columns of the features, and columns of the context.
    test_size : int
        Number of held-out responses of a synthetic world.
    default_size : int
        Number of logged responses, where a study names none.
    real : RealResponses, optional
        Read the responses from a file instead of making them.
    ratings : OrdinalRatings, optional
        Ratings that are drawn per log, and on which the rating law acts; then ``r*`` and the action depend on
        each other given x (see ``docs/twins.md``).
    """

    name: str = "exclusive"
    law: Literal["logit", "rating"] = "logit"
    capped: bool = True
    salience: Literal["context", "features", "trait"] = "context"
    trait: str | None = None
    confounding: float = Field(default=0.0, ge=-1, le=1)
    misclick: float = Field(default=0.0, ge=0, lt=1)
    signals: int = Field(default=1, ge=1, le=len(POSITIVE))
    regenerate: bool = False
    signal_dependence: float = Field(default=0.0, ge=0, lt=1)
    exposures: int = Field(default=1, ge=1, le=10)
    always_share: float = Field(default=0.0, ge=0, lt=1)
    action_rate: float = Field(default=0.3, gt=0, lt=1)
    reward: Literal["linear", "mlp"] = "linear"
    base_rate: float = Field(default=0.5, gt=0, lt=1)
    reward_scale: float = Field(default=1.5, gt=0)
    prompt_difficulty: float = Field(default=0.75, ge=0)
    responses_per_prompt: int = Field(default=5, ge=1)
    n_features: int = Field(default=32, ge=2)
    n_context: int = Field(default=4, ge=2)
    test_size: int = Field(default=5000, ge=100)
    default_size: int = Field(default=10_000, ge=10)
    real: RealResponses | None = None
    ratings: OrdinalRatings | None = None

    @model_validator(mode="after")
    def _ratings_stand_alone(self) -> Self:
        if not self.capped and self.law != "rating":
            raise ValueError("only the rating law (law: rating) can be left uncapped")
        if self.ratings is None:
            return self
        if self.law != "rating":
            raise ValueError("a world of drawn ratings needs the rating law (law: rating)")
        plain = {"misclick": 0.0, "confounding": 0.0, "always_share": 0.0, "exposures": 1, "real": None}
        plain |= {"signals": 1, "regenerate": False}
        for field, value in plain.items():
            if getattr(self, field) != value:
                raise ValueError(f"a world of drawn ratings ({self.name}) cannot have {field}")
        if abs(self.base_rate - self.ratings.good_share) > 1e-9:
            good = self.ratings.good_share
            raise ValueError(f"the base rate of {self.name} is the share of ratings above τ, {good:g}")
        return self

    @model_validator(mode="after")
    def _trait_is_there(self) -> Self:
        if self.salience == "trait" and self.trait is None:
            raise ValueError("salience 'trait' needs a trait, such as feature:31 or length")
        if self.trait is not None and self.real is None:
            trait_column(self.trait, self.n_features)
        return self

    @property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the logged signals; the first is the feedback."""
        more_exposures = tuple(f"{POSITIVE[0]}:{number}" for number in range(2, self.exposures + 1))
        return (
            POSITIVE[:1]
            + more_exposures
            + POSITIVE[1 : self.signals]
            + ((NEGATIVE,) if self.regenerate else ())
        )

    @property
    def logs_context(self) -> bool:
        """Whether the log holds the context, which is the case if the propensity reads it."""
        return self.salience == "context" and self.law == "logit"
