"""Chat messages are read as texts: prompts whole, responses as the assistant's last turns."""

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log.messages import prompts_of, responses_of
from simbench.log.source import open_table


def said(role, content):
    return {"role": role, "content": content}


ASKED = [said("system", "be brief"), said("user", "why?")]
ANSWERED = [*ASKED, said("assistant", "so."), said("assistant", "really")]


def table_of(*cells):
    return open_table(pd.DataFrame({"x": pd.Series(cells, dtype=object)}))


def test_prompts_are_their_messages_one_after_the_other():
    table = table_of("a text", ASKED, np.array(ASKED, dtype=object), said("user", "q"), 7)
    joined = "be brief\n\nwhy?"
    assert prompts_of(table, "x").tolist() == ["a text", joined, joined, "q", 7]


def test_of_a_response_beside_its_prompt_only_the_last_turns_of_the_assistant_are_read():
    table = table_of("a text", ANSWERED, [said("assistant", "so.")], [said("user", "odd")], None, 3)
    assert responses_of(table, "x", after_prompt=True).tolist() == [
        *("a text", "so.\n\nreally", "so.", "odd", None, 3),
    ]
    assert responses_of(table, "x", after_prompt=False).tolist()[1] == "be brief\n\nwhy?\n\nso.\n\nreally"


def test_contents_may_be_parts_that_are_texts():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert prompts_of(table_of([said("user", parts)]), "x").tolist() == ["ab"]


@pytest.mark.parametrize(
    "wrong",
    [
        [1, 2],
        [{"role": "user"}],
        [said("user", None)],
        [{"content": "x"}],
        {"a": 1},
        [said("user", [{"type": "image_url", "image_url": "x"}])],
        ["user", "hello"],
        [[said("user", "nested")]],
    ],
)
def test_a_list_of_something_else_is_named(wrong):
    with pytest.raises(BadInput, match="the table, row 1, column 'x': must be a text, or chat messages"):
        responses_of(table_of("a", wrong), "x", after_prompt=False)


def test_an_empty_conversation_and_a_missing_prompt_are_named():
    with pytest.raises(BadInput, match="row 0, column 'x': holds no chat message"):
        prompts_of(table_of([]), "x")
    with pytest.raises(BadInput, match="row 1, column 'x': the value is missing"):
        prompts_of(table_of("a", None), "x")
    empty = table_of("a", [])
    with pytest.raises(BadInput, match="row 1, column 'x': holds no chat message"):
        responses_of(empty, "x", after_prompt=True)
