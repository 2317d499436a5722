"""The contract's scikit-learn face, and the registry that finds estimators by name."""
