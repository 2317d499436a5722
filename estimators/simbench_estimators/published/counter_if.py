"""Counter-IF as public code has it: whatever lies inside the region of the clicked counts as disliked."""

import numpy as np
from torch import Tensor

from simbench.training.losses import cross_entropy
from simbench_estimators.counter_if import (
    CLICKED,
    LIKE_CLICKED,
    SHARE,
    UNKNOWN,
    UNLIKE_CLICKED,
    CounterIF,
    mean_where,
)


class CounterIFPublished(CounterIF):
    """:class:`simbench_estimators.counter_if.CounterIF` with *all* unclicked inside the region as disliked.

    Of the unclicked, most lie inside (87 % in the world exclusive at bias level 1), and one mean over the
    clicked and them takes their numbers for the odds of a good response: the level of the reward is about
    half of the truth there.
    """

    name = "counter-if@published"
    source = "public code of the baselines of arXiv 2603.23184; after Zhou, Yao, Li, Gong, NeurIPS 2025"

    def of_unclicked(self, inside: np.ndarray) -> np.ndarray:
        strata = np.full(len(inside), UNKNOWN)
        strata[inside <= min(np.quantile(inside, SHARE), 0.0)] = UNLIKE_CLICKED
        strata[inside > 0] = LIKE_CLICKED
        return strata

    def pointwise(self, reward: Tensor, strata: Tensor) -> Tensor:
        judged = (strata == CLICKED) | (strata == LIKE_CLICKED)
        return mean_where(cross_entropy(reward, (strata == CLICKED).to(reward.dtype)), judged)
