"""What a network reads of a log."""

import numpy as np

from simbench.files.matrix import Matrix
from simbench.log.feedback import FeedbackLog
from simbench.training.contract import Network
from simbench.training.samples import required


def inputs_of(network: Network, log: FeedbackLog) -> Matrix:
    """The matrix that the network reads, a row for each response.

    A context that is not there falls back to the features; ranks are a column each, in {0, 1}; a network that
    reads nothing has one column of zeros, so that its bias is all that it learns.
    """
    match network.inputs:
        case "context":
            return log.features if log.context is None else log.context
        case "rank":
            return np.eye(int(required(log.rank, "pages").max()) + 1, dtype=np.float32)[log.rank]
        case "nothing":
            return np.zeros((log.n_rows, 1), dtype=np.float32)
    return log.features
