"""The networks of an estimator on a language model, whose reward is a sequence classifier of transformers.

It trains the architecture's own classifier (``score`` on the last token of LLaMA and its kin, a linear layer
on BERT's pooler), so that plain ``AutoModelForSequenceClassification`` loads the result.
"""

import warnings
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from simbench.errors import BadInput
from simbench.reward.language.encoder import TextEncoder
from simbench.reward.language.loading import Loaded, is_causal, load
from simbench.reward.language.pooling import pool
from simbench.streams import seed_of
from simbench.training.contract import Network
from simbench.training.samples import Outputs

Pooling = Literal["native", "mean", "cls", "last"]
PAD = "<|pad|>"


@dataclass(frozen=True)
class RewardModelParts:
    """A sequence classifier with one logit, and the encoder by which it reads text.

    Parameters
    ----------
    model : PreTrainedModel
    encoder : TextEncoder
        Encoder on the classifier's base, which tokenises and pads.
    pooling : str
        "native", or that of a :class:`simbench.reward.language.pooled_reward.PooledRewardModel`.
    """

    model: Any
    encoder: TextEncoder
    pooling: str

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """The reward logits of a padded batch, shape (b,)."""
        return self.model(**batch).logits[:, 0]


def load_reward_model(
    name: str,
    *,
    pooling: Pooling = "native",
    max_tokens: int | None = None,
    revision: str | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> RewardModelParts:
    """Load a pre-trained encoder under a new reward head.

    Parameters
    ----------
    name : str
        Name on the Hugging Face hub, or a folder.
    pooling : {"native", "mean", "cls", "last"}
        ``native``: the architecture's own sequence classifier. The others put a linear head on the pooled
        states, which only ``trust_remote_code=True`` loads elsewhere.
    max_tokens : int, optional
        Default: what the model's authors state, at most 2,048.
    revision : str, optional
    seed : int
        Seed of the head's initial weights.
    dtype : torch.dtype

    Raises
    ------
    BadInput
        If there is no such model, or the architecture has no sequence classifier.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "reward head") % 2**63)
        found = _load(name, pooling, revision, dtype)
    model = found.model
    if getattr(model.config, "is_encoder_decoder", False):
        raise BadInput(f"{name} is an encoder-decoder: choose an encoder or a causal language model.")
    causal = is_causal(base_of(model).config)
    own = {"tokenizer": found.tokenizer, "causal": causal, "name": name, "revision": found.revision}
    with_pad_token(model, found.tokenizer)
    longest = found.own_max_tokens if max_tokens is None else max_tokens
    limit = getattr(base_of(model).config, "max_position_embeddings", None) or longest
    if not 8 <= longest <= limit:
        raise BadInput(f"max-tokens must be from 8 to {limit}, the longest that {name} reads.")
    own_pooling = "last" if causal else "mean"
    encoder = TextEncoder(base_of(model), pooling=own_pooling, max_tokens=longest, **own)
    return RewardModelParts(model, encoder, pooling)


def read_reward_model(folder: Path, pooling: str, max_tokens: int) -> RewardModelParts:
    """Read a reward model, encoder and head, from a folder that transformers loads; in fp32."""
    parts = load_reward_model(str(folder), max_tokens=max_tokens)
    return replace(parts, pooling=pooling)


def _load(name: str, pooling: Pooling, revision: str | None, dtype: torch.dtype) -> Loaded:
    where = {"dtype": dtype, "revision": revision, "gguf_file": None}
    if pooling == "native":
        _know_pooled_rewards()
        return load(name, **where, kind="AutoModelForSequenceClassification", num_labels=1)
    if pooling not in ("mean", "cls", "last"):
        raise BadInput(f"pooling must be native, mean, cls or last, got {pooling!r}.")
    found = load(name, **where)
    return replace(found, model=pooled_reward(found.model, pooling).to(dtype))


def pooled_reward(encoder: Any, pooling: str, **described: Any) -> Any:
    """A model of this encoder, this pooling and a new head.

    Parameters
    ----------
    encoder : PreTrainedModel
    pooling : {"mean", "cls", "last", "native"}
    **described
        Further arguments of :class:`simbench.reward.language.pooled_reward.PooledRewardConfig`.
    """
    from simbench.reward.language.pooled_reward import PooledRewardConfig, PooledRewardModel

    return PooledRewardModel(PooledRewardConfig(encoder.config.to_dict(), pooling, **described), encoder)


def _know_pooled_rewards() -> None:
    """Register simbench's own class with transformers, which else would run the code in a model's folder."""
    try:
        from transformers import AutoConfig, AutoModelForSequenceClassification
    except ImportError:
        return  # loading says so

    from simbench.reward.language.pooled_reward import PooledRewardConfig, PooledRewardModel

    AutoConfig.register(PooledRewardConfig.model_type, PooledRewardConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(PooledRewardConfig, PooledRewardModel, exist_ok=True)


def base_of(model: Any) -> Any:
    """The encoder under a classifier."""
    return getattr(model, model.base_model_prefix)


def with_pad_token(model: Any, tokenizer: Any) -> None:
    """Give model and tokenizer a pad token that no text holds.

    Causal classifiers take the last token that is not the pad token for the last of the text. If the pad
    token were the end-of-text token, as is usual, a text that ends with it would be read a token too early.
    """
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.add_special_tokens({"pad_token": PAD})
        base = base_of(model)
        rows = base.get_input_embeddings().weight.shape[0]
        if len(tokenizer) > rows:
            base.resize_token_embeddings(len(tokenizer), mean_resizing=False)
            with torch.no_grad():  # masked, so that any value would do; this one is the same every time
                base.get_input_embeddings().weight[rows:] = 0.0
    model.config.pad_token_id = tokenizer.pad_token_id
    base_of(model).config.pad_token_id = tokenizer.pad_token_id
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id


class RewardNetworks(nn.Module):
    """All networks of an estimator: the classifier's logit, and a small network for every other head.

    Heads that the estimator puts on the reward's own network read the pooled states, and their gradient
    reaches the encoder. Other networks read the context; if the log has none, they read the pooled states
    without a gradient, so that they do not shape the encoder.

    Parameters
    ----------
    parts : RewardModelParts
    networks : tuple of Network
        Networks of the estimator.
    hidden : tuple of int
        Widths of the hidden layers of the small networks.
    context_width : int or None
        Number of columns of context; None if the log has no context.
    seed : int
        Seed of the initial weights of the small networks.
    """

    def __init__(
        self,
        parts: RewardModelParts,
        networks: tuple[Network, ...],
        hidden: tuple[int, ...],
        context_width: int | None,
        seed: int,
    ):
        super().__init__()
        self.model = parts.model
        self.causal, self.pooling = parts.encoder.causal, parts.encoder.pooling
        self.auxiliary = nn.ModuleDict()
        self.readers: dict[str, tuple[tuple[str, ...], str]] = {}
        for number, network in enumerate(networks):
            heads = tuple(head for head in network.heads if head != "reward")
            if not heads:
                continue
            source = "trunk" if len(heads) < len(network.heads) else "states"
            if network.inputs == "context" and context_width is not None:
                source = "context"
            width = parts.encoder.hidden_size if source != "context" else context_width
            assert width is not None
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed_of(seed, "init", "+".join(heads)) % 2**63)
                self.auxiliary[str(number)] = _small(width, hidden, len(heads), source != "context")
            self.readers[str(number)] = (heads, source)

    def forward(self, batch: dict[str, Tensor], context: Tensor | None = None) -> Outputs:
        """The logits of every head on a batch, shape (1, b), float32."""
        reads_states = any(source != "context" for _, source in self.readers.values())
        options: dict[str, Any] = {"output_hidden_states": True} if reads_states else {}
        if self.causal:
            options["use_cache"] = False
        found = self.model(**batch, **options)
        pooled = None
        if reads_states:
            pooled = pool(found.hidden_states[-1], batch["attention_mask"], self.pooling)
        named: dict[str, Tensor] = {}
        for number, (heads, source) in self.readers.items():
            inputs = context if source == "context" else pooled
            assert inputs is not None
            logits = self.auxiliary[number](inputs.detach() if source == "states" else inputs)
            named |= {head: logits[:, place].float()[None] for place, head in enumerate(heads)}
        signals = [named.pop(head) for head in list(named) if head.startswith("signal:")]
        reward = found.logits[:, 0].float()[None]
        return Outputs(reward, **named, signals=torch.stack(signals, -2) if signals else None)

    def head_names(self) -> set[str]:
        """Names of the parameters outside the encoder, which are new and learn faster."""
        # peft wraps the classifier as base_model.model
        prefix = "model.base_model.model." if hasattr(self.model, "peft_config") else "model."
        classifier = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
        encoder = f"{prefix}{classifier.base_model_prefix}."
        return {name for name, _ in self.named_parameters() if not name.startswith(encoder)}


def _small(width: int, hidden: tuple[int, ...], outputs: int, normalised: bool) -> nn.Sequential:
    """A ReLU network; ``normalised`` scales inputs to unit variance first, which contexts have already."""
    layers: list[nn.Module] = [nn.LayerNorm(width, elementwise_affine=False)] if normalised else []
    for fan_in, fan_out in pairwise([width, *hidden]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear([width, *hidden][-1], outputs))


def with_lora(model: Any, rank: int, seed: int) -> Any:
    """The classifier with a low-rank adapter (LoRA, by peft) on every linear layer of its encoder.

    Raises
    ------
    BadInput
        If peft is missing, or the rank is not positive.
    """
    if rank < 1:
        raise BadInput(f"the rank of the adapter must be at least 1, got {rank}.")
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError as error:
        raise BadInput("an adapter needs peft: pip install 'simbench-rm[llm]'.") from error
    encoder = model.base_model_prefix
    layers = [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=[name for name in layers if name.startswith(f"{encoder}.")],
        modules_to_save=sorted({name for name, _ in model.named_children()} - {encoder, "dropout"}),
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads a name that transformers has replaced
        torch.manual_seed(seed_of(seed, "adapter") % 2**63)
        return get_peft_model(model, config)
