"""Which policies a study makes of its fitted rewards."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Positive = Annotated[float, Field(gt=0)]
AtLeastOne = Annotated[int, Field(ge=1)]


class Downstream(BaseModel, frozen=True, extra="forbid"):
    """Which policies are made of every fitted reward.

    Parameters
    ----------
    rewards : tuple of {"probability", "logit"}
        What is exponentiated. The default is the probability ``γ̂``: value is ``E_π[γ]``, and of all policies
        with its KL, ``π_ref exp(γ/β)`` has the highest. So with the true reward the curve is the frontier,
        and what an estimator falls short of it is the error of its ``γ̂`` alone. The logit is what most
        training code feeds to its policy optimiser; even the true one is then off the frontier.
    betas : tuple of float
        Tilting at these β: at equal β a reward on a smaller scale moves the policy less.
    kls : tuple of float
        Tilting to these KL (nats, mean over prompts), each replicate at the β that spends it: what compares
        estimators at the same distance. Those out of reach are left out.
    ns : tuple of int
        Best of n. It reads ranks only.
    """

    rewards: tuple[Literal["probability", "logit"], ...] = ("probability",)
    betas: tuple[Positive, ...] = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    kls: tuple[Positive, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
    ns: tuple[AtLeastOne, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
