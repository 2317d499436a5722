"""Whether a fit is one: that some epoch was better than none, and not the last that was allowed."""

import numpy as np

from simbench.errors import NotTrained
from simbench.training.contract import FittedReplicates
from simbench.training.restarts import Restarts
from simbench.training.stacked_model import ModelChunks, StackedModel

UNCONVERGED = "unconverged_share"


def diagnostics_of(model: FittedReplicates, epochs: int | None) -> dict[str, np.ndarray]:
    """What a fit says of itself, by name: its own diagnostics, and which fits may not have converged.

    Parameters
    ----------
    model : FittedReplicates
    epochs : int or None
        Number of epochs allowed; None where an estimator has no such parameter.

    Returns
    -------
    dict of ndarray, shape (R,)
        ``unconverged_share``, for networks that simbench trained: 1 where the best epoch is the last that
        was allowed.
    """
    found = dict(getattr(model, "diagnostics", {}))
    if epochs is not None and (late := ran_out(model, epochs)) is not None:
        found[UNCONVERGED] = late.astype(float)
    return found


def ran_out(model: FittedReplicates, epochs: int) -> np.ndarray | None:
    """Which fits kept the last epoch that they were allowed, and so may not have converged, (R,) bool.

    Parameters
    ----------
    model : FittedReplicates
    epochs : int
        Number of epochs allowed.

    Returns
    -------
    ndarray or None
        None for a model that is no network; of several restarts, of those that were kept.
    """
    kept = _kept(model)
    return None if kept is None else kept[0] >= epochs


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
    kept = _kept(model)
    if kept is None:
        return
    epochs, held_out_loss = kept
    lost = (epochs == 0) | ~np.isfinite(held_out_loss)
    if lost.any():
        count = f" in {int(lost.sum())} of {len(lost)} replicates" if len(lost) > 1 else ""
        raise NotTrained(
            f"{name} did not train{count}: no epoch had a finite loss on the held-out feedback; lower the "
            "learning rate, and look for extreme features or propensities, or a risk without a lower bound."
        )


def _kept(model: FittedReplicates) -> tuple[np.ndarray, np.ndarray] | None:
    """Best epochs and held-out losses of the fits that count, (R,) each; None if the model is no network."""
    fits, rows = (model.model, model.kept) if isinstance(model, Restarts) else (model, slice(None))
    if not isinstance(fits, StackedModel | ModelChunks):
        return None
    return fits.epochs[rows], fits.held_out_loss[rows]
