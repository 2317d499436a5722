"""Real rated responses from a file or the hub: features, prompts, and a true reward made of the rating."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from simbench.errors import BadInput
from simbench.files.matrix import (
    IN_MEMORY,
    MappedMatrix,
    Matrix,
    first_not_finite,
    mean_square,
    take_rows,
)
from simbench.files.tables.table import Table
from simbench.log.columns import as_numbers, identifiers, numbers, shown
from simbench.log.embedding_card import check_same_texts
from simbench.log.messages import responses_of
from simbench.log.source import open_table
from simbench.log.text import text_features

PROMPTS = ("group", "prompt_id", "prompt", "question", "instruction")
TEXTS = ("response", "text", "completion", "answer")
RATINGS = ("rating", "score", "helpfulness")
VOTES = ("votes", "uniform")

RewardOfRows = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Responses:
    """Rated responses with features and a true reward.

    Parameters
    ----------
    features : ndarray or MappedMatrix, shape (n, d), float32
        Features, scaled by one factor so that the mean squared entry is 1.
    reward : ndarray, shape (n,), float64 in [0, 1]
        The true reward ``γ`` that the link makes of the rating.
    rating : ndarray, shape (n,), float64
        The rating as read, or the mean vote level where there are votes.
    groups : ndarray, shape (n,), int64
        Prompt ids from 0.
    description : str
        One line: rows, prompts, link, features, and what was dropped and why.
    trait : ndarray, shape (n,), float64, optional
        The property that was asked for: the number of characters of the text, or a numeric column.
    """

    features: Matrix
    reward: np.ndarray
    rating: np.ndarray
    groups: np.ndarray
    description: str
    trait: np.ndarray | None = None


def load_responses(
    source: str | Path | Any,
    *,
    features: str | Path | None = None,
    prompt_column: str | None = None,
    text_column: str | None = None,
    rating_column: str | None = None,
    votes_column: str | None = None,
    link: str = "auto",
    slope: float = 1.5,
    threshold: float | None = None,
    text_dimensions: int = 64,
    trait: str | None = None,
    size: int | None = None,
    seed: int = 0,
    encoding: str | None = None,
    separator: str | None = None,
) -> Responses:
    """Read rated responses and turn their ratings into a true reward.

    Parameters
    ----------
    source : str, Path, DataFrame, or a table of Arrow or polars
        One response per row, as :func:`simbench.log.source.open_table` opens it: a file, a folder, a URL,
        ``hub:OWNER/DATASET``. Prompts and responses may be chat messages.
    features : str or Path, optional
        .safetensors (one matrix, or key ``embeddings``) or .npy, one row per response in file order;
        by default TF-IDF and truncated SVD of the text.
    prompt_column, text_column, rating_column, votes_column : str, optional
        Names of columns; by default the first usual name that is present. Votes are counts by level,
        lowest first.
    link : {"auto", "votes", "logistic", "threshold"}
        ``votes``: share of votes above level ``threshold`` (default 0, the lowest). ``logistic``:
        ``σ(slope · standardised rating)``. ``threshold``: rating above ``threshold`` (default its
        median). ``auto``: votes where there is such a column, else logistic.
    slope : float
        Slope of the logistic link.
    threshold : float, optional
        Where the links ``votes`` and ``threshold`` cut.
    text_dimensions : int
        Number of text features, where no ``features`` are given.
    trait : str, optional
        ``length``, or a numeric column.
    size : int, optional
        Keep about this many rows: whole prompts, or single rows if prompts have over 100 on average.
    seed : int
        Seed of that choice.
    encoding, separator : str, optional
        Of a text file; by default they are recognised.

    Raises
    ------
    BadInput
        Naming the file, the row or column, and what to do.
    """
    table = open_table(source, encoding=encoding, separator=separator)
    votes_name = votes_column or next((name for name in VOTES if name in table), None)
    link = ("votes" if votes_name else "logistic") if link == "auto" else link
    prompts = usual_column(table, prompt_column, PROMPTS, "prompt")
    rating, reward_of = _rating(table, link, rating_column, votes_name, slope, threshold)
    usable = np.isfinite(rating)
    if not usable.any():
        raise BadInput(f"{table.name}: no row has a usable rating.")
    groups = identifiers(table, prompts)
    rows = _choose(np.flatnonzero(usable), groups, size, seed)
    if features is not None:
        check_same_texts(Path(features), table)
        matrix, how = take_rows(read_features(Path(features), len(table)), rows), Path(features).name
    else:
        matrix, how = text_features(_texts(table, text_column)[rows], text_dimensions)
    root = np.sqrt(mean_square(matrix))
    if root == 0:
        raise BadInput(f"{table.name}: every feature of the chosen rows is 0: embed the responses again.")
    if isinstance(matrix, MappedMatrix):
        matrix = matrix.scaled(float(1 / root))
    else:
        matrix = (matrix / root).astype(np.float32)
    groups = np.unique(groups[rows], return_inverse=True)[1].astype(np.int64)
    dropped = int((~usable).sum())
    description = (
        f"{table.short_name}: {len(rows):,} of {len(table):,} responses to {groups.max() + 1:,} prompts, "
        f"{dropped:,} dropped for want of a rating; link {link}; features {how}"
    )
    reward = reward_of(rows)
    named = None if trait is None else _trait(table, trait, text_column)[rows]
    return Responses(matrix, reward, rating[rows], groups, description, named)


def read_features(path: Path, n_rows: int) -> Matrix:
    """Read a feature matrix of shape (n_rows, d), float32, finite.

    A matrix that is too large for memory stays on disk.

    Raises
    ------
    BadInput
        If it is missing, of another kind or shape, or has a value that is not finite.
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist: give the features of the responses.")
    if path.suffix not in (".npy", ".safetensors"):
        raise BadInput(f"{path} must end in .safetensors or .npy.")
    matrix = MappedMatrix.open(path)
    if len(matrix) != n_rows:
        raise BadInput(f"{path} has shape {matrix.shape}, but there are {n_rows} responses: one row each.")
    found = first_not_finite(matrix)
    if found is not None:
        raise BadInput(f"{path}, row {found[0]}, column {found[1]}: not finite; embed that response again.")
    matrix.is_checked = True
    return matrix[:] if matrix.nbytes <= IN_MEMORY else matrix


def usual_column(table: Table, given: str | None, usual: tuple[str, ...], what: str) -> str:
    """Return the name of the column that was named, or else of the first usual one that is present.

    Parameters
    ----------
    table : Table
        The responses.
    given : str or None
        Name that the user gave.
    usual : tuple of str
        Names to look for otherwise.
    what : str
        What the column holds; the message names the flag ``--WHAT-column``.

    Raises
    ------
    BadInput
        If there is none.
    """
    name = given or next((name for name in usual if name in table), None)
    if name is None or name not in table:
        wanted = f"column {name!r}" if name else f"column for the {what}"
        raise BadInput(
            f"{table.name} has no {wanted}; it has: {table.listed}. Name one with --{what}-column."
        )
    return name


def _texts(table: Table, text_column: str | None) -> np.ndarray:
    name = usual_column(table, text_column, TEXTS, "text")
    return responses_of(table, name, after_prompt=True).to_numpy(dtype=object)


def _trait(table: Table, trait: str, text_column: str | None) -> np.ndarray:
    """Return the named property of every row."""
    if trait == "length":
        texts = _texts(table, text_column)
        return np.array([len(text) if isinstance(text, str) else 0 for text in texts], dtype=float)
    if trait not in table:
        raise BadInput(f"{table.name} has no column {trait!r} to take the trait from: name one, or `length`.")
    return numbers(table, trait)


def _rating(
    table: Table,
    link: str,
    rating_column: str | None,
    votes_name: str | None,
    slope: float,
    threshold: float | None,
) -> tuple[np.ndarray, RewardOfRows]:
    """Return the rating of every row (NaN where there is none), and a function from rows to their reward."""
    if link == "votes":
        return _from_votes(table, votes_name, threshold)
    if link not in ("logistic", "threshold"):
        raise BadInput(f"link must be auto, votes, logistic or threshold, got {link!r}.")
    rating = as_numbers(table.column(usual_column(table, rating_column, RATINGS, "rating")))
    known = rating[np.isfinite(rating)]
    if len(known) and np.ptp(known) == 0:
        raise BadInput(f"{table.name}: every rating is {known[0]:g}, so there is nothing to rank by.")
    if link == "logistic":
        return rating, lambda rows: expit(slope * (rating[rows] - known.mean()) / known.std())
    cut = float(np.median(known)) if threshold is None else threshold
    share = (known > cut).mean() if len(known) else 0.5
    if share in (0, 1):
        which = "no" if share == 0 else "every"
        raise BadInput(f"{table.name}: {which} rating is above {cut:g}: name another --threshold.")
    return rating, lambda rows: (rating[rows] > cut).astype(float)


def _from_votes(table: Table, name: str | None, threshold: float | None) -> tuple[np.ndarray, RewardOfRows]:
    votes = _votes(table, usual_column(table, name, VOTES, "votes"))
    total = votes.sum(1)
    above, highest = threshold or 0, votes.shape[1] - 1
    if not 0 <= above < highest:
        raise BadInput(
            f"{table.name}: the votes have levels 0 to {highest}, so none, or all, are above {above:g}: "
            "name another --threshold."
        )
    level = int(above)
    with np.errstate(invalid="ignore"):
        rating = votes @ np.arange(votes.shape[1]) / total
        share = votes[:, level + 1 :].sum(1) / total
    return rating, lambda rows: share[rows]


def _votes(table: Table, name: str) -> np.ndarray:
    """Counts of votes, shape (n, levels), float64."""
    counts = []
    for row, cell in enumerate(table.column(name)):
        try:
            levels = json.loads(cell) if isinstance(cell, str) else cell
            votes = np.array([float(count) for count in levels if not isinstance(count, str)])
            is_counts = len(votes) == len(levels) > 0 and np.isfinite(votes).all()
        except (TypeError, ValueError, OverflowError, RecursionError):
            is_counts, votes = False, np.empty(0)
        if not is_counts:
            raise BadInput(
                f"{table.place(row, name)}: must be the counts of votes by level, such as [3, 1, 0], got "
                f"{shown(cell)}."
            )
        if (votes < 0).any():
            raise BadInput(f"{table.place(row, name)}: a vote count is negative.")
        if counts and len(votes) != len(counts[0]):
            raise BadInput(
                f"{table.place(row, name)}: has {len(votes)} vote levels, the first row {len(counts[0])}."
            )
        counts.append(votes)
    return np.stack(counts)


def _choose(usable: np.ndarray, groups: np.ndarray, size: int | None, seed: int) -> np.ndarray:
    """Choose about ``size`` of the usable rows, in file order."""
    if size is None or size >= len(usable):
        return usable
    rng = np.random.default_rng([seed, 7])
    names, counts = np.unique(groups[usable], return_counts=True)
    if counts.mean() > 100:
        return np.sort(rng.permutation(usable)[:size])
    shuffled = rng.permutation(len(names))
    enough = np.searchsorted(np.cumsum(counts[shuffled]), size) + 1
    return usable[np.isin(groups[usable], names[shuffled[:enough]])]
