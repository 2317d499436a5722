"""simbench: bias and variance of reward-model estimators on implicit feedback, against a known truth.

Import from the modules: ``simbench.worlds`` draws a log and its truth, ``simbench.estimator`` holds the
contract, ``simbench.study`` runs a grid. Nothing heavy is imported here.
"""

__version__ = "0.1.0"
