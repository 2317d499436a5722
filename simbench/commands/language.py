"""What the commands on language models do."""

import shutil
import sys
from pathlib import Path
from typing import Any

from simbench.errors import BadInput
from simbench.log.embedding_card import card_path
from simbench.log.rated_responses import read_frame

BATCHES = {"cpu": 32, "cuda": 128}


def embed(flags: dict[str, Any]) -> None:
    """``simbench embed``."""
    out: Path = flags["out"]
    if out.suffix != ".safetensors":
        raise BadInput(f"--out must end in .safetensors, got {out}.")
    if flags["force"]:
        _forget(out)
    frame = read_frame(flags["responses"])
    # heavy: after what can be wrong with the file was said
    from simbench.commands.progress import TextProgress
    from simbench.reward.language.embed import embed_texts, texts_of
    from simbench.reward.language.encoder import TextEncoder

    texts = texts_of(frame, flags["responses"], flags["text_column"], flags["prompt_column"])
    del frame
    names = ("pooling", "dtype", "device", "max_tokens", "truncation", "revision", "gguf_file")
    encoder = TextEncoder.load(flags["model"], **{name: flags[name] for name in names})
    batch_size = flags["batch_size"] or BATCHES.get(encoder.device.type, 32)
    with TextProgress("embedding") as progress:
        card = embed_texts(
            texts, encoder, out, batch_size=batch_size, normalise=flags["normalise"], progress=progress
        )
    print(_summary(card, progress.rate, out))
    for warning in text_warnings(card["texts"], encoder.max_tokens):
        print(f"simbench: {warning}", file=sys.stderr)
    print(f"card: {card_path(out)}", file=sys.stderr)


def _forget(out: Path) -> None:
    """Remove an output with its card and what a killed run left."""
    for file in (out, card_path(out)):
        file.unlink(missing_ok=True)
    shutil.rmtree(out.with_name(f"{out.name}.parts"), ignore_errors=True)


def _summary(card: dict[str, Any], rate: float, out: Path) -> str:
    made, texts = card["encoder"], card["texts"]
    speed = f"{rate:,.1f} texts/s" if rate else "all done before"
    return (
        f"{texts['rows']:,} embeddings of {made['hidden_size']} numbers, pooling {made['pooling']}, "
        f"{made['dtype']}; {texts['tokens'] / texts['rows']:.0f} tokens a text, {speed}: {out}"
    )


def text_warnings(texts: dict[str, Any], max_tokens: int) -> list[str]:
    """What the user should know about the texts; nothing where all was as it should be."""
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
