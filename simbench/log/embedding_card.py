"""The card stored beside a file of embeddings: which texts, which model, and what was cut."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from simbench.errors import BadInput
from simbench.files.tables.table import Table
from simbench.log.messages import prompts_of, responses_of


def card_path(features: Path) -> Path:
    """Return the path of the card of a file of features: ``emb.safetensors`` -> ``emb.card.json``."""
    return features.with_name(f"{features.stem}.card.json")


def read_card(path: Path) -> dict[str, Any]:
    """Read the card at ``path``.

    Raises
    ------
    BadInput
        If it is damaged, or is not a card.
    """
    try:
        card = json.loads(path.read_bytes().decode())
        made = card["input"]
        if not isinstance(made["sha256"], str):
            raise TypeError("no hash")
        if not all(isinstance(made[key], str | None) for key in ("text_column", "prompt_column")):
            raise TypeError("columns that have no names")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"{path} is not a card of embeddings: delete it with the file it describes, and embed again."
        ) from error
    return card


def hash_of_texts(responses: Iterable[Any], prompts: Iterable[Any] | None) -> str:
    """Return the SHA-256 of the texts in order, in hexadecimal digits.

    It does not depend on the format of the file. A value that is not a string counts as no text.
    """
    total = hashlib.sha256()
    for column in (responses, () if prompts is None else prompts):
        for text in column:
            blob = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""
            total.update(b"%d:" % (len(blob) if isinstance(text, str) else -1))
            total.update(blob)
        total.update(b"|")
    return total.hexdigest()


def check_same_texts(features: Path, table: Table) -> None:
    """Refuse embeddings whose card says that they were made from other texts.

    Nothing is checked if there is no card, or if the table no longer has the embedded columns.

    Parameters
    ----------
    features : Path
        The file of embeddings.
    table : Table
        The responses.

    Raises
    ------
    BadInput
        If the texts, or their order, differ.
    """
    if not card_path(features).exists():
        return
    known = read_card(card_path(features))["input"]
    text, prompt = known["text_column"], known["prompt_column"]
    if any(name is not None and name not in table for name in (text, prompt)):
        return
    responses = [] if text is None else responses_of(table, text, after_prompt=prompt is not None)
    prompts = None if prompt is None else prompts_of(table, prompt)
    if text is None or hash_of_texts(responses, prompts) == known["sha256"]:
        return
    raise BadInput(
        f"{features} was embedded from other texts than those of {table.name}, or in another order: "
        f"run simbench embed on {table.name}."
    )
