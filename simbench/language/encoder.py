"""A language model that turns text into one vector: shared by embedding, fine-tuning and export."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from simbench.errors import BadInput
from simbench.language.loading import load
from simbench.language.pooling import pool, takes_positions

Pooling = Literal["auto", "mean", "cls", "last"]
Side = Literal["left", "right"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Tokens:
    """Tokenised texts, in the order given, and what was not as it should be.

    Parameters
    ----------
    ids : list of list of int
        At least one and at most ``max_tokens`` a text, special tokens included.
    cut : ndarray, shape (n,), bool
        Longer than ``max_tokens``: cut at the end.
    lost : ndarray, shape (n,), bool
        Cut so that nothing of the response is left: only its prompt was read.
    empty : ndarray, shape (n,), bool
        A response of white space alone.
    not_text : ndarray, shape (n,), bool
        A response that is no string, read as empty.
    """

    ids: list[list[int]]
    cut: np.ndarray
    lost: np.ndarray
    empty: np.ndarray
    not_text: np.ndarray


class TextEncoder:
    """Tokenizer, transformers model without head, and pooling.

    ``model`` may be replaced by a wrapped one (peft, accelerate). Nothing here switches gradients off.

    Parameters
    ----------
    model : PreTrainedModel
    tokenizer : PreTrainedTokenizerBase
    pooling : {"mean", "cls", "last"}
    max_tokens : int
    causal : bool, default False
        Whether a token sees only those before it.
    name, revision : str, optional
        For cards.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        pooling: Literal["mean", "cls", "last"],
        max_tokens: int,
        causal: bool = False,
        name: str = "",
        revision: str = "",
    ):
        self.model, self.tokenizer = model, tokenizer
        self.pooling, self.max_tokens, self.causal = pooling, max_tokens, causal
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
        revision: str | None = None,
        gguf_file: str | None = None,
    ) -> Self:
        """Load by name on the Hugging Face hub, or from a folder.

        Parameters
        ----------
        name : str
        pooling : {"auto", "mean", "cls", "last"}
            ``auto``: what a sentence-transformers folder states; else the last token of a causal
            model and the mean of any other.
        dtype : {"auto", "fp32", "bf16", "fp16"}
            ``auto``: bf16 on a GPU, fp32 on a CPU.
        device : str
        max_tokens : int, optional
            Default: what the model's authors state, at most 2,048.
        revision : str, optional
            Branch, tag or commit on the hub.
        gguf_file : str, optional
            A GGUF file of that folder or repository; its weights are dequantised.

        Raises
        ------
        BadInput
            If transformers is missing, there is no such model or network, or an option is unknown.
        """
        if pooling not in ("auto", "mean", "cls", "last"):
            raise BadInput(f"pooling must be auto, mean, cls or last, got {pooling!r}.")
        on = _device(device)
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
            causal=found.causal,
            name=name if gguf_file is None else f"{name}/{gguf_file}",
            revision=found.revision,
        )

    @property
    def hidden_size(self) -> int:
        """Entries of an embedding."""
        config = self.model.config
        return getattr(config, "hidden_size", None) or config.d_model

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    @property
    def pad_id(self) -> int:
        """Token that fills a batch; masked, so that any will do where the tokenizer names none."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None else self.tokenizer.eos_token_id or 0

    def describe(self) -> dict[str, Any]:
        """Facts for a card."""
        return {
            "model": self.name,
            "revision": self.revision,
            "pooling": self.pooling,
            "max_tokens": self.max_tokens,
            "dtype": str(self.dtype).removeprefix("torch."),
            "chat_template": self.tokenizer.chat_template is not None,
            "hidden_size": self.hidden_size,
        }

    def render(self, response: str, prompt: str | None = None) -> tuple[str, bool]:
        """One text, and whether a template wrote its special tokens already.

        With a prompt, and where the tokenizer has a chat template: a turn of the user and one of the
        assistant. Otherwise prompt, blank line, response; without a prompt the response alone.
        """
        if not prompt:
            return response, False
        if self.tokenizer.chat_template is None:
            return f"{prompt}\n\n{response}", False
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        return self.tokenizer.apply_chat_template(turns, tokenize=False), True

    def tokenise(self, responses: Sequence[Any], prompts: Sequence[Any] | None = None) -> Tokens:
        """Token ids of every response, each read after its prompt where prompts are given.

        Parameters
        ----------
        responses : sequence of n
            What is no string is read as empty, and marked.
        prompts : sequence of n, optional
            What is no string counts as no prompt.
        """
        not_text = np.array([not isinstance(text, str) for text in responses], dtype=bool)
        clean = [text if isinstance(text, str) else "" for text in responses]
        empty = np.array([not text.strip() for text in clean], dtype=bool)
        asked = [None] * len(clean) if prompts is None else prompts
        rendered = [
            self.render(text, prompt if isinstance(prompt, str) else None)
            for text, prompt in zip(clean, asked, strict=True)
        ]
        ids: list[list[int]] = [[] for _ in rendered]
        for templated in (False, True):
            rows = [row for row, (_, by_template) in enumerate(rendered) if by_template == templated]
            if rows:
                texts = [rendered[row][0] for row in rows]
                found = self.tokenizer(texts, add_special_tokens=not templated, verbose=False).input_ids
                for row, tokens in zip(rows, found, strict=True):
                    ids[row] = tokens
        cut = np.array([len(tokens) > self.max_tokens for tokens in ids], dtype=bool)
        lost = np.zeros(len(ids), dtype=bool)
        for row in np.flatnonzero(cut):
            ids[row], lost[row] = self._cut(*rendered[row], clean[row])
        nothing = self.tokenizer.bos_token_id or self.tokenizer.eos_token_id or self.pad_id
        ids = [tokens or [nothing] for tokens in ids]
        return Tokens(ids, cut, lost, empty & ~not_text, not_text)

    def _cut(self, text: str, by_template: bool, response: str) -> tuple[list[int], bool]:
        """Ids within the limit (closing special tokens kept), and whether the response is wholly gone."""
        options: dict[str, Any] = {"add_special_tokens": not by_template, "truncation": True}
        options |= {"max_length": self.max_tokens, "return_offsets_mapping": self.tokenizer.is_fast}
        found = self.tokenizer(text, **options)
        if not self.tokenizer.is_fast:
            return found.input_ids, False
        read = max(end for _, end in found.offset_mapping)
        return found.input_ids, bool(response.strip()) and read <= text.rfind(response)

    def pad(self, ids: Sequence[Sequence[int]], side: Side = "right") -> dict[str, Tensor]:
        """A batch on the model's device, ready for :meth:`hidden`.

        Returns
        -------
        dict
            ``input_ids`` and ``attention_mask``, shape (b, t), int64; under left padding
            ``position_ids`` too, counted from each text's first token, where the model takes them.
        """
        longest = max(map(len, ids))
        tokens = np.full((len(ids), longest), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, text in enumerate(ids):
            where = slice(0, len(text)) if side == "right" else slice(longest - len(text), longest)
            tokens[row, where], mask[row, where] = text, 1
        batch = {"input_ids": tokens, "attention_mask": mask}
        if side == "left" and self.takes_positions:
            batch["position_ids"] = np.maximum(mask.cumsum(1) - 1, 0)
        return {name: torch.from_numpy(array).to(self.device) for name, array in batch.items()}

    def hidden(self, batch: dict[str, Tensor]) -> Tensor:
        """Last hidden states, shape (b, t, h), in the model's dtype."""
        extra = {"use_cache": False} if self.causal else {}
        return self.model(**batch, **extra).last_hidden_state

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """One vector a text, shape (b, h), float32; padding on either side does not enter."""
        return pool(hidden, mask, self.pooling)

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """Pooled last hidden states of a padded batch, shape (b, h), float32, with their gradients."""
        return self.pool(self.hidden(batch), batch["attention_mask"])


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BadInput(f"device must be cpu or cuda, got {name!r}.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadInput("device cuda: this machine has no GPU that PyTorch can use; say cpu.")
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise BadInput(f"dtype must be auto, {', '.join(DTYPES)}, got {name!r}.")
    return DTYPES[name]
