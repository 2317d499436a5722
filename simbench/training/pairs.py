"""Pairs of responses to one prompt, for pairwise losses."""

import numpy as np

from simbench.errors import BadInput


def draw_pairs(rows: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give every row a random partner among the other rows of its prompt.

    Parameters
    ----------
    rows : ndarray of int64, shape (m,)
        Rows of the log to pair.
    groups : ndarray of int64, shape (n,)
        Prompt of every row of the log.
    rng : numpy Generator

    Returns
    -------
    ndarray of int64, shape (2, k)
        Each row and its partner; rows that are alone in their prompt are left out.

    Raises
    ------
    BadInput
        If every row is alone in its prompt.
    """
    ordered = rows[np.argsort(groups[rows], kind="stable")]
    _, start, count = np.unique(groups[ordered], return_index=True, return_counts=True)
    start, count = np.repeat(start, count), np.repeat(count, count)
    place = np.arange(len(ordered)) - start
    has_partner = count > 1
    if not has_partner.any():
        raise BadInput(
            "a pairwise loss needs prompts with at least two responses, and here every response has a prompt "
            "of its own: give the prompt of each response as `groups`."
        )
    # a step of 1 to count - 1 places around the prompt never comes back to the row itself
    step = 1 + np.floor(rng.random(len(ordered)) * np.maximum(count - 1, 1)).astype(np.int64)
    partner = ordered[start + (place + step) % count]
    return np.stack([ordered[has_partner], partner[has_partner]])
