"""Text features that need no download."""

import re
from itertools import pairwise

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from simbench.errors import BadInput

WORD = re.compile(r"(?u)\b\w\w+\b")
# scripts without spaces between words: Thai to Tibetan, Burmese, Khmer, kana, Han and their extensions
UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]+"
)
FEW = 0.01  # share of texts in such scripts up to which words alone are read


def text_features(texts: np.ndarray, dimensions: int) -> tuple[np.ndarray, str]:
    """Compute TF-IDF features of words and word pairs, reduced by truncated SVD.

    Where more than a hundredth of the texts are in a script without spaces between words (Chinese, Japanese,
    Thai), single characters and pairs of them stand in place of the words of such scripts.

    Parameters
    ----------
    texts : ndarray, shape (n,), of str
        The texts; a value that is not a string counts as empty.
    dimensions : int
        Largest number of features.

    Returns
    -------
    features : ndarray, shape (n, <= dimensions), float32
    description : str
        What was done, and the number of texts without a single letter or digit, values that are not strings
        included.

    Raises
    ------
    BadInput
        If the texts share no words.
    """
    clean = [text if isinstance(text, str) else "" for text in texts]
    empty = sum(not any(letter.isalnum() for letter in text) for text in clean)
    unspaced = sum(map(_is_unspaced, clean))
    by_character = unspaced > FEW * len(clean)
    terms = {"analyzer": words_and_characters} if by_character else {"ngram_range": (1, 2)}
    vectoriser = TfidfVectorizer(min_df=2, sublinear_tf=True, max_features=20_000, **terms)
    try:
        weights = vectoriser.fit_transform(clean)
    except ValueError as error:
        raise BadInput(f"no features can be made from the texts ({error}): give --features.") from error
    dimensions = min(dimensions, weights.shape[1] - 1)
    if dimensions < 1:
        raise BadInput("the texts share too few words to make features from: give --features.")
    with np.errstate(divide="ignore", invalid="ignore"):  # texts may be all alike
        matrix = TruncatedSVD(dimensions, random_state=0).fit_transform(weights).astype(np.float32)
    said = f"TF-IDF + SVD, {matrix.shape[1]} dimensions ({empty:,} empty texts"
    if by_character:
        said += f"; {unspaced:,} texts without spaces between words, read by characters and pairs of them"
    return matrix, f"{said})"


def words_and_characters(text: str) -> list[str]:
    """Split a text into terms: words and pairs of them; in scripts without spaces, characters and pairs.

    >>> words_and_characters("Reward 奖励 model")
    ['奖', '励', '奖励', 'reward', 'model', 'reward model']
    """
    terms: list[str] = []
    lower = text.lower()
    for run in UNSPACED.findall(lower):
        terms += [*run, *(run[place : place + 2] for place in range(len(run) - 1))]
    words = WORD.findall(UNSPACED.sub(" ", lower))
    return [*terms, *words, *map(" ".join, pairwise(words))]


def _is_unspaced(text: str) -> bool:
    """Whether most letters of a text are of scripts without spaces."""
    unspaced = sum(map(len, UNSPACED.findall(text)))
    return unspaced > 0 and 2 * unspaced > sum(letter.isalnum() for letter in text)
