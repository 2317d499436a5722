"""The formula of a link that cards carry is the link itself."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import find, names


@pytest.mark.parametrize("name", [name for name in names() if name != "sklearn"])
def test_the_written_link_is_the_computed_one(name):
    estimator = find(name)()
    if estimator.ranks_only:
        pytest.skip("scores that rank have no link")
    logits = torch.linspace(-4, 4, 41, dtype=torch.float64)[None]
    c = torch.tensor([[0.37]], dtype=torch.float64)
    own = type(estimator).link is not Estimator.link
    assert own == (estimator.link_formula != Estimator.link_formula), "a link of its own needs a formula"
    known = {"sigmoid": expit, "sqrt": np.sqrt, "minimum": np.minimum, "s": logits.numpy(), "c": 0.37}
    written = eval(estimator.link_formula, {"__builtins__": {}}, known)
    assert np.allclose(written, estimator.link(logits, c).numpy(), atol=1e-12)
