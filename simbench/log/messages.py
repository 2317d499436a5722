"""Texts of a table: strings, or chat messages, each with a role and its content."""

from typing import Any

import numpy as np
import pandas as pd

from simbench.errors import BadInput
from simbench.files.tables.table import Table

BETWEEN = "\n\n"  # turns, as a language model without a chat template reads them


def prompts_of(table: Table, name: str) -> pd.Series:
    """Return the prompts of a column: texts or identifiers as they stand, chat messages as one text.

    Parameters
    ----------
    table : Table
    name : str
        Name of the column.

    Raises
    ------
    BadInput
        If a prompt is missing, or is neither a value nor chat messages.
    """
    column = table.column(name)
    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0])
        raise BadInput(f"{table.place(row, name)}: the value is missing.")
    return _written(table, column, after_prompt=False)


def responses_of(table: Table, name: str, after_prompt: bool) -> pd.Series:
    """Return the responses of a column; chat messages become one text. Other values stay as they are.

    Parameters
    ----------
    table : Table
    name : str
        Name of the column.
    after_prompt : bool
        Whether the prompt is read beside it: then, of chat messages, only the last turns of the assistant
        are the response, and what stands before them is the prompt again.

    Raises
    ------
    BadInput
        If a list holds no chat messages.
    """
    return _written(table, table.column(name), after_prompt)


def _written(table: Table, column: pd.Series, after_prompt: bool) -> pd.Series:
    if column.dtype != object:
        return column
    texts = [
        _text(value, table, row, column.name, after_prompt) if _is_nested(value) else value
        for row, value in enumerate(column)
    ]
    return pd.Series(texts, index=column.index, name=column.name, dtype=object)


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray | dict)


def _text(value: Any, table: Table, row: int, name: Any, after_prompt: bool) -> str:
    messages = [value] if isinstance(value, dict) else list(value)
    try:
        turns = [(message["role"], _content(message["content"])) for message in messages]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadInput(
            f"{table.place(row, name)}: must be a text, or chat messages, a list of "
            '{"role": ..., "content": ...}.'
        ) from error
    if not turns:
        raise BadInput(f"{table.place(row, name)}: holds no chat message.")
    if after_prompt:
        others = [number for number, (role, _) in enumerate(turns) if role != "assistant"]
        last = others[-1] + 1 if others else 0
        turns = turns[last:] or turns
    return BETWEEN.join(content for _, content in turns)


def _content(content: Any) -> str:
    """The text of a message: a string, or a list of parts that are texts."""
    if isinstance(content, str):
        return content
    parts = list(content)
    if not all(isinstance(part["text"], str) for part in parts):
        raise TypeError("a part without text")
    return "".join(part["text"] for part in parts)
