"""How active a user is elsewhere in the log: context that user ids hold."""

import numpy as np

from simbench.errors import BadInput


def activity_elsewhere(feedback: np.ndarray, user: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return each user's click rate on the other prompts, shrunk as if by one response at the mean rate.

    A response's own prompt is left out, so that its click does not enter its own context. It moves the
    propensity where users differ in activity, and the reward as well where they differ in leniency.

    Parameters
    ----------
    feedback : ndarray, shape (n,), in {0, 1}
    user, groups : ndarray, shape (n,)
        User and prompt of every response.

    Returns
    -------
    ndarray, shape (n,), float64 in (0, 1)

    Raises
    ------
    BadInput
        If no user saw two prompts.
    """
    _, user = np.unique(user, return_inverse=True)
    _, group = np.unique(groups, return_inverse=True)
    _, pair = np.unique(np.stack([user, group]), axis=1, return_inverse=True)
    clicks = np.bincount(user, feedback)[user] - np.bincount(pair, feedback)[pair]
    seen = np.bincount(user)[user] - np.bincount(pair)[pair]
    if not seen.any():
        raise BadInput(
            "no user saw the responses of two prompts: what users do elsewhere cannot be context. Name the "
            "column of prompts (groups), or leave the users out."
        )
    return (clicks + feedback.mean()) / (seen + 1)
