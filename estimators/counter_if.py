"""Counter-IF: strata by a one-class SVM, then pointwise and pairwise losses between them."""

from dataclasses import replace

import numpy as np
import torch
from sklearn.svm import OneClassSVM
from torch import Tensor

from estimators.pairwise import Pairwise
from simbench.estimator import Batch, Outputs
from simbench.log import FeedbackLog
from simbench.losses import cross_entropy, loss_positive
from simbench.streams import stream

CLICKED, LIKE_CLICKED, UNLIKE_CLICKED, UNKNOWN = range(4)
FITTED_ON = 2000  # clicked responses at most: the SVM's time grows with their square


class CounterIF(Pairwise):
    """Counterfactual implicit feedback modelling.

    Strata, once, before training: clicked (DP); unclicked inside the one-class SVM's region of the clicked
    (HE: exposed, and so disliked); unclicked and in the farthest tenth (HU: unexposed); other unclicked
    (UN). Loss: cross-entropy on DP (good) and HE (bad), and ``-log σ(s_a - s_b)`` for the orderings
    DP > HE, UN > HE, HU > UN within a prompt. The unclicked that look *most* like the clicked are the
    negatives, which is right only if looking alike proves exposure.

    It ranks worse than naive on simbench's worlds, even where nearly everyone clicks what they like, and
    fails that requirement of the conformance kit: its negatives lie where good responses are densest.

    Left out: the paper's balance of hidden representations (a loss sees scores, and balancing those would
    erase the reward). The SVM is the one part that runs per replicate.
    """

    name = "counter-if"
    assumption = "unclicked responses that resemble clicked ones were seen and disliked"
    source = "Zhou, Yao, Li, Gong, NeurIPS 2025, without representation balance"
    ranks_only = False
    sums_over_samples = False
    family = "pointwise and pairwise"

    def prepare(self, log: FeedbackLog) -> FeedbackLog:
        strata = [self._strata(np.asarray(log.features), row, i) for i, row in enumerate(log.feedback)]
        return replace(log, strata=np.stack(strata).astype(np.float32))

    def _strata(self, features: np.ndarray, feedback: np.ndarray, replicate: int) -> np.ndarray:
        clicked = np.flatnonzero(feedback == 1)
        if len(clicked) > FITTED_ON:
            rng = stream(self.seed, "one-class", replicate)
            clicked = rng.choice(clicked, FITTED_ON, replace=False)
        region = OneClassSVM(gamma="scale", nu=0.1).fit(features[clicked])
        inside = np.full(len(feedback), np.inf)
        unclicked = feedback == 0
        inside[unclicked] = region.decision_function(features[unclicked])
        far = np.quantile(inside[unclicked], 0.1)
        strata = np.full(len(feedback), UNKNOWN)
        strata[unclicked & (inside <= min(far, 0.0))] = UNLIKE_CLICKED
        strata[unclicked & (inside > 0)] = LIKE_CLICKED
        strata[feedback == 1] = CLICKED
        return strata

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        return self.risk(out, batch)

    def risk(self, out: Outputs, batch: Batch) -> Tensor:
        strata = batch.strata
        if strata is None:  # nothing stratified: every missing click is unknown
            strata = torch.where(batch.feedback == 1, CLICKED, UNKNOWN)
        judged = (strata == CLICKED) | (strata == LIKE_CLICKED)
        target = (strata == CLICKED).to(out.reward.dtype)
        point = _mean_where(cross_entropy(out.reward, target), judged)
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
            pair = pair + _mean_where(loss_positive(gap), forward | backward)
        return point + pair


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the marked, 0 where none is; shape (...,)."""
    return (values * mask).sum(-1) / mask.sum(-1).clamp_min(1)
