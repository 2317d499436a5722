"""What a loss is handed of a log: the named rows of the named replicates, of everything that is known."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from simbench.log.feedback import FeedbackLog
from simbench.training.device_log import DeviceLog

R, N, K = 3, 7, 2
ROWS = [6, 0, 3]
REPLICATES = np.array([2, 0, 1, 1])  # as a padded training has them


def full_log(propensity_shape=(N,)):
    rng = np.random.default_rng(0)
    feedback = (rng.random((R, N)) < 0.5).astype(np.float32)
    feedback[:, 0], feedback[:, 1] = 1, 0
    labels = np.where(rng.random((R, N)) < 0.5, feedback, np.nan).astype(np.float32)
    signals = np.stack([feedback, (rng.random((R, N)) < 0.5).astype(np.float32)], 1)
    return FeedbackLog(
        features=rng.standard_normal((N, 2)).astype(np.float32),
        feedback=feedback,
        groups=np.arange(N),
        propensity=rng.uniform(0.1, 1, propensity_shape),
        class_prior=np.array([0.2, 0.4, 0.7]),
        labels=labels,
        misclick=0.05,
        action_rate=0.3,
        always_acts=np.arange(N) % 2 == 0,
        strata=rng.integers(0, 3, (R, N)).astype(np.float32),
        signals=signals,
        negative_signals=(1,),
    )


def same(found, expected):
    return np.allclose(np.asarray(found), expected, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("shape", [(N,), (R, N)])
@pytest.mark.parametrize("kept", [None, [True, False, True, False]])
def test_a_batch_is_of_the_named_rows_and_replicates(shape, kept):
    log = full_log(shape)
    device_log, replicates = DeviceLog(log, REPLICATES, torch.device("cpu")), REPLICATES
    if kept is not None:
        device_log, replicates = device_log.keep(torch.tensor(kept)), REPLICATES[kept]
    state = {"row": torch.arange(len(replicates) * N).view(-1, N)}
    batch = device_log.batch(torch.tensor(ROWS), state)
    for name in ("feedback", "labels", "strata"):
        assert same(getattr(batch, name), getattr(log, name)[replicates][:, ROWS])
    assert same(batch.signals, log.signals[replicates][:, :, ROWS])
    assert batch.signals.shape == (len(replicates), K, 3)
    assert same(batch.feedback_rate, log.feedback[replicates].mean(1, keepdims=True))  # of all rows
    assert same(batch.class_prior, log.class_prior[replicates][:, None])
    own = log.propensity if shape == (N,) else log.propensity[replicates]
    assert same(batch.propensity, own[..., ROWS])
    assert batch.always_acts.tolist() == log.always_acts[ROWS].tolist()
    assert batch.always_acts.dtype == torch.bool
    assert (batch.misclick, batch.action_rate, batch.negative_signals) == (0.05, 0.3, (1,))
    assert batch.state["row"].tolist() == state["row"][:, ROWS].tolist()
    for value in (batch.feedback, batch.propensity, batch.class_prior, batch.labels, batch.signals):
        assert value.dtype == torch.float32


def test_keeping_some_leaves_the_whole_log_as_it_was():
    log = full_log((R, N))
    whole = DeviceLog(log, REPLICATES, torch.device("cpu"))
    whole.keep(torch.tensor([False, True, False, False]))
    assert same(whole.feedback, log.feedback[REPLICATES]) and len(whole.propensity) == 4


def test_one_class_prior_is_every_replicates():
    log = FeedbackLog(
        np.ones((2, 1), np.float32), np.eye(2, dtype=np.float32), np.arange(2), class_prior=0.25
    )
    batch = DeviceLog(log, np.arange(2), torch.device("cpu")).batch(torch.tensor([0]), {})
    assert batch.class_prior.tolist() == [[0.25], [0.25]]


def test_what_the_log_does_not_hold_is_none():
    log = FeedbackLog(np.ones((2, 1), np.float32), np.eye(2, dtype=np.float32), np.arange(2))
    device_log = DeviceLog(log, np.arange(2), torch.device("cpu")).keep(torch.tensor([True, False]))
    batch = device_log.batch(torch.tensor([1]), {})
    told = {field.name for field in fields(batch) if getattr(batch, field.name) not in (None, {}, ())}
    assert told == {"feedback", "feedback_rate"}


def test_whole_numbers_stay_whole():
    device_log = DeviceLog(full_log(), REPLICATES, torch.device("cpu"))
    assert device_log.tensor(np.arange(3)).dtype == torch.int64
    assert device_log.tensor(np.arange(3) / 2).dtype == torch.float32
