"""The reward that a link makes of a rating: its direction, its slope, its side of the threshold."""

import json
from math import exp
from statistics import fmean, median, pstdev

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log.rated_responses import load_responses

RATINGS = [3.0, 1.0, None, 2.0, 2.0, 5.0, "inf", 4.0, "none", 1.0]  # seven of ten are numbers
KNOWN = [float(r) for r in RATINGS if r not in (None, "inf", "none")]


@pytest.fixture
def load(tmp_path):
    """Load rows of the given columns; every row its own one-hot feature."""

    def loaded(columns, **options):
        frame = pd.DataFrame({"prompt": "p", **columns})
        np.save(tmp_path / "x.npy", np.eye(len(frame)))
        lines = [json.dumps(row) for row in frame.to_dict("records")]
        (tmp_path / "a.jsonl").write_text("\n".join(lines))
        return load_responses(tmp_path / "a.jsonl", features=tmp_path / "x.npy", **options)

    return loaded


def kept_rows(found) -> list[int]:
    """Which rows of the file these are: their features are one-hot."""
    return np.argmax(found.features, axis=1).tolist()


@pytest.mark.parametrize(("options", "slope"), [({}, 1.5), ({"slope": 0.5}, 0.5), ({"slope": -2.0}, -2.0)])
@pytest.mark.parametrize("link", ["auto", "logistic"])
def test_logistic_is_of_the_rating_in_standard_deviations(link, options, slope, load):
    found = load({"rating": pd.Series(RATINGS, dtype=object)}, link=link, **options)
    mean, deviation = fmean(KNOWN), pstdev(KNOWN)
    expected = [1 / (1 + exp(-slope * (rating - mean) / deviation)) for rating in KNOWN]
    assert found.reward == pytest.approx(expected, rel=1e-12) and found.rating.tolist() == KNOWN
    assert kept_rows(found) == [0, 1, 3, 4, 5, 7, 9]
    assert found.description.startswith(
        "a.jsonl: 7 of 10 responses to 1 prompts, 3 dropped for want of a rating; link logistic; features x"
    )


def test_the_rating_is_standardised_over_all_rows_not_the_chosen_ones(load):
    values = list(np.arange(12.0) ** 2)
    found = load({"rating": values, "prompt": [i // 2 for i in range(12)]}, size=4, seed=3)
    assert len(found.rating) == 4
    expected = [1 / (1 + exp(-1.5 * (r - fmean(values)) / pstdev(values))) for r in found.rating]
    assert found.reward == pytest.approx(expected, rel=1e-12)
    assert [values[row] for row in kept_rows(found)] == found.rating.tolist()


@pytest.mark.parametrize(("threshold", "cut"), [(None, median(KNOWN)), (2.0, 2.0), (1.5, 1.5), (4.0, 4.0)])
def test_threshold_is_one_strictly_above(threshold, cut, load):
    found = load({"rating": pd.Series(RATINGS, dtype=object)}, link="threshold", threshold=threshold)
    assert median(KNOWN) == 2.0 in KNOWN  # so that the side of an equal rating shows
    assert found.reward.tolist() == [float(rating > cut) for rating in KNOWN]
    assert "link threshold;" in found.description


@pytest.mark.parametrize(("threshold", "which"), [(5.0, "no"), (0.5, "every")])
def test_a_threshold_that_parts_nothing_is_refused(threshold, which, load):
    with pytest.raises(BadInput, match=f"{which} rating is above {threshold:g}: name another --threshold"):
        load({"rating": KNOWN}, link="threshold", threshold=threshold)


VOTES = [[4, 1, 3], [0, 0, 2], [2, 0, 0], [0, 0, 0], [1, 3, 0]]


@pytest.mark.parametrize(("threshold", "first"), [(None, 1), (0, 1), (1, 2), (1.5, 2)])
@pytest.mark.parametrize("as_text", [False, True])
def test_votes_are_the_share_above_a_level_and_the_rating_is_the_mean_level(as_text, threshold, first, load):
    column = [json.dumps(v) for v in VOTES] if as_text else VOTES
    found = load({"votes": column, "rating": range(5)}, threshold=threshold)  # auto: votes go first
    with_votes = [v for v in VOTES if sum(v)]
    assert found.reward == pytest.approx([sum(v[first:]) / sum(v) for v in with_votes], rel=1e-14)
    assert found.rating == pytest.approx([(v[1] + 2 * v[2]) / sum(v) for v in with_votes], rel=1e-14)
    assert kept_rows(found) == [0, 1, 2, 4]
    assert "4 of 5 responses to 1 prompts, 1 dropped for want of a rating; link votes;" in found.description


@pytest.mark.parametrize("threshold", [2, 7, -1, -0.5])
def test_a_level_above_or_below_every_vote_is_refused(threshold, load):
    """Every reward would be 0, or every one 1."""
    with pytest.raises(
        BadInput, match=rf"votes have levels 0 to 2, so none, or all, .*above {threshold:g}: "
    ):
        load({"votes": VOTES}, threshold=threshold)


def test_the_link_that_is_asked_for_is_taken(load):
    both = {
        "votes": VOTES,
        "rating": [0, 3, 1, 2, 9],
        "uniform": [[1, 0]] * 4 + [[0, 1]],
        "stars": [1, 2] * 2 + [1],
    }
    assert load(both, link="threshold").reward.tolist() == [0, 1, 0, 0, 1]
    assert load(both, link="logistic").rating.tolist() == [0, 3, 1, 2, 9]
    assert load(both, link="threshold", rating_column="stars").reward.tolist() == [0, 1, 0, 1, 0]
    assert load(both, votes_column="uniform").reward.tolist() == [0, 0, 0, 0, 1]
    assert load({k: v for k, v in both.items() if k != "votes"}).reward.tolist() == [0, 0, 0, 0, 1]
    with pytest.raises(BadInput, match=r"no column for the votes; .* Name one with --votes-column"):
        load({"rating": KNOWN}, link="votes")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            {"votes": [[1, 2], [1, 2, 3]]},
            {},
            "row 1 .line 2., column 'votes': has 3 vote levels, the first row 2",
        ),
        (
            {"votes": [[1, 2], [0, 1], [3, -1], [-1, 0]]},
            {},
            "row 2 .line 3., column 'votes': a vote count is negative",
        ),
        ({"votes": [[0, 0], [0, 0]]}, {}, "no row has a usable rating"),
        ({"rating": ["a", None]}, {}, "no row has a usable rating"),
        ({"rating": ["a", 2, 2]}, {}, "every rating is 2, so there is nothing to rank by"),
        ({"rating": [1, 2]}, {"link": "Threshold"}, "must be auto, votes, logistic or threshold, got 'Thres"),
    ],
)
def test_ratings_that_say_nothing_are_refused(columns, options, message, load):
    with pytest.raises(BadInput, match=message):
        load(columns, **options)
