"""A user's activity elsewhere: by hand, and as context of a log."""

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log.activity import activity_elsewhere
from simbench.log.user_log import LogColumns, read_log
from simbench.worlds.config import WorldConfig
from simbench.worlds.world import build


def test_it_is_the_rate_on_other_prompts_shrunk_by_one_response():
    feedback = np.array([1, 0, 1, 0, 0, 1.0])
    user = np.array([5, 5, 5, 5, 2, 2])
    groups = np.array([1, 1, 2, 3, 1, 4])
    # user 5: prompt 1 has 1 of 2, prompt 2 has 1 of 1, prompt 3 has 0 of 1; the mean of all is .5
    expected = [(1 + 0.5) / 3, (1 + 0.5) / 3, (1 + 0.5) / 4, (2 + 0.5) / 4, (1 + 0.5) / 2, (0 + 0.5) / 2]
    assert activity_elsewhere(feedback, user, groups) == pytest.approx(expected)


def test_an_own_click_does_not_enter_its_own_context():
    feedback, user, groups = np.zeros(6), np.zeros(6, dtype=int), np.array([0, 0, 1, 1, 2, 2])
    clicked = feedback.copy()
    clicked[0] = 1
    before, after = (activity_elsewhere(f + 1e-9, user, groups) for f in (feedback, clicked))
    assert after[:2] - before[:2] == pytest.approx([1 / 6 / 5] * 2)  # through the mean of all alone
    assert (after[2:] > before[2:] + 0.2).all()


def test_users_of_one_prompt_each_are_refused():
    with pytest.raises(BadInput, match="no user saw the responses of two prompts"):
        activity_elsewhere(np.array([1.0, 0, 1, 0]), np.array([0, 0, 1, 1]), np.array([7, 7, 8, 8]))


def table() -> pd.DataFrame:
    config = WorldConfig().changed(n_features=4, test_size=100, activity=2.0, pages_per_user=20)
    log, _ = build(config, 0.0, 2000, 0).draw(range(1))
    frame = pd.DataFrame(log.features).add_prefix("emb_").assign(clicked=log.feedback[0].astype(int))
    return frame.assign(prompt=log.groups, who=[f"u{user}" for user in log.user])


def test_a_log_reads_activity_as_context():
    columns = LogColumns("clicked", "col:emb_", context=("who:activity",), groups="prompt", users="who")
    frame = table()
    read = read_log(frame, columns)
    assert read.log.context.shape == (2000, 1) and read.context[0].kind == "number"
    assert len(np.unique(read.log.user)) == frame.who.nunique() > 15
    assert np.corrcoef(read.log.context[:, 0], read.log.feedback[0])[0, 1] > 0.2


def test_user_ids_are_no_features():
    frame = table()
    frame["emb_4"] = np.arange(2000) % 20
    columns = LogColumns("clicked", "col:emb_", groups="prompt", users="emb_4")
    with pytest.raises(BadInput, match="'emb_4' is the user and cannot be a feature"):
        read_log(frame, columns)
