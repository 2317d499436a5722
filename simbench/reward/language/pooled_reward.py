"""A reward model that transformers has no class for: any encoder, any pooling, and a head of several layers.

It needs only torch and transformers. Exported models carry this file and ``pooling.py``, so that
``AutoModelForSequenceClassification.from_pretrained(..., trust_remote_code=True)`` loads them elsewhere.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from .pooling import pool, positions_of, takes_positions


class PooledRewardConfig(PretrainedConfig):
    """The configuration of a :class:`PooledRewardModel`.

    Parameters
    ----------
    encoder : dict
        Configuration of the encoder, as transformers writes it.
    pooling : {"mean", "cls", "last"}
    hidden : list of int
        Widths of the head's ReLU layers; empty for a linear head.
    normalise : bool
        Whether every pooled vector is scaled to length 1.
    """

    model_type = "simbench_pooled_reward"

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        pooling: str = "mean",
        hidden: list[int] | None = None,
        normalise: bool = False,
        **rest: Any,
    ):
        self.encoder = encoder or {}
        self.pooling = pooling
        self.hidden = hidden or []
        self.normalise = normalise
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
        self.encoder = AutoModel.from_config(config.encoder_config()) if encoder is None else encoder
        own = self.encoder.config
        width = getattr(own, "hidden_size", None) or own.d_model
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([width, *config.hidden]):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        self.head = nn.Sequential(*layers, nn.Linear([width, *config.hidden][-1], 1))
        self.positions = takes_positions(self.encoder)
        self.post_init()

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
        """Reward logits of a batch, shape (b, 1); padding on either side does not change them."""
        mask = self._mask_of(input_ids) if attention_mask is None else attention_mask
        if position_ids is None and self.positions:
            position_ids = positions_of(mask)
        inputs = {"input_ids": input_ids, "attention_mask": mask}
        if position_ids is not None:
            inputs["position_ids"] = position_ids
        kept = {key: value for key, value in rest.items() if key == "output_hidden_states"}
        states = self.encoder(**inputs, **kept)
        pooled = pool(states.last_hidden_state, mask, self.config.pooling)
        if self.config.normalise:
            pooled = nn.functional.normalize(pooled, dim=-1)
        logits = self.head(pooled.to(self.head[-1].weight.dtype))
        return SequenceClassifierOutput(logits=logits, hidden_states=states.hidden_states)

    def _mask_of(self, input_ids: Tensor) -> Tensor:
        pad = self.config.pad_token_id
        return torch.ones_like(input_ids) if pad is None else (input_ids != pad).long()
