"""``simbench score``: writes the reward of every response in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simbench.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Arguments of ``simbench score``."""

    model: Annotated[Path, typer.Argument(help="Folder that simbench fit or simbench finetune wrote.")]
    responses: Annotated[Path, typer.Argument(help="Responses: a .parquet, .csv, .jsonl or .jsonl.gz file.")]
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .jsonl.")]
    features: Annotated[
        str | None,
        typer.Option(
            help="Embeddings of the responses: a file, or col:PREFIX for columns (default: none, for a "
            "fine-tuned language model, which reads the text)."
        ),
    ] = None


def score(options: ScoreOptions) -> None:
    """Write the reward of every response, in a column `reward` beside what the file holds."""
    from simbench.cli.output import check_suffix, write_tables

    check_suffix(options.out)
    frame, reward = _rewards(options)
    write_tables({options.out: frame.assign(reward=reward)})
    print(
        f"{len(reward):,} rewards, mean {reward.mean():.3f}, from {reward.min():.3f} to "
        f"{reward.max():.3f}: {options.out}"
    )


def _rewards(options: ScoreOptions) -> "tuple[pd.DataFrame, np.ndarray]":
    """The responses and their rewards, shape (n,)."""
    from simbench.log.encoding import raw_features
    from simbench.log.rated_responses import read_frame
    from simbench.reward.model import is_language_folder, load_model

    if is_language_folder(options.model):
        return _rewards_of_text(options)
    fitted = load_model(options.model)
    if options.features is None:
        raise BadInput(f"{options.model} reads features: say --features.")
    frame = read_frame(options.responses)
    return frame, fitted.predict_reward(raw_features(options.features, frame, options.responses))


def _rewards_of_text(options: ScoreOptions) -> "tuple[pd.DataFrame, np.ndarray]":
    """The responses and their rewards by a fine-tuned language model."""
    from simbench.log.rated_responses import read_frame
    from simbench.reward.language.finetune import frame_tokens
    from simbench.reward.language.model import load_language_model

    if options.features is not None:
        raise BadInput(f"{options.model} reads text, not features: leave out --features.")
    reader = load_language_model(options.model)
    frame = read_frame(options.responses)
    tokens = frame_tokens(reader.parts, frame, options.responses, reader.card)
    return frame, reader.predict_reward(tokens)
