"""TIcE against the paper's description in loops over lists: the subsets, their bounds, the answer."""

import numpy as np
import pytest
from simbench_estimators.class_prior import tice as package_tice
from simbench_estimators.class_prior.tice import (
    FOLDS,
    MAX_SPLITS,
    PIECES,
    ROUNDS,
    SMALLEST,
    SMOOTHING,
    _best_feature,
    _folds,
    _largest_bound,
    _subsets,
    lower_bound,
    tice,
)

from simbench.log.feedback import FeedbackLog


def test_the_constants_are_the_papers():
    assert (FOLDS, ROUNDS, PIECES, MAX_SPLITS, SMALLEST, SMOOTHING) == (5, 2, 4, 500, 10, 5)
    assert package_tice is tice


def bound(clicks, total, c, delta):
    return clicks / total - (c * (1 - c) * (1 - delta) / (delta * total)) ** 0.5


def quarters(features):
    """Which quarter of its range a value lies in, feature by feature; a constant is in the first."""
    columns = []
    for column in np.asarray(features, dtype=float).T:
        low, high = min(column), max(column)
        columns.append([min(int(4 * (v - low) / (high - low)), 3) if high > low else 0 for v in column])
    return np.array(columns).T


def chosen_feature(piece, clicked, rows, available):
    best, score = None, 0.0
    for feature in available:
        cells = [[r for r in rows if piece[r][feature] == value] for value in range(4)]
        if sum(bool(cell) for cell in cells) < 2:
            continue
        found = max(sum(clicked[r] for r in cell) / (len(cell) + 5) for cell in cells)
        if found > score:
            best, score = feature, found
    return best


def tree(piece, clicked, grow, judge, c, delta):
    """Rows of ``judge`` in every node: the node whose grown rows have the best bound is split first."""
    nodes, found = [(0.0, 0, grow, judge, list(range(len(piece[0]))))], []
    made = 1
    while nodes:
        nodes.sort(key=lambda node: node[:2])
        _, _, grow, judge, available = nodes.pop(0)
        feature = chosen_feature(piece, clicked, grow, available)
        if feature is None:
            continue
        for value in range(4):
            grown, judged = ([r for r in rows if piece[r][feature] == value] for rows in (grow, judge))
            found.append(judged)
            clicks = sum(clicked[r] for r in grown)
            if len(grown) > 10 and 0 < clicks < len(grown):
                rest = [f for f in available if f != feature]
                nodes.append((-bound(clicks, len(grown), c, delta), made, grown, judged, rest))
                made += 1
    return found


def drawn(seed=0, n=600):
    """Good where two features are high: a subset of a subset is all good."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 4)).astype(np.float32)
    x[:, 3] = 0.5  # tells nothing
    good = (x[:, 0] > 0.5) & (x[:, 1] > 0.25)
    clicked = (good | (rng.random(n) < 0.1)) & (rng.random(n) < 0.7)
    return x * np.float32([2, 3, 1, 1]) + np.float32([4, -1, -9, 0]), clicked  # ranges that begin anywhere


@pytest.mark.parametrize("seed", [0, 1])
def test_the_tree_splits_the_best_subset_first_on_the_feature_with_the_best_piece(seed):
    x, clicked = drawn(seed)
    piece = quarters(x)
    rng = np.random.default_rng(seed)
    grow, judge = np.flatnonzero(rng.random(600) < 0.4), np.flatnonzero(rng.random(600) < 0.6)
    expected = tree(piece.tolist(), clicked.tolist(), grow.tolist(), judge.tolist(), 0.4, 0.3)
    found = [subset.tolist() for subset in _subsets(piece, clicked, grow, judge, 0.4, 0.3)]
    assert found == expected and len(found) > 40


def test_the_tree_stops_after_so_many_splits(monkeypatch):
    monkeypatch.setitem(_subsets.__globals__, "MAX_SPLITS", 3)
    x, clicked = drawn()
    every = np.arange(600)
    assert len(list(_subsets(quarters(x), clicked, every, every, 0.4, 0.3))) == 3 * 4


def test_a_node_is_split_from_eleven_rows_on():
    """Two features; in the second quarter of the first lie 10 or 11 grown rows of both kinds."""
    for rows, expected in ((10, 4), (11, 8)):
        piece = np.zeros((30, 2), dtype=np.int64)
        piece[:rows, 0] = 1
        piece[::2, 1] = 1
        clicked = np.zeros(30, dtype=bool)
        clicked[:9] = True  # the other quarter of the first feature holds none, and is not split
        every = np.arange(30)
        assert len(list(_subsets(piece, clicked, every, every, 0.5, 0.5))) == expected


def test_a_bound_counts_from_ten_judged_responses_on():
    """With ``c = 0`` there is no slack: all of ten clicked is 1, all of nine is nothing."""
    for rows, expected in ((9, 9 / 40), (10, 1.0)):
        piece = np.zeros((60, 1), dtype=np.int64)
        piece[:rows] = 1
        piece[40:50] = 1
        clicked = np.zeros(60, dtype=bool)
        clicked[:rows] = clicked[40:45] = True
        grows = np.arange(60) >= 40
        assert _largest_bound(piece, clicked, grows, 0.0) == pytest.approx(expected)


def test_the_root_counts_without_slack_and_no_judges_say_nothing():
    piece, clicked = np.zeros((20, 1), dtype=np.int64), np.arange(20) < 5
    grows = np.arange(20) >= 12
    assert _largest_bound(piece, clicked, grows, 0.5) == pytest.approx(5 / 12)
    assert _largest_bound(piece, clicked, np.ones(20, dtype=bool), 0.5) == 0


@pytest.mark.parametrize(("judges", "delta"), [(100, 1 / 1.4), (20_000, 0.025)])
def test_the_confidence_grows_with_the_log_up_to_a_limit(judges, delta):
    """One feature; half of the judges lie in its second quarter, of whom 60 % clicked, others none."""
    n = judges + 40
    piece = (np.arange(n) % 2)[:, None]
    place = np.arange(n) // 2 % 5
    clicked = (piece[:, 0] == 1) & (place < 3)
    grows = np.arange(n) >= judges
    found = _largest_bound(piece, clicked, grows, 0.3)
    assert found == pytest.approx(bound(0.3 * judges, judges / 2, 0.3, delta))
    assert found > 0.3
    assert lower_bound(30, 50, 0.3, delta) == pytest.approx(bound(30, 50, 0.3, delta))


def test_the_best_feature_has_the_piece_with_the_highest_smoothed_share():
    piece, clicked = np.zeros((60, 3), dtype=np.int64), np.zeros(60, dtype=bool)
    clicked[:34] = True
    piece[22:42, 0] = 1  # 12 clicked of 20, the other 40 hold 22: 22/45 = .489
    piece[30:34, 1] = 3  # 4 clicked of 4; the other 56 hold 30: 30/61 = .492
    piece[20:60, 2] = 2  # 14 clicked of 40; the other 20 hold 20: 20/25 = .8
    every = np.ones(3, dtype=bool)
    assert _best_feature(piece, clicked, every) == 2
    assert _best_feature(piece, clicked, np.array([True, True, False])) == 1
    assert _best_feature(piece, clicked, np.array([True, False, False])) == 0
    assert _best_feature(piece, clicked, np.zeros(3, dtype=bool)) is None
    assert _best_feature(np.zeros((60, 3), dtype=np.int64), clicked, every) is None, "nothing is divided"
    assert _best_feature(piece, np.zeros(60, dtype=bool), every) is None, "nothing is clicked"


def test_folds_are_whole_prompts_of_equal_number_and_drawn_by_the_seed():
    groups = np.repeat([7, 3, 9, 1, 20, 21, 22, 23, 24, 25], 3)
    fold = _folds(groups, 0)
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups.tolist()))
    assert sorted(fold[::3].tolist()) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    draws = {tuple(_folds(groups, seed)) for seed in range(5)}
    assert len(draws) == 5 and tuple(fold) == tuple(_folds(groups, 0))


def test_the_frequency_is_that_of_the_description():
    """Mean over the folds of the largest bound, with ``c = 1/2`` and again with the first answer."""
    x, first = drawn()
    _, second = drawn(1)
    feedback = np.stack([first, second]).astype(np.float32)
    log = FeedbackLog(x, feedback, np.arange(600) // 3)
    fold, piece, answers = _folds(log.groups, 5), quarters(x).tolist(), []
    for clicked in feedback.tolist():
        c = 0.5
        for _ in range(2):
            largest = []
            for part in range(5):
                grow, judge = (np.flatnonzero(m).tolist() for m in (fold == part, fold != part))
                delta = max(0.025, 1 / (1 + 0.004 * len(judge)))
                best = sum(clicked[r] for r in judge) / len(judge)
                for subset in tree(piece, clicked, grow, judge, c, delta):
                    if len(subset) >= 10:
                        best = max(best, bound(sum(clicked[r] for r in subset), len(subset), c, delta))
                largest.append(best)
            c = sum(largest) / 5
        answers.append(c)
    assert tice(log, 5) == pytest.approx(answers, rel=1e-12)
    assert answers[0] > feedback[0].mean() + 0.1
