"""Options that describe a world, for the commands that simulate one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from simbench.cli.options import EncodingOption, SeparatorOption
from simbench.errors import BadInput

if TYPE_CHECKING:
    from simbench.study.file import Overrides


@dataclass(frozen=True, kw_only=True)
class WorldOptions:
    """Options for the settings of a world; None keeps that of the preset or the study file."""

    PANEL: ClassVar[str] = "World"

    behaviour: Annotated[
        str | None,
        typer.Option(
            help="How users act: a name of `simbench list behaviours`, package.module:Class or "
            "path/to/file.py:Class (default: the world's own)."
        ),
    ] = None
    reward: Annotated[
        str | None,
        typer.Option(help="Form of the true reward: linear or mlp (default linear)."),
    ] = None
    base_rate: Annotated[
        float | None,
        typer.Option(help="Share of good responses (default 0.5 in most worlds)."),
    ] = None
    action_rate: Annotated[
        float | None,
        typer.Option(help="Mean probability that users act on a good response (default 0.3 in most worlds)."),
    ] = None
    misclick: Annotated[
        float | None,
        typer.Option(
            help="Probability that an active user clicks a bad response (default 0 in most worlds)."
        ),
    ] = None
    confounding: Annotated[
        float | None,
        typer.Option(
            help="Correlation between what draws users to act and the reward's logit (default 0 in "
            "most worlds)."
        ),
    ] = None
    n_features: Annotated[
        int | None,
        typer.Option(
            "--features-dim",
            help="Number of features of a synthetic response (default 32 in most worlds).",
        ),
    ] = None
    signals: Annotated[
        int | None,
        typer.Option(
            help="How many positive signals are logged, in the order click, copy, upvote (default 1 in "
            "most worlds)."
        ),
    ] = None
    regenerate: Annotated[
        bool | None,
        typer.Option(
            "--regenerate",
            help="Also log a signal of dissatisfaction (default: not, in most worlds).",
        ),
    ] = None
    signal_dependence: Annotated[
        float | None,
        typer.Option(
            help="Copula correlation of a user's actions on one response, from 0 to below 1 (default "
            "0 in most worlds)."
        ),
    ] = None
    responses_per_prompt: Annotated[
        int | None,
        typer.Option(help="Responses to each prompt of a synthetic world (default 5 in most worlds)."),
    ] = None
    trait: Annotated[
        str | None,
        typer.Option(
            help="Users act on this property of a response: feature:K of synthetic ones; length or a numeric "
            "column of real ones (default: none)."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RealOptions:
    """Options for a file of rated responses, in place of synthetic ones."""

    PANEL: ClassVar[str] = "Real responses"

    responses: Annotated[
        str | None,
        typer.Option(
            help="Rated responses: a .parquet, .csv, .tsv, .jsonl (these also with .gz) or .feather file, a "
            "folder of parquet files, a URL, or hub:OWNER/DATASET (default: synthetic responses)."
        ),
    ] = None
    features: Annotated[
        Path | None,
        typer.Option(help="Their embeddings, .safetensors or .npy (default: TF-IDF and SVD of the text)."),
    ] = None
    prompt_column: Annotated[
        str | None,
        typer.Option(
            help="Column with the prompt or its identifier (default: the first of group, prompt_id, prompt, "
            "question and instruction that the file has)."
        ),
    ] = None
    text_column: Annotated[
        str | None,
        typer.Option(
            help="Column with the text of the response (default: the first of response, text, completion "
            "and answer that the file has)."
        ),
    ] = None
    rating_column: Annotated[
        str | None,
        typer.Option(
            help="Column with the rating (default: the first of rating, score and helpfulness that the file "
            "has)."
        ),
    ] = None
    votes_column: Annotated[
        str | None,
        typer.Option(
            help="Column with the number of votes at each level (default: votes or uniform, if the file has "
            "one)."
        ),
    ] = None
    link: Annotated[
        str | None,
        typer.Option(
            help="How a rating becomes a reward: votes, logistic, threshold, or auto (default auto: votes "
            "where there are any, else logistic)."
        ),
    ] = None
    slope: Annotated[
        float | None,
        typer.Option(help="Slope of the logistic link, per standard deviation of the rating (default 1.5)."),
    ] = None
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Level above which a rating is good, for the threshold and votes links (default: the median "
            "rating, the lowest level of votes)."
        ),
    ] = None

    encoding: EncodingOption = None
    separator: SeparatorOption = None

    def described(self) -> dict[str, Any] | None:
        """The file of responses and how it is to be read; None if responses are synthetic.

        Raises
        ------
        BadInput
            If options describe a file of responses and none is given.
        """
        given = {name: value for name, value in vars(self).items() if value is not None}
        if not given:
            return None
        if self.responses is None:
            used = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise BadInput(f"{used} describes a file of responses: give it with --responses FILE.")
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        return {"path": plain.pop("responses"), **plain}


def overrides(world: WorldOptions, real: RealOptions, **study: Any) -> "Overrides":
    """The overrides of a study that the command line sets: on worlds, responses and the study itself."""
    from simbench.study.file import Overrides

    return Overrides(**vars(world), real=real.described(), **study)
