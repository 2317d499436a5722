"""The one error that a user is meant to read."""


class BadInput(ValueError):
    """Input that cannot be used: one sentence saying what, where and what to do.

    The command line prints the sentence and exits with code 2; nothing is written.
    """


class NotIdentified(UserWarning):
    """The log does not decide between rewards: several reach the same likelihood."""
