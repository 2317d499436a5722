"""What a training reads: which rows are held out, and single rows, pairs or whole pages in random order."""

import numpy as np

from simbench.log.feedback import FeedbackLog
from simbench.log.pages import page_matrix
from simbench.streams import seed_of
from simbench.training.batches import (
    Pool,
    batches_of_pages,
    batches_of_pairs,
    batches_of_rows,
    split_by_prompt,
)
from simbench.training.contract import Trainable
from simbench.training.holdout import Holdout
from simbench.training.pairs import draw_pairs
from simbench.training.samples import required


class Order:
    """The held-out rows of a training, and the batches of its epochs.

    Parameters
    ----------
    estimator : Estimator
        Whether it reads pairs or pages, and its batch size, held-out share and seed.
    log : FeedbackLog
    holdout : Holdout
    axes : tuple of int
        Further seeds of the split and of the order; () if all replicates share them.
    pool : int
        Rows that are in memory at the same time.

    Attributes
    ----------
    train_rows : ndarray of int64
        Rows that are trained on.
    held_out : ndarray of int64
        Rows that judge, as a batch lists them: for pairs the first members and then their partners, for pages
        place by place, where a page that is shorter than the longest repeats its first row.
    """

    def __init__(
        self, estimator: Trainable, log: FeedbackLog, holdout: Holdout, axes: tuple[int, ...], pool: int
    ):
        self.estimator, self.groups, self.pool = estimator, log.groups, pool
        units = holdout.units(log.groups)
        if estimator.reads_pages and holdout.by == "sample":
            units = required(log.page, "pages")  # a page is then what is sampled
        seed = seed_of(estimator.seed, "split", *axes)
        self.train_rows, self.held_out = split_by_prompt(units, estimator.validation_share, seed)
        if estimator.reads_pairs:
            pairing = np.random.default_rng(seed_of(estimator.seed, "pairs", *axes))
            self.held_out = draw_pairs(self.held_out, self.groups, pairing).ravel()
        self.pages: np.ndarray | None = None
        if estimator.reads_pages:
            whole = page_matrix(required(log.page, "pages"), required(log.rank, "pages"))
            pages = np.where(whole < 0, whole[:, :1], whole)
            self.pages = pages[np.isin(pages[:, 0], self.train_rows)]
            self.held_out = pages[np.isin(pages[:, 0], self.held_out)].ravel()

    def epoch(self, order: np.random.Generator) -> list[Pool]:
        """The pools of one epoch, in an order that is drawn."""
        size = self.estimator.batch_size
        if self.pages is not None:
            return batches_of_pages(self.pages, size, self.pool, order)
        if self.estimator.reads_pairs:
            return batches_of_pairs(self.train_rows, self.groups, size, self.pool, order)
        return batches_of_rows(self.train_rows, size, self.pool, order)
