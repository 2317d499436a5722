"""Real rated responses from a file or the hub: features, prompts, and a true reward made of the rating."""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
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
from simbench.log.embedding_card import check_same_texts
from simbench.log.hub import is_hub, read_hub
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
    path: str | Path,
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
) -> Responses:
    """Read rated responses and turn their ratings into a true reward.

    Parameters
    ----------
    path : str or Path
        .jsonl, .jsonl.gz, .csv or .parquet, one response per row; or ``hub:OWNER/DATASET``.
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

    Raises
    ------
    BadInput
        Naming the file, the row or column, and what to do.
    """
    path = Path(path)
    frame = read_frame(path)
    votes_name = votes_column or next((name for name in VOTES if name in frame), None)
    link = ("votes" if votes_name else "logistic") if link == "auto" else link
    prompts = column_of(frame, prompt_column, PROMPTS, "prompt", path)
    rating, reward_of = _rating(frame, path, link, rating_column, votes_name, slope, threshold)
    usable = np.isfinite(rating)
    if not usable.any():
        raise BadInput(f"{path}: no row has a usable rating.")
    groups = pd.factorize(prompts)[0].astype(np.int64)
    rows = _choose(np.flatnonzero(usable), groups, size, seed)
    if features is not None:
        check_same_texts(Path(features), frame, path)
        matrix, how = take_rows(read_features(Path(features), len(frame)), rows), Path(features).name
    else:
        texts = column_of(frame, text_column, TEXTS, "text", path).to_numpy()[rows]
        matrix, empty = text_features(texts, text_dimensions)
        how = f"TF-IDF + SVD, {matrix.shape[1]} dimensions ({empty:,} empty texts)"
    root = np.sqrt(mean_square(matrix))
    if root == 0:
        raise BadInput(f"{path}: every feature of the chosen rows is 0: embed the responses again.")
    if isinstance(matrix, MappedMatrix):
        matrix = matrix.scaled(float(1 / root))
    else:
        matrix = (matrix / root).astype(np.float32)
    groups = np.unique(groups[rows], return_inverse=True)[1].astype(np.int64)
    dropped = int((~usable).sum())
    description = (
        f"{path.name}: {len(rows):,} of {len(frame):,} responses to {groups.max() + 1:,} prompts, "
        f"{dropped:,} dropped for want of a rating; link {link}; features {how}"
    )
    reward = reward_of(rows)
    named = None if trait is None else _trait(frame, trait, text_column, path)[rows]
    return Responses(matrix, reward, rating[rows], groups, description, named)


def read_frame(path: Path) -> pd.DataFrame:
    """Read a jsonl, jsonl.gz, csv or parquet file, or a data set (see :mod:`simbench.log.hub`).

    Raises
    ------
    BadInput
        If it is missing, empty, of another kind, or malformed (with the line).
    """
    if is_hub(path):
        return read_hub(path)
    if not path.exists():
        raise BadInput(f"{path} does not exist: give a file of responses, or hub:OWNER/DATASET.")
    name = path.name
    try:
        if name.endswith((".jsonl", ".jsonl.gz")):
            frame = _read_jsonl(path)
        elif name.endswith(".csv"):
            frame = pd.read_csv(path)
        elif name.endswith(".parquet"):
            frame = pd.read_parquet(path)
        else:
            raise BadInput(f"{path} must end in .jsonl, .jsonl.gz, .csv or .parquet.")
    except BadInput:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:  # ValueError: pandas, pyarrow, no UTF-8
        raise BadInput(f"{path} cannot be read: {str(error).strip().rstrip('.')}.") from error
    if frame.empty:
        raise BadInput(f"{path} holds no responses.")
    return frame


def _read_jsonl(path: Path) -> pd.DataFrame:
    rows = []
    with gzip.open(path, "rt") if path.name.endswith(".gz") else path.open() as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadInput(f"{path}, line {number}: not valid JSON ({error.msg}).") from error
            if not isinstance(row, dict):
                raise BadInput(f"{path}, line {number}: must be a JSON object, one response a line.")
            rows.append(row)
    return pd.DataFrame(rows)


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
        raise BadInput(f"{path}: row {found[0]}, column {found[1]} is not finite: embed that response again.")
    matrix.is_checked = True
    return matrix[:] if matrix.nbytes <= IN_MEMORY else matrix


def column_of(
    frame: pd.DataFrame, given: str | None, usual: tuple[str, ...], what: str, path: Path
) -> pd.Series:
    """Return the column that was named, or else the first usual one that is present.

    Parameters
    ----------
    frame : DataFrame
        The responses.
    given : str or None
        Name that the user gave.
    usual : tuple of str
        Names to look for otherwise.
    what : str
        What the column holds; the message names the flag ``--WHAT-column``.
    path : Path
        Where the responses were read from, for the message.

    Raises
    ------
    BadInput
        If there is none.
    """
    name = given or next((name for name in usual if name in frame), None)
    if name is None or name not in frame:
        wanted = f"column {name!r}" if name else f"column for the {what}"
        columns = ", ".join(map(str, frame.columns))
        raise BadInput(f"{path} has no {wanted}; it has: {columns}. Name one with --{what}-column.")
    return frame[name]


def _trait(frame: pd.DataFrame, trait: str, text_column: str | None, path: Path) -> np.ndarray:
    """Return the named property of every row."""
    if trait == "length":
        return column_of(frame, text_column, TEXTS, "text", path).str.len().fillna(0).to_numpy(dtype=float)
    if trait not in frame:
        raise BadInput(f"{path} has no column {trait!r} to take the trait from: name one, or `length`.")
    values = pd.to_numeric(frame[trait], errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise BadInput(
            f"{path}, row {row}, column {trait!r}: the trait must be a finite number in every row."
        )
    return values


def _rating(
    frame: pd.DataFrame,
    path: Path,
    link: str,
    rating_column: str | None,
    votes_name: str | None,
    slope: float,
    threshold: float | None,
) -> tuple[np.ndarray, RewardOfRows]:
    """Return the rating of every row (NaN where there is none), and a function from rows to their reward."""
    if link == "votes":
        return _from_votes(frame, path, votes_name, threshold)
    if link not in ("logistic", "threshold"):
        raise BadInput(f"link must be auto, votes, logistic or threshold, got {link!r}.")
    column = column_of(frame, rating_column, RATINGS, "rating", path)
    rating = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    known = rating[np.isfinite(rating)]
    if len(known) and np.ptp(known) == 0:
        raise BadInput(f"{path}: every rating is {known[0]:g}, so there is nothing to rank by.")
    if link == "logistic":
        return rating, lambda rows: expit(slope * (rating[rows] - known.mean()) / known.std())
    cut = float(np.median(known)) if threshold is None else threshold
    share = (known > cut).mean() if len(known) else 0.5
    if share in (0, 1):
        which = "no" if share == 0 else "every"
        raise BadInput(f"{path}: {which} rating is above {cut:g}: name another --threshold.")
    return rating, lambda rows: (rating[rows] > cut).astype(float)


def _from_votes(
    frame: pd.DataFrame, path: Path, name: str | None, threshold: float | None
) -> tuple[np.ndarray, RewardOfRows]:
    column = column_of(frame, name, VOTES, "votes", path)
    counts = [json.loads(v) if isinstance(v, str) else v for v in column]
    if len({len(row) for row in counts}) != 1:
        raise BadInput(f"{path}: the rows of column {name!r} hold different numbers of vote levels.")
    votes = np.array([list(row) for row in counts], dtype=float)
    if (votes < 0).any():
        row = int(np.argwhere(votes < 0)[0, 0])
        raise BadInput(f"{path}, row {row}, column {name!r}: a vote count is negative.")
    total = votes.sum(1)
    above, highest = threshold or 0, votes.shape[1] - 1
    if not 0 <= above < highest:
        raise BadInput(
            f"{path}: the votes have levels 0 to {highest}, so none, or all, are above {above:g}: "
            "name another --threshold."
        )
    level = int(above)
    with np.errstate(invalid="ignore"):
        rating = votes @ np.arange(votes.shape[1]) / total
        share = votes[:, level + 1 :].sum(1) / total
    return rating, lambda rows: share[rows]


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
