"""Warnings of ``embed`` and ``finetune`` on texts that were cut, empty or no text."""

from typing import Any


def text_warnings(texts: dict[str, Any], max_tokens: int) -> list[str]:
    """The warnings about the texts, a sentence each; none if all were read whole.

    Parameters
    ----------
    texts : dict
        Counts from the card of the embeddings or of the model.
    max_tokens : int
        Number of tokens to which texts were cut.
    """
    n = texts["rows"]
    said = {
        "cut": f"longer than {max_tokens} tokens with their prompt, and cut (see --max-tokens)",
        "response_cut": "cut themselves, not their prompt alone",
        "lost": "lost: nothing of them is left beside the prompt (see --truncation)",
        "empty": "empty",
        "not_text": "no text, and read as empty",
    }
    return [
        f"{texts[name]:,} of {n:,} responses ({texts[name] / n:.1%}) were {what}."
        for name, what in said.items()
        if texts[name]
    ]
