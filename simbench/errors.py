"""Errors and warnings that are addressed to the user."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(ValueError):
    """Input that simbench cannot use; the message says in one sentence what is wrong, where, and what to do.

    The command line prints the sentence and exits with code 2; nothing is written.
    """


class NotTrained(BadInput):
    """A fit whose loss was never finite, so that nothing was learned."""


class NotIdentified(UserWarning):
    """Warning that the log does not determine the reward: several rewards reach the same likelihood."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'NEAREST'?"`` if a known name is close to ``name``, else an empty string."""
    near = get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
