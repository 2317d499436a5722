"""The click model of a chat: attempts until one satisfies, or the user's patience ends."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.log.pages import page_matrix
from simbench.training.contract import Network
from simbench.training.losses import log1mexp
from simbench.training.samples import Batch, Outputs, required
from simbench_estimators.click_models import FASTER

CAN_GO_ON, LAST = 0.0, 1.0  # whether there is another attempt behind a response
CERTAIN = 1e-30  # a copy is never certain, so that the log of its complement is finite


def attempts_nll(reward: Tensor, copies: Tensor, patience: Tensor, curiosity: Tensor, batch: Batch) -> Tensor:
    """Negative log-likelihood of what a user did with each attempt that was shown, shape (..., b).

    Whom an attempt does not satisfy asks for another with probability ``p``, the patience; whom it satisfies
    with probability ``u``, the curiosity, and else copies it with probability ``α``. Behind the last attempt
    there is none to ask for.

    Parameters
    ----------
    reward, copies, patience, curiosity : Tensor, shape (..., b)
        Logits of ``γ``, ``α``, ``p`` and ``u``.
    batch : Batch
        Its signals are the copy and the asking; its strata, which attempts are the last.
    """
    good, bad = logsigmoid(reward), logsigmoid(-reward)
    stays = good + logsigmoid(-curiosity)
    copied = stays + logsigmoid(copies)
    asked = torch.logaddexp(bad + logsigmoid(patience), good + logsigmoid(curiosity))
    neither = torch.logaddexp(bad + logsigmoid(-patience), stays + logsigmoid(-copies))
    neither = torch.where(batch.told("strata") == LAST, log1mexp(copied.clamp_max(-CERTAIN)), neither)
    copy, ask = batch.told("signals").unbind(-2)
    return -torch.where(copy == 1, copied, torch.where(ask == 1, asked, neither))


class RegenerateMLE(Estimator):
    """A chat: ``γ(x)``, a copy propensity ``α(z)``, one patience ``p`` and one curiosity ``u``.

    Given that it was shown, an attempt's fate does not depend on those before it: the likelihood is a
    product over the attempts shown. Users ask for another with probability ``p - (p - u) γ(x)``, which shows
    the reward up to a scale and a shift; ``p`` and ``u`` are its values where the reward is near 0 and near
    1, and copies, of probability ``(1 - u) γ α``, add what they tell. If hardly any attempt is surely bad, or
    surely good, the level rests on the shape of the reward.
    """

    name = "regenerate-mle"
    family = "click models"
    needs = frozenset({"pages", "attempts", "signals"})
    assumption = "one patience and one curiosity for all; context moves only whether users copy"
    source = "this project; after the cascade of Craswell, Zoeter, Taylor, Ramsey, WSDM 2008"
    networks = (
        Network(),
        Network(("propensity",), "context"),
        Network(("parameter:0", "parameter:1"), "nothing", (), FASTER),
    )
    sums_over_samples = False

    def initial_shift(self, head: str, restart: int) -> float:
        """Patience starts above curiosity: with the two exchanged, good and bad would be too."""
        return {"parameter:0": 1.0, "parameter:1": -2.0}.get(head, 0.0)

    def prepare(self, log: FeedbackLog) -> FeedbackLog:
        """The log with its last attempts marked.

        Raises
        ------
        BadInput
            If its signals are not a copy and the asking for another attempt, or one response has both.
        """
        signals = required(log.signals, "signals")
        if signals.shape[1] != 2 or log.negative_signals != (1,):
            raise BadInput(
                f"{self.name} reads two signals, the copy of a response and the asking for another, which is "
                f"negative: this log has {signals.shape[1]}, of which {len(log.negative_signals)} negative."
            )
        both = int((signals.sum(axis=1) == 2).sum())
        if both:
            raise BadInput(
                f"{both} responses were copied and another was asked for: in this click model, who copies "
                "stays."
            )
        pages = page_matrix(required(log.page, "pages"), required(log.rank, "pages"))
        strata = np.full(log.n_rows, CAN_GO_ON, dtype=np.float32)
        strata[pages[np.arange(len(pages)), (pages >= 0).sum(axis=1) - 1]] = LAST
        return replace(log, strata=np.broadcast_to(strata, log.feedback.shape))

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        patience, curiosity = out.head("parameters").unbind(-2)
        return batch.mean(attempts_nll(out.reward, out.head("propensity"), patience, curiosity, batch))
