"""The encoder, a language model that turns text into a vector; embedding, fine-tuning and export share it."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from simbench.errors import BadInput
from simbench.reward.language.loading import load
from simbench.reward.language.pooling import packed, pool, takes_positions
from simbench.reward.language.tokens import Tokens, Truncation, tokenise
from simbench.training.device import usable_device

Pooling = Literal["auto", "mean", "cls", "last"]
Side = Literal["left", "right"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TextEncoder:
    """A tokenizer, a transformers model without a head, and a pooling.

    ``model`` may be replaced by a wrapped one (peft, accelerate). No method switches gradients off.

    Parameters
    ----------
    model : PreTrainedModel
    tokenizer : PreTrainedTokenizerBase
    pooling : {"mean", "cls", "last"}
    max_tokens : int
        Number of tokens to which longer texts are cut.
    truncation : {"prompt", "end"}
        Which part of a longer text is cut (see :func:`simbench.reward.language.tokens.tokenise`).
    causal : bool, default False
        Whether a token sees only those before it.
    name, revision : str, optional
        Name and revision of the model, for cards.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        pooling: Literal["mean", "cls", "last"],
        max_tokens: int,
        truncation: Truncation = "prompt",
        causal: bool = False,
        name: str = "",
        revision: str = "",
    ):
        self.model, self.tokenizer = model, tokenizer
        self.pooling, self.max_tokens, self.causal = pooling, max_tokens, causal
        self.truncation: Truncation = truncation
        self.name, self.revision = name, revision
        self.takes_positions = takes_positions(model)

    @classmethod
    def load(
        cls,
        name: str,
        *,
        pooling: Pooling = "auto",
        dtype: str = "auto",
        device: str = "cpu",
        max_tokens: int | None = None,
        truncation: Truncation = "prompt",
        revision: str | None = None,
        gguf_file: str | None = None,
    ) -> Self:
        """Load an encoder by its name on the Hugging Face hub, or from a folder.

        Parameters
        ----------
        name : str
            The name, or the path of the folder.
        pooling : {"auto", "mean", "cls", "last"}
            ``auto``: what a sentence-transformers folder states; else the last token of a causal
            model and the mean of any other.
        dtype : {"auto", "fp32", "bf16", "fp16"}
            ``auto``: bf16 on a GPU, fp32 on a CPU.
        device : str
        max_tokens : int, optional
            Default: what the model's authors state, at most 2,048.
        truncation : {"prompt", "end"}
            Which part of a longer text is cut.
        revision : str, optional
            Branch, tag or commit on the hub.
        gguf_file : str, optional
            A GGUF file of that folder or repository; its weights are dequantised.

        Raises
        ------
        BadInput
            If transformers is missing, the model cannot be found or read, or an option is not possible.
        """
        if pooling not in ("auto", "mean", "cls", "last"):
            raise BadInput(f"pooling must be auto, mean, cls or last, got {pooling!r}.")
        if truncation not in ("prompt", "end"):
            raise BadInput(f"truncation must be prompt or end, got {truncation!r}.")
        on = usable_device(device)
        found = load(name, dtype=_dtype(dtype, on), revision=revision, gguf_file=gguf_file)
        chosen = pooling if pooling != "auto" else found.own_pooling or ("last" if found.causal else "mean")
        longest = found.own_max_tokens if max_tokens is None else max_tokens
        limit = getattr(found.model.config, "max_position_embeddings", None) or longest
        if not 8 <= longest <= limit:
            raise BadInput(f"max-tokens must be from 8 to {limit}, the longest that {name} reads.")
        return cls(
            found.model.to(on),
            found.tokenizer,
            pooling=chosen,  # pyright: ignore[reportArgumentType]
            max_tokens=longest,
            truncation=truncation,
            causal=found.causal,
            name=name if gguf_file is None else f"{name}/{gguf_file}",
            revision=found.revision,
        )

    @property
    def hidden_size(self) -> int:
        """Number of entries of an embedding, h."""
        config = self.model.config
        return getattr(config, "hidden_size", None) or config.d_model

    @property
    def device(self) -> torch.device:
        """The device on which the model lies."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the model's weights."""
        return next(self.model.parameters()).dtype

    @property
    def pad_id(self) -> int:
        """The token that fills a batch; it is masked, so any will do if the tokenizer names none."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None else self.tokenizer.eos_token_id or 0

    def describe(self) -> dict[str, Any]:
        """Facts about the encoder, for a card."""
        return {
            "model": self.name,
            "revision": self.revision,
            "pooling": self.pooling,
            "max_tokens": self.max_tokens,
            "truncation": self.truncation,
            "dtype": str(self.dtype).removeprefix("torch."),
            "chat_template": self.tokenizer.chat_template is not None,
            "hidden_size": self.hidden_size,
        }

    def tokenise(self, responses: Sequence[Any], prompts: Sequence[Any] | None = None) -> Tokens:
        """Token ids of every response after its prompt, see :mod:`simbench.reward.language.tokens`."""
        return tokenise(self.tokenizer, responses, prompts, self.max_tokens, self.truncation)

    def pad(
        self, ids: Sequence[Sequence[int]], side: Side = "right", width: int | None = None
    ) -> dict[str, Tensor]:
        """Pad texts to a batch on the model's device.

        Parameters
        ----------
        ids : sequence of b sequences of int
        side : {"right", "left"}
            Where the padding goes.
        width : int, optional
            Default: that of the longest text.

        Returns
        -------
        dict
            ``input_ids`` and ``attention_mask``, shape (b, t), int64; under left padding
            ``position_ids`` too, counted from each text's first token, where the model takes them.
        """
        width = width or max(map(len, ids))
        tokens = np.full((len(ids), width), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, text in enumerate(ids):
            where = slice(0, len(text)) if side == "right" else slice(width - len(text), width)
            tokens[row, where], mask[row, where] = text, 1
        batch = {"input_ids": tokens, "attention_mask": mask}
        if side == "left" and self.takes_positions:
            batch["position_ids"] = np.maximum(mask.cumsum(1) - 1, 0)
        return {name: torch.from_numpy(array).to(self.device) for name, array in batch.items()}

    def hidden(self, batch: dict[str, Tensor]) -> Tensor:
        """The last hidden states of a batch, shape (b, t, h), in the model's dtype."""
        extra = {"use_cache": False} if self.causal else {}
        return self.model(**batch, **extra).last_hidden_state

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Pool the states of each text into one vector, shape (b, h), float32, whichever side is padded."""
        return pool(hidden, mask, self.pooling)

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """The embeddings of a padded batch, its pooled last hidden states: shape (b, h), float32.

        Gradients flow. A batch that is padded on the left gives the same bits as if padded on the right.
        """
        mask = batch["attention_mask"]
        ids, mask = packed(batch["input_ids"], mask, mask.shape[1])  # at equal width, equal bits
        return self.pool(self.hidden({"input_ids": ids, "attention_mask": mask}), mask)


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise BadInput(f"dtype must be auto, {', '.join(DTYPES)}, got {name!r}.")
    return DTYPES[name]
