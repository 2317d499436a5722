"""Pages: what one user was shown together, in order."""

import numpy as np


def page_matrix(page: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Row numbers of the responses of every page, in the order of their ranks.

    Parameters
    ----------
    page : ndarray of int64, shape (n,)
        Number of the page of each response.
    rank : ndarray, shape (n,)
        Its place there, or anything that orders the responses of a page.

    Returns
    -------
    ndarray of int64, shape (P, k)
        A row for each page by its number; -1 at the end where a page is shorter than the longest.
    """
    order = np.lexsort((rank, page))
    _, start, count = np.unique(page[order], return_index=True, return_counts=True)
    matrix = np.full((len(start), int(count.max())), -1, dtype=np.int64)
    place = np.arange(len(order)) - np.repeat(start, count)
    matrix[np.repeat(np.arange(len(start)), count), place] = order
    return matrix


def places(pages: np.ndarray) -> np.ndarray:
    """Place of every response on its page from 0, without gaps, shape (n,); of a matrix of pages, (P, k)."""
    there = pages >= 0
    found = np.empty(there.sum(), dtype=np.int64)
    found[pages[there]] = np.broadcast_to(np.arange(pages.shape[1]), pages.shape)[there]
    return found
