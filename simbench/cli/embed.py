"""``simbench embed``: embeds responses with a language model."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from simbench.cli.options import (
    EncodingOption,
    ForceOption,
    Model,
    PromptTextColumn,
    Responses,
    Revision,
    SeparatorOption,
    TextColumn,
)
from simbench.cli.printable import print
from simbench.errors import BadInput

BATCHES = {"cpu": 32, "cuda": 128}


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """Arguments of ``simbench embed``."""

    responses: Responses
    model: Model
    out: Annotated[
        Path, typer.Option(help="File to write, .safetensors; a card that describes it stands beside it.")
    ]
    pooling: Annotated[
        str,
        typer.Option(help="Pooling of the tokens: mean, cls, last, or auto (as the model was trained)."),
    ] = "auto"
    dtype: Annotated[
        str, typer.Option(help="Arithmetic: fp32, bf16, fp16, or auto (bf16 on a GPU, else fp32).")
    ] = "auto"
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu"
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Longer texts are cut to so many tokens, and counted (default: as the model was trained)."
        ),
    ] = None
    truncation: Annotated[
        str,
        typer.Option(help="Where longer texts are cut: prompt (the prompt yields to the response), or end."),
    ] = "prompt"
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Texts at a time; changes nothing but the speed (default 32, on a GPU 128).", min=1
        ),
    ] = None
    normalise: Annotated[
        bool, typer.Option("--normalise", help="Scale every embedding to length 1 (default: not).")
    ] = False
    text_column: TextColumn = None
    prompt_column: PromptTextColumn = None
    encoding: EncodingOption = None
    separator: SeparatorOption = None
    gguf_file: Annotated[
        str | None, typer.Option(help="A GGUF file in the model's folder (default: none).")
    ] = None
    revision: Revision = None
    force: ForceOption = False


def embed(options: EmbedOptions) -> None:
    """Turn responses into embeddings with a language model, for --features of the other commands.

    A run that was killed goes on where it was: run the same command again.
    """
    out = options.out
    if out.suffix != ".safetensors":
        raise BadInput(f"--out must end in .safetensors, got {out}.")
    if options.force:
        _forget(out)
    from simbench.log.embedding_card import card_path
    from simbench.log.source import open_table

    table = open_table(options.responses, encoding=options.encoding, separator=options.separator)
    # these import torch and transformers, so they come after all that can be wrong with the file
    from simbench.cli.progress import TextProgress
    from simbench.cli.text_warnings import text_warnings
    from simbench.reward.language.embed import embed_texts, texts_of
    from simbench.reward.language.encoder import TextEncoder

    texts = texts_of(table, options.text_column, options.prompt_column)
    del table
    names = ("pooling", "dtype", "device", "max_tokens", "truncation", "revision", "gguf_file")
    encoder = TextEncoder.load(options.model, **{name: getattr(options, name) for name in names})
    batch_size = options.batch_size or BATCHES.get(encoder.device.type, 32)
    with TextProgress("embedding") as progress:
        card = embed_texts(
            texts, encoder, out, batch_size=batch_size, normalise=options.normalise, progress=progress
        )
    print(_summary(card, progress.rate, out))
    for warning in text_warnings(card["texts"], encoder.max_tokens):
        print(f"simbench: {warning}", file=sys.stderr)
    print(f"card: {card_path(out)}", file=sys.stderr)


def _forget(out: Path) -> None:
    """Remove an output with its card, and the shards of a killed run."""
    from simbench.log.embedding_card import card_path

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
