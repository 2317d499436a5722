"""The user's own log: read it, fit a reward on it, save and load the fit, score responses."""
