"""Pairwise losses whose scores published code reports as probabilities.

The loss depends only on differences of scores, so their level is what the network happened to start with;
``σ(s)`` is reported all the same, and enters R², MAE and RMSE. Here one partner is drawn for each response
and epoch, in place of up to ten that are drawn once.
"""

from simbench_estimators.pairwise import BPR, UBPR, UPL


class BPRPublished(BPR):
    """:class:`simbench_estimators.pairwise.BPR` with its scores taken for logits."""

    name = "bpr@published"
    source = "public code of the baselines of arXiv 2603.23184; after Rendle et al., UAI 2009"
    ranks_only = False


class UBPRPublished(UBPR):
    """:class:`simbench_estimators.pairwise.UBPR` with its scores taken for logits.

    The published code tells it the simulator's stored propensity, a function of the true rating.
    """

    name = "ubpr@published"
    source = "public code of the baselines of arXiv 2603.23184; after Saito, ICTIR 2020"
    ranks_only = False


class UPLPublished(UPL):
    """:class:`simbench_estimators.pairwise.UPL` with its scores taken for logits.

    The pointwise branch of the published code is not reported.
    """

    name = "upl@published"
    source = "public code of the baselines of arXiv 2603.23184; after Ren et al., SIGIR 2023"
    ranks_only = False
