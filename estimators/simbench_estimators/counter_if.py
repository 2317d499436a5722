"""Counter-IF: strata by a one-class SVM, pointwise and pairwise losses, and balanced representations."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from sklearn.svm import OneClassSVM
from torch import Tensor

from simbench.log.feedback import FeedbackLog
from simbench.streams import stream
from simbench.training.losses import loss_negative, loss_positive
from simbench.training.samples import Batch, Outputs
from simbench_estimators.balance import distances, wasserstein
from simbench_estimators.pairwise import Pairwise

CLICKED, LIKE_CLICKED, UNLIKE_CLICKED, UNKNOWN, NOT_SHOWN = range(5)
FITTED_ON = 2000  # most clicked responses that the SVM is fitted on: its time grows with their square
SHARE = 0.1  # of the unclicked: so many are thought exposed, and so many unexposed
BALANCED = 128  # responses of a batch that are balanced (published code: 256): the cost is quadratic


class CounterIF(Pairwise):
    """Counterfactual implicit feedback modelling: strata from a one-class SVM, and balanced representations.

    Before training, every response is put into a stratum by how far it lies inside the one-class SVM's region
    of the clicked: clicked (DP); the nearest tenth of the unclicked (HE: exposed, and so disliked); their
    farthest tenth (HU: unexposed); other unclicked (UN). The loss is the mean of ``ℓ(γ̂, 1)`` over DP plus the
    mean of ``ℓ(γ̂, 0)`` over HE, plus ``-log σ(s_a - s_b)`` for the orderings DP > HE, UN > HE, HU > UN within
    a prompt. The negatives are the unclicked responses that look *most* like clicked ones, which is right
    only if looking alike proves exposure.

    It ranks worse than naive on simbench's worlds (rank correlation with the true reward .30 against .67 in
    the world exclusive at bias level 1, 2,000 responses), because its negatives lie where good responses are
    densest; its level is .64 there for .49, and that of ``counter-if@published`` .27.

    The representations ``h`` of the last hidden layer are balanced by a penalty, λ times
    ``W(h | DP, HE, HU; h | UN) + W(h | DP, HE; h | HU)``: responses whose cause is thought to be known
    against the others, and among the former exposed against unexposed, with
    :func:`simbench_estimators.balance.wasserstein`. The penalty is computed on the first members of a batch's
    pairs, a random part of all responses. At λ = 1, as in published code, representations collapse here, and
    with them the predictions (in that world the published form is constant in 6 of 8 replicates). λ = .3 has
    the least held-out pointwise and pairwise loss of the published form there, out of 1, .3, .1, .03, .01 and
    0; this form's is less by .02 at .1, and in the world shared at bias level 2 by .17 at .03. That loss uses
    feedback alone, and it also stops the training. Nothing is balanced without hidden layers, in the
    verdicts, and for language models.

    The SVM is the only part that runs per replicate.
    """

    name = "counter-if"
    assumption = "unclicked responses that resemble clicked ones were seen and disliked"
    source = "Zhou, Yao, Li, Gong, NeurIPS 2025"
    ranks_only = False
    sums_over_samples = False
    reads_representation = True
    workspace: ClassVar[int] = 10 * BALANCED**2  # distances, kernels, plans; 8.6 measured
    balance: ClassVar[float] = 0.3  # λ
    family = "pointwise and pairwise"

    def prepare(self, log: FeedbackLog) -> FeedbackLog:
        strata = np.full(log.feedback.shape, NOT_SHOWN, dtype=np.float32)
        features = np.asarray(log.features)
        for replicate, feedback in enumerate(log.feedback):
            rows = log.rows_shown(replicate)
            strata[replicate, rows] = self._strata(features[rows], feedback[rows], replicate)
        return replace(log, strata=strata)

    def _strata(self, features: np.ndarray, feedback: np.ndarray, replicate: int) -> np.ndarray:
        clicked = np.flatnonzero(feedback == 1)
        if len(clicked) > FITTED_ON:
            rng = stream(self.seed, "one-class", replicate)
            clicked = rng.choice(clicked, FITTED_ON, replace=False)
        region = OneClassSVM(gamma="scale", nu=0.1).fit(features[clicked])
        strata = np.full(len(feedback), CLICKED)
        unclicked = feedback == 0
        strata[unclicked] = self.of_unclicked(region.decision_function(features[unclicked]))
        return strata

    def of_unclicked(self, inside: np.ndarray) -> np.ndarray:
        """Strata of the unclicked, shape (n,), from how far inside the region of the clicked each one is."""
        far, near = np.quantile(inside, (SHARE, 1 - SHARE))
        told_apart = near > far
        strata = np.full(len(inside), UNKNOWN)
        strata[(inside <= far) & told_apart] = UNLIKE_CLICKED
        strata[(inside >= near) & told_apart] = LIKE_CLICKED
        return strata

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        return self.risk(out, batch)

    def risk(self, out: Outputs, batch: Batch) -> Tensor:
        strata = batch.strata
        if strata is None:  # nothing stratified: every missing click is unknown
            strata = batch.of_shown(torch.where(batch.feedback == 1, CLICKED, UNKNOWN), NOT_SHOWN)
        point = self.pointwise(out.reward, strata)
        s_i, s_j = out.reward.chunk(2, dim=-1)
        t_i, t_j = strata.chunk(2, dim=-1)
        pair = torch.zeros_like(point)
        for above, below in (
            (CLICKED, LIKE_CLICKED),
            (UNKNOWN, LIKE_CLICKED),
            (UNLIKE_CLICKED, UNKNOWN),
        ):
            forward, backward = (t_i == above) & (t_j == below), (t_j == above) & (t_i == below)
            gap = torch.where(forward, s_i - s_j, s_j - s_i)
            pair = pair + mean_where(loss_positive(gap), forward | backward)
        return point + pair + self.balance * self.imbalance(out, strata)

    def pointwise(self, reward: Tensor, strata: Tensor) -> Tensor:
        """Cross-entropy of the clicked as good and of those like them as bad, each a mean; shape (...,)."""
        good = mean_where(loss_positive(reward), strata == CLICKED)
        return good + mean_where(loss_negative(reward), strata == LIKE_CLICKED)

    def imbalance(self, out: Outputs, strata: Tensor) -> Tensor | float:
        """Sum of the two distances between strata, shape (...,); 0 if the loss is given no representation."""
        if out.representation is None:
            return 0.0
        n = min(BALANCED, strata.shape[-1] // 2)
        strata, distance = strata[..., :n], distances(out.representation[..., :n])
        exposed = (strata == CLICKED) | (strata == LIKE_CLICKED)
        unexposed, unknown = strata == UNLIKE_CLICKED, strata == UNKNOWN
        known = wasserstein(distance, exposed | unexposed, unknown)
        return known + wasserstein(distance, exposed, unexposed)


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the marked values, 0 if none is marked; shape (...,)."""
    return (values * mask).sum(-1) / mask.sum(-1).clamp_min(1)
