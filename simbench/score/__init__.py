"""Scores fits against the truth: bias, variance, ranking, calibration, policies, exact risk, the bound."""
