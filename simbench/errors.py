"""The one error that a user is meant to read."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(ValueError):
    """Input that cannot be used: one sentence saying what, where and what to do.

    The command line prints the sentence and exits with code 2; nothing is written.
    """


class NotIdentified(UserWarning):
    """The log does not decide between rewards: several reach the same likelihood."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'NEAREST'?`` where a known name is near, else nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
