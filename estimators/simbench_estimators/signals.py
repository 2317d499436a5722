"""Several signals of one satisfaction: the likelihood of all of them, and capture-recapture in closed form.

A positive signal (click, copy, upvote) fires only if ``r* = 1`` and the user takes that action, a negative
one (regenerate) only if ``r* = 0``. Given ``r*`` and the response the actions are independent. Two positive
signals identify ``γ`` at every response, with no propensity, label or exclusion: ``γ = P(s₁)P(s₂)/P(s₁s₂)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.files.matrix import Matrix
from simbench.log.dependence import positive_signals
from simbench.log.feedback import FeedbackLog
from simbench.training.contract import FittedReplicates, Network
from simbench.training.holdout import Holdout
from simbench.training.losses import cross_entropy
from simbench.training.samples import Batch, Outputs, required
from simbench.training.trainer import Execution
from simbench_estimators.implicitrm import ImplicitRM
from simbench_estimators.naive import Naive


def group_log_probabilities(
    reward_logit: Tensor, propensity_logits: Tensor, signals: Tensor, negative: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor]:
    """Log probabilities of the signals with either preference, ``log P(r*=1, s)`` and ``log P(r*=0, s)``.

    The first is ``log γ̂ + Σ_{k positive} [s_k log α̂_k + (1-s_k) log(1-α̂_k)]``, the second ``log(1-γ̂)`` plus
    the same sum over the negative signals. Each is valid only if no signal of the other kind fired.

    Parameters
    ----------
    reward_logit : Tensor, shape (..., b)
        Logit of ``γ̂``.
    propensity_logits, signals : Tensor, shape (..., K, b)
        Logits of ``α̂_k``, and signals ``s_k`` in {0, 1}.
    negative : tuple of int
        Which of the K signals are negative.

    Returns
    -------
    good, bad : Tensor, shape (..., b)
    """
    each = -cross_entropy(propensity_logits, signals)
    is_negative = _is_negative(signals, negative)
    good = logsigmoid(reward_logit) + (each * ~is_negative).sum(-2)
    return good, logsigmoid(-reward_logit) + (each * is_negative).sum(-2)


def preference_posterior(good: Tensor, bad: Tensor, signals: Tensor, negative: tuple[int, ...]) -> Tensor:
    """Posterior ``P(r*=1 | s)``: 1 after a positive signal, 0 after a negative one, else ``σ(good - bad)``.

    ``good`` and ``bad`` are the log probabilities of :func:`group_log_probabilities`. Without negative
    signals the last is ``γΠ(1-α_k) / (1 - γ + γΠ(1-α_k))``. Shape (..., b).
    """
    praised, refused = fired(signals, negative)
    known = praised.to(good.dtype)
    return torch.where(praised | refused, known, torch.sigmoid(good - bad))


def signals_nll(good: Tensor, bad: Tensor, signals: Tensor, negative: tuple[int, ...]) -> Tensor:
    """Negative log of the observed likelihood ``P(s) = P(r*=1, s) + P(r*=0, s)``, shape (..., b)."""
    praised, refused = fired(signals, negative)
    either = torch.logaddexp(good, bad)
    return -torch.where(praised, good, torch.where(refused, bad, either))


def fired(signals: Tensor, negative: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Whether any positive signal fired, and whether any negative one did; each bool, shape (..., b)."""
    is_negative = _is_negative(signals, negative)
    return ((signals == 1) & ~is_negative).any(-2), ((signals == 1) & is_negative).any(-2)


def _is_negative(signals: Tensor, negative: tuple[int, ...]) -> Tensor:
    mask = torch.zeros(signals.shape[-2], 1, dtype=torch.bool, device=signals.device)
    for number in negative:  # not by a list, which a GPU would wait for, and a recorded step cannot hold
        mask[number] = True
    return mask


class ImplicitRMSignals(ImplicitRM):
    """ImplicitRM with K signals: one reward network, and one propensity network per signal.

    The four groups become ``2 · 2^K``, (r*, a_1 ... a_K). The preference posterior ``φ`` is that of
    :func:`preference_posterior`. The posterior of a positive action is ``φ s_k + (1-φ) α̂_k`` (seen if the
    user is satisfied, else at its prior), that of a negative one ``(1-φ) s_k + φ α̂_k``. With one positive
    signal it is exactly ImplicitRM.

    Parameters
    ----------
    e_step, hidden, lr, batch_size, epochs, patience, weight_decay, validation_share, seed, device
        See :class:`simbench_estimators.implicitrm.ImplicitRM`.
    """

    name = "implicitrm-signals"
    family = "several signals"
    needs = frozenset({"signals"})
    optional = frozenset()
    assumption = "signals independent given the response and r*; no misclicks"
    source = "extension of ImplicitRM, arXiv 2603.23184; capture-recapture: Chao, Biometrics 1987"
    networks = (Network(), Network(("signal:0",), "context"))

    def networks_for(self, log: FeedbackLog) -> tuple[Network, ...]:
        count = 1 if log.signals is None else log.signals.shape[1]
        return (Network(), *(Network((f"signal:{k}",), "context") for k in range(count)))

    def prepare(self, log: FeedbackLog) -> FeedbackLog:
        praised, refused = fired(torch.tensor(required(log.signals, "signals")), log.negative_signals)
        if (praised & refused).any():
            raise BadInput(
                f"{int((praised & refused).sum())} responses carry a positive and a negative signal: one of "
                "them was given by mistake, and this likelihood knows no mistakes."
            )
        return log

    def posteriors(self, out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        """Preference posterior, (..., b), and action posteriors, (..., K, b): the epoch's or the current."""
        if "preference" in batch.state:
            return batch.state["preference"], batch.state["action"]
        good, bad = self._groups(out, batch)
        preference = preference_posterior(good, bad, batch.told("signals"), batch.negative_signals)
        is_negative = _is_negative(batch.told("signals"), batch.negative_signals)
        sees = preference.unsqueeze(-2)
        sees = torch.where(is_negative, 1 - sees, sees)
        return preference, sees * batch.told("signals") + (1 - sees) * torch.sigmoid(out.head("signals"))

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor | float:
        _, action = self.posteriors(out, batch)
        return cross_entropy(out.head("signals"), action.detach()).sum(-2)

    def selection_loss(self, out: Outputs, batch: Batch) -> Tensor:
        nll = signals_nll(*self._groups(out, batch), batch.told("signals"), batch.negative_signals)
        return batch.mean(nll)

    def _groups(self, out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        return group_log_probabilities(
            out.reward, out.head("signals"), batch.told("signals"), batch.negative_signals
        )


def capture_recapture(first: np.ndarray, second: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Log of the reward ``γ = P(s₁)P(s₂)/P(s₁s₂)``, from logs of the probabilities (Lincoln and Petersen)."""
    return first + second - both


@dataclass
class FittedCaptures:
    """Fitted probabilities ``P(s_k | x)`` and ``P(s_j s_k | x)``, from which the reward is computed.

    Parameters
    ----------
    single : list of FittedReplicates, length K
        Probability of each signal.
    both : dict from (j, k) to FittedReplicates
        Probability that signals j and k both fire.
    contexts : ndarray, shape (c, k), or None
        Logged contexts at which the ratio is taken; the median over them is the estimate.
    """

    single: list[FittedReplicates]
    both: dict[tuple[int, int], FittedReplicates]
    contexts: np.ndarray | None = None

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities, shape (R, m), float64 in [0, 1]."""
        logs = []
        for context in [None] if self.contexts is None else self.contexts:
            here = features
            if context is not None:
                here = np.column_stack([features, np.broadcast_to(context, (len(features), len(context)))])
            single = [np.log(model.predict(here)) for model in self.single]
            logs += [
                capture_recapture(single[j], single[k], np.log(model.predict(here)))
                for (j, k), model in self.both.items()
            ]
        return np.exp(np.minimum(np.median(logs, axis=0), 0.0))


class CaptureRecapture(Estimator):
    """Capture-recapture, ``γ̂ = P̂(s₁)P̂(s₂)/P̂(s₁s₂)``, clipped to [0, 1]: a network per signal and per pair.

    With more than two signals it is the median over pairs of ``log γ̂``. Its weakness is variance: the joint
    event is the rarest of the log (rate ``γα₁α₂``) and is in the denominator, and the relative error of γ̂ is
    that of three separate fits, with nothing that keeps ``P̂(s₁s₂) ≥ P̂(s₁)P̂(s₂)``. Clipping at 1 and
    shrinking a rare joint event towards its mean both bias it. The likelihood (:class:`ImplicitRMSignals`)
    uses the same information with one reward for all signals.

    If the actions are dependent, its limit is ``γ α₁α₂ / P(a₁a₂)``: too low if they tend to occur together.
    """

    name = "capture-recapture"
    family = "several signals"
    needs = frozenset({"signals"})
    assumption = "two positive signals independent given the response and r*; no misclicks"
    source = "Lincoln 1930; Chapman 1951; per response: this project (theory, section 3)"
    networks = (Network(inputs="context"),)
    sums_over_samples = False

    def fit_replicates(
        self,
        log: FeedbackLog,
        replicates: Sequence[int] | None = None,
        holdout: Holdout | None = None,
        execution: Execution | None = None,
    ) -> FittedReplicates:
        signals = positive_signals(log)
        if signals.shape[1] < 2:
            raise BadInput(f"{self.name} needs two positive signals, and the log does not hold them.")
        contexts = None
        if log.context is not None:
            contexts = log.context[np.linspace(0, log.n_rows - 1, 8).astype(int)]
            log = _with_inputs(log)
        learner = Naive(**self.get_params())
        # what is fitted are rates of signals, which clean labels of the preference cannot stop
        units = None if holdout is None else Holdout(holdout.by)

        def fitted(feedback: np.ndarray) -> FittedReplicates:
            return learner.fit_replicates(log.with_feedback(feedback), replicates, units, execution)

        single = [fitted(signals[:, k]) for k in range(signals.shape[1])]
        both = {}
        for j, k in combinations(range(signals.shape[1]), 2):
            together = signals[:, j] * signals[:, k]
            if not together.any(axis=1).all():
                raise BadInput(
                    f"no response carries both signal {j} and signal {k}: their ratio is undefined."
                )
            both[j, k] = fitted(together)
        return FittedCaptures(single, both, contexts)


def _with_inputs(log: FeedbackLog) -> FeedbackLog:
    """The log whose features are features and context together: signals are independent given both."""
    inputs = np.concatenate([log.features, required(log.context, "context")], axis=1)
    return FeedbackLog(inputs, log.feedback, log.groups, shown=log.shown)
