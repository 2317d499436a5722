"""Tokens within a limit: which words stay, of prompt and response, word by word; templates and batches."""

import numpy as np
import pytest
from transformers import AutoTokenizer

from simbench.reward.language.batches import equal_width_batches, width_of
from simbench.reward.language.template import add_plain_template
from simbench.reward.language.tokens import render, tokenise

QUESTION = [f"q{number}" for number in range(12)]
ANSWER = [f"q{number}" for number in range(20, 32)]


@pytest.fixture(scope="module")
def words(models):
    """A tokenizer of whole words, which puts <s> before a text."""
    return AutoTokenizer.from_pretrained(models["llama"])


def kept(tokenizer, asked: int, answered: int, max_tokens: int, truncation="prompt") -> tuple:
    """The words that are read of a prompt and a response of so many, and the marks."""
    prompt, response = " ".join(QUESTION[:asked]), " ".join(ANSWER[:answered])
    found = tokenise(tokenizer, [response], [prompt], max_tokens, truncation)
    read = tokenizer.convert_ids_to_tokens(found.ids[0])
    return read, (bool(found.cut[0]), bool(found.response_cut[0]), bool(found.lost[0]))


@pytest.mark.parametrize(
    ("asked", "answered", "room", "of_prompt", "of_response"),
    [
        (4, 4, 8, 4, 4),  # fits to the token
        (10, 10, 8, 4, 4),  # half each
        (10, 10, 9, 4, 5),  # the odd one is the response's
        (2, 10, 8, 2, 6),  # what the prompt does not need
        (10, 3, 8, 5, 3),  # what the response does not need
        (9, 8, 16, 8, 8),
        (1, 12, 4, 1, 3),
        (12, 1, 4, 3, 1),
    ],
)
def test_prompt_and_response_share_the_room(asked, answered, room, of_prompt, of_response, words):
    read, (cut, response_cut, lost) = kept(words, asked, answered, room + 1)
    assert read == ["<s>", *QUESTION[asked - of_prompt : asked], *ANSWER[:of_response]]
    assert cut == (asked + answered > room) and response_cut == (of_response < answered) and not lost


@pytest.mark.parametrize(
    ("asked", "answered", "of_prompt", "of_response", "lost"),
    [(4, 4, 4, 4, False), (5, 6, 5, 3, False), (7, 2, 7, 1, False), (8, 2, 8, 0, True), (12, 2, 8, 0, True)],
)
def test_cut_at_the_end_the_whole_text_keeps_its_beginning(
    asked, answered, of_prompt, of_response, lost, words
):
    read, marks = kept(words, asked, answered, 9, "end")
    assert read == ["<s>", *QUESTION[:of_prompt], *ANSWER[:of_response]]
    assert marks == (asked + answered > 8, of_response < answered, lost)


def test_a_response_of_which_no_letter_is_read_is_lost(llama):
    """The template puts it right after its mark, at which the text is cut; one token more, and it is not."""
    tokenizer = AutoTokenizer.from_pretrained(llama)
    whole = tokenise(tokenizer, ["yes"], ["really?"], 512, "end").ids[0]
    mark = whole.index(tokenizer.convert_tokens_to_ids("<|assistant|>"))
    for more, lost in ((1, True), (2, False)):
        found = tokenise(tokenizer, ["yes"], ["really?"], mark + more, "end")
        assert found.ids[0] == whole[: mark + more] and found.cut[0] and found.response_cut[0]
        assert found.lost[0] == lost


def test_special_tokens_of_template_and_tokenizer_count(models):
    chat = AutoTokenizer.from_pretrained(models["chat"])
    read, marks = kept(chat, 10, 10, 12)  # <s> user </s> <s> assistant </s>: six, and six words
    assert read == ["<s>", "user", *QUESTION[7:10], "</s>", "<s>", "assistant", *ANSWER[:3], "</s>"]
    assert marks == (True, True, False)
    bert = AutoTokenizer.from_pretrained(models["bert"])
    assert kept(bert, 10, 10, 8)[0] == ["[CLS]", *QUESTION[7:10], *ANSWER[:3], "[SEP]"]


def test_texts_of_both_kinds_keep_their_order(models):
    chat = AutoTokenizer.from_pretrained(models["chat"])
    found = tokenise(chat, ["q1", "q2", "q3", 5], ["q4", "", "q5", None], 64, "prompt")
    read = [" ".join(chat.convert_ids_to_tokens(ids)) for ids in found.ids]
    templated = "<s> user {} </s> <s> assistant {} </s>"
    assert read[:3] == [templated.format("q4", "q1"), "<s> q2", templated.format("q5", "q3")]
    assert found.not_text.tolist() == [False, False, False, True] and not found.empty.any()


def test_a_text_without_a_token_is_read_as_one(models):
    gpt2 = AutoTokenizer.from_pretrained(models["gpt2"])
    found = tokenise(gpt2, ["", " "], None, 8, "prompt")
    assert found.ids == [[gpt2.eos_token_id]] * 2 and found.empty.all()
    gpt2.add_special_tokens({"bos_token": "q9"})
    assert tokenise(gpt2, [""], None, 8, "prompt").ids == [[gpt2.bos_token_id]]


def test_a_text_is_prompt_blank_line_response(words):
    assert render(words, "it is", "why") == ("why\n\nit is", False)
    assert render(words, "it is") == ("it is", False)


@pytest.mark.parametrize("name", ["llama", "bert", "gpt2"])
def test_the_template_writes_what_is_read(name, models):
    tokenizer = AutoTokenizer.from_pretrained(models[name])
    assert tokenizer.chat_template is None and add_plain_template(tokenizer)
    turns = [{"role": "user", "content": "why q1"}, {"role": "assistant", "content": "the answer"}]
    written = tokenizer.apply_chat_template(turns, tokenize=False)
    around = {"llama": "<s>{}", "bert": "[CLS]{}[SEP]", "gpt2": "{}"}[name]
    assert written == around.format("why q1\n\nthe answer")
    own = tokenizer("why q1\n\nthe answer").input_ids
    assert tokenizer(written, add_special_tokens=False).input_ids == own


def test_a_template_that_is_there_stays_and_one_that_reads_otherwise_is_dropped(models, monkeypatch):
    chat = AutoTokenizer.from_pretrained(models["chat"])
    before = chat.chat_template
    assert add_plain_template(chat) and chat.chat_template == before
    words = AutoTokenizer.from_pretrained(models["llama"])
    monkeypatch.setattr(words, "convert_ids_to_tokens", lambda ids: ["q3" for _ in ids])
    assert not add_plain_template(words) and words.chat_template is None


def test_widths_are_multiples_of_32_and_then_four_a_doubling():
    grid = [*range(32, 257, 32), *range(320, 513, 64), *range(640, 1025, 128), *range(1280, 2049, 256)]
    for length in range(1, 2049):
        assert width_of(length, 2048) == next(width for width in grid if width >= length)
    assert width_of(300, 310) == 310 and width_of(5, 8) == 8


def test_batches_are_widest_first_in_file_order_and_full():
    lengths = np.array([10, 300, 40, 33, 12, 64, 301, 50])
    found = [(rows.tolist(), width) for rows, width in equal_width_batches(lengths, 3, 310)]
    assert found == [([1, 6], 310), ([2, 3, 5], 64), ([7], 64), ([0, 4], 32)]
