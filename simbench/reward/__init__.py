"""Rewards on one's own log: fit one, diagnose whether to believe it, plan how many responses it needs."""

DEFAULT_ESTIMATOR = "implicitrm"
"""The estimator that is fitted if none is named."""

CLICK_ESTIMATOR = "naive"
"""The estimator that predicts clicks themselves."""
