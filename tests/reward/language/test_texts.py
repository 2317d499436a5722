"""Which texts embed and finetune read: those of the usual columns, and chat messages as texts."""

import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log.source import open_table
from simbench.reward.language.embed import texts_of


def said(role, content):
    return {"role": role, "content": content}


def test_chat_messages_are_read_as_their_texts():
    chat = pd.DataFrame(
        {
            "prompt": [[said("system", "s"), said("user", "q")], [said("user", "r")]],
            "response": [[said("assistant", "a")], [said("user", "r"), said("assistant", "b")]],
        }
    )
    plain = pd.DataFrame({"prompt": ["s\n\nq", "r"], "response": ["a", "b"]})
    found, same = texts_of(open_table(chat), None, None), texts_of(open_table(plain), None, None)
    assert (found.responses, found.prompts) == (["a", "b"], ["s\n\nq", "r"])
    assert found.source["sha256"] == same.source["sha256"]
    alone = texts_of(open_table(chat), None, "none")
    assert alone.responses == ["a", "r\n\nb"] and alone.prompts is None


def test_a_missing_prompt_is_an_error():
    table = open_table(pd.DataFrame({"prompt": ["q", None], "response": ["a", "b"]}))
    with pytest.raises(BadInput, match="the table, row 1, column 'prompt': the value is missing"):
        texts_of(table, None, None)
    assert texts_of(table, None, "none").responses == ["a", "b"]
