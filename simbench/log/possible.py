"""What no log of one's own can be: numbers that its feedback contradicts, and signals that say nothing."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog


def require_possible(log: FeedbackLog, signals: Sequence[str] = ()) -> None:
    """Refuse a log that contradicts itself.

    Simulated logs are not held to it: they are told distorted numbers on purpose, and short ones may hold
    two equal signals by chance.

    Parameters
    ----------
    log : FeedbackLog
        Of one replicate.
    signals : sequence of str, optional
        Names of the signals, the feedback first; by default their numbers.

    Raises
    ------
    BadInput
        If the class prior or the action rate is below what the feedback rate allows, or a signal is constant,
        or the same as another one.
    """
    _require_rates(log)
    if log.signals is not None:
        names = list(signals) or [f"number {k}" for k in range(log.signals.shape[1])]
        _require_signals(log.signals[0], names)


def _require_rates(log: FeedbackLog) -> None:
    rate = float(log.feedback_rate[0])
    slip = log.misclick or 0.0
    if log.class_prior is not None:
        prior = float(np.asarray(log.class_prior).ravel()[0])
        if prior + (1 - prior) * slip < rate:
            by_mistake = f" and misclicks at a rate of {slip:g}" if slip else ""
            raise BadInput(
                f"the class prior {prior:g} is impossible: {rate:.4g} of the responses were clicked, and "
                f"only good ones are{by_mistake}; it is the share of good responses, not of clicks."
            )
    if log.action_rate is not None and log.action_rate < rate:
        raise BadInput(
            f"the action rate {log.action_rate:g} is impossible: {rate:.4g} of the responses were clicked, "
            "and nobody clicks without acting; it is the mean propensity, not the share of clicks."
        )


def _require_signals(signals: np.ndarray, names: list[str]) -> None:
    """Refuse signals, (K, n), of which one is constant or two are one."""
    for signal, name in zip(signals, names, strict=True):
        if signal.min() == signal.max():
            raise BadInput(f"the signal {name} is {signal[0]:g} in every row: leave it out.")
    for (first, a), (second, b) in combinations(zip(signals, names, strict=True), 2):
        if a == b:
            raise BadInput(f"the signal {a} is named twice: each signal counts once.")
        if np.array_equal(first, second):
            raise BadInput(f"the signals {a} and {b} are the same in every row: leave one out.")
        if np.array_equal(first, 1 - second):
            raise BadInput(f"the signal {b} is the opposite of {a} in every row: leave it out.")
