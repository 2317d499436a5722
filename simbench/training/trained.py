"""Whether a fit is one: that some epoch was better than none."""

import numpy as np

from simbench.errors import NotTrained
from simbench.training.contract import FittedReplicates
from simbench.training.restarts import Restarts
from simbench.training.stacked_model import ModelChunks, StackedModel


def require_trained(model: FittedReplicates, name: str) -> None:
    """Refuse a model that was never trained: no epoch had a finite held-out loss.

    Parameters
    ----------
    model : FittedReplicates
        Of several restarts, those that were kept count; a model that is no network is taken as it is.
    name : str
        The estimator, for the message.

    Raises
    ------
    NotTrained
        If a replicate still has its first weights, or its loss is not finite.
    """
    fits, rows = (model.model, model.kept) if isinstance(model, Restarts) else (model, slice(None))
    if not isinstance(fits, StackedModel | ModelChunks):
        return
    lost = (fits.epochs[rows] == 0) | ~np.isfinite(fits.held_out_loss[rows])
    if lost.any():
        count = f" in {int(lost.sum())} of {len(lost)} replicates" if len(lost) > 1 else ""
        raise NotTrained(
            f"{name} did not train{count}: no epoch had a finite loss on the held-out feedback; lower the "
            "learning rate, and look for extreme features or propensities."
        )
