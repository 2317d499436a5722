"""Text features that need no download."""

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from simbench.errors import BadInput


def text_features(texts: np.ndarray, dimensions: int) -> tuple[np.ndarray, int]:
    """Compute TF-IDF features of words and word pairs, reduced by truncated SVD.

    Parameters
    ----------
    texts : ndarray, shape (n,), of str
        The texts; a value that is not a string counts as empty.
    dimensions : int
        Largest number of features.

    Returns
    -------
    features : ndarray, shape (n, <= dimensions), float32
    empty : int
        Number of texts without a single letter or digit, values that are not strings included.

    Raises
    ------
    BadInput
        If the texts share no words.
    """
    clean = [text if isinstance(text, str) else "" for text in texts]
    empty = sum(not any(letter.isalnum() for letter in text) for text in clean)
    vectoriser = TfidfVectorizer(min_df=2, sublinear_tf=True, ngram_range=(1, 2), max_features=20_000)
    try:
        weights = vectoriser.fit_transform(clean)
    except ValueError as error:
        raise BadInput(f"no features can be made from the texts ({error}): give --features.") from error
    dimensions = min(dimensions, weights.shape[1] - 1)
    if dimensions < 1:
        raise BadInput("the texts share too few words to make features from: give --features.")
    return TruncatedSVD(dimensions, random_state=0).fit_transform(weights).astype(np.float32), empty
