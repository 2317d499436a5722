"""Bias and variance of reward models learned from implicit feedback, against a known truth.

>>> import simbench as sb
>>> results = sb.run(bias_levels=[0.8], sizes=[500], replicates=2, estimators=["oracle", "naive"])
>>> list(results.verdicts().estimator)
['oracle', 'naive']

A name is imported when it is first used: ``import simbench`` alone loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simbench.errors import BadInput as BadInput
    from simbench.errors import NotIdentified as NotIdentified
    from simbench.estimator.estimator import Estimator as Estimator
    from simbench.estimator.registry import find as find
    from simbench.log.feedback import FeedbackLog as FeedbackLog
    from simbench.log.feedback import Truth as Truth
    from simbench.reward.bounds.bounds import bounds as bounds
    from simbench.reward.diagnosis.diagnose import diagnose as diagnose
    from simbench.score.risk_table import check as check
    from simbench.study.results import Results as Results
    from simbench.study.results import read as read
    from simbench.study.results import run as run
    from simbench.training.contract import Network as Network
    from simbench.training.losses import cross_entropy as cross_entropy
    from simbench.training.losses import loss_negative as loss_negative
    from simbench.training.losses import loss_positive as loss_positive
    from simbench.training.samples import Batch as Batch
    from simbench.training.samples import Outputs as Outputs
    from simbench.worlds.behaviour import Behaviour as Behaviour
    from simbench.worlds.behaviour import PointwiseBehaviour as PointwiseBehaviour
    from simbench.worlds.scene import Scene as Scene
    from simbench.worlds.sequential import SequentialBehaviour as SequentialBehaviour
    from simbench.worlds.world import world as world

    __version__: str

_HOME = {
    **dict.fromkeys(("BadInput", "NotIdentified"), "simbench.errors"),
    **dict.fromkeys(("FeedbackLog", "Truth"), "simbench.log.feedback"),
    **dict.fromkeys(("Batch", "Outputs"), "simbench.training.samples"),
    **dict.fromkeys(("cross_entropy", "loss_negative", "loss_positive"), "simbench.training.losses"),
    **dict.fromkeys(("Results", "read", "run"), "simbench.study.results"),
    "Network": "simbench.training.contract",
    "Estimator": "simbench.estimator.estimator",
    "find": "simbench.estimator.registry",
    "check": "simbench.score.risk_table",
    "bounds": "simbench.reward.bounds.bounds",
    "diagnose": "simbench.reward.diagnosis.diagnose",
    **dict.fromkeys(("Behaviour", "PointwiseBehaviour"), "simbench.worlds.behaviour"),
    "Scene": "simbench.worlds.scene",
    "SequentialBehaviour": "simbench.worlds.sequential",
    "world": "simbench.worlds.world",
}
__all__ = [
    "BadInput",
    "Batch",
    "Behaviour",
    "Estimator",
    "FeedbackLog",
    "Network",
    "NotIdentified",
    "Outputs",
    "PointwiseBehaviour",
    "Results",
    "Scene",
    "SequentialBehaviour",
    "Truth",
    "bounds",
    "check",
    "cross_entropy",
    "diagnose",
    "find",
    "loss_negative",
    "loss_positive",
    "read",
    "run",
    "world",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("simbench._compat").VERSION
    if name not in _HOME:
        raise AttributeError(f"module 'simbench' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
