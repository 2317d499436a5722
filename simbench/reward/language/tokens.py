"""Turns responses and their prompts into token ids within a limit, and marks texts that were cut or empty."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Truncation = Literal["prompt", "end"]


@dataclass(frozen=True)
class Tokens:
    """Tokenised texts in the order given, with marks on those that were cut, empty or no text.

    Parameters
    ----------
    ids : list of list of int
        From one to ``max_tokens`` for each text, special tokens included.
    cut : ndarray, shape (n,), bool
        Whether the text was longer than ``max_tokens``.
    response_cut : ndarray, shape (n,), bool
        Whether, of those, the response itself was shortened, not its prompt alone.
    lost : ndarray, shape (n,), bool
        Whether, of those, nothing of the response is left.
    empty : ndarray, shape (n,), bool
        Whether the response is white space alone.
    not_text : ndarray, shape (n,), bool
        Whether the response is no string; it is read as empty.
    """

    ids: list[list[int]]
    cut: np.ndarray
    response_cut: np.ndarray
    lost: np.ndarray
    empty: np.ndarray
    not_text: np.ndarray


def render(tokenizer: Any, response: str, prompt: str = "") -> tuple[str, bool]:
    """Write a response after its prompt as one text.

    With a prompt and a chat template, the text is a turn of the user and one of the assistant; without a
    template it is prompt, blank line, response; without a prompt it is the response alone.

    Returns
    -------
    text : str
    by_template : bool
        Whether the template wrote the special tokens already.
    """
    if not prompt:
        return response, False
    if tokenizer.chat_template is None:
        return f"{prompt}\n\n{response}", False
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    return tokenizer.apply_chat_template(turns, tokenize=False), True


def tokenise(
    tokenizer: Any,
    responses: Sequence[Any],
    prompts: Sequence[Any] | None,
    max_tokens: int,
    truncation: Truncation,
) -> Tokens:
    """Tokenise responses, each after its prompt if it has one.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    responses : sequence of n
        A response that is no string is read as empty, and marked.
    prompts : sequence of n, optional
        A prompt that is no string counts as none.
    max_tokens : int
    truncation : {"prompt", "end"}
        How longer texts are cut. ``prompt``: prompt and response get half of the tokens each, and one may use
        what the other does not need; the prompt keeps its end, the response its beginning. ``end``: the whole
        text keeps its beginning, however little of the response that is.
    """
    not_text = np.array([not isinstance(text, str) for text in responses], dtype=bool)
    clean = [text if isinstance(text, str) else "" for text in responses]
    asked = [""] * len(clean) if prompts is None else [p if isinstance(p, str) else "" for p in prompts]
    pairs = list(zip(clean, asked, strict=True))
    ids = _ids(tokenizer, [render(tokenizer, *pair) for pair in pairs])
    cut = np.array([len(tokens) > max_tokens for tokens in ids], dtype=bool)
    response_cut, lost = np.zeros_like(cut), np.zeros_like(cut)
    for row in np.flatnonzero(cut):
        pair = pairs[row]
        if truncation == "prompt" and pair[1] and tokenizer.is_fast:
            pair = _shortened(tokenizer, *pair, len(ids[row]), max_tokens)
            response_cut[row] = pair[0] != clean[row]
        text, by_template = render(tokenizer, *pair)
        ids[row], read = _beginning(tokenizer, text, by_template, max_tokens)
        start = text.rfind(pair[0])
        response_cut[row] |= read < start + len(pair[0].rstrip())
        lost[row] = bool(pair[0].strip()) and read <= start
    nothing = _token_of_nothing(tokenizer)
    empty = np.array([not text.strip() for text in clean], dtype=bool) & ~not_text
    return Tokens([tokens or [nothing] for tokens in ids], cut, response_cut, lost, empty, not_text)


def _ids(tokenizer: Any, rendered: list[tuple[str, bool]]) -> list[list[int]]:
    ids: list[list[int]] = [[] for _ in rendered]
    for templated in (False, True):
        rows = [row for row, (_, by_template) in enumerate(rendered) if by_template == templated]
        if rows:
            texts = [rendered[row][0] for row in rows]
            found = tokenizer(texts, add_special_tokens=not templated, verbose=False).input_ids
            for row, tokens in zip(rows, found, strict=True):
                ids[row] = tokens
    return ids


def _shortened(tokenizer: Any, response: str, prompt: str, length: int, max_tokens: int) -> tuple[str, str]:
    """Response and prompt, shortened to fit together; ``length`` is that of the whole text."""
    options = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
    of_response = tokenizer(response, **options).offset_mapping
    of_prompt = tokenizer(prompt, **options).offset_mapping
    around = max(0, length - len(of_response) - len(of_prompt))  # template and special tokens
    room = max(2, max_tokens - around)
    keep = min(len(of_response), max(room - len(of_prompt), room - room // 2))
    if keep < len(of_response):
        response = response[: of_response[keep - 1][1]]
    rest = min(len(of_prompt), room - keep)
    return response, prompt[of_prompt[-rest][0] :] if rest else prompt


def _beginning(tokenizer: Any, text: str, by_template: bool, max_tokens: int) -> tuple[list[int], int]:
    """Token ids within the limit, with closing special tokens, and how many characters they cover."""
    options: dict[str, Any] = {"add_special_tokens": not by_template, "truncation": True}
    options |= {"max_length": max_tokens, "return_offsets_mapping": tokenizer.is_fast}
    found = tokenizer(text, **options)
    if not tokenizer.is_fast:
        return found.input_ids, len(text)
    return found.input_ids, max(end for _, end in found.offset_mapping)


def _token_of_nothing(tokenizer: Any) -> int:
    """The token that stands for a text without any token."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
        if token is not None:
            return token
    return 0
