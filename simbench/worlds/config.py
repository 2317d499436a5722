"""A world as a value."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from simbench.worlds.signals import NEGATIVE, POSITIVE
from simbench.worlds.traits import trait_column


class RealResponses(BaseModel, frozen=True, extra="forbid"):
    """Where real rated responses come from (see :func:`simbench.log.rated_responses.load_responses`)."""

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
    """Ratings that are drawn per log, ``t ~ P(t | x)``, and cut into the preference, ``r* = 1[t > τ]``.

    Parameters
    ----------
    levels : tuple of float
        Possible ratings, rising.
    shares : tuple of float
        Share of the responses at each level; they sum to 1.
    threshold : float
        ``τ``; it parts the levels.
    """

    levels: tuple[float, ...]
    shares: tuple[float, ...]
    threshold: float

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        if len(self.levels) != len(self.shares) or sorted(set(self.levels)) != list(self.levels):
            raise ValueError("levels must rise, and there must be one share for each")
        if min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"shares must be positive and sum to 1, they sum to {sum(self.shares):g}")
        if not self.levels[0] <= self.threshold < self.levels[-1]:
            raise ValueError(f"the threshold {self.threshold:g} does not part the levels")
        return self

    @property
    def good_share(self) -> float:
        """Share of the responses above the threshold."""
        return sum(share for t, share in zip(self.levels, self.shares, strict=True) if t > self.threshold)


class WorldConfig(BaseModel, frozen=True, extra="forbid"):
    """A world as a value; its canonical JSON names its shards on disk.

    ``salience`` says what the propensity reads: ``context`` (exclusion), ``features`` (the same
    responses' features as the reward). ``confounding`` ρ correlates it with the reward's logit.
    ``signals`` positive signals, and a negative one with ``regenerate``, each with a salience of its own;
    ``exposures`` users see every response and act each for themselves, while r* belongs to the response:
    their clicks are logged as so many signals. ``always_share`` of the prompts have users who always act.
    ``signal_dependence`` is the copula correlation of their actions on one response. A misclick is a
    slip of the click alone. ``ratings`` are drawn per log, and the rating law acts on the rating drawn: then
    ``r*`` and the action depend on each other given x (see ``docs/twins.md``). Without ``capped`` the rating
    law's scale ignores the cap at 1, as published: the realised rate falls below ``action_rate``.
    ``trait`` names a property of the responses that policies are judged by, and that the propensity reads
    where ``salience`` is ``trait``: ``feature:K`` of synthetic responses; ``length`` (of the text, in
    characters) or a numeric column of real ones, which becomes a feature as well: who reads a response sees
    how long it is. ``default_size`` is the number of logged responses where a study names none.
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
            raise ValueError("a world of drawn ratings acts by the rating law (law: rating)")
        plain = {"misclick": 0.0, "confounding": 0.0, "always_share": 0.0, "exposures": 1, "real": None}
        plain |= {"signals": 1, "regenerate": False}
        for field, value in plain.items():
            if getattr(self, field) != value:
                raise ValueError(f"a world of drawn ratings ({self.name}) has no {field}")
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
        """Whether the log holds context: where the propensity reads it."""
        return self.salience == "context" and self.law == "logit"
