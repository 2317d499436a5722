"""Cross-fitting: no fit predicts feedback that it saw, and heads are as simple as that feedback allows."""

import numpy as np
import pytest
from scipy.special import expit
from stand_ins import Fit, StandIn

from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis.cross_fit import prompt_folds, simplest, unseen_clicks


def numbered_log(rows: int, groups=None, context=True, **known) -> FeedbackLog:
    """The features of a row are its number, its context the number's complement."""
    number = np.arange(rows, dtype=np.float32)[:, None]
    return FeedbackLog(
        features=number,
        feedback=(np.arange(rows) % 3 == 0).astype(np.float32)[None],
        groups=np.arange(rows) if groups is None else groups,
        context=(1000 - number) if context else None,
        **known,
    )


def test_folds_hold_whole_prompts_and_every_row_once():
    groups = np.repeat(np.arange(30), 3)
    unseen = []
    for seen, held in prompt_folds(groups, 4, 0):
        assert not set(groups[seen]) & set(groups[held]) and len(seen) + len(held) == 90
        unseen.extend(held)
    assert sorted(unseen) == list(range(90))


def test_folds_are_of_even_size_and_drawn_by_the_seed():
    groups = np.repeat([7, 3, 9, 1, 5, 8, 2, 4, 6, 0], 2)
    sizes = [len(set(groups[held])) for _, held in prompt_folds(groups, 4, 0)]
    assert sorted(sizes) == [2, 2, 3, 3]
    first, again, other = ([held.tolist() for _, held in prompt_folds(groups, 4, s)] for s in (0, 0, 1))
    assert first == again != other
    drawn = {tuple(map(tuple, ([*h] for _, h in prompt_folds(np.arange(4), 2, s)))) for s in range(30)}
    assert len(drawn) == 6  # every split of four prompts in two halves


@pytest.mark.parametrize(("prompts", "whole"), [(4, True), (3, False)])
def test_rows_are_folded_where_prompts_are_fewer_than_folds(prompts, whole):
    groups = np.repeat(np.arange(prompts), 8)
    folds = list(prompt_folds(groups, 4, 0))
    assert all((not set(groups[seen]) & set(groups[held])) == whole for seen, held in folds)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(8 * prompts))
    assert {len(held) for _, held in folds} == {2 * prompts}


def remembering(log, parameters):
    """A fit that answers by the number of the row, and with .999 where it saw the row."""
    seen = set(log.features[:, 0])

    def reward(features):
        return np.array([[0.999 if x in seen else 0.1 + x / 1000 for x in features[:, 0]]])

    def propensity(inputs):
        return np.array([[0.2 + (z - 900) / 200 for z in inputs[:, 0]]])

    return Fit(reward, propensity)


def test_every_click_is_predicted_by_a_fit_that_did_not_see_it():
    log = numbered_log(45)
    estimator = StandIn(remembering)
    number = np.arange(45)
    expected = (0.1 + number / 1000) * (0.2 + (100 - number) / 200)
    assert unseen_clicks(estimator, log) == pytest.approx(expected)
    assert len(estimator.logs) == 4
    assert all(log.n_rows in (33, 34) for log in estimator.logs)
    assert len(unseen_clicks(StandIn(remembering), log, folds=3)) == 45


def test_known_actors_and_slips_enter_the_predicted_click():
    actors = np.arange(20) % 2 == 0
    log = numbered_log(20, always_acts=actors, misclick=0.05)
    reward, alpha = 0.1 + np.arange(20) / 1000, 0.2 + (100 - np.arange(20)) / 200
    expected = (reward + 0.05 * (1 - reward)) * np.where(actors, 1, alpha)
    assert unseen_clicks(StandIn(remembering), log) == pytest.approx(expected)


def constant(clicks: dict):
    """Clicks predicted by the hidden layers of the estimator."""
    return lambda log, parameters: Fit(lambda x: np.full((1, len(x)), clicks[parameters["hidden"]]))


class Heads(StandIn):
    """Predicts clicks with .4 by logistic heads, and with .3 otherwise."""

    def __init__(self, **parameters):
        super().__init__(constant({(): 0.4, (4,): 0.3}), **parameters)


@pytest.mark.parametrize(
    ("clicked", "own", "hidden"),
    [
        (0.4, 0.3, ()),  # logistic heads are better
        (0.39, 0.38, ()),  # not told apart
        (0.4, 0.4, ()),  # equal
        (0.2, 0.2, (4,)),  # clearly worse
    ],
)
def test_logistic_heads_are_taken_unless_they_are_clearly_worse(clicked, own, hidden):
    """Of 400 responses; .4 for .2 costs .108 nats a response, ten standard errors."""
    log = numbered_log(400)
    feedback = (np.arange(400) < 400 * clicked).astype(np.float32)[None]
    log = FeedbackLog(log.features, feedback, log.groups, log.context)
    given = Heads(seed=3, lr=0.5, epochs=7)
    found = simplest(given, log, np.full(400, own))
    assert found.get_params()["hidden"] == hidden
    if hidden:
        assert found is given
    else:
        assert found.get_params() == {"hidden": (), "lr": 0.03, "seed": 3, "epochs": 7}


def test_an_estimator_that_is_logistic_already_stays_as_it_is():
    given = Heads(hidden=(), lr=0.5)
    assert simplest(given, numbered_log(20), np.full(20, 0.5)) is given and not given.logs


@pytest.mark.parametrize("is_linear", [True, False])
@pytest.mark.parametrize(
    ("rows", "trained"),
    [
        (1200, {"hidden": (16,), "batch_size": 100, "epochs": 15, "lr": 0.01}),
        pytest.param(3000, {"hidden": (32, 16), "epochs": 40}, marks=pytest.mark.slow),
    ],
)
def test_heads_are_as_simple_as_unseen_feedback_allows(is_linear, rows, trained):
    """The reward's logit is linear, or a product of two features, which no logistic head can say."""
    rng = np.random.default_rng(3)
    x, z = rng.standard_normal((2, rows, 4)).astype(np.float32)
    gamma, alpha = expit(4 * x[:, 0] * (1 if is_linear else x[:, 1])), expit(3 * z[:, 0])
    clicked = (rng.random(rows) < gamma * alpha).astype(np.float32)[None]
    log = FeedbackLog(features=x, feedback=clicked, groups=np.arange(rows), context=z)
    estimator = find("implicitrm")(**trained, seed=1)
    found = simplest(estimator, log, unseen_clicks(estimator, log))
    assert found.get_params()["hidden"] == (() if is_linear else trained["hidden"])
