"""A reward model that transformers has no class for: any encoder, any pooling, and a head of several layers.

It needs only numpy, torch and transformers. Exported models carry this file, ``pooling.py`` and
``tokens.py``, so that ``AutoModelForSequenceClassification.from_pretrained(..., trust_remote_code=True)``
loads them elsewhere.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from .pooling import packed, pool, positions_of, takes_positions
from .tokens import tokenise


class PooledRewardConfig(PretrainedConfig):
    """The configuration of a :class:`PooledRewardModel`.

    Parameters
    ----------
    encoder : dict
        Configuration of the encoder, as transformers writes it.
    pooling : {"mean", "cls", "last", "native"}
        ``native``: the encoder is a sequence classifier of transformers, with a head of its own.
    hidden : list of int
        Widths of the head's ReLU layers; empty for a linear head.
    normalise : bool
        Whether every pooled vector is scaled to length 1.
    max_tokens : int, optional
        Longest text in tokens that the model was trained to read; by default as long as the encoder reads.
    truncation : {"prompt", "end"}
        Which part of a longer text is cut (see :meth:`PooledRewardModel.inputs_of`).
    """

    model_type = "simbench_pooled_reward"

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        pooling: str = "mean",
        hidden: list[int] | None = None,
        normalise: bool = False,
        max_tokens: int | None = None,
        truncation: str = "prompt",
        **rest: Any,
    ):
        self.encoder = encoder or {}
        self.pooling = pooling
        self.hidden = hidden or []
        self.normalise = normalise
        self.max_tokens = max_tokens
        self.truncation = truncation
        rest.setdefault("num_labels", 1)
        super().__init__(**rest)

    def encoder_config(self) -> PretrainedConfig:
        """The configuration of the encoder, as transformers builds it."""
        described = dict(self.encoder)
        return AutoConfig.for_model(described.pop("model_type"), **described)


class PooledRewardModel(PreTrainedModel):
    """A reward model: an encoder, a pooling, and a ReLU head with one logit."""

    config_class = PooledRewardConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: PooledRewardConfig, encoder: Any = None):
        super().__init__(config)
        self.is_native = config.pooling == "native"
        kind = AutoModelForSequenceClassification if self.is_native else AutoModel
        self.encoder = kind.from_config(config.encoder_config()) if encoder is None else encoder
        self.positions = takes_positions(self.encoder)
        self.head = None if self.is_native else self._new_head(config)
        self.post_init()

    def _new_head(self, config: PooledRewardConfig) -> nn.Sequential:
        own = self.encoder.config
        width = getattr(own, "hidden_size", None) or own.d_model
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([width, *config.hidden]):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear([width, *config.hidden][-1], 1))

    @property
    def limit(self) -> int | None:
        """Largest number of tokens of a text; None if nothing limits it."""
        limits = [self.config.max_tokens, getattr(self.encoder.config, "max_position_embeddings", None)]
        return min((limit for limit in limits if limit), default=None)

    def inputs_of(
        self, tokenizer: Any, responses: Sequence[str], prompts: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """The inputs of texts, written and cut as in training: ``model(**model.inputs_of(...)).logits``.

        Parameters
        ----------
        tokenizer : PreTrainedTokenizerBase
            That of the model's folder.
        responses : sequence of b str
        prompts : sequence of b str, optional
            A response without a prompt is read alone.

        Returns
        -------
        dict
            ``input_ids`` and ``attention_mask``, shape (b, t), int64, padded on the right.
        """
        longest = self.limit or tokenizer.model_max_length
        ids = tokenise(tokenizer, responses, prompts, longest, self.config.truncation).ids
        device = next(self.parameters()).device
        tokens = torch.full((len(ids), max(map(len, ids))), tokenizer.pad_token_id or 0, device=device)
        mask = torch.zeros_like(tokens)
        for row, text in enumerate(ids):
            tokens[row, : len(text)], mask[row, : len(text)] = torch.tensor(text, device=device), 1
        return {"input_ids": tokens, "attention_mask": mask}

    def get_input_embeddings(self) -> nn.Module:
        """The encoder's embedding of tokens."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the encoder's embedding of tokens."""
        self.encoder.set_input_embeddings(value)

    def _init_weights(self, module: nn.Module) -> None:
        """Draw nothing: the encoder's weights are read, and those of the head are PyTorch's own draw."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **rest: Any,
    ) -> SequenceClassifierOutput:
        """Reward logits of a batch, shape (b, 1); padding on either side does not change them.

        Raises
        ------
        ValueError
            If a text is longer than the model reads.
        """
        mask = self._mask_of(input_ids) if attention_mask is None else attention_mask
        if self._is_odd(mask):
            (input_ids, mask), position_ids = packed(input_ids, mask), None
            if self.limit is not None and mask.shape[1] > self.limit:
                raise ValueError(
                    f"a text has {mask.shape[1]} tokens and the model reads at most {self.limit}: cut it as "
                    "in training, with model.inputs_of(tokenizer, responses, prompts)."
                )
        if position_ids is None and self.positions:
            position_ids = positions_of(mask)
        inputs = {"input_ids": input_ids, "attention_mask": mask}
        if position_ids is not None:
            inputs["position_ids"] = position_ids
        kept = {key: value for key, value in rest.items() if key == "output_hidden_states"}
        states = self.encoder(**inputs, **kept)
        if self.head is None:
            return SequenceClassifierOutput(logits=states.logits, hidden_states=states.hidden_states)
        pooled = pool(states.last_hidden_state, mask, self.config.pooling)
        if self.config.normalise:
            pooled = nn.functional.normalize(pooled, dim=-1)
        logits = self.head(pooled.to(next(self.head.parameters()).dtype))
        return SequenceClassifierOutput(logits=logits, hidden_states=states.hidden_states)

    def _is_odd(self, mask: Tensor) -> bool:
        """Whether a batch is padded on the left, or wider than the model reads."""
        return bool((mask[:, 0] == 0).any()) or (self.limit is not None and mask.shape[1] > self.limit)

    def _mask_of(self, input_ids: Tensor) -> Tensor:
        pad = self.config.pad_token_id
        return torch.ones_like(input_ids) if pad is None else (input_ids != pad).long()
