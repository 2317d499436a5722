"""Settings of a fine-tuning: everything but the loss, which is the estimator's."""

import math
from typing import Literal

from pydantic import BaseModel, Field

LARGE = 100_000_000  # parameters from which an adapter is the default


class Settings(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """How a language model is fine-tuned.

    Parameters
    ----------
    model : str
        Name on the Hugging Face hub, or a folder.
    revision : str, optional
    pooling : {"native", "mean", "cls", "last"}
        See :func:`simbench.reward.language.reward_networks.load_reward_model`.
    lora : int, optional
        Rank of the adapter, 0 to train every weight; by default 16 from 100M parameters on, else 0.
    max_tokens : int, optional
        Number of tokens to which longer texts are cut; by default what the model's authors state.
    epochs, initial_epochs : int
        Passes over the log, and passes with the estimator's initial objective before them, if it has one.
    batch_size : int
        Responses in a step; the objective sees them all at once.
    micro_batch_size : int, optional
        Responses in a forward pass; fewer take less memory and give the same gradient.
    learning_rate, head_learning_rate : float
        Peak rate of the encoder (by default 5e-5, of an adapter 2e-4), and of the heads.
    weight_decay : float
        Weight decay of AdamW on matrices.
    schedule : {"cosine", "constant"}
        Learning rate after the warm-up.
    warmup : float in [0, 1)
        Share of the steps in which the rate rises linearly.
    clip : float
        Largest norm of a step's gradient; 0 clips nothing.
    evaluations : int
        Held-out evaluations in an epoch.
    patience : int
        Number of evaluations without a better one after which training stops.
    checkpoint_steps : int, optional
        Steps between checkpoints; there is one at every evaluation in any case.
    precision : {"auto", "fp32", "bf16"}
        ``auto``: bf16 on a GPU. Losses are computed in fp32.
    device : str
    """

    model: str
    revision: str | None = None
    pooling: Literal["native", "mean", "cls", "last"] = "native"
    lora: int | None = Field(default=None, ge=0)
    max_tokens: int | None = None
    epochs: int = Field(default=2, ge=1)
    initial_epochs: int = Field(default=1, ge=1)
    batch_size: int = Field(default=32, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    head_learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = Field(default=0.06, ge=0, lt=1)
    clip: float = Field(default=1.0, ge=0)
    evaluations: int = Field(default=2, ge=1)
    patience: int = Field(default=4, ge=1)
    checkpoint_steps: int | None = Field(default=None, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: str = "cpu"

    @property
    def mixed_precision(self) -> Literal["no", "bf16"]:
        """The precision, as accelerate names it."""
        on_gpu = self.device.startswith("cuda")
        return "bf16" if self.precision == "bf16" or (self.precision == "auto" and on_gpu) else "no"

    def rank(self, parameters: int) -> int:
        """Rank of the adapter of a model with so many parameters; 0 if every weight is trained."""
        if self.lora is not None:
            return self.lora
        return 16 if parameters > LARGE else 0

    def rate(self, rank: int) -> float:
        """Peak learning rate of the encoder, given the rank of its adapter."""
        return self.learning_rate or (2e-4 if rank else 5e-5)

    def share_of_rate(self, step: int, total: int) -> float:
        """Factor of the learning rates at a step, in (0, 1]."""
        warm = max(1, round(self.warmup * total))
        if step < warm:
            return (step + 1) / (warm + 1)
        if self.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
