"""A reward on one's own log: fit it, ask whether it can be believed, plan how many responses it needs."""

DEFAULT_ESTIMATOR = "implicitrm"
"""The estimator that is fitted where nobody names one."""
