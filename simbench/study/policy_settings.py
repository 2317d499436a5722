"""Settings of the policies that a study derives from its fitted rewards."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

# closer to 0 a tilt leaves the numbers that a computer has
Strength = Annotated[float, Field(ge=1e-6, allow_inf_nan=False)]
AtLeastOne = Annotated[int, Field(ge=1, le=10**9)]


class Downstream(BaseModel, frozen=True, extra="forbid"):
    """Which policies are derived from every fitted reward, and measured.

    Parameters
    ----------
    rewards : tuple of {"probability", "logit"}
        What is exponentiated. The default is the probability ``γ̂``: the value is ``E_π[γ]``, and of all
        policies with the same KL, ``π_ref exp(γ/β)`` has the highest. So the curve of the true reward is the
        frontier, and an estimator falls short of it by the error of its ``γ̂`` alone. The logit is what most
        training code feeds to its policy optimiser; then even the true reward is off the frontier.
    betas : tuple of float
        Each β at which policies are tilted; at equal β a reward on a smaller scale moves the policy less.
    kls : tuple of float
        Each KL (nats, mean over prompts) to which policies are tilted, every replicate at the β that spends
        it. This compares estimators at the same distance from the reference; a KL out of reach is left out.
    ns : tuple of int
        Each n of best-of-n, which reads only the ranks of the rewards.
    """

    rewards: tuple[Literal["probability", "logit"], ...] = ("probability",)
    betas: tuple[Strength, ...] = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    kls: tuple[Strength, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
    ns: tuple[AtLeastOne, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
