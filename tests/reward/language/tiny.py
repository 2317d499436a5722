"""Tiny random models with tokenizers, and logs of texts; made in seconds, without a network."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

GOOD = ("clear", "right", "kind", "short", "true")
BAD = ("vague", "wrong", "rude", "long", "false")
PLAIN = ("the", "answer", "is", "and", "a", "step", "then", "word", "who", "why")
TEMPLATE = "{% for m in messages %}<s>{{ m['role'] }} {{ m['content'] }}</s>{% endfor %}"


def _tokenizer(specials: dict[str, str], around: tuple[str, str]) -> PreTrainedTokenizerFast:
    words = [*specials.values(), "user", "assistant", *GOOD, *BAD, *PLAIN, *(f"q{i}" for i in range(40))]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=specials["unk_token"]))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    first, last = around
    pieces = [piece for piece in (first, "$A", last) if piece]
    core.post_processor = processors.TemplateProcessing(
        single=" ".join(pieces), special_tokens=[(word, vocabulary[word]) for word in around if word]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=64, **specials)


def make_llama(folder: Path, template: str | None = None) -> Path:
    """Two layers, 32 wide, no pad token of its own."""
    tokenizer = _tokenizer({"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}, ("<s>", ""))
    tokenizer.chat_template = template
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _written(LlamaForCausalLM(config), tokenizer, folder)


def make_gpt2(folder: Path) -> Path:
    """Two layers, 32 wide; its last norm has a bias."""
    tokenizer = _tokenizer({"unk_token": "<unk>", "eos_token": "</s>"}, ("", ""))
    torch.manual_seed(2)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        eos_token_id=1,
        bos_token_id=1,
    )
    return _written(GPT2LMHeadModel(config), tokenizer, folder)


def make_bert(folder: Path) -> Path:
    """Two layers, 32 wide, with pooler."""
    specials = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = _tokenizer(specials, ("[CLS]", "[SEP]"))
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _written(BertModel(config), tokenizer, folder)


def _written(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def text_log(path: Path, rows: int = 160, seed: int = 0) -> Path:
    """Responses whose words say how good they are, with clicks of users who act with a logged propensity."""
    rng = np.random.default_rng(seed)
    share = rng.random(rows)
    texts = [
        " ".join(
            rng.choice(GOOD if rng.random() < p else BAD) if rng.random() < 0.6 else rng.choice(PLAIN)
            for _ in range(rng.integers(3, 20))
        )
        for p in share
    ]
    activity = rng.standard_normal(rows)
    alpha = 1 / (1 + np.exp(-activity))
    clicked = (rng.random(rows) < share) & (rng.random(rows) < alpha)
    prompts = [f"why q{number // 4} ?" for number in range(rows)]
    frame = pd.DataFrame({"prompt": prompts, "response": texts, "clicked": clicked.astype(int)})
    frame.assign(activity=activity, alpha=alpha, good=share).to_parquet(path)
    return path
