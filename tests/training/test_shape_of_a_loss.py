"""A loss of a wrong shape is refused with a sentence: in training, and where its risk is judged."""

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.score import risk

REPLICATES, ROWS = 3, 40


class Sum(Estimator):
    """Averages over everything, replicates as well."""

    name = "sum"

    def reward_loss(self, out, batch):
        return self.ideal_loss(out.reward, batch.feedback).mean()


class Mean(Sum):
    """Averages each replicate's samples."""

    name = "mean"

    def reward_loss(self, out, batch):
        return self.ideal_loss(out.reward, batch.feedback).mean(-1)


class Scalar(Mean):
    """An objective for all replicates together."""

    name = "scalar"

    def objective(self, out, batch):
        return Mean.reward_loss(self, out, batch).mean()


class Samples(Scalar):
    """An objective with one value per sample."""

    name = "samples"

    def objective(self, out, batch):
        return self.ideal_loss(out.reward, batch.feedback)


def fit(kind):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 2)).astype(np.float32)
    feedback = (rng.random((REPLICATES, ROWS)) < 0.5).astype(np.float32)
    estimator = kind(hidden=(), epochs=1, validation_share=0.0)
    return estimator.fit_replicates(FeedbackLog(x, feedback, np.arange(ROWS)))


@pytest.mark.parametrize(("kind", "trained"), [(Sum, r"\(\)"), (Mean, r"\(\d+,\)")])
def test_a_reward_loss_that_is_averaged_too_early_is_refused(kind, trained):
    sentence = "for a batch of shape {}: return one value per sample, and leave the mean to the bench"
    where = f"reward_loss of {kind.name} returns shape "
    with pytest.raises(BadInput, match=where + trained + " " + sentence.format(rf"\(\d+, {ROWS}\)")):
        fit(kind)
    with pytest.raises(BadInput, match=where + r"\(\) " + sentence.format(r"\(4096,\)")):
        risk.check(kind())


@pytest.mark.parametrize(("kind", "shape"), [(Scalar, r"\(\)"), (Samples, rf"\(\d+, {ROWS}\)")])
def test_an_objective_that_is_not_one_value_per_replicate_is_refused(kind, shape):
    sentence = f"the objective of {kind.name} has shape {shape} for .* return one value per replicate"
    with pytest.raises(BadInput, match=sentence):
        fit(kind)


def test_losses_of_the_right_shape_are_not_refused():
    class Fine(Sum):
        name = "fine"

        def reward_loss(self, out, batch):
            return self.ideal_loss(out.reward, batch.feedback)

    assert fit(Fine).predict(np.zeros((5, 2), np.float32)).shape == (REPLICATES, 5)
    assert {verdict.verdict for verdict in risk.check(Fine())} == {"biased"}
