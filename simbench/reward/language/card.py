"""The card of a fine-tuned language model, checked when it is read."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from simbench.log.encoding import ContextColumn
from simbench.reward.card import CardLog, Count, Digest, Part

FORMAT = 1


class CardLink(Part):
    """How a logit becomes a reward: a formula of ``s`` and ``c``, or None if it only ranks."""

    formula: str | None
    c: float | None


class CardSteps(Part):
    """Optimiser steps: of the weights that were kept, trained, and planned."""

    of_best: Count
    trained: Count
    planned: Count


class CardEncoder(Part):
    """The encoder, and how it reads text."""

    model: str
    revision: str
    pooling: Literal["native", "mean", "cls", "last"]
    max_tokens: int = Field(ge=8, lt=2**31)
    truncation: Literal["prompt", "end"]
    dtype: str
    chat_template: bool
    hidden_size: Count
    parameters: int = Field(ge=1)
    lora: int = Field(ge=0)


class CardTexts(Part):
    """Which columns held the texts; counts of those that were cut or empty."""

    model_config = ConfigDict(extra="allow")

    text_column: str
    prompt_column: str | None


class CardTextLog(CardLog):
    """What the reward was trained on."""

    texts: CardTexts


class LanguageCard(Part):
    """The card of a fine-tuned language model, as :meth:`LanguageReward.save` writes it."""

    format: int
    kind: Literal["language"]
    estimator: str = Field(min_length=1)
    parameters: dict[str, Any]
    settings: dict[str, Any]
    told: tuple[str, ...]
    columns: dict[str, Any]
    log: CardTextLog
    encoder: CardEncoder
    warning: str | None
    link: CardLink
    class_prior: float | None
    held_out_loss: float
    steps: CardSteps
    history: tuple[Any, ...]
    context: tuple[ContextColumn, ...]
    run: Digest
    versions: dict[str, str]
    sha256: dict[str, Digest]
