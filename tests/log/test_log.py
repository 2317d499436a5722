"""A log refuses what cannot be used, and has no way to the truth."""

from dataclasses import replace

import numpy as np
import pytest

import simbench.log
from simbench.errors import BadInput
from simbench.files.matrix import MappedMatrix
from simbench.log.feedback import FeedbackLog

X = np.ones((4, 2), dtype=np.float32)
R = np.array([[0, 1, 0, 1]], dtype=np.float32)
G = np.arange(4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": np.full((4, 2), np.nan)}, "not finite .* row 0, column 0"),
        ({"features": np.ones((0, 2))}, "empty"),
        ({"feedback": R[:, :3]}, "feedback has 3 rows but features has 4"),
        ({"feedback": 2 * R}, "feedback must be 0 or 1, got 2.0 in row 1"),
        ({"feedback": 0 * R}, "all zero"),
        ({"feedback": 0 * R + 1}, "all one"),
        ({"features": np.ones((4, 0))}, "empty"),
        ({"features": np.ones(4)}, "features must be a matrix"),
        ({"feedback": R[0]}, "feedback must have shape"),
        ({"feedback": np.array([[0, 1, 0, np.nan]])}, "feedback must be 0 or 1, got nan in row 3"),
        ({"feedback": np.concatenate([R, 0 * R])}, "all zero"),  # in the second replicate
        ({"feedback": np.concatenate([R, 0 * R + 1])}, "all one"),
        ({"groups": G[:2]}, "groups has 2 rows"),
        ({"context": np.ones((3, 2))}, "context has 3 rows but features has 4"),
        ({"context": np.array([[1.0], [1], [1], [np.inf]])}, "context .* not finite .* row 3, column 0"),
        ({"propensity": np.full(3, 0.5)}, "propensity has shape"),
        ({"propensity": np.full((2, 4), 0.5)}, "propensity has shape"),
        ({"propensity": np.array([[0.5, 0.5, 1.5, 1.0]])}, r"propensity .* got 1.5 in row 2"),
        ({"propensity": np.array([0.5, 0.5, 0.5, np.nan])}, r"propensity .* got nan in row 3"),
        ({"propensity": np.array([0.5, 0.0, 0.5, 1.0])}, r"propensity .* got 0.0 in row 1"),
        ({"class_prior": 1.0}, "class_prior"),
        ({"class_prior": 0.0}, "class_prior"),
        ({"class_prior": np.array([0.5, 0.0])}, "class_prior"),
        ({"misclick": 1.0}, "misclick"),
        ({"misclick": -0.1}, "misclick"),
        ({"action_rate": 1.0}, "action_rate"),
        ({"action_rate": 0.0}, "action_rate"),
        ({"always_acts": np.ones(3, dtype=bool)}, "always_acts has 3 rows"),
        ({"labels": np.full((1, 4), 0.5)}, "labels must be"),
        ({"labels": np.array([[0, 1, np.nan, 2]])}, "labels must be"),
        ({"labels": np.ones((2, 4))}, "labels have shape"),
        ({"signals": R}, r"signals must have shape \(1, signals, 4\)"),
        ({"signals": np.stack([R, R, R])}, r"signals must have shape \(1, signals, 4\)"),
        ({"signals": np.stack([R, 2 * R], axis=1)}, "signals must be 0 or 1"),
        ({"signals": R[:, None, :3]}, r"signals must have shape \(1, signals, 4\)"),
        ({"signals": 2 * R[:, None]}, "signals must be 0 or 1"),
        ({"signals": 1 - R[:, None]}, "first of the signals must be the feedback"),
        ({"signals": R[:, None], "negative_signals": (0,)}, "after the first"),
        ({"signals": R[:, None], "negative_signals": (1,)}, "after the first"),
        ({"signals": np.stack([R, R], axis=1), "negative_signals": (1, -1)}, "after the first"),
    ],
)
def test_bad_input_is_one_sentence(changes, message):
    with pytest.raises(BadInput, match=message):
        FeedbackLog(**({"features": X, "feedback": R, "groups": G} | changes))


def test_what_lies_on_the_bounds_is_accepted():
    FeedbackLog(X, R, G, propensity=np.array([1.0, 1e-9, 0.5, 1.0]), misclick=0.0)
    FeedbackLog(X, R, G, propensity=np.full((1, 4), 1.0), class_prior=np.array([0.01, 0.99]))
    FeedbackLog(X, R, G, labels=np.array([[0, 1, np.nan, np.nan]]), action_rate=0.5)


def full_log():
    """Three replicates of five responses; every value tells its replicate, signal and row."""
    rng = np.random.default_rng(0)
    signals = rng.integers(0, 2, (3, 2, 5)).astype(np.float32)
    signals[:, 0, 0], signals[:, 0, 1] = 0, 1
    return FeedbackLog(
        features=np.arange(10.0, dtype=np.float32).reshape(5, 2),
        feedback=signals[:, 0],
        groups=np.array([4, 4, 7, 7, 9]),
        context=10 + np.arange(5.0, dtype=np.float32)[:, None],
        propensity=rng.uniform(0.1, 0.9, (3, 5)),
        class_prior=np.array([0.2, 0.3, 0.4]),
        labels=rng.integers(0, 2, (3, 5)).astype(np.float32),
        misclick=0.1,
        action_rate=0.6,
        always_acts=np.array([True, False, False, True, False]),
        strata=np.arange(15.0, dtype=np.float32).reshape(3, 5),
        signals=signals,
        negative_signals=(1,),
    )


OF_ROWS = ("feedback", "propensity", "labels", "strata", "signals", "always_acts")  # on the last axis
FIRST_AXIS_ROWS = ("features", "groups", "context")
OF_ALL = ("misclick", "action_rate", "negative_signals")


def test_chosen_rows_take_along_all_that_is_known_of_them():
    log, rows = full_log(), np.array([3, 0, 1])
    part = log.rows(rows)
    assert (part.n_rows, part.n_replicates) == (3, 3)
    for name in OF_ROWS:
        for place, row in enumerate(rows):
            assert np.array_equal(getattr(part, name)[..., place], getattr(log, name)[..., row]), name
    for name in FIRST_AXIS_ROWS:
        assert np.array_equal(getattr(part, name), [getattr(log, name)[row] for row in rows]), name
    for name in OF_ALL:
        assert getattr(part, name) == getattr(log, name)
    assert np.array_equal(part.class_prior, log.class_prior)
    shared = FeedbackLog(X, R, G, propensity=np.array([0.1, 0.2, 0.3, 0.4])).rows(np.array([3, 0]))
    assert shared.propensity.tolist() == [0.4, 0.1] and shared.context is None and shared.signals is None


@pytest.mark.parametrize("rows", [slice(1, 3), np.array([2, 0])], ids=["slice", "array"])
def test_chosen_replicates_take_along_what_is_theirs(rows):
    log = full_log()
    part = log.replicates(rows)
    assert (part.n_rows, part.n_replicates) == (5, 2)
    for name in ("feedback", "labels", "strata", "propensity", "class_prior", "signals"):
        assert np.array_equal(getattr(part, name), getattr(log, name)[rows]), name
    for name in (*FIRST_AXIS_ROWS, *OF_ALL, "always_acts"):
        assert np.array_equal(getattr(part, name), getattr(log, name)), name


def test_what_all_replicates_share_stays_whole():
    """Of three replicates and three rows: a propensity a row is not taken for one a replicate."""
    feedback = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32)
    propensity = np.array([0.2, 0.5, 0.9])
    log = FeedbackLog(X[:3], feedback, G[:3], propensity=propensity, class_prior=0.4)
    part = log.replicates(slice(0, 1))
    assert part.propensity.tolist() == propensity.tolist() and part.class_prior == 0.4


def test_other_feedback_comes_without_the_signals_and_with_all_else():
    log = full_log()
    other = log.with_feedback(1 - log.feedback)
    assert np.array_equal(other.feedback, 1 - log.feedback)
    assert other.signals is None and other.negative_signals == ()
    for name in (*FIRST_AXIS_ROWS, "propensity", "labels", "strata", "always_acts", "class_prior"):
        assert np.array_equal(getattr(other, name), getattr(log, name)), name
    assert (other.misclick, other.action_rate) == (0.1, 0.6)


def test_a_matrix_on_disk_is_mapped_and_read_for_the_check_once(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.arange(8, dtype=np.float32).reshape(4, 2))
    np.save(tmp_path / "z.npy", np.ones((4, 1), dtype=np.float32))
    read = []
    whole = simbench.log.feedback.first_not_finite
    monkeypatch.setattr(
        simbench.log.feedback, "first_not_finite", lambda values: read.append(1) or whole(values)
    )
    x, z = (np.load(tmp_path / name, mmap_mode="r") for name in ("x.npy", "z.npy"))
    log = FeedbackLog(x, R, G, context=z)
    assert isinstance(log.features, MappedMatrix) and isinstance(log.context, MappedMatrix)
    assert len(read) == 2
    again = log.replicates(slice(0, 1))
    assert len(read) == 2 and again.features is log.features
    assert log.rows(np.array([3, 0])).features.tolist() == [[6, 7], [0, 1]]
    np.save(tmp_path / "bad.npy", np.array([[1.0], [np.nan], [1], [1]], dtype=np.float32))
    with pytest.raises(BadInput, match="row 1, column 0"):
        FeedbackLog(np.load(tmp_path / "bad.npy", mmap_mode="r"), R, G)


def test_a_log_holds_nothing_of_the_truth(small_world):
    log, truth = small_world.draw(range(2))
    held = [value for value in vars(log).values() if isinstance(value, np.ndarray)]
    for secret in (truth.reward, truth.propensity, truth.preference):
        assert not any(np.shares_memory(secret, value) for value in held)
    assert log.signals is None
    assert log.propensity is None and log.class_prior is None and log.labels is None


def test_arrays_of_a_log_are_read_only_and_those_of_its_maker_are_not():
    log = full_log()
    arrays = {name: value for name, value in vars(log).items() if isinstance(value, np.ndarray)}
    assert {"features", "feedback", "groups", "propensity", "labels", "signals"} <= arrays.keys()
    for array in arrays.values():
        with pytest.raises(ValueError, match="read-only"):
            array += array
    with pytest.raises(ValueError, match="read-only"):
        replace(log).rows(np.arange(2)).features[0] = 0
    own = np.ones((3, 2), dtype=np.float32)
    kept = FeedbackLog(own, np.array([[0, 1, 1.0]], dtype=np.float32), np.arange(3)).features
    own[0] = 2  # whoever made the log may still change what is theirs
    assert kept[0, 0] == 2 and np.shares_memory(kept, own)
