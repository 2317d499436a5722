"""``simbench score``: writes the reward of every response in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simbench.cli.options import EncodingOption, Responses, SeparatorOption, TrustCodeOption
from simbench.cli.printable import print
from simbench.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    from simbench.files.tables.table import Table


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Arguments of ``simbench score``."""

    model: Annotated[Path, typer.Argument(help="Folder that simbench fit or simbench finetune wrote.")]
    responses: Responses
    out: Annotated[
        str,
        typer.Option(
            help="File or URL to write: .parquet, .feather, .csv, .tsv or .jsonl (these three also with "
            ".gz); never the file that is read."
        ),
    ]
    features: Annotated[
        str | None,
        typer.Option(
            help="Embeddings of the responses: a file, or col:PREFIX for columns (default: the columns that "
            "the model was fitted on; a fine-tuned language model reads the text)."
        ),
    ] = None
    column: Annotated[
        str, typer.Option(help="Name of the column of rewards; the responses must not have it yet.")
    ] = "reward"
    trust_code: TrustCodeOption = False
    encoding: EncodingOption = None
    separator: SeparatorOption = None


def score(options: ScoreOptions) -> None:
    """Write the reward of every response, in a column beside what the file holds, which stays as it is."""
    from simbench.files.tables.write import check_output, write_with_column
    from simbench.log.source import open_table

    table = open_table(options.responses, encoding=options.encoding, separator=options.separator)
    check_output(table, options.column, options.out, "--column")
    reward = _rewards(options, table)
    write_with_column(table, options.column, reward, options.out)
    print(
        f"{len(reward):,} rewards, mean {reward.mean():.3f}, from {reward.min():.3f} to "
        f"{reward.max():.3f}: {options.out}"
    )


def _rewards(options: ScoreOptions, table: "Table") -> "np.ndarray":
    """The rewards of the responses, shape (n,)."""
    from simbench.reward.model import is_language_folder, load_model

    if is_language_folder(options.model):
        return _rewards_of_text(options, table)
    return load_model(options.model, options.trust_code).score_table(table, options.features)


def _rewards_of_text(options: ScoreOptions, table: "Table") -> "np.ndarray":
    """The rewards of the responses by a fine-tuned language model."""
    from simbench.reward.language.finetune import table_tokens
    from simbench.reward.language.model import load_language_model

    if options.features is not None:
        raise BadInput(f"{options.model} reads text, not features: leave out --features.")
    reader = load_language_model(options.model, trust_code=options.trust_code)
    return reader.predict_reward(table_tokens(reader.parts, table, reader.card))
