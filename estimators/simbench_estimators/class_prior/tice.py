"""The label frequency by tree induction (TIcE)."""

import heapq
from collections.abc import Iterator
from itertools import count

import numpy as np

from simbench.log.feedback import FeedbackLog
from simbench.streams import stream

FOLDS, ROUNDS, PIECES, MAX_SPLITS, SMALLEST, SMOOTHING = 5, 2, 4, 500, 10, 5


def tice(log: FeedbackLog, seed: int = 0) -> np.ndarray:
    """Label frequency ``c = P(r=1 | r*=1)``, as the largest lower bound from the subsets of a tree.

    Under SCAR at most a share ``c`` of any subset is clicked, with equality if all of it is good. A subset of
    ``T`` responses with ``L`` clicks gives the lower bound (one-sided Chebyshev, at confidence ``1-δ``)

        c ≥ L/T - sqrt(c(1-c)(1-δ) / (δT)),   δ = max(.025, 1/(1 + .004 T_all)).

    A tree grown on one fifth of the prompts proposes subsets, and the other four fifths judge them. The
    largest bounds are averaged over the folds, first with ``c = 1/2`` under the root, and then with the first
    answer. The tree cuts each feature at the quarters of its range; it splits the subset with the best bound
    first, on the feature whose best piece has the highest ``L/(T+5)``. The constants are the paper's.

    The estimate is too low, and π too large, if no subset is all good. If users act more on some responses
    (SAR), it is the ``c`` of the responses on which they act most: too high.

    Bekker, Davis, *Estimating the class prior in positive and unlabeled data through decision tree
    induction*, AAAI 2018. Their code judges on the tree's own fold; this follows the paper.

    Returns
    -------
    ndarray, shape (R,), in (0, 1]
        Never below the feedback rate.
    """
    fold = _folds(log.groups, seed)
    features = np.asarray(log.features)
    low, high = features.min(axis=0), features.max(axis=0)
    span = np.where(high > low, high - low, 1)
    piece = np.minimum((features - low) / span * PIECES, PIECES - 1).astype(np.int64)
    estimates = np.empty(log.n_replicates)
    for replicate, rate in enumerate(log.feedback_rate):
        rows = log.rows_shown(replicate)
        own, clicked, place = piece[rows], log.feedback[replicate, rows] > 0, fold[rows]
        frequency = 0.5
        for _ in range(ROUNDS):
            bounds = [_largest_bound(own, clicked, place == part, frequency) for part in range(FOLDS)]
            frequency = float(np.mean(bounds))
        estimates[replicate] = np.clip(frequency, rate, 1.0)
    return estimates


def _folds(groups: np.ndarray, seed: int) -> np.ndarray:
    """A fold of every response, by whole prompts."""
    names, place = np.unique(groups, return_inverse=True)
    return stream(seed, "tice").permutation(np.arange(len(names)) % FOLDS)[place]


def lower_bound(labelled: int, total: int, frequency: float, delta: float) -> float:
    """Lower bound of the label frequency from one subset, ``L/T - sqrt(c(1-c)(1-δ) / (δT))``.

    ``labelled`` is the number ``L`` of clicks among ``total``, ``T``, responses; ``frequency`` is ``c``.
    """
    return labelled / total - np.sqrt(frequency * (1 - frequency) * (1 - delta) / (delta * total))


def _largest_bound(piece: np.ndarray, clicked: np.ndarray, grows: np.ndarray, frequency: float) -> float:
    judge = np.flatnonzero(~grows)
    if len(judge) == 0:
        return 0.0
    delta = max(0.025, 1 / (1 + 0.004 * len(judge)))
    best = clicked[judge].mean()
    for subset in _subsets(piece, clicked, np.flatnonzero(grows), judge, frequency, delta):
        if len(subset) >= SMALLEST:
            best = max(best, lower_bound(clicked[subset].sum(), len(subset), frequency, delta))
    return float(best)


def _subsets(
    piece: np.ndarray,
    clicked: np.ndarray,
    grow: np.ndarray,
    judge: np.ndarray,
    frequency: float,
    delta: float,
) -> Iterator[np.ndarray]:
    """Rows of ``judge`` in every node of a tree that is grown, best node first, on the rows of ``grow``."""
    order = count()
    every = np.ones(piece.shape[1], dtype=bool)
    queue = [(0.0, next(order), grow, judge, every)]
    for _ in range(MAX_SPLITS):
        if not queue:
            return
        _, _, grow, judge, available = heapq.heappop(queue)
        feature = _best_feature(piece[grow], clicked[grow], available)
        if feature is None:
            continue
        left = available.copy()
        left[feature] = False
        for value in range(PIECES):
            grown, judged = (rows[piece[rows, feature] == value] for rows in (grow, judge))
            yield judged
            hits = clicked[grown].sum()
            if len(grown) > SMALLEST and 0 < hits < len(grown):
                bound = lower_bound(hits, len(grown), frequency, delta)
                heapq.heappush(queue, (-bound, next(order), grown, judged, left))


def _best_feature(piece: np.ndarray, clicked: np.ndarray, available: np.ndarray) -> int | None:
    """The feature whose best piece has the highest ``L/(T+5)``; None if no feature divides the rows."""
    columns = np.flatnonzero(available)
    cell = piece[:, columns] + PIECES * np.arange(len(columns))
    shape = (len(columns), PIECES)
    total = np.bincount(cell.ravel(), minlength=PIECES * len(columns)).reshape(shape)
    hits = np.bincount(cell[clicked].ravel(), minlength=PIECES * len(columns)).reshape(shape)
    score = (hits / (total + SMOOTHING)).max(axis=1)
    score[(total > 0).sum(axis=1) < 2] = 0
    if len(columns) == 0 or score.max() == 0:
        return None
    return int(columns[score.argmax()])
