"""Commands on language models. A thin layer, like :mod:`simbench.cli`."""

from pathlib import Path
from typing import Annotated

import typer

Responses = Annotated[
    Path, typer.Argument(help="Responses: jsonl, jsonl.gz, csv or parquet, or hub:OWNER/DATASET.")
]
Model = Annotated[str, typer.Option(help="Name on the Hugging Face hub, a folder, or a .gguf file.")]


def embed(
    responses: Responses,
    model: Model,
    out: Annotated[Path, typer.Option(help="Where to: .safetensors; a card is written beside it.")],
    pooling: Annotated[
        str, typer.Option(help="mean, cls or last token; auto: as the model was made.")
    ] = "auto",
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16; auto: bf16 on a GPU.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    max_tokens: Annotated[
        int | None, typer.Option(help="Longer texts are cut, and counted [as the model was made].")
    ] = None,
    truncation: Annotated[
        str, typer.Option(help="Of longer texts: prompt (it yields to the response) or end.")
    ] = "prompt",
    batch_size: Annotated[
        int | None, typer.Option(help="Texts at once; changes nothing but the speed [32, GPU 128].", min=1)
    ] = None,
    normalise: Annotated[
        bool, typer.Option("--normalise", help="Scale every embedding to length 1.")
    ] = False,
    text_column: Annotated[str | None, typer.Option(help="Column of the response's text.")] = None,
    prompt_column: Annotated[
        str | None, typer.Option(help="Column of the prompt's text; `none`: the response alone.")
    ] = None,
    gguf_file: Annotated[str | None, typer.Option(help="A GGUF file in the model's folder.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace embeddings that are there.")] = False,
) -> None:
    """Turn responses into embeddings with a language model, for --features of the other commands.

    A killed run goes on where it was: run the same command again.
    """
    flags = dict(locals())
    from simbench.commands import language

    language.embed(flags)
