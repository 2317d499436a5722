"""Against the truth: bias, variance, ranking, calibration, policies; exact risk; the bound; verdicts."""
