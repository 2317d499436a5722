"""The scikit-learn interface of estimators, and the registry that finds estimators by name."""
