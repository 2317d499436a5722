"""Tiny models and a log of texts, made once a session."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: helpers are no package

from tiny import TEMPLATE, make_bert, make_gpt2, make_llama, text_log


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    """Folders by name: llama, chat (a llama with a template), gpt2, bert."""
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
